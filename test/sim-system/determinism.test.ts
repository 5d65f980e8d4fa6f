/** The same seed gives the same run, to the byte: whatever the host did before, and however it executes code. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { temporaryDirectory } from "../system/support/system.ts";
import { board2and2, type RunReport, report, type Workload } from "./support/simulated.ts";
import { type WorkloadName, workloads } from "./support/workloads.ts";

const names = Object.keys(workloads) as WorkloadName[];
const printer = join(import.meta.dirname, "support", "print-report.ts");
const seed = "same every time";
const references = new Map<WorkloadName, Promise<RunReport>>();

function reference(name: WorkloadName): Promise<RunReport> {
  const known = references.get(name) ?? report(workloads[name], { seed });
  references.set(name, known);
  return known;
}

/** The reports of a process of its own, by workload. */
async function elsewhere(flags: readonly string[], cacheDirectory: string): Promise<Map<string, RunReport>> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...flags, printer, seed, names.join(","), cacheDirectory],
    { env: { ...process.env, TZ: "Asia/Kathmandu", LANG: "tr_TR.UTF-8" }, maxBuffer: 1 << 26 },
  );
  const lines = stdout.trimEnd().split("\n");
  return new Map(lines.map((line) => JSON.parse(line) as [string, RunReport]));
}

async function assertSame(reports: ReadonlyMap<string, RunReport>): Promise<void> {
  for (const name of names) assert.deepEqual(reports.get(name), await reference(name), name);
}

for (const name of names) {
  test(`${name}: the same seed gives the same trace, results and accounts; another seed another trace`, async () => {
    const first = await reference(name);
    assert.deepEqual(await report(workloads[name], { seed }), first);
    const other = await report(workloads[name], { seed: "another" });
    assert.notEqual(other.summary, first.summary);
  });
}

for (const name of ["pipelines", "forks", "files", "crashes"] as const) {
  test(`${name} on two islands that software keeps in step: the same seed gives the same trace`, async () => {
    const options = { seed, machine: board2and2 };
    assert.deepEqual(await report(workloads[name], options), await report(workloads[name], options));
  });
}

test("another process, with code that was never optimised, with and without a cache of programs", async () => {
  const cacheDirectory = temporaryDirectory();
  // Empty at first, then full.
  await assertSame(await elsewhere(["--no-opt", "--no-wasm-tier-up", "--liftoff-only"], cacheDirectory));
  await assertSame(await elsewhere(["--gc-interval=20000", "--no-liftoff"], cacheDirectory));
});

test("a host that is slow, and slow at random, changes nothing", async () => {
  let stop = false;
  const burning = (async () => {
    for (let n = 0; !stop; n++) {
      const until_ms = performance.now() + (n % 5);
      while (performance.now() < until_ms);
      await new Promise((resolve) => setTimeout(resolve, n % 3));
    }
  })();
  assert.deepEqual(await report(workloads.files, { seed }), await reference("files"));
  assert.deepEqual(await report(workloads.crashes, { seed }), await reference("crashes"));
  stop = true;
  await burning;
});

test("two systems at the same time in one process do not see each other", async () => {
  const both = await Promise.all([report(workloads.forks, { seed }), report(workloads.migrations, { seed })]);
  assert.deepEqual(both, [await reference("forks"), await reference("migrations")]);
});

test("looking at the trace, and asking the system for its state, changes nothing", async () => {
  const watched: Workload = async (simulated) => {
    const { machine } = simulated.simulation;
    let ended = false;
    const watching = (async () => {
      while (!ended) {
        machine.trace.lastLines(20);
        simulated.simulation.rails();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const output = await workloads.pipelines(simulated);
    ended = true;
    await watching;
    return output;
  };
  assert.deepEqual(await report(watched, { seed }), await reference("pipelines"));
});
