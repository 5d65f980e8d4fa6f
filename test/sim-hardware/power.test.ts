import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cortexA9, cortexM3 } from "../../src/machine/profiles/omap4.ts";
import { PowerControl } from "../../src/machine/sim/power.ts";
import { powerState } from "../../src/machine/soc.ts";
import { Board } from "./support/board.ts";

const { off, inactive, idle, active } = powerState;
const timeout_ns = 5e9;
const wakeUp_ns = cortexA9.wakeUp_us * 1000;
const cores = [
  { kind: cortexA9, rail: "strong" },
  { kind: cortexM3, rail: "weak" },
];

function powered(): { board: Board; power: PowerControl } {
  const board = new Board();
  const power = new PowerControl(board, cores, true);
  power.switchOn(0, 0);
  power.switchOn(1, 0);
  board.runAll();
  return { board, power };
}

function isNear(value: number, expected: number): void {
  assert.ok(
    Math.abs(value - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${value} is not ${expected}`,
  );
}

test("energy is power times time, by rail", () => {
  const { board, power } = powered();
  // One second active, then idle until the timeout, then inactive.
  power.idle(0, 1e9);
  board.runUntil(10e9);
  assert.equal(power.state(0), inactive);
  isNear(power.energy_mJ("strong", 10e9), 79.8 * 1 + 25.2 * 5 + 0.1 * 4);
  isNear(power.energy_mJ("weak", 10e9), 21.1 * 10);
  assert.equal(power.meter.residency_ns(0, idle, 10e9), timeout_ns);
  assert.equal(power.meter.power_mW("strong"), 0.1);
  assert.throws(() => power.energy_mJ("fifth", 0), /no power rail "fifth"; there are strong, weak/);
});

test("work within the timeout keeps a core from becoming inactive", () => {
  const { board, power } = powered();
  for (let second = 0; second < 20; second += 4) {
    assert.equal(power.activate(0, second * 1e9), second === 0 ? wakeUp_ns : second * 1e9);
    power.idle(0, (second + 1) * 1e9);
    board.runUntil((second + 3.9) * 1e9);
    assert.equal(power.state(0), idle);
  }
});

test("waking from inactive takes time, at active power", () => {
  const { board, power } = powered();
  power.idle(0, 1e9);
  board.runUntil(8e9);
  const before_mJ = power.energy_mJ("strong", 8e9);
  assert.equal(power.activate(0, 8e9), 8e9 + wakeUp_ns);
  assert.equal(power.state(0), active);
  assert.equal(power.activate(0, 8e9 + 10), 8e9 + wakeUp_ns, "nothing runs before it is awake");
  isNear(power.energy_mJ("strong", 8e9 + wakeUp_ns) - before_mJ, (79.8 * wakeUp_ns) / 1e9);
});

test("handlers are told of sleep and waking, the core's own handler before it sleeps", () => {
  const { board, power } = powered();
  const told: string[] = [];
  for (const observer of [0, 1]) {
    power.of(observer).onChange((core, state) => {
      told.push(`${observer}: core ${core} to ${state}, is ${power.state(core)}`);
    });
  }
  power.idle(0, 0);
  board.runUntil(1e9);
  power.activate(0, 1e9);
  board.runUntil(2e9);
  assert.deepEqual(told, [], "nobody is told of active and idle");
  power.idle(0, 2e9);
  board.runUntil(8e9);
  assert.deepEqual(told.splice(0), ["0: core 0 to 1, is 2", "1: core 0 to 1, is 1"]);
  power.activate(0, 8e9);
  board.runUntil(9e9);
  assert.deepEqual(told.splice(0), ["0: core 0 to 3, is 3", "1: core 0 to 3, is 3"]);
  assert.deepEqual(board.runs.at(-1), { core: 1, time_ns: 8e9 + wakeUp_ns });
  power.switchOff(0, 9e9);
  board.runAll();
  assert.deepEqual(told.splice(0), ["1: core 0 to 0, is 0"]);
});

test("a handler is told of the cores that it asked for only", () => {
  const { board, power } = powered();
  const told: number[][] = [];
  power.of(0).onChange((core, state) => told.push([0, core, state]), [0]);
  power.of(1).onChange((core, state) => told.push([1, core, state]), [0]);
  power.idle(1, 0);
  board.runUntil(6e9);
  assert.deepEqual(told, []);
  power.idle(0, 6e9);
  board.runUntil(20e9);
  assert.deepEqual(told, [
    [0, 0, inactive],
    [1, 0, inactive],
  ]);
});

test("a core's own handler runs at active power, and sleep begins when it has returned", () => {
  const { board, power } = powered();
  board.handler_ns = 1000;
  power.onChange(0, () => undefined);
  power.idle(0, 0);
  board.runUntil(timeout_ns + 5000);
  assert.equal(power.meter.residency_ns(0, active, timeout_ns + 5000), 1000);
  assert.equal(power.meter.residency_ns(0, inactive, timeout_ns + 5000), 4000);
});

test("a core that crashes in its own handler stays off", () => {
  const { board, power } = powered();
  power.onChange(0, () => power.switchOff(0, timeout_ns));
  power.idle(0, 0);
  board.runUntil(6e9);
  assert.equal(power.state(0), off);
  assert.throws(() => power.activate(0, 6e9), /core 0 is off/);
  power.switchOn(0, 7e9);
  power.idle(0, 8e9);
  board.runUntil(20e9);
  assert.equal(power.state(0), inactive);
});

test("a core that is off takes no energy, and cannot be switched on twice", () => {
  const { board, power } = powered();
  power.switchOff(0, 1e9);
  power.switchOff(0, 2e9);
  board.runAll();
  isNear(power.energy_mJ("strong", 100e9), 79.8);
  power.switchOn(0, 100e9);
  assert.throws(() => power.switchOn(0, 101e9), /core 0 is on already/);
});

test("fault injection puts an idle core to sleep at once", () => {
  const { board, power } = powered();
  assert.equal(power.sleepNow(0, 0), false);
  power.idle(0, 0);
  assert.equal(power.sleepNow(0, 10), true);
  board.runUntil(10);
  assert.equal(power.state(0), inactive);
  assert.equal(power.energy_mJ("strong", timeout_ns * 2) < 25, true, "the old timeout is gone");
});

test("energy is the integral of power over any history, and never falls", () => {
  const change = fc.tuple(
    fc.nat(1),
    fc.constantFrom("activate", "idle", "off", "wait"),
    fc.double({ min: 0, max: 8e9, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const { board, power } = powered();
      let last_mJ = 0;
      for (const [core, what, wait_ns] of changes) {
        const now_ns = board.time_ns;
        const isOff = power.state(core) === off;
        if (isOff && what !== "wait") power.switchOn(core, now_ns);
        else if (what === "activate") power.activate(core, now_ns);
        else if (what === "idle") power.idle(core, now_ns);
        else if (what === "off") power.switchOff(core, now_ns);
        for (const part of [0.3, 0.7]) {
          board.runUntil(now_ns + wait_ns * part);
          const energy_mJ = power.energy_mJ("strong", board.time_ns) + power.energy_mJ("weak", board.time_ns);
          assert.ok(energy_mJ >= last_mJ);
          last_mJ = energy_mJ;
        }
      }
      // The same from the history, with the ends of its steps.
      let integral_mJ = 0;
      for (const core of [0, 1]) {
        const steps = (power.meter.history ?? []).filter((step) => step.core === core);
        for (const [index, step] of steps.entries()) {
          const end_ns = steps[index + 1]?.time_ns ?? Math.max(board.time_ns, step.time_ns);
          integral_mJ += (step.power_mW * (end_ns - step.time_ns)) / 1e9;
        }
      }
      isNear(last_mJ, integral_mJ);
    }),
    { numRuns: 150 },
  );
});

test("a reading at an earlier time than a core's last change counts until that change", () => {
  const { power } = powered();
  power.idle(0, 3e9);
  isNear(power.energy_mJ("strong", 1e9), 79.8 * 3);
  power.activate(0, 2e9);
  isNear(power.energy_mJ("strong", 3e9), 79.8 * 3);
});
