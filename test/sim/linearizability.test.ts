/** The linearisability checker: histories whose verdict is known, and random ones against brute force. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Random } from "../../src/machine/sim/random.ts";
import { History, isPending, type Operation } from "../../src/simulation/history.ts";
import { checkLinearizability } from "../../src/simulation/linearizability.ts";
import {
  counter,
  file,
  lock,
  pidAllocator,
  pipe,
  queue,
  register,
  type Specification,
} from "../../src/simulation/specifications.ts";

const never = Number.POSITIVE_INFINITY;

/** `[process, called, returned, input, output]`. */
type Row<Input, Output> = readonly [number, number, number, Input, Output | undefined];

function history<Input, Output>(rows: readonly Row<Input, Output>[]): Operation<Input, Output>[] {
  return rows.map(([process, calledAt, returnedAt, input, output]) => ({
    process,
    object: "it",
    input,
    output,
    calledAt,
    returnedAt,
  }));
}

function verdict<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  rows: readonly Row<Input, Output>[],
): string {
  return checkLinearizability(history(rows), specification).result;
}

const read = { kind: "read" } as const;
const write = (value: number) => ({ kind: "write", value }) as const;

test("registers: overlapping writes may take effect in either order, finished ones may not be missed", () => {
  assert.equal(
    verdict(register(), [
      [1, 0, 10, write(1), 0],
      [2, 0, 10, write(2), 0],
      [3, 11, 12, read, 1],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(register(), [
      [1, 0, 10, write(1), 0],
      [2, 11, 12, read, 0],
    ]),
    "violation",
  );
  // Once the new value was seen, the old one cannot come back.
  assert.equal(
    verdict(register(), [
      [1, 0, 100, write(1), 0],
      [2, 10, 20, read, 1],
      [3, 30, 40, read, 0],
    ]),
    "violation",
  );
});

test("a call that never returned may have had its effect, late or never, but not twice", () => {
  const seen = (...values: number[]): string =>
    verdict(register(), [
      [1, 5, never, write(1), undefined],
      ...values.map((value, index) => [2, 10 + 2 * index, 11 + 2 * index, read, value] as const),
    ]);
  assert.equal(seen(0, 0), "linearizable");
  assert.equal(seen(0, 1, 1), "linearizable");
  assert.equal(seen(1, 0), "violation");
  const add = { kind: "add", amount: 1 } as const;
  assert.equal(
    verdict(counter(), [
      [1, 0, never, add, undefined],
      [2, 10, 11, { kind: "read" }, 2],
    ]),
    "violation",
  );
});

test("a process's operations keep their order when they touch in time", () => {
  assert.equal(
    verdict(register(), [
      [1, 0, 10, write(1), 0],
      [1, 10, 20, read, 0],
    ]),
    "violation",
  );
  assert.equal(
    verdict(register(), [
      [1, 0, 10, write(1), 0],
      [2, 10, 20, read, 0],
    ]),
    "linearizable",
  );
});

test("locks: one owner at a time; the lock of a dead owner stays taken", () => {
  const acquire = (owner: number) => ({ kind: "acquire", owner }) as const;
  const release = (owner: number) => ({ kind: "release", owner }) as const;
  assert.equal(
    verdict(lock(), [
      [1, 0, 1, acquire(1), true],
      [2, 2, 9, acquire(2), true],
      [1, 3, 4, release(1), true],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(lock(), [
      [1, 0, 1, acquire(1), true],
      [2, 2, 3, acquire(2), true],
      [1, 4, 5, release(1), true],
    ]),
    "violation",
  );
  assert.equal(
    verdict(lock(), [
      [1, 0, 1, acquire(1), true],
      [2, 2, never, acquire(2), undefined],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(lock(), [
      [1, 0, 1, acquire(1), true],
      [2, 2, 3, { kind: "tryAcquire", owner: 2 }, false],
      [1, 4, 5, release(1), true],
      [2, 6, 7, { kind: "tryAcquire", owner: 2 }, false],
    ]),
    "violation",
  );
});

test("pipes: bytes arrive once and in order, small writes whole, the end only after the last writer", () => {
  const put = (text: string) => ({ kind: "write", text }) as const;
  const take = (length: number) => ({ kind: "read", length }) as const;
  const close = { kind: "closeWriter" } as const;
  const small = pipe(8, 4);
  assert.equal(
    verdict(small, [
      [1, 0, 5, put("abc"), 3],
      [2, 0, 5, put("xyz"), 3],
      [3, 1, 6, take(4), "xyza"],
      [3, 7, 8, take(9), "bc"],
    ]),
    "linearizable",
  );
  // Interleaved inside a write that is whole.
  assert.equal(
    verdict(small, [
      [1, 0, 5, put("abc"), 3],
      [2, 0, 5, put("xyz"), 3],
      [3, 6, 7, take(9), "axbycz"],
    ]),
    "violation",
  );
  assert.equal(
    verdict(small, [
      [1, 0, 5, put("abcdefghij"), 8],
      [3, 6, 7, put("k"), { refused: "again" }],
      [3, 8, 9, take(2), "ab"],
      [3, 10, 11, put("k"), 1],
      [3, 12, 13, take(100), "cdefghk"],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(small, [
      [1, 0, 5, put("abc"), 3],
      [1, 6, 7, close, 0],
      [3, 8, 9, take(9), "abc"],
      [3, 10, 11, take(9), ""],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(small, [
      [1, 0, 5, put("abc"), 3],
      [1, 6, 7, close, 0],
      [3, 8, 9, take(9), ""],
    ]),
    "violation",
  );
  // A killed writer may have written part of it.
  assert.equal(
    verdict(small, [
      [1, 0, never, put("abcdef"), undefined],
      [3, 8, 9, take(9), "abcd"],
      [3, 10, 11, take(9), { refused: "again" }],
    ]),
    "linearizable",
  );
});

test("files: appends do not overwrite each other", () => {
  const append = (text: string) => ({ kind: "append", text }) as const;
  const all = { kind: "read", at: 0, length: 99 } as const;
  assert.equal(
    verdict(file(), [
      [1, 0, 9, append("one,"), 4],
      [2, 0, 9, append("two,"), 0],
      [3, 10, 11, all, "two,one,"],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(file(), [
      [1, 0, 9, append("one,"), 0],
      [2, 0, 9, append("two,"), 0],
      [3, 10, 11, all, "two,"],
    ]),
    "violation",
  );
  assert.equal(
    verdict(file("abc"), [
      [1, 0, 1, { kind: "truncate", size: 1 }, 0],
      [1, 2, 3, { kind: "write", at: 3, text: "z" }, 0],
      [1, 4, 5, all, "a\0\0z"],
      [1, 6, 7, { kind: "size" }, 4],
    ]),
    "linearizable",
  );
});

test("pids: unique while in use, also those given to callers that died", () => {
  const allocate = { kind: "allocate" } as const;
  assert.equal(
    verdict(pidAllocator(10), [
      [1, 0, 9, allocate, 4],
      [2, 0, 9, allocate, 4],
    ]),
    "violation",
  );
  assert.equal(
    verdict(pidAllocator(10), [
      [1, 0, 9, allocate, 4],
      [2, 0, 9, allocate, 4],
      [1, 3, 5, { kind: "free", pid: 4 }, 0],
    ]),
    "linearizable",
  );
  assert.equal(
    verdict(pidAllocator(1), [
      [1, 0, never, allocate, undefined],
      [2, 10, 11, allocate, 0],
    ]),
    "linearizable",
  );
});

test("the explanation of a violation names what matters, and nothing else", () => {
  const rows: Row<{ kind: "put"; value: number } | { kind: "take" }, number | null>[] = [];
  for (let i = 0; i < 8; i++) rows.push([1, 10 * i, 10 * i + 1, { kind: "put", value: i }, null]);
  for (let i = 0; i < 7; i++) rows.push([2, 1000 + 10 * i, 1001 + 10 * i, { kind: "take" }, i]);
  rows.push([3, 1205, 1206, { kind: "take" }, 5]);
  for (let i = 7; i < 40; i++) rows.push([2, 2000 + 10 * i, 2001 + 10 * i, { kind: "take" }, i]);
  const found = checkLinearizability(history(rows), queue());
  assert.equal(found.result, "violation");
  assert.ok(found.result === "violation");
  const { essential, text } = found.explanation;
  // Five was taken twice: the two takes.
  assert.ok(essential.length <= 7, text);
  assert.equal(
    essential.filter(({ input, output }) => input.kind === "take" && output === 5).length,
    2,
    text,
  );
  assert.match(text, /queue "it" is not linearisable/);
});

test("objects are checked apart, and the violation names its object", () => {
  const collected = new History<{ kind: "read" } | { kind: "write"; value: number }, number>();
  for (const [object, value] of [
    ["good", 1],
    ["bad", 7],
  ] as const) {
    collected.end(collected.begin(1, object, write(1), 0), 0, 1);
    collected.end(collected.begin(2, object, read, 2), value, 3);
  }
  collected.begin(9, "good", write(4), 3);
  assert.throws(() => collected.end(0, 0, 9), RangeError);
  const found = checkLinearizability(collected.operations(), register());
  assert.ok(found.result === "violation");
  assert.equal(found.explanation.object, "bad");
});

test("a search that would take too long is given up", () => {
  const rows = Array.from(
    { length: 30 },
    (_, i): Row<ReturnType<typeof write> | typeof read, number> => [i, 0, 100, write(i), 0],
  );
  const found = checkLinearizability(history([...rows, [99, 200, 201, read, -1]]), register(), {
    steps_max: 1000,
  });
  assert.equal(found.result, "undecided");
});

/** Tries all orders. */
function bruteForce<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  specification: Specification<State, Input, Output>,
): boolean {
  const go = (left: readonly Operation<Input, Output>[], state: State): boolean => {
    if (left.every(isPending)) return true;
    const deadline = Math.min(...left.map((operation) => operation.returnedAt));
    return left.some((operation) => {
      if (operation.calledAt > deadline) return false;
      const rest = left.filter((other) => other !== operation);
      if (left.some((other) => other.process === operation.process && other.calledAt < operation.calledAt))
        return false;
      const { input, output } = operation;
      const states = isPending(operation)
        ? specification.afterUnanswered(state, input)
        : specification.after(state, input, output as Output);
      return states.some((next) => go(rest, next));
    });
  };
  return go(operations, specification.initial);
}

test("agrees with brute force on random histories", () => {
  let violations = 0;
  let checked = 0;
  const check = <State, Input, Output>(
    specification: Specification<State, Input, Output>,
    input: fc.Arbitrary<Input>,
    output: fc.Arbitrary<Output>,
  ): void => {
    const row = fc.record({ gap: fc.nat(3), length: fc.nat(9), input, output, pending: fc.nat(11) });
    fc.assert(
      fc.property(fc.array(fc.array(row, { maxLength: 3 }), { minLength: 2, maxLength: 3 }), (processes) => {
        const operations: Operation<Input, Output>[] = [];
        for (const [process, rows] of processes.entries()) {
          let time = 0;
          for (const [index, one] of rows.entries()) {
            const calledAt = time + one.gap + 1;
            time = calledAt + one.length;
            // Only the last call of a process can be without an answer.
            const pending = one.pending === 0 && index === rows.length - 1;
            operations.push({
              process,
              object: "it",
              input: one.input,
              output: pending ? undefined : one.output,
              calledAt,
              returnedAt: pending ? never : time,
            });
          }
        }
        const expected = bruteForce(operations, specification);
        const found = checkLinearizability(operations, specification);
        assert.equal(found.result, expected ? "linearizable" : "violation");
        checked++;
        if (!expected) violations++;
        if (found.result === "violation") {
          const weakened = operations.map((operation) =>
            found.explanation.essential.includes(operation)
              ? operation
              : { ...operation, output: undefined, returnedAt: never },
          );
          assert.ok(!bruteForce(weakened, specification), "the explanation alone is a violation");
        }
      }),
      { numRuns: 300 },
    );
  };
  const small = fc.nat(2);
  check(
    register(),
    fc.oneof(
      fc.constant(read),
      small.map(write),
      fc.record({ kind: fc.constant("compareExchange" as const), expected: small, value: small }),
    ),
    small,
  );
  check(
    queue(),
    fc.oneof(
      small.map((value) => ({ kind: "put" as const, value })),
      fc.constant({ kind: "take" as const }),
    ),
    fc.option(small),
  );
  check(
    lock(),
    fc.record({
      kind: fc.constantFrom("acquire", "tryAcquire", "release"),
      owner: fc.integer({ min: 1, max: 2 }),
    }),
    fc.boolean(),
  );
  assert.ok(violations > checked / 10 && violations < (checked * 95) / 100, `${violations} of ${checked}`);
});

test("long histories of a real object are quick to accept, and a single wrong answer is found", () => {
  const random = new Random(5);
  const rows: Row<ReturnType<typeof write> | typeof read, number>[] = [];
  let value = 0;
  let unique = 1;
  const free = Array.from({ length: 8 }, () => 0);
  // Effects at whole tens; calls begin before and return after, up to where the process's next call begins.
  for (let time = 100; time < 100 + 2000 * 10; time += 10) {
    const process = random.below(8);
    const called = Math.max(free[process] + 1, time - random.below(200));
    if (called > time) continue;
    const returned = time + 1 + random.below(30);
    free[process] = returned;
    if (random.chance(0.5)) {
      value = unique++;
      rows.push([process, called, returned, write(value), 0]);
    } else {
      rows.push([process, called, returned, read, value]);
    }
  }
  const good = checkLinearizability(history(rows), register());
  assert.equal(good.result, "linearizable");
  assert.ok(good.steps < 1_000_000, `${good.steps} steps for ${rows.length} operations`);
  const wrong = rows.findIndex(([, called, , input]) => called > 10_000 && input.kind === "read");
  rows[wrong] = [rows[wrong][0], rows[wrong][1], rows[wrong][2], read, 3];
  assert.equal(checkLinearizability(history(rows), register()).result, "violation");
});
