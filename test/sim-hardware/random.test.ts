import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Random } from "../../src/machine/sim/random.ts";

function draw(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.next());
}

test("a seed gives the same numbers on every run and every machine", () => {
  assert.deepEqual(draw(new Random(1), 4), recorded);
  assert.deepEqual(draw(new Random("1"), 4), recorded);
});

const recorded = [1280729468, 2964191263, 1452072946, 1247393332];

test("different seeds and names give different streams", () => {
  const streams = new Set<string>();
  for (let seed = 0; seed < 2000; seed++) {
    const random = new Random(seed);
    for (const stream of [random, random.fork("mail"), random.fork("power"), random.fork("mail").fork("x")]) {
      streams.add(draw(stream, 2).join());
    }
  }
  assert.equal(streams.size, 8000);
});

test("a fork depends on the seed and its name, not on what was drawn", () => {
  const left = new Random(7);
  const right = new Random(7);
  draw(left, 13);
  assert.deepEqual(draw(left.fork("a"), 5), draw(right.fork("a"), 5));
  assert.notDeepEqual(draw(right.fork("a"), 5), draw(right.fork("b"), 5));
});

test("below and between keep their bounds, and reach both ends", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: -50, max: 50 }), fc.nat(8), (seed, low, span) => {
      const random = new Random(seed);
      const seen = new Set<number>();
      for (let count = 0; count < 300; count++) {
        const value = random.between(low, low + span);
        assert.ok(value >= low && value <= low + span && Number.isInteger(value));
        seen.add(value);
      }
      assert.equal(seen.size, span + 1);
    }),
    { numRuns: 50 },
  );
});

test("large bounds work up to 2^53", () => {
  const random = new Random("large");
  for (const bound of [2 ** 32 - 1, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    let largest = 0;
    for (let count = 0; count < 200; count++) {
      const value = random.below(bound);
      assert.ok(Number.isSafeInteger(value) && value >= 0 && value < bound);
      largest = Math.max(largest, value);
    }
    assert.ok(largest > bound * 0.9);
  }
});

test("values are spread evenly", () => {
  const random = new Random(42);
  const counts = new Array<number>(16).fill(0);
  const draws = 160_000;
  for (let count = 0; count < draws; count++) counts[random.below(16)]++;
  // Chi-squared with 15 degrees of freedom: above 45 happens once in ten thousand times.
  const expected = draws / 16;
  const deviation = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(deviation < 45, `chi-squared ${deviation}`);
  let sum = 0;
  for (let count = 0; count < draws; count++) sum += random.unit();
  assert.ok(Math.abs(sum / draws - 0.5) < 0.005);
  let hits = 0;
  for (let count = 0; count < draws; count++) if (random.chance(0.3)) hits++;
  assert.ok(Math.abs(hits / draws - 0.3) < 0.01);
});

test("certain outcomes draw nothing", () => {
  const random = new Random(3);
  assert.equal(random.chance(0), false);
  assert.equal(random.chance(1), true);
  assert.deepEqual(draw(random, 2), draw(new Random(3), 2));
});

test("bounds that hold no integer are refused", () => {
  const random = new Random(1);
  for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 60]) assert.throws(() => random.below(bound), RangeError);
});

test("shuffle keeps the items, fill fills every length", () => {
  const random = new Random(9);
  const items = Array.from({ length: 50 }, (_, index) => index);
  random.shuffle(items);
  assert.notDeepEqual(
    items,
    items.toSorted((left, right) => left - right),
  );
  assert.equal(new Set(items).size, 50);
  const bytes = new Uint8Array(1001);
  random.fill(bytes);
  assert.ok(new Set(bytes).size > 200);
  assert.ok(bytes.subarray(-9).some((byte) => byte !== 0));
});
