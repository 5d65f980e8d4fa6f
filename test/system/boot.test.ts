/** Booting and shutting down: presets, several systems at once, nothing left behind. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { boot } from "../../src/index.ts";
import { exitWith, print, spin } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  firstOutput,
  notOnHost,
  within,
} from "./support/system.ts";

const linux = existsSync("/proc/self/task") ? false : "needs Linux's /proc";

test("one kernel per core, each with its image, running; programs run on the kernel that is named", async () => {
  await using started = await bootForTest({ cores: 3 });
  const { system } = started;
  assert.equal(system.preset, "multikernel");
  const kernels = system.kernels();
  assert.deepEqual(
    kernels.map(({ kernel, state, image, cores }) => ({ kernel, state, image, cores })),
    [0, 1, 2].map((n) => ({ kernel: n, state: "running", image: "general", cores: [n] })),
  );
  for (const { bootDuration_ns } of kernels) assert.ok(bootDuration_ns > 0 && bootDuration_ns < 30e9);
  const path = started.install("spin", spin);
  for (const kernel of [0, 1, 2]) {
    const process = await system.spawn(path, [], { kernel, stdin: "null", stderr: "null" });
    assert.equal(await firstOutput(process), "on\n");
    assert.equal(process.kernel, kernel);
    const listed = system.processes().find((one) => one.pid === process.pid);
    assert.deepEqual([listed?.kernel, listed?.core, listed?.state], [kernel, kernel, "running"]);
    assert.ok(process.kill());
    assert.equal((await process.wait()).exitCode, 137);
    assert.equal(process.kernel, -1);
  }
});

test("the preset clustered makes one kernel of two cores", async () => {
  await using started = await bootForTest({ preset: "clustered", cores: 4 });
  const { system } = started;
  assert.deepEqual(
    system.kernels().map(({ kernel, state, cores }) => ({ kernel, state, cores })),
    [
      { kernel: 0, state: "running", cores: [0, 1] },
      { kernel: 1, state: "running", cores: [2, 3] },
    ],
  );
  // Two busy processes on one kernel run on its two cores.
  const path = started.install("spin", spin);
  const options = { kernel: 1, stdin: "null", stderr: "null" } as const;
  const both = [await system.spawn(path, [], options), await system.spawn(path, [], options)];
  for (const process of both) await firstOutput(process);
  const cores = system.processes().map((process) => process.core);
  assert.deepEqual(cores.sort(), [2, 3]);
  for (const process of both) process.kill();
  for (const process of both) assert.equal((await process.wait()).signal, 9);
});

test("the preset smp makes one kernel of all cores", async () => {
  await using started = await bootForTest({ preset: "smp" });
  const { system } = started;
  assert.deepEqual(
    system.kernels().map(({ cores }) => cores),
    [[0, 1]],
  );
  const path = started.install("exit", exitWith(5));
  const codes = await Promise.all([1, 2, 3, 4].map(async () => (await system.run(path)).exitCode));
  assert.deepEqual(codes, [5, 5, 5, 5]);
  assert.ok(system.kernels()[0].contextSwitches >= 4);
});

test("coresPerKernel overrides the preset, also when the last kernel gets fewer", async () => {
  await using started = await bootForTest({ cores: 3, coresPerKernel: 2 });
  assert.deepEqual(
    started.system.kernels().map(({ cores }) => cores),
    [[0, 1], [2]],
  );
});

test("a system on a single core runs programs", async () => {
  await using started = await bootForTest({ cores: 1 });
  const result = await started.system.run(started.install("print", print("alone\n")));
  assert.deepEqual([result.exitCode, result.stdout], [0, "alone\n"]);
});

test("several systems in one process do not see each other", async () => {
  await using first = await bootForTest();
  await using second = await bootForTest();
  first.system.files.write("/tmp/mine", "first");
  assert.equal(second.system.files.exists("/tmp/mine"), false);
  const results = await Promise.all([
    first.system.run(first.install("print", print("one"))),
    second.system.run(second.install("print", print("two"))),
  ]);
  assert.deepEqual(
    results.map(({ stdout }) => stdout),
    ["one", "two"],
  );
  await first.system.shutdown();
  assert.equal((await second.system.run("/tmp/print.wasm")).stdout, "two");
});

test("shutting down leaves no thread, no open file and no event source behind", {
  skip: linux || notOnHost,
}, async () => {
  // The first time, the runtime makes threads and opens files of its own.
  await (await boot({ cores: 2, cacheDirectory: false })).shutdown();
  const look = () => ({
    threads: readdirSync("/proc/self/task").length,
    files: readdirSync("/proc/self/fd").length,
    sources: process.getActiveResourcesInfo().filter((name) => name === "MessagePort" || name === "Worker")
      .length,
  });
  const before = look();
  for (let round = 0; round < 3; round++) {
    const started = await bootForTest();
    const { system } = started;
    await system.run(started.install("print", print("x")));
    const spinning = await system.spawn(started.install("spin", spin));
    await firstOutput(spinning);
    await started[Symbol.asyncDispose]();
  }
  await eventually(
    "threads and files as before",
    () => JSON.stringify(look()) === JSON.stringify(before),
    3_000,
  ).catch(() => assert.deepEqual(look(), before));
});

test("shutdown ends running programs, takes no second for it, and tells who waits", async () => {
  let shortest_ms = Infinity;
  for (let round = 0; round < 4 && shortest_ms > 500; round++) {
    const started = await bootForTest();
    const { system } = started;
    const path = started.install("spin", spin);
    const ends = [];
    for (const kernel of [0, 1]) {
      const process = await system.spawn(path, [], { kernel, stdin: "null", stderr: "null" });
      await firstOutput(process);
      ends.push(process.wait());
      // Of several that end at the same moment, none may be left without an answer.
      for (let n = 0; n < 5; n++) {
        const quiet = { kernel, stdin: "null", stdout: "null", stderr: "null" } as const;
        ends.push((await system.spawn(path, [], quiet)).wait());
      }
    }
    const from_ns = system.time_ns();
    await system.shutdown();
    shortest_ms = Math.min(shortest_ms, (system.time_ns() - from_ns) / 1e6);
    for (const end of ends) assert.equal((await within(1_000, "wait after shutdown", end)).signal, 9);
    await started[Symbol.asyncDispose]();
  }
  assert.ok(shortest_ms < 900, `the quickest shutdown took ${shortest_ms.toFixed(0)} ms`);
});

test("a system that was shut down refuses, and may be shut down again", async () => {
  const started = await bootForTest();
  const path = started.install("exit", exitWith(0));
  await started.system.shutdown();
  await started.system.shutdown();
  await assert.rejects(started.system.spawn(path), /shut down/);
});

test("await using shuts down at the end of the block, also after an error", async () => {
  let system: Awaited<ReturnType<typeof boot>> | undefined;
  await assert.rejects(async () => {
    await using inner = await boot({ cores: 2, cacheDirectory: false });
    system = inner;
    throw new Error("mine");
  }, /mine/);
  await assert.rejects(system?.spawn("true") ?? Promise.resolve(), /shut down/);
});

test("options that make no sense are refused with a reason", async () => {
  const refused = (options: Parameters<typeof boot>[0], reason: RegExp) =>
    assert.rejects(boot(options), reason);
  await refused({ preset: "monolith" }, /monolith.*multikernel/);
  await refused({ cores: 0 }, /cores: 0/);
  await refused({ cores: 65 }, /cores: 65/);
  await refused({ cores: 1.5 }, /cores: 1.5/);
  await refused({ coresPerKernel: -1 }, /coresPerKernel/);
  await refused({ rootSize_bytes: 0 }, /rootSize_bytes/);
  await refused({ rootSize_bytes: 2 ** 45 }, /memory/);
  await refused({ pageMemory_bytes: 0.5 }, /pageMemory_bytes/);
  await refused({ root: "/nowhere/disk.img" }, /disk.img does not exist/);
  await refused({ programs: { mine: "/nowhere/mine.wasm" } }, /mine/);
  await refused({ mounts: { work: "." } }, /absolute/);
  await refused({ mounts: { "/": "." } }, /mount/);
  await refused({ mounts: { "/work": "/nowhere" } }, /not a directory/);
});

test("a kernel that does not exist cannot be chosen", async () => {
  await using started = await bootForTest();
  const path = started.install("exit", exitWith(0));
  await assert.rejects(started.system.spawn(path, [], { kernel: 2 }), /kernel 2 is not running/);
});

test("a kernel is stopped and booted again, again and again, while another one works", async () => {
  await using started = await bootForTest({ cores: 3 });
  const { system } = started;
  const path = started.install("spin", spin);
  const neighbour = await system.spawn(path, [], { kernel: 0, stdin: "null", stderr: "null" });
  await firstOutput(neighbour);
  const code = started.install("exit", exitWith(4));
  for (const kernel of [0, 1, 2]) await system.run(code, [], { kernel });
  const before = system.usage();
  for (let round = 0; round < 5; round++) {
    const victim = await system.spawn(path, [], { kernel: 1, stdin: "null", stderr: "null" });
    await firstOutput(victim);
    await within(3_000, "stop", system.stopKernel(1));
    assert.equal((await victim.wait()).signal, 9);
    assert.equal(system.kernels()[1].state, "stopped");
    await assert.rejects(system.spawn(path, [], { kernel: 1 }), /kernel 1 is not running/);
    assert.equal((await system.run(code)).exitCode, 4, "the others go on");
    await within(3_000, "boot", system.bootKernel(1));
    assert.equal(system.kernels()[1].state, "running");
    assert.equal((await within(3_000, "run", system.run(code, [], { kernel: 1 }))).exitCode, 4);
  }
  await assertSameUsage(system, before, "stopping and booting");
  assert.equal(neighbour.kernel, 0);
  neighbour.kill();
  await neighbour.wait();
  await assert.rejects(system.stopKernel(0), /terminal/);
  await assert.rejects(system.stopKernel(7), /kernel 7/);
});
