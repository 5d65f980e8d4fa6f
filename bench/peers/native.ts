/** The peer `native`: the C sources of the benchmark programs, built by this computer's own compiler. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Whether a command can be found. */
export function hasCommand(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((directory) => existsSync(join(directory, name)));
}

export function programSource(file: string): string {
  return fileURLToPath(new URL(`../programs/${file}`, import.meta.url));
}

/** Builds programs by name into `directory`: their paths, or null when there is no C compiler. */
export function buildNative(names: readonly string[], directory: string): Map<string, string> | null {
  const compiler = ["gcc", "cc", "clang"].find(hasCommand);
  if (compiler === undefined) {
    process.stderr.write("no C compiler here: the peer native is left out\n");
    return null;
  }
  return new Map(
    names.map((name) => {
      const path = join(directory, name);
      execFileSync(compiler, ["-O2", "-pthread", "-o", path, programSource(`${name}.c`), "-lm"]);
      return [name, path];
    }),
  );
}

/** Runs a native program to its end: what it printed. @throws Error when it fails. */
export async function runNative(path: string, words: readonly string[]): Promise<string> {
  return (await execute(path, [...words])).stdout;
}
