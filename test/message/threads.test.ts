/** Messages between real threads that stall, park and are ended at random. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { errno } from "../../src/kernel/errno.ts";
import {
  Ask,
  type Bench,
  Item,
  isTailOf,
  makeBench,
  Report,
  startWorker,
  Thread,
  tailOf,
  textOf,
} from "./threads.ts";

/** Small rings, so that they are full and wrap all the time. */
const small = { endpoints_max: 4, urgentLines: 32, normalLines: 32, payload_bytes_max: 1000, groupLines: 32 };

async function pollUntil(thread: Thread, done: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!done()) {
    thread.endpoint.drain();
    if (performance.now() > end) assert.fail(`waited 15 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Runs workers until all have reported, and checks their reports. */
async function runWorkers(
  bench: Bench,
  roles: { role: string; peers: number[]; count: number }[],
): Promise<number[]> {
  const main = new Thread(bench, 0);
  const counts: number[] = [];
  const errors: string[] = [];
  main.endpoint.handle(Report, ({ count, text }, from) => {
    counts[from - 1] = count;
    if (textOf(text) !== "") errors.push(`${from}: ${textOf(text)}`);
  });
  const workers = roles.map(({ role, peers, count }, i) => startWorker(bench, i + 1, role, { peers, count }));
  let crashed: unknown;
  for (const worker of workers) {
    worker.on("error", (error) => {
      crashed = error;
    });
  }
  const done = () => crashed !== undefined || Object.keys(counts).length === roles.length;
  await pollUntil(main, done, "the workers").finally(() =>
    Promise.all(workers.map((worker) => worker.terminate())),
  );
  assert.ifError(crashed);
  assert.deepEqual(errors, []);
  assert.deepEqual(main.faults, []);
  return counts;
}

describe("threads", () => {
  test("two threads flood each other, stall and park: nothing is lost, doubled, damaged or late", async () => {
    const count = 12_000;
    const counts = await runWorkers(makeBench(small), [
      { role: "exchange", peers: [2], count },
      { role: "exchange", peers: [1], count },
    ]);
    assert.deepEqual(counts, [count, count]);
  });

  test("three threads, all to all", async () => {
    const count = 3_000;
    const counts = await runWorkers(makeBench(small), [
      { role: "exchange", peers: [2, 3], count },
      { role: "exchange", peers: [1, 3], count },
      { role: "exchange", peers: [1, 2], count },
    ]);
    assert.deepEqual(counts, [2 * count, 2 * count, 2 * count]);
  });

  test("two threads call each other, nested, and ask each other, without deadlock", async () => {
    await runWorkers(makeBench(small), [
      { role: "mutualCalls", peers: [2], count: 1_500 },
      { role: "mutualCalls", peers: [1], count: 1_500 },
    ]);
  });

  test("groups are opened, left and closed under traffic of three threads", async () => {
    const counts = await runWorkers(makeBench(small), [
      { role: "multicast", peers: [], count: 5_000 },
      { role: "multicast", peers: [], count: 5_000 },
      { role: "multicast", peers: [], count: 5_000 },
    ]);
    assert.ok(counts.every((count) => count >= 5_000));
  });
});

describe("death of a thread", () => {
  test("ended in the middle of anything, it loses no message before, fails what it owes, and is replaced", async () => {
    const bench = makeBench(small);
    const main = new Thread(bench, 0);
    let expected = 0;
    let wrong = "";
    main.endpoint.handle(Item, ({ stream, number, tail }) => {
      if (!isTailOf(number, tail)) wrong = `message ${number} is damaged`;
      if (stream !== 1) return;
      if (number !== expected++) wrong = `${number} came instead of ${expected - 1}`;
    });
    for (let round = 0; round < 8; round++) {
      expected = 0;
      const worker: Worker = startWorker(bench, 1, "chatter");
      const group = main.groups.open("doomed");
      assert.ok(typeof group !== "number", `open gave ${group}`);
      await pollUntil(main, () => expected > 50, "the first messages");
      const statuses: number[] = [];
      let asked = 0;
      const ask = () => {
        asked++;
        main.endpoint
          .request(1, Ask, { left: 0, number: asked, tail: tailOf(asked, 100) })
          .then(({ status }) => {
            statuses.push(status);
          });
      };
      const ended = worker.terminate();
      for (let i = 0; i < 20; i++) {
        ask();
        main.endpoint.drain();
      }
      await ended;
      for (let i = 0; i < 5; i++) ask();
      main.transport.table.markDead(1);
      await pollUntil(main, () => statuses.length === asked, "requests to the dead");
      assert.ok(
        statuses.every((status) => [0, -errno.NOLINK, -errno.AGAIN].includes(status)),
        `${statuses}`,
      );
      assert.equal(main.endpoint.send(1, Item, { stream: 0, number: 0, tail: tailOf(0, 0) }), -errno.NOLINK);
      main.endpoint.drain();
      assert.equal(wrong, "");
      // The dead member neither holds the group's claim for ever nor its ring.
      for (let i = 0; i < 100; i++) {
        assert.equal(main.endpoint.multicast(group, Item, { stream: 3, number: i, tail: tailOf(i, 50) }), 0);
      }
      const kinds = new Set(main.faults.map((fault) => fault.kind));
      kinds.delete("stray");
      kinds.delete("stale");
      assert.deepEqual([...kinds], []);
    }
  });
});
