/** The programs of workloads: each does what its prediction says, on a system on the host machine. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunResult } from "../../src/index.ts";
import {
  computed,
  hash,
  patternOf,
  printed,
  readRecords,
  readRegisterLog,
} from "../../src/simulation/programs/predictions.ts";
import {
  type ProgramName,
  programModule,
  programNames,
  programPath,
} from "../../src/simulation/programs/programs.ts";
import { runTree } from "../../src/simulation/programs/tree-model.ts";
import { bootForTest, type TestSystem } from "../system/support/system.ts";

let started: TestSystem;

before(async () => {
  started = await bootForTest();
  for (const name of programNames) started.system.files.write(programPath(name), programModule(name), 0o755);
  started.system.files.makeDirectory("/sim");
});
after(() => started[Symbol.asyncDispose]());

async function run(name: ProgramName, args: readonly (string | number)[], input = ""): Promise<RunResult> {
  const directories = { "/": "/" };
  const result = await started.system.run(programPath(name), args.map(String), {
    input,
    directories,
    kernel: 1,
  });
  assert.equal(result.exitCode, 0, `${name}: ${result.exitCode} ${result.message}`);
  return result;
}

const read = (path: string): Uint8Array => started.system.files.read(path);

test("compute, wander", async () => {
  assert.equal((await run("compute", [7, 1000])).stdout, printed(computed(7, 1000)));
  assert.equal((await run("wander", [7, 4, 250, 2])).stdout, printed(computed(7, 1000)));
});

test("write, read", async () => {
  const content = patternOf(99, 70_001);
  assert.equal((await run("write", ["sim/w", 99, 70_001, 5000])).stdout, printed(hash(content)));
  assert.deepEqual(read("/sim/w"), content);
  assert.equal((await run("read", ["sim/w"])).stdout, printed(hash(content), content.length));
});

test("append", async () => {
  await Promise.all([1, 2, 3].map((writer) => run("append", ["sim/a", writer, 200])));
  const counts = readRecords(read("/sim/a"));
  assert.ok(counts instanceof Map);
  assert.deepEqual([...counts].sort(), [
    [1, 200],
    [2, 200],
    [3, 200],
  ]);
  const torn = read("/sim/a");
  torn[37] ^= 1;
  assert.ok(!(readRecords(torn) instanceof Map));
});

test("source, pump, sink", async () => {
  const { system } = started;
  const [first, second] = [system.pipe(), system.pipe()];
  const args = ["5", "100000", "3000"];
  const processes = await Promise.all([
    system.spawn(programPath("source"), args, {
      stdin: "null",
      stdout: first.write,
      stderr: "null",
      kernel: 0,
    }),
    system.spawn(programPath("pump"), [], {
      stdin: first.read,
      stdout: second.write,
      stderr: "null",
      kernel: 1,
    }),
  ]);
  const sink = await system.spawn(programPath("sink"), [], { stdin: second.read, stderr: "null", kernel: 0 });
  assert.ok(sink.stdout !== null);
  const output = await new Response(sink.stdout).text();
  assert.equal(output, printed(hash(patternOf(5, 100_000)), 100_000));
  for (const process of [...processes, sink]) assert.equal((await process.wait()).exitCode, 0);
});

test("sleep, hoard", async () => {
  assert.equal((await run("sleep", [3, 2])).stdout, printed(1));
  await run("hoard", [5, 5000, 1]);
});

test("fork", async () => {
  assert.equal((await run("fork", [6, 1000])).stdout, printed(15, 21));
});

test("counter", async () => {
  await Promise.all([1, 2, 3, 4].map(() => run("counter", ["sim/c", "sim/lock", 25])));
  assert.equal(new DataView(read("/sim/c").buffer).getUint32(0, true), 100);
  assert.ok(!started.system.files.exists("/sim/lock"));
});

test("victim", async () => {
  for (const kind of ["0", "1", "2"]) {
    const process = await started.system.spawn(programPath("victim"), [kind], { stdin: "null" });
    process.kill();
    assert.equal((await process.wait()).exitCode, 137);
  }
});

test("register", async () => {
  const process = await started.system.spawn(programPath("register"), ["sim/r", "3", "2", "50", "8"], {
    stdin: "null",
    stderr: "null",
  });
  assert.ok(process.stdout !== null);
  const entries = readRegisterLog(new Uint8Array(await new Response(process.stdout).arrayBuffer()));
  assert.equal(entries.length, 50);
  const values = [0, 0];
  for (const { before_ns, after_ns, isWrite, location, value } of entries) {
    assert.ok(before_ns <= after_ns && before_ns > 0);
    if (isWrite) values[location] = value;
    else assert.equal(value, values[location]);
  }
  assert.ok(entries.some(({ isWrite }) => isWrite) && entries.some(({ isWrite }) => !isWrite));
});

test("tree", async () => {
  for (const seed of [1, 2, 3]) {
    started.system.files.makeDirectory(`/sim/tree${seed}`);
    const expected = runTree(seed, 80);
    assert.equal((await run("tree", [`sim/tree${seed}`, seed, 80])).stdout, printed(expected.hash));
    const found = started.system.files.list(`/sim/tree${seed}`);
    const names = [...expected.files.keys(), ...expected.directories].sort();
    assert.deepEqual(
      found.map(({ name }) => name),
      names,
    );
    for (const [name, content] of expected.files) assert.deepEqual(read(`/sim/tree${seed}/${name}`), content);
  }
});
