/** Cores and domains that stop at any of their accesses to hardware, and come back, while others work on. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Protocol, ServiceLevel } from "../../src/dsm/index.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { type Access, Actor, runActors } from "./support/actors.ts";
import { type BenchCore, BenchMachine, withoutStops } from "./support/bench-machine.ts";

const protocols: Protocol[] = ["two-state", "three-state"];

interface Plan {
  readonly seed: number;
  readonly protocol: Protocol;
  /** Core to stop, and at which of its accesses to hardware. */
  readonly victim: number;
  readonly at: number;
  /** Whether domains have more than one core. */
  readonly shared: boolean;
  /** The victim comes back, and works. */
  readonly returns: boolean;
}

/** Runs random work with one loss; false when the victim's work was over before. */
function runWithLoss({ seed, protocol, victim, at, shared, returns }: Plan): boolean {
  const random = new Random(`loss ${seed}`);
  const domainOfCore = shared ? [0, 0, 1, 1, 2] : [0, 1, 2];
  const pageCount = 1 + random.below(3);
  const levels: ServiceLevel[] = ["at-once", "bottom-half"];
  const deferrals_ns = [0, 500, 20_000];
  const machine = new BenchMachine({
    seed,
    protocol,
    domainOfCore,
    pageCount,
    sectionPages: 1 << random.below(2),
    lockCount: 2,
    serviceLevels: domainOfCore.map(() => levels[random.below(2)]),
    deferral_ns: deferrals_ns[random.below(3)],
  });
  let value = 0;
  const work = (core: BenchCore) => {
    const accesses: Access[] = Array.from({ length: 2 + random.below(6) }, () => ({
      page: random.below(pageCount),
      place: random.below(2),
      write: random.chance(0.5),
    }));
    return new Actor(core, accesses, () => ++value & 0xff);
  };
  const actors = machine.cores.map(work);
  const lost = machine.cores[victim];
  lost.stepsLeft = at;
  let isBuried = false;
  let delay = random.below(30);
  runActors(machine, actors, () => {
    if (lost.dead && !isBuried && delay-- <= 0) {
      isBuried = true;
      machine.bury(lost);
      if (returns) actors.push(work(machine.reboot(lost)));
    }
    // Until the dead are buried, the tables may ask them for what they owned.
    if (!lost.dead || isBuried) {
      const [wrong] = machine.violations();
      assert.equal(wrong, undefined, wrong);
    }
  });
  if (!lost.dead) return false;
  if (!isBuried) machine.bury(lost);
  // Every page can be had by everybody who lives.
  const last = machine.cores
    .filter((core) => !core.dead)
    .map((core) => {
      const accesses = Array.from({ length: pageCount }, (_, page) => ({ page, place: 0, write: true }));
      return new Actor(core, accesses, () => ++value & 0xff);
    });
  runActors(machine, last, () => undefined);
  assert.deepEqual(machine.violations(), []);
  assert.ok(
    machine.lockHolders.every((holder) => holder < 0),
    "a spinlock is still held",
  );
  return true;
}

for (const protocol of protocols) {
  for (const shared of [false, true]) {
    for (const returns of [false, true]) {
      const cores = shared ? "one of two cores of a domain" : "a domain";
      test(`${protocol}: ${cores} stops anywhere${returns ? " and comes back" : ""}`, () => {
        for (let seed = 0; seed < 3; seed++) {
          const victim = seed % 3;
          for (let at = 0; at < 400; at++) {
            const plan: Plan = { seed, protocol, victim, at, shared, returns };
            try {
              if (!runWithLoss(plan)) break;
            } catch (error) {
              throw new Error(`${JSON.stringify(plan)}: ${String(error)}`, { cause: error });
            }
          }
        }
      });
    }
  }
}

/** Cores stop, are buried, come back and give everything up, all at random, while the others work. */
function havoc(protocol: Protocol, seed: number): void {
  const random = new Random(`havoc ${seed}`);
  const domains = 2 + random.below(3);
  const domainOfCore = Array.from({ length: domains + random.below(3) }, (_, core) => core % domains);
  const pageCount = 1 + random.below(4);
  const levels: ServiceLevel[] = ["at-once", "bottom-half"];
  const deferrals_ns = [0, 500, 20_000];
  const machine = new BenchMachine({
    seed,
    protocol,
    domainOfCore,
    pageCount,
    sectionPages: 1 << random.below(2),
    lockCount: 1 + random.below(3),
    serviceLevels: domainOfCore.map(() => levels[random.below(2)]),
    deferral_ns: deferrals_ns[random.below(3)],
  });
  let value = 0;
  const work = (core: BenchCore) => {
    const accesses: Access[] = Array.from({ length: 3 + random.below(8) }, () => ({
      page: random.below(pageCount),
      place: random.below(2),
      write: random.chance(0.5),
    }));
    return new Actor(core, accesses, () => ++value & 0xff);
  };
  const actors = machine.cores.map(work);
  /** Cores that are gone and of which nobody knows yet. */
  const unknown = new Set<BenchCore>();
  const bury = (core: BenchCore) => {
    if (unknown.delete(core)) machine.bury(core);
  };
  let reboots = 0;
  runActors(machine, actors, () => {
    for (const core of machine.cores) if (core.dead && core.stepsLeft < 0) unknown.add(core);
    for (const core of unknown) core.stepsLeft = Infinity;
    const living = machine.cores.filter((core) => !core.dead && core.stepsLeft === Infinity);
    const core = machine.cores[random.below(machine.cores.length)];
    if (core.dead) {
      if (random.chance(0.1)) bury(core);
      else if (random.chance(0.05) && reboots++ < 4) {
        // Nobody comes back before all that his domain has lost is known.
        for (const other of [...unknown]) if (other.domain === core.domain) bury(other);
        actors.push(work(machine.reboot(core)));
      }
    } else if (living.length > 1 && living.includes(core) && random.chance(0.01))
      core.stepsLeft = random.below(20);
    else if (random.chance(0.03)) withoutStops(() => core.guard.release());
    if (actors.every((actor) => actor.isDone || actor.isWaiting)) for (const dead of [...unknown]) bury(dead);
    if (unknown.size === 0 && machine.cores.every((one) => !one.dead || one.stepsLeft === Infinity))
      assert.deepEqual(machine.violations(), []);
  });
}

describe("losses, returns and power-downs, all together", () => {
  for (const protocol of protocols) {
    test(protocol, () => {
      for (let seed = 0; seed < 40; seed++) {
        try {
          havoc(protocol, seed);
        } catch (error) {
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        }
      }
    });
  }
});

describe("regressions", () => {
  test("a core that stops while its domain joins or leaves does not leave the domain half present", () => {
    havoc("three-state", 258);
    havoc("two-state", 588);
  });

  const plan = { protocol: "two-state", shared: true, returns: false } as const;

  test("a page that was given to a core which is gone is not waited for by two domains that wait for each other", () => {
    runWithLoss({ ...plan, seed: 0, victim: 0, at: 23 });
  });

  test("a core that lives on is asked again for what a lost neighbour had been asked", () => {
    runWithLoss({ ...plan, seed: 0, victim: 0, at: 25 });
    runWithLoss({ ...plan, seed: 0, victim: 0, at: 28, returns: true });
  });
});

describe("what a dead domain owned", () => {
  test("is as it was in memory when the machine had written back its caches", () => {
    const machine = new BenchMachine({
      seed: 1,
      protocol: "two-state",
      domainOfCore: [0, 1],
      pageCount: 4,
      sectionPages: 2,
      caches: "quiet",
    });
    const [first, second] = machine.cores;
    first.touch(5, true, 77);
    second.touch(4096, true, 1);
    first.touch(4097, true, 78);
    machine.lose(first);
    machine.bury(first);
    assert.equal(second.touch(5, false, 0), 77);
    assert.equal(second.touch(4097, false, 0), 78);
    assert.deepEqual(machine.violations(), []);
  });

  test("is taken without a mail", () => {
    const machine = new BenchMachine({
      seed: 1,
      protocol: "three-state",
      domainOfCore: [0, 1],
      pageCount: 4,
      sectionPages: 2,
    });
    const [first, second] = machine.cores;
    first.touch(5, true, 77);
    machine.lose(first);
    machine.bury(first);
    machine.mails = 0;
    second.touch(5, true, 1);
    assert.equal(machine.mails, 0);
  });

  test("a core that waits for its answer gets the page when somebody finds out", () => {
    let asked = 0;
    const machine: BenchMachine = new BenchMachine({
      seed: 1,
      protocol: "two-state",
      domainOfCore: [0, 1],
      pageCount: 2,
      sectionPages: 1,
      unresponsive: (domain) => {
        asked++;
        machine.bury(machine.cores[domain]);
        return true;
      },
    });
    const [first, second] = machine.cores;
    first.touch(0, true, 9);
    machine.lose(first);
    assert.equal(second.touch(0, false, 0), 9);
    assert.equal(asked, 1);
  });

  test("if nobody finds out, the core that waits says who does not answer", () => {
    const machine = new BenchMachine({
      seed: 1,
      protocol: "two-state",
      domainOfCore: [0, 1],
      pageCount: 2,
      sectionPages: 1,
    });
    machine.cores[0].touch(0, true, 9);
    machine.lose(machine.cores[0]);
    assert.throws(() => machine.cores[1].touch(0, false, 0), /domain 0 does not answer core 1 for page 0/);
  });
});

/** Random work of domains that give everything up now and then. */
function comeAndGo(protocol: Protocol, seed: number): void {
  const random = new Random(`inactive ${seed}`);
  const pageCount = 1 + random.below(4);
  const machine = new BenchMachine({
    seed,
    protocol,
    domainOfCore: [0, 1, 2],
    pageCount,
    sectionPages: 1 << random.below(2),
  });
  const actors = machine.cores.map((core) => {
    const accesses = Array.from({ length: 10 }, () => ({
      page: random.below(pageCount),
      place: 0,
      write: random.chance(0.4),
    }));
    return new Actor(core, accesses, () => random.below(256));
  });
  runActors(machine, actors, () => {
    if (random.chance(0.1)) machine.cores[random.below(3)].guard.release();
    assert.deepEqual(machine.violations(), [], `seed ${seed}`);
  });
}

describe("a domain that becomes inactive", () => {
  test("regression: an answer that arrives after the domain gave up everything gives it no right", () => {
    comeAndGo("two-state", 347);
    comeAndGo("three-state", 218);
  });

  const inactive = (protocol: Protocol) => {
    const machine = new BenchMachine({
      seed: 3,
      protocol,
      domainOfCore: [0, 1],
      pageCount: 4,
      sectionPages: 2,
    });
    const [first, second] = machine.cores;
    first.touch(0, true, 5);
    second.touch(4096, true, 6);
    first.touch(4096, false, 0);
    assert.equal(first.guard.release(), true);
    assert.deepEqual(machine.violations(), []);
    machine.mails = 0;
    return { machine, first, second };
  };

  for (const protocol of protocols) {
    test(`${protocol}: gives up what it owns, and is not asked for it`, () => {
      const { machine, first, second } = inactive(protocol);
      assert.equal(second.touch(0, true, 7), 5);
      assert.equal(second.touch(4096, true, 8), 6);
      assert.equal(machine.mails, 0);
      assert.equal(first.touch(0, false, 0), 7);
      assert.deepEqual(machine.violations(), []);
    });

    test(`${protocol}: finds again what nobody took, without a mail`, () => {
      const { machine, first } = inactive(protocol);
      assert.equal(first.touch(0, true, 9), 5);
      assert.equal(machine.mails, 0);
    });

    test(`${protocol}: is asked again after it came back, for what it does not remember`, () => {
      const { machine, first, second } = inactive(protocol);
      first.touch(2 * 4096, true, 1);
      assert.equal(second.touch(0, true, 7), 5);
      assert.deepEqual(machine.violations(), []);
    });

    test(`${protocol}: coming and going at any time changes nothing`, () => {
      for (let seed = 0; seed < 40; seed++) comeAndGo(protocol, seed);
    });
  }
});

test("a spinlock of a dead core is free for who needs it", () => {
  const machine = new BenchMachine({
    seed: 1,
    protocol: "two-state",
    domainOfCore: [0, 1],
    pageCount: 1,
    sectionPages: 1,
    lockCount: 1,
  });
  const [first, second] = machine.cores;
  // Into the section that it takes: the table is read, the lock acquired, and no more.
  first.stepsLeft = 3;
  withoutStops(() => first.touch(0, true, 1));
  assert.ok(first.dead);
  assert.equal(machine.lockHolders[0], first.id);
  machine.bury(first);
  second.touch(0, true, 1);
  assert.equal(machine.lockHolders[0], -1);
});
