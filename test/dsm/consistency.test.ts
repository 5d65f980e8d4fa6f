/** Whatever cores do at the same time, memory is as if there were one copy: sequential consistency, by chance and seed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Mutation, Protocol, ServiceLevel } from "../../src/dsm/index.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { type Access, Actor, runActors } from "./support/actors.ts";
import { type BenchCore, BenchMachine, page_bytes } from "./support/bench-machine.ts";

interface Setting {
  readonly seed: number;
  readonly protocol: Protocol;
  readonly mutation?: Mutation;
}

/** A machine of some shape, with random work for its cores. All of it follows from the seed. */
function world({ seed, protocol, mutation }: Setting) {
  const random = new Random(`work ${seed}`);
  const domains = 2 + random.below(4);
  const domainOfCore = Array.from({ length: domains }, (_, domain) => domain);
  if (random.chance(0.4)) domainOfCore.push(random.below(domains));
  const pageCount = 1 + random.below(6);
  const levels: ServiceLevel[] = ["at-once", "bottom-half"];
  const deferrals_ns = [0, 500, 20_000];
  const machine = new BenchMachine({
    seed,
    protocol,
    mutation,
    domainOfCore,
    pageCount,
    sectionPages: 1 << random.below(3),
    lockCount: 1 + random.below(4),
    serviceLevels: domainOfCore.map(() => levels[random.below(2)]),
    deferral_ns: deferrals_ns[random.below(3)],
  });
  const writes = random.unit();
  let value = 0;
  const actors = machine.cores.map((core) => {
    const accesses: Access[] = Array.from({ length: 1 + random.below(12) }, () => ({
      page: random.below(pageCount),
      place: random.below(2),
      write: random.chance(writes),
    }));
    return new Actor(core, accesses, () => ++value & 0xff);
  });
  return { machine, actors };
}

/** @throws Error when memory is not consistent. */
function check(setting: Setting): void {
  const { machine, actors } = world(setting);
  runActors(machine, actors, () => {
    const [wrong] = machine.violations();
    assert.equal(wrong, undefined, wrong);
  });
  for (const core of machine.cores) assert.equal(machine.dsm.domain(core.domain)?.requests.size, 0);
}

/** Cores fault in the middle of the faults of others. @throws Error when memory is not consistent. */
function nest({ seed, protocol }: Setting): void {
  const { machine } = world({ seed, protocol });
  const random = new Random(`nested ${seed}`);
  const spinning = new Set<BenchCore>();
  const touch = (core: BenchCore) =>
    core.touch(random.below(machine.options.pageCount) * page_bytes, random.chance(0.6), random.below(256));
  machine.interlude = (outer) => {
    spinning.add(outer);
    const others = machine.cores.filter((core) => !spinning.has(core));
    if (others.length === 0 || random.chance(0.7)) return false;
    touch(others[random.below(others.length)]);
    spinning.delete(outer);
    return true;
  };
  for (let step = 0; step < 40; step++) {
    spinning.clear();
    touch(machine.cores[random.below(machine.cores.length)]);
    assert.deepEqual(machine.violations(), [], `seed ${seed}, step ${step}`);
  }
}

const protocols: Protocol[] = ["two-state", "three-state"];

for (const protocol of protocols) {
  describe(protocol, () => {
    test("accesses of many cores at the same time equal those to one memory", () => {
      for (let seed = 0; seed < 160; seed++) {
        try {
          check({ seed, protocol });
        } catch (error) {
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        }
      }
    });

    test("so do the accesses of kernel code, which spins while it faults", () => {
      for (let seed = 0; seed < 100; seed++) {
        const { machine, actors } = world({ seed, protocol });
        const random = new Random(seed);
        for (let step = 0; step < 60; step++) {
          const { core } = actors[random.below(actors.length)];
          const offset = random.below(machine.options.pageCount * page_bytes - 8);
          core.touch(offset, random.chance(0.5), step);
          if (random.chance(0.5)) machine.advance();
          assert.deepEqual(machine.violations(), [], `seed ${seed}, step ${step}`);
        }
      }
    });

    test("a core may fault in the middle of another core's fault, and finish before it", () => {
      for (let seed = 0; seed < 100; seed++) nest({ seed, protocol });
    });

    test("an access over several pages has all of them at once", () => {
      for (let seed = 0; seed < 50; seed++) {
        const random = new Random(seed);
        const machine = new BenchMachine({
          seed,
          protocol,
          domainOfCore: [0, 1, 2],
          pageCount: 5,
          sectionPages: 2,
        });
        for (let step = 0; step < 30; step++) {
          const core = machine.cores[random.below(3)];
          const offset = random.below(2 * page_bytes);
          const length = 1 + random.below(3 * page_bytes - 1);
          const write = random.chance(0.5);
          core.guard.access(offset, length, write);
          const bytes = machine.copies[core.domain].subarray(offset, offset + length);
          assert.deepEqual(bytes, machine.flat.subarray(offset, offset + length), `seed ${seed}`);
          if (write) bytes.fill(step);
          if (write) machine.flat.fill(step, offset, offset + length);
        }
      }
    });
  });
}

describe("regressions", () => {
  test("an answer to one core of a domain is not taken for the answer to another with the same number", () => {
    nest({ seed: 62, protocol: "two-state" });
    nest({ seed: 142, protocol: "three-state" });
  });

  test("a request is done by its answer even when an older answer has brought the page before", () => {
    nest({ seed: 509, protocol: "two-state" });
  });

  test("two cores of a domain that have the page to read, and both want to write it, do not block each other", () => {
    check({ seed: 64, protocol: "three-state" });
  });
});

describe("a broken protocol is found by the same test", () => {
  const broken: [Mutation, Protocol[]][] = [
    ["skip-invalidate", protocols],
    ["skip-clean", protocols],
    ["drop-acknowledgement", protocols],
    ["wrong-owner", protocols],
    ["no-reader-invalidation", ["three-state"]],
  ];
  for (const [mutation, where] of broken) {
    for (const protocol of where) {
      test(`${mutation}, ${protocol}`, () => {
        let found = -1;
        for (let seed = 0; seed < 300 && found < 0; seed++) {
          try {
            check({ seed, protocol, mutation });
          } catch {
            found = seed;
          }
        }
        assert.ok(found >= 0, "no seed found it");
      });
    }
  }
});
