/**
 * Programs by name: where their files are on the host, what has to be in the file system before they run, and
 * what their command lines mean. Programs of the user come before those of the catalogue.
 */
import { statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { type ProgramEntry, programs, type StartContext } from "../programs/catalogue.ts";
import type { FileAccess } from "./file-access.ts";

/** One process to start. */
export interface ProgramStep {
  /** Path of the binary in the system. */
  readonly path: string;
  /** The program's name and its arguments. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Runs even when a step before it failed; its own result does not matter. */
  readonly cleanup: boolean;
}

export class ProgramDirectory {
  private readonly own: ReadonlyMap<string, string>;
  private readonly catalogue: ReadonlyMap<string, ProgramEntry>;

  /** `own`: names and host paths. @throws Error for a file that is not there. */
  constructor(own: Readonly<Record<string, string>>) {
    this.own = new Map(Object.entries(own).map(([name, path]) => [name, existing(name, path)]));
    this.catalogue = new Map(programs().map((entry) => [entry.name, entry]));
  }

  names(): string[] {
    return [...new Set([...this.catalogue.keys(), ...this.own.keys()])].sort();
  }

  /** Names and host paths, for `/bin`. */
  files(): { name: string; path: string }[] {
    const found = new Map([...this.catalogue.values()].map((entry) => [entry.name, entry.wasmPath()]));
    for (const [name, path] of this.own) found.set(name, path);
    return [...found].map(([name, path]) => ({ name, path }));
  }

  /**
   * What to start for a word and arguments: usually one process, for a compiler several, one after the other.
   * Puts the files that the program expects into the tree, the first time it is used.
   * @throws UsageError for words that make no sense to the program's front.
   */
  prepare(word: string, args: readonly string[], context: StartContext, files: FileAccess): ProgramStep[] {
    const entry = word.includes("/") || this.own.has(word) ? undefined : this.catalogue.get(word);
    if (entry === undefined) {
      const path = word.includes("/") ? word : `/bin/${word}`;
      return [{ path, arguments: [basename(word), ...args], environment: {}, cleanup: false }];
    }
    const commands = entry.commands(args, context);
    for (const name of new Set([entry.name, ...commands.map((command) => command.program)])) {
      this.placeSupport(this.catalogue.get(name), files);
    }
    return commands.map((command) => ({
      path: `/bin/${command.program}`,
      arguments: [command.name, ...command.arguments],
      environment: command.environment,
      cleanup: command.cleanup,
    }));
  }

  /** Puts the files that a program expects into the tree, by the program's path in the system. */
  placeSupportFor(path: string, files: FileAccess): void {
    if (dirname(path) === "/bin") this.placeSupport(this.catalogue.get(basename(path)), files);
  }

  private placeSupport(entry: ProgramEntry | undefined, files: FileAccess): void {
    if (entry?.supportMarker === undefined || files.exists(entry.supportMarker)) return;
    for (const file of entry.support()) {
      files.makeDirectory(dirname(file.path), { recursive: true });
      files.write(file.path, file.data, file.mode);
    }
  }
}

function existing(name: string, path: string): string {
  const absolute = resolve(path);
  if (statSync(absolute, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new Error(`program ${name}: ${path} is not a file`);
  }
  return absolute;
}
