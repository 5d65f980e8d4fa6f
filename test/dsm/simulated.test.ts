/** The protocol on the simulated machine: what a fault takes on OMAP4, from the machine's inputs (K2, table 5). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Dsm,
  type DsmGuard,
  type DsmStatistics,
  type ServiceLevel,
  statisticsSince,
  tablesBytes,
} from "../../src/dsm/index.ts";
import { omap4 } from "../../src/machine/profiles/omap4.ts";
import type { SimCore } from "../../src/machine/sim/sim-core.ts";
import { SimMachine } from "../../src/machine/sim/sim-machine.ts";
import { TypedMemory } from "../../src/memory/index.ts";

const page_bytes = 4096;
const memory_bytes = 1 << 20;
const rounds = 20;
/** Time between two rounds of one core: each finds the other at rest. */
const period_ns = 1e6;

interface Measured {
  readonly statistics: DsmStatistics[];
  readonly trace: string;
  readonly violations: string[];
  /** What the cores read: each counts up one counter in shared memory. */
  readonly count: number;
}

interface World {
  readonly dsm: Dsm;
  readonly machine: SimMachine;
}

/** OMAP4 with a kernel on each core that runs `program` and then idles. */
function omap4World(
  protocol: "two-state" | "three-state",
  serviceLevels: readonly ServiceLevel[],
  seed: number,
  program: (core: SimCore, guard: DsmGuard) => Promise<void>,
  deferral_ns = 0,
): World {
  const shape = { pageCount: memory_bytes / page_bytes, sectionPages: 16, domainCount: 3 };
  const dsm = new Dsm({
    protocol,
    shape,
    serviceLevels,
    deferral_ns,
    locks: { first: 0, count: 16 },
    costs: (name) => {
      const kind = omap4.kinds.find((one) => one.name === name);
      assert.ok(kind !== undefined);
      return kind.coherence;
    },
  });
  const machine = new SimMachine({
    profile: omap4,
    seed,
    memory_bytes,
    uncached_bytes: tablesBytes(shape) + 65_536,
    bootKernel: async (core) => {
      const { soc } = core;
      const guard = dsm.attach(core, TypedMemory.attach(soc.uncached, { guard: soc.uncachedGuard }));
      core.announce();
      await program(core, guard);
      await core.idle(Infinity);
    },
    log: () => undefined,
    onCoreLost: () => undefined,
    onCoreFailed: (core, reason) => assert.fail(`core ${core}: ${reason}`),
    onFailure: (error) => assert.fail(String(error)),
    hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });
  dsm.createTables(TypedMemory.format(machine.uncached, { areasMax: 16 }));
  machine.console.start(0, 0);
  machine.console.start(1, 1);
  return { dsm, machine };
}

/** Idles until a time of the machine. */
async function sleepUntil(core: SimCore, at_ns: number): Promise<void> {
  while (core.clock.monotonic_ns() < at_ns) {
    core.takeInterrupts();
    await core.idle(at_ns);
  }
}

/** Both cores increment a counter in turn. */
async function countTogether(protocol: "two-state" | "three-state", seed: number): Promise<Measured> {
  const before: DsmStatistics[] = [];
  let count = 0;
  const increment = (core: SimCore, guard: DsmGuard) => {
    const words = new Uint32Array(core.ram.buffer);
    guard.access(0, 4, false);
    const value = words[0];
    guard.access(0, 4, true);
    words[0] = value + 1;
    count = value + 1;
  };
  const { dsm, machine } = omap4World(protocol, ["bottom-half", "at-once"], seed, async (core, guard) => {
    const start_ns = 1e7 + core.id * (period_ns / 2);
    for (let round = 0; round < rounds + 2; round++) {
      await sleepUntil(core, start_ns + round * period_ns);
      // The first rounds find the page with nobody, and split its section.
      if (round === 2) before[core.id] = structuredClone(guard.domain.statistics);
      increment(core, guard);
    }
  });
  await machine.delay(100);
  const statistics = [0, 1].map((domain) => {
    const now = dsm.domain(domain)?.statistics;
    assert.ok(now !== undefined);
    return statisticsSince(before[domain], now);
  });
  const trace = machine.trace.summary();
  const violations = dsm.check(TypedMemory.attach(machine.uncached));
  await machine.stop();
  return { statistics, trace, violations, count };
}

/** Steps of a fault in microseconds, as the paper's table 5 has them. */
function breakdown(own: DsmStatistics, other: DsmStatistics, requester: number): number[] {
  const { faults, entry_ns, protocol_ns, waiting_ns, exit_ns } = own.remote;
  const { service_ns: served_ns, requests } = other.servedTo[requester];
  const service_ns = (served_ns / requests) * faults;
  const steps = [entry_ns, protocol_ns, waiting_ns - service_ns, service_ns, exit_ns];
  return [...steps, entry_ns + protocol_ns + waiting_ns + exit_ns].map((time) => time / faults / 1000);
}

describe("the protocol on the simulated OMAP4", () => {
  test("takes the time that the paper measured, within a fifth", async () => {
    const { statistics, violations, count } = await countTogether("two-state", 1);
    assert.equal(count, 2 * (rounds + 2));
    assert.deepEqual(violations, []);
    const [main, shadow] = statistics;
    assert.equal(main.remote.faults, rounds);
    assert.equal(shadow.remote.faults, rounds);
    // The looks at the statistics fall between a request and its answer.
    assert.ok(Math.abs(main.mailsSent + shadow.mailsSent - 4 * rounds) <= 1, "two mails per fault");
    const published = [
      [3, 2, 5, 24, 18, 52],
      [17, 13, 9, 7, 2, 48],
    ];
    const measured = [breakdown(main, shadow, 0), breakdown(shadow, main, 1)];
    for (const [column, steps] of measured.entries()) {
      const total = steps[5];
      const expected = published[column][5];
      assert.ok(Math.abs(total - expected) < expected / 5, `${total} µs; the paper has ${expected}`);
    }
  });

  test("three-state: the upgrade after the read costs a second fault", async () => {
    const { statistics, violations, count } = await countTogether("three-state", 1);
    assert.equal(count, 2 * (rounds + 2));
    assert.deepEqual(violations, []);
    assert.equal(statistics[0].remote.faults, 2 * rounds);
    assert.equal(statistics[0].upgrades, rounds);
  });

  test("a busy core serves at once, or when it is out of what it does, as its domain is set up", async () => {
    const work_ns = 1e6;
    const wait_ns = async (level: ServiceLevel) => {
      let waited_ns = 0;
      const { machine } = omap4World("two-state", [level, "at-once"], 1, async (core, guard) => {
        if (core.id === 0) {
          await sleepUntil(core, work_ns);
          guard.access(0, 4, true);
          core.soc.spend_ns(work_ns);
          await core.runOthers();
        } else {
          await sleepUntil(core, 1.5 * work_ns);
          const began_ns = core.clock.monotonic_ns();
          guard.access(0, 4, true);
          waited_ns = core.clock.monotonic_ns() - began_ns;
        }
      });
      await machine.delay(10);
      await machine.stop();
      return waited_ns;
    };
    assert.ok((await wait_ns("at-once")) < 60e3);
    const late_ns = await wait_ns("bottom-half");
    assert.ok(late_ns > 0.45 * work_ns && late_ns < 0.65 * work_ns, `${late_ns} ns`);
  });

  test("a page that a domain has just got is kept for a while, and no longer", async () => {
    const deferral_ns = 2e6;
    /** How long the weak core waits that asks so long after the strong one has taken its page. */
    const wait_ns = async (after_ns: number) => {
      let waited_ns = 0;
      const { dsm, machine } = omap4World(
        "two-state",
        ["bottom-half", "at-once"],
        1,
        async (core, guard) => {
          // The weak one has the page first, then the strong one.
          await sleepUntil(core, core.id === 1 ? 1e6 : 1e7);
          guard.access(0, 4, true);
          if (core.id === 0) return;
          await sleepUntil(core, 1e7 + 60e3 + after_ns);
          const began_ns = core.clock.monotonic_ns();
          guard.access(0, 4, true);
          waited_ns = core.clock.monotonic_ns() - began_ns;
        },
        deferral_ns,
      );
      await machine.delay(20);
      const [strong, weak] = [dsm.domain(0), dsm.domain(1)];
      assert.deepEqual([strong?.statistics.remote.faults, weak?.statistics.remote.faults], [1, 1]);
      assert.deepEqual(dsm.check(TypedMemory.attach(machine.uncached)), []);
      await machine.stop();
      return waited_ns;
    };
    for (const after_ns of [0, 0.5e6]) {
      const waited_ns = await wait_ns(after_ns);
      assert.ok(Math.abs(waited_ns + after_ns - deferral_ns) < 60e3, `${waited_ns} ns`);
    }
    assert.ok((await wait_ns(3e6)) < 60e3);
  });

  test("the same seed gives the same trace", async () => {
    const [first, again] = [await countTogether("two-state", 7), await countTogether("two-state", 7)];
    assert.equal(first.trace, again.trace);
    assert.deepEqual(first.statistics, again.statistics);
  });
});
