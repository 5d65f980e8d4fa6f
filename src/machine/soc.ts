/**
 * The hardware of a system on a chip whose islands are not coherent with each other, as the kernel on one core sees
 * it: caches that software cleans and invalidates, mailboxes, spinlocks, private interrupt controllers, power states,
 * and the devices on the interconnect. Each core has its own `Soc` object. Times are in nanoseconds.
 *
 * *Interrupt level*: handlers that are registered here run at any moment, even while another core (or this one) waits
 * inside a memory access. They touch only private state and other hardware, never memory that is kept coherent by
 * software, and they never wait.
 */
import type { MemoryGuard } from "../memory/guard.ts";

/** Bytes of the unit in which caches are cleaned and invalidated, and memory is kept coherent. */
export const cachePage_bytes = 4096;

/**
 * The caches of this core's island. `access` (of `MemoryGuard`) is what the hardware does for every access: it fills
 * what is missing from memory, notes what is written, and takes time. Nothing keeps the copy in step with memory.
 */
export interface CacheController extends MemoryGuard {
  /** Writes the island's copy of a page back to memory if it was changed. */
  clean(page: number): void;
  /** Forgets the island's copy of a page, changed or not: the next access reads memory. */
  invalidate(page: number): void;
}

/** 32-bit messages between cores, delivered in the order of sending for each pair of cores. */
export interface Mailbox {
  send(core: number, word: number): void;
  /** Sets this core's handler, which runs at interrupt level. `from` is the sending core. */
  receive(handler: (from: number, word: number) => void): void;
}

/** Test-and-set bits that all islands see. */
export interface HardwareSpinlocks {
  readonly count: number;
  /** True if it was free and is this core's now. */
  tryAcquire(lock: number): boolean;
  release(lock: number): void;
  /** Core that holds a lock, or −1. */
  holder(lock: number): number;
}

/** Sources of interrupts that are wired to every island. */
export const sharedInterrupt = { dma: 0, network: 1 } as const;
export const sharedInterruptCount = 2;

/**
 * The interrupt controller of this core's island, which is private to the island. A shared interrupt that is not
 * masked is recorded as pending and raises `interruptLine.device` on the island's first core that is on.
 */
export interface InterruptController {
  setMasked(source: number, masked: boolean): void;
  isMasked(source: number): boolean;
  /** Takes and clears the pending sources of this island: bit n for source n. */
  take(): number;
}

/** `inactive`: caches are off; waking takes long. A core becomes inactive after its idle timeout. */
export const powerState = { off: 0, inactive: 1, idle: 2, active: 3 } as const;

export interface PowerController {
  /** Power state of a core. */
  state(core: number): number;
  /**
   * Calls back, at interrupt level, when a core goes to sleep (it becomes inactive or off) or wakes up; not when it
   * changes between active and idle. For the kernel's power management: one handler per core. A core's own change to
   * `inactive` is told before it takes effect. Being told wakes the core that is told, so two that listen to each
   * other never sleep for long.
   * @param cores whose changes matter; all if missing.
   */
  onChange(handler: (core: number, state: number) => void, cores?: readonly number[]): void;
}

/**
 * Memory-to-memory copies by hardware. Addresses are byte offsets in memory; caches are not looked at. Channels can be
 * put on one of several *lines*, each with a status word of its own (as in OMAP4), so that kernels can share the engine
 * without sharing what they know of it. All lines together raise one shared interrupt.
 */
export interface DmaEngine {
  readonly channels: number;
  /**
   * Starts a copy of `length` bytes. Channels share the engine's bandwidth. When it is done, the channel's bit in the
   * status word of the line, 0 to 31, is set, and the shared interrupt `dma` is raised.
   * @param line default 0.
   * @throws RangeError for a busy channel, bytes outside the memory, or no such line.
   */
  start(channel: number, from: number, to: number, length: number, line?: number): void;
  /** Lines whose status word is not zero: bit n for line n. */
  linesFinished(): number;
  /**
   * Takes and clears the channels of a line that have finished: bit n for channel n.
   * @param line default 0.
   */
  takeFinished(line?: number): number;
  isBusy(channel: number): boolean;
}

/** A network controller in loopback: what is sent arrives again, in order, some time later. */
export interface NetworkController {
  /** Largest frame. */
  readonly frame_bytes_max: number;
  /** False when the transmit queue is full; `network` is raised when there is room again. */
  send(frame: Uint8Array): boolean;
  /** Takes the next frame that arrived; undefined when there is none. Arrivals raise `network`. */
  receive(): Uint8Array | undefined;
}

/** Everything on the chip, as one core reaches it. */
export interface Soc {
  /** The island of each core. */
  readonly islandOfCore: readonly number[];
  readonly islandCount: number;
  /** The cores' kinds, for example "cortex-m3": by core. */
  readonly coreKinds: readonly string[];
  readonly cache: CacheController;
  /**
   * Memory that no cache holds, the same for all islands and slow. `uncachedGuard` is to be called before each access
   * (give it to a `TypedMemory` over the buffer).
   */
  readonly uncached: SharedArrayBuffer;
  readonly uncachedGuard: MemoryGuard;
  readonly mailbox: Mailbox;
  readonly spinlocks: HardwareSpinlocks;
  readonly interrupts: InterruptController;
  readonly power: PowerController;
  readonly dma: DmaEngine;
  readonly network: NetworkController;
  /** Time passes on this core: so many of its processor cycles. */
  spend(cycles: number): void;
  /** As `spend`, in nanoseconds of this core's time. */
  spend_ns(duration_ns: number): void;
  /**
   * Runs a handler on this core, at interrupt level, when the core is out of what it is doing now: when the local time
   * that its present step has reached is there. A core that waits (`spinUntil`, `Core.pause`) or idles is out of it at
   * once. Handlers run in the order of deferring. For bottom halves.
   * @param notBefore_ns machine time before which the handler is not run in any case: it may be overtaken meanwhile.
   */
  defer(handler: () => void, notBefore_ns?: number): void;
  /**
   * Busy-waits inside kernel code until `done` is true; interrupt-level handlers of all cores run meanwhile.
   * False when `deadline_ns` (machine time) passed first.
   */
  spinUntil(done: () => boolean, deadline_ns: number): boolean;
}
