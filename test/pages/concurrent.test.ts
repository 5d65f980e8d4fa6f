/** The page allocator used by real threads at once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { TypedMemory } from "../../src/memory/index.ts";
import { Pages, page_bytes } from "../../src/services/pages/index.ts";

test("three threads allocate and free at random; no page is ever held twice and none is lost", async () => {
  const base = 1 << 20;
  const count = 1500;
  const buffer = new SharedArrayBuffer(base + count * page_bytes);
  const memory = TypedMemory.format(buffer, { byteLength: base });
  const pages = Pages.create(memory, { name: "pages", base, count, owner: 1 });
  const workers = [2, 3, 4].map(
    (owner) =>
      new Worker(new URL("./hammer.worker.ts", import.meta.url), {
        workerData: { buffer, owner, rounds: 40_000 },
      }),
  );
  const clashes = await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0]));
  await Promise.all(workers.map((worker) => worker.terminate()));
  assert.deepEqual(clashes, [0, 0, 0]);
  assert.equal(pages.used(), 0);
  assert.ok(pages.allocate(10) >= 0);
});

test("a thread that is ended anywhere, with the lock or without, leaves an allocator that goes on", async () => {
  const base = 1 << 20;
  const count = 800;
  for (let round = 0; round < 6; round++) {
    const buffer = new SharedArrayBuffer(base + count * page_bytes);
    const memory = TypedMemory.format(buffer, { byteLength: base });
    const pages = Pages.create(memory, { name: "pages", base, count, owner: 1 });
    const worker = new Worker(new URL("./hammer.worker.ts", import.meta.url), {
      workerData: { buffer, owner: 2, rounds: 1e9 },
    });
    await once(worker, "online");
    while (pages.used() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, 2 + round));
    await worker.terminate();
    pages.recover(2);
    const usedBefore = pages.used();
    const offsets: number[] = [];
    for (let offset = pages.allocate(0); offset >= 0; offset = pages.allocate(0)) offsets.push(offset);
    assert.equal(new Set(offsets).size, count - usedBefore);
    for (const offset of offsets) pages.free(offset, 0);
    assert.equal(pages.used(), usedBefore);
  }
});
