/** What a lost core has held is freed while others wait for it, and the rest is cleaned up when nobody is in the middle of anything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { omap4 } from "../../src/machine/profiles/omap4.ts";
import type { SimCore } from "../../src/machine/sim/sim-core.ts";
import { SimMachine } from "../../src/machine/sim/sim-machine.ts";

test("regression: pieces are freed until the waiting core can go on; what needs its locks comes when it has", async () => {
  const happened: string[] = [];
  const held = { outer: -1, inner: -1 };
  const doomed = async (core: SimCore) => {
    held.inner = core.id;
    machine.crash(core.id);
    core.pause();
  };
  const waiting = async (core: SimCore) => {
    held.outer = core.id;
    while (held.inner >= 0) core.pause();
    held.outer = -1;
    happened.push("went on");
    await core.idle(Infinity);
  };
  const machine: SimMachine = new SimMachine({
    profile: omap4,
    seed: 1,
    memory_bytes: 1 << 16,
    uncached_bytes: 1 << 16,
    bootKernel: async (core) => {
      core.announce();
      if (core.id === 1) await doomed(core);
      while (held.inner < 0) await core.idle(core.clock.monotonic_ns() + 1e6);
      await waiting(core);
    },
    log: () => undefined,
    onCoreLost: (core) => void happened.push(`core ${core} is lost`),
    *freeHeldBy() {
      held.inner = -1;
      happened.push("freed the inner one");
      yield;
      happened.push(`needs the outer one of ${held.outer}`);
    },
    onCoreFailed: () => void happened.push("the rest"),
    onFailure: (error) => assert.fail(String(error)),
    hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });
  for (const core of [0, 1]) machine.console.start(core, core);
  await machine.delay(100);
  await machine.stop();
  assert.deepEqual(happened, [
    "core 1 is lost",
    "freed the inner one",
    "went on",
    "needs the outer one of -1",
    "the rest",
  ]);
});
