/**
 * Tests of the whole system that know nothing of the machine, run on simulated ones: on four coherent cores, and on
 * two islands whose memory is kept in step by software. `npm test` runs these; the others can be run by hand:
 *
 *     ARCHIPELAGO_MACHINE=board-2+2 node --test test/system/migrate.test.ts
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const suites: Readonly<Record<string, readonly string[]>> = {
  "board-4": ["boot", "schedule", "kill", "exec", "balance", "fork-recovery", "nightwatch-recovery"],
  omap4: ["pipeline", "schedule", "kill", "exec", "fuzz-calls", "fork-recovery"],
  "board-2+2": ["nightwatch", "checkpoint-files", "leaks"],
};
const limit_ms = 240_000;

function run(machine: string, names: readonly string[]): Promise<{ failed: boolean; output: string }> {
  const directory = join(import.meta.dirname, "..", "system");
  const files = names.map((name) => join(directory, `${name}.test.ts`));
  // The test runner marks its children, who would then report to it.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const options = {
    env: { ...environment, ARCHIPELAGO_MACHINE: machine },
    timeout: limit_ms,
    maxBuffer: 1 << 26,
  };
  const args = ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files];
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve({ failed: error !== null, output: stdout + stderr }),
    );
  });
}

for (const [machine, names] of Object.entries(suites)) {
  test(`on ${machine}: ${names.join(", ")}`, async () => {
    const { failed, output } = await run(machine, names);
    const passed = Number(/^ℹ pass (\d+)$/m.exec(output)?.[1] ?? 0);
    assert.ok(!failed && passed > 0, output);
  });
}
