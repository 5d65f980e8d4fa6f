/**
 * Movable blocks with no meaning of their own: pages of user data as benchmarks and tests hold them. A block is known
 * by its index; where it lies is to be looked up each time, under its lock.
 */
import type { Ram } from "../../machine/ram.ts";
import { f64, lock, type Pool, struct, type TypedMemory, u8 } from "../../memory/index.ts";
import { page_bytes, pageUser } from "./layout.ts";
import type { Mover } from "./movers.ts";
import type { PageService } from "./page-service.ts";

export const UserPageBlock = struct("UserPageBlock", {
  mutex: lock(),
  order: u8,
  /** Byte offset in the island's memory; −1 while there is none. */
  place: f64,
});

export interface UserPagesOptions {
  readonly name: string;
  /** Number of the caller for locks. */
  readonly owner: number;
  readonly ram: Ram;
  readonly pages: PageService;
}

export class UserPages {
  /** To be registered with the page allocator for `pageUser.userPages`. */
  readonly mover: Mover;
  readonly #blocks: Pool<typeof UserPageBlock.fields>;
  readonly #owner: number;
  readonly #ram: Ram;
  readonly #pages: PageService;

  private constructor(blocks: Pool<typeof UserPageBlock.fields>, options: UserPagesOptions) {
    this.#blocks = blocks;
    this.#owner = options.owner;
    this.#ram = options.ram;
    this.#pages = options.pages;
    this.mover = {
      move: (index, from, to, order, moved) => this.#move(index, from, to, order, moved),
      isAt: (index, offset) =>
        this.#blocks.ownerOf(index) !== 0 && this.#blocks.records.place(index) === offset,
    };
  }

  /** Creates the record pool `name` for `count` blocks. */
  static create(memory: TypedMemory, name: string, count: number): void {
    memory.createPool(name, UserPageBlock, { count });
  }

  static attach(memory: TypedMemory, options: UserPagesOptions): UserPages {
    return new UserPages(memory.attachPool(options.name, UserPageBlock), options);
  }

  /** Allocates 2^order pages. @returns their index, or −1 when there are no pages, or no records. */
  hold(order: number): number {
    const index = this.#blocks.allocate(this.#owner);
    if (index < 0) return -1;
    // As long as this is not set, nobody moves what is about to be allocated.
    this.#setOffset(index, -1, order);
    const offset = this.#pages.allocate(order, pageUser.userPages, index);
    if (offset < 0) {
      this.#blocks.free(index, this.#owner);
      return -1;
    }
    this.#setOffset(index, offset, order);
    return index;
  }

  /** Frees a block. */
  release(index: number): void {
    const { records } = this.#blocks;
    const offset = this.#setOffset(index, -1, records.order(index));
    this.#pages.free(offset, records.order(index));
    this.#blocks.free(index, this.#owner);
  }

  /** Where a block lies; it may have moved when this returns, unless only this core moves its kernel's blocks. */
  offset(index: number): number {
    return this.#blocks.records.place(index);
  }

  write(index: number, at: number, bytes: Uint8Array): void {
    this.#locked(index, (offset) => this.#ram.copyIn(bytes, 0, bytes.length, offset + at));
  }

  read(index: number, at: number, bytes: Uint8Array): void {
    this.#locked(index, (offset) => this.#ram.copyOut(offset + at, bytes.length, bytes, 0));
  }

  /** Cleans up behind a core that died; after the page allocator has. */
  recover(deadOwner: number): void {
    const { records } = this.#blocks;
    this.#blocks.recover(deadOwner);
    for (let index = 1; index <= this.#blocks.capacity; index++) {
      if (records.ownerOfMutex(index) === deadOwner) records.releaseMutex(index, deadOwner);
    }
  }

  #move(index: number, from: number, to: number, order: number, moved: () => void): boolean {
    const { records } = this.#blocks;
    if (records.ownerOfMutex(index) !== 0 || !records.tryAcquireMutex(index, this.#owner)) return false;
    try {
      if (this.#blocks.ownerOf(index) === 0 || records.place(index) !== from) return false;
      const piece = new Uint8Array(page_bytes);
      for (let at = 0; at < page_bytes << order; at += page_bytes) {
        this.#ram.copyOut(from + at, page_bytes, piece, 0);
        this.#ram.copyIn(piece, 0, page_bytes, to + at);
      }
      records.setPlace(index, to);
      moved();
      return true;
    } finally {
      records.releaseMutex(index, this.#owner);
    }
  }

  /** @returns where it was before. */
  #setOffset(index: number, offset: number, order: number): number {
    const { records } = this.#blocks;
    records.acquireMutex(index, this.#owner);
    try {
      const before = records.place(index);
      records.setOrder(index, order);
      records.setPlace(index, offset);
      return before;
    } finally {
      records.releaseMutex(index, this.#owner);
    }
  }

  #locked(index: number, action: (offset: number) => void): void {
    const { records } = this.#blocks;
    records.acquireMutex(index, this.#owner);
    try {
      action(records.place(index));
    } finally {
      records.releaseMutex(index, this.#owner);
    }
  }
}
