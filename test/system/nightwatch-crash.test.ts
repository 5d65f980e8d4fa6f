/**
 * A kernel crashes at some access to memory while NightWatch threads are made, run and end: the weak one, or that of the
 * normal thread. On the simulated machine, so that it is the same access in every run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import type { Simulation } from "../../src/system/simulation.ts";
import { call, exit, sleepFor, threaded, write } from "./support/nightwatch-programs.ts";
import { bootForTest, eventually, firstOutput, within } from "./support/system.ts";

const main = 1;
const weak = 2;
const spawn = call("nightwatch_spawn");
const join = call("nightwatch_join");

/** Makes and joins two threads, again and again; ends with an errno of a join. */
const program = threaded({
  data: { 512: "on" },
  normal: `
    ${write(1, 512, 2)} drop
    loop :
      i32.const 0 ${spawn} local.set 0
      i32.const 0 ${spawn} local.set 1
      ${sleepFor(0.1)}
      local.get 0 ${join} local.tee 3 if : local.get 3 ${exit} end
      local.get 1 ${join} local.tee 3 if : local.get 3 ${exit} end
      local.get 2 i32.const 1 i32.add local.tee 2 i32.const 1000 i32.lt_u br_if 0
    end`,
  thread: `${sleepFor(0.05, 4096)} i32.const 8192 i32.const 8192 i32.load i32.const 1 i32.add i32.store`,
});

/** The process's exit code, when a core has crashed so many accesses after the process said that it runs. */
async function crashAfter(core: number, accesses: number): Promise<number> {
  let simulation: Simulation | undefined;
  await using started = await bootForTest({
    machine: "haswell-4",
    cores: 3,
    weakKernels: [weak],
    rootSize_bytes: 4 * 1024 * 1024,
    onSimulation: (own) => {
      simulation = own;
    },
  });
  const { system, log } = started;
  const { threads } = system.usage();
  const path = started.install("spawner", program);
  const process = await system.spawn(path, [], { kernel: main, stdin: "null", stderr: "null" });
  await firstOutput(process);
  assert.ok(simulation !== undefined);
  simulation.machine.core(core).accessesUntilCrash = accesses;
  const what = `core ${core} crashes after ${accesses} accesses`;
  const { exitCode } = await within(10_000, what, process.wait());
  await process.stdout?.cancel();
  await eventually("the crash is known", () => system.kernels()[core].state === "dead");
  // One that the core was just taking from the pool, or giving back, is lost.
  await eventually(`${what}: threads`, () => system.usage().threads <= threads + 1);
  assert.match(log.splice(0).join("\n"), new RegExp(`^core ${core} failed`));
  return exitCode;
}

const points = 10;
// A turn of the program takes some hundred accesses of each core.
const stride = 61;

test("the weak kernel crashes anywhere: the normal thread goes on, and hears of it", async () => {
  for (let point = 0; point < points; point++) {
    const exitCode = await crashAfter(weak, point * stride);
    // A thread was lost; or it crashed between two threads, and there is no thread to join any more.
    assert.ok(exitCode === errno.OWNERDEAD || exitCode === errno.SRCH, `at ${point * stride}: ${exitCode}`);
  }
});

test("the main kernel crashes anywhere: the process ends, and its NightWatch threads", async () => {
  for (let point = 0; point < points; point++) {
    assert.equal(await crashAfter(main, point * stride), 137, `at ${point * stride}`);
  }
});
