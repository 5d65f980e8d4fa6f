/**
 * Scenarios that have shown a mistake once, each with what it was. Where the mistake has a test of its own, that is
 * named; the scenario stays as it was found, with everything around it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { play } from "../../src/simulation/play.ts";
import { faultNames, makeScenario, type ScenarioOptions } from "../../src/simulation/scenario.ts";
import { temporaryDirectory } from "./support/seeds.ts";

interface Regression {
  readonly seed: number;
  readonly options?: ScenarioOptions;
  readonly reason: string;
}

const allFaults: ScenarioOptions = { faults: faultNames, length: 40 };

const regressions: readonly Regression[] = [
  {
    seed: 10,
    reason:
      "an idle core was made to sleep at its own time, which was long past: energy that was read before fell",
  },
  {
    seed: 15,
    reason: "the console's clock doubled with each handler that ran behind it (sim-hardware/machine.test.ts)",
  },
  {
    seed: 17,
    reason: "the console was not attended while a kernel waited for its answer, which came too late",
  },
  {
    seed: 23,
    reason:
      "a core still booted when the system was shut down, and the console did not rest until it had stopped",
  },
  {
    seed: 36,
    reason: "a kernel that crashed in a message handler went on to report it (sim-hardware/machine.test.ts)",
  },
  {
    seed: 39,
    reason:
      "a kernel died while it ended a process, whose thread was freed again (kernel/process-end.test.ts)",
  },
  {
    seed: 54,
    reason:
      "a core that stopped had another one of its island take over, which acted at the time of its last sleep",
  },
  {
    seed: 86,
    reason:
      "a kernel died after it had started a process and before it said so: nobody collected the process",
  },
  {
    seed: 147,
    reason:
      "a kernel died while it booted: it was waited for for ever, and held the lock of the memory's directory",
  },
  {
    seed: 197,
    reason: "the checker did not expect children to be ended with their kernel whose parent was moved away",
  },
  {
    seed: 389,
    reason: "a core that died right before the system was shut down kept a lock that is needed to unmount",
  },
  {
    seed: 490,
    reason: "a kernel died while it stopped, and the queue of those who wait for it was freed again",
  },
  {
    seed: 499,
    reason:
      "more kernels with page allocators of their own than there were page blocks: a pipe found no memory",
  },
  {
    seed: 1006,
    options: allFaults,
    reason: "an answer that a kernel had sent before it died was reported as one that nobody waits for",
  },
  {
    seed: 1126,
    options: allFaults,
    reason: "the checker took a directory that was being made when its kernel died for a damaged one",
  },
];

const cacheDirectory = temporaryDirectory();

for (const { seed, options, reason } of regressions) {
  test(`regression: seed ${seed}: ${reason}`, async () => {
    const { violations } = await play(makeScenario(seed, options), { cacheDirectory });
    assert.deepEqual(violations, []);
  });
}
