/** Workloads: generated from a seed, run on a system on the host machine, and able to notice what is wrong. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Random } from "../../src/machine/sim/random.ts";
import { patternOf } from "../../src/simulation/programs/predictions.ts";
import { shrink } from "../../src/simulation/shrink.ts";
import { type Action, describeAction, simplerActions } from "../../src/simulation/workload/actions.ts";
import { generateWorkload, type WorkloadOptions } from "../../src/simulation/workload/generate.ts";
import {
  hasViolation,
  runWorkload,
  type WorkloadHooks,
  type WorkloadReport,
  withoutDangling,
} from "../../src/simulation/workload/runner.ts";
import {
  bootAgain,
  bootForTest,
  killCore,
  notOnHost,
  type TestSystem,
  temporaryDirectory,
} from "../system/support/system.ts";

const directory = temporaryDirectory();
let started: TestSystem;

before(async () => {
  started = await bootForTest();
});
after(() => started[Symbol.asyncDispose]());

const hooks: WorkloadHooks = {
  rootImage() {
    const path = join(directory, "root.img");
    started.system.saveRoot(path);
    const image = readFileSync(path);
    rmSync(path);
    return image;
  },
};

async function run(actions: readonly Action[], more: Partial<WorkloadHooks> = {}): Promise<WorkloadReport> {
  const { files } = started.system;
  if (files.exists("/sim")) removeAll("/sim");
  return runWorkload(actions, started.system, { ...hooks, ...more }, { realTime: notOnHost === false });
}

function removeAll(path: string): void {
  const { files } = started.system;
  for (const { name, type } of files.list(path)) {
    if (type === "directory") removeAll(`${path}/${name}`);
    else files.remove(`${path}/${name}`);
  }
  files.remove(path);
}

function describe({ violations, trace }: WorkloadReport): string {
  return [...trace, ...violations.map(({ kind, text, action }) => `after ${action}: ${kind}: ${text}`)].join(
    "\n",
  );
}

const options: WorkloadOptions = { length: 30, kernels: 2, stoppable: [1], scale: 0.5 };

test("the same seed gives the same workload, another one another", () => {
  const generate = (seed: number): string =>
    JSON.stringify(generateWorkload(new Random(seed), { ...options, length: 200, crashes: true }));
  assert.equal(generate(4), generate(4));
  assert.notEqual(generate(4), generate(5));
  const actions: Action[] = JSON.parse(generate(4));
  for (const kind of [
    "spawn",
    "pipeline",
    "kill",
    "migrate",
    "wait",
    "stopKernel",
    "bootKernel",
    "crashKernel",
    "file",
  ]) {
    assert.ok(
      actions.some((action) => action.kind === kind),
      kind,
    );
  }
  assert.equal(actions.at(-1)?.kind, "settle");
  assert.ok(describeAction(actions[0]).length > 4);
});

test("random workloads run without a violation", { timeout: 60_000 }, async (context) => {
  const first = Number(process.env.SEED ?? 1);
  let jobs = 0;
  for (let seed = first; seed < first + Number(process.env.RUNS ?? 4); seed++) {
    const report = await run(generateWorkload(new Random(seed), options));
    assert.equal(report.violations.length, 0, `seed ${seed}\n${describe(report)}`);
    jobs += report.jobs;
    if (!started.system.kernels().every(({ state }) => state === "running"))
      await started.system.bootKernel(1);
  }
  context.diagnostic(`${jobs} jobs`);
});

/** Each of all jobs that there are, once, on both kernels. */
const everything: Action[] = [
  { kind: "spawn", job: 1, program: "write", numbers: [5, 20_000, 3000], shared: 0, kernel: 0 },
  { kind: "spawn", job: 2, program: "append", numbers: [50], shared: 0, kernel: 0 },
  { kind: "spawn", job: 3, program: "append", numbers: [50], shared: 0, kernel: 1 },
  { kind: "spawn", job: 4, program: "counter", numbers: [10], shared: 0, kernel: 0 },
  { kind: "spawn", job: 5, program: "counter", numbers: [10], shared: 0, kernel: 1 },
  { kind: "spawn", job: 6, program: "tree", numbers: [3, 30], shared: 0, kernel: 1 },
  { kind: "spawn", job: 7, program: "register", numbers: [2, 60, 1], shared: 0, kernel: 0 },
  { kind: "spawn", job: 8, program: "register", numbers: [2, 60, 2], shared: 0, kernel: 1 },
  { kind: "pipeline", job: 9, seed: 3, length: 50_000, piece: 900, kernels: [0, 1, 0] },
  { kind: "spawn", job: 10, program: "victim", numbers: [0], shared: 0, kernel: 1 },
  { kind: "file", operation: "write", name: 1, seed: 2, length: 5000 },
  { kind: "file", operation: "rename", name: 1, to: 2 },
  { kind: "wait", job: 1 },
  { kind: "settle" },
];

test("all kinds of jobs side by side", async () => {
  const report = await run(everything);
  assert.equal(describe({ ...report, trace: [] }), "");
  assert.equal(report.trace.length, everything.length);
});

/** Does something once, after the action of this number. */
function once(number: number, act: () => void): WorkloadHooks["conditions"] {
  let action = 0;
  return [
    () => {
      if (action++ === number) act();
      return undefined;
    },
  ];
}

/** Something done behind the workload's back, and the kinds of violations that must be found. */
const waitFor = (job: number): Action[] => [
  ...everything.slice(0, 11),
  { kind: "wait", job },
  { kind: "settle" },
];
const sabotage: Record<string, [actions: Action[], kinds: string[], act: () => void]> = {
  "a byte of a file is lost": [
    waitFor(1),
    ["content"],
    () => started.system.files.write("/sim/own1", patternOf(5, 19_999)),
  ],
  "a byte of a file is changed": [
    waitFor(1),
    ["content"],
    () => {
      const content = patternOf(5, 20_000);
      content[12_345] ^= 4;
      started.system.files.write("/sim/own1", content);
    },
  ],
  "a record is torn": [
    waitFor(2),
    ["content"],
    () => {
      const log = started.system.files.read("/sim/log0");
      log[20] ^= 1;
      started.system.files.write("/sim/log0", log);
    },
  ],
  "an addition is lost": [
    [
      ...waitFor(4).slice(0, -1),
      { kind: "wait", job: 5 },
      { kind: "pause", duration_ms: 1 },
      { kind: "settle" },
    ],
    ["content"],
    () => started.system.files.write("/sim/counter0", Uint8Array.of(19, 0, 0, 0)),
  ],
  "a file in a directory of a job's disappears": [
    waitFor(6),
    ["content"],
    () => started.system.files.remove("/sim/own6/f2"),
  ],
  "the console's file comes back": [
    everything.with(12, { kind: "pause", duration_ms: 1 }),
    ["content"],
    () => started.system.files.write("/sim/console/n1", "old"),
  ],
  "a process is killed": [
    everything.with(0, { kind: "spawn", job: 1, program: "sleep", numbers: [200, 1], shared: 0, kernel: 1 }),
    ["outcome"],
    () => {
      const victim = started.system.processes().find(({ name }) => name.includes("sleep"));
      if (victim !== undefined) started.system.kill(victim.pid, 9);
    },
  ],
  "a pipe is forgotten": [waitFor(1), ["leak"], () => started.system.pipe()],
};

for (const [name, [actions, kinds, act]] of Object.entries(sabotage)) {
  test(`it is noticed when ${name}`, async () => {
    const number = actions[0].kind === "spawn" && actions[0].program === "sleep" ? 0 : actions.length - 2;
    const report = await run(actions, { conditions: once(number, act) });
    const found = [...new Set(report.violations.map(({ kind }) => kind))];
    assert.deepEqual(found, kinds, describe(report));
    if (name.includes("pipe")) await restart();
  });
}

async function restart(): Promise<void> {
  await started[Symbol.asyncDispose]();
  started = await bootForTest();
}

test("it is noticed when the file system is damaged, and when a condition does not hold", async () => {
  const rootImage = (): Uint8Array => {
    const image = hooks.rootImage?.() ?? new Uint8Array(0);
    // The root directory's "..".
    image.set([0xff, 0xff], 1024 + 32 * 4);
    image.fill(0xff, 4096 * 4, 4096 * 4 + 200);
    return image;
  };
  const damaged = await run(everything.slice(0, 1).concat({ kind: "settle" }), { rootImage });
  assert.ok(hasViolation(damaged, "fileSystem"), describe(damaged));
  const wrong = await run(everything, { conditions: [() => "energy went down"] });
  assert.deepEqual(wrong.violations, [{ kind: "condition", text: "energy went down", action: 0 }]);
  await run([{ kind: "settle" }]);
});

test("it is noticed when a job does not end", async () => {
  const actions: Action[] = [
    { kind: "spawn", job: 1, program: "sleep", numbers: [1000, 1], shared: 0, kernel: 1 },
    { kind: "settle" },
  ];
  const report = await runWorkload(actions, started.system, {}, { endTimeout_ms: 40 });
  assert.ok(hasViolation(report, "stuck"), describe(report));
  assert.match(report.violations[0].text, /job 1 \(sleep\) does not end: process \d+ is blocked on kernel 1/);
  for (const { pid } of started.system.processes()) started.system.kill(pid, 9);
});

test("kernels die under a workload", { timeout: 60_000 }, async () => {
  await restart();
  const report = await run(
    [
      ...everything.slice(0, 12),
      { kind: "spawn", job: 20, program: "wander", numbers: [1, 5, 50_000, 2], shared: 0, kernel: 0 },
      { kind: "crashKernel", kernel: 1 },
      { kind: "spawn", job: 21, program: "compute", numbers: [1, 1000], shared: 0, kernel: 1 },
      { kind: "settle" },
    ],
    { crashKernel: (kernel) => killCore(started.system, kernel) },
  );
  assert.equal(report.violations.length, 0, describe(report));
  await bootAgain(started.system, 1);
  started.log.length = 0;
  const after = await run(everything);
  assert.equal(after.violations.length, 0, describe(after));
});

test("a failing workload is shrunk", async () => {
  const actions = generateWorkload(new Random(9), { ...options, length: 150 });
  const fails = (list: readonly Action[]): boolean => {
    const kept = withoutDangling(list);
    const job = kept.find((action) => action.kind === "spawn" && action.program === "tree");
    const migrated = kept.some((action) => action.kind === "migrate");
    return job !== undefined && migrated;
  };
  const { items, minimal } = await shrink(actions, fails, { simplify: simplerActions });
  assert.ok(minimal);
  const kept = withoutDangling(items);
  assert.ok(kept.length <= 3, JSON.stringify(kept));
  assert.ok(
    kept.some((action) => action.kind === "spawn" && action.kernel === null && action.numbers[0] <= 4),
  );
});
