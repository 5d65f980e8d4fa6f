import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventQueue, type SimulatedEvent } from "../../src/machine/sim/event-queue.ts";

const nothing = () => undefined;

test("events come by time, and in the order of scheduling where times are equal", () => {
  const queue = new EventQueue();
  const late = queue.push(20, false, nothing);
  const first = queue.push(10, true, nothing);
  const second = queue.push(10, false, nothing);
  assert.equal(queue.nextTime_ns(), 10);
  assert.deepEqual([queue.pop(), queue.pop(), queue.pop(), queue.pop()], [first, second, late, undefined]);
  assert.equal(queue.nextTime_ns(), Infinity);
  assert.equal(queue.takenCount, 3);
});

test("hardware events are taken while steps stay queued", () => {
  const queue = new EventQueue();
  const step = queue.push(10, false, nothing);
  const mail = queue.push(30, true, nothing, "mail");
  assert.equal(queue.next(true), mail);
  assert.equal(queue.popDue(29, true), undefined);
  assert.equal(queue.popDue(30, true), mail);
  assert.equal(queue.pop(true), undefined);
  assert.equal(queue.pop(), step);
});

test("a cancelled event does not come, and is cancelled once", () => {
  const queue = new EventQueue();
  const event = queue.push(1, true, nothing);
  assert.equal(queue.isPending(event), true);
  assert.equal(queue.cancel(event), true);
  assert.equal(queue.cancel(event), false);
  assert.equal(queue.isPending(event), false);
  assert.equal(queue.pop(), undefined);
  assert.equal(queue.takenCount, 0);
});

test("a time that is not finite is refused", () => {
  for (const time_ns of [Number.NaN, Infinity, -Infinity]) {
    assert.throws(() => new EventQueue().push(time_ns, true, nothing), RangeError);
  }
});

type Action =
  | { readonly do: "push"; readonly time_ns: number; readonly hardware: boolean }
  | { readonly do: "pop"; readonly hardwareOnly: boolean; readonly until_ns: number }
  | { readonly do: "cancel"; readonly index: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("push" as const), time_ns: fc.nat(20), hardware: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("pop" as const),
      hardwareOnly: fc.boolean(),
      until_ns: fc.oneof(fc.nat(20), fc.constant(Infinity)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), index: fc.nat(60) }) },
);

test("the queue equals a sorted list, whatever is pushed, taken and cancelled", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const queue = new EventQueue();
      const made: SimulatedEvent[] = [];
      let model: SimulatedEvent[] = [];
      for (const step of actions) {
        if (step.do === "push") {
          const event = queue.push(step.time_ns, step.hardware, nothing);
          made.push(event);
          model.push(event);
          model.sort((left, right) => left.time_ns - right.time_ns || left.sequence - right.sequence);
        } else if (step.do === "pop") {
          const expected = model.find(
            (event) => (event.hardware || !step.hardwareOnly) && event.time_ns <= step.until_ns,
          );
          assert.equal(queue.popDue(step.until_ns, step.hardwareOnly), expected);
          model = model.filter((event) => event !== expected);
        } else if (made.length > 0) {
          const event = made[step.index % made.length];
          assert.equal(queue.cancel(event), model.includes(event));
          model = model.filter((other) => other !== event);
        }
        assert.equal(queue.size, model.length);
        assert.equal(queue.next(), model[0]);
        assert.equal(
          queue.next(true),
          model.find((event) => event.hardware),
        );
      }
    }),
    { numRuns: 300 },
  );
});
