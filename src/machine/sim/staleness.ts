/**
 * An oracle for tests of software coherence: it sees every access, fill and write-back of every island, knows which
 * copy of a page is the latest, and reports each access that finds an older one. Memory that is kept in step never shows
 * one; then all accesses, in the order in which they happen, are those of a single memory (sequential consistency).
 */

/** What a cache tells of: see `Caches.observer`. */
export interface CacheObserver {
  accessed(island: number, page: number, write: boolean): void;
  filled(island: number, page: number): void;
  cleaned(island: number, page: number): void;
  /** A device has written to DRAM. */
  deviceWrote(page: number): void;
}

export class StalenessOracle implements CacheObserver {
  /** Accesses that found an old copy; the first few are described. */
  stale = 0;
  readonly descriptions: string[] = [];
  private readonly copies: readonly Uint32Array[];
  private readonly dram: Uint32Array;
  private readonly latest: Uint32Array;
  private readonly now_ns: () => number;

  constructor(islandCount: number, pageCount: number, now_ns: () => number) {
    this.copies = Array.from({ length: islandCount }, () => new Uint32Array(pageCount));
    this.dram = new Uint32Array(pageCount);
    this.latest = new Uint32Array(pageCount);
    this.now_ns = now_ns;
  }

  accessed(island: number, page: number, write: boolean): void {
    const copy = this.copies[island];
    if (copy[page] !== this.latest[page]) this.report(island, page, write);
    if (write) copy[page] = ++this.latest[page];
  }

  filled(island: number, page: number): void {
    this.copies[island][page] = this.dram[page];
  }

  cleaned(island: number, page: number): void {
    this.dram[page] = this.copies[island][page];
  }

  deviceWrote(page: number): void {
    this.dram[page] = ++this.latest[page];
  }

  private report(island: number, page: number, write: boolean): void {
    this.stale++;
    if (this.descriptions.length >= 8) return;
    this.descriptions.push(
      `at ${(this.now_ns() / 1000).toFixed(3)} us island ${island} ${write ? "wrote to" : "read"} an old copy of page ${page}`,
    );
  }
}
