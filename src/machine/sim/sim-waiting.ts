/**
 * Waiting for words of memory on the simulated machine. Kernel code runs without interruption, so a lock that is held
 * is held by a core that died, or by one whose code waits further down the stack: spinning lets time pass, in which
 * somebody recovers it, and who waits in vain for too long is told.
 */
import type { WaitCells, Waiting, WaitResult } from "../../memory/index.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimCore } from "./sim-core.ts";
import type { SimMachine } from "./sim-machine.ts";

/** Longest time that a core spins for a word, of its own time: whoever holds a lock so long never lets go. */
const patience_ns = 10e9;

interface Waiter {
  readonly core: SimCore;
  readonly settle: (result: WaitResult) => void;
  timeout: SimulatedEvent | undefined;
}

/** Asynchronous waiters of the whole machine, by byte offset in memory: a notification reaches every island. */
export class Waiters {
  readonly machine: SimMachine;
  private readonly byAddress = new Map<number, Waiter[]>();

  constructor(machine: SimMachine) {
    this.machine = machine;
  }

  add(core: SimCore, address: number, timeout_ms: number): Promise<WaitResult> {
    return new Promise((resolve) => {
      const waiter: Waiter = { core, settle: resolve, timeout: undefined };
      const waiters = this.byAddress.get(address) ?? [];
      this.byAddress.set(address, waiters);
      waiters.push(waiter);
      if (timeout_ms === Infinity) return;
      waiter.timeout = this.machine.queue.push(core.now_ns() + timeout_ms * 1e6, true, () => {
        const index = waiters.indexOf(waiter);
        if (index >= 0) waiters.splice(index, 1);
        this.settle(waiter, "timed-out");
      });
    });
  }

  /** Wakes up to `count` waiters of a word. */
  notify(address: number, count: number): number {
    const waiters = this.byAddress.get(address);
    if (waiters === undefined) return 0;
    const woken = waiters.splice(0, count);
    if (waiters.length === 0) this.byAddress.delete(address);
    for (const waiter of woken) {
      if (waiter.timeout !== undefined) this.machine.queue.cancel(waiter.timeout);
      this.settle(waiter, "ok");
    }
    return woken.length;
  }

  private settle(waiter: Waiter, result: WaitResult): void {
    this.machine.driver.outsideCodeRuns();
    waiter.settle(result);
  }
}

export class SimulatedWaiting implements Waiting {
  private readonly core: SimCore;
  private readonly waiters: Waiters;
  /** What is being waited for, and since when. */
  private address = -1;
  private value = 0;
  private since_ns = 0;

  constructor(core: SimCore, waiters: Waiters) {
    this.core = core;
    this.waiters = waiters;
  }

  spin(): boolean {
    return false;
  }

  wait(cells: WaitCells, index: number, value: number, timeoutMs: number): WaitResult {
    const { core, waiters } = this;
    const { machine } = waiters;
    const start_ns = core.now_ns();
    const { piecesFreed } = machine;
    const deadline_ns = start_ns + timeoutMs * 1e6;
    const address = addressOf(cells, index);
    while (Atomics.load(cells, index) === value) {
      const now_ns = core.now_ns();
      // Somebody who waits in slices of time begins anew each time.
      if (this.address !== address || this.value !== value) this.since_ns = now_ns;
      this.address = address;
      this.value = value;
      if (now_ns - this.since_ns > patience_ns)
        throw new Error(`core ${core.id} waits for a word that nobody will change, at ${address}: ${value}`);
      if (now_ns >= deadline_ns) return "timed-out";
      core.pause();
      // This island's copy of the word stays what it is until the caller looks properly.
      if (machine.piecesFreed !== piecesFreed) return "ok";
    }
    this.address = -1;
    return core.now_ns() === start_ns ? "not-equal" : "ok";
  }

  async waitAsync(cells: WaitCells, index: number, value: number, timeoutMs: number): Promise<WaitResult> {
    if (Atomics.load(cells, index) !== value) return "not-equal";
    return this.waiters.add(this.core, addressOf(cells, index), timeoutMs);
  }

  notify(cells: WaitCells, index: number, count: number): number {
    return this.waiters.notify(addressOf(cells, index), count);
  }
}

function addressOf(cells: WaitCells, index: number): number {
  return cells.byteOffset + index * cells.BYTES_PER_ELEMENT;
}
