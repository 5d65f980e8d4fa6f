/**
 * Tests of the tests: systems that are broken in one place, each in another, must show violations. Software coherence
 * has switches for that; other parts are broken from here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mutation } from "../../src/dsm/index.ts";
import { RunQueue } from "../../src/kernel/run-queue.ts";
import { Buddy } from "../../src/services/pages/buddy.ts";
import { Players } from "../../src/simulation/host/players.ts";
import { play, violationKind } from "../../src/simulation/play.ts";
import { makeScenario, type Scenario } from "../../src/simulation/scenario.ts";
import { temporaryDirectory } from "./support/seeds.ts";

const cacheDirectory = temporaryDirectory();
/** Seeds that may be tried until the violation is found. */
const seeds_max = 4;
const length = 12;

/** The first scenarios without faults on machines that need software coherence. */
function* incoherentScenarios(): Iterable<Scenario> {
  let found = 0;
  for (let seed = 1; found < seeds_max; seed++) {
    const scenario = makeScenario(seed, { faults: [], length });
    if (scenario.islands.length === 1) continue;
    found++;
    yield scenario;
  }
}

/** What may be found first. A kernel that gets no page, or wrong bytes, stops with an exception. */
const expected: Readonly<Record<Mutation, RegExp>> = {
  "skip-invalidate": /^condition: coherence: \d+ accesses found old copies/,
  "skip-clean": /^(condition: coherence|exception|refused)/,
  "drop-acknowledgement": /^(exception: DsmError: domain \d+ does not answer|refused)/,
  "wrong-owner": /^(condition: coherence|exception|refused)/,
  "no-reader-invalidation": /^(condition: coherence|exception|refused)/,
};

for (const [name, pattern] of Object.entries(expected)) {
  const mutation = name as Mutation;
  test(`software coherence with "${mutation}" is caught`, { timeout: 300_000 }, async () => {
    await using players = new Players({ count: 1, cacheDirectory, limit_ms: 60_000 });
    for (const scenario of incoherentScenarios()) {
      const chosen: Scenario =
        mutation === "no-reader-invalidation" ? { ...scenario, coherence: "three-state" } : scenario;
      const { violations } = await players.play({ ...chosen, mutation });
      if (violations.length === 0) continue;
      assert.match(violations[0], pattern);
      // It is the mutation that was caught.
      assert.deepEqual((await players.play(chosen)).violations, []);
      return;
    }
    assert.fail(`not found in ${seeds_max} seeds`);
  });
}

interface Sabotage {
  readonly name: string;
  /** Breaks the system; the function that is returned mends it. */
  readonly apply: () => () => void;
  /** Kinds of violations that it may show first. */
  readonly kinds: readonly string[];
}

/** Replaces a method of a class until the returned function is called. */
function replace<T extends object, K extends keyof T>(prototype: T, name: K, method: T[K]): () => void {
  const original = prototype[name];
  prototype[name] = method;
  return () => {
    prototype[name] = original;
  };
}

const sabotages: readonly Sabotage[] = [
  {
    name: "a wake-up is lost now and then",
    apply() {
      const { makeReadyHere } = RunQueue.prototype;
      let calls = 0;
      return replace(RunQueue.prototype, "makeReadyHere", function (this: RunQueue, thread) {
        if (++calls % 8 !== 0) makeReadyHere.call(this, thread);
      });
    },
    kinds: ["stuck", "exception: Error", "exception: SystemError"],
  },
  {
    name: "pages are handed out twice now and then",
    apply() {
      const { take } = Buddy.prototype;
      const latest = new Map<string, number>();
      let calls = 0;
      return replace(Buddy.prototype, "take", function (this: Buddy, zone, order, ...rest) {
        const key = `${zone} ${order}`;
        const again = latest.get(key);
        if (++calls % 10 === 0 && again !== undefined) return again;
        const page = take.call(this, zone, order, ...rest);
        latest.set(key, page);
        return page;
      });
    },
    kinds: ["outcome", "content", "leak", "stuck", "exception: Error", "log", "refused"],
  },
];

for (const { name, apply, kinds } of sabotages) {
  test(`${name}: that is caught`, { timeout: 300_000 }, async () => {
    for (let seed = 1; seed <= seeds_max; seed++) {
      const scenario = makeScenario(seed, { faults: [], length });
      let mend: () => void = () => undefined;
      const { violations } = await play(scenario, {
        cacheDirectory,
        onReady() {
          mend = apply();
        },
      });
      mend();
      if (violations.length === 0) continue;
      assert.ok(kinds.includes(violationKind(violations[0])), violations[0]);
      assert.deepEqual((await play(scenario, { cacheDirectory })).violations, []);
      return;
    }
    assert.fail(`not found in ${seeds_max} seeds`);
  });
}
