/** The simulated machine as a whole: what a core is in the middle of when something happens to it or to another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { customProfile } from "../../src/machine/profiles/index.ts";
import type { SimCore } from "../../src/machine/sim/sim-core.ts";
import { SimMachine } from "../../src/machine/sim/sim-machine.ts";
import { powerState } from "../../src/machine/soc.ts";

interface World {
  readonly machine: SimMachine;
  readonly failed: string[];
  readonly log: string[];
}

/** A machine of two strong islands with a core each; `programs` are what they run before they idle. */
function world(...programs: ((core: SimCore) => Promise<void>)[]): World {
  const failed: string[] = [];
  const log: string[] = [];
  const machine = new SimMachine({
    profile: customProfile({ islands: [["strong"], ["strong"]] }),
    seed: 1,
    memory_bytes: 1 << 20,
    uncached_bytes: 65_536,
    bootKernel: async (core) => {
      core.announce();
      await programs[core.id]?.(core);
      for (;;) {
        core.takeInterrupts();
        await core.idle(Infinity);
      }
    },
    log: (line) => log.push(line),
    onCoreLost: () => undefined,
    onCoreFailed: (core, reason) => failed.push(`core ${core}: ${reason.split("\n")[0]}`),
    onFailure: (error) => assert.fail(String(error)),
    hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });
  for (const core of programs.keys()) machine.console.start(core, core);
  return { machine, failed, log };
}

async function idleUntil(core: SimCore, at_ns: number): Promise<void> {
  while (core.clock.monotonic_ns() < at_ns) {
    core.takeInterrupts();
    await core.idle(at_ns);
  }
}

test("regression: a core that crashes while it idles has idled until then", async () => {
  const { machine } = world(async (core) => idleUntil(core, 1000));
  await machine.delay(5);
  const before_mJ = machine.power.meter.energyOfCore_mJ(0, machine.time_ns);
  const crash_ns = machine.time_ns;
  machine.crash(0);
  assert.ok(machine.power.meter.energyOfCore_mJ(0, machine.time_ns) >= before_mJ);
  assert.ok(machine.power.meter.residency_ns(0, powerState.idle, machine.time_ns) > 4e6);
  await machine.delay(5);
  assert.ok(machine.queue.next() === undefined || machine.queue.nextTime_ns() >= crash_ns);
  machine.abandon();
});

test("regression: what ends a core in a handler does not end the code that it has interrupted", async () => {
  let waited = false;
  const { machine, failed, log } = world(
    async (core) => {
      await idleUntil(core, 1e6);
      core.soc.mailbox.send(1, 7);
      core.soc.spinUntil(() => false, core.clock.monotonic_ns() + 50_000);
      waited = true;
    },
    async (core) => {
      core.soc.mailbox.receive(() => {
        core.log("before");
        machine.crash(core.id);
        core.log("after");
        core.clock.monotonic_ns();
      });
    },
  );
  await machine.delay(10);
  assert.ok(waited);
  assert.deepEqual(failed, ["core 1: it crashed"]);
  assert.deepEqual(log, ["before"], "a core that has stopped says nothing");
  machine.abandon();
});

test("regression: an error in a handler is its own core's failure", async () => {
  let waited = false;
  const { machine, failed } = world(
    async (core) => {
      await idleUntil(core, 1e6);
      core.soc.mailbox.send(1, 7);
      core.soc.spinUntil(() => false, core.clock.monotonic_ns() + 50_000);
      waited = true;
    },
    async (core) => {
      core.soc.mailbox.receive(() => {
        throw new Error("a mistake");
      });
    },
  );
  await machine.delay(10);
  assert.ok(waited);
  assert.deepEqual(failed, ["core 1: Error: a mistake"]);
  machine.abandon();
});

test("regression: the console's clock does not run away when a handler comes from a core that is behind", async () => {
  const { machine } = world(async (core) => {
    await idleUntil(core, 1000);
    for (let mail = 0; mail < 20; mail++) core.soc.mailbox.send(machine.coreCount, mail);
  });
  const seen: number[] = [];
  machine.console.soc.mailbox.receive((_from, word) => {
    machine.console.clock.monotonic_ns();
    seen.push(word);
  });
  // The console has got ahead of everybody.
  machine.console.advanceTo(50e6);
  machine.queue.push(60e6, true, () => undefined);
  machine.driver.take({ ...machine.queue.push(60e6, true, () => undefined), run: () => undefined });
  await machine.delay(20);
  assert.equal(seen.length, 20);
  assert.ok(machine.console.reached_ns() < 200e6, `${machine.console.reached_ns()} ns`);
  machine.abandon();
});
