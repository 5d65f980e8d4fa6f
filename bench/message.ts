/**
 * The `message` suite: round trips and throughput between two kernels that are awake, beside a MessagePort
 * between two threads and Unix pipes between two processes. One side is this thread, the other a worker or a
 * process, so two cores are enough.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { TypedMemory } from "../src/memory/index.ts";
import { type Endpoint, formatMessages } from "../src/message/index.ts";
import {
  BytesNote,
  Echo,
  endpointOn,
  type PortSetting,
  type SharedSetting,
  Small,
  SmallNote,
  Wait,
  waiting,
} from "./message/partners.ts";
import { PipePartner } from "./message/pipes.ts";
import { hasCommand } from "./peers/native.ts";
import type { Row } from "./row.ts";
import { interleaved, perRepetition_ns } from "./statistics.ts";

/** Rounds before figures count, so that everybody runs optimised code, and rounds that count. */
const warmRounds = 4;
const rounds = 15;
/** Messages of a round. Those that take longer are repeated less often. */
const repetitions = { fast: 20_000, slow: 1_000 } as const;
const timeout_ns = 10e9;
const sizes = { "16 B": 16, "1 KiB": 1024 } as const;
const worker = new URL("./message/partners.ts", import.meta.url);

export async function suite(): Promise<Row[]> {
  const ours = await Ours.start();
  const port = await PortPartner.start();
  const rows: Row[] = [];
  for (const [name, size] of Object.entries(sizes)) {
    rows.push(await roundTrip(name, size, ours, port));
    rows.push(await throughput(name, size, ours, port));
  }
  rows.push(await parkedRoundTrip(ours, port));
  await ours.stop();
  await port.stop();
  return rows;
}

/** Medians after warming up; `ours` first. */
async function measure(
  candidates: Readonly<Record<string, () => number | Promise<number>>>,
): Promise<{ figure: number; peers: Record<string, number> }> {
  await interleaved(warmRounds, candidates);
  const { ours, ...peers } = await interleaved(rounds, candidates);
  return { figure: ours, peers };
}

async function roundTrip(name: string, size: number, ours: Ours, port: PortPartner): Promise<Row> {
  const candidates: Record<string, () => number | Promise<number>> = {
    ours: () =>
      size === 16 ? ours.smallRoundTrip(repetitions.fast) : ours.roundTrip(size, repetitions.fast),
    MessagePort: () => port.roundTrip(size, repetitions.slow),
  };
  const pipe = hasCommand("mkfifo") ? new PipePartner("echo", size) : undefined;
  if (pipe !== undefined) {
    const bytes = new Uint8Array(size);
    candidates["Unix pipe"] = () =>
      perRepetition_ns(repetitions.slow, (count) => {
        for (let i = 0; i < count; i++) {
          pipe.write(bytes);
          pipe.read(bytes);
        }
      });
  }
  const { figure, peers } = await measure(candidates);
  pipe?.close();
  return {
    name: `round trip, ${name}`,
    unit: "ns",
    better: "lower",
    ours: figure,
    peers,
    published: null,
    target: size === 16 ? 1000 : null,
  };
}

async function throughput(name: string, size: number, ours: Ours, port: PortPartner): Promise<Row> {
  const candidates: Record<string, () => number | Promise<number>> = {
    ours: () => (size === 16 ? ours.smallFlood(repetitions.fast) : ours.flood(size, repetitions.fast)),
    MessagePort: () => port.flood(size, repetitions.fast),
  };
  const pipe = hasCommand("mkfifo") ? new PipePartner("swallow", size * repetitions.fast) : undefined;
  if (pipe !== undefined) {
    const bytes = new Uint8Array(size);
    const answer = new Uint8Array(1);
    candidates["Unix pipe"] = () =>
      perRepetition_ns(repetitions.fast, (count) => {
        for (let i = 0; i < count; i++) pipe.write(bytes);
        pipe.read(answer);
      });
  }
  const { figure, peers } = await measure(candidates);
  pipe?.close();
  const base = { unit: "ns/message", better: "lower" as const, published: null, target: null };
  return { name: `stream, ${name} messages`, ours: figure, peers, ...base };
}

/** The receiver sleeps: what a doorbell costs. */
async function parkedRoundTrip(ours: Ours, port: PortPartner): Promise<Row> {
  ours.partnerWaits(waiting.parked);
  const { figure, peers } = await measure({
    ours: () => ours.smallRoundTrip(repetitions.slow),
    MessagePort: () => port.roundTrip(16, repetitions.slow),
  });
  ours.partnerWaits(waiting.awake);
  const base = { unit: "ns", better: "lower" as const, published: null, target: null };
  return { name: "round trip, 16 B, receiver parked", ours: figure, peers, ...base };
}

/** Our endpoint and its partner, a worker that answers. */
class Ours {
  readonly #endpoint: Endpoint;
  readonly #worker: Worker;

  private constructor(endpoint: Endpoint, partner: Worker) {
    this.#endpoint = endpoint;
    this.#worker = partner;
  }

  static async start(): Promise<Ours> {
    const memory = new SharedArrayBuffer(1 << 20);
    formatMessages(TypedMemory.format(memory), { endpoints_max: 2, groups_max: 1 });
    const setting: SharedSetting = { kind: "shared", memory, bells: new SharedArrayBuffer(8) };
    const endpoint = endpointOn(setting, 0);
    const partner = new Worker(worker, { workerData: setting });
    await once(partner, "message");
    endpoint.mask();
    return new Ours(endpoint, partner);
  }

  partnerWaits(how: number): void {
    if (this.#endpoint.send(1, Wait, { how }) !== 0) throw new Error("the partner does not take messages");
    // Its answer says that it has read what was sent before.
    if (how !== waiting.finished)
      this.#call(() => this.#endpoint.call(1, Echo, new Uint8Array(1), timeout_ns).status);
  }

  smallRoundTrip(repetitions: number): number {
    const value = { a: 1, b: 2, c: 3, d: 4 };
    return perRepetition_ns(repetitions, (count) => {
      for (let i = 0; i < count; i++)
        this.#call(() => this.#endpoint.call(1, Small, value, timeout_ns).status);
    });
  }

  roundTrip(size: number, repetitions: number): number {
    const bytes = new Uint8Array(size);
    return perRepetition_ns(repetitions, (count) => {
      for (let i = 0; i < count; i++)
        this.#call(() => this.#endpoint.call(1, Echo, bytes, timeout_ns).status);
    });
  }

  smallFlood(repetitions: number): number {
    const value = { a: 1, b: 2, c: 3, d: 4 };
    return this.#flood(repetitions, () => this.#endpoint.send(1, SmallNote, value));
  }

  flood(size: number, repetitions: number): number {
    const bytes = new Uint8Array(size);
    return this.#flood(repetitions, () => this.#endpoint.send(1, BytesNote, bytes));
  }

  async stop(): Promise<void> {
    this.partnerWaits(waiting.finished);
    await this.#worker.terminate();
  }

  /** Sends as fast as the ring takes messages, until the last one has been handled. */
  #flood(repetitions: number, send: () => number): number {
    const empty = new Uint8Array(0);
    return perRepetition_ns(repetitions, (count) => {
      for (let i = 0; i < count; i++) while (send() !== 0) Atomics.pause();
      this.#call(() => this.#endpoint.call(1, Echo, empty, timeout_ns).status);
    });
  }

  #call(call: () => number): void {
    const status = call();
    if (status !== 0) throw new Error(`the partner answered ${status}`);
  }
}

/** A worker at the other end of a MessagePort. */
class PortPartner {
  readonly #worker: Worker;

  private constructor(partner: Worker) {
    this.#worker = partner;
  }

  static async start(): Promise<PortPartner> {
    const setting: PortSetting = { kind: "port" };
    const partner = new Worker(worker, { workerData: setting });
    await once(partner, "online");
    return new PortPartner(partner);
  }

  async roundTrip(size: number, count: number): Promise<number> {
    const bytes = new Uint8Array(size);
    const start = process.hrtime.bigint();
    await new Promise<void>((resolve) => {
      let left = count;
      const answered = () => {
        if (--left > 0) {
          this.#worker.postMessage(bytes);
          return;
        }
        this.#worker.off("message", answered);
        resolve();
      };
      this.#worker.on("message", answered);
      this.#worker.postMessage(bytes);
    });
    return Number(process.hrtime.bigint() - start) / count;
  }

  async flood(size: number, count: number): Promise<number> {
    const bytes = new Uint8Array(size);
    this.#worker.postMessage(count);
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) this.#worker.postMessage(bytes);
    await once(this.#worker, "message");
    return Number(process.hrtime.bigint() - start) / count;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
