/** What the kernel needs of the page service: physically contiguous 4 KiB pages of the island's memory. */
export interface PageAllocator {
  /** True when `tick` has something to do; cheap. */
  workPending(): boolean;
  /** Does what can wait until the kernel has nothing more urgent to do. No lock may be held by the caller. */
  tick(): void;
  /** Byte offset of 2^order pages, or −1 when there are none. */
  allocate(order: number): number;
  free(offset: number, order: number): void;
  /** False when no block of that order can be allocated there. Any numbers may be asked about. */
  holds(offset: number, order: number): boolean;
}

export const page_bytes = 4096;

/** Smallest order whose pages hold `size_bytes`. */
export function orderFor(size_bytes: number): number {
  let order = 0;
  while (page_bytes * 2 ** order < size_bytes) order++;
  return order;
}
