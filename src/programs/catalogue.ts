/**
 * The programs that can be started by name: which npm package brings the bytes, what the program needs in the
 * tree, and what its command line has to be.
 *
 * `/bin` shows them; the system's `spawn` looks them up. Nothing is read from disk before an entry's methods
 * are called.
 */
import { compilers } from "./compiler.ts";
import type { ProgramEntry } from "./entry.ts";
import { languages } from "./languages.ts";
import { tools } from "./tools.ts";

export type { ProgramCommand, ProgramEntry, StartContext, SupportFile } from "./entry.ts";
export { ProgramNotInstalledError, UsageError } from "./entry.ts";

/** Every program of the catalogue, sorted by name. */
export function programs(): ProgramEntry[] {
  return [...languages(), ...compilers(), ...tools()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The program of that name, or undefined. */
export function findProgram(name: string): ProgramEntry | undefined {
  return programs().find((program) => program.name === name);
}
