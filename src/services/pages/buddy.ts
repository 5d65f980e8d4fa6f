/**
 * The buddy algorithm over shared page frames. A block of order n is 2^n pages and starts at a page number
 * that is a multiple of 2^n; its buddy is the block it was split from, whose number differs in bit n.
 * Blocks never reach beyond their *zone*: each function takes the number of the zone it works on.
 *
 * Freed small blocks first go to *quick lists*, unmerged: most are soon asked for again in the same size, and
 * splitting and merging all the way each time would be most of the work. They are merged when a list is full
 * or a larger block is wanted that is not there.
 *
 * The caller holds the allocator's lock in every function here.
 */
import type { Accessor } from "../../memory/index.ts";
import {
  order_max,
  type PageFrame,
  pageState,
  pageUser,
  quickBlocks_max,
  quickOrder_max,
  type zoneFields,
} from "./layout.ts";

/** Records that have at least the fields of a zone. */
export type Zones = Accessor<typeof zoneFields>;
export type Frames = Accessor<typeof PageFrame.fields>;

export class Buddy {
  readonly #zones: Zones;
  readonly #frames: Frames;

  constructor(zones: Zones, frames: Frames) {
    this.#zones = zones;
    this.#frames = frames;
  }

  /** Takes a block for a user. @returns its page number, or −1 if there is none. */
  take(zone: number, order: number, user: number = pageUser.unmovable, index = 0): number {
    if (order <= quickOrder_max) {
      const quick = this.#popQuick(zone, order);
      if (quick >= 0) return this.#allocated(zone, quick, order, user, index);
    }
    let page = this.#split(zone, order);
    if (page < 0 && this.mergeQuick(zone)) page = this.#split(zone, order);
    return page < 0 ? -1 : this.#allocated(zone, page, order, user, index);
  }

  /** Gives back a block that is allocated with this order. */
  give(zone: number, page: number, order: number): void {
    const zones = this.#zones;
    zones.setUsed(zone, zones.used(zone) - (1 << order));
    if (order <= quickOrder_max) {
      if (zones.quickBlocks(zone, order) < quickBlocks_max) {
        this.#pushQuick(zone, page, order);
        return;
      }
      this.#mergeQuickOrder(zone, order);
    }
    this.#merge(zone, page, order);
  }

  /** Sets up a zone of which nothing is free. */
  reset(zone: number, first: number, count: number): void {
    const zones = this.#zones;
    zones.setFirst(zone, first);
    zones.setCount(zone, count);
    this.#clear(zone);
  }

  /** Makes all pages of a zone free that has none so far; each of them must be `inside`. */
  fill(zone: number): void {
    const first = this.#zones.first(zone);
    this.#addRun(zone, first, first + this.#zones.count(zone));
  }

  /** Takes everything that is free out of a zone: all its pages that are not allocated are `inside` afterwards. */
  drain(zone: number): void {
    this.mergeQuick(zone);
    for (let order = 0; order <= order_max; order++) {
      for (
        let head = this.#zones.freeHead(zone, order);
        head !== 0;
        head = this.#zones.freeHead(zone, order)
      ) {
        this.#removeFree(zone, head - 1, order);
      }
    }
  }

  /**
   * Makes the lists and the count anew from the states of the pages: for a new allocator, and after
   * somebody died while changing them. Blocks that are allocated stay so, every other page is free.
   */
  rebuild(zone: number): void {
    const zones = this.#zones;
    const frames = this.#frames;
    this.#clear(zone);
    const zoneEnd = zones.first(zone) + zones.count(zone);
    let page = zones.first(zone);
    while (page < zoneEnd) {
      if (frames.state(page) === pageState.allocated) {
        const order = frames.order(page);
        zones.setUsed(zone, zones.used(zone) + (1 << order));
        page += 1 << order;
        continue;
      }
      let end = page;
      while (end < zoneEnd && frames.state(end) !== pageState.allocated)
        frames.setState(end++, pageState.inside);
      this.#addRun(zone, page, end);
      page = end;
    }
  }

  /** Free blocks of an order, quick ones included. */
  freeBlocks(zone: number, order: number): number {
    const quick = order <= quickOrder_max ? this.#zones.quickBlocks(zone, order) : 0;
    return this.#zones.freeBlocks(zone, order) + quick;
  }

  /** The largest order of a free block, quick ones included; −1 when there is none. */
  largestOrder(zone: number): number {
    const largest = 31 - Math.clz32(this.#zones.freeOrders(zone));
    for (let order = quickOrder_max; order > largest; order--) {
      if (this.#zones.quickBlocks(zone, order) !== 0) return order;
    }
    return largest;
  }

  /** Merges the blocks of the quick lists. @returns false if there were none. */
  mergeQuick(zone: number): boolean {
    let any = false;
    for (let order = 0; order <= quickOrder_max; order++) {
      if (this.#mergeQuickOrder(zone, order)) any = true;
    }
    return any;
  }

  #clear(zone: number): void {
    const zones = this.#zones;
    zones.setUsed(zone, 0);
    zones.setFreeOrders(zone, 0);
    for (let order = 0; order <= order_max; order++) {
      zones.setFreeHead(zone, order, 0);
      zones.setFreeBlocks(zone, order, 0);
    }
    for (let order = 0; order <= quickOrder_max; order++) {
      zones.setQuickHead(zone, order, 0);
      zones.setQuickBlocks(zone, order, 0);
    }
  }

  /** Adds the pages from `page` up to `end` as the largest blocks that fit there. */
  #addRun(zone: number, page: number, end: number): void {
    let start = page;
    while (start < end) {
      let order = start === 0 ? order_max : Math.min(order_max, 31 - Math.clz32(start & -start));
      while (start + (1 << order) > end) order--;
      this.#pushFree(zone, start, order);
      start += 1 << order;
    }
  }

  #allocated(zone: number, page: number, order: number, user: number, index: number): number {
    const zones = this.#zones;
    zones.setUsed(zone, zones.used(zone) + (1 << order));
    this.#frames.setOrder(page, order);
    this.#frames.setUser(page, user);
    this.#frames.setIndex(page, index);
    // The state last: from here on the block is the caller's, even if this kernel dies before it returns.
    this.#frames.setState(page, pageState.allocated);
    return page;
  }

  /** Takes the first block of the smallest order that is large enough, and splits it down. */
  #split(zone: number, order: number): number {
    const candidates = this.#zones.freeOrders(zone) >>> order;
    if (candidates === 0) return -1;
    let size = order + 31 - Math.clz32(candidates & -candidates);
    const page = this.#zones.freeHead(zone, size) - 1;
    this.#removeFree(zone, page, size);
    while (size > order) {
      size--;
      this.#pushFree(zone, page + (1 << size), size);
    }
    return page;
  }

  /** Frees a block, merged with its buddy as long as that is free too. */
  #merge(zone: number, page: number, order: number): void {
    const frames = this.#frames;
    const first = this.#zones.first(zone);
    const end = first + this.#zones.count(zone);
    let start = page;
    let size = order;
    frames.setState(start, pageState.inside);
    while (size < order_max) {
      const buddy = start ^ (1 << size);
      if (buddy < first || buddy + (1 << size) > end) break;
      if (frames.state(buddy) !== pageState.free || frames.order(buddy) !== size) break;
      this.#removeFree(zone, buddy, size);
      start &= ~(1 << size);
      size++;
    }
    this.#pushFree(zone, start, size);
  }

  #mergeQuickOrder(zone: number, order: number): boolean {
    let any = false;
    for (let page = this.#popQuick(zone, order); page >= 0; page = this.#popQuick(zone, order)) {
      this.#merge(zone, page, order);
      any = true;
    }
    return any;
  }

  #pushQuick(zone: number, page: number, order: number): void {
    const zones = this.#zones;
    this.#frames.setState(page, pageState.quick);
    this.#frames.setNext(page, zones.quickHead(zone, order));
    zones.setQuickHead(zone, order, page + 1);
    zones.setQuickBlocks(zone, order, zones.quickBlocks(zone, order) + 1);
  }

  #popQuick(zone: number, order: number): number {
    const zones = this.#zones;
    const page = zones.quickHead(zone, order) - 1;
    if (page < 0) return -1;
    zones.setQuickHead(zone, order, this.#frames.next(page));
    zones.setQuickBlocks(zone, order, zones.quickBlocks(zone, order) - 1);
    return page;
  }

  #pushFree(zone: number, page: number, order: number): void {
    const zones = this.#zones;
    const frames = this.#frames;
    const head = zones.freeHead(zone, order);
    frames.setState(page, pageState.free);
    frames.setOrder(page, order);
    frames.setNext(page, head);
    frames.setPrevious(page, 0);
    if (head !== 0) frames.setPrevious(head - 1, page + 1);
    zones.setFreeHead(zone, order, page + 1);
    zones.setFreeBlocks(zone, order, zones.freeBlocks(zone, order) + 1);
    zones.setFreeOrders(zone, zones.freeOrders(zone) | (1 << order));
  }

  #removeFree(zone: number, page: number, order: number): void {
    const zones = this.#zones;
    const frames = this.#frames;
    const next = frames.next(page);
    const previous = frames.previous(page);
    frames.setState(page, pageState.inside);
    if (next !== 0) frames.setPrevious(next - 1, previous);
    if (previous !== 0) frames.setNext(previous - 1, next);
    else zones.setFreeHead(zone, order, next);
    zones.setFreeBlocks(zone, order, zones.freeBlocks(zone, order) - 1);
    if (next === 0 && previous === 0) zones.setFreeOrders(zone, zones.freeOrders(zone) & ~(1 << order));
  }
}
