/**
 * What can go wrong between a file of bytes and a running program. Each kind is one class, so that the caller
 * can turn it into an errno or an exit status; the message is meant for the person who started the program.
 */

/** A program cannot be loaded or started. The common ancestor of the errors below. */
export class ProgramError extends Error {
  override name = "ProgramError";
}

/** The bytes are not a valid WebAssembly module. */
export class MalformedModuleError extends ProgramError {
  override name = "MalformedModuleError";
  /** Where in the file the decoder stopped. */
  readonly offset_bytes: number;
  /** What the format allows at that place. */
  readonly expected: string;

  constructor(offset_bytes: number, expected: string, found?: string) {
    super(
      `malformed WebAssembly module: at byte ${offset_bytes}: expected ${expected}${found === undefined ? "" : `, found ${found}`}`,
    );
    this.offset_bytes = offset_bytes;
    this.expected = expected;
  }
}

/** The module is valid, but uses something that a process cannot have here. */
export class UnsupportedModuleError extends ProgramError {
  override name = "UnsupportedModuleError";
  /** The construct, in the words of the WebAssembly specification. */
  readonly construct: string;

  constructor(construct: string, reason: string) {
    super(`unsupported WebAssembly module: ${construct}: ${reason}`);
    this.construct = construct;
  }
}

/** The program imports functions that nobody supplies. */
export class MissingImportsError extends ProgramError {
  override name = "MissingImportsError";
  /** All that is missing, as `module.name`. */
  readonly missing: readonly string[];

  constructor(missing: readonly string[]) {
    super(`the program imports what this system does not offer: ${missing.join(", ")}`);
    this.missing = missing;
  }
}

/** The program has nothing to run: neither a command (`_start`) nor a reactor (`_initialize`). */
export class NoEntryPointError extends ProgramError {
  override name = "NoEntryPointError";
  constructor(entry: string) {
    super(`the program exports no function "${entry}"`);
  }
}
