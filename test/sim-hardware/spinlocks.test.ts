import assert from "node:assert/strict";
import { test } from "node:test";
import { Spinlocks } from "../../src/machine/sim/spinlocks.ts";
import { Board } from "./support/board.ts";

test("a spinlock is taken by one core until it is released", () => {
  const spinlocks = new Spinlocks(new Board(), 2);
  const first = spinlocks.of(0);
  const second = spinlocks.of(1);
  assert.equal(first.count, 2);
  assert.equal(first.holder(0), -1);
  assert.equal(first.tryAcquire(0), true);
  assert.equal(first.tryAcquire(0), false, "not even by its holder again");
  assert.equal(second.tryAcquire(0), false);
  assert.equal(second.tryAcquire(1), true);
  assert.equal(second.holder(0), 0);
  first.release(0);
  assert.equal(second.tryAcquire(0), true);
});

test("a survivor frees what a dead core held", () => {
  const spinlocks = new Spinlocks(new Board(), 1);
  spinlocks.of(0).tryAcquire(0);
  spinlocks.of(1).release(0);
  assert.equal(spinlocks.of(1).tryAcquire(0), true);
});

test("locks that do not exist are refused", () => {
  const spinlocks = new Spinlocks(new Board(), 2).of(0);
  for (const lock of [-1, 2, Number.NaN]) {
    assert.throws(() => spinlocks.tryAcquire(lock), RangeError);
    assert.throws(() => spinlocks.release(lock), RangeError);
    assert.throws(() => spinlocks.holder(lock), RangeError);
  }
});
