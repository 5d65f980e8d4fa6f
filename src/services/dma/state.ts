/**
 * The state of the DMA driver, which all kernels share, in one place. Any kernel runs the driver on it.
 *
 * A *transfer* is a number of the pool `dma.transfers`, one for each open file of the device; 0 is none. A *channel*
 * is one of the engine's, counted from 0.
 */
import {
  type Area,
  array,
  f64,
  lock,
  type Pool,
  struct,
  type TypedMemory,
  u8,
  u32,
} from "../../memory/index.ts";

export const dmaLimits = {
  transfers: 256,
  /** A bit for each fits a word. */
  channels: 31,
} as const;

/**
 * `preparing`: its pages are being made ready by the kernel that took the request; `queued`: it waits for a channel;
 * `done`: nobody has asked for the result yet; `abandoned`: it runs, but its file was closed.
 */
export const transferState = {
  idle: 0,
  preparing: 1,
  queued: 2,
  running: 3,
  done: 4,
  abandoned: 5,
} as const;

/** All of it is guarded by the mutex of the `DmaBlock`, except the pages while `preparing`. */
export const DmaTransfer = struct("DmaTransfer", {
  state: u32,
  /** Thread that asked. */
  claimant: u32,
  /** Owner number of the core that prepares it. */
  preparer: u32,
  /** Island whose kernel has taken the request, and ends it: also its line of the engine. */
  island: u32,
  length: u32,
  /** Order of arrival, for making the queue anew. */
  serial: f64,
  /** Next in the queue. */
  next: u32,
  /** Bytes of the last one that is done, and how many of them were read. */
  moved_bytes: u32,
  read_bytes: u32,
  /** Absolute byte offsets of its two buffers in the island's memory, 0 for none, and the order of both. */
  source: f64,
  target: f64,
  order: u8,
  /** Who waits for the end waits here. */
  queue: u32,
});

/** Exactly one record. */
export const DmaBlock = struct("DmaBlock", {
  mutex: lock(),
  /** Transfers that wait for a channel, the oldest first. */
  head: u32,
  tail: u32,
  /** The transfer of each channel. */
  channels: array(u32, dmaLimits.channels),
  nextSerial: f64,
  /** Counters for people. */
  transfers: f64,
  bytes: f64,
});

export interface DmaAreas {
  readonly transfers: Pool<typeof DmaTransfer.fields>;
  readonly dma: Area<typeof DmaBlock.fields>;
}

/** Creates the driver's areas; done once, by the kernel that boots first. */
export function createDmaAreas(memory: TypedMemory): DmaAreas {
  return {
    transfers: memory.createPool("dma.transfers", DmaTransfer, { count: dmaLimits.transfers }),
    dma: memory.create("dma", DmaBlock, { count: 1 }),
  };
}

export function attachDmaAreas(memory: TypedMemory): DmaAreas {
  return {
    transfers: memory.attachPool("dma.transfers", DmaTransfer),
    dma: memory.attachArea("dma", DmaBlock),
  };
}
