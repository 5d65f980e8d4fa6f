/**
 * The `syscall` suite: what system calls, pipes, starting processes, switching between them and interrupting
 * them cost.
 *
 * System calls are timed from inside a program (`programs/syscalls.c`) that every candidate runs: ours on the
 * ext2 root of a booted system, `node:wasi` on a directory in memory, `native` compiled by this computer's
 * compiler on the same directory. Programs are warm in all of them: compiled once and run before. One round
 * measures every candidate; figures are medians of rounds.
 */
import { boot } from "../src/index.ts";
import type { Archipelago } from "../src/system/archipelago.ts";
import { buildNative, programSource, runNative } from "./peers/native.ts";
import { NodeWasi } from "./peers/node-wasi.ts";
import { Workspace } from "./peers/workspace.ts";
import type { Row } from "./row.ts";
import { interleaved } from "./statistics.ts";
import { pingPong } from "./syscall/ping-pong.ts";
import { contextSwitch, interrupts, processStart } from "./syscall/processes.ts";

/** What every part of the suite measures with. */
export interface Candidates {
  readonly system: Archipelago;
  readonly nodeWasi: NodeWasi;
  /** Paths of native programs by name; null without a C compiler. */
  readonly native: ReadonlyMap<string, string> | null;
  readonly workspace: Workspace;
}

const rounds = 9;
const programs = ["syscalls", "pingpong", "nothing", "spin"];
const nativePrograms = ["syscalls", "pingpong", "nothing", "spawns", "signals"];
/** What one call of `read64m` and `write64m` moves, as 1,024 calls of 64 KiB. */
const transfer_bytes = 64 * 1024 * 1024;

interface Operation {
  /** First word of `syscalls`. */
  readonly word: string;
  readonly name: string;
  readonly count: number;
  readonly target: string | null;
}

const operations: readonly Operation[] = [
  { word: "clock", name: "clock_gettime", count: 1_000_000, target: "1.0x node:wasi" },
  { word: "write1", name: "write 1 byte", count: 200_000, target: "0.5x node:wasi" },
  { word: "read4k", name: "read 4 KiB", count: 200_000, target: "0.5x node:wasi" },
  { word: "openclose", name: "open + close", count: 50_000, target: "0.5x node:wasi" },
  { word: "stat", name: "stat", count: 50_000, target: null },
  { word: "write64m", name: "write 64 MB sequentially", count: 3, target: "1.0x node:wasi" },
  { word: "read64m", name: "read 64 MB sequentially", count: 3, target: "1.0x node:wasi" },
];

export async function suite(): Promise<Row[]> {
  using workspace = new Workspace();
  using nodeWasi = await new NodeWasi(workspace.files, workspace.scratch).ready();
  const native = buildNative(nativePrograms, workspace.programs);
  const paths = Object.fromEntries(programs.map((name) => [name, programSource(`${name}.wasm`)]));
  await using system = await boot({ programs: paths });
  const candidates: Candidates = { system, nodeWasi, native, workspace };
  const rows: Row[] = [];
  for (const operation of operations) rows.push(await systemCall(candidates, operation));
  rows.push(...(await pingPong(candidates, rounds)));
  rows.push(...(await processStart(candidates, rounds)));
  rows.push(await contextSwitch(candidates, rounds));
  rows.push(...(await interrupts(candidates, rounds)));
  return rows;
}

async function systemCall(candidates: Candidates, operation: Operation): Promise<Row> {
  const { system, nodeWasi, native, workspace } = candidates;
  const words = (directory: string) => [operation.word, String(operation.count), directory];
  const bulk = operation.word.endsWith("64m");
  const figure = (text: string) => {
    const call_ns = Number(text);
    if (!(call_ns > 0)) throw new Error(`${operation.name}: ${JSON.stringify(text)} is no time`);
    return bulk ? (transfer_bytes / call_ns) * 1000 : call_ns;
  };
  const measured: Record<string, () => Promise<number>> = {
    async ours() {
      const result = await system.run("syscalls", words("/tmp"), { kernel: 0 });
      if (result.exitCode !== 0) throw new Error(`${operation.name}: ${result.stderr}${result.message}`);
      return figure(result.stdout);
    },
    async "node:wasi"() {
      const result = await nodeWasi.run(programSource("syscalls.wasm"), ["syscalls", ...words("")]);
      return figure(result.stdout);
    },
  };
  const program = native?.get("syscalls");
  if (program !== undefined) {
    measured.native = async () => figure(await runNative(program, words(workspace.files)));
  }
  await interleaved(1, measured);
  const { ours, ...peers } = await interleaved(rounds, measured);
  const unit = bulk ? "MB/s" : "ns/call";
  const better = bulk ? "higher" : "lower";
  return { name: operation.name, unit, better, ours, peers, published: null, target: operation.target };
}
