import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { mountFolder, type TestMount } from "./mount.ts";

interface Result {
  readonly rounds: number;
  readonly report: readonly string[];
}

/** Runs the roles against each other, each on a thread as a kernel of its own, for a while. */
async function race(mount: TestMount, roles: readonly string[], duration_ms: number): Promise<Result[]> {
  const stop = new SharedArrayBuffer(4);
  const workers = roles.map((role, index) => {
    const worker = new Worker(new URL("./race-worker.ts", import.meta.url), {
      workerData: { role, folder: mount.folder, buffer: mount.buffer, stop, owner: index + 2 },
      // Host files are opened on one core and closed on another.
      trackUnmanagedFds: false,
    });
    const next = () =>
      new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    return { ready: next(), next };
  });
  await Promise.all(workers.map((worker) => worker.ready));
  const results = workers.map((worker) => worker.next());
  await sleep(duration_ms);
  Atomics.store(new Int32Array(stop), 0, 1);
  return (await Promise.all(results)) as Result[];
}

test("a directory swapped for a link that leads out is never walked through", async () => {
  using mount = mountFolder();
  const outside = join(mount.folder, "..", "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "outside");
  mkdirSync(join(mount.folder, "d"));
  writeFileSync(join(mount.folder, "d", "secret"), "inside");
  symlinkSync("../outside", join(mount.folder, "evil"));
  const [attacker, victim] = await race(mount, ["attack", "victim"], 1500);
  assert.deepEqual(victim.report, []);
  assert.deepEqual(readdirSync(outside), ["secret"]);
  assert.ok(attacker.rounds > 50 && victim.rounds > 50, `${attacker.rounds} and ${victim.rounds} rounds`);
});

test("no line of two kernels that append is lost or torn", async () => {
  using mount = mountFolder();
  writeFileSync(join(mount.folder, "log"), "");
  const results = await race(mount, ["append", "append"], 500);
  assert.deepEqual(
    results.flatMap((result) => result.report),
    [],
  );
  const lines = readFileSync(join(mount.folder, "log"), "utf8").split("\n").slice(0, -1);
  const expected = results.flatMap(({ rounds }, index) =>
    Array.from({ length: rounds }, (_, round) => `${index + 2} ${round}`),
  );
  assert.deepEqual([...lines].sort(), expected.sort());
});

test("a file that is replaced by rename is always there, and whole", async () => {
  using mount = mountFolder();
  writeFileSync(join(mount.folder, "current"), "whole");
  const results = await race(mount, ["replace", "read"], 700);
  assert.deepEqual(
    results.flatMap((result) => result.report),
    [],
  );
});
