/**
 * The buddy algorithm over shared page frames. A block of order n is 2^n pages and starts at a page number
 * that is a multiple of 2^n; its buddy is the block it was split from, whose number differs in bit n.
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
  type PagesControl,
  pageState,
  quickBlocks_max,
  quickOrder_max,
} from "./layout.ts";

export class Buddy {
  readonly #control: Accessor<typeof PagesControl.fields>;
  readonly #frames: Accessor<typeof PageFrame.fields>;
  readonly #count: number;

  constructor(control: Accessor<typeof PagesControl.fields>, frames: Accessor<typeof PageFrame.fields>) {
    this.#control = control;
    this.#frames = frames;
    this.#count = control.count(0);
  }

  /** Takes a block. @returns its page number, or −1 if there is none. */
  take(order: number): number {
    if (order <= quickOrder_max) {
      const quick = this.#popQuick(order);
      if (quick >= 0) return this.#allocated(quick, order);
    }
    let page = this.#split(order);
    if (page < 0 && this.#mergeQuick()) page = this.#split(order);
    return page < 0 ? -1 : this.#allocated(page, order);
  }

  /** Gives back a block that is allocated with this order. */
  give(page: number, order: number): void {
    const control = this.#control;
    control.setUsed(0, control.used(0) - (1 << order));
    if (order <= quickOrder_max) {
      if (control.quickBlocks(0, order) < quickBlocks_max) {
        this.#pushQuick(page, order);
        return;
      }
      this.#mergeQuickOrder(order);
    }
    this.#merge(page, order);
  }

  /**
   * Makes the lists and the count anew from the states of the pages: for a new allocator, and after
   * somebody died while changing them. Blocks that are allocated stay so, every other page is free.
   */
  rebuild(): void {
    const control = this.#control;
    const frames = this.#frames;
    control.setUsed(0, 0);
    control.setFreeOrders(0, 0);
    for (let order = 0; order <= order_max; order++) {
      control.setFreeHead(0, order, 0);
      control.setFreeBlocks(0, order, 0);
    }
    for (let order = 0; order <= quickOrder_max; order++) {
      control.setQuickHead(0, order, 0);
      control.setQuickBlocks(0, order, 0);
    }
    let page = 0;
    while (page < this.#count) {
      if (frames.state(page) === pageState.allocated) {
        const order = frames.order(page);
        control.setUsed(0, control.used(0) + (1 << order));
        page += 1 << order;
        continue;
      }
      let end = page;
      while (end < this.#count && frames.state(end) !== pageState.allocated)
        frames.setState(end++, pageState.inside);
      this.#addRun(page, end);
      page = end;
    }
  }

  /** Free blocks of an order, quick ones included. */
  freeBlocks(order: number): number {
    const quick = order <= quickOrder_max ? this.#control.quickBlocks(0, order) : 0;
    return this.#control.freeBlocks(0, order) + quick;
  }

  /** Adds the pages from `page` up to `end` as the largest blocks that fit there. */
  #addRun(page: number, end: number): void {
    let start = page;
    while (start < end) {
      let order = start === 0 ? order_max : Math.min(order_max, 31 - Math.clz32(start & -start));
      while (start + (1 << order) > end) order--;
      this.#pushFree(start, order);
      start += 1 << order;
    }
  }

  #allocated(page: number, order: number): number {
    const control = this.#control;
    control.setUsed(0, control.used(0) + (1 << order));
    this.#frames.setOrder(page, order);
    // The state last: from here on the block is the caller's, even if this kernel dies before it returns.
    this.#frames.setState(page, pageState.allocated);
    return page;
  }

  /** Takes the first block of the smallest order that is large enough, and splits it down. */
  #split(order: number): number {
    const candidates = this.#control.freeOrders(0) >>> order;
    if (candidates === 0) return -1;
    let size = order + 31 - Math.clz32(candidates & -candidates);
    const page = this.#control.freeHead(0, size) - 1;
    this.#removeFree(page, size);
    while (size > order) {
      size--;
      this.#pushFree(page + (1 << size), size);
    }
    return page;
  }

  /** Frees a block, merged with its buddy as long as that is free too. */
  #merge(page: number, order: number): void {
    const frames = this.#frames;
    let start = page;
    let size = order;
    frames.setState(start, pageState.inside);
    while (size < order_max) {
      const buddy = start ^ (1 << size);
      if (buddy + (1 << size) > this.#count) break;
      if (frames.state(buddy) !== pageState.free || frames.order(buddy) !== size) break;
      this.#removeFree(buddy, size);
      start &= ~(1 << size);
      size++;
    }
    this.#pushFree(start, size);
  }

  #mergeQuick(): boolean {
    let any = false;
    for (let order = 0; order <= quickOrder_max; order++) if (this.#mergeQuickOrder(order)) any = true;
    return any;
  }

  #mergeQuickOrder(order: number): boolean {
    let any = false;
    for (let page = this.#popQuick(order); page >= 0; page = this.#popQuick(order)) {
      this.#merge(page, order);
      any = true;
    }
    return any;
  }

  #pushQuick(page: number, order: number): void {
    const control = this.#control;
    this.#frames.setState(page, pageState.quick);
    this.#frames.setNext(page, control.quickHead(0, order));
    control.setQuickHead(0, order, page + 1);
    control.setQuickBlocks(0, order, control.quickBlocks(0, order) + 1);
  }

  #popQuick(order: number): number {
    const control = this.#control;
    const page = control.quickHead(0, order) - 1;
    if (page < 0) return -1;
    control.setQuickHead(0, order, this.#frames.next(page));
    control.setQuickBlocks(0, order, control.quickBlocks(0, order) - 1);
    return page;
  }

  #pushFree(page: number, order: number): void {
    const control = this.#control;
    const frames = this.#frames;
    const head = control.freeHead(0, order);
    frames.setState(page, pageState.free);
    frames.setOrder(page, order);
    frames.setNext(page, head);
    frames.setPrevious(page, 0);
    if (head !== 0) frames.setPrevious(head - 1, page + 1);
    control.setFreeHead(0, order, page + 1);
    control.setFreeBlocks(0, order, control.freeBlocks(0, order) + 1);
    control.setFreeOrders(0, control.freeOrders(0) | (1 << order));
  }

  #removeFree(page: number, order: number): void {
    const control = this.#control;
    const frames = this.#frames;
    const next = frames.next(page);
    const previous = frames.previous(page);
    frames.setState(page, pageState.inside);
    if (next !== 0) frames.setPrevious(next - 1, previous);
    if (previous !== 0) frames.setNext(previous - 1, next);
    else control.setFreeHead(0, order, next);
    control.setFreeBlocks(0, order, control.freeBlocks(0, order) - 1);
    if (next === 0 && previous === 0) control.setFreeOrders(0, control.freeOrders(0) & ~(1 << order));
  }
}
