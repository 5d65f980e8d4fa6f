/**
 * The `migrate` suite: for how long a running process stands still while it is moved between kernels, by the size of
 * its heap and the depth of its stack. The process itself tells: it looks at the clock all the time (`pause.c`).
 *
 * Inside an island no memory is copied. "Upfront" and "on demand" copy it all the same, as machines must that share
 * nothing: upfront while the process waits, on demand page by page when it goes on. The parts of a pause are
 * measured at the engine alone, in this process. Popcorn's and Wanco's figures are published ones, of other
 * programs on other machines; CRIU is measured where it runs.
 */
import { boot } from "../src/index.ts";
import type { Archipelago } from "../src/system/archipelago.ts";
import { criuObstacle } from "./migrate/criu.ts";
import { loadPauseProgram, measureParts } from "./migrate/parts.ts";
import { pauseProgram, Watched } from "./migrate/watched.ts";
import type { Row } from "./row.ts";
import { median } from "./statistics.ts";

const rounds = 15;
const depths = [10, 100, 1000, 10_000];
const heaps_mb = [1, 16, 64, 256, 1000];
const defaultHeap_mb = 64;
const partsRounds = 200;

type Copy = "none" | "upfront" | "on-demand";

const published = {
  popcorn: "Popcorn 6 ms",
  wancoCheckpoint: "Wanco 1-39 ms",
  wancoRestore: "Wanco 0.1-27 ms",
};

export async function suite(): Promise<Row[]> {
  const obstacle = criuObstacle();
  process.stderr.write(
    obstacle === null ? "CRIU runs here, but is not measured yet\n" : `CRIU is left out: ${obstacle}\n`,
  );
  const rows = await partRows();
  for (const heap_mb of heaps_mb)
    rows.push(...(await attempt(`heap of ${heap_mb} MB`, () => heapRows(heap_mb))));
  for (const depth of depths)
    rows.push(...(await attempt(`stack of ${depth} frames`, () => depthRows(depth))));
  rows.push(...(await attempt("checkpoints", checkpointRows)));
  return rows;
}

/** What cannot be measured on this computer is said, and does not end the suite. */
async function attempt(name: string, measure: () => Promise<Row[]>): Promise<Row[]> {
  try {
    return await measure();
  } catch (error) {
    process.stderr.write(`${name}: ${error instanceof Error ? error.message : error}\n`);
    return [];
  }
}

async function partRows(): Promise<Row[]> {
  const program = loadPauseProgram();
  const rows: Row[] = [];
  for (const depth of depths) {
    try {
      const { capture_ms, restore_ms, frames_bytes } = await measureParts(program, depth, partsRounds);
      const name = `${depth} frames (${frames_bytes} bytes)`;
      rows.push(row(`capture, ${name}`, capture_ms, published.wancoCheckpoint, null));
      rows.push(row(`re-entry in a fresh instance, ${name}`, restore_ms, published.wancoRestore, null));
    } catch (error) {
      process.stderr.write(
        `${depth} frames at the engine: ${error instanceof Error ? error.message : error}\n`,
      );
    }
  }
  return rows;
}

function start(): Promise<Archipelago> {
  // Re-entry of hot frames would be seen as pauses of its own.
  return boot({
    cores: 2,
    programs: { pause: pauseProgram },
    hotFrames: false,
    processMemory_bytes: 2 ** 31,
  });
}

async function heapRows(heap_mb: number): Promise<Row[]> {
  await using system = await start();
  await using watched = await Watched.start(system, heap_mb, 10);
  const rows: Row[] = [];
  for (const copy of ["none", "upfront", "on-demand"] as const) {
    const { pauses_ms, complete_ms } = await moves(
      watched,
      copy,
      copy === "none" || heap_mb < 500 ? rounds : 5,
    );
    const what = { none: "pause, in the island", upfront: "pause, upfront", "on-demand": "pause, on demand" }[
      copy
    ];
    const target = copy === "none" && heap_mb <= defaultHeap_mb ? "1 ms" : null;
    rows.push(row(`${what}, heap of ${heap_mb} MB`, median(pauses_ms), published.popcorn, target));
    if (copy === "on-demand") {
      rows.push(
        row(`until the last page, on demand, heap of ${heap_mb} MB`, median(complete_ms), null, null),
      );
    }
  }
  return rows;
}

async function depthRows(depth: number): Promise<Row[]> {
  await using system = await start();
  await using watched = await Watched.start(system, 1, depth);
  const { pauses_ms } = await moves(watched, "none", rounds);
  return [row(`pause, in the island, ${depth} frames`, median(pauses_ms), published.popcorn, null)];
}

/** Moves a process to and fro. @returns its pauses, and how long it took until all of its memory was there. */
async function moves(
  watched: Watched,
  copy: Copy,
  count: number,
): Promise<{ pauses_ms: number[]; complete_ms: number[] }> {
  const pauses_ms: number[] = [];
  const complete_ms: number[] = [];
  // The first two warm up code on both kernels.
  for (let n = -2; n < count; n++) {
    const target = watched.process.kernel === 0 ? 1 : 0;
    const from_ms = performance.now();
    const pause_ms = await watched.longestPause_ms(() => watched.process.migrate(target, { copy }));
    const all_ms = await watched.allPages_ms(from_ms);
    if (n < 0 || Number.isNaN(pause_ms)) continue;
    pauses_ms.push(pause_ms);
    complete_ms.push(all_ms);
  }
  return { pauses_ms, complete_ms };
}

/** A checkpoint and its restore for the process of the heap rows. */
async function checkpointRows(): Promise<Row[]> {
  await using system = await boot({
    cores: 2,
    programs: { pause: pauseProgram },
    hotFrames: false,
    rootSize_bytes: 512 << 20,
  });
  const path = "/tmp/checkpoint";
  const checkpoints_ms: number[] = [];
  const restores_ms: number[] = [];
  await using watched = await Watched.start(system, defaultHeap_mb, 10);
  for (let n = 0; n < 5; n++) {
    checkpoints_ms.push(await watched.longestPause_ms(() => system.checkpoint(watched.process.pid, path)));
    const from_ms = performance.now();
    const restored = await system.restore(path, { kernel: 1, stdout: "null", stderr: "null" });
    restores_ms.push(performance.now() - from_ms);
    restored.kill();
    await restored.wait();
  }
  const size = `heap of ${defaultHeap_mb} MB, all pages different`;
  return [
    row(`pause, checkpoint to a file, ${size}`, median(checkpoints_ms), published.wancoCheckpoint, null),
    row(`restore from a file, ${size}`, median(restores_ms), published.wancoRestore, null),
  ];
}

function row(name: string, ours: number, paper: string | null, target: string | null): Row {
  process.stderr.write(`${name}: ${ours.toFixed(3)} ms\n`);
  return { name, unit: "ms", better: "lower", ours, peers: {}, published: paper, target };
}
