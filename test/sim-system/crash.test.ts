/**
 * Cores that crash while programs run: at random times, and after any number of memory accesses, so in the middle of
 * every kernel operation. The system survives, the file system is sound, nothing leaks, and the core boots again.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Archipelago, SystemUsage } from "../../src/index.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { checkExt2, describeFindings, seriousFindings } from "../../src/simulation/fsck/fsck.ts";
import { computed, printed, readRecords } from "../../src/simulation/programs/predictions.ts";
import { programPath } from "../../src/simulation/programs/programs.ts";
import { assertRootClean, bootAgain, temporaryDirectory } from "../system/support/system.ts";
import { bootSimulated, type SimulatedSystem } from "./support/simulated.ts";

/** Seeds of the tests; `CRASH_SEEDS=100-400` tries others. */
const [firstSeed, lastSeed] = (process.env.CRASH_SEEDS ?? "0-31").split("-").map(Number);
const kernelCount = 4;
/** The test's own patience, in the machine's time: everything that goes on ends long before. */
const patience_ms = 30_000;

interface Job {
  readonly what: string;
  readonly expected: string;
  readonly end: Promise<{ exitCode: number; signal: number | null; stdout: string; stderr: string }>;
}

/** Programs that use every service, two or three on each kernel. */
function startJobs({ system }: SimulatedSystem, random: Random): Job[] {
  const jobs: Job[] = [];
  const job = (
    kernel: number,
    name: Parameters<typeof programPath>[0],
    args: (string | number)[],
    expected: string,
  ) => {
    const options = { kernel, directories: { "/": "/" } };
    const end = system.run(programPath(name), args.map(String), options).catch((error: Error) => ({
      // It was to be started on a kernel that had crashed.
      exitCode: -1,
      signal: 9,
      stdout: "",
      stderr: error.message,
    }));
    jobs.push({ what: `${name} ${args.join(" ")} on kernel ${kernel}`, expected, end });
  };
  for (let kernel = 0; kernel < kernelCount; kernel++) {
    system.files.makeDirectory(`/sim/tree${kernel}`);
    job(kernel, "append", ["sim/log", kernel, 40], printed(40));
    const seed = random.below(1000);
    switch (random.below(4)) {
      case 0:
        job(kernel, "fork", [3, 500], printed(3, 6));
        break;
      case 1:
        job(kernel, "wander", [seed, 6, 1000, kernelCount], printed(computed(seed, 6000)));
        break;
      case 2:
        job(kernel, "tree", [`sim/tree${kernel}`, seed, 20], "");
        break;
      default:
        job(kernel, "hoard", [5, 6000, 2], "");
    }
  }
  return jobs;
}

/** Ends by an error that says what is still there if something does not end. */
async function withinPatience<T>({ system }: SimulatedSystem, what: string, promise: Promise<T>): Promise<T> {
  const late = system.delay(patience_ms).then(() => {
    const left = system.processes().map(({ pid, name, kernel, state }) => ({ pid, name, kernel, state }));
    throw new Error(`${what} does not end; there are ${JSON.stringify(left)}`);
  });
  late.catch(() => undefined);
  return Promise.race([promise, late]);
}

function removeTree(system: Archipelago, path: string): void {
  for (const { name, type } of system.files.list(path)) {
    if (type === "directory") removeTree(system, `${path}/${name}`);
    else system.files.remove(`${path}/${name}`);
  }
  system.files.remove(path);
}

/** What a single call may have been making when its kernel died, and only that kernel knew of. */
const lostByOneCall: Readonly<Record<string, number>> = {
  openFiles: 2,
  pipes: 1,
  waitQueues: 2,
  pages: 16,
  freeInodes: -1,
  freeBlocks: -2,
};

/**
 * Nothing leaks when a core crashes between two steps of its own, and no more than a call was just making otherwise.
 * True if nothing did.
 */
function assertNoLeak(usage: SystemUsage, before: SystemUsage, isInsideCall: boolean): boolean {
  if (!isInsideCall) assert.deepEqual(usage, before, "something leaked");
  for (const [what, count] of Object.entries(before)) {
    const lost = usage[what as keyof SystemUsage] - count;
    const most = lostByOneCall[what] ?? 0;
    assert.ok(
      most < 0 ? lost <= 0 && lost >= most : lost >= 0 && lost <= most,
      `${what}: ${count} and ${lost} more`,
    );
  }
  return usage.freeInodes === before.freeInodes && usage.freeBlocks === before.freeBlocks;
}

/** The file system may hold an inode or blocks that lead nowhere, and no damage: by our own checker. */
function assertNoDamage(system: Archipelago): void {
  const path = join(temporaryDirectory(), "root.img");
  system.saveRoot(path);
  const serious = seriousFindings(checkExt2(readFileSync(path)), "crashed");
  assert.equal(serious.length, 0, describeFindings(serious));
}

/** @param chosen the core that crashes; one that does not own the terminal unless given. */
async function crashOnce(seed: number, chosen?: number): Promise<void> {
  await using simulated = await bootSimulated({ seed });
  const { system, simulation, log } = simulated;
  const random = new Random(`crash ${seed}`);
  // What is made when it is first needed is there before the accounts are.
  for (let kernel = 0; kernel < kernelCount; kernel++)
    await system.run(programPath("fork"), ["1", "1"], { kernel, directories: { "/": "/" } });
  const before = system.usage();
  const victim = chosen ?? 1 + random.below(kernelCount - 1);
  const jobs = startJobs(simulated, random);
  await system.delay(random.below(3000) / 1000);
  const isInsideCall = random.below(2) === 0;
  if (isInsideCall) simulation.machine.core(victim).accessesUntilCrash = random.below(6000);
  else simulation.crash(victim);
  const ends = await withinPatience(simulated, "a program", Promise.all(jobs.map(({ end }) => end)));
  // A core that had nothing more to do did not come to its last access.
  simulation.crash(victim);
  await system.delay(5);
  for (const [n, { what, expected }] of jobs.entries()) {
    const { exitCode, signal, stdout, stderr } = ends[n];
    if (signal === 9) continue;
    // A child of a program that forks may have been on its way to the victim; nothing else may fail.
    assert.equal(exitCode, 0, `${what}: ${stderr}`);
    if (expected !== "") assert.equal(stdout, expected, what);
  }
  assert.equal(system.kernels()[victim].state, "dead");
  assert.deepEqual(system.processes(), []);
  const records = readRecords(system.files.read("/sim/log"));
  assert.ok(records instanceof Map, `the log: ${JSON.stringify(records)}`);

  await withinPatience(simulated, "booting the core again", bootAgain(system, victim));
  for (let kernel = 0; kernel < kernelCount; kernel++) {
    const run = system.run(programPath("fork"), ["2", "100"], { kernel, directories: { "/": "/" } });
    const { exitCode, stdout } = await withinPatience(simulated, "a program afterwards", run);
    assert.deepEqual([exitCode, stdout], [0, printed(1, 3)]);
  }
  removeTree(system, "/sim");
  system.files.makeDirectory("/sim");
  // Threads that a dead core was waking get their turn half a second later.
  await system.delay(600);
  const isClean = assertNoLeak(system.usage(), before, isInsideCall);
  if (isClean) assertRootClean(system, `after the crash of core ${victim}`);
  else assertNoDamage(system);
  const complaints = log.filter((line) => !line.endsWith("it crashed"));
  assert.deepEqual(complaints, []);
}

for (let seed = firstSeed; seed <= lastSeed; seed++)
  test(`a core crashes: seed ${seed}`, () => crashOnce(seed));

for (let seed = firstSeed; seed <= lastSeed; seed += 4)
  test(`the core that owns the terminal crashes: seed ${seed}`, () => crashOnce(seed, 0));

const regressions: Readonly<Record<number, string>> = {
  113: "recovery that runs while a core spins does not wait for locks that this core holds",
  191: "a core that spins for the lock of a dead one is not kept busy by others that serve the same interrupt for ever",
  201: "the same, while the console closes a pipe",
};
for (const [seed, what] of Object.entries(regressions))
  test(`regression, seed ${seed}: ${what}`, () => crashOnce(Number(seed)));
