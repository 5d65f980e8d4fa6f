/**
 * The `overhead` suite: what programs pay for being interruptible, migratable and page-checked, beside the
 * unmodified binary on plain V8, and beside Binaryen's asyncify, which unwinds stacks too.
 *
 * Each variant of a program runs in a process of its own, with `node:wasi` for its system calls; the processes
 * take turns. A figure is the median of the ratios to plain V8 in the same turn; asyncify's is to the same program
 * without it, optimised by Binaryen too. Time is the processor's, of the thread that runs the program, so that a busy
 * computer does not disturb much. All are warm: the first run, during which V8 optimises, does not count.
 * Nothing is captured here, as in all but a few moments of a program's life.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binaryen } from "./overhead/asyncify.ts";
import { kernelPrograms, languagePrograms, type OverheadProgram } from "./overhead/programs.ts";
import { Runner } from "./overhead/runner.ts";
import { type Variant, variants } from "./overhead/variants.ts";
import { Workspace } from "./peers/workspace.ts";
import { languages, placeFiles } from "./program/workloads.ts";
import type { Row } from "./row.ts";
import { median } from "./statistics.ts";

const rounds = 7;
const target = "1.15x mean, 1.4x worst";

/** What others are measured against, and what stands in the column "ours". */
const notPeers: readonly Variant[] = ["plain", "optimised", "migratable"];

type Ratios = Partial<Record<Variant, number>>;

export async function suite(): Promise<Row[]> {
  using workspace = new Workspace();
  placeFiles(languages(), workspace.files);
  const only = process.env.ARCHIPELAGO_PROGRAMS?.split(",");
  const programs = [...languagePrograms(), ...(await kernelPrograms(workspace.programs))].filter(
    ({ name }) => only === undefined || only.includes(name),
  );
  const rows: Row[] = [];
  const all: Ratios[] = [];
  for (const program of programs) {
    const measured = await measure(program, workspace);
    all.push(measured.ratios);
    rows.push(measured.row);
  }
  rows.push(summary("geometric mean", all, geometricMean, 1.15));
  rows.push(summary("worst", all, (values) => Math.max(...values), 1.4));
  return rows;
}

async function measure(
  program: OverheadProgram,
  workspace: Workspace,
): Promise<{ ratios: Ratios; row: Row }> {
  const scratch = join(workspace.scratch, program.name);
  mkdirSync(scratch);
  writeFileSync(join(scratch, "stdin"), program.input);
  using runners = new RunnerSet();
  for (const variant of variants) {
    const file =
      variant === "asyncify" || variant === "optimised"
        ? throughBinaryen(program, variant, workspace)
        : program.file;
    if (file === null) continue;
    const { arguments: words } = program;
    try {
      await runners.add({ variant, file, arguments: words, directory: workspace.files, scratch });
    } catch (error) {
      if (variant === "plain") throw error;
      process.stderr.write(`${program.name}, ${variant}, is left out: ${error}\n`);
    }
  }
  await runners.turn(program);
  const samples: Partial<Record<Variant, number[]>> = {};
  const plain_ms: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = await runners.turn(program);
    const base_ms = turn.get("plain") ?? Number.NaN;
    plain_ms.push(base_ms);
    for (const [variant, cpu_ms] of turn) {
      samples[variant] ??= [];
      // Asyncify is not to be credited with what Binaryen's optimiser does for programs.
      samples[variant].push(cpu_ms / (variant === "asyncify" ? (turn.get("optimised") ?? base_ms) : base_ms));
    }
  }
  const ratios = Object.fromEntries(
    Object.entries(samples).map(([variant, values]) => [variant, median(values)]),
  ) as Ratios;
  const name = `${program.name} (plain V8: ${median(plain_ms).toFixed(0)} ms)`;
  process.stderr.write(`${name}: ${JSON.stringify(ratios)}\n`);
  return { ratios, row: row(name, ratios, target) };
}

/** Path of the program as Binaryen makes it; null where that cannot be done. */
function throughBinaryen(
  program: OverheadProgram,
  variant: "optimised" | "asyncify",
  workspace: Workspace,
): string | null {
  const path = join(workspace.programs, `${program.name}.${variant}.wasm`);
  // Ninety seconds even for a native Binaryen.
  const reason =
    program.name === "Python" ? "it takes too long" : binaryen(program.file, path, variant === "asyncify");
  if (reason === null) return path;
  process.stderr.write(`${program.name}: ${variant} is left out: ${reason}\n`);
  return null;
}

/** The processes of one program. All must print the same. */
class RunnerSet implements Disposable {
  private readonly runners = new Map<Variant, Runner>();
  private result: string | undefined;

  async add(program: ConstructorParameters<typeof Runner>[0]): Promise<void> {
    const runner = new Runner(program);
    try {
      this.runners.set(program.variant, await runner.ready());
    } catch (error) {
      runner[Symbol.dispose]();
      throw error;
    }
  }

  /** Runs each once: milliseconds. */
  async turn({ name, hasClock }: OverheadProgram): Promise<Map<Variant, number>> {
    const times = new Map<Variant, number>();
    for (const [variant, runner] of this.runners) {
      const { stdout, cpu_ns } = await runner.run();
      const result = hasClock ? stdout.slice(stdout.indexOf(" ")) : stdout;
      this.result ??= result;
      if (result !== this.result) throw new Error(`${name}, ${variant}: ${stdout} instead of ${this.result}`);
      times.set(variant, cpu_ns / 1e6);
    }
    return times;
  }

  [Symbol.dispose](): void {
    for (const runner of this.runners.values()) runner[Symbol.dispose]();
  }
}

function row(
  name: string,
  ratios: Ratios,
  goal: Row["target"],
  labels: Partial<Record<Variant, string>> = {},
): Row {
  const peers: Record<string, number> = {};
  for (const variant of variants) {
    const value = ratios[variant];
    if (value === undefined || notPeers.includes(variant)) continue;
    peers[labels[variant] ?? variant] = value;
  }
  return {
    name,
    unit: "x plain V8",
    better: "lower",
    ours: ratios.migratable ?? Number.NaN,
    peers,
    published: name.startsWith("geometric") ? "Wanco 1.36x" : null,
    target: goal,
  };
}

function summary(
  name: string,
  all: readonly Ratios[],
  combine: (values: readonly number[]) => number,
  goal: number,
): Row {
  const combined: Ratios = {};
  const labels: Partial<Record<Variant, string>> = {};
  for (const variant of variants) {
    const values = all.map((ratios) => ratios[variant]).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    combined[variant] = combine(values);
    if (values.length < all.length)
      labels[variant] = `${variant}, ${values.length} of ${all.length} programs`;
  }
  return row(name, combined, goal, labels);
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
