/** Software coherence is sent mails that nobody asked for, or that cannot be: memory stays one memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mailType, packMail, pagesLimit, sequenceLimit } from "../../src/dsm/mail.ts";
import { BenchMachine, page_bytes } from "../dsm/support/bench-machine.ts";

const pageCount = 8;
const domainOfCore = [0, 0, 1, 2];
const coreCount = domainOfCore.length;

const page = fc.oneof(
  { weight: 3, arbitrary: fc.nat(pageCount - 1) },
  fc.constantFrom(pageCount, pageCount + 1, 32, 33, 34, pagesLimit - 1),
  fc.nat(pagesLimit - 1),
);

const event = fc.oneof(
  fc.record({
    kind: fc.constant("mail" as const),
    from: fc.nat(coreCount - 1),
    to: fc.nat(coreCount - 1),
    type: fc.constantFrom(...Object.values(mailType)),
    page,
    sequence: fc.oneof(fc.nat(3), fc.nat(sequenceLimit - 1)),
  }),
  fc.record({
    kind: fc.constant("access" as const),
    core: fc.nat(coreCount - 1),
    offset: fc.nat(pageCount * page_bytes - 1),
    write: fc.boolean(),
    value: fc.nat(255),
  }),
);

type Event = typeof event extends fc.Arbitrary<infer One> ? One : never;

/** Whether a mail is one that the protocol has no answer to but trust: what a domain says of its own pages. */
function isTrusted(one: Event & { kind: "mail" }): boolean {
  const isAnswer = one.type === mailType.putExclusive || one.type === mailType.putShared;
  return isAnswer || one.type === mailType.invalidated;
}

function run(machine: BenchMachine, events: readonly Event[]): void {
  for (const one of events) {
    if (one.kind === "access") {
      machine.cores[one.core].touch(one.offset, one.write, one.value);
    } else if (one.from !== one.to) {
      machine.cores[one.from].soc.mailbox.send(one.to, packMail(one.type, one.page, one.sequence));
    }
  }
  machine.drain();
}

for (const protocol of ["two-state", "three-state"] as const) {
  test(`${protocol}: mails of any content harm nobody who waits for nothing`, () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), fc.nat(), (events, seed) => {
        const machine = new BenchMachine({ seed, protocol, domainOfCore, pageCount, sectionPages: 4 });
        for (const one of events) {
          // Between two accesses, so that a number that is right by chance is still no answer to anything.
          machine.drain();
          run(machine, [one]);
          assert.deepEqual(machine.violations(), []);
        }
        for (let core = 0; core < coreCount; core++)
          for (let at = 0; at < pageCount; at++) machine.cores[core].touch(at * page_bytes + core, true, at);
        machine.drain();
        assert.deepEqual(machine.violations(), []);
      }),
      { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: process.env.SHRINK === undefined },
    );
  });

  test(`${protocol}: requests and losses that are not so harm nobody who waits either`, () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), fc.nat(), (events, seed) => {
        const machine = new BenchMachine({ seed, protocol, domainOfCore, pageCount, sectionPages: 4 });
        run(
          machine,
          events.filter((one) => one.kind === "access" || !isTrusted(one)),
        );
        assert.deepEqual(machine.violations(), []);
      }),
      { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: process.env.SHRINK === undefined },
    );
  });
}

test("regression: a mail about a page or a domain that there is not is dropped and counted", () => {
  const machine = new BenchMachine({
    seed: 1,
    protocol: "three-state",
    domainOfCore,
    pageCount,
    sectionPages: 4,
  });
  for (const core of machine.cores) core.touch(5, false, 0);
  machine.cores[0].touch(5, true, 77);
  machine.drain();
  const words = [
    ...Object.values(mailType).map((type) => packMail(type, pagesLimit - 1, 0)),
    // Its bit would be that of domain 1, were it shifted.
    packMail(mailType.recovered, 33, 0),
  ];
  for (const word of words) machine.cores[2].soc.mailbox.send(0, word);
  // A core of the same domain has nothing to ask for.
  machine.cores[1].soc.mailbox.send(0, packMail(mailType.getExclusive, 0, 1));
  machine.drain();
  assert.equal(machine.dsm.domain(0)?.statistics.strayMails, words.length + 1);
  assert.deepEqual(machine.violations(), []);
  assert.equal(machine.dsm.domain(0)?.pages.owns(0), true);
});
