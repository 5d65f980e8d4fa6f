import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  AttachError,
  bytes,
  lock,
  type MemoryGuard,
  type MemoryOptions,
  PoolError,
  struct,
  TypedMemory,
  u32,
} from "../../src/memory/index.ts";

const Item = struct("Item", { value: u32 });

function freshMemory(options: MemoryOptions = {}): TypedMemory {
  return TypedMemory.format(new SharedArrayBuffer(1 << 18), options);
}

const step = fc.oneof(
  fc.constant("allocate" as const),
  fc.nat(20).map((choice) => choice),
);

for (const groups of [undefined, 1, 2, 5]) {
  const kind = groups === undefined ? "a pool" : `a pool of ${groups} groups`;
  test(`${kind} hands out each index once, never 0, and takes them back`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 80 }),
        fc.nat(5),
        (capacity, steps, poolGroup) => {
          const memory = freshMemory();
          const pool = memory.createPool("items", Item, { count: capacity, groups });
          const other = TypedMemory.attach(memory.buffer, { poolGroup }).attachPool("items", Item);
          const held: number[] = [];
          for (const action of steps) {
            if (action === "allocate") {
              const index = held.length % 2 === 0 ? pool.allocate(3) : other.allocate(3);
              if (held.length === capacity) {
                assert.equal(index, -1);
              } else {
                assert.ok(index >= 1 && index <= capacity && !held.includes(index));
                held.push(index);
              }
            } else if (held.length > 0) {
              const [index] = held.splice(action % held.length, 1);
              other.free(index, 4);
              assert.throws(() => pool.free(index, 4), PoolError);
            }
            assert.equal(other.used(), held.length);
            assert.equal(other.capacity, capacity);
            for (let index = 0; index <= capacity; index++)
              assert.equal(pool.ownerOf(index), held.includes(index) ? 3 : 0);
          }
        },
      ),
      { numRuns: groups === undefined ? 100 : 50 },
    );
  });
}

test("wrong indices and double frees are errors that name the pool", () => {
  const pool = freshMemory().createPool("items", Item, { count: 4 });
  for (const index of [0, -1, 5, 1.5, Number.NaN]) {
    assert.throws(() => pool.free(index, 1), {
      name: "PoolError",
      message: `pool items: ${index} is not an index that it hands out (1 to 4)`,
    });
  }
  const index = pool.allocate(1);
  pool.free(index, 1);
  assert.throws(() => pool.free(index, 1), {
    name: "PoolError",
    message: `pool items: record ${index} is freed twice, it is not in use`,
  });
  assert.throws(() => pool.allocate(0), { name: "LockError" });
  assert.equal(pool.used(), 0);
});

test("records keep what the last user left, and are reached through the accessor", () => {
  const pool = freshMemory().createPool("items", Item, { count: 4 });
  const index = pool.allocate(1);
  pool.records.setValue(index, 42);
  pool.free(index, 1);
  assert.equal(pool.allocate(2), index, "the last freed is the next allocated: it is in the cache");
  assert.equal(pool.records.value(index), 42);
});

test("attaching to something that is not a pool says so", () => {
  const memory = freshMemory();
  memory.create("plain", Item, { count: 4 });
  assert.throws(
    () => memory.attachPool("plain", Item),
    (error: unknown) => error instanceof AttachError && /area plain is not a pool/.test(error.message),
  );
  assert.throws(() => memory.attachPool("nothing", Item), AttachError);
});

test("a removed pool leaves nothing behind", () => {
  const memory = freshMemory();
  const free = memory.freeBytes();
  memory.createPool("items", Item, { count: 4 });
  memory.removePool("items");
  assert.deepEqual(memory.areas(), []);
  assert.equal(memory.freeBytes(), free);
});

test("a pool that cannot be created whole leaves nothing behind", () => {
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 16), { areasMax: 2 });
  assert.throws(() => memory.createPool("items", Item, { count: 4 }), { name: "AreaError" });
  assert.deepEqual(memory.areas(), []);
});

test("a survivor cleans up behind an owner that died inside the pool", () => {
  const memory = freshMemory();
  const pool = memory.createPool("items", Item, { count: 5 });
  const slots = memory.attachArea("items.slots", struct("PoolSlot", { word: u32 }));
  const mine = pool.allocate(1);
  const theirs = pool.allocate(2);
  // Owner 2 dies in the middle of a second allocation: slot marked, list and count not yet.
  const next = pool.allocate(2);
  pool.free(next, 2);
  slots.setWord(next, 0x80000000 | 2);
  const control = memory.attachArea("items.pool", poolControl());
  control.acquireMutex(0, 2);

  assert.deepEqual(pool.recover(2), [theirs, next].sort());
  assert.equal(pool.used(), 3);
  for (const index of [theirs, next]) pool.free(index, 1);
  const rest = [pool.allocate(1), pool.allocate(1), pool.allocate(1), pool.allocate(1)];
  assert.deepEqual([mine, ...rest].sort(), [1, 2, 3, 4, 5]);
  assert.equal(pool.allocate(1), -1);
  assert.deepEqual(pool.recover(2), []);
});

/** Pages that were touched since it was last asked. */
class PageRecorder implements MemoryGuard {
  #pages = new Set<number>();
  access(offset: number, length: number): void {
    for (let page = offset >>> 12; page <= (offset + length - 1) >>> 12; page++) this.#pages.add(page);
  }
  take(): Set<number> {
    const pages = this.#pages;
    this.#pages = new Set();
    return pages;
  }
}

test("users of different groups touch no page in common until one group is used up", () => {
  for (const size of [4, 60, 300, 1500, 4096, 5000]) {
    const groups = 3;
    const Record = struct("Record", { content: bytes(size) });
    const guard = new PageRecorder();
    const buffer = new SharedArrayBuffer(4 << 20);
    const capacity = size === 4 ? 6000 : 50;
    const memory = TypedMemory.format(buffer, { guard, poolGroups: groups });
    memory.create("before", Item, { count: 1 });
    memory.createPool("records", Record, { count: capacity });
    const after = memory.create("after", Item, { count: 1 });
    const touched = [0, 1, 2].map((poolGroup) => {
      const pool = TypedMemory.attach(buffer, { guard, poolGroup }).attachPool("records", Record);
      const indices = Array.from({ length: Math.floor(capacity / 4) }, () => pool.allocate(1 + poolGroup));
      guard.take();
      for (const index of indices) {
        pool.records.setContent(index, Uint8Array.of(1));
        pool.free(index, 1 + poolGroup);
      }
      for (let count = 0; count < indices.length; count++) indices[count] = pool.allocate(1 + poolGroup);
      assert.ok(indices.every((index) => index > 0));
      return guard.take();
    });
    const all = touched.flatMap((pages) => [...pages]);
    assert.equal(new Set(all).size, all.length, `records of ${size} bytes`);
    after.setValue(0, 1);
    assert.ok(![...guard.take()].some((page) => all.includes(page)), "nor does anything else");
  }
});

test("a group that is used up borrows from the others, and gets back only what is its own", () => {
  const memory = freshMemory({ poolGroups: 2 });
  const Wide = struct("Wide", { content: bytes(2048) });
  const pool = memory.createPool("wide", Wide, { count: 7 });
  const own = [pool.allocate(1, 0), pool.allocate(1, 0), pool.allocate(1, 0)];
  assert.deepEqual(own, [1, 2, 3]);
  const borrowed = pool.allocate(1, 0);
  assert.equal(borrowed, 4);
  pool.free(borrowed, 1);
  pool.free(2, 1);
  assert.equal(pool.allocate(1, 1), borrowed);
  assert.equal(pool.allocate(1, 0), 2);
});

test("a survivor cleans up behind an owner that died inside several groups", () => {
  const memory = freshMemory({ poolGroups: 3 });
  const Wide = struct("Wide", { content: bytes(1000) });
  const pool = memory.createPool("wide", Wide, { count: 20 });
  const control = memory.attachArea("wide.pool", poolControl());
  const slots = memory.attachArea("wide.slots", struct("PoolSlot", { word: u32 }));
  const held = [0, 1, 2].map((group) => pool.allocate(2, group));
  pool.free(held[1], 2);
  // Marked again, list and count not yet: the middle of an allocation. The slots of each group have pages to themselves.
  slots.setWord(1024 + held[1] - 8, 0x80000000 | 2);
  assert.equal(pool.ownerOf(held[1]), 2);
  control.acquireMutex(0, 2);
  control.acquireMutex(1, 2);
  assert.deepEqual(pool.recover(2), held);
  assert.equal(pool.used(), 3);
  const rest = Array.from({ length: 17 }, () => pool.allocate(1));
  assert.deepEqual(
    [...held, ...rest].sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
  assert.equal(pool.allocate(1), -1);
});

test("a pool cannot have no groups", () => {
  for (const groups of [0, -1, 1.5, Number.NaN, 100_000]) {
    assert.throws(() => freshMemory().createPool("items", Item, { count: 4, groups }), { name: "AreaError" });
  }
});

function poolControl() {
  return struct("PoolControl", { mutex: lock() });
}
