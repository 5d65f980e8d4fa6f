/** One variant of one program in a process of its own: compiles it once, then runs it on request. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { allowInlining } from "../../src/machine/host/v8-settings.ts";
import { moduleOf, run, type Variant } from "./variants.ts";

/** The first message to a child. */
export interface ChildProgram {
  readonly variant: Variant;
  readonly file: string;
  readonly arguments: readonly string[];
  readonly directory: string;
  /** Host directory for the standard streams; holds a file `stdin`. */
  readonly scratch: string;
}

export interface ChildResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly cpu_ns: number;
}

const ours: readonly Variant[] = ["interruptible", "migratable", "page-checked"];

let module: WebAssembly.Module | undefined;
let program: ChildProgram | undefined;

/** Any message after the first asks for a run. */
async function answer(message: ChildProgram | null): Promise<ChildResult> {
  if (message !== null) {
    program = message;
    // As the system does for its programs.
    if (ours.includes(message.variant)) allowInlining();
    module = moduleOf(message.variant, message.file);
  }
  if (program === undefined || module === undefined)
    throw new Error("asked to run before there was a program");
  const { scratch, variant } = program;
  if (message !== null) return { exitCode: 0, stdout: "", stderr: "", cpu_ns: 0 };
  const outputs = [`${scratch}/${variant}.out`, `${scratch}/${variant}.err`];
  const stdin = openSync(`${scratch}/stdin`, "r");
  const [stdout, stderr] = outputs.map((path) => openSync(path, "w+"));
  const { exitCode, cpu_ns } = await run(module, { ...program, streams: { stdin, stdout, stderr } });
  for (const file of [stdin, stdout, stderr]) closeSync(file);
  const [out, error] = outputs.map((path) => readFileSync(path, "utf8"));
  return { exitCode, stdout: out, stderr: error, cpu_ns };
}

process.on("message", async (message: ChildProgram | null) => {
  try {
    process.send?.(await answer(message));
  } catch (error) {
    const stderr = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.send?.({ exitCode: -1, stdout: "", stderr, cpu_ns: 0 } satisfies ChildResult);
  }
});
