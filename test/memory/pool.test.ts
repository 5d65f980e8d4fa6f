import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AttachError, lock, PoolError, struct, TypedMemory, u32 } from "../../src/memory/index.ts";

const Item = struct("Item", { value: u32 });

function freshMemory(): TypedMemory {
  return TypedMemory.format(new SharedArrayBuffer(1 << 16));
}

test("a pool hands out each index once, never 0, and takes them back", () => {
  const step = fc.oneof(
    fc.constant("allocate" as const),
    fc.nat(20).map((choice) => choice),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 80 }), (capacity, steps) => {
      const memory = freshMemory();
      const pool = memory.createPool("items", Item, { count: capacity });
      const other = TypedMemory.attach(memory.buffer).attachPool("items", Item);
      const held: number[] = [];
      for (const action of steps) {
        if (action === "allocate") {
          const index = pool.allocate(3);
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
    }),
    { numRuns: 100 },
  );
});

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

function poolControl() {
  return struct("PoolControl", { mutex: lock() });
}
