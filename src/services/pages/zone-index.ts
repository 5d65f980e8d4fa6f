/**
 * Which of a kernel's page blocks have something free, by size: an allocation finds the first or the last page block
 * that can serve it without looking at the others. The caller holds the kernel's mutex.
 */
import type { Accessor } from "../../memory/index.ts";
import { blockWords, type LocalPages, order_max, type PageZone } from "./layout.ts";

export class ZoneIndex {
  readonly #local: Accessor<typeof LocalPages.fields>;
  readonly #zones: Accessor<typeof PageZone.fields>;
  readonly #kernel: number;
  readonly #firstZone: number;
  readonly #words: number;

  constructor(
    local: Accessor<typeof LocalPages.fields>,
    zones: Accessor<typeof PageZone.fields>,
    kernel: number,
    firstZone: number,
    blockCount: number,
  ) {
    this.#local = local;
    this.#zones = zones;
    this.#kernel = kernel;
    this.#firstZone = firstZone;
    this.#words = Math.ceil(blockCount / 32);
  }

  /** The lowest or highest page block that has 2^order pages together, or −1. */
  find(order: number, lowest: boolean): number {
    const local = this.#local;
    const first = order * blockWords;
    if (lowest) {
      for (let word = 0; word < this.#words; word++) {
        const bits = local.atLeast(this.#kernel, first + word);
        if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      }
    } else {
      for (let word = this.#words - 1; word >= 0; word--) {
        const bits = local.atLeast(this.#kernel, first + word);
        if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
      }
    }
    return -1;
  }

  /** Notes the largest order that can be had from a page block; −1 for none. */
  note(block: number, largestOrder: number): void {
    const zone = this.#firstZone + block;
    const before = this.#zones.top(zone) - 1;
    if (before === largestOrder) return;
    const local = this.#local;
    const word = block >>> 5;
    const bit = 1 << (block & 31);
    for (let order = before + 1; order <= largestOrder; order++) {
      const at = order * blockWords + word;
      local.setAtLeast(this.#kernel, at, local.atLeast(this.#kernel, at) | bit);
    }
    for (let order = largestOrder + 1; order <= before; order++) {
      const at = order * blockWords + word;
      local.setAtLeast(this.#kernel, at, local.atLeast(this.#kernel, at) & ~bit);
    }
    this.#zones.setTop(zone, largestOrder + 1);
  }

  /** Forgets all page blocks. */
  clear(): void {
    for (let order = 0; order <= order_max; order++) {
      for (let word = 0; word < this.#words; word++) {
        this.#local.setAtLeast(this.#kernel, order * blockWords + word, 0);
      }
    }
  }
}
