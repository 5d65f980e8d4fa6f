/**
 * The physical page allocator as a *shadowed* service: one state, which hands out blocks of 1 to 4096 pages of the
 * island's memory to all kernels.
 *
 * Its state lies in two named areas, so any kernel attaches and uses it; one lock guards it. A kernel that
 * dies while it holds the lock leaves lists half changed: a survivor calls `recover`, which makes them anew
 * from the states of the pages.
 */
import type { Accessor, TypedMemory } from "../../memory/index.ts";
import { Buddy } from "./buddy.ts";
import { PagesError, requireOrder, requireOwner, whyNotFree, wrongFree } from "./errors.ts";
import { order_max, PageFrame, PagesControl, page_bytes } from "./layout.ts";
import { orderFor, type PageService } from "./page-service.ts";

export interface PagesOptions {
  /** Name of the allocator's areas. */
  readonly name: string;
  /** Byte offset in the island's memory of the first page, a multiple of 4096. */
  readonly base: number;
  /** Number of pages. */
  readonly count: number;
  /** Number of the caller for locks: positive and unique among all that use the allocator. */
  readonly owner: number;
}

/** Page numbers and links to them must fit 32 bits. */
const count_max = 0x7fffffff;

export class Pages implements PageService {
  /** Pages managed. */
  readonly capacity: number;
  /** Byte offset of the first page. */
  readonly base: number;
  readonly #name: string;
  readonly #owner: number;
  readonly #control: Accessor<typeof PagesControl.fields>;
  readonly #frames: Accessor<typeof PageFrame.fields>;
  readonly #buddy: Buddy;

  private constructor(
    name: string,
    owner: number,
    control: Accessor<typeof PagesControl.fields>,
    frames: Accessor<typeof PageFrame.fields>,
  ) {
    requireOwner(name, owner);
    this.#name = name;
    this.#owner = owner;
    this.#control = control;
    this.#frames = frames;
    this.capacity = control.count(0);
    this.base = control.base(0);
    this.#buddy = new Buddy(control, frames);
  }

  /**
   * Makes an allocator for `count` pages from `base` on; all of them are free.
   * @throws PagesError for a range outside the memory, AreaError when the name is taken or memory is short.
   */
  static create(memory: TypedMemory, options: PagesOptions): Pages {
    const { name, base, count, owner } = options;
    if (!Number.isSafeInteger(base) || base < 0 || base % page_bytes !== 0) {
      throw new PagesError(`pages ${name}: base ${base} must be a multiple of ${page_bytes}`);
    }
    if (!Number.isInteger(count) || count < 1 || count > count_max) {
      throw new PagesError(`pages ${name}: count ${count} must be a positive integer`);
    }
    if (base + count * page_bytes > memory.buffer.byteLength) {
      throw new PagesError(
        `pages ${name}: ${count} pages at ${base} exceed the ${memory.buffer.byteLength} bytes there are`,
      );
    }
    const frames = memory.create(framesName(name), PageFrame, { count, checked: false });
    const control = memory.create(name, PagesControl, { count: 1, checked: false });
    control.setBase(0, base);
    control.setCount(0, count);
    const pages = new Pages(name, owner, control, frames);
    pages.#buddy.rebuild(0);
    return pages;
  }

  /**
   * Attaches to an allocator that another kernel made.
   * @throws AttachError when there is none of that name.
   */
  static attach(memory: TypedMemory, name: string, owner: number): Pages {
    const control = memory.attachArea(name, PagesControl, { checked: false });
    return new Pages(
      name,
      owner,
      control,
      memory.attachArea(framesName(name), PageFrame, { checked: false }),
    );
  }

  /**
   * Allocates a block of 2^order pages, which lies at a multiple of its size from `base`. What is in it is
   * whatever was there before.
   * @returns its byte offset in the island's memory, or −1 if there is no such block.
   * @throws PagesError for an order outside 0 to 12.
   */
  allocate(order: number): number {
    requireOrder(this.#name, order);
    this.#control.acquireMutex(0, this.#owner);
    let page = -1;
    try {
      page = this.#buddy.take(0, order);
    } finally {
      this.#control.releaseMutex(0, this.#owner);
    }
    return page < 0 ? -1 : this.base + page * page_bytes;
  }

  /** Allocates the smallest block of at least `size` bytes; −1 if there is none, or none can be so large. */
  allocateBytes(size: number): number {
    const order = orderFor(size);
    return order > order_max ? -1 : this.allocate(order);
  }

  /**
   * Frees a block.
   * @throws PagesError when no block of that order is allocated there: a double free, or a wrong offset or
   * order. Nothing has changed then.
   */
  free(offset: number, order: number): void {
    requireOrder(this.#name, order);
    const page = (offset - this.base) / page_bytes;
    if (!Number.isInteger(page) || page < 0 || page >= this.capacity) {
      throw new PagesError(`pages ${this.#name}: offset ${offset} is not a page of this allocator`);
    }
    this.#control.acquireMutex(0, this.#owner);
    try {
      const why = whyNotFree(this.#frames, page, order);
      if (why !== "") throw wrongFree(this.#name, offset, order, why);
      this.#buddy.give(0, page, order);
    } finally {
      this.#control.releaseMutex(0, this.#owner);
    }
  }

  holds(offset: number, order: number): boolean {
    const page = (offset - this.base) / page_bytes;
    return (
      Number.isInteger(page) &&
      page >= 0 &&
      page < this.capacity &&
      whyNotFree(this.#frames, page, order) === ""
    );
  }

  /** Pages in allocated blocks. */
  used(): number {
    return this.#control.used(0);
  }

  /** Free blocks of an order, for reports; another kernel may be changing it. */
  freeBlocks(order: number): number {
    requireOrder(this.#name, order);
    return this.#buddy.freeBlocks(0, order);
  }

  /**
   * Repairs the allocator after the death of `deadOwner`, if that held its lock. Any survivor may call it,
   * several at the same time. Blocks that the dead owner has allocated stay allocated.
   * @returns true if there was something to repair.
   */
  recover(deadOwner: number): boolean {
    const control = this.#control;
    if (control.ownerOfRecovery(0) === deadOwner) control.releaseRecovery(0, deadOwner);
    if (control.ownerOfMutex(0) !== deadOwner) return false;
    control.acquireRecovery(0, this.#owner);
    try {
      if (control.ownerOfMutex(0) !== deadOwner) return false;
      this.#buddy.rebuild(0);
      control.releaseMutex(0, deadOwner);
      return true;
    } finally {
      control.releaseRecovery(0, this.#owner);
    }
  }

  /** Nothing is ever moved here: all kernels take from the same pages. */
  registerMover(): void {}

  workPending(): boolean {
    return false;
  }

  tick(): void {}
}

function framesName(name: string): string {
  return `${name}.frames`;
}
