/** K2's two rules for interrupts that devices raise for everybody (ASPLOS 2014, section 7), on the simulated OMAP4. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BootOptions } from "../../src/index.ts";
import { sharedInterrupt } from "../../src/machine/soc.ts";
import { bootForTest, type TestSystem } from "./support/system.ts";

const strong = 0;
const weak = 1;
/** Longer than the inactive timeout. */
const nap_ms = 6_000;

function bootK2(options: BootOptions = {}): Promise<TestSystem> {
  // Islands give up their pages when they sleep: nothing but an interrupt could wake the strong one.
  return bootForTest({ machine: "omap4", preset: "k2", releaseOnSleep: true, ...options });
}

/** How long the strong core was awake, and how often it was interrupted by the DMA engine, while kernel `by` used it. */
async function transfer({ system }: TestSystem, by: number): Promise<{ strong_ns: number; weak_ns: number }> {
  const active = () => system.simulation?.rails().map((rail) => rail.active_ns) ?? [];
  const before = active();
  const copied = await system.run("cp", ["/tmp/data", "/dev/dma"], { kernel: by });
  assert.equal(copied.exitCode, 0, copied.stderr);
  const after = active();
  return { strong_ns: after[strong] - before[strong], weak_ns: after[weak] - before[weak] };
}

async function prepare(started: TestSystem): Promise<void> {
  started.system.files.write("/tmp/data", new Uint8Array(40_000).fill(1));
  // Both have loaded the program; then the chip sleeps.
  for (const kernel of [strong, weak]) await started.system.run("cp", ["/tmp/data", "/dev/null"], { kernel });
  await started.system.delay(nap_ms);
}

test("while the strong domain sleeps, the shadow kernel takes the interrupts, and it sleeps on", async () => {
  await using started = await bootK2();
  await prepare(started);
  const { strong_ns, weak_ns } = await transfer(started, weak);
  assert.equal(strong_ns, 0);
  assert.ok(weak_ns > 0);
});

test("without the rules, an interrupt of a device that the weak domain uses wakes the strong one", async () => {
  await using started = await bootK2({ placements: { interrupts: "private" } });
  await prepare(started);
  const { strong_ns } = await transfer(started, weak);
  assert.ok(strong_ns > 0);
});

test("while the strong domain is awake, the main kernel takes all of them", async () => {
  await using started = await bootK2();
  await prepare(started);
  const machine = started.system.simulation?.machine;
  assert.ok(machine !== undefined);
  const isMasked = (core: number) => machine.core(core).soc.interrupts.isMasked(sharedInterrupt.dma);
  assert.deepEqual([isMasked(strong), isMasked(weak)], [true, false]);
  const busy = await started.system.spawn("cat", [], { kernel: strong });
  await started.system.delay(10);
  assert.deepEqual([isMasked(strong), isMasked(weak)], [false, true]);
  const { strong_ns } = await transfer(started, weak);
  assert.ok(strong_ns > 0, "the weak domain's transfers interrupt the strong one, which is awake");
  busy.kill();
  await busy.wait();
  await started.system.delay(nap_ms);
  assert.deepEqual([isMasked(strong), isMasked(weak)], [true, false]);
});
