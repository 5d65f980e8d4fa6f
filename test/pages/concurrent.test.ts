/** The page allocators used by real threads at once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Ram } from "../../src/machine/ram.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { IndependentPages, Pages, page_bytes, pageUser, UserPages } from "../../src/services/pages/index.ts";
import { checkPages } from "./support/check.ts";

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

/** Two kernels with allocators of their own, and three cores that use them: two of the first, one of the other. */
class Island {
  readonly base = 4 << 20;
  readonly blockOrder = 8;
  readonly count = 12 << this.blockOrder;
  readonly buffer = new SharedArrayBuffer(this.base + this.count * page_bytes);
  readonly memory = TypedMemory.format(this.buffer, { byteLength: this.base });
  readonly exchange = new Int32Array(new SharedArrayBuffer(4 * 300));
  readonly stop = new Int32Array(new SharedArrayBuffer(8));
  readonly workers: Worker[];

  constructor(rounds: number) {
    const { base, count, blockOrder, buffer, exchange, stop } = this;
    IndependentPages.create(this.memory, { name: "pages", base, count, kernels: 2, blockOrder });
    UserPages.create(this.memory, "user", 1000);
    this.workers = [0, 0, 1].map(
      (kernel, which) =>
        new Worker(new URL("./independent-hammer.worker.ts", import.meta.url), {
          workerData: { buffer, exchange, stop, owner: which + 2, kernel, rounds },
        }),
    );
  }

  attach(kernel: number, owner: number): { pages: IndependentPages; user: UserPages } {
    const pages = IndependentPages.attach(this.memory, { name: "pages", kernel, owner });
    const user = UserPages.attach(this.memory, { name: "user", owner, ram: new Ram(this.buffer), pages });
    pages.registerMover(pageUser.userPages, user.mover);
    return { pages, user };
  }

  /** Frees what the cores have left. @returns how many blocks are in nobody's hands. */
  end(): number {
    // The last frees may have found the other kernel's lock held; whoever runs on executes them.
    const { pages, user } = this.attach(0, 1);
    pages.tick();
    this.attach(1, 5).pages.tick();
    for (const what of this.exchange) {
      if (what > 0) user.release(what);
      else if (what < 0) pages.free((what & 0x7fffffff) * page_bytes, 0);
    }
    return checkPages(this.memory).length;
  }
}

test("two cores of one kernel and one of another allocate, move, pass on and free blocks at the same time", async () => {
  const island = new Island(8000);
  const { workers } = island;
  const results = await Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0]));
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (const { clashes, inflated, faults } of results) {
    assert.equal(clashes, 0);
    assert.deepEqual(faults, []);
    assert.ok(inflated > 0);
  }
  assert.equal(island.end(), 0);
});

test("cores that are ended anywhere leave allocators with which the others go on", async () => {
  for (let round = 0; round < 5; round++) {
    const island = new Island(1e9);
    const [first, second, third] = island.workers;
    const survivor = once(first, "message");
    while (Atomics.load(island.stop, 1) < 3 || island.exchange.filter((what) => what !== 0).length < 200) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setTimeout(resolve, 2 + round));
    await Promise.all([second.terminate(), third.terminate()]);
    const { pages, user } = island.attach(0, 1);
    for (const [owner, kernel] of [
      [3, -1],
      [4, 1],
    ]) {
      pages.recover(owner, kernel);
      user.recover(owner);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    Atomics.store(island.stop, 0, 1);
    const [{ clashes, faults }] = await survivor;
    await first.terminate();
    // What the survivor kept the other from repairing.
    pages.tick();
    assert.equal(clashes, 0);
    assert.deepEqual(faults, []);
    // Each of the two may have had a block in its hands on the way to and from the others.
    const lost = island.end();
    assert.ok(lost <= 4, `${lost} blocks are lost`);
  }
});
