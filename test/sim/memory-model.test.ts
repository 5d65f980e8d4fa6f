/**
 * The memory that kernels on incoherent islands share is sequentially consistent: litmus tests, and traces of random
 * accesses, on the cores and through the guards of booted systems.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Mutation } from "../../src/dsm/index.ts";
import { Random } from "../../src/machine/sim/random.ts";
import type { CoherenceProtocol } from "../../src/presets/configuration.ts";
import { allowedOutcomes, type LitmusTest, litmusTests, outcomeText } from "../../src/simulation/litmus.ts";
import { type Access, checkSequentialConsistency } from "../../src/simulation/sequential-consistency.ts";
import { addressIn, Processors, type WordAccess } from "./support/processors.ts";
import { temporaryDirectory } from "./support/seeds.ts";

const cacheDirectory = temporaryDirectory();
const protocols: readonly CoherenceProtocol[] = ["two-state", "three-state"];
/** The litmus test that needs most processors has four; an island with two cores is there as well. */
const islands = [["strong", "strong"], ["weak"], ["weak"], ["strong"]];
const rounds = 200;
const words = ["x", "y"];

/** Runs a litmus test once. @returns its outcome. */
async function outcomeOf(litmus: LitmusTest, processors: Processors): Promise<string> {
  const pages = processors.somePages(words.length);
  const address = (word: number): number => addressIn(pages[word]);
  await processors.clear([...words.keys()], address);
  const order = processorsOf(processors, litmus.programs.length);
  const programs: WordAccess[][] = Array.from({ length: processors.count }, () => []);
  for (const [index, program] of litmus.programs.entries()) {
    programs[order[index]] = program.map((step) => ({
      kind: step.kind,
      word: words.indexOf(step.location),
      value: step.kind === "store" ? step.value : 0,
    }));
  }
  const trace = await processors.run(programs, address);
  const registers: Record<string, number> = {};
  for (const [index, program] of litmus.programs.entries()) {
    const accesses = trace.filter(({ processor }) => processor === order[index]);
    for (const [place, step] of program.entries()) {
      if (step.kind === "load") registers[step.register] = accesses[place].read ?? -1;
    }
  }
  // Somebody who comes after all of them reads what is left.
  const finals = await processors.run(
    [litmus.observed.map((location) => ({ kind: "load", word: words.indexOf(location), value: 0 }))],
    address,
  );
  for (const [index, location] of litmus.observed.entries()) registers[location] = finals[index].read ?? -1;
  return outcomeText(registers);
}

/** Cores for the processors of a test: from the last one on, so that each is on an island of its own while there are enough. */
function processorsOf({ count: cores }: Processors, count: number): number[] {
  return Array.from({ length: count }, (_, index) => (cores - 1 - index + cores) % cores);
}

/** Random accesses of all cores to a few words in a few pages. */
async function randomTrace(seed: number, processors: Processors): Promise<Access[]> {
  const random = new Random(seed).fork("accesses");
  const pages = processors.somePages(random.between(1, 3));
  const wordCount = random.between(1, 6);
  const places = Array.from({ length: wordCount }, () => addressIn(random.pick(pages)));
  const writes = random.unit();
  let value = 0;
  const programs = Array.from({ length: processors.count }, () =>
    Array.from({ length: random.between(5, 40) }, (): WordAccess => {
      const kind = random.chance(writes) ? random.pick(["store", "update"] as const) : "load";
      return { kind, word: random.below(wordCount), value: kind === "load" ? 0 : ++value };
    }),
  );
  const addressOf = (word: number): number => places[word] + word * 4;
  await processors.clear([...places.keys()], addressOf);
  return processors.run(programs, addressOf);
}

for (const coherence of protocols) {
  describe(`software coherence, ${coherence}`, () => {
    test("litmus tests have no outcome that sequential consistency forbids", {
      timeout: 120_000,
    }, async (context) => {
      await using processors = await Processors.boot({ seed: 1, coherence, cacheDirectory, islands });
      for (const litmus of litmusTests) {
        const allowed = allowedOutcomes(litmus);
        const seen = new Set<string>();
        for (let round = 0; round < rounds; round++) {
          const outcome = await outcomeOf(litmus, processors);
          assert.ok(allowed.has(outcome), `${litmus.name}: ${outcome}`);
          seen.add(outcome);
        }
        // The accesses do meet each other.
        assert.ok(seen.size > 1, `${litmus.name}: always ${[...seen][0]}`);
        context.diagnostic(`${litmus.name}: ${seen.size} of ${allowed.size} outcomes`);
      }
    });

    test("random accesses have an order that explains them", { timeout: 120_000 }, async () => {
      await using processors = await Processors.boot({ seed: 2, coherence, cacheDirectory, islands });
      for (let seed = 1; seed <= rounds; seed++) {
        const trace = await randomTrace(seed, processors);
        const verdict = checkSequentialConsistency(trace);
        assert.equal(verdict.result, "consistent", verdict.result === "violation" ? verdict.text : "");
      }
    });
  });
}

const mutations: readonly Mutation[] = [
  "skip-invalidate",
  "skip-clean",
  "wrong-owner",
  "no-reader-invalidation",
];

/** The system below may stop when its memory is broken; that is not what is looked for here. */
for (const mutation of mutations) {
  test(`what was read shows "${mutation}"`, { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      await using processors = await Processors.boot({
        seed,
        coherence: "three-state",
        cacheDirectory,
        islands,
      });
      processors.breakCoherence(mutation);
      const trace = await randomTrace(seed, processors);
      if (checkSequentialConsistency(trace).result === "violation") return;
    }
    assert.fail("all traces were consistent");
  });
}
