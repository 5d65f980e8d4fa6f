/** Network services of several kernels on a small island, without a machine; with a network controller if wanted. */
import assert from "node:assert/strict";
import { type Areas, attachAreas, createAreas } from "../../src/kernel/areas.ts";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { type MemoryGuard, TypedMemory } from "../../src/memory/index.ts";
import { threadWaiting, type Waiting } from "../../src/memory/waiting.ts";
import type { NetworkHardware } from "../../src/services/network/interface.ts";
import { NetworkService } from "../../src/services/network/network.ts";
import type { NetworkParts } from "../../src/services/network/parts.ts";
import { Pages } from "../../src/services/pages/index.ts";

const areas_bytes = 16 << 20;
const pageCount = 512;

/** A network controller in loopback whose frames move when a test says so. */
export class FakeController implements NetworkHardware {
  readonly queue: Uint8Array[] = [];
  readonly arrived: Uint8Array[] = [];
  readonly capacity: number;
  spent_cycles = 0;
  readonly network;

  constructor(capacity = 8, frame_bytes_max = 1500) {
    this.capacity = capacity;
    this.network = {
      frame_bytes_max,
      send: (frame: Uint8Array): boolean => {
        assert.ok(frame.length <= frame_bytes_max);
        if (this.queue.length >= this.capacity) return false;
        this.queue.push(frame.slice());
        return true;
      },
      receive: (): Uint8Array | undefined => this.arrived.shift(),
    };
  }

  spend(cycles: number): void {
    this.spent_cycles += cycles;
  }

  /** Everything that was sent arrives. */
  move(): void {
    this.arrived.push(...this.queue.splice(0));
  }
}

/** All kernels of a test share a thread: who would have to wait for a lock would wait for ever. */
const neverWait: Waiting = {
  ...threadWaiting,
  spin(): boolean {
    throw new Error("a lock is held by somebody who is gone");
  },
};

/** What all kernels of a test share. */
export class Island {
  readonly memory: TypedMemory;
  readonly areas: Areas;
  readonly pages: Pages;
  readonly hardware: NetworkHardware | null;
  /** Threads that were woken, in order. */
  readonly woken: number[] = [];
  /** The first kernel's. */
  readonly network: NetworkService;

  constructor(hardware: NetworkHardware | null = null) {
    this.memory = TypedMemory.format(new SharedArrayBuffer(areas_bytes + pageCount * 4096), {
      byteLength: areas_bytes,
      waiting: neverWait,
    });
    this.areas = createAreas(this.memory);
    this.pages = Pages.create(this.memory, { name: "pages", base: areas_bytes, count: pageCount, owner: 1 });
    this.hardware = hardware;
    this.network = NetworkService.create(this.parts(1, this.memory, this.areas));
  }

  /** The service on another kernel; `guard` stands between it and the memory. */
  kernel(owner: number, guard?: MemoryGuard): NetworkService {
    const memory = TypedMemory.attach(this.memory.buffer, { waiting: neverWait, guard });
    return NetworkService.attach(this.parts(owner, memory, attachAreas(memory)));
  }

  private parts(owner: number, memory: TypedMemory, areas: Areas): NetworkParts {
    const waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      (thread) => this.woken.push(thread),
      owner,
    );
    return {
      memory,
      waitQueues: areas.waitQueues,
      ram: new Ram(memory.buffer, memory.guard),
      pages: Pages.attach(memory, "pages", owner),
      waits,
      owner,
      hardware: this.hardware,
    };
  }

  /** Links a thread into a queue, as a system call does before it sleeps. */
  waitOn(thread: number, queue: number): void {
    const { areas } = this;
    const waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      () => undefined,
      1,
    );
    areas.threads.records.setWaitersLinked(thread, 0);
    assert.ok(waits.waitOn(thread, queue));
  }

  inUse(): { sockets: number; queues: number; pages: number } {
    return {
      sockets: this.network.used(),
      queues: this.areas.waitQueues.used(),
      pages: this.pages.used(),
    };
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
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + 1) & 255);
}

/** The next datagram at a socket, or the error. */
export function receive(
  network: NetworkService,
  socket: number,
): { data: Uint8Array; address: number; port: number } | number {
  const target = new Uint8Array(65_536);
  const from = { address: 0, port: 0, length: 0 };
  const count = network.receive(socket, target, 0, target.length, from);
  if (count < 0) return count;
  return { data: target.slice(0, count), address: from.address, port: from.port };
}

/** A socket bound to 127.0.0.1 and a port. */
export function boundTo(network: NetworkService, port: number, address = 0x7f000001): number {
  const socket = ok(network.open());
  ok(network.bind(socket, address, port));
  return socket;
}

export function portOf(network: NetworkService, socket: number): number {
  const endpoint = { address: 0, port: 0 };
  network.localEndpoint(socket, endpoint);
  return endpoint.port;
}
