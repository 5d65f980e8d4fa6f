import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { type Format, TypedMemory } from "../../src/memory/index.ts";
import { Counters, Stamped, type Task, Turn } from "./shared-structs.ts";

const workers = 3;

/** Runs a task in several threads at once and returns what each reported; their errors are thrown. */
async function runTask(memory: TypedMemory, task: Task, rounds: number, count = workers): Promise<unknown[]> {
  const running = Array.from({ length: count }, async (_, number) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: { buffer: memory.buffer, task, owner: number + 1, rounds },
    });
    const [answer]: unknown[] = await once(worker, "message");
    await worker.terminate();
    return answer;
  });
  return await Promise.all(running);
}

function freshMemory(): TypedMemory {
  return TypedMemory.format(new SharedArrayBuffer(1 << 20));
}

test("a lock admits one thread at a time", async () => {
  const memory = freshMemory();
  const counters = memory.create("counters", Counters, { count: 1 });
  await runTask(memory, "lock", 20_000);
  assert.deepEqual([counters.one(0), counters.other(0), counters.ownerOfMutex(0)], [60_000, 60_000, 0]);
});

for (const format of ["lp64", "lp64be", "i386"] satisfies Format[]) {
  test(`atomic additions from several threads all count (${format})`, async () => {
    const memory = freshMemory();
    const counters = memory.create("counters", Counters, { count: 1, format });
    await runTask(memory, "atomic", 10_000);
    assert.equal(counters.word(0), 30_000);
    assert.equal(counters.half(0), 90_000 % 65_536);
    assert.equal(counters.signed(0), -30_000);
    assert.equal(counters.wide(0), 30_000 * 65_537);
  });
}

for (const format of ["lp64", "ilp32be"] satisfies Format[]) {
  test(`threads wait for each other's words (${format})`, async () => {
    const memory = freshMemory();
    const area = memory.create("turn", Turn, { count: 1, format });
    area.setTurn(0, 1);
    await runTask(memory, "turn", 500, 2);
    assert.equal(area.rounds(0), 1000);
  });
}

test("a pool hands every record to one thread at a time", async () => {
  const memory = freshMemory();
  const pool = memory.createPool("pool", Stamped, { count: 5 });
  const reports = await runTask(memory, "pool", 30_000);
  assert.equal(pool.used(), 0);
  assert.ok(
    reports.some((empty) => Number(empty) > 0),
    "the pool ran empty at times, as it should here",
  );
  const all = new Set(Array.from({ length: 5 }, () => pool.allocate(9)));
  assert.equal(all.size, 5);
  assert.equal(all.has(0) || all.has(-1), false);
  assert.equal(pool.allocate(9), -1);
});

test("threads create and remove areas at the same time", async () => {
  const memory = freshMemory();
  await runTask(memory, "areas", 200);
  assert.deepEqual(memory.areas(), []);
});

test("waitAsync sees a change made by this thread", async () => {
  const area = freshMemory().create("turn", Turn, { count: 1 });
  const waiting = area.waitAsyncTurn(0, 0, 5000);
  area.setTurn(0, 1);
  assert.equal(area.notifyTurn(0), 1);
  assert.equal(await waiting, "ok");
  assert.equal(await area.waitAsyncTurn(0, 0), "not-equal");
  assert.equal(await area.waitAsyncTurn(0, 1, 1), "timed-out");
  assert.equal(area.waitTurn(0, 1, 1), "timed-out");
});
