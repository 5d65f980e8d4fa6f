import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import {
  array,
  atomic,
  formatNames,
  i8,
  i16,
  i32,
  i64,
  LockError,
  lock,
  overlay,
  type Strategy,
  struct,
  u8,
  u16,
  u32,
  u64,
  usize,
  type WaitCells,
  type Waiting,
} from "../../src/memory/index.ts";
import { call } from "./call.ts";

const strategies: readonly Strategy[] = ["generated", "table"];
const Guarded = struct("Guarded", { value: u32, mutex: lock(), rows: array(lock(), 2) });

test("a lock knows its owner and refuses wrong use", () => {
  for (const strategy of strategies) {
    const guarded = overlay(Guarded, new SharedArrayBuffer(64), { format: "lp64", count: 2, strategy });
    guarded.acquireMutex(1, 5);
    assert.equal(guarded.ownerOfMutex(1), 5);
    assert.equal(guarded.tryAcquireMutex(1, 6), false);
    assert.throws(() => guarded.acquireMutex(1, 5), /field mutex: owner 5 already holds this lock/);
    assert.throws(() => guarded.tryAcquireMutex(1, 5), LockError);
    assert.throws(() => guarded.releaseMutex(1, 6), /released by owner 6, but owner 5 holds it/);
    guarded.releaseMutex(1, 5);
    assert.throws(() => guarded.releaseMutex(1, 5), /released by owner 5, but nobody holds it/);
    assert.equal(guarded.tryAcquireMutex(1, 6), true);
    assert.equal(guarded.ownerOfMutex(0), 0);
    guarded.acquireRows(0, 1, 2 ** 31 - 1);
    assert.deepEqual([guarded.ownerOfRows(0, 0), guarded.ownerOfRows(0, 1)], [0, 2 ** 31 - 1]);
    for (const owner of [0, -1, 1.5, 2 ** 31, Number.NaN]) {
      assert.throws(() => guarded.acquireMutex(0, owner), LockError, `${strategy} ${owner}`);
      assert.throws(() => guarded.releaseMutex(0, owner), LockError);
      assert.throws(() => guarded.tryAcquireMutex(0, owner), LockError);
    }
    assert.equal(guarded.ownerOfMutex(0), 0);
  }
});

test("a fractional owner number does not acquire a lock that nobody can release", () => {
  // It did: the fast path truncated 1.5 to 1 and succeeded.
  for (const strategy of strategies) {
    const guarded = overlay(Guarded, new SharedArrayBuffer(64), { format: "lp64", count: 2, strategy });
    assert.throws(() => guarded.acquireMutex(0, 1.5), LockError);
    assert.equal(guarded.ownerOfMutex(0), 0);
  }
});

/** A machine with one thread: instead of sleeping, the holder runs. */
function cooperative(log: string[], runHolder: () => void): Waiting {
  return {
    spin: () => {
      log.push("spin");
      return false;
    },
    wait: (_cells: WaitCells, index: number, value: number) => {
      log.push(`wait ${index} ${value}`);
      runHolder();
      return "ok";
    },
    waitAsync: () => Promise.resolve("ok"),
    notify: (_cells: WaitCells, index: number, count: number) => {
      log.push(`notify ${index} ${count}`);
      return 0;
    },
  };
}

test("waiting goes through the hook, so one thread can play all cores", () => {
  for (const strategy of strategies) {
    const log: string[] = [];
    const waiting = cooperative(log, () => guarded.releaseMutex(0, 1));
    const guarded = overlay(Guarded, new SharedArrayBuffer(64), {
      format: "lp64",
      count: 2,
      strategy,
      waiting,
    });
    guarded.acquireMutex(0, 1);
    guarded.acquireMutex(0, 2);
    assert.equal(guarded.ownerOfMutex(0), 2);
    // The waiter marked the word before it slept, so the release told the sleepers.
    assert.deepEqual(log, ["spin", `wait 1 ${1 | -0x80000000}`, "notify 1 1"]);
    guarded.releaseMutex(0, 2);
    assert.equal(log.at(-1), "notify 1 1", "whoever slept passes the wake-up on");
  }
});

test("a survivor can release a dead owner's lock", () => {
  const guarded = overlay(Guarded, new SharedArrayBuffer(64), { format: "lp64", count: 1 });
  guarded.acquireMutex(0, 7);
  const dead = guarded.ownerOfMutex(0);
  guarded.releaseMutex(0, dead);
  guarded.acquireMutex(0, 8);
  assert.equal(guarded.ownerOfMutex(0), 8);
});

test("of two survivors who release a dead owner's lock, the second does not release the next owner's", () => {
  // It did: it looked at the holder, and then cleared the word whoever had it by then.
  const guarded = overlay(Guarded, new SharedArrayBuffer(64), {
    format: "lp64",
    count: 1,
    strategy: "table",
  });
  guarded.acquireMutex(0, 7);
  const load = Atomics.load;
  const looking = mock.method(Atomics, "load", (cells: Int32Array, index: number) => {
    const word = load(cells, index);
    if ((word & 0x7fffffff) === 7) {
      // Between the look and the release: the other survivor was quicker, and somebody has got the lock.
      looking.mock.restore();
      guarded.releaseMutex(0, 7);
      guarded.acquireMutex(0, 8);
    }
    return word;
  });
  assert.throws(() => guarded.releaseMutex(0, 7), /released by owner 7, but owner 8 holds it/);
  assert.equal(guarded.ownerOfMutex(0), 8);
});

const widths = { u8, i8, u16, i16, u32, i32, u64, i64, usize };

for (const [scalar, type] of Object.entries(widths)) {
  test(`atomic ${scalar} fields behave like numbers of their width in every format`, () => {
    const Cell = struct("Cell", { pad: u8, cell: atomic(type), after: u8 });
    const operation = fc.tuple(fc.constantFrom("add", "or", "and", "exchange", "store"), fc.nat(200));
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 15 }),
        fc.constantFrom(...formatNames),
        fc.constantFrom(...strategies),
        (operations, format, strategy) => {
          const area = overlay(Cell, new SharedArrayBuffer(64), { format, count: 2, strategy });
          area.setPad(1, 0xaa);
          area.setAfter(1, 0xbb);
          const bits =
            scalar === "usize" ? 8 * (area.area.layout.size === 24 ? 8 : 4) : Number(scalar.slice(1));
          const wrap = (value: bigint): bigint =>
            scalar.startsWith("i") ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
          let model = 0n;
          for (const [name, operand] of operations) {
            const old = Number(model);
            const value = BigInt(operand);
            if (name === "store") call(area, "setCell", 1, operand);
            else assert.equal(call(area, `${name}Cell`, 1, operand), old);
            if (name === "add") model = wrap(model + value);
            else if (name === "or") model = wrap(model | value);
            else if (name === "and") model = wrap(model & value);
            else model = wrap(value);
            assert.equal(call(area, "cell", 1), Number(model));
          }
          assert.equal(call(area, "compareExchangeCell", 1, Number(model), 5), Number(model));
          assert.equal(call(area, "compareExchangeCell", 1, 6, 7), 5);
          assert.deepEqual([call(area, "cell", 1), area.pad(1), area.after(1)], [5, 0xaa, 0xbb]);
        },
      ),
      { numRuns: 60 },
    );
  });
}

test("atomic operations on 64 bits refuse numbers that are not exact", () => {
  const Cell = struct("Cell", { cell: atomic(u64) });
  const area = overlay(Cell, new SharedArrayBuffer(64), { format: "lp64", count: 2 });
  assert.throws(() => area.setCell(0, 2 ** 53), {
    name: "ValueError",
    message: /struct Cell, field cell: 9007199254740992/,
  });
  assert.throws(() => area.setCell(0, -1), { name: "ValueError" });
  area.setCell(0, 5);
  assert.equal(area.addCell(0, -2), 5, "a negative operand subtracts");
  assert.equal(area.cell(0), 3);
});

test("atomic fields at misaligned addresses are refused", () => {
  const Cell = struct("Cell", { cell: atomic(u32), mutex: lock() });
  for (const strategy of strategies) {
    const area = overlay(Cell, new SharedArrayBuffer(64), {
      format: "ilp32",
      addressing: "address",
      strategy,
    });
    area.setCell(8, 3);
    assert.equal(area.cell(8), 3);
    for (const act of [
      () => area.cell(6),
      () => area.setCell(6, 1),
      () => area.addCell(6, 1),
      () => area.acquireMutex(6, 1),
    ]) {
      assert.throws(act, { name: "IndexError", message: /the record at address 6 is not aligned/ });
    }
  }
});

test("atomic fields outside the area are refused", () => {
  for (const strategy of strategies) {
    const guarded = overlay(Guarded, new SharedArrayBuffer(64), { format: "lp64", count: 2, strategy });
    assert.throws(() => guarded.acquireMutex(2, 1), { name: "IndexError" });
    assert.throws(() => guarded.acquireRows(0, 2, 1), { name: "IndexError" });
    assert.throws(() => guarded.ownerOfMutex(-1), { name: "IndexError" });
  }
});
