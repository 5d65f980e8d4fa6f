/** A `.wasm` file on the host as a program of the system. */
import { readFileSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Archipelago } from "../system/archipelago.ts";

/**
 * What to give to `spawn` for a word the user typed: the word itself, or, for a `.wasm` file that exists on
 * the host and not in the system, the path of a copy in the system's `/tmp`.
 */
export async function resolveProgram(system: Archipelago, word: string): Promise<string> {
  if (!word.endsWith(".wasm")) return word;
  if (word.startsWith("/") && system.files.exists(word)) return word;
  if (statSync(word, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new Error(`${word}: there is no such file, neither in the system nor at ${resolve(word)}`);
  }
  const path = `/tmp/${basename(word)}`;
  system.files.write(path, readFileSync(word), 0o755);
  return path;
}
