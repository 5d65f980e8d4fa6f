/**
 * Physical memory (K2, section 9.3): what an allocation takes from allocators that are independent (table 4), what
 * balloons take, and what became of an allocator that both kernels share.
 */
import { page_bytes } from "../../src/services/pages/index.ts";
import { median } from "../statistics.ts";
import { AllocatorRig, type RigKernel } from "./allocator-rig.ts";

/** Sizes whose latencies on the shadow kernel lie on one line in table 4, as they do for these three. */
export const allocationOrders = [0, 6, 8] as const;
/** Allocations of each size whose median counts, and contended ones of each kernel. */
const allocations = 12;
const contended = 400;
/** A quarter of a page block's pages is in use when it is taken from a kernel. */
const moved_pages = 1024;
const balloonRounds = 5;

export interface AllocatorResult {
  /** By kernel, then by size, in µs. */
  readonly allocation_us: readonly (readonly number[])[];
  /** By kernel, in µs. */
  readonly deflate_us: readonly number[];
  /** An empty page block, and one with pages to move. */
  readonly inflateEmpty_us: readonly number[];
  readonly inflate_us: readonly number[];
  readonly moved_bytes: number;
  /** Both kernels at once, by kernel: independent and shadowed allocators. */
  readonly independent: ContentionResult;
  readonly shadowed: ContentionResult;
}

export interface ContentionResult {
  /** Median of one allocation, by kernel, in µs. */
  readonly latency_us: readonly number[];
  readonly faultsPerAllocation: number;
}

export async function measureAllocators(): Promise<AllocatorResult> {
  const rig = await AllocatorRig.boot("two-state");
  const both = <Result>(job: (kernel: RigKernel) => Result | Promise<Result>) =>
    Promise.all([rig.run(0, job), rig.run(1, job)]);
  const oneByOne = async <Result>(job: (kernel: RigKernel) => Result | Promise<Result>) => [
    await rig.run(0, job),
    await rig.run(1, job),
  ];
  const allocation_us = await oneByOne((kernel) =>
    allocationOrders.map((order) => allocate_us(kernel, order)),
  );
  const balloons = await oneByOne(measureBalloon);
  const contention = async (which: "independent" | "shadowed"): Promise<ContentionResult> => {
    await both((kernel) => compete(kernel, which, contended / 4));
    const before = rig.faults();
    const latency_us = await both((kernel) => compete(kernel, which, contended));
    return { latency_us, faultsPerAllocation: (rig.faults() - before) / (2 * contended) };
  };
  const independent = await contention("independent");
  const shadowed = await contention("shadowed");
  rig.stop();
  return {
    allocation_us,
    deflate_us: balloons.map((times) => median(times.deflate_us)),
    inflateEmpty_us: balloons.map((times) => median(times.inflateEmpty_us)),
    inflate_us: balloons.map((times) => median(times.inflate_us)),
    moved_bytes: moved_pages * page_bytes,
    independent,
    shadowed,
  };
}

function timed_us(kernel: RigKernel, action: () => void): number {
  const start_ns = kernel.core.now_ns();
  action();
  return (kernel.core.now_ns() - start_ns) / 1000;
}

/** Median over several allocations that are all kept until the end; the first two rounds warm up. */
function allocate_us(kernel: RigKernel, order: number): number {
  let times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const blocks: number[] = [];
    times = Array.from({ length: allocations }, () =>
      timed_us(kernel, () => {
        const block = kernel.independent.allocate(order);
        if (block < 0) throw new Error(`kernel ${kernel.kernel} has no block of order ${order}`);
        blocks.push(block);
      }),
    );
    for (const block of blocks) kernel.independent.free(block, order);
  }
  return median(times);
}

interface BalloonTimes {
  readonly deflate_us: number[];
  readonly inflateEmpty_us: number[];
  readonly inflate_us: number[];
}

/** Takes a page block in, gives it up empty, takes it in again and gives it up with pages in use. */
function measureBalloon(kernel: RigKernel): BalloonTimes {
  const times: BalloonTimes = { deflate_us: [], inflateEmpty_us: [], inflate_us: [] };
  const { balloon } = kernel.independent;
  for (let round = 0; round <= balloonRounds; round++) {
    const sample: BalloonTimes =
      round === 0 ? { deflate_us: [], inflateEmpty_us: [], inflate_us: [] } : times;
    let block = -1;
    sample.deflate_us.push(
      timed_us(kernel, () => {
        block = balloon.deflate();
      }),
    );
    sample.inflateEmpty_us.push(timed_us(kernel, () => require(balloon.inflate(block))));
    block = balloon.deflate();
    const held = fill(kernel, block);
    sample.inflate_us.push(timed_us(kernel, () => require(balloon.inflate(block))));
    for (const index of held) kernel.user.release(index);
  }
  return times;
}

/** Holds movable pages until a quarter of a page block is in use. */
function fill(kernel: RigKernel, block: number): number[] {
  const { table } = kernel.independent;
  const held: number[] = [];
  for (let inBlock = 0; inBlock < moved_pages; ) {
    const index = kernel.user.hold(0);
    if (index < 0) throw new Error(`kernel ${kernel.kernel} has no more pages`);
    held.push(index);
    const page = (kernel.user.offset(index) - kernel.independent.base) / page_bytes;
    if (table.blockOf(page) === block) {
      kernel.user.write(index, 0, new Uint8Array([page]));
      inBlock++;
    }
  }
  return held;
}

function require(isSo: boolean): void {
  if (!isSo) throw new Error("a page block cannot be taken back");
}

/** Allocates and frees at full speed while the other kernel does the same. */
async function compete(kernel: RigKernel, which: "independent" | "shadowed", count: number): Promise<number> {
  const pages = kernel[which];
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    let block = -1;
    times.push(
      timed_us(kernel, () => {
        block = pages.allocate(0);
      }),
    );
    await kernel.core.runOthers();
    pages.free(block, 0);
    await kernel.core.runOthers();
  }
  return median(times);
}
