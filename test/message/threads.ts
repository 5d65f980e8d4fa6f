/**
 * Endpoints on real threads, for tests: doorbells are words in shared memory that parked threads wait on.
 * Used by the tests and by the workers they start.
 */
import { Worker } from "node:worker_threads";
import { bytes as byteString, i32, TypedMemory, u32 } from "../../src/memory/index.ts";
import {
  Endpoint,
  formatMessages,
  Groups,
  type MessageFault,
  type MessageGeometry,
  message,
  request,
  SharedTransport,
} from "../../src/message/index.ts";

/** Numbered messages of a stream, with any number of bytes behind them. */
export const Item = message("item", { stream: u32, number: u32 }, { tail: true });
export const Ask = request("ask", { left: u32, number: u32 }, { number: u32, depth: i32 }, { tail: true });
/** A worker tells the test how it went; `text` is an error or empty. */
export const Report = message("report", { count: u32, text: byteString(400) });

export interface Bench {
  readonly buffer: SharedArrayBuffer;
  readonly bells: SharedArrayBuffer;
}

export function makeBench(sizes: Partial<MessageGeometry>): Bench {
  const buffer = new SharedArrayBuffer(4 << 20);
  formatMessages(TypedMemory.format(buffer), sizes);
  return { buffer, bells: new SharedArrayBuffer(64 * 64) };
}

/** One thread's endpoint. */
export class Thread {
  readonly endpoint: Endpoint;
  readonly transport: SharedTransport;
  readonly groups: Groups;
  readonly faults: MessageFault[] = [];
  readonly #bells: Int32Array;
  readonly #address: number;
  #seen = 0;
  #random: number;

  constructor(bench: Bench, address: number) {
    this.#bells = new Int32Array(bench.bells);
    this.#address = address;
    this.#random = address * 7919 + 17;
    const memory = TypedMemory.attach(bench.buffer);
    const report = (fault: MessageFault) => void this.faults.push(fault);
    const doorbell = { ring: (target: number) => this.#ring(target) };
    const now_ns = () => performance.now() * 1e6;
    const pause = () => Atomics.pause();
    this.#seen = Atomics.load(this.#bells, address * 16);
    this.transport = new SharedTransport({ memory, address, doorbell, report });
    this.endpoint = new Endpoint({ transports: [this.transport], now_ns, pause, report });
    this.groups = new Groups({ memory, endpoint: this.endpoint, transport: this.transport, pause, report });
  }

  /**
   * Drains until `done`, asleep while the doorbell is silent. Fails if that takes 10 s: a lost wake-up.
   * The condition is looked at just before falling asleep, when everybody was told what the drain settled.
   */
  async parkUntil(done: () => boolean): Promise<void> {
    for (;;) {
      this.endpoint.drain();
      await new Promise((resolve) => setImmediate(resolve));
      if (done()) return;
      this.#sleep();
    }
  }

  #sleep(): void {
    const bell = this.#address * 16;
    const result = Atomics.wait(this.#bells, bell, this.#seen, 10_000);
    this.#seen = Atomics.load(this.#bells, bell);
    if (result !== "timed-out") return;
    throw new Error(`no doorbell for 10 s; something waits: ${this.endpoint.pending()}`);
  }

  /** Interrupts a thread, as the machine does when another has died. */
  ring(target: number): void {
    this.#ring(target);
  }

  /** A pseudo-random number below `limit`. */
  next(limit: number): number {
    this.#random = (Math.imul(this.#random, 1103515245) + 12345) & 0x7fffffff;
    return (this.#random >>> 8) % limit;
  }

  /** Now and then, does nothing for a while. */
  stall(): void {
    if (this.next(500) === 0) {
      const end = performance.now() + this.next(3);
      while (performance.now() < end);
    } else if (this.next(20) === 0) for (let i = this.next(200); i > 0; i--) Atomics.pause();
  }

  #ring(target: number): void {
    Atomics.add(this.#bells, target * 16, 1);
    Atomics.notify(this.#bells, target * 16);
  }
}

/** Bytes that tell what message they belong to. */
export function tailOf(number: number, size: number): Uint8Array {
  return new Uint8Array(size).fill(number & 255);
}

export function isTailOf(number: number, tail: Uint8Array): boolean {
  for (let i = 0; i < tail.length; i++) if (tail[i] !== (number & 255)) return false;
  return true;
}

export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text).subarray(0, 400);
}

export function textOf(text: Uint8Array): string {
  return new TextDecoder().decode(text).replace(/\0+$/, "");
}

/** Starts a worker that plays `role` at an address. */
export function startWorker(bench: Bench, address: number, role: string, options: object = {}): Worker {
  return new Worker(new URL("./thread.worker.ts", import.meta.url), {
    workerData: { bench, address, role, ...options },
  });
}
