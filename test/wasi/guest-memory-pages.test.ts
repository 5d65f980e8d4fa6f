/** System calls ask for the pages of a memory that comes page by page, before they look at it or write to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { GuestMemory } from "../../src/wasi/guest-memory.ts";
import type { WasiProcess } from "../../src/wasi/services.ts";

const size_bytes = 65_536;

/** A process whose pages are noted when they are asked for; what it has to do with nothing else. */
function pagedProcess(): { process: WasiProcess; bytes: Uint8Array; asked: [number, number][] } {
  const bytes = new Uint8Array(new SharedArrayBuffer(size_bytes));
  const asked: [number, number][] = [];
  const paging = { ensure: (address: number, length: number) => void asked.push([address, length]) };
  return { process: { bytes, paging } as unknown as WasiProcess, bytes, asked };
}

test("every check of a range asks for its pages, if the range is memory", () => {
  const { process, asked } = pagedProcess();
  const memory = new GuestMemory(process);
  assert.ok(memory.holds(100, 5000));
  assert.ok(memory.holdsWord(size_bytes - 4));
  assert.ok(memory.holdsQuantity(8));
  assert.deepEqual(asked, [
    [100, 5000],
    [size_bytes - 4, 4],
    [8, 8],
  ]);
  assert.ok(!memory.holds(size_bytes - 1, 2));
  assert.ok(!memory.holdsWord(size_bytes - 3));
  assert.equal(asked.length, 3);
});

test("a list of buffers and the buffers are asked for, the list first", () => {
  const { process, bytes, asked } = pagedProcess();
  const memory = new GuestMemory(process);
  const words = new Uint32Array(bytes.buffer);
  words.set([4000, 300, 9000, 0, 20_000, 7], 4);
  assert.equal(memory.readVectors(16, 1), 300);
  assert.deepEqual(asked.splice(0), [
    [16, 8],
    [4000, 300],
  ]);
  assert.equal(memory.readVectors(16, 3), 307);
  assert.deepEqual(asked.splice(0), [
    [16, 24],
    [4000, 300],
    [9000, 0],
    [20_000, 7],
  ]);
  words.set([size_bytes, 1], 4);
  assert.equal(memory.readVectors(16, 1), -errno.FAULT);
  assert.deepEqual(asked, [[16, 8]]);
});
