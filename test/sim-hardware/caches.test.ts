import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Caches } from "../../src/machine/sim/caches.ts";
import { cachePage_bytes } from "../../src/machine/soc.ts";

const size_bytes = 65_536;
const pageCount = size_bytes / cachePage_bytes;

function bytesOf(caches: Caches, island: number): Uint8Array {
  return new Uint8Array(caches.memory(island).buffer);
}

function write(caches: Caches, island: number, offset: number, value: number): void {
  caches.access(island, offset, 1, true);
  bytesOf(caches, island)[offset] = value;
}

function read(caches: Caches, island: number, offset: number): number {
  caches.access(island, offset, 1, false);
  return bytesOf(caches, island)[offset];
}

test("islands do not see what others have not cleaned, nor what they have not invalidated", () => {
  const caches = new Caches(size_bytes, 2);
  assert.equal(read(caches, 1, 5000), 0);
  write(caches, 0, 5000, 7);
  assert.equal(read(caches, 1, 5000), 0);
  assert.equal(caches.dram[5000], 0);
  assert.equal(caches.clean(0, 1), true);
  assert.equal(caches.clean(0, 1), false);
  assert.equal(caches.dram[5000], 7);
  assert.equal(read(caches, 1, 5000), 0, "a copy stays old until it is invalidated");
  caches.invalidate(1, 1);
  assert.equal(read(caches, 1, 5000), 7);
});

test("an invalidated page that was not cleaned is lost", () => {
  const caches = new Caches(size_bytes, 2);
  write(caches, 0, 0, 1);
  caches.invalidate(0, 0);
  assert.equal(read(caches, 0, 0), 0);
  assert.deepEqual(caches.statistics(0), { fills: 2, writeBacks: 0, losses: 1 });
});

test("power-down writes everything back, loss of power nothing", () => {
  const caches = new Caches(size_bytes, 2);
  write(caches, 0, 0, 1);
  write(caches, 0, cachePage_bytes, 2);
  assert.equal(caches.writeBackAll(0), 2);
  assert.equal(caches.isPresent(0, 0), false);
  assert.equal(read(caches, 0, cachePage_bytes), 2);
  write(caches, 0, 0, 3);
  assert.equal(caches.discardAll(0), 1);
  assert.equal(read(caches, 0, 0), 1);
});

test("one island alone has its memory as DRAM, and loses nothing", () => {
  const caches = new Caches(size_bytes, 1);
  write(caches, 0, 9, 4);
  assert.equal(caches.dram[9], 4);
  caches.dram[10] = 5;
  caches.invalidate(0, 0);
  assert.equal(read(caches, 0, 9), 4);
  assert.equal(read(caches, 0, 10), 5);
  assert.equal(caches.discardAll(0), 0);
  assert.equal(caches.statistics(0).losses, 0);
});

test("an access over a page border fetches both pages, and counts what it fetched", () => {
  const caches = new Caches(size_bytes, 2);
  assert.equal(caches.access(0, cachePage_bytes - 1, 2, true), 2);
  assert.equal(caches.access(0, cachePage_bytes - 1, 2, true), 0);
  assert.equal(caches.access(0, 0, 3 * cachePage_bytes, false), 1);
  assert.equal(caches.isDirty(0, 0) && caches.isDirty(0, 1), true);
  assert.equal(caches.isDirty(0, 2), false);
  assert.equal(caches.access(0, size_bytes, 0, true), 0);
});

test("accesses and pages outside the memory are refused", () => {
  const caches = new Caches(size_bytes, 2);
  for (const [offset, length] of [
    [-1, 1],
    [size_bytes, 1],
    [size_bytes - 1, 2],
    [0, -1],
    [Number.NaN, 1],
  ]) {
    assert.throws(() => caches.access(0, offset, length, false), RangeError);
  }
  for (const page of [-1, pageCount, Number.NaN]) {
    assert.throws(() => caches.clean(0, page), RangeError);
    assert.throws(() => caches.invalidate(0, page), RangeError);
  }
  for (const size of [0, 4096, 65_537, -65_536]) assert.throws(() => new Caches(size, 2), RangeError);
  assert.throws(() => new Caches(size_bytes, 0), RangeError);
});

type Action = readonly [
  what: "read" | "write" | "clean" | "invalidate" | "writeBackAll",
  island: number,
  page: number,
];

test("caches equal a model with a value per page and island", () => {
  const action: fc.Arbitrary<Action> = fc.tuple(
    fc.constantFrom("read", "write", "clean", "invalidate", "writeBackAll"),
    fc.nat(2),
    fc.nat(3),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const caches = new Caches(size_bytes, 3);
      const dram = [0, 0, 0, 0];
      const copies = [0, 1, 2].map(() => new Map<number, { value: number; dirty: boolean }>());
      const clean = (island: number, page: number) => {
        const copy = copies[island].get(page);
        if (copy?.dirty) dram[page] = copy.value;
        if (copy !== undefined) copy.dirty = false;
      };
      for (const [index, [what, island, page]] of actions.entries()) {
        const at = page * cachePage_bytes + 17;
        const mine = copies[island];
        if (what === "read" || what === "write") {
          const copy = mine.get(page) ?? { value: dram[page], dirty: false };
          mine.set(page, copy);
          assert.equal(read(caches, island, at), copy.value);
          if (what === "write") {
            write(caches, island, at, index + 1);
            copy.value = index + 1;
            copy.dirty = true;
          }
        } else if (what === "clean") {
          assert.equal(caches.clean(island, page), mine.get(page)?.dirty ?? false);
          clean(island, page);
        } else if (what === "invalidate") {
          caches.invalidate(island, page);
          mine.delete(page);
        } else {
          for (const each of [0, 1, 2, 3]) clean(island, each);
          mine.clear();
          caches.writeBackAll(island);
        }
        assert.deepEqual(
          [0, 1, 2, 3].map((each) => caches.dram[each * cachePage_bytes + 17]),
          dram,
        );
        assert.equal(caches.isDirty(island, page), mine.get(page)?.dirty ?? false);
        assert.equal(caches.isPresent(island, page), mine.has(page));
      }
    }),
    { numRuns: 200 },
  );
});

test("right software does not notice that a cache evicts and prefetches when it likes", () => {
  // Two islands take turns with a page: clean and invalidate on the way out, invalidate on the way in.
  const turn = fc.tuple(fc.nat(1), fc.nat(1), fc.boolean(), fc.boolean());
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 40 }), (turns) => {
      const caches = new Caches(size_bytes, 2);
      let owner = 0;
      let value = 0;
      for (const [next, victim, evict, prefetch] of turns) {
        if (next !== owner) {
          caches.clean(owner, 0);
          caches.invalidate(owner, 0);
          if (prefetch) caches.prefetch(1 - next, 0);
          caches.invalidate(next, 0);
          owner = next;
        }
        assert.equal(read(caches, owner, 0), value);
        value = (value + 1) & 0xff;
        write(caches, owner, 0, value);
        if (evict) caches.evict(victim, 0);
      }
    }),
  );
});
