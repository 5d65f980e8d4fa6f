/**
 * The memory of a process that has moved "on demand", as in Popcorn: the process goes on at the target kernel at
 * once, with a new memory that is empty, in the page-checked variant of its program. Pages come from the memory it had
 * at the source when they are touched first, and the rest in the background. When the last one is there, the process
 * is captured and resumed in place in its fast variant, and the source's memory is let go.
 *
 * Two ways lead to a page: the program's own accesses, which call `fault`, and system calls, which must `ensure` a
 * range before they look at it or write to it.
 */
import {
  type MovePages,
  mapMemoryPages,
  mapPage_bytes,
  mapPageShift,
  type PageMovers,
  pageState,
} from "../engine/paged/index.ts";

/** With a page that is asked for come those behind it: programs go forwards more often than not. */
const readAhead_pages = 8;
/** Between two steps of the background, each of which takes about a quarter of that time. */
const prefetchInterval_ns = 1_000_000;
const prefetch_pages = 256;

export class PagedMemory {
  /** The page map, as the page-checked program imports it. */
  readonly map: WebAssembly.Memory;
  private readonly state: Uint8Array;
  /** Replaced when nothing is missing any more: it holds the source's memory. */
  private move: MovePages;
  private readonly sourcePages: number;
  /** Every page below is present. */
  private presentUpTo = 0;
  private nextPrefetch_ns = 0;
  /** How often a page was asked for. */
  faults = 0;
  /** Pages that were brought because they were asked for, and by the background. */
  demanded_pages = 0;
  prefetched_pages = 0;

  /** @param source as the process left it, @param target all zeros, and at least as large. */
  constructor(source: WebAssembly.Memory, target: WebAssembly.Memory, movers: PageMovers) {
    this.map = new WebAssembly.Memory({ initial: mapMemoryPages, maximum: mapMemoryPages, shared: true });
    this.state = new Uint8Array(this.map.buffer);
    this.sourcePages = source.buffer.byteLength / mapPage_bytes;
    this.move = movers.between(source, target, this.map);
    // What the process gets by growing is new.
    this.state.fill(pageState.present, this.sourcePages);
  }

  /** The last page has come. */
  get isComplete(): boolean {
    return this.presentUpTo >= this.sourcePages;
  }

  /** How many pages have not been looked at by the background. */
  get missing_pages(): number {
    return this.sourcePages - this.presentUpTo;
  }

  /** When the background next wants to do something; Infinity when it is done. */
  get alarm_ns(): number {
    return this.isComplete ? Infinity : this.nextPrefetch_ns;
  }

  /** The program touches pages, not all of which are present: see `pagedImport.fault`. */
  fault(firstPage: number, lastPage: number): number {
    this.faults++;
    // Two pages at the end of the address space and its beginning: the access will trap.
    if (firstPage > lastPage) {
      this.demand(firstPage, firstPage);
      this.demand(lastPage, lastPage);
    } else {
      this.demand(firstPage, lastPage + readAhead_pages);
    }
    return 0;
  }

  /** Makes a range present that a system call is about to use. It must lie inside the memory. */
  ensure(address: number, length: number): void {
    if (length === 0 || this.isComplete) return;
    const first = address >>> mapPageShift;
    const last = (address + length - 1) >>> mapPageShift;
    if (this.state.indexOf(pageState.absent, first) > last) return;
    this.demand(first, last);
  }

  /** Brings some of the pages that nobody has asked for. */
  prefetch(now_ns: number): void {
    if (this.isComplete || now_ns < this.nextPrefetch_ns) return;
    this.nextPrefetch_ns = now_ns + prefetchInterval_ns;
    this.bring(prefetch_pages);
  }

  /** Brings all that is missing. */
  complete(): void {
    if (!this.isComplete) this.bring(this.sourcePages);
  }

  private demand(firstPage: number, lastPage: number): void {
    const last = Math.min(lastPage, this.sourcePages - 1);
    if (firstPage <= last) this.demanded_pages += this.move(firstPage, last);
  }

  private bring(pages: number): void {
    const absent = this.state.indexOf(pageState.absent, this.presentUpTo);
    const first = absent < 0 ? this.sourcePages : absent;
    this.presentUpTo = Math.min(first + pages, this.sourcePages);
    if (first < this.presentUpTo) this.prefetched_pages += this.move(first, this.presentUpTo - 1);
    if (this.isComplete) this.move = nothingMissing;
  }
}

const nothingMissing: MovePages = () => 0;
