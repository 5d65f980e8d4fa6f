/**
 * What stands between an accessor and memory that is not simply there: a cache without hardware coherence, software
 * distributed shared memory, or a machine that counts what its cores do. Without a guard (the usual case) accessors
 * are compiled without any trace of it.
 */
export interface MemoryGuard {
  /**
   * Called before `length` bytes at `offset` of the buffer are read, or (`write`) read and written. When it returns,
   * the bytes are valid in the buffer until the caller's kernel code waits, calls another core or returns to a
   * program. It may take long (it waits for a page, and then what was announced before may be taken away), and throws
   * only when the core is to stop at once.
   */
  access(offset: number, length: number, write: boolean): void;
}

/** Bytes of the units in which memory is kept in step; see `inPages`. */
export const guardedPage_bytes = 4096;

/**
 * Visits a range of the buffer in pieces that lie in one page each. Code that moves more than a few bytes announces
 * and moves them piece by piece: while it waits for one page, others may be taken away.
 */
export function inPages(
  offset: number,
  length: number,
  visit: (offset: number, length: number) => void,
): void {
  const end = offset + length;
  for (let start = offset; start < end; ) {
    const next = Math.min(end, (Math.floor(start / guardedPage_bytes) + 1) * guardedPage_bytes);
    visit(start, next - start);
    start = next;
  }
}
