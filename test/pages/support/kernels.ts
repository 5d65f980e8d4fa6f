/**
 * Several kernels with allocators of their own, in one thread and one memory, with message endpoints between them.
 * Nothing runs by itself: tests say when messages arrive and when a kernel does its background work.
 */
import { Ram } from "../../../src/machine/ram.ts";
import { type MemoryGuard, TypedMemory } from "../../../src/memory/index.ts";
import { EndpointTable } from "../../../src/message/index.ts";
import { IndependentPages, page_bytes, pageUser, UserPages } from "../../../src/services/pages/index.ts";
import { type Node, World } from "../../message/world.ts";

export const areas_bytes = 4 << 20;
export const blockOrder = 8;
export const blockPages = 1 << blockOrder;

/** Ends a kernel in the middle of what it does: its accesses throw from the given one on. */
export class Crash implements MemoryGuard {
  /** Accesses left; never ends by itself when infinite. */
  left = Number.POSITIVE_INFINITY;
  accesses = 0;
  /** Pages of the memory that were accessed. */
  readonly touched = new Set<number>();

  access(offset: number): void {
    this.accesses++;
    if (this.left-- <= 0) throw new CoreDied();
    this.touched.add(Math.floor(offset / page_bytes));
  }
}

export class CoreDied extends Error {}

export interface Kernel {
  readonly number: number;
  readonly owner: number;
  readonly crash: Crash;
  readonly node: Node;
  readonly pages: IndependentPages;
  readonly user: UserPages;
  readonly faults: string[];
  alive: boolean;
}

export interface KernelsOptions {
  readonly count: number;
  readonly blocks: number;
  /** Pages that the last page block lacks. */
  readonly missing?: number;
  readonly lowWater_pages?: number;
}

export class Kernels {
  readonly memory: TypedMemory;
  readonly world: World;
  readonly kernels: Kernel[] = [];
  readonly base = areas_bytes;
  readonly pageCount: number;
  readonly #options: KernelsOptions;

  constructor(options: KernelsOptions) {
    this.#options = options;
    this.pageCount = options.blocks * blockPages - (options.missing ?? 0);
    const buffer = new SharedArrayBuffer(areas_bytes + this.pageCount * page_bytes);
    this.memory = TypedMemory.format(buffer, { byteLength: areas_bytes });
    this.world = new World({ endpoints_max: 8 });
    const { base, pageCount: count } = this;
    IndependentPages.create(this.memory, { name: "pages", base, count, kernels: options.count, blockOrder });
    UserPages.create(this.memory, "user", 700);
    for (let number = 0; number < options.count; number++) this.boot(number);
    this.world.onPause = () => this.serve();
  }

  /** Boots a kernel, or boots it again after it died. */
  boot(number: number): Kernel {
    const crash = new Crash();
    const { buffer } = this.memory;
    // What would wait for a lock waits for ever: all kernels share this thread.
    const stuck = () => {
      throw new Error(`kernel ${number} waits for a lock that nobody can release`);
    };
    const waiting = { spin: stuck, wait: stuck, waitAsync: stuck, notify: () => 0 };
    const memory = TypedMemory.attach(buffer, { guard: crash, waiting });
    const ram = new Ram(buffer, crash);
    const owner = number + 1;
    const faults: string[] = [];
    const { lowWater_pages } = this.#options;
    const report = (fault: string) => void faults.push(fault);
    const options = { name: "pages", kernel: number, owner, report };
    const pages = IndependentPages.attach(
      memory,
      lowWater_pages === undefined ? options : { ...options, lowWater_pages },
    );
    const user = UserPages.attach(memory, { name: "user", owner, ram, pages });
    pages.registerMover(pageUser.userPages, user.mover);
    const node = this.world.node(number);
    pages.connect({
      endpoint: node.endpoint,
      addressOf: (kernel) => (this.kernels[kernel]?.alive === true ? kernel : -1),
      kernelOf: (address) => address,
    });
    const kernel = { number, owner, crash, node, pages, user, faults, alive: true };
    this.kernels[number] = kernel;
    return kernel;
  }

  /** Delivers messages to all living kernels once. @returns true if there were any. */
  serve(): boolean {
    let any = false;
    for (const kernel of this.kernels) {
      if (!kernel.alive || !this.world.rung.delete(kernel.number)) continue;
      kernel.node.endpoint.drain();
      any = true;
    }
    return any;
  }

  /** Lets all messages arrive and all background work be done. */
  settle(): void {
    for (let rounds = 0; ; rounds++) {
      if (rounds > 1000) throw new Error("the kernels never come to rest");
      let any = this.serve();
      for (const kernel of this.kernels) {
        if (!kernel.alive || !kernel.pages.workPending()) continue;
        kernel.pages.tick();
        any = true;
      }
      if (!any) return;
    }
  }

  /** Marks a kernel as dead; nothing is cleaned up. */
  die(kernel: Kernel): void {
    kernel.alive = false;
    kernel.crash.left = 0;
    new EndpointTable(this.world.memory).markDead(kernel.number);
  }

  /** A survivor cleans up behind a dead kernel. */
  recover(survivor: Kernel, dead: Kernel): void {
    survivor.pages.recover(dead.owner, dead.number);
    survivor.user.recover(dead.owner);
    for (const kernel of this.kernels) if (kernel.alive) kernel.node.endpoint.peersChanged();
  }
}
