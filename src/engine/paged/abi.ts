/** What page-checked programs and the kernel agree on, besides what all programs do. */

/** Changes whenever the same module would be changed differently: part of the key under which variants are cached. */
export const pageCheckVersion = "paged2";

/** Names in `engineNamespace` that only page-checked programs import. */
export const pagedImport = {
  /** The page map, shared: one byte for each page of the process memory, `pageState` of it. */
  pages: "pages",
  /**
   * `(i32 firstPage, i32 lastPage) -> i32`: makes present every page from the first to the last that lies inside
   * the memory; 0 when that is done. Anything else ends the program. Pages of the range may be present already, or lie
   * outside the memory: those should be marked present from the start, as they are asked for again and again
   * otherwise. A last page of 0 behind a first one that is larger stands for these two pages: the access goes beyond
   * the end of the address space and is about to trap.
   */
  fault: "fault",
} as const;

/** Values in the page map. */
export const pageState = { absent: 0, present: 1 } as const;

/** A page as the map knows it: 4 KiB. */
export const mapPageShift = 12;
export const mapPage_bytes: number = 2 ** mapPageShift;
/**
 * Size of the page map in 64 KiB pages: an entry for every page that a 32-bit address reaches, and some more, as
 * programs look at two entries at a time.
 */
export const mapMemoryPages = 17;
