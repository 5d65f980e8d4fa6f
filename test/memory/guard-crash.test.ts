/** Users of a memory that end at any access to it: what they leave behind can be cleaned up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type MemoryGuard, struct, TypedMemory, u32 } from "../../src/memory/index.ts";

const Item = struct("Item", { value: u32 });

class Death extends Error {}

/** Lets so many accesses pass; whoever makes the next one is gone, and so is its every later access. */
class FatalGuard implements MemoryGuard {
  left = Number.POSITIVE_INFINITY;
  access(): void {
    if (this.left === 0) throw new Death();
    this.left--;
  }
}

/** Runs an action until it dies at its access number `at`. @returns false when it ends before that. */
function dies(guard: FatalGuard, at: number, action: () => void): boolean {
  guard.left = at;
  try {
    action();
    return false;
  } catch (error) {
    assert.ok(error instanceof Death);
    return true;
  }
}

test("a pool is put right behind a user that ended at any access to it", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(undefined, 1, 3),
      fc.integer({ min: 3, max: 9 }),
      fc.array(fc.nat(3), { minLength: 1, maxLength: 5 }),
      (poolGroups, capacity, actions) => {
        for (let at = 0; ; at++) {
          const guard = new FatalGuard();
          const buffer = new SharedArrayBuffer(1 << 18);
          const mine = TypedMemory.format(buffer, { poolGroups }).createPool("items", Item, {
            count: capacity,
          });
          const pool = TypedMemory.attach(buffer, { guard, poolGroup: 1 }).attachPool("items", Item);
          const kept = [mine.allocate(1), mine.allocate(1)];
          const held: number[] = [];
          const died = dies(guard, at, () => {
            for (const action of actions) {
              const index = action > 0 ? pool.allocate(2) : (held.shift() ?? -1);
              if (index < 0) continue;
              if (action > 0) held.push(index);
              else pool.free(index, 2);
            }
          });
          const found = mine.recover(2);
          // What it was just getting or giving back is either its own or free.
          for (const index of held) assert.ok(found.includes(index));
          assert.equal(mine.used(), kept.length + found.length);
          for (const index of found) mine.free(index, 1);
          const rest = Array.from({ length: capacity - kept.length }, () => mine.allocate(1));
          assert.deepEqual(
            [...kept, ...rest].sort((a, b) => a - b),
            Array.from({ length: capacity }, (_, n) => n + 1),
          );
          assert.equal(mine.allocate(1), -1);
          if (!died) return;
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("an area is there whole or not at all behind a user that ended at any access to the directory", () => {
  let moments = 0;
  for (let at = 0; ; at++) {
    const guard = new FatalGuard();
    const buffer = new SharedArrayBuffer(1 << 16);
    const mine = TypedMemory.format(buffer, { areasMax: 8 });
    mine.create("old", Item, { count: 30 }).setValue(29, 7);
    const theirs = TypedMemory.attach(buffer, { guard });
    const died = dies(guard, at, () => {
      theirs.create("new", Item, { count: 50 });
      theirs.remove("old");
      theirs.create("last", Item, { count: 3 });
    });
    mine.recover(theirs.user);
    const names = mine.areas().map(({ name }) => name);
    for (const name of names) mine.attachArea(name, Item);
    assert.ok(names.includes("new") || names.includes("old"));
    if (!names.includes("new")) mine.create("new", Item, { count: 50 });
    assert.equal(mine.attachArea("new", Item).value(49), 0);
    if (names.includes("old")) assert.equal(mine.attachArea("old", Item).value(29), 7);
    for (const { name } of mine.areas()) mine.remove(name);
    moments++;
    if (!died) break;
  }
  assert.ok(moments > 50);
});
