/** Tests that play the scenarios of many seeds. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Players } from "../../../src/simulation/host/players.ts";
import { makeScenario } from "../../../src/simulation/scenario.ts";

/** An empty directory, for instrumented programs or anything else; gone after the tests of the file, or after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "archipelago-sim-"));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** One test that plays the seeds from `first` to `last` and shows every violation. */
export function testSeeds(first: number, last: number): void {
  const cacheDirectory = temporaryDirectory();
  test(`seeds ${first} to ${last} show no violation`, { timeout: 580_000 }, async () => {
    await using players = new Players({ count: 1, cacheDirectory });
    const failures: string[] = [];
    for (let seed = first; seed <= last; seed++) {
      const { violations } = await players.play(makeScenario(seed));
      if (violations.length > 0) failures.push(`npm run sim -- --seed ${seed}: ${violations[0]}`);
    }
    assert.deepEqual(failures, []);
  });
}
