/** The shared structures of the page allocators. */
import { array, atomic, f64, lock, struct, u8, u32, u64 } from "../../memory/index.ts";

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
 * Who has an allocated block, as far as the allocator needs to know: whether it can be moved, and whom to ask for
 * it (see `movers.ts`). `arriving` is the place to which a block is being moved.
 */
export const pageUser = { unmovable: 0, arriving: 1, pipe: 2, userPages: 3 } as const;
export const pageUsers = 4;

/**
 * A zone: a range of pages with free lists of its own. Links are page numbers plus one, so that zeroed memory is
 * empty lists.
 */
export const zoneFields = {
  /** Number of its first page. */
  first: u32,
  count: u32,
  /** Pages in allocated blocks. */
  used: u32,
  /** A bit for each order whose free list has a block. */
  freeOrders: u32,
  freeHead: array(u32, order_max + 1),
  freeBlocks: array(u32, order_max + 1),
  quickHead: array(u32, quickOrder_max + 1),
  quickBlocks: array(u32, quickOrder_max + 1),
} as const;

/**
 * The allocator that all kernels share; its pages are one zone. Everything but `recovery` is guarded by `mutex`.
 */
export const PagesControl = struct("PagesControl", {
  mutex: lock(),
  /** Held by whoever repairs the lists after the holder of `mutex` has died. */
  recovery: lock(),
  /** Byte offset of page 0 in the island's memory. */
  base: u64,
  ...zoneFields,
});

/** One page. `state` is the truth from which the lists can be made anew. */
export const PageFrame = struct("PageFrame", {
  state: u8,
  /** Of the block that starts here. */
  order: u8,
  /** Of an allocated block: a `pageUser`, and that user's number for it. */
  user: u8,
  index: u32,
  next: u32,
  previous: u32,
});

/*
 * Independent allocators. Memory is cut into *page blocks* of equal size, each owned by one kernel or by nobody. The
 * frames of a page block are touched by its owner only, and everything else of a kernel lies in pages of its own:
 * while nothing moves between kernels, no two of them touch the same page.
 */

/** Kernels that can have an allocator. */
export const kernels_max = 64;
export const pageBlocks_max = 256;
/** 32-bit words with a bit for each page block. */
export const blockWords = pageBlocks_max / 32;
/** Smallest page block: the frames of one fill whole pages from this order on. */
export const blockOrder_min = 8;
/** Cores that can die one after the other while each cleans up behind those before. */
export const recoveries_max = 16;
/** Frees for other kernels that one kernel can have under way. */
export const redirectedFrees_max = 128;

/** Who owns the page blocks; the one structure that all kernels look at. */
export const PageBlockTable = struct("PageBlockTable", {
  /** Held by whoever repairs or takes over what dead kernels have left. */
  adoption: lock(),
  /** Dead cores whose traces are being removed, as their numbers for locks; 0 for none. */
  recovering: array(u32, recoveries_max),
  /** Byte offset of page 0, number of pages, and order of a page block. Constant. */
  base: u64,
  pageCount: u32,
  blockOrder: u8,
  blockCount: u32,
  kernelCount: u32,
  /** Dead kernels whose page blocks were not taken over yet: a bit each. */
  dead: array(u32, kernels_max / 32),
});

/** A page block. `owner` is the number of a kernel plus one, or 0 for nobody: all of it is free. */
export const PageBlock = struct("PageBlock", { owner: atomic(u32) });

/** The part of a page block's owner: its zone. Guarded by `LocalPages.mutex` of that kernel. */
export const PageZone = struct("PageZone", {
  ...zoneFields,
  /** Allocated pages that cannot be moved. */
  unmovable: u32,
  /** Largest order that can be had plus one, as the kernel's `atLeast` bits have it. */
  top: u8,
  /** Being evacuated: nothing is allocated from it. */
  closing: u8,
});

/** One kernel's allocator, in a page of its own. `mutex` guards all of it but what `evacuation` guards, and the kernel's zones and frees. */
export const LocalPages = struct("LocalPages", {
  mutex: lock(),
  /** Free pages of zones that are not closing. */
  free: u32,
  /** A bit for each page block that is this kernel's. */
  owned: array(u32, blockWords),
  /** By order: a bit for each page block from which so much can be had. */
  atLeast: array(u32, (order_max + 1) * blockWords),
  /** A free of another kernel that is being executed: page plus one, the kernel, the number of the free. */
  freeing: u32,
  freeingFor: u32,
  freeingSequence: f64,
  /** By kernel: the last of its frees that was executed here, and of ours that was addressed to it. */
  executed: array(f64, kernels_max),
  addressed: array(f64, kernels_max),
  /** Records of `RedirectedFree` that are not empty. */
  redirected: u32,
  /** Held while a page block is evacuated. */
  evacuation: lock(),
  /** The block that is being moved: page plus one, or 0. Guarded by `evacuation`, as is what follows. */
  moving: u32,
  /** Its user has noted the new place. */
  moved: u8,
});

/** `waiting`: not addressed to anybody yet; `addressed`: has a number in the sequence to kernel `to`. */
export const freeState = { empty: 0, waiting: 1, addressed: 2 } as const;

/** A free of a block that another kernel has allocated, until that kernel says that it is done. */
export const RedirectedFree = struct("RedirectedFree", {
  state: u8,
  order: u8,
  to: u8,
  page: u32,
  sequence: f64,
});
