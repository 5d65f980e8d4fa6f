/**
 * A memory in which nothing is valid that was not announced: the buffer holds noise, and only what the last call of
 * `access` named is there, until the next call. Code that reads a byte without saying so reads noise; code that writes
 * one without saying so is found by `contents`.
 */
import assert from "node:assert/strict";
import type { MemoryGuard } from "../../../src/memory/index.ts";

export class ScrambledMemory implements MemoryGuard {
  readonly buffer: SharedArrayBuffer;
  /** How often something was announced. */
  accesses = 0;
  readonly #bytes: Uint8Array;
  /** What the memory really holds. */
  readonly #truth: Uint8Array;
  readonly #noise: Uint8Array;
  #offset = 0;
  #length = 0;
  #write = false;

  /** Hides what a buffer holds. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#truth = this.#bytes.slice();
    this.#noise = noiseOf(buffer.byteLength);
    this.#bytes.set(this.#noise);
  }

  access(offset: number, length: number, write: boolean): void {
    const end = offset + length;
    assert.ok(
      Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0,
      `${length} bytes at ${offset}`,
    );
    assert.ok(end <= this.#bytes.length, `${length} bytes at ${offset} are outside the memory`);
    assert.equal(typeof write, "boolean");
    this.settle();
    this.accesses++;
    this.#bytes.set(this.#truth.subarray(offset, end), offset);
    this.#offset = offset;
    this.#length = length;
    this.#write = write;
  }

  /** Takes everything away again, as if the page had gone to another core. */
  settle(): void {
    const start = this.#offset;
    const end = start + this.#length;
    const now = this.#bytes.subarray(start, end);
    if (this.#write) this.#truth.set(now, start);
    else
      for (let at = start; at < end; at++)
        assert.equal(this.#bytes[at], this.#truth[at], `byte ${at} was written, but announced to be read`);
    now.set(this.#noise.subarray(start, end));
    this.#length = 0;
  }

  /** What the memory holds; others may change it there while nothing is announced. */
  contents(): Uint8Array {
    this.settle();
    if (Buffer.compare(this.#bytes, this.#noise) !== 0) {
      const at = this.#bytes.findIndex((byte, position) => byte !== this.#noise[position]);
      assert.fail(`byte ${at} was written without being announced`);
    }
    return this.#truth;
  }
}

/** Bytes that look like nothing in particular, and the same in every run. */
function noiseOf(length: number): Uint8Array {
  const noise = new Uint8Array(length);
  let state = 0x9e3779b9;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    noise[at] = state >>> 24;
  }
  return noise;
}
