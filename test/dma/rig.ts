/**
 * DMA drivers of two kernels on two islands that are not coherent: each has its own copy of memory, and behind the
 * copies is the DRAM, which is all that the engine sees. The engine moves when a test says so.
 */
import assert from "node:assert/strict";
import { type Areas, attachAreas, createAreas } from "../../src/kernel/areas.ts";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { Caches } from "../../src/machine/sim/caches.ts";
import { cachePage_bytes, type DmaEngine } from "../../src/machine/soc.ts";
import { type MemoryGuard, TypedMemory } from "../../src/memory/index.ts";
import { threadWaiting, type Waiting } from "../../src/memory/waiting.ts";
import { DmaDriver, type DmaParts } from "../../src/services/dma/driver.ts";
import { Pages } from "../../src/services/pages/index.ts";

/** Where the pages begin. */
export const areas_bytes = 16 << 20;
export const pageCount = 1024;
const islands = 2;

interface Running {
  readonly from: number;
  readonly to: number;
  readonly length: number;
  readonly line: number;
}

export class FakeEngine implements DmaEngine {
  readonly channels: number;
  readonly running = new Map<number, Running>();
  /** Sources of all transfers, in the order of their starts. */
  readonly started: number[] = [];
  private readonly dram: Uint8Array;
  private readonly finished: number[] = new Array<number>(islands).fill(0);

  constructor(channels: number, dram: Uint8Array) {
    this.channels = channels;
    this.dram = dram;
  }

  start(channel: number, from: number, to: number, length: number, line = 0): void {
    assert.ok(channel >= 0 && channel < this.channels);
    assert.ok(!this.running.has(channel), `channel ${channel} is busy`);
    for (const [other, channels] of this.finished.entries())
      this.finished[other] = channels & ~(1 << channel);
    this.running.set(channel, { from, to, length, line });
    this.started.push(from);
  }

  linesFinished(): number {
    return this.finished.reduce((lines, channels, line) => (channels === 0 ? lines : lines | (1 << line)), 0);
  }

  takeFinished(line = 0): number {
    const finished = this.finished[line];
    this.finished[line] = 0;
    return finished;
  }

  isBusy(channel: number): boolean {
    return this.running.has(channel);
  }

  /** A channel that is busy gets done; false if there is none. */
  complete(which = 0): boolean {
    const channels = [...this.running.keys()].sort((a, b) => a - b);
    if (channels.length === 0) return false;
    const channel = channels[which % channels.length];
    const { from, to, length, line } = this.running.get(channel) as Running;
    this.dram.copyWithin(to, from, from + length);
    this.running.delete(channel);
    this.finished[line] |= 1 << channel;
    return true;
  }
}

/** All kernels of a test share a thread: who would have to wait for a lock would wait for ever. */
const neverWait: Waiting = {
  ...threadWaiting,
  spin(): boolean {
    throw new Error("a lock is held by somebody who is gone");
  },
};

export interface Kernel {
  readonly driver: DmaDriver;
  readonly areas: Areas;
  readonly pages: Pages;
  readonly waits: WaitService;
  readonly memory: TypedMemory;
}

export class Chip {
  readonly caches: Caches;
  readonly engine: FakeEngine;
  /** Kernel n is on island n and has owner number n + 1. */
  readonly kernels: Kernel[];
  readonly woken: number[] = [];
  /** Islands whose kernel is gone. */
  readonly dead = new Set<number>();
  /** Left by the kernel of one island to that of another, in this order. */
  readonly left: number[] = [];
  /** Called for each access of a kernel; may throw. */
  onAccess: (island: number) => void = () => undefined;

  constructor(channels = 2) {
    this.caches = new Caches(areas_bytes + pageCount * cachePage_bytes, islands);
    this.engine = new FakeEngine(channels, this.caches.dram);
    const first = this.memory(0, true);
    createAreas(first);
    Pages.create(first, { name: "pages", base: areas_bytes, count: pageCount, owner: 1 });
    this.kernels = [this.kernel(0, first, true)];
    this.kernels.push(this.kernel(1, this.memory(1, false), false));
  }

  /** Coherence by software in its simplest form: whoever uses a page takes it from all others. */
  private guard(island: number): MemoryGuard {
    return {
      access: (offset, length, write) => {
        this.onAccess(island);
        const last = Math.floor((offset + length - 1) / cachePage_bytes);
        for (let page = Math.floor(offset / cachePage_bytes); page <= last; page++) {
          for (let other = 0; other < islands; other++) {
            if (other === island) continue;
            this.caches.clean(other, page);
            this.caches.invalidate(other, page);
          }
        }
        this.caches.access(island, offset, length, write);
      },
    };
  }

  private memory(island: number, fresh: boolean): TypedMemory {
    const buffer = this.caches.memory(island).buffer as SharedArrayBuffer;
    const options = { guard: this.guard(island), waiting: neverWait };
    return fresh
      ? TypedMemory.format(buffer, { ...options, byteLength: areas_bytes })
      : TypedMemory.attach(buffer, options);
  }

  private kernel(island: number, memory: TypedMemory, create: boolean): Kernel {
    const owner = island + 1;
    const areas = attachAreas(memory);
    const pages = Pages.attach(memory, "pages", owner);
    const waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      (thread) => this.woken.push(thread),
      owner,
    );
    const parts: DmaParts = {
      memory,
      waitQueues: areas.waitQueues,
      ram: new Ram(memory.buffer, memory.guard),
      pages,
      waits,
      owner,
      island,
      leaveTo: (other) => {
        if (this.dead.has(other)) return false;
        this.left.push(other);
        this.kernels[other].driver.interrupt();
        return true;
      },
      hardware: {
        dma: this.engine,
        cache: {
          access: (offset, length, write) => this.caches.access(island, offset, length, write),
          clean: (page) => void this.caches.clean(island, page),
          invalidate: (page) => this.caches.invalidate(island, page),
        },
      },
    };
    const driver = create ? DmaDriver.create(parts) : DmaDriver.attach(parts);
    return { driver, areas, pages, waits, memory };
  }

  /** Links a thread into a transfer's queue, as a system call does before it sleeps. */
  waitOn(kernel: Kernel, thread: number, transfer: number): void {
    assert.ok(kernel.waits.waitOn(thread, kernel.driver.queueOf(transfer)));
  }

  inUse(): { transfers: number; queues: number; pages: number } {
    const { driver, areas, pages } = this.kernels[0];
    return { transfers: driver.used(), queues: areas.waitQueues.used(), pages: pages.used() };
  }
}

export function ok(result: number): number {
  assert.ok(result >= 0, `expected success, got ${errnoName(result)}`);
  return result;
}

export function fails(result: number, name: keyof typeof errno): void {
  assert.equal(errnoName(result), `E${name}`);
  assert.equal(result, -errno[name]);
}

export function bytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) + seed * 17 + 1) & 255);
}

/** Everything that the last transfer has moved, read from a kernel. */
export function content(kernel: Kernel, transfer: number): Uint8Array {
  const target = new Uint8Array(1 << 20);
  const count = ok(kernel.driver.readAt(transfer, target, 0, target.length, 0));
  return target.slice(0, count);
}
