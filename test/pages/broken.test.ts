/** Tests of the tests: allocators that are broken on purpose are found out by the model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ram } from "../../src/machine/ram.ts";
import { BlockTable } from "../../src/services/pages/block-table.ts";
import { LocalAllocator } from "../../src/services/pages/local-allocator.ts";
import { RedirectedFrees } from "../../src/services/pages/redirected-frees.ts";
import { death, Model, type Step, step } from "./support/model.ts";

const stepsAndDeaths = fc.oneof(
  { weight: 12, arbitrary: step as fc.Arbitrary<Step> },
  { weight: 1, arbitrary: death },
);

/** Whether the model finds something wrong within some runs, while a method is replaced. */
function isFound<Class extends object, Name extends keyof Class>(
  prototype: Class,
  name: Name,
  broken: (whole: Class[Name]) => Class[Name],
  numRuns = 500,
): boolean {
  const whole = prototype[name];
  prototype[name] = broken(whole);
  try {
    const property = fc.property(fc.array(stepsAndDeaths, { maxLength: 150, size: "max" }), (all) => {
      const model = new Model(3);
      for (const one of all) model.run(one);
      model.end();
    });
    return fc.check(property, { numRuns, endOnFailure: true }).failed;
  } finally {
    prototype[name] = whole;
  }
}

test("a free that is executed each time it arrives", () => {
  assert.ok(
    isFound(LocalAllocator.prototype, "giveForLocked", () => {
      return function (this: LocalAllocator, _kernel, _sequence, page, order) {
        this.unlock();
        const why = this.give(page, order);
        this.lock();
        return why;
      };
    }),
  );
});

test("frees of a dead kernel that nobody executes", () => {
  assert.ok(isFound(RedirectedFrees.prototype, "takeOverLocked", () => () => true));
});

test("page blocks of a dead kernel that nobody takes over", () => {
  assert.ok(isFound(LocalAllocator.prototype, "adoptBlock", () => () => {}));
});

test("page blocks given up while something in them is allocated", () => {
  assert.ok(isFound(LocalAllocator.prototype, "nextAllocated", () => () => -1));
});

test("page blocks that are taken without looking whether they are free", () => {
  assert.ok(isFound(BlockTable.prototype, "claim", () => (_kernel, end) => (end === "low" ? 0 : 8)));
});

test("a block that is moved without its contents", () => {
  assert.ok(isFound(Ram.prototype, "copyIn", () => () => {}));
});

test("a move that keeps both places", () => {
  assert.ok(isFound(LocalAllocator.prototype, "finishMove", () => () => {}));
});

test("nothing is found in what is not broken", () => {
  assert.ok(!isFound(LocalAllocator.prototype, "give", (whole) => whole, 50));
});
