/**
 * The `program` suite: how fast whole programs start and compute, beside the unmodified binary on plain V8
 * (`node:wasi` in a child process) and, for the C kernels, the same source compiled natively.
 *
 * Compute is timed by the programs themselves, around a fixed piece of work; their start does not count. All
 * candidates are warm: the module is compiled once per kernel or child, and ran before, so that the optimising
 * compiler has seen it. The C kernels come in two shapes. "Many calls" is warm like everything else. "One long
 * call, fresh" is the first run in a freshly booted system or child: V8 does not replace a running frame, so
 * such a call stays in baseline code to its end.
 *
 * Start-up is a trivial script from `spawn` to its exit status: in a freshly booted system (programs already
 * instrumented, on disk) beside a fresh child that compiles the binary, and again in a warm one. Booting, and
 * the start of Node.js itself, do not count.
 */
import { boot } from "../src/index.ts";
import type { Archipelago } from "../src/system/archipelago.ts";
import { buildNative, programSource, runNative } from "./peers/native.ts";
import { NodeWasi } from "./peers/node-wasi.ts";
import { Workspace } from "./peers/workspace.ts";
import {
  type ComputeKernel,
  computeKernels,
  type Language,
  languages,
  placeFiles,
} from "./program/workloads.ts";
import type { Row } from "./row.ts";
import { interleaved, median } from "./statistics.ts";

const rounds = 7;
const freshRounds = 5;
const warmStarts = 5;

type Measured = Record<string, () => Promise<number>>;

export async function suite(): Promise<Row[]> {
  using workspace = new Workspace();
  const native = buildNative(["compute"], workspace.programs);
  const chosen = languages();
  placeFiles(chosen, workspace.files);
  const rows: Row[] = [];
  {
    await using system = await start();
    using nodeWasi = await new NodeWasi(workspace.files, workspace.scratch).ready();
    placeScripts(chosen, system);
    for (const language of chosen) {
      rows.push(await compute(language, system, nodeWasi));
      rows.push(await warmStart(language, system, nodeWasi));
    }
    for (const kernel of computeKernels) {
      rows.push(await manyCalls(kernel, system, nodeWasi, native?.get("compute")));
    }
  }
  for (const kernel of computeKernels) {
    if (kernel.longCall !== undefined) rows.push(await longCall(kernel, kernel.longCall, workspace));
  }
  for (const language of chosen) rows.push(await freshStart(language, workspace));
  return rows;
}

function start(): Promise<Archipelago> {
  return boot({ programs: { compute: programSource("compute.wasm") } });
}

function placeScripts(chosen: readonly Language[], system: Archipelago): void {
  for (const { path, text } of chosen.flatMap((language) => language.scripts)) system.files.write(path, text);
}

/** Runs a program in a system, and times it from its start to its exit status. @throws Error when it fails. */
async function runOurs(
  system: Archipelago,
  program: string,
  words: readonly string[],
  input?: string,
): Promise<{ stdout: string; elapsed_ns: number }> {
  const start_ns = process.hrtime.bigint();
  const { exitCode, stdout, stderr, message } = await system.run(program, words, { kernel: 0, input });
  const elapsed_ns = Number(process.hrtime.bigint() - start_ns);
  if (exitCode !== 0) throw new Error(`${program}: exit code ${exitCode}: ${stderr}${message}`);
  return { stdout, elapsed_ns };
}

/** The number at the start of what a program printed; all candidates must agree on the rest, the result. */
class Answers {
  private readonly name: string;
  private result: string | undefined;

  constructor(name: string) {
    this.name = name;
  }

  figure(text: string): number {
    const [number, ...rest] = text.trim().split(" ");
    const result = rest.join(" ");
    this.result ??= result;
    const figure_ms = Number(number);
    if (!(figure_ms > 0) || result !== this.result) {
      throw new Error(`${this.name}: ${JSON.stringify(text)} is no time and the result ${this.result}`);
    }
    return figure_ms;
  }
}

async function compute(language: Language, system: Archipelago, nodeWasi: NodeWasi): Promise<Row> {
  const answers = new Answers(language.name);
  const { words, input } = language.work;
  const figure = (text: string, elapsed_ns: number) =>
    answers.figure(language.hasClock ? text : `${elapsed_ns / 1e6} ${text}`);
  const name = language.hasClock ? `${language.name} compute` : `${language.name} compute, start-up included`;
  return row(name, "1.05x node:wasi", {
    async ours() {
      const { stdout, elapsed_ns } = await runOurs(system, language.program, words, input);
      return figure(stdout, elapsed_ns);
    },
    async "node:wasi"() {
      const { stdout, elapsed_ns } = await nodeWasi.run(language.file, language.argumentsOf(words), {
        input,
      });
      return figure(stdout, elapsed_ns);
    },
  });
}

async function manyCalls(
  kernel: ComputeKernel,
  system: Archipelago,
  nodeWasi: NodeWasi,
  native: string | undefined,
): Promise<Row> {
  const name = `C ${kernel.name}, many calls`;
  const words = [kernel.name, ...kernel.manyCalls.map(String)];
  const answers = new Answers(name);
  // The mathematics of another C library may round differently.
  const natively = new Answers(name);
  const measured: Measured = {
    ours: async () => answers.figure((await runOurs(system, "compute", words)).stdout),
    "node:wasi": async () => {
      const result = await nodeWasi.run(programSource("compute.wasm"), ["compute", ...words]);
      return answers.figure(result.stdout);
    },
  };
  if (native !== undefined) measured.native = async () => natively.figure(await runNative(native, words));
  return row(name, "1.05x node:wasi", measured);
}

async function longCall(kernel: ComputeKernel, size: number, workspace: Workspace): Promise<Row> {
  const name = `C ${kernel.name}, one long call, fresh`;
  const words = [kernel.name, "1", String(size)];
  const answers = new Answers(name);
  const measured: Measured = {
    async ours() {
      await using system = await start();
      return answers.figure((await runOurs(system, "compute", words)).stdout);
    },
    async "node:wasi"() {
      using nodeWasi = await new NodeWasi(workspace.files, workspace.scratch).ready();
      return answers.figure(
        (await nodeWasi.run(programSource("compute.wasm"), ["compute", ...words])).stdout,
      );
    },
  };
  return row(name, "1.05x node:wasi", measured, freshRounds);
}

async function warmStart(language: Language, system: Archipelago, nodeWasi: NodeWasi): Promise<Row> {
  const { words, input } = language.trivial;
  return row(`${language.name} start-up, warm`, null, {
    async ours() {
      const times: number[] = [];
      for (let n = 0; n < warmStarts; n++) times.push(await startTime_ms(system, language));
      return median(times);
    },
    async "node:wasi"() {
      const times = warmStarts;
      const result = await nodeWasi.run(language.file, language.argumentsOf(words), { input, times });
      return result.elapsed_ns / 1e6;
    },
  });
}

async function freshStart(language: Language, workspace: Workspace): Promise<Row> {
  const { words, input } = language.trivial;
  const measured: Measured = {
    async ours() {
      await using system = await start();
      // The files a language needs are unpacked when it is first used: that is installing, not starting.
      placeScripts([language], system);
      system["programs"].prepare(language.program, words, { stdinIsTerminal: false }, system.files);
      return await startTime_ms(system, language);
    },
    async "node:wasi"() {
      using nodeWasi = await new NodeWasi(workspace.files, workspace.scratch).ready();
      return (await nodeWasi.run(language.file, language.argumentsOf(words), { input })).elapsed_ns / 1e6;
    },
  };
  return row(`${language.name} start-up, fresh`, null, measured, freshRounds);
}

async function startTime_ms(system: Archipelago, { program, trivial }: Language): Promise<number> {
  return (await runOurs(system, program, trivial.words, trivial.input)).elapsed_ns / 1e6;
}

/** One row; the first round only warms everybody up. */
async function row(name: string, target: string | null, measured: Measured, count = rounds): Promise<Row> {
  await interleaved(1, measured);
  const { ours, ...peers } = await interleaved(count, measured);
  process.stderr.write(`${name}\n`);
  return { name, unit: "ms", better: "lower", ours, peers, published: null, target };
}
