/** The page service, whatever its placement: what kernel, services and the composition root know of it. */
import type { PageAllocator } from "../../kernel/page-allocator.ts";
import { order_max, page_bytes } from "./layout.ts";
import type { Mover } from "./movers.ts";

export interface PageService extends PageAllocator {
  /** Pages managed. */
  readonly capacity: number;
  /** Byte offset of the first page. */
  readonly base: number;

  /**
   * Allocates a block of 2^order pages, which lies at a multiple of its size from `base`. What is in it is
   * whatever was there before.
   * @param user who has it: a `pageUser`. A block of any user but `unmovable` may be moved later, by the user's mover.
   * @param index the user's number for the block, which its mover is given.
   * @returns its byte offset in the island's memory, or −1 if there is no such block.
   * @throws PagesError for an order outside 0 to 12.
   */
  allocate(order: number, user?: number, index?: number): number;
  /** Allocates the smallest block of at least `size` bytes; −1 if there is none, or none can be so large. */
  allocateBytes(size: number): number;
  /**
   * Frees a block, whoever has allocated it.
   * @throws PagesError when no block of that order is allocated there: a double free, or a wrong offset or order.
   * Nothing has changed then. A kernel with an allocator of its own finds out only about blocks of its own; the
   * owner of others reports it.
   */
  free(offset: number, order: number): void;
  /**
   * Whether a block of that order is allocated there, whoever has it. Any numbers may be asked about. A kernel with an
   * allocator of its own knows of others' blocks only that they may be.
   */
  holds(offset: number, order: number): boolean;
  /** Pages in allocated blocks, of all kernels together. */
  used(): number;
  /** Free blocks of an order that this kernel has, for reports. */
  freeBlocks(order: number): number;
  /**
   * Repairs what a core that died has left half done. Any survivor may call it, several at the same time. Blocks that
   * it has allocated stay allocated. When several have died, one that died inside this function comes first.
   * @param deadOwner the core's number for locks.
   * @param deadKernel the kernel that is gone with it (or was stopped): what it had passes to the caller's kernel.
   * Before locks of the users of movable blocks are released.
   * @returns true if there was something to repair.
   */
  recover(deadOwner: number, deadKernel?: number): boolean;
  /** Says how blocks of a user are moved: the same on every core of the kernel. */
  registerMover(user: number, mover: Mover): void;
  /** True when `tick` has something to do; cheap. */
  workPending(): boolean;
  /** Does what can wait until the kernel is idle or serves interrupts. No lock may be held by the caller. */
  tick(): void;
}

/** The order of the smallest block of at least `size` bytes; above `order_max` if there is none. */
export function orderFor(size: number): number {
  const count = Math.ceil(size / page_bytes);
  if (count > 1 << order_max) return order_max + 1;
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}
