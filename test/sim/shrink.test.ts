/** The shrinker: small results, few attempts, budgets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { shrink } from "../../src/simulation/shrink.ts";

test("finds the few items that matter among many", async () => {
  const items = Array.from({ length: 1000 }, (_, i) => i);
  const wanted = [3, 500, 501, 999];
  const found = await shrink(items, (list) => wanted.every((item) => list.includes(item)));
  assert.deepEqual(found.items, wanted);
  assert.ok(found.minimal);
  assert.ok(found.attempts < 200, `${found.attempts} attempts`);
});

test("makes items simpler, and then leaves more out", async () => {
  const fails = (list: readonly number[]) =>
    list.reduce((sum, item) => sum + item, 0) >= 20 && list.length < 50;
  const simplify = (item: number) => (item > 1 ? [Math.floor(item / 2), item - 1] : []);
  const found = await shrink([40, 3, 9, 33], async (list) => fails(list), { simplify });
  assert.deepEqual(found.items, [20]);
  assert.ok(found.minimal);
});

test("keeps to its budget, and gives the smallest failing list so far", async () => {
  let calls = 0;
  const items = Array.from({ length: 64 }, (_, i) => i);
  const fails = (list: readonly number[]): boolean => {
    calls++;
    return list.includes(7) && list.includes(50);
  };
  const found = await shrink(items, fails, { attempts_max: 10 });
  assert.equal(calls, 10);
  assert.equal(found.attempts, 10);
  assert.ok(!found.minimal);
  assert.ok(found.items.length < 64 && found.items.includes(7) && found.items.includes(50));
});

test("an empty list that fails is the smallest", async () => {
  assert.deepEqual((await shrink([1, 2, 3], () => true)).items, []);
  assert.deepEqual((await shrink([], () => true)).items, []);
});

test("results fail, and no item of them can be left out", async () => {
  const needs = fc.array(fc.uniqueArray(fc.nat(30), { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(needs, async (groups) => {
      const fails = (list: readonly number[]) =>
        groups.some((group) => group.every((item) => list.includes(item)));
      const { items, minimal } = await shrink(
        Array.from({ length: 31 }, (_, i) => i),
        fails,
      );
      assert.ok(minimal && fails(items));
      for (const index of items.keys()) assert.ok(!fails(items.toSpliced(index, 1)));
    }),
  );
});
