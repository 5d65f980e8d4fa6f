/**
 * Who owns which page block. The table is the truth: what a kernel notes about its own page blocks can be made anew
 * from it and from the page frames.
 *
 * Kernels take page blocks from one of two ends of what is free, so that each has its page blocks together and what
 * is free lies between.
 */
import type { Accessor } from "../../memory/index.ts";
import { type PageBlock, type PageBlockTable, recoveries_max } from "./layout.ts";
import type { PageAreas } from "./page-areas.ts";

/** From which end of the region a kernel takes its page blocks. */
export type RegionEnd = "low" | "high";

export class BlockTable {
  readonly base: number;
  readonly pageCount: number;
  readonly blockOrder: number;
  readonly blockCount: number;
  readonly kernelCount: number;
  readonly #table: Accessor<typeof PageBlockTable.fields>;
  readonly #blocks: Accessor<typeof PageBlock.fields>;
  readonly #owner: number;

  constructor(areas: PageAreas, owner: number) {
    const { table } = areas;
    this.#table = table;
    this.#blocks = areas.blocks;
    this.#owner = owner;
    this.base = table.base(0);
    this.pageCount = table.pageCount(0);
    this.blockOrder = table.blockOrder(0);
    this.blockCount = table.blockCount(0);
    this.kernelCount = table.kernelCount(0);
  }

  blockOf(page: number): number {
    return page >>> this.blockOrder;
  }

  firstPageOf(block: number): number {
    return block << this.blockOrder;
  }

  /** Pages of a page block; the last one may have fewer than the others. */
  pagesOf(block: number): number {
    return Math.min(1 << this.blockOrder, this.pageCount - this.firstPageOf(block));
  }

  /** The kernel that owns a page block, or −1. */
  kernelOf(block: number): number {
    return this.#blocks.owner(block) - 1;
  }

  /** Page blocks that are nobody's. */
  freeBlocks(): number {
    let free = 0;
    for (let block = 0; block < this.blockCount; block++) if (this.#blocks.owner(block) === 0) free++;
    return free;
  }

  /** Gives the first free page block from an end to a kernel. @returns its number, or −1 if there is none. */
  claim(kernel: number, end: RegionEnd): number {
    const step = end === "low" ? 1 : -1;
    let block = end === "low" ? 0 : this.blockCount - 1;
    for (; block >= 0 && block < this.blockCount; block += step) {
      if (this.#blocks.owner(block) === 0 && this.claimBlock(block, kernel)) return block;
    }
    return -1;
  }

  /** Gives a free page block to a kernel. @returns false if it is not free. */
  claimBlock(block: number, kernel: number): boolean {
    return this.#blocks.compareExchangeOwner(block, 0, kernel + 1) === 0;
  }

  /** Passes a page block from one kernel to another, or (−1) to nobody. */
  pass(block: number, from: number, to: number): boolean {
    return this.#blocks.compareExchangeOwner(block, from + 1, to + 1) === from + 1;
  }

  /** Notes that a kernel is dead, and its page blocks are to be taken over. Inside `recovering`. */
  markDead(kernel: number): void {
    const word = kernel >>> 5;
    this.#table.setDead(0, word, this.#table.dead(0, word) | (1 << (kernel & 31)));
  }

  /** Undoes `markDead`. Inside `recovering`. */
  clearDead(kernel: number): void {
    const word = kernel >>> 5;
    this.#table.setDead(0, word, this.#table.dead(0, word) & ~(1 << (kernel & 31)));
  }

  isDead(kernel: number): boolean {
    return ((this.#table.dead(0, kernel >>> 5) >>> (kernel & 31)) & 1) !== 0;
  }

  /**
   * Runs `repair` for a dead core while nobody else repairs anything, and for those whose repair that core and others
   * before it have left unfinished.
   * @param deadOwner 0 for only these.
   * @param repair false when something must be left for the next time.
   */
  recovering(deadOwner: number, repair: (deadOwners: ReadonlySet<number>) => boolean): void {
    const table = this.#table;
    if (deadOwner !== 0 && table.ownerOfAdoption(0) === deadOwner) table.releaseAdoption(0, deadOwner);
    table.acquireAdoption(0, this.#owner);
    try {
      const dead = new Set(deadOwner === 0 ? [] : [deadOwner]);
      for (let slot = 0; slot < recoveries_max; slot++) {
        const unfinished = table.recovering(0, slot);
        if (unfinished !== 0) dead.add(unfinished);
      }
      let slot = 0;
      for (const owner of dead) if (slot < recoveries_max) table.setRecovering(0, slot++, owner);
      if (!repair(dead)) return;
      for (slot = 0; slot < recoveries_max; slot++) table.setRecovering(0, slot, 0);
    } finally {
      table.releaseAdoption(0, this.#owner);
    }
  }
}
