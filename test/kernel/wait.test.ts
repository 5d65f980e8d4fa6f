/** Wait queues: no wake-up is lost or given to a thread that does not wait. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAreas } from "../../src/kernel/areas.ts";
import { limits } from "../../src/kernel/state.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { TypedMemory } from "../../src/memory/index.ts";

function rig() {
  const memory = TypedMemory.format(new SharedArrayBuffer(96 * 2 ** 20));
  const areas = createAreas(memory);
  const woken: number[] = [];
  const records = {
    waitQueues: areas.waitQueues.records,
    waiters: areas.waiters,
    threads: areas.threads.records,
  };
  const waits = new WaitService(records, (thread) => woken.push(thread), 1);
  return { areas, waits, woken };
}

test("a wake reaches exactly the threads that wait on the queue", () => {
  const { areas, waits, woken } = rig();
  const queues = Array.from({ length: 4 }, () => areas.waitQueues.allocate(1));
  const threads = Array.from({ length: 6 }, () => areas.threads.allocate(1));
  const model = new Map<number, Set<number>>(queues.map((queue) => [queue, new Set()]));
  const step = fc.record({
    kind: fc.constantFrom("wait", "done", "wake"),
    queue: fc.nat(3),
    thread: fc.nat(5),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      for (const { kind, queue: q, thread: t } of steps) {
        const queue = queues[q];
        const thread = threads[t];
        if (kind === "wait") {
          assert.equal(waits.waitOn(thread, queue), true);
          model.get(queue)?.add(thread);
        } else if (kind === "done") {
          waits.waitDone(thread);
          for (const waiting of model.values()) waiting.delete(thread);
        } else {
          woken.length = 0;
          waits.wake(queue);
          assert.deepEqual(woken.sort(), [...(model.get(queue) ?? [])].sort());
        }
      }
    }),
  );
});

test("a thread waits on as many queues as it has waiters, and says when it cannot", () => {
  const { areas, waits } = rig();
  const thread = areas.threads.allocate(1);
  const queues = Array.from({ length: limits.waitersPerThread + 1 }, () => areas.waitQueues.allocate(1));
  const linked = queues.map((queue) => waits.waitOn(thread, queue));
  assert.deepEqual(linked, [...queues.map(() => true).slice(1), false]);
  assert.equal(waits.waitOn(thread, queues[0]), true, "waiting twice on one queue is waiting once");
  waits.waitDone(thread);
  for (const queue of queues) assert.equal(areas.waitQueues.records.waiterCount(queue), 0);
});

test("regression: the thread with the highest number waits as any other does", () => {
  const { areas, waits, woken } = rig();
  const queue = areas.waitQueues.allocate(1);
  for (let n = 0; n < limits.waitersPerThread; n++) {
    const other = n === 0 ? queue : areas.waitQueues.allocate(1);
    assert.equal(waits.waitOn(limits.threads, other), true);
  }
  waits.wake(queue);
  assert.deepEqual(woken, [limits.threads]);
});
