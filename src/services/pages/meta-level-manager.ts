/**
 * One kernel's probe of the meta-level manager, which decides when page blocks pass between kernels and the region
 * (K2, ASPLOS 2014, section 6.2).
 *
 * The allocator tells the probe after each allocation; it compares the free pages with a watermark. Below it, the
 * probe notes so and raises its work, which is done in `tick`, in the background: deflate the kernel's balloon, or
 * when no page block is free, ask other kernels, one after the other, to inflate theirs. Only an allocation that would
 * otherwise fail does the same at once.
 */
import { errno } from "../../kernel/errno.ts";
import type { Endpoint } from "../../message/index.ts";
import type { Balloon } from "./balloon.ts";
import type { LocalAllocator } from "./local-allocator.ts";
import { pageBlock, pageBlockAnswer } from "./protocol.ts";

/** How a kernel's page service reaches those of the others. */
export interface PageNetwork {
  readonly endpoint: Endpoint;
  /** The address of a running kernel; −1 for one that does not run. */
  addressOf(kernel: number): number;
  /** The kernel that sends from an address: nobody can speak for another. */
  kernelOf(address: number): number;
}

/** How long an allocation waits for another kernel's page block. */
const answerTimeout_ns = 1e9;
/** Most allocations below the watermark that pass, after nobody could help, until the others are asked again. */
const passed_max = 4096;
/** Allocations below the watermark that pass until a kernel that owes an answer is given up. */
const patience = 1024;

interface Asker {
  readonly address: number;
  readonly kernel: number;
}

export class MetaLevelManager {
  readonly #kernel: number;
  readonly #kernelCount: number;
  readonly #allocator: LocalAllocator;
  readonly #balloon: Balloon;
  readonly #lowWater_pages: number;
  readonly #raise: () => void;
  #network: PageNetwork | undefined;
  /** Too little is free, and something can be done about it. */
  #pressure = false;
  /** `tick` has something to do. */
  #work = false;
  /** The kernel that was asked for a page block last, and how many more can be asked; −1 before the first. */
  #asked = -1;
  #left = 0;
  /** It owes an answer. */
  #waiting = false;
  #waited = 0;
  /** Allocations to let pass, of those last agreed on. */
  #toPass = 0;
  #pass = 1;
  /** Kernels that wait for an answer of this one. */
  #askers: Asker[] = [];
  #relieving = false;

  constructor(
    allocator: LocalAllocator,
    balloon: Balloon,
    kernelCount: number,
    lowWater_pages: number,
    raise: () => void,
  ) {
    this.#kernel = allocator.kernel;
    this.#kernelCount = kernelCount;
    this.#allocator = allocator;
    this.#balloon = balloon;
    this.#lowWater_pages = lowWater_pages;
    this.#raise = raise;
  }

  /** Answers requests of other kernels from now on, and can ask them. */
  connect(network: PageNetwork): void {
    this.#network = network;
    const { endpoint } = network;
    endpoint.serve(pageBlock, ({ kernel, urgent }, address) =>
      network.kernelOf(address) === kernel ? this.#requested(kernel, urgent !== 0, address) : -errno.INVAL,
    );
    endpoint.handle(pageBlockAnswer, ({ kernel, given }, address) => {
      if (network.kernelOf(address) === kernel) this.#answered(kernel, given !== 0);
    });
  }

  workPending(): boolean {
    return this.#work;
  }

  /** To be called after each allocation. */
  probe(): void {
    if (this.#allocator.lastFree_pages < this.#lowWater_pages) this.#low();
  }

  /** Gets a page block for an allocation that would fail without. @returns false if there is none to get. */
  relieve(): boolean {
    if (this.#balloon.deflate() >= 0) return true;
    const network = this.#network;
    // A request that is handled while this kernel waits below finds nothing to wait for.
    if (network === undefined || this.#relieving) return false;
    this.#relieving = true;
    try {
      for (let step = 1; step < this.#kernelCount; step++) {
        const kernel = (this.#kernel + step) % this.#kernelCount;
        const address = network.addressOf(kernel);
        if (address < 0) continue;
        const value = { kernel: this.#kernel, urgent: 1 };
        const { status } = network.endpoint.call(address, pageBlock, value, answerTimeout_ns);
        if (status > 0 && this.#balloon.deflate() >= 0) return true;
      }
      return false;
    } finally {
      this.#relieving = false;
    }
  }

  /** Does the work that was noted. */
  tick(): void {
    this.#work = false;
    this.#answerAskers();
    if (this.#pressure) this.#relievePressure();
  }

  /**
   * Gives a page block up, the one nearest to the free part of the region that can be evacuated.
   * @param reserve_pages how many free pages this kernel keeps.
   */
  giveUp(reserve_pages: number): boolean {
    return this.#allocator.blocks().some((block) => this.#balloon.inflate(block, reserve_pages));
  }

  #low(): void {
    if (!this.#pressure) {
      if (this.#toPass-- > 0) return;
      this.#pressure = true;
      this.#note();
    } else if (this.#waiting && ++this.#waited > patience) {
      this.#waiting = false;
      this.#note();
    }
  }

  #note(): void {
    if (this.#work) return;
    this.#work = true;
    this.#raise();
  }

  #relievePressure(): void {
    while (this.#allocator.freePages() < this.#lowWater_pages) {
      if (this.#balloon.deflate() < 0) {
        this.#askOthers();
        return;
      }
      this.#pass = 1;
    }
    this.#calm();
  }

  /** The pressure is over, or nothing can be done about it. */
  #calm(): void {
    this.#pressure = false;
    this.#waiting = false;
    this.#asked = -1;
  }

  #askOthers(): void {
    const network = this.#network;
    if (this.#waiting && network !== undefined && network.addressOf(this.#asked) >= 0) return;
    this.#waiting = false;
    if (this.#asked < 0) {
      this.#asked = this.#kernel;
      this.#left = this.#kernelCount - 1;
    }
    while (network !== undefined && this.#left > 0) {
      this.#left--;
      this.#asked = (this.#asked + 1) % this.#kernelCount;
      const address = network.addressOf(this.#asked);
      if (address < 0) continue;
      this.#ask(network, address, this.#asked);
      return;
    }
    this.#calm();
    this.#toPass = this.#pass;
    this.#pass = Math.min(this.#pass * 2, passed_max);
  }

  #ask(network: PageNetwork, address: number, asked: number): void {
    this.#waiting = true;
    this.#waited = 0;
    network.endpoint.ask(address, pageBlock, { kernel: this.#kernel, urgent: 0 }, ({ status }) => {
      if (status === 0) return;
      this.#answered(asked, status > 0);
    });
  }

  /** Another kernel says whether it has given a page block up. */
  #answered(kernel: number, given: boolean): void {
    if (!this.#waiting || kernel !== this.#asked) return;
    this.#waiting = false;
    // Whoever gave one may have another.
    if (given) this.#asked = -1;
    this.#note();
  }

  /** Answers a request for a page block. */
  #requested(kernel: number, urgent: boolean, address: number): number {
    if (kernel >= this.#kernelCount || kernel === this.#kernel) return -errno.INVAL;
    if (urgent) return this.giveUp(0) ? 1 : -errno.NOMEM;
    if (this.#askers.some((asker) => asker.kernel === kernel)) return -errno.ALREADY;
    this.#askers.push({ kernel, address });
    this.#note();
    return 0;
  }

  #answerAskers(): void {
    const askers = this.#askers;
    this.#askers = [];
    for (const { kernel, address } of askers) {
      // Another one may have freed a page block meanwhile, or this one's own pressure may be over.
      const given = this.giveUp(this.#lowWater_pages);
      this.#sendAnswer(kernel, address, given);
    }
  }

  #sendAnswer(kernel: number, address: number, given: boolean): void {
    const network = this.#network;
    if (network === undefined) return;
    const value = { kernel: this.#kernel, given: given ? 1 : 0 };
    const status = network.endpoint.send(address, pageBlockAnswer, value);
    // Without an answer the asker gives up waiting by itself, later; a dead one needs none.
    if (status !== -errno.AGAIN) return;
    void network.endpoint.writable(address).then((settled) => {
      if (settled === 0 && network.addressOf(kernel) === address) this.#sendAnswer(kernel, address, given);
    });
  }
}
