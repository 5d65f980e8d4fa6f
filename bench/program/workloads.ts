/** What the `program` suite runs: scripts for languages of the catalogue, and C kernels with their sizes. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "../../src/programs/catalogue.ts";
import { programSource } from "../peers/native.ts";

interface Run {
  /** The user's words after the program's name. */
  readonly words: readonly string[];
  readonly input?: string;
}

export interface Language {
  readonly name: string;
  /** Name in the catalogue. */
  readonly program: string;
  /** Host path of the unmodified binary. */
  readonly file: string;
  /** Files that must be in the tree. */
  readonly scripts: readonly { readonly path: string; readonly text: string }[];
  /** The smallest program that does something. */
  readonly trivial: Run;
  /** Fixed work; prints milliseconds, then a result. Without a usable clock only the result. */
  readonly work: Run;
  readonly hasClock: boolean;
  /** The whole command line, as the catalogue makes it from the user's words. */
  argumentsOf(words: readonly string[]): string[];
}

/** The languages, Python first. */
export function languages(): Language[] {
  const text = (file: string) => readFileSync(programSource(file), "utf8");
  const script = (file: string) => ({ path: `/${file}`, text: text(file) });
  const answer = { path: "/answer.js", text: "console.log(6 * 7);\n" };
  return [
    language(
      "Python",
      "python3",
      [script("work.py")],
      { words: ["-c", "print(6 * 7)"] },
      { words: ["/work.py"] },
    ),
    language(
      "SQLite",
      "sqlite3",
      [],
      { words: [], input: "select 6*7;\n" },
      { words: [], input: text("work.sql") },
    ),
    language(
      "QuickJS",
      "qjs",
      [answer, script("work.js")],
      { words: [answer.path] },
      { words: ["/work.js"] },
    ),
    language("Ruby", "ruby", [script("work.rb")], { words: ["-e", "puts 6 * 7"] }, { words: ["/work.rb"] }),
  ];
}

function language(
  name: string,
  program: string,
  scripts: Language["scripts"],
  trivial: Run,
  work: Run,
): Language {
  const entry = findProgram(program);
  if (entry === undefined) throw new Error(`the catalogue has no ${program}`);
  return {
    name,
    program,
    file: entry.wasmPath(),
    scripts,
    trivial,
    work,
    // This build of SQLite knows the time in whole seconds.
    hasClock: program !== "sqlite3",
    argumentsOf(words) {
      const [command] = entry.commands(words, { stdinIsTerminal: false });
      return [command.name, ...command.arguments];
    },
  };
}

/** Puts everything the languages read under a host directory, as a system has it under "/". */
export function placeFiles(chosen: readonly Language[], directory: string): void {
  const place = (path: string, data: string | Uint8Array) => {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, data);
  };
  for (const { program, scripts } of chosen) {
    for (const file of findProgram(program)?.support() ?? []) place(file.path, file.data);
    for (const { path, text } of scripts) place(path, text);
  }
}

export interface ComputeKernel {
  readonly name: string;
  /** Number of calls, and the size of each. */
  readonly manyCalls: readonly [calls: number, size: number];
  /** Size of one long call; undefined where the kernel itself is nothing but calls. */
  readonly longCall: number | undefined;
}

/** The kernels of `programs/compute.c`. */
export const computeKernels: readonly ComputeKernel[] = [
  { name: "nbody", manyCalls: [2000, 1000], longCall: 1_000_000 },
  { name: "flips", manyCalls: [2000, 1000], longCall: 1_000_000 },
  { name: "sha256", manyCalls: [1000, 300], longCall: 200_000 },
  { name: "matrix", manyCalls: [800, 3], longCall: 1200 },
  { name: "sort", manyCalls: [50, 10_000], longCall: 500_000 },
  { name: "calls", manyCalls: [20, 30], longCall: undefined },
];
