import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InterruptControllers } from "../../src/machine/sim/interrupt-controllers.ts";
import { sharedInterrupt, sharedInterruptCount } from "../../src/machine/soc.ts";
import { Board } from "./support/board.ts";

const { dma, network } = sharedInterrupt;

/** Controllers of some islands; `raised` are the islands whose device line was raised, `dark` those without power. */
function controllers(islandCount: number) {
  const raised: number[] = [];
  const dark = new Set<number>();
  const all = new InterruptControllers(new Board(), islandCount, (island) => {
    if (dark.has(island)) return false;
    raised.push(island);
    return true;
  });
  return { all, raised, dark };
}

test("after a reset everything is masked", () => {
  const { all, raised } = controllers(2);
  for (const island of [0, 1]) {
    for (let source = 0; source < sharedInterruptCount; source++)
      assert.equal(all.of(island).isMasked(source), true);
  }
  all.raise(dma);
  assert.deepEqual(raised, []);
  assert.equal(all.unclaimedSources, 1 << dma);
});

test("every island that does not mask a source gets it, and takes it once", () => {
  const { all, raised } = controllers(3);
  all.of(0).setMasked(dma, false);
  all.of(2).setMasked(dma, false);
  all.raise(dma);
  assert.deepEqual(raised, [0, 2]);
  assert.deepEqual([all.of(0).take(), all.of(0).take(), all.of(1).take(), all.of(2).take()], [1, 0, 0, 1]);
  assert.equal(all.unclaimedSources, 0);
});

test("a source that is masked everywhere waits for somebody to unmask it", () => {
  const { all, raised } = controllers(2);
  all.raise(network);
  all.raise(network);
  all.of(1).setMasked(dma, false);
  assert.deepEqual(raised, []);
  all.of(1).setMasked(network, false);
  assert.deepEqual(raised, [1]);
  assert.equal(all.of(1).take(), 1 << network);
  all.of(0).setMasked(network, false);
  assert.deepEqual(raised, [1], "it has been taken");
});

test("who masks a source that it has not taken leaves it to others", () => {
  const { all, raised } = controllers(2);
  all.of(0).setMasked(dma, false);
  all.raise(dma);
  all.of(0).setMasked(dma, true);
  assert.equal(all.of(0).take(), 0);
  all.of(1).setMasked(dma, false);
  assert.deepEqual(raised, [0, 1]);
  assert.equal(all.of(1).take(), 1 << dma);
});

test("an island that is reset loses no interrupt for the others", () => {
  const { all, raised } = controllers(2);
  all.of(0).setMasked(dma, false);
  all.raise(dma);
  all.reset(0);
  assert.equal(all.of(0).isMasked(dma), true);
  all.of(1).setMasked(dma, false);
  assert.deepEqual(raised, [0, 1]);
});

test("an island without power takes nothing; it is offered again", () => {
  const { all, raised, dark } = controllers(1);
  dark.add(0);
  all.of(0).setMasked(dma, false);
  all.raise(dma);
  assert.equal(all.unclaimedSources, 1 << dma);
  dark.delete(0);
  all.retry();
  assert.deepEqual(raised, [0]);
  assert.equal(all.of(0).take(), 1 << dma);
});

test("sources that do not exist are refused", () => {
  const { all } = controllers(1);
  for (const source of [-1, sharedInterruptCount, Number.NaN]) {
    assert.throws(() => all.raise(source), RangeError);
    assert.throws(() => all.of(0).setMasked(source, true), RangeError);
  }
});

test("no interrupt is lost, whatever is masked, taken and reset in between", () => {
  const action = fc.tuple(
    fc.constantFrom("raise", "mask", "unmask", "take", "reset"),
    fc.nat(2),
    fc.nat(sharedInterruptCount - 1),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { all } = controllers(3);
      // A raised source counts as served once somebody takes it after the raise.
      let owed = 0;
      for (const [what, island, source] of actions) {
        if (what === "raise") {
          all.raise(source);
          owed |= 1 << source;
        } else if (what === "mask") all.setMasked(island, source, true);
        else if (what === "unmask") all.setMasked(island, source, false);
        else if (what === "reset") all.reset(island);
        else owed &= ~all.take(island);
      }
      for (let source = 0; source < sharedInterruptCount; source++) all.setMasked(1, source, false);
      for (const island of [0, 1, 2]) owed &= ~all.take(island);
      assert.equal(owed, 0);
    }),
    { numRuns: 300 },
  );
});
