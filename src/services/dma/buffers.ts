/**
 * The pages that a DMA engine reads and writes. It looks at no cache, so whatever it is to see must have been written
 * back, and what it has written must not be hidden by an old copy. Pages are announced to the memory's guard first: on
 * islands that software keeps coherent, this core's island then has the only copy that can be dirty.
 *
 * Buffers are whole pages that nobody else uses.
 */
import { errno } from "../../kernel/errno.ts";
import type { Ram } from "../../machine/ram.ts";
import { type CacheController, cachePage_bytes } from "../../machine/soc.ts";
import { orderFor, page_bytes } from "../pages/index.ts";
import type { PageSource } from "../pipe/pipes.ts";
import type { DmaAreas } from "./state.ts";

export class DmaBuffers {
  private readonly transfers: DmaAreas["transfers"]["records"];
  private readonly ram: Ram;
  private readonly cache: CacheController;
  private readonly pages: PageSource;

  constructor(
    transfers: DmaAreas["transfers"]["records"],
    ram: Ram,
    cache: CacheController,
    pages: PageSource,
  ) {
    this.transfers = transfers;
    this.ram = ram;
    this.cache = cache;
    this.pages = pages;
  }

  /** Makes a transfer's buffers large enough; what its source buffer holds stays. Zero, or −NOMEM. */
  make(transfer: number, length: number): number {
    const { transfers, pages } = this;
    const order = orderFor(length);
    const old = transfers.source(transfer);
    const oldOrder = transfers.order(transfer);
    if (old !== 0 && oldOrder >= order) return 0;
    const source = pages.allocate(order);
    const target = source < 0 ? -1 : pages.allocate(order);
    if (target < 0) {
      if (source >= 0) pages.free(source, order);
      return -errno.NOMEM;
    }
    // New pages hold what somebody else has left.
    const kept_bytes = old === 0 ? 0 : page_bytes << oldOrder;
    if (old !== 0) this.move(old, source, kept_bytes);
    this.clear(source + kept_bytes, (page_bytes << order) - kept_bytes);
    this.free(transfer);
    transfers.setOrder(transfer, order);
    transfers.setSource(transfer, source);
    transfers.setTarget(transfer, target);
    return 0;
  }

  /** Gives a transfer's buffers back, if it has any. */
  free(transfer: number): void {
    const { transfers, pages } = this;
    const order = transfers.order(transfer);
    const buffers = [transfers.source(transfer), transfers.target(transfer)];
    // Should this core die in between, pages are lost, but none is freed twice.
    transfers.setSource(transfer, 0);
    transfers.setTarget(transfer, 0);
    for (const buffer of buffers) if (buffer !== 0) pages.free(buffer, order);
  }

  /** Makes the engine see what kernels have written. */
  clean(start: number, length: number): void {
    for (let at = start; at < start + length; at += cachePage_bytes) {
      this.ram.touch(at, 1, false);
      this.cache.clean(at / cachePage_bytes);
    }
  }

  /** Fills a buffer with zeros, in memory, and keeps no copy of it. */
  clear(start: number, length: number): void {
    const end = start + length;
    for (let at = start; at < end; at += cachePage_bytes) {
      const piece_bytes = Math.min(cachePage_bytes, end - at);
      this.ram.touch(at, piece_bytes, true);
      this.ram.bytes.fill(0, at, at + piece_bytes);
      this.cache.clean(at / cachePage_bytes);
      this.cache.invalidate(at / cachePage_bytes);
    }
  }

  /** Copies into a buffer. */
  store(to: number, source: Uint8Array, offset: number, length: number): void {
    this.ram.copyIn(source, offset, length, to);
  }

  /** Copies out of a buffer that starts at `start` and that the engine has written. */
  load(start: number, position: number, length: number, target: Uint8Array, offset: number): void {
    const from = start + position;
    const first = Math.floor(from / cachePage_bytes);
    // A cache may have fetched a page while the engine was not done with it. Nothing there is dirty.
    for (let page = first; page * cachePage_bytes < from + length; page++) this.cache.invalidate(page);
    this.ram.copyOut(from, length, target, offset);
  }

  private move(from: number, to: number, length: number): void {
    for (let done = 0; done < length; done += cachePage_bytes) {
      const piece_bytes = Math.min(cachePage_bytes, length - done);
      this.ram.touch(from + done, piece_bytes, false);
      const piece = this.ram.bytes.slice(from + done, from + done + piece_bytes);
      this.ram.copyIn(piece, 0, piece_bytes, to + done);
    }
  }
}
