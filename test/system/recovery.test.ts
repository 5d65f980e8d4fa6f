/** Kernels that stop, are booted again, and die: the rest of the system goes on. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago } from "../../src/index.ts";
import { bootAgain, bootOnMachine, eventually, killCore, pause } from "./support/system.ts";

let system: Archipelago;
before(async () => {
  system = await bootOnMachine({ cacheDirectory: false, log: () => undefined });
});
after(() => system.shutdown());

const busy = ["-c", "while True: pass"] as const;

test("a kernel stops, its processes end, and it can be booted again", async () => {
  const process = await system.spawn("python3", busy, {
    kernel: 1,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await system.stopKernel(1);
  assert.equal((await process.wait()).signal, 9);
  assert.equal(system.kernels()[1].state, "stopped");
  await assert.rejects(system.run("cat", [], { kernel: 1 }), /kernel 1 is not running/);
  assert.equal((await system.run("cat", [], { input: "still here" })).stdout, "still here");
  await system.bootKernel(1);
  assert.equal((await system.run("cat", [], { kernel: 1, input: "again" })).stdout, "again");
});

test("the kernel that owns the terminal is not stopped alone", async () => {
  await assert.rejects(system.stopKernel(0), /terminal/);
});

test("a kernel that is not there cannot be stopped or booted twice", async () => {
  await assert.rejects(system.stopKernel(7), /kernel 7 is not running/);
});

test("a kernel dies: its processes end, pipes close, others and the file system go on, it boots again", async () => {
  const pipe = system.pipe();
  const writer = await system.spawn("yes", [], {
    kernel: 1,
    stdin: "null",
    stdout: pipe.write,
    stderr: "null",
  });
  const reader = await system.spawn("wc", ["-c"], { kernel: 0, stdin: pipe.read, stderr: "null" });
  // Both are loaded and data flows before the core dies.
  const started = () => system.processes().filter(({ memory_bytes }) => memory_bytes > 0).length === 2;
  await eventually("both are loaded", started, 60_000);
  await pause(100);
  await killCore(system, 1);
  const status = await writer.wait();
  assert.equal(status.signal, 9);
  assert.match(status.message, /kernel on core 1 died/);
  // The writer's end of the pipe is closed, so the reader comes to its end of file.
  const counted = await new Response(reader.stdout).text();
  assert.ok(Number(counted) > 0, `wc counted ${JSON.stringify(counted)}`);
  assert.equal((await reader.wait()).exitCode, 0);
  assert.equal(system.kernels()[1].state, "dead");
  system.files.write("/tmp/after", "written after the death");
  assert.equal((await system.run("cat", ["/tmp/after"])).stdout, "written after the death");
  await bootAgain(system, 1);
  assert.equal(system.kernels()[1].state, "running");
  assert.equal((await system.run("cat", ["/tmp/after"], { kernel: 1 })).stdout, "written after the death");
  assert.deepEqual(system.processes(), []);
});
