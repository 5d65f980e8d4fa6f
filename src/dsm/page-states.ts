/**
 * What one domain knows of its own right to each page: its page table. Private to the domain.
 *
 * Memory is tracked in *sections* (large grain). Of a section this domain knows nothing, or owns it *whole*, or tracks
 * it by *page*; only the latter takes a byte per page, of which two bits are used (K2 used three: here a transfer under
 * way is an entry in a short list, and not a state). Grain only gets finer, until the domain gives up everything.
 */

/** Rights to a page, from the least to the most. Two-state protocol: only `invalid` and those of owners. */
export const pageState = {
  /** An access faults. */
  invalid: 0,
  /** May be read. */
  shared: 1,
  /** May be read; this domain owns the page: it answers requests, and keeps the list of readers. */
  sharedOwner: 2,
  /** May be read and written; this domain owns the page and nobody else has a copy. */
  exclusive: 3,
} as const;

export type PageState = (typeof pageState)[keyof typeof pageState];
export type Grain = "unknown" | "whole" | "page";

export class PageStates {
  readonly pageCount: number;
  readonly sectionPages: number;
  /** Of a page: its section is `page >>> shift`, its place in it `page & mask`. */
  readonly shift: number;
  readonly mask: number;
  /** State by section and place; sections that are not tracked by page share one of two arrays. */
  readonly sections: Uint8Array[];
  private readonly nothing: Uint8Array;
  private readonly everything: Uint8Array;

  /** `sectionPages` is a power of two. */
  constructor(pageCount: number, sectionPages: number) {
    this.pageCount = pageCount;
    this.sectionPages = sectionPages;
    this.shift = Math.log2(sectionPages);
    this.mask = sectionPages - 1;
    this.nothing = new Uint8Array(sectionPages);
    this.everything = new Uint8Array(sectionPages).fill(pageState.exclusive);
    this.sections = new Array(Math.ceil(pageCount / sectionPages)).fill(this.nothing);
  }

  state(page: number): PageState {
    return this.sections[page >>> this.shift][page & this.mask] as PageState;
  }

  owns(page: number): boolean {
    return this.state(page) >= pageState.sharedOwner;
  }

  sectionOf(page: number): number {
    return page >>> this.shift;
  }

  grain(section: number): Grain {
    const states = this.sections[section];
    return states === this.nothing ? "unknown" : states === this.everything ? "whole" : "page";
  }

  /** The domain owns all pages of a section that nobody else uses. */
  makeWhole(section: number): void {
    this.sections[section] = this.everything;
  }

  /** From now on the section is tracked by page; rights stay as they are. */
  trackByPage(section: number): void {
    if (this.grain(section) !== "page") this.sections[section] = this.sections[section].slice();
  }

  /** Sets the state of one page, and with it the grain of its section. */
  set(page: number, state: PageState): void {
    const section = page >>> this.shift;
    this.trackByPage(section);
    this.sections[section][page & this.mask] = state;
  }

  /** All rights are given up. */
  clear(): void {
    this.sections.fill(this.nothing);
  }

  /** Calls back for each page of a section; the last section may be shorter. */
  forEachIn(section: number, visit: (page: number) => void): void {
    const first = section * this.sectionPages;
    const end = Math.min(first + this.sectionPages, this.pageCount);
    for (let page = first; page < end; page++) visit(page);
  }

  /**
   * How often something has to be flushed to give up everything: once for each page that is tracked, and once for a
   * section of which nothing is known but that it is all ours.
   */
  flushes(): number {
    let flushes = 0;
    for (const states of this.sections) {
      if (states === this.everything) flushes++;
      else if (states !== this.nothing)
        flushes += states.filter((state) => state !== pageState.invalid).length;
    }
    return flushes;
  }

  /** Calls back for each page of which the domain may have a copy. */
  forEachValid(visit: (page: number) => void): void {
    for (const [section, states] of this.sections.entries()) {
      if (states === this.nothing) continue;
      this.forEachIn(section, (page) => {
        if (states[page & this.mask] !== pageState.invalid) visit(page);
      });
    }
  }

  /** Bytes of protocol state that are in use. */
  trackedBytes(): number {
    let bytes = 0;
    for (const section of this.sections.keys())
      if (this.grain(section) === "page") bytes += this.sectionPages;
    return bytes;
  }
}
