/** A thread at one end of a pipe: moves a known stream of bytes in pieces of random sizes, sleeping when it must. */
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { errno } from "../../src/kernel/errno.ts";
import { Island, Rig } from "./rig.ts";

export interface PipeEndAssignment {
  readonly buffer: SharedArrayBuffer;
  readonly role: "read" | "write";
  readonly file: number;
  /** Thread record this worker sleeps as, and its owner number. */
  readonly thread: number;
  readonly owner: number;
  readonly seed: number;
  readonly total_bytes: number;
}

/** Longer than any hiccup of the machine: a sleep that lasts this long is a wake-up that was lost. */
const lostWakeup_ms = 20_000;

const { buffer, role, file, thread, owner, seed, total_bytes } = workerData as PipeEndAssignment;
const island = new Island(buffer);
const rig = new Rig(island, owner);
const threads = island.areas.threads.records;
island.wake = (woken) => {
  threads.setWakePending(woken, 1);
  threads.notifyWakePending(woken);
};

/** Repeats a call that gives −AGAIN, as the system call layer does. */
function blocking(queue: number, call: () => number): number {
  for (;;) {
    const first = call();
    if (first !== -errno.AGAIN) return first;
    threads.setWakePending(thread, 0);
    rig.waits.waitOn(thread, queue);
    const second = call();
    if (second === -errno.AGAIN) {
      assert.notEqual(threads.waitWakePending(thread, 0, lostWakeup_ms), "timed-out", "a wake-up was lost");
    }
    rig.waits.waitDone(thread);
    if (second !== -errno.AGAIN) return second;
  }
}

let state = seed;
function random(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state % limit;
}

const piece = new Uint8Array(100_000);
let moved = 0;
while (moved < total_bytes) {
  const length = Math.min(total_bytes - moved, 1 + random(random(4) === 0 ? 100_000 : 300));
  if (role === "write") {
    for (let index = 0; index < length; index++) piece[index] = (moved + index) % 247;
    const count = blocking(rig.files.writeQueue(file), () => rig.files.write(file, piece, 0, length));
    assert.ok(count > 0);
    moved += count;
  } else {
    const count = blocking(rig.files.readQueue(file), () => rig.files.read(file, piece, 0, length));
    if (count === 0) break;
    for (let index = 0; index < count; index++) assert.equal(piece[index], (moved + index) % 247);
    moved += count;
  }
}
rig.files.release(file);
parentPort?.postMessage(moved);
