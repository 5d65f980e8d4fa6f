/** Independent allocators against a model that knows every block, with kernels that die at any access to memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { death, Model, type Step, step } from "./support/model.ts";

function check(steps: fc.Arbitrary<Step>, late: number, numRuns: number): void {
  let moves = 0;
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 150, size: "max" }), (all) => {
      const model = new Model(late);
      for (const one of all) model.run(one);
      model.end();
      moves += model.moves;
    }),
    { numRuns },
  );
  assert.ok(moves > 0);
}

const steps = step as fc.Arbitrary<Step>;
const stepsAndDeaths = fc.oneof({ weight: 12, arbitrary: steps }, { weight: 1, arbitrary: death });
const runs = Number(process.env.PAGES_RUNS ?? 1);

test("no page is owned twice or lost, contents stay, and everything comes back", () => {
  check(steps, 0, 60 * runs);
});

test("nor when kernels die at any access to memory", () => {
  check(stepsAndDeaths, 0, 100 * runs);
});

test("nor when it takes a while until somebody cleans up behind them", () => {
  check(stepsAndDeaths, 10, 100 * runs);
});
