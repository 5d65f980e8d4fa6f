/** Kernels that push processes to others with less to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Process } from "../../src/index.ts";
import { sleep, spin } from "./support/programs.ts";
import { bootForTest, eventually, pause, type TestSystem } from "./support/system.ts";

const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;

async function start({ system, install }: TestSystem, name: string, bytes: Uint8Array, count: number) {
  const path = install(name, bytes);
  const options = { kernel: 0, ...quiet };
  return Promise.all(Array.from({ length: count }, () => system.spawn(path, [], options)));
}

async function endAll(processes: readonly Process[]): Promise<void> {
  for (const process of processes) process.kill();
  await Promise.all(processes.map((process) => process.wait()));
}

test("running processes spread over the kernels, evenly, and then stay", async () => {
  await using started = await bootForTest({ balance: true });
  const sleeping = await start(started, "long", sleep(3_600_000_000_000n), 3);
  const spinning = await start(started, "spin", spin, 6);
  const onKernel1 = () => spinning.filter((process) => process.kernel === 1).length;
  await eventually("three on each kernel", () => onKernel1() === 3);
  await pause(400);
  assert.equal(onKernel1(), 3);
  assert.ok(
    sleeping.every((process) => process.kernel === 0),
    "a sleeping process was moved",
  );
  await endAll([...sleeping, ...spinning]);
});

test("one process alone is not pushed about", async () => {
  await using started = await bootForTest({ balance: true });
  const spinning = await start(started, "spin", spin, 1);
  const places = new Set<number>();
  for (let n = 0; n < 40; n++) {
    await pause(5);
    places.add(spinning[0].kernel);
  }
  assert.deepEqual([...places], [0]);
  await endAll(spinning);
});

test("without the option, processes stay where they were started", async () => {
  await using started = await bootForTest();
  const spinning = await start(started, "spin", spin, 4);
  await pause(300);
  assert.ok(spinning.every((process) => process.kernel === 0));
  await endAll(spinning);
});
