/**
 * A kernel's balloon: what keeps the page blocks that are not the kernel's away from its allocator (K2, ASPLOS 2014,
 * section 6.2). Deflating gives a page block to the allocator, inflating takes it back. At boot it fills the whole
 * region.
 */
import type { Accessor } from "../../memory/index.ts";
import type { BlockTable } from "./block-table.ts";
import { type LocalPages, type PageFrame, page_bytes, pageState, pageUser } from "./layout.ts";
import type { LocalAllocator } from "./local-allocator.ts";
import type { Mover, Movers } from "./movers.ts";
import type { PageAreas } from "./page-areas.ts";

export class Balloon {
  readonly #owner: number;
  readonly #table: BlockTable;
  readonly #allocator: LocalAllocator;
  readonly #movers: Movers;
  readonly #local: Accessor<typeof LocalPages.fields>;
  readonly #frames: Accessor<typeof PageFrame.fields>;

  constructor(areas: PageAreas, table: BlockTable, allocator: LocalAllocator, movers: Movers, owner: number) {
    this.#owner = owner;
    this.#table = table;
    this.#allocator = allocator;
    this.#movers = movers;
    this.#local = areas.local;
    this.#frames = areas.frames;
  }

  /**
   * Gives a page block to the kernel's allocator: this one, or without a number the first free one from the kernel's
   * end of the region.
   * @returns its number, or −1 when it (or any) is not free.
   */
  deflate(block = -1): number {
    const { kernel, end } = this.#allocator;
    let taken = block;
    if (block < 0) taken = this.#table.claim(kernel, end);
    else if (!this.#table.claimBlock(block, kernel)) taken = -1;
    if (taken >= 0) this.#allocator.addBlock(taken);
    return taken;
  }

  /**
   * Takes a page block from the kernel's allocator; what is allocated in it is moved to others of the kernel. The
   * caller holds no lock of any user of movable blocks.
   * @param reserve_pages how many free pages the kernel must keep.
   * @returns false, and the kernel keeps it, when something in it cannot be moved (now) or there is no room.
   */
  inflate(block: number, reserve_pages = 0): boolean {
    const { kernel } = this.#allocator;
    if (this.#local.ownerOfEvacuation(kernel) !== 0) return false;
    if (!this.#local.tryAcquireEvacuation(kernel, this.#owner)) return false;
    try {
      if (!this.#allocator.closeBlock(block, reserve_pages)) return false;
      if (this.#evacuate(block) && this.#allocator.removeBlock(block)) return true;
      this.#allocator.reopenBlock(block);
      return false;
    } finally {
      this.#local.releaseEvacuation(kernel, this.#owner);
    }
  }

  /**
   * Repairs the kernel's allocator after the death of cores that held its mutex, or were evacuating a page block.
   * @returns `busy` when somebody else keeps holding the mutex; then nothing has changed.
   */
  repair(deadOwners: ReadonlySet<number>): "whole" | "repaired" | "busy" {
    const { kernel } = this.#allocator;
    const local = this.#local;
    const holder = local.ownerOfMutex(kernel);
    const evacuating = local.ownerOfEvacuation(kernel);
    const diedInside = deadOwners.has(holder);
    const diedEvacuating = deadOwners.has(evacuating);
    if (!diedInside && !diedEvacuating) return "whole";
    if (!diedInside && !this.#allocator.tryLock()) return "busy";
    if (diedEvacuating) this.#completeMove();
    this.#allocator.repairLocked();
    if (diedEvacuating) local.releaseEvacuation(kernel, evacuating);
    local.releaseMutex(kernel, diedInside ? holder : this.#owner);
    return "repaired";
  }

  /** Moves everything out of a closed page block. */
  #evacuate(block: number): boolean {
    const allocator = this.#allocator;
    const frames = this.#frames;
    let page = allocator.nextAllocated(block, this.#table.firstPageOf(block));
    while (page >= 0) {
      const size = 1 << frames.order(page);
      const mover = this.#movers.of(frames.user(page));
      const moved = mover !== undefined && this.#move(page, mover);
      // It may have been freed meanwhile, which is as good.
      if (!moved && frames.state(page) === pageState.allocated) return false;
      page = allocator.nextAllocated(block, page + size);
    }
    return true;
  }

  #move(page: number, mover: Mover): boolean {
    const allocator = this.#allocator;
    const { kernel } = allocator;
    const local = this.#local;
    const frames = this.#frames;
    const order = frames.order(page);
    const user = frames.user(page);
    const index = frames.index(page);
    local.setMoved(kernel, 0);
    local.setMoving(kernel, page + 1);
    const to = allocator.take(order, pageUser.arriving, index);
    if (to < 0) {
      local.setMoving(kernel, 0);
      return false;
    }
    const { base } = this.#table;
    const done = mover.move(index, base + page * page_bytes, base + to * page_bytes, order, () => {
      // Under the user's lock: afterwards the user may free the new place at any time.
      local.setMoved(kernel, 1);
      frames.setUser(to, user);
    });
    allocator.finishMove(done ? page : to, order);
    return done;
  }

  /** Finishes or undoes the move in which an evacuation died: exactly one of the two places stays allocated. */
  #completeMove(): void {
    const { kernel } = this.#allocator;
    const local = this.#local;
    const frames = this.#frames;
    const from = local.moving(kernel) - 1;
    if (from < 0) return;
    const user = frames.user(from);
    const to = this.#arriving();
    const offset = this.#table.base + to * page_bytes;
    // Died before it could note `moved`, but after the user's own note: the user's lock is still held then.
    const isAt = () => to >= 0 && this.#movers.of(user)?.isAt(frames.index(from), offset) === true;
    const moved = local.moved(kernel) !== 0 || isAt();
    if (moved && to >= 0) frames.setUser(to, user);
    const orphan = moved ? from : to;
    // The lists are made anew from the states.
    if (orphan >= 0 && frames.state(orphan) === pageState.allocated) {
      frames.setState(orphan, pageState.inside);
    }
    local.setMoving(kernel, 0);
  }

  /** The place to which a block was being moved, or −1. */
  #arriving(): number {
    const frames = this.#frames;
    for (let block = 0; block < this.#table.blockCount; block++) {
      if (this.#table.kernelOf(block) !== this.#allocator.kernel) continue;
      let page = this.#allocator.nextAllocated(block, this.#table.firstPageOf(block));
      while (page >= 0) {
        if (frames.user(page) === pageUser.arriving) return page;
        page = this.#allocator.nextAllocated(block, page + (1 << frames.order(page)));
      }
    }
    return -1;
  }
}
