/**
 * Memory as islands without hardware coherence see it. Each island has a copy of all of it (one WebAssembly memory,
 * the same offsets everywhere), and behind the copies is the DRAM. Of each page an island's cache holds a copy or
 * not; a copy that was written is *dirty*. Nothing keeps copies in step: what software does not clean stays unseen by
 * others, and what it does not invalidate stays old.
 *
 * A machine with one island has nobody to differ from: its memory is the DRAM itself, and only time is counted.
 */
import { cachePage_bytes } from "../soc.ts";
import type { CacheObserver } from "./staleness.ts";

const pageShift = Math.log2(cachePage_bytes);
const wasmPage_bytes = 65_536;

/** States of a page in an island's cache. */
const absent = 0;
const present = 1;
const dirty = 2;

export interface CacheStatistics {
  /** Pages fetched from DRAM. */
  fills: number;
  /** Pages written back to DRAM. */
  writeBacks: number;
  /** Dirty pages that were forgotten without having been written back. */
  losses: number;
}

/** One island's copy. */
class IslandCopy {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly states: Uint8Array;
  readonly statistics: CacheStatistics = { fills: 0, writeBacks: 0, losses: 0 };

  constructor(size_bytes: number) {
    const pages = size_bytes / wasmPage_bytes;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.states = new Uint8Array(size_bytes / cachePage_bytes);
  }
}

export class Caches {
  readonly size_bytes: number;
  readonly pageCount: number;
  /** What is behind all caches; devices read and write it. */
  readonly dram: Uint8Array;
  /** Is told of everything that happens to copies; for tests. */
  observer: CacheObserver | undefined;
  private readonly islands: readonly IslandCopy[];
  /** False when the only island's copy is the DRAM. */
  private readonly separate: boolean;

  /** @throws RangeError when the size is not a positive multiple of 64 KiB, or there is no island. */
  constructor(size_bytes: number, islandCount: number) {
    if (!Number.isSafeInteger(size_bytes) || size_bytes <= 0 || size_bytes % wasmPage_bytes !== 0) {
      throw new RangeError(`a memory of ${size_bytes} bytes is not a multiple of ${wasmPage_bytes}`);
    }
    if (!(islandCount >= 1)) throw new RangeError(`a machine of ${islandCount} islands`);
    this.size_bytes = size_bytes;
    this.pageCount = size_bytes / cachePage_bytes;
    this.islands = Array.from({ length: islandCount }, () => new IslandCopy(size_bytes));
    this.separate = islandCount > 1;
    this.dram = this.separate ? new Uint8Array(size_bytes) : this.islands[0].bytes;
  }

  /** A device has written to DRAM: to be told afterwards. */
  deviceWrote(offset: number, length: number): void {
    if (this.observer === undefined || length === 0) return;
    const last = (offset + length - 1) >>> pageShift;
    for (let page = offset >>> pageShift; page <= last; page++) this.observer.deviceWrote(page);
  }

  /** The memory of an island's cores. */
  memory(island: number): WebAssembly.Memory {
    return this.islands[island].memory;
  }

  statistics(island: number): Readonly<CacheStatistics> {
    return this.islands[island].statistics;
  }

  /**
   * What the hardware does for an access: fetches the pages that are missing, notes what is written.
   * @returns how many pages were fetched.
   * @throws RangeError for bytes outside the memory.
   */
  access(island: number, offset: number, length: number, write: boolean): number {
    const end = offset + length;
    if (!(offset >= 0 && length >= 0 && end <= this.size_bytes)) {
      throw new RangeError(`access to ${length} bytes at ${offset} of ${this.size_bytes}`);
    }
    if (length === 0) return 0;
    const copy = this.islands[island];
    const { states } = copy;
    const last = (end - 1) >>> pageShift;
    let fetched = 0;
    for (let page = offset >>> pageShift; page <= last; page++) {
      if (states[page] === absent) {
        this.fill(copy, page);
        this.observer?.filled(island, page);
        fetched++;
      }
      this.observer?.accessed(island, page, write);
      if (write) states[page] = dirty;
    }
    return fetched;
  }

  /** Pages that an island holds, in order. */
  presentPages(island: number): number[] {
    const pages: number[] = [];
    for (const [page, state] of this.islands[island].states.entries()) if (state !== absent) pages.push(page);
    return pages;
  }

  isPresent(island: number, page: number): boolean {
    return this.islands[island].states[this.checked(page)] !== absent;
  }

  isDirty(island: number, page: number): boolean {
    return this.islands[island].states[this.checked(page)] === dirty;
  }

  /** Writes an island's copy of a page back if it was changed; true if it was. The copy stays. */
  clean(island: number, page: number): boolean {
    const copy = this.islands[island];
    if (copy.states[this.checked(page)] !== dirty) return false;
    this.copyPage(copy.bytes, this.dram, page);
    this.observer?.cleaned(island, page);
    copy.states[page] = present;
    copy.statistics.writeBacks++;
    return true;
  }

  /** Forgets an island's copy of a page, changed or not. */
  invalidate(island: number, page: number): void {
    const copy = this.islands[island];
    if (copy.states[this.checked(page)] === dirty && this.separate) copy.statistics.losses++;
    copy.states[page] = absent;
  }

  /** Writes back and forgets everything that an island holds, as a power-down does; the number of pages written. */
  writeBackAll(island: number): number {
    const { states } = this.islands[island];
    let written = 0;
    for (let page = 0; page < states.length; page++) {
      if (states[page] === dirty && this.clean(island, page)) written++;
    }
    states.fill(absent);
    return written;
  }

  /** Forgets everything that an island holds, as a loss of power does; the number of changed pages that are lost. */
  discardAll(island: number): number {
    const { states, statistics } = this.islands[island];
    let lost = 0;
    if (this.separate) {
      for (let page = 0; page < states.length; page++) if (states[page] === dirty) lost++;
    }
    statistics.losses += lost;
    states.fill(absent);
    return lost;
  }

  /**
   * For tests and fault injection: a cache may write back and forget a page whenever it likes. Software that is
   * right does not notice.
   */
  evict(island: number, page: number): void {
    this.clean(island, page);
    this.islands[island].states[page] = absent;
  }

  /** For tests and fault injection: a cache may also fetch a page that nobody asked for. */
  prefetch(island: number, page: number): void {
    const copy = this.islands[island];
    if (copy.states[this.checked(page)] !== absent) return;
    this.fill(copy, page);
    this.observer?.filled(island, page);
  }

  private fill(copy: IslandCopy, page: number): void {
    this.copyPage(this.dram, copy.bytes, page);
    copy.states[page] = present;
    copy.statistics.fills++;
  }

  private copyPage(from: Uint8Array, to: Uint8Array, page: number): void {
    if (!this.separate) return;
    const start = page * cachePage_bytes;
    to.set(from.subarray(start, start + cachePage_bytes), start);
  }

  private checked(page: number): number {
    if (!(page >= 0 && page < this.pageCount)) throw new RangeError(`page ${page} of ${this.pageCount}`);
    return page;
  }
}
