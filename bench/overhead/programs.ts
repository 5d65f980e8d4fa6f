/**
 * What the `overhead` suite runs: CPython, SQLite and QuickJS with the scripts of the `program` suite, and classic
 * kernels in C, compiled by the clang that runs inside the system, or else by this computer's.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { boot } from "../../src/index.ts";
import { hasCommand } from "../peers/native.ts";
import { languages } from "../program/workloads.ts";

export interface OverheadProgram {
  readonly name: string;
  /** Host path of the unmodified module. */
  readonly file: string;
  readonly arguments: readonly string[];
  readonly input: string;
  /** It prints milliseconds, then its result. */
  readonly hasClock: boolean;
}

const kernelDirectory = join(import.meta.dirname, "kernels");
const chosenLanguages = ["Python", "SQLite", "QuickJS"];

export function languagePrograms(): OverheadProgram[] {
  return languages()
    .filter(({ name }) => chosenLanguages.includes(name))
    .map(({ name, file, work, hasClock, argumentsOf }) => {
      return { name, file, arguments: argumentsOf(work.words), input: work.input ?? "", hasClock };
    });
}

/** Compiles the kernels into a directory; programs that no compiler makes are left out. */
export async function kernelPrograms(directory: string): Promise<OverheadProgram[]> {
  const sources = readdirSync(kernelDirectory).filter((file) => file.endsWith(".c"));
  const programs: OverheadProgram[] = [];
  await using system = await boot();
  for (const source of sources) {
    const name = basename(source, ".c");
    const file = join(directory, `${name}.wasm`);
    const text = readFileSync(join(kernelDirectory, source));
    system.files.write(`/${source}`, text);
    const compiled = await system.run("clang", ["-O2", "-o", `/${name}.wasm`, `/${source}`]);
    if (compiled.exitCode === 0) writeFileSync(file, system.files.read(`/${name}.wasm`));
    else if (!compiledOutside(join(kernelDirectory, source), file)) {
      process.stderr.write(`${name} is left out: no compiler made it: ${compiled.stderr}\n`);
      continue;
    }
    programs.push({ name, file, arguments: [name], input: "", hasClock: false });
  }
  return programs;
}

function compiledOutside(source: string, file: string): boolean {
  if (!hasCommand("clang")) return false;
  const options = ["--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-o", file, source, "-lm"];
  const done = spawnSync("clang", options).status === 0;
  if (done) process.stderr.write(`${basename(source)}: compiled by this computer's clang\n`);
  return done;
}
