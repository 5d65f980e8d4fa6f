/**
 * The line of transfers that wait for a channel, first come, first served, and what each channel is doing.
 *
 * Everything here is called with the mutex of the `DmaBlock` held.
 */
import type { DmaEngine } from "../../machine/soc.ts";
import { type DmaAreas, dmaLimits, transferState } from "./state.ts";

export class DmaQueue {
  /** Channels that are used. */
  readonly channels: number;
  private readonly pool: DmaAreas["transfers"];
  private readonly transfers: DmaAreas["transfers"]["records"];
  private readonly dma: DmaAreas["dma"];
  private readonly engine: DmaEngine;

  constructor(areas: DmaAreas, engine: DmaEngine) {
    this.pool = areas.transfers;
    this.transfers = areas.transfers.records;
    this.dma = areas.dma;
    this.engine = engine;
    this.channels = Math.min(engine.channels, dmaLimits.channels);
  }

  /** Puts a transfer at the end of the line. */
  append(transfer: number): void {
    const { transfers, dma } = this;
    const serial = dma.nextSerial(0);
    dma.setNextSerial(0, serial + 1);
    transfers.setSerial(transfer, serial);
    transfers.setNext(transfer, 0);
    transfers.setState(transfer, transferState.queued);
    this.link(transfer);
  }

  private link(transfer: number): void {
    const { transfers, dma } = this;
    const tail = dma.tail(0);
    if (tail === 0) dma.setHead(0, transfer);
    else transfers.setNext(tail, transfer);
    dma.setTail(0, transfer);
  }

  /** Takes a transfer out of the line. */
  remove(transfer: number): void {
    const { transfers, dma } = this;
    let before = 0;
    for (let one = dma.head(0); one !== 0; one = transfers.next(one)) {
      if (one !== transfer) {
        before = one;
        continue;
      }
      const next = transfers.next(one);
      if (before === 0) dma.setHead(0, next);
      else transfers.setNext(before, next);
      if (next === 0) dma.setTail(0, before);
      return;
    }
  }

  /** Gives free channels to those who wait. */
  start(): void {
    const { transfers, dma } = this;
    for (let channel = 0; channel < this.channels; channel++) {
      const transfer = dma.head(0);
      if (transfer === 0) return;
      if (dma.channels(0, channel) !== 0) continue;
      const next = transfers.next(transfer);
      dma.setHead(0, next);
      if (next === 0) dma.setTail(0, 0);
      dma.setChannels(0, channel, transfer);
      transfers.setState(transfer, transferState.running);
      this.program(channel, transfer);
    }
  }

  /** Whether the engine is at work on a transfer. */
  hasChannel(transfer: number): boolean {
    for (let channel = 0; channel < this.channels; channel++) {
      if (this.dma.channels(0, channel) === transfer) return true;
    }
    return false;
  }

  private program(channel: number, transfer: number): void {
    const { transfers } = this;
    this.engine.start(
      channel,
      transfers.source(transfer),
      transfers.target(transfer),
      transfers.length(transfer),
      transfers.island(transfer),
    );
  }

  /**
   * Makes line and channels agree again after a kernel has died that was changing them. A transfer that has a channel
   * which is not busy was not started yet, or its end was seen by nobody else: moving the same bytes once more does
   * no harm.
   */
  rebuild(): void {
    const { transfers, dma, pool, engine } = this;
    const waiting: number[] = [];
    for (let transfer = 1; transfer <= pool.capacity; transfer++) {
      const isQueued = pool.ownerOf(transfer) !== 0 && transfers.state(transfer) === transferState.queued;
      if (isQueued) waiting.push(transfer);
    }
    waiting.sort((a, b) => transfers.serial(a) - transfers.serial(b));
    dma.setHead(0, 0);
    dma.setTail(0, 0);
    for (const transfer of waiting) {
      transfers.setNext(transfer, 0);
      this.link(transfer);
    }
    for (let channel = 0; channel < this.channels; channel++) {
      const transfer = dma.channels(0, channel);
      if (transfer === 0 || engine.isBusy(channel)) continue;
      const state = transfers.state(transfer);
      const isMeant = state === transferState.running || state === transferState.abandoned;
      if (isMeant && pool.ownerOf(transfer) !== 0) this.program(channel, transfer);
      else dma.setChannels(0, channel, 0);
    }
  }
}
