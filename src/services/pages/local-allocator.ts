/**
 * One kernel's page allocator: a buddy system over the page blocks that the kernel owns, each a zone of its own.
 *
 * Blocks that can be moved are taken from the page blocks nearest to the free part of the region, the others from
 * those farthest from it, so that page blocks near it can be given up.
 *
 * All cores of the kernel use it, and in rare cases other kernels (redirected frees that found no room, recovery).
 * A function that says so in its name expects the mutex to be held.
 */
import type { Accessor } from "../../memory/index.ts";
import type { BlockTable, RegionEnd } from "./block-table.ts";
import { Buddy } from "./buddy.ts";
import { whyNotFree } from "./errors.ts";
import { blockWords, type LocalPages, type PageFrame, type PageZone, pageState, pageUser } from "./layout.ts";
import type { PageAreas } from "./page-areas.ts";
import { ZoneIndex } from "./zone-index.ts";

/** Looks at a mutex until it is given up: a living core holds it for a few microseconds at most. */
const lockAttempts = 1000;

export class LocalAllocator {
  readonly kernel: number;
  /** The end of the region from which the kernel takes its page blocks. */
  readonly end: RegionEnd;
  /** What `freePages` was after this core's last allocation: what the probe looks at. */
  lastFree_pages = 0;
  readonly #owner: number;
  readonly #table: BlockTable;
  readonly #local: Accessor<typeof LocalPages.fields>;
  readonly #zones: Accessor<typeof PageZone.fields>;
  readonly #frames: Accessor<typeof PageFrame.fields>;
  readonly #firstZone: number;
  readonly #buddy: Buddy;
  readonly #index: ZoneIndex;

  /** @param owner the number of the caller for locks. */
  constructor(areas: PageAreas, table: BlockTable, kernel: number, owner: number) {
    this.kernel = kernel;
    // K2 has one kernel at each end; with more of them, ends take turns.
    this.end = kernel % 2 === 0 ? "low" : "high";
    this.#owner = owner;
    this.#table = table;
    this.#local = areas.local;
    this.#zones = areas.zones;
    this.#frames = areas.frames;
    this.#firstZone = kernel * areas.zonesPerKernel;
    this.#buddy = new Buddy(areas.zones, areas.frames);
    this.#index = new ZoneIndex(areas.local, areas.zones, kernel, this.#firstZone, table.blockCount);
  }

  /** Takes a block of 2^order pages. @returns its page number, or −1. */
  take(order: number, user: number, index: number): number {
    this.lock();
    try {
      return this.#takeLocked(order, user, index);
    } finally {
      this.unlock();
    }
  }

  /**
   * Gives a block back that this kernel has allocated.
   * @returns what is wrong, and then nothing has changed; empty if nothing is.
   */
  give(page: number, order: number): string {
    this.lock();
    try {
      const why = whyNotFree(this.#frames, page, order);
      if (why === "") this.#giveLocked(page, order);
      return why;
    } finally {
      this.unlock();
    }
  }

  /**
   * Executes a free of another kernel, unless that was done before: frees that are not known to be executed are sent
   * again. To be called in the order of their sequence.
   * @returns what is wrong, then it counts as executed; empty if nothing is. Undefined when the page block has another
   * owner by now, who is to execute it: then none of the later ones may be executed before it is addressed anew.
   */
  giveForLocked(kernel: number, sequence: number, page: number, order: number): string | undefined {
    const local = this.#local;
    if (sequence <= local.executed(this.kernel, kernel)) return "";
    const block = this.#table.blockOf(page);
    if (!this.ownsBlock(block) || this.#table.kernelOf(block) !== this.kernel) return undefined;
    const why = whyNotFree(this.#frames, page, order);
    if (why !== "") {
      local.setExecuted(this.kernel, kernel, sequence);
      return why;
    }
    // Whoever finds this half done completes it: see `repairLocked`.
    local.setFreeingFor(this.kernel, kernel);
    local.setFreeingSequence(this.kernel, sequence);
    local.setFreeing(this.kernel, page + 1);
    local.setExecuted(this.kernel, kernel, sequence);
    this.#giveLocked(page, order);
    local.setFreeing(this.kernel, 0);
    return "";
  }

  /** Runs `action` with the mutex. */
  locked<Result>(action: () => Result): Result {
    this.lock();
    try {
      return action();
    } finally {
      this.unlock();
    }
  }

  lock(): void {
    this.#local.acquireMutex(this.kernel, this.#owner);
  }

  /**
   * Runs `action` with the mutex. For other kernels' allocators, whose mutex may be held by a core that died and behind
   * which nobody has cleaned up yet.
   * @returns false, and nothing was done, if somebody keeps holding the mutex.
   */
  tryLocked(action: () => void): boolean {
    if (!this.tryLock()) return false;
    try {
      action();
      return true;
    } finally {
      this.unlock();
    }
  }

  /** As `tryLocked`, and the mutex stays held. */
  tryLock(): boolean {
    for (let attempt = 0; attempt < lockAttempts; attempt++) {
      if (this.#local.tryAcquireMutex(this.kernel, this.#owner)) return true;
    }
    return false;
  }

  unlock(): void {
    this.#local.releaseMutex(this.kernel, this.#owner);
  }

  /** True if a page block is this kernel's. Without the mutex, for pages that are known to be allocated. */
  ownsBlock(block: number): boolean {
    return ((this.#local.owned(this.kernel, block >>> 5) >>> (block & 31)) & 1) !== 0;
  }

  /** Free pages of page blocks that are not closing. */
  freePages(): number {
    return this.#local.free(this.kernel);
  }

  /** Allocated pages of all page blocks, for reports. */
  usedPages(): number {
    let used = 0;
    for (const block of this.blocks()) used += this.usedIn(block);
    return used;
  }

  /** Free blocks of an order. */
  freeBlocks(order: number): number {
    let count = 0;
    for (const block of this.blocks()) count += this.#buddy.freeBlocks(this.#firstZone + block, order);
    return count;
  }

  /** The page blocks of this kernel, from the free part of the region away. */
  blocks(): number[] {
    const blocks: number[] = [];
    for (let block = 0; block < this.#table.blockCount; block++)
      if (this.ownsBlock(block)) blocks.push(block);
    return this.end === "low" ? blocks.reverse() : blocks;
  }

  /** Pages of a page block that are allocated. */
  usedIn(block: number): number {
    return this.#zones.used(this.#firstZone + block);
  }

  /** Those of them that cannot be moved. */
  unmovableIn(block: number): number {
    return this.#zones.unmovable(this.#firstZone + block);
  }

  /** Ends a move: gives up the old place of the block, or after a failure the new one. */
  finishMove(page: number, order: number): void {
    this.locked(() => {
      this.#giveLocked(page, order);
      this.#local.setMoving(this.kernel, 0);
    });
  }

  /** Adds a page block that the table says is this kernel's, and of which nothing is in use. */
  addBlock(block: number): void {
    this.locked(() => this.addBlockLocked(block));
  }

  /** As `addBlock`. Nothing happens if a repair has found the page block in the table and added it already. */
  addBlockLocked(block: number): void {
    if (this.ownsBlock(block)) return;
    const zone = this.#firstZone + block;
    this.#startZone(block);
    this.#buddy.reset(zone, this.#table.firstPageOf(block), this.#table.pagesOf(block));
    this.#buddy.fill(zone);
    this.#openLocked(block);
  }

  /**
   * Takes a page block over from a dead kernel, with what is allocated in it; passes it to nobody if that is nothing.
   * Its frames are what is left to tell. The caller holds the mutex of the dead kernel, for which others may still be
   * executing frees.
   */
  adoptBlock(block: number, from: number): void {
    const zone = this.#firstZone + block;
    this.locked(() => {
      this.#startZone(block);
      this.#buddy.reset(zone, this.#table.firstPageOf(block), this.#table.pagesOf(block));
      this.#buddy.rebuild(zone);
      this.#countUnmovable(block);
      if (this.#zones.used(zone) === 0) {
        this.#buddy.drain(zone);
        this.#table.pass(block, from, -1);
      } else {
        this.#table.pass(block, from, this.kernel);
        this.#openLocked(block);
      }
    });
  }

  /**
   * Stops allocating from a page block, to evacuate it.
   * @returns false if it is not this kernel's, or has blocks that cannot be moved, or the others have no room.
   */
  closeBlock(block: number, reserve_pages: number): boolean {
    const zone = this.#firstZone + block;
    const zones = this.#zones;
    return this.locked(() => {
      if (!this.ownsBlock(block) || zones.unmovable(zone) > 0) return false;
      const freeElsewhere = this.#local.free(this.kernel) - (zones.count(zone) - zones.used(zone));
      if (freeElsewhere < zones.used(zone) + reserve_pages) return false;
      this.#local.setFree(this.kernel, freeElsewhere);
      zones.setClosing(zone, 1);
      this.#index.note(block, -1);
      return true;
    });
  }

  /** Allocates from a page block again whose evacuation was given up. */
  reopenBlock(block: number): void {
    const zone = this.#firstZone + block;
    this.locked(() => {
      if (this.#zones.closing(zone) !== 0) this.#openLocked(block);
    });
  }

  /** Passes a closed page block to nobody. @returns false if something in it is allocated. */
  removeBlock(block: number): boolean {
    const zone = this.#firstZone + block;
    return this.locked(() => {
      // A repair opens closed page blocks again.
      if (this.#zones.closing(zone) === 0 || this.#zones.used(zone) !== 0) return false;
      this.#setOwned(block, false);
      this.#buddy.drain(zone);
      this.#zones.setClosing(zone, 0);
      this.#table.pass(block, this.kernel, -1);
      return true;
    });
  }

  /** The first allocated block at or after a page of a page block, or −1. Only roughly without the mutex. */
  nextAllocated(block: number, from: number): number {
    const end = this.#table.firstPageOf(block) + this.#table.pagesOf(block);
    for (let page = from; page < end; page++) {
      if (this.#frames.state(page) === pageState.allocated) return page;
    }
    return -1;
  }

  /**
   * Makes everything anew from the table and the frames, after somebody died with the mutex, which the caller has
   * taken over from it.
   */
  repairLocked(): void {
    const { kernel } = this;
    const local = this.#local;
    const freeing = local.freeing(kernel);
    if (freeing !== 0) {
      local.setExecuted(kernel, local.freeingFor(kernel), local.freeingSequence(kernel));
      if (this.#frames.state(freeing - 1) === pageState.allocated) {
        this.#frames.setState(freeing - 1, pageState.inside);
      }
      local.setFreeing(kernel, 0);
    }
    this.forgetLocked();
    for (let block = 0; block < this.#table.blockCount; block++) {
      if (this.#table.kernelOf(block) !== kernel) continue;
      const zone = this.#firstZone + block;
      this.#startZone(block);
      this.#buddy.reset(zone, this.#table.firstPageOf(block), this.#table.pagesOf(block));
      this.#buddy.rebuild(zone);
      this.#countUnmovable(block);
      this.#openLocked(block);
    }
  }

  /** Forgets all page blocks: others have taken them over, or they are about to be found anew. */
  forgetLocked(): void {
    const { kernel } = this;
    this.#local.setFree(kernel, 0);
    for (let word = 0; word < blockWords; word++) this.#local.setOwned(kernel, word, 0);
    this.#index.clear();
    // The notes of the index in the zones go with its bits.
    for (let block = 0; block < this.#table.blockCount; block++)
      this.#zones.setTop(this.#firstZone + block, 0);
  }

  #takeLocked(order: number, user: number, index: number): number {
    const lowest = (this.end === "low") === (user === pageUser.unmovable);
    let block = this.#index.find(order, lowest);
    if (block < 0) {
      this.#mergeQuickLocked();
      block = this.#index.find(order, lowest);
      if (block < 0) return -1;
    }
    const zone = this.#firstZone + block;
    const page = this.#buddy.take(zone, order, user, index);
    const local = this.#local;
    const size = 1 << order;
    if (user === pageUser.unmovable) this.#zones.setUnmovable(zone, this.#zones.unmovable(zone) + size);
    const free = local.free(this.kernel) - size;
    local.setFree(this.kernel, free);
    this.lastFree_pages = free;
    this.#index.note(block, this.#buddy.largestOrder(zone));
    return page;
  }

  #giveLocked(page: number, order: number): void {
    const block = this.#table.blockOf(page);
    const zone = this.#firstZone + block;
    const local = this.#local;
    const size = 1 << order;
    const unmovable = this.#frames.user(page) === pageUser.unmovable;
    this.#buddy.give(zone, page, order);
    if (unmovable) this.#zones.setUnmovable(zone, this.#zones.unmovable(zone) - size);
    if (this.#zones.closing(zone) !== 0) return;
    local.setFree(this.kernel, local.free(this.kernel) + size);
    this.#index.note(block, this.#buddy.largestOrder(zone));
  }

  #mergeQuickLocked(): void {
    for (const block of this.blocks()) {
      const zone = this.#firstZone + block;
      if (this.#zones.closing(zone) === 0 && this.#buddy.mergeQuick(zone)) {
        this.#index.note(block, this.#buddy.largestOrder(zone));
      }
    }
  }

  /** Prepares the record of a zone that was another kernel's so far, or whose contents are unknown. */
  #startZone(block: number): void {
    const zone = this.#firstZone + block;
    this.#zones.setUnmovable(zone, 0);
    this.#zones.setClosing(zone, 1);
    this.#index.note(block, -1);
  }

  /** Allows allocations from a page block whose zone is complete. */
  #openLocked(block: number): void {
    const zone = this.#firstZone + block;
    const { kernel } = this;
    this.#zones.setClosing(zone, 0);
    this.#setOwned(block, true);
    this.#local.setFree(kernel, this.#local.free(kernel) + this.#zones.count(zone) - this.#zones.used(zone));
    this.#index.note(block, this.#buddy.largestOrder(zone));
  }

  #setOwned(block: number, owned: boolean): void {
    const word = block >>> 5;
    const before = this.#local.owned(this.kernel, word);
    const bit = 1 << (block & 31);
    this.#local.setOwned(this.kernel, word, owned ? before | bit : before & ~bit);
  }

  #countUnmovable(block: number): void {
    const frames = this.#frames;
    let unmovable = 0;
    for (let page = this.nextAllocated(block, this.#table.firstPageOf(block)); page >= 0; ) {
      const size = 1 << frames.order(page);
      if (frames.user(page) === pageUser.unmovable) unmovable += size;
      page = this.nextAllocated(block, page + size);
    }
    this.#zones.setUnmovable(this.#firstZone + block, unmovable);
  }
}
