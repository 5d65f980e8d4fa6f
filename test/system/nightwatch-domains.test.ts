/** NightWatch threads where K2 has them: the normal thread on a strong core, its NightWatch threads on a weak one. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Simulation } from "../../src/system/simulation.ts";
import { call, countAt, sleepFor, threaded } from "./support/nightwatch-programs.ts";
import { bootForTest, type TestSystem, within } from "./support/system.ts";

const strong = 0;
const weak = 1;

let started: TestSystem;
let simulation: Simulation;
before(async () => {
  started = await bootForTest({
    preset: "k2",
    machine: "omap4",
    onSimulation: (own) => {
      simulation = own;
    },
  });
});
after(() => started[Symbol.asyncDispose]());

const turns = 200;

/** Runs a program whose normal thread sleeps and wakes in turns: faults of the software coherence, and time, of each turn. */
async function costOfTurn(name: string, spawns: boolean, thread: string) {
  const loop = `
    loop :
      ${sleepFor(1)}
      local.get 1 i32.const 1 i32.add local.tee 1 i32.const ${turns} i32.lt_u br_if 0
    end`;
  const normal = spawns ? `i32.const 0 ${call("nightwatch_spawn")} drop ${loop}` : loop;
  const path = started.install(name, threaded({ normal, thread }));
  // The first run loads the program on both kernels.
  await started.system.run(path, [], { kernel: strong });
  const faults = faultsSoFar();
  const from_ns = simulation.machine.console.clock.monotonic_ns();
  const result = await within(10_000, name, started.system.run(path, [], { kernel: strong }));
  assert.deepEqual([result.exitCode, result.message], [0, ""]);
  return {
    faults: (faultsSoFar() - faults) / turns,
    time_us: (simulation.machine.console.clock.monotonic_ns() - from_ns) / turns / 1000,
  };
}

function faultsSoFar(): number {
  let faults = 0;
  for (const island of [strong, weak]) {
    const domain = simulation.dsm?.domain(island);
    assert.ok(domain !== undefined);
    faults += domain.statistics.remote.faults + domain.statistics.local.faults;
  }
  return faults;
}

test("the kernels agree by messages alone: a turn takes microseconds, and no page changes hands", async () => {
  const alone = await costOfTurn("alone", false, "");
  for (const [name, thread] of [
    ["beside one that computes", countAt(8192)],
    ["beside one that sleeps", sleepFor(1900, 4096)],
  ]) {
    const { faults, time_us } = await costOfTurn(name.replaceAll(" ", "-"), true, thread);
    // Starting and ending a thread changes the process's record, which both kernels use.
    assert.ok(faults - alone.faults < 0.5, `${name}: ${faults - alone.faults} faults in each turn`);
    const more_us = time_us - alone.time_us;
    assert.ok(more_us > 5 && more_us < 60, `${name}: ${more_us} µs more for each turn`);
  }
});
