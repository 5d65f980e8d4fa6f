/**
 * The hardware that a kernel sees. Kernel code is written against these interfaces only; `host/` implements
 * them with worker threads and real time.
 *
 * A *core* runs one kernel. An *island* is a coherence domain: cores that share one memory. Interrupts are
 * bits in a word of each core's control page; the same word is what instrumented programs poll.
 */
import { atomic, f64, i32, struct, u32, type Waiting } from "../memory/index.ts";
import type { Soc } from "./soc.ts";

/** Interrupt lines of a core: bits of the control page's `pending` word. */
export const interruptLine = {
  /** A thread was put on this core's run queue. */
  reschedule: 1,
  /** A message arrived for the kernel on this core. */
  message: 2,
  /** The deadline given to `setTimer` has passed. */
  timer: 4,
  /** A process on this core has a pending signal. */
  signal: 8,
  /** The core must stop: its kernel shuts down. */
  halt: 16,
  /** A device of this core wants service (console input). */
  device: 32,
  /** There is work that can wait until this core has nothing more urgent to do. */
  background: 64,
} as const;

/**
 * `off`: waiting for a start; `claimed`: somebody is writing what to boot; `starting`: that is written; `on`: the
 * kernel on it says that it runs.
 */
export const corePower = { absent: 0, off: 1, starting: 2, on: 3, failed: 4, claimed: 5 } as const;

/**
 * A core's control page, at offset 0 of its own one-page shared WebAssembly memory (format `ilp32`).
 * `pending` must stay first: instrumented loops test the word at offset 0.
 */
export const ControlPage = struct("ControlPage", {
  pending: atomic(u32),
  /** The core sleeps in `idle` and needs a doorbell besides the bit. */
  parked: atomic(u32),
  power: atomic(u32),
  /** What to boot, written before `power` becomes `starting`. */
  bootKernel: u32,
  bootedBy: u32,
  /** Grows when the deadline was set: orders that write before the look at the timer that follows. */
  timerSettings: atomic(u32),
  /** Deadline of the timer, machine time; Infinity when off. */
  timerDeadline_ns: f64,
  /** Bumped for each interrupt taken. */
  interruptsTaken: u32,
  /**
   * What is left of the running program's slice, in instructions, on machines that count them: programs instrumented
   * for that subtract what they execute, and poll when it falls below zero.
   */
  fuel: i32,
});

export interface Clock {
  /** Nanoseconds since the machine started, the same on every core of the machine. */
  monotonic_ns(): number;
  /** Nanoseconds since 1970. */
  realtime_ns(): number;
  /** Nanoseconds since 1970, a few milliseconds old at most, and nearly free: for file times. */
  coarse_ns(): number;
  /** Smallest step of either clock. */
  readonly resolution_ns: number;
}

/** One core, as the kernel running on it sees it. */
export interface Core {
  /** Globally unique. */
  readonly id: number;
  readonly clock: Clock;
  /** The control page as programs import it. */
  readonly control: WebAssembly.Memory;
  /** The memory of this core's island, of fixed size. */
  readonly ram: WebAssembly.Memory;
  /** The chip around it, on machines whose islands are not coherent or that model time and power; null otherwise. */
  readonly soc: Soc | null;

  /** Raises interrupt lines on a core (itself included). Safe from any core of the island. */
  interrupt(core: number, lines: number): void;
  /** Takes and clears the pending lines of this core. */
  takeInterrupts(): number;
  /** True when a line is pending; cheap. */
  interruptPending(): boolean;
  /** Sets the one-shot timer (machine time); `Infinity` turns it off. Raises `timer`. */
  setTimer(deadline_ns: number): void;
  /**
   * Waits until a line is pending or the deadline passes: spins briefly, then parks. Asynchronous so that a
   * machine may run other cores meanwhile.
   */
  idle(deadline_ns: number): Promise<void>;
  /** A short pause inside a spin loop. */
  pause(): void;
  /** Fills with unpredictable (host) or seeded (sim) bytes. */
  random(target: Uint8Array): void;
  /** Starts another core with a kernel. False if it is not off. */
  start(core: number, kernel: number): boolean;
  /** Says that the kernel on this core has booted. */
  announce(): void;
  power(core: number): number;
  /**
   * Sends an object that has no place in the island's memory, such as a program's memory or a compiled module, to
   * another core, which gets a structured clone. The receiver is told by a message; it then finds the object with
   * `collect`.
   */
  post(core: number, object: unknown): void;
  /** The next object that a core has posted to this one, in their order; undefined when there is none. */
  collect(from: number): unknown;
  /**
   * True at a poll of a program when the machine wants to run other cores first: the context is then to be suspended
   * until `runOthers` resolves. Never true where cores run at the same time.
   */
  mustRunOthers(): boolean;
  runOthers(): Promise<void>;
  /**
   * Tells the machine how to have this core's pending interrupts served while another core's kernel code waits for it
   * (`pause`). Needed where cores share a thread; a core is attended only between two instructions of a program, or
   * while it idles.
   */
  attend(serve: () => void): void;
  /** How locks and atomic words of the island's memory wait on this core. */
  readonly waiting: Waiting;
  /** A line for the operator: kernel panics, boot failures. Written at once. */
  log(line: string): void;
  /** The kernel on this core has come upon a broken invariant, outside anything that could report it: the core stops. */
  panic(error: unknown): void;
}

/** A machine, as the code that boots a system on it sees it. */
export interface Machine {
  /** Cores that run kernels. */
  readonly coreCount: number;
  /** The core that the code which boots the system acts as. */
  readonly console: Core;
  /** Resolves when every core can be booted. */
  whenReady(): Promise<void>;
  /** Resolves when a core is on. @throws Error after `timeout_ms`. */
  whenOn(core: number, timeout_ms: number): Promise<void>;
  /** Asks the kernels on some cores to stop. True when all of them have, false when time ran out. */
  halt(cores: readonly number[]): Promise<boolean>;
  /** Ends everything; kernels that still run are asked to stop first. */
  stop(): Promise<void>;
  /** Resolves after some time of this machine. */
  delay(duration_ms: number): Promise<void>;
}

/** A diagnostic line for the operator: kernel panics and boot failures. */
export type OperatorLog = (line: string) => void;
