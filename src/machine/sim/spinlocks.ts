/** Hardware spinlocks: test-and-set bits on the interconnect, outside all caches, that every core sees at once. */
import type { HardwareSpinlocks } from "../soc.ts";
import type { SimWiring } from "./wiring.ts";

const free = -1;

export class Spinlocks {
  readonly count: number;
  private readonly wiring: SimWiring;
  private readonly holders: Int32Array;

  constructor(wiring: SimWiring, count: number) {
    this.wiring = wiring;
    this.count = count;
    this.holders = new Int32Array(count).fill(free);
  }

  /** The spinlocks as one core's kernel sees them. */
  of(core: number): HardwareSpinlocks {
    return {
      count: this.count,
      tryAcquire: (lock) => this.tryAcquire(core, lock),
      release: (lock) => this.release(core, lock),
      holder: (lock) => this.holder(lock),
    };
  }

  /** True if it was free and is the core's now. */
  tryAcquire(core: number, lock: number): boolean {
    if (this.holders[this.checked(lock)] !== free) return false;
    this.holders[lock] = core;
    this.wiring.trace("spinlock-acquired", core, lock);
    return true;
  }

  /** Frees a lock. As in hardware, anybody may: so a survivor frees what a dead core held. */
  release(core: number, lock: number): void {
    const holder = this.holders[this.checked(lock)];
    this.holders[lock] = free;
    this.wiring.trace("spinlock-released", core, lock, holder);
  }

  /** Core that holds a lock, or −1. */
  holder(lock: number): number {
    return this.holders[this.checked(lock)];
  }

  private checked(lock: number): number {
    if (!(lock >= 0 && lock < this.count)) throw new RangeError(`spinlock ${lock} of ${this.count}`);
    return lock;
  }
}
