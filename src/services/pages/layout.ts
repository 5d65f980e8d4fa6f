/** The shared structures of the page allocator. */
import { array, lock, struct, u8, u32, u64 } from "../../memory/index.ts";

export const page_bytes = 4096;
/** The largest block is 2^12 pages: 16 MiB. */
export const order_max = 12;
/** Blocks of these orders and below are not merged at once when they are freed. */
export const quickOrder_max = 3;
/** Freed blocks of each small order that are kept unmerged. */
export const quickBlocks_max = 32;

/** What a page is. Only the first page of a block says; the others are `inside`. */
export const pageState = {
  /** Not the first page of a block. */
  inside: 0,
  /** The first page of a free block, in the list of its order. */
  free: 1,
  /** The first page of a free block that was not merged, in the quick list of its order. */
  quick: 2,
  /** The first page of an allocated block. */
  allocated: 3,
} as const;

/**
 * One allocator. Links are page numbers plus one, so that zeroed memory is empty lists.
 * Everything but `recovery` is guarded by `mutex`.
 */
export const PagesControl = struct("PagesControl", {
  mutex: lock(),
  /** Held by whoever repairs the lists after the holder of `mutex` has died. */
  recovery: lock(),
  /** Byte offset of page 0 in the island's memory. */
  base: u64,
  count: u32,
  /** Pages in allocated blocks. */
  used: u32,
  /** A bit for each order whose free list has a block. */
  freeOrders: u32,
  freeHead: array(u32, order_max + 1),
  freeBlocks: array(u32, order_max + 1),
  quickHead: array(u32, quickOrder_max + 1),
  quickBlocks: array(u32, quickOrder_max + 1),
});

/** One page. `state` is the truth from which the lists can be made anew. */
export const PageFrame = struct("PageFrame", {
  state: u8,
  /** Of the block that starts here. */
  order: u8,
  next: u32,
  previous: u32,
});
