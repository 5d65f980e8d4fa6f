/**
 * The other side of every measurement of the `message` suite, and how the two sides talk: started as a worker
 * thread for our endpoints and for MessagePort, as a process for pipes.
 */
import { openSync, readSync, writeSync } from "node:fs";
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { TypedMemory, u32 } from "../../src/memory/index.ts";
import {
  Endpoint,
  message,
  rawMessage,
  rawRequest,
  request,
  SharedTransport,
} from "../../src/message/index.ts";

/** 16 bytes of fields, there and back. */
export const Small = request(
  "bench_small",
  { a: u32, b: u32, c: u32, d: u32 },
  { a: u32, b: u32, c: u32, d: u32 },
);
/** Bytes there and back. */
export const Echo = rawRequest("bench_echo");
/** One way. */
export const SmallNote = message("bench_small_note", { a: u32, b: u32, c: u32, d: u32 });
export const BytesNote = rawMessage("bench_bytes_note");
/** How the other side waits from now on. */
export const Wait = message("bench_wait", { how: u32 });

/** How our partner waits for messages: looking all the time, or asleep until its doorbell rings. */
export const waiting = { awake: 0, parked: 1, finished: 2 } as const;

/** What the two sides of one measurement share. */
export interface SharedSetting {
  readonly kind: "shared";
  readonly memory: SharedArrayBuffer;
  /** A doorbell word for each address. */
  readonly bells: SharedArrayBuffer;
}
export interface PortSetting {
  readonly kind: "port";
}

/** An endpoint whose doorbell is a word that a parked thread waits on. */
export function endpointOn({ memory, bells }: SharedSetting, address: number): Endpoint {
  const words = new Int32Array(bells);
  const doorbell = {
    ring(target: number): void {
      Atomics.add(words, target, 1);
      Atomics.notify(words, target);
    },
  };
  return new Endpoint({
    transports: [new SharedTransport({ memory: TypedMemory.attach(memory), address, doorbell })],
    now_ns: () => performance.now() * 1e6,
    pause: () => Atomics.pause(),
  });
}

/** Answers requests of our endpoints until told to stop. */
function answerShared(setting: SharedSetting): void {
  const endpoint = endpointOn(setting, 1);
  const bells = new Int32Array(setting.bells);
  let how: number = waiting.awake;
  endpoint.serve(Small, (value) => value);
  endpoint.serve(Echo, (bytes) => bytes);
  endpoint.handle(SmallNote, () => {});
  endpoint.handle(BytesNote, () => {});
  endpoint.handle(Wait, (value) => {
    how = value.how;
  });
  parentPort?.postMessage("ready");
  while (how !== waiting.finished) {
    if (how === waiting.parked) {
      const seen = Atomics.load(bells, 1);
      if (endpoint.drain() === 0) Atomics.wait(bells, 1, seen);
      continue;
    }
    endpoint.mask();
    while (how === waiting.awake) if (!endpoint.poll()) Atomics.pause();
    endpoint.unmask();
  }
}

/** Sends every message back; a number is how many messages to swallow before the next answer. */
function answerPort(port: MessagePort): void {
  let swallow = 0;
  port.on("message", (received: Uint8Array | number) => {
    if (typeof received === "number") {
      swallow = received;
    } else if (swallow > 0) {
      if (--swallow === 0) port.postMessage(received);
    } else port.postMessage(received);
  });
}

/** Answers over two named pipes: `echo` sends back every `size` bytes, `swallow` a byte after each `count` bytes. */
function answerPipe(mode: string, size: number): void {
  const input = openSync(process.argv[4], "r");
  const output = openSync(process.argv[5], "w");
  const buffer = new Uint8Array(mode === "echo" ? size : 65536);
  let left = size;
  for (;;) {
    const got = readSync(input, buffer);
    if (got === 0) return;
    left -= got;
    if (left > 0) continue;
    left = size;
    writeSync(output, buffer, 0, mode === "echo" ? size : 1);
  }
}

if (!isMainThread) {
  const setting = workerData as SharedSetting | PortSetting;
  if (setting.kind === "shared") answerShared(setting);
  else if (parentPort !== null) answerPort(parentPort);
} else if (process.argv[2] === "echo" || process.argv[2] === "swallow") {
  answerPipe(process.argv[2], Number(process.argv[3]));
}
