/** Step by step: mails, grains, states, tables, and how many messages a fault takes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  Dsm,
  type DsmOptions,
  pageState,
  pagesLimit,
  statisticsSince,
  tablesBytes,
} from "../../src/dsm/index.ts";
import {
  type MailType,
  mailType,
  packMail,
  pageOfMail,
  sequenceLimit,
  sequenceOfMail,
  typeOfMail,
} from "../../src/dsm/mail.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { Actor, runActors } from "./support/actors.ts";
import { BenchMachine, type BenchOptions, page_bytes } from "./support/bench-machine.ts";

function machineOf(options: Partial<BenchOptions>): BenchMachine {
  return new BenchMachine({
    seed: 1,
    protocol: "two-state",
    domainOfCore: [0, 1, 2],
    pageCount: 8,
    sectionPages: 4,
    caches: "quiet",
    ...options,
  });
}

/** Mails that some work takes. */
function mailsOf(machine: BenchMachine, work: () => void): number {
  const before = machine.mails;
  work();
  machine.drain();
  return machine.mails - before;
}

describe("mails", () => {
  test("hold a page, a type and a sequence number in 32 bits", () => {
    fc.assert(
      fc.property(
        fc.nat(pagesLimit - 1),
        fc.constantFrom(...Object.values(mailType)),
        fc.nat(sequenceLimit - 1),
        (page, type: MailType, sequence) => {
          const word = packMail(type, page, sequence);
          assert.equal(word >>> 0, word);
          assert.deepEqual(
            [pageOfMail(word), typeOfMail(word), sequenceOfMail(word)],
            [page, type, sequence],
          );
        },
      ),
    );
  });

  test("hold no more", () => {
    assert.throws(() => packMail(mailType.retry, pagesLimit, 0), /do not fit/);
    assert.throws(() => packMail(mailType.retry, 0, sequenceLimit), /do not fit/);
  });

  test("limit the memory that can be kept in step", () => {
    const options = (pageCount: number, sectionPages = 256): DsmOptions => ({
      protocol: "two-state",
      shape: { pageCount, sectionPages, domainCount: 2 },
      locks: { first: 0, count: 1 },
      costs: () => ({ faultEntry_us: 0, protocol_us: 0, service_us: 0, faultExit_us: 0 }),
    });
    assert.throws(() => new Dsm(options(pagesLimit)), /1048576 pages/);
    assert.throws(() => new Dsm(options(16, 3)), /sections of 3/);
    assert.ok(new Dsm(options(pagesLimit - 1)));
  });
});

describe("mails per fault", () => {
  test("two-state: a request and an answer, whoever had the page and whatever for", () => {
    const machine = machineOf({});
    const [first, second, third] = machine.cores;
    first.touch(0, true, 1);
    assert.equal(
      mailsOf(machine, () => second.touch(0, false, 0)),
      2,
    );
    assert.equal(
      mailsOf(machine, () => third.touch(0, false, 0)),
      2,
    );
    assert.equal(
      mailsOf(machine, () => second.touch(0, true, 2)),
      2,
    );
    assert.equal(
      mailsOf(machine, () => second.touch(0, true, 3)),
      0,
    );
  });

  test("three-state: readers do not take the page from each other", () => {
    const machine = machineOf({ protocol: "three-state" });
    const [first, second, third] = machine.cores;
    first.touch(0, true, 1);
    assert.equal(
      mailsOf(machine, () => second.touch(0, false, 0)),
      2,
    );
    assert.equal(
      mailsOf(machine, () => third.touch(0, false, 0)),
      2,
    );
    for (const core of machine.cores)
      assert.equal(
        mailsOf(machine, () => core.touch(0, false, 0)),
        0,
      );
  });

  test("three-state: a writer tells the owner and every reader but itself", () => {
    const machine = machineOf({ protocol: "three-state" });
    const [first, second, third] = machine.cores;
    first.touch(0, true, 1);
    second.touch(0, false, 0);
    third.touch(0, false, 0);
    // To the owner and back, to the third and back.
    assert.equal(
      mailsOf(machine, () => second.touch(0, true, 2)),
      4,
    );
    assert.equal(machine.dsm.domain(1)?.statistics.upgrades, 1);
  });

  test("three-state: the owner that has shared a page tells only the readers", () => {
    const machine = machineOf({ protocol: "three-state" });
    const [first, second] = machine.cores;
    first.touch(0, true, 1);
    second.touch(0, false, 0);
    assert.equal(
      mailsOf(machine, () => first.touch(0, true, 2)),
      2,
    );
    assert.equal(
      mailsOf(machine, () => first.touch(0, true, 3)),
      0,
    );
  });

  test("what nobody has used takes none", () => {
    const machine = machineOf({});
    assert.equal(
      mailsOf(machine, () => machine.cores[0].touch(0, true, 1)),
      0,
    );
    assert.equal(machine.dsm.domain(0)?.statistics.local.faults, 1);
    assert.equal(machine.dsm.domain(0)?.statistics.remote.faults, 0);
  });
});

describe("grain", () => {
  test("a section with one user is tracked as a whole, and faults once", () => {
    const machine = machineOf({});
    const [first] = machine.cores;
    for (let page = 0; page < 4; page++) first.touch(page * page_bytes, true, page);
    const domain = machine.dsm.domain(0);
    assert.equal(domain?.statistics.local.faults, 1);
    assert.equal(domain?.pages.grain(0), "whole");
    assert.equal(domain?.pages.grain(1), "unknown");
    assert.equal(domain?.pages.trackedBytes(), 0);
  });

  test("the first access of another domain turns coherence on for this section, and takes one page", () => {
    const machine = machineOf({});
    const [first, second] = machine.cores;
    for (let page = 0; page < 8; page++) first.touch(page * page_bytes, true, page);
    second.touch(2 * page_bytes, true, 9);
    const [mine, theirs] = [machine.dsm.domain(0), machine.dsm.domain(1)];
    assert.deepEqual([mine?.pages.grain(0), mine?.pages.grain(1)], ["page", "whole"]);
    assert.deepEqual([theirs?.pages.grain(0), theirs?.pages.grain(1)], ["page", "unknown"]);
    const states = [0, 1, 2, 3].map((page) => mine?.pages.state(page));
    assert.deepEqual(states, [
      pageState.exclusive,
      pageState.exclusive,
      pageState.invalid,
      pageState.exclusive,
    ]);
    assert.equal(mine?.statistics.sectionsSplit, 1);
    assert.equal(
      mailsOf(machine, () => first.touch(3 * page_bytes, true, 1)),
      0,
    );
    assert.equal(
      mailsOf(machine, () => second.touch(3 * page_bytes, true, 1)),
      2,
    );
  });

  test("the last section may be shorter than the others", () => {
    const machine = machineOf({ pageCount: 5, sectionPages: 4 });
    const [first, second] = machine.cores;
    first.touch(4 * page_bytes, true, 1);
    second.touch(4 * page_bytes + 1, true, 2);
    assert.ok(first.guard.release());
    assert.equal(second.touch(4 * page_bytes, false, 0), 1);
  });

  test("regression: a cache that has read ahead of a section which somebody else used forgets it when taking over", () => {
    const machine = machineOf({});
    const [first, second] = machine.cores;
    first.touch(0, true, 1);
    // Reads ahead what memory holds, before the owner writes it back.
    machine.access(1, 0, 1, false);
    assert.ok(first.guard.release());
    assert.equal(second.touch(0, false, 0), 1);
    assert.equal(machine.dsm.domain(1)?.pages.grain(0), "whole");
  });
});

describe("state", () => {
  test("takes no more than two of the paper's three bits per page and domain", () => {
    for (const state of Object.values(pageState)) assert.ok(state >= 0 && state < 4);
    for (const protocol of ["two-state", "three-state"] as const) {
      const random = new Random("states");
      const machine = machineOf({ protocol, sectionPages: 1 });
      const seen = new Set<number>();
      for (let step = 0; step < 500; step++) {
        machine.cores[random.below(3)].touch(random.below(8) * page_bytes, random.chance(0.3), step);
        for (let domain = 0; domain < 3; domain++)
          for (let page = 0; page < 8; page++) seen.add(machine.dsm.domain(domain)?.pages.state(page) ?? 0);
      }
      const expected = protocol === "three-state" ? [0, 1, 2, 3] : [0, 3];
      assert.deepEqual([...seen].sort(), expected);
    }
  });

  test("fits in the uncached memory that is said", () => {
    for (const [pageCount, sectionPages, domainCount] of [
      [16_384, 256, 3],
      [7, 4, 2],
      [65_536, 16, 32],
    ]) {
      const shape = { pageCount, sectionPages, domainCount };
      const bytes = tablesBytes(shape);
      const directory = 64 * 1024;
      const memory = TypedMemory.format(new SharedArrayBuffer(directory + bytes), { areasMax: 16 });
      const before = memory.freeBytes();
      const machine = new Dsm({
        protocol: "two-state",
        shape,
        locks: { first: 0, count: 1 },
        costs: () => ({ faultEntry_us: 0, protocol_us: 0, service_us: 0, faultExit_us: 0 }),
      });
      machine.createTables(memory);
      assert.ok(before - memory.freeBytes() <= bytes);
    }
  });
});

describe("code at interrupt level", () => {
  test("must not touch coherent memory that is not there", () => {
    const machine = machineOf({});
    const [first, second] = machine.cores;
    second.touch(0, true, 1);
    first.guard.port.handlersRunning++;
    assert.throws(
      () => first.touch(0, false, 0),
      /core 0 touches page 0 of coherent memory at interrupt level/,
    );
  });
});

describe("statistics", () => {
  test("tell where the time of a fault went, by step and by requester", () => {
    const machine = machineOf({});
    const [first, second] = machine.cores;
    first.touch(0, true, 1);
    second.touch(page_bytes, true, 1);
    const before = structuredClone(machine.dsm.domain(1)?.statistics);
    const served = structuredClone(machine.dsm.domain(0)?.statistics);
    assert.ok(before !== undefined && served !== undefined);
    for (let round = 0; round < 10; round++) {
      first.touch(0, true, 1);
      second.touch(0, true, 2);
    }
    const { remote, retries } = statisticsSince(before, machine.dsm.domain(1)?.statistics ?? before);
    assert.equal(remote.faults, 10);
    assert.equal(retries, 0);
    assert.equal(remote.entry_ns, 10 * 3000);
    assert.equal(remote.protocol_ns, 10 * 2000);
    assert.equal(remote.exit_ns, 10 * 18_000);
    const by = statisticsSince(served, machine.dsm.domain(0)?.statistics ?? served).servedTo[1];
    assert.deepEqual([by.requests, by.service_ns], [10, 10 * 7000]);
    assert.ok(remote.waiting_ns > by.service_ns, "communication takes time as well");
  });
});

// --- Litmus -------------------------------------------------------------------------------------------------------

/** One thread of a litmus test: "Wx" writes 1 to x, "W2x" writes 2, "Rx" reads. */
type Thread = readonly string[];

/** All outcomes (results of the reads, thread by thread) of a litmus test over many seeds. */
function outcomes(protocol: "two-state" | "three-state", threads: readonly Thread[]): Set<string> {
  const found = new Set<string>();
  for (let seed = 0; seed < 250; seed++) {
    const random = new Random(`litmus ${seed}`);
    const machine = new BenchMachine({
      seed,
      protocol,
      domainOfCore: threads.map((_, core) => core),
      pageCount: 2,
      sectionPages: 1,
    });
    // Somebody has used the pages before.
    for (const page of [0, 1]) machine.cores[random.below(threads.length)].touch(page * page_bytes, true, 0);
    machine.drain();
    const actors = threads.map((thread, core) => {
      const accesses = thread.map((text) => ({
        page: text.endsWith("x") ? 0 : 1,
        place: 0,
        write: text.startsWith("W"),
        value: text.startsWith("W2") ? 2 : 1,
      }));
      let next = 0;
      const values = accesses.filter(({ write }) => write).map(({ value }) => value);
      return new Actor(machine.cores[core], accesses, ({ write }) => (write ? values[next++] : 0));
    });
    runActors(machine, actors, () => undefined);
    const reads = actors.map((actor, core) =>
      actor.results.filter((_, index) => threads[core][index].startsWith("R")).join(""),
    );
    found.add(reads.filter((text) => text !== "").join(" "));
  }
  return found;
}

describe("litmus tests: outcomes that sequential consistency forbids do not occur, and the others do", () => {
  const litmus: [string, Thread[], { forbidden: string[]; seen: string[] }][] = [
    [
      "store buffering",
      [
        ["Wx", "Ry"],
        ["Wy", "Rx"],
      ],
      { forbidden: ["0 0"], seen: ["0 1", "1 0", "1 1"] },
    ],
    [
      "message passing",
      [
        ["Wx", "Wy"],
        ["Ry", "Rx"],
      ],
      { forbidden: ["10"], seen: ["00", "01", "11"] },
    ],
    [
      "load buffering",
      [
        ["Rx", "Wy"],
        ["Ry", "Wx"],
      ],
      { forbidden: ["1 1"], seen: ["0 0", "0 1", "1 0"] },
    ],
    [
      "independent reads of independent writes",
      [["Wx"], ["Wy"], ["Rx", "Ry"], ["Ry", "Rx"]],
      { forbidden: ["10 10"], seen: ["00 00", "11 11"] },
    ],
    [
      "coherence",
      [
        ["Wx", "W2x"],
        ["Rx", "Rx"],
      ],
      { forbidden: ["10", "20", "21"], seen: ["00", "12", "22"] },
    ],
  ];
  for (const protocol of ["two-state", "three-state"] as const) {
    for (const [name, threads, { forbidden, seen }] of litmus) {
      test(`${protocol}: ${name}`, () => {
        const found = outcomes(protocol, threads);
        for (const outcome of forbidden) assert.ok(!found.has(outcome), `${outcome} occurred`);
        for (const outcome of seen) assert.ok(found.has(outcome), `${outcome} never occurred`);
      });
    }
  }
});
