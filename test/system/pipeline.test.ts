/** Pipelines of processes on different kernels. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import type { Archipelago, PipeEnd, Process } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { copy, drain, flood, readCode, writeCode } from "./support/programs.ts";
import { assertSameUsage, bootForTest, pause, type TestSystem, textOf, within } from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest();
  system = started.system;
  for (const [name, bytes] of Object.entries({ copy, drain, flood })) started.install(name, bytes);
  for (const kernel of [0, 1]) await system.run("/tmp/copy.wasm", [], { kernel });
});
after(() => started[Symbol.asyncDispose]());

/** Connects programs, the first of which gets a pipe from here and the last of which a pipe to here. */
async function pipeline(
  stages: readonly { program: string; args?: string[]; kernel: number }[],
): Promise<Process[]> {
  const processes: Process[] = [];
  let input: PipeEnd | "pipe" = "pipe";
  for (const [index, { program, args = [], kernel }] of stages.entries()) {
    const pipe = index < stages.length - 1 ? system.pipe() : undefined;
    processes.push(
      await system.spawn(program, args, {
        kernel,
        stdin: input,
        stdout: pipe?.write ?? "pipe",
        stderr: "null",
      }),
    );
    if (pipe !== undefined) input = pipe.read;
  }
  return processes;
}

async function codesOf(processes: readonly Process[]): Promise<number[]> {
  const statuses = await within(
    20_000,
    "the end of a pipeline",
    Promise.all(processes.map((one) => one.wait())),
  );
  return statuses.map(({ exitCode }) => exitCode);
}

/** Bytes that are nowhere alike. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 12345;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test("megabytes go through three processes on two kernels, unchanged and in order", async () => {
  const input = noise(8 * 1024 * 1024);
  const places = [
    [0, 1, 0],
    [1, 0, 1],
    [0, 0, 0],
    [1, 1, 0],
  ];
  const before = system.usage();
  for (const kernels of places) {
    const processes = await pipeline(kernels.map((kernel) => ({ program: "/tmp/copy.wasm", kernel })));
    const writer = processes[0].stdin?.getWriter();
    const feeding = writer?.write(input).then(() => writer.close());
    const chunks: Uint8Array[] = [];
    for await (const chunk of processes[2].stdout ?? []) chunks.push(chunk);
    await feeding;
    assert.deepEqual(await codesOf(processes), [0, 0, 0]);
    const output = Buffer.concat(chunks);
    assert.equal(output.length, input.length, `on kernels ${kernels}`);
    assert.equal(digest(output), digest(input), `on kernels ${kernels}`);
  }
  await assertSameUsage(system, before, "pipelines");
});

test("tools from npm in a pipeline", async () => {
  const lines = Array.from({ length: 20_000 }, (_, n) => `line ${n % 1000} of ${n}`).join("\n");
  const processes = await pipeline([
    { program: "grep", args: ["7"], kernel: 0 },
    { program: "rev", kernel: 1 },
    { program: "wc", args: ["-l"], kernel: 0 },
  ]);
  const writer = processes[0].stdin?.getWriter();
  const feeding = writer?.write(new TextEncoder().encode(`${lines}\n`)).then(() => writer.close());
  const text = await within(20_000, "wc", textOf(processes[2].stdout));
  await feeding;
  const expected = lines.split("\n").filter((line) => line.includes("7")).length;
  assert.equal(text.trim(), String(expected));
  assert.deepEqual(await codesOf(processes), [0, 0, 0]);
});

test("a reader that ends early ends its writers with EPIPE, all the way up", async () => {
  const before = system.usage();
  const one = started.install(
    "one",
    assemble({ code: `${readCode(0, 1024, 1)} drop i32.const 5 call proc_exit` }),
  );
  for (const kernels of [
    [0, 1, 0],
    [1, 0, 1],
    [1, 1, 1],
  ]) {
    const [first, second, third] = kernels;
    const processes = await pipeline([
      { program: "/tmp/flood.wasm", kernel: first },
      { program: "/tmp/copy.wasm", kernel: second },
      { program: one, kernel: third },
    ]);
    await processes[0].stdin?.close();
    const EPIPE = 64;
    assert.deepEqual(await codesOf(processes), [EPIPE, EPIPE, 5], `on kernels ${kernels}`);
  }
  await assertSameUsage(
    system,
    { ...before, freeBlocks: system.usage().freeBlocks, freeInodes: system.usage().freeInodes },
    "EPIPE",
  );
});

test("head ends yes", async () => {
  const processes = await pipeline([
    { program: "yes", args: ["on and on"], kernel: 1 },
    { program: "head", args: ["-n", "3"], kernel: 0 },
  ]);
  assert.equal(await within(20_000, "head", textOf(processes[1].stdout)), "on and on\n".repeat(3));
  const codes = await codesOf(processes);
  assert.equal(codes[1], 0);
});

test("a process that is killed in the middle gives its neighbours end of file and EPIPE", async () => {
  const processes = await pipeline([
    { program: "/tmp/flood.wasm", kernel: 0 },
    { program: "/tmp/copy.wasm", kernel: 1 },
    { program: "/tmp/drain.wasm", kernel: 0 },
  ]);
  await pause(20);
  processes[1].kill(9);
  assert.deepEqual(await codesOf(processes), [64, 137, 3]);
});

test("a write of up to 4096 bytes is never split, whoever else writes to the pipe", async () => {
  // Four writers share one pipe through one open file each time; records must come out whole.
  const record_bytes = 1000;
  const writer = (letter: string) =>
    assemble({
      locals: "i",
      code: `
        loop
          ${writeCode(1, 1024, record_bytes)}
          local.get 0 i32.const 1 i32.add local.tee 0 i32.const 300 i32.lt_u br_if 0
        end`,
      data: { 1024: letter.repeat(record_bytes) },
    });
  // One process writes both its standard output and its standard error to the pipe, here twice over.
  const pipe = system.pipe();
  const both = assemble({
    locals: "i",
    code: `
      loop
        ${writeCode(1, 1024, record_bytes)} ${writeCode(2, 4096, record_bytes)}
        local.get 0 i32.const 1 i32.add local.tee 0 i32.const 300 i32.lt_u br_if 0
      end`,
    data: { 1024: "a".repeat(record_bytes), 4096: "b".repeat(record_bytes) },
  });
  const source = await system.spawn(started.install("both", both), [], {
    kernel: 0,
    stdin: "null",
    stdout: pipe.write,
    stderr: pipe.write,
  });
  const sink = await system.spawn("/tmp/copy.wasm", [], { kernel: 1, stdin: pipe.read });
  const text = await within(20_000, "records", textOf(sink.stdout));
  assert.equal((await source.wait()).exitCode, 0);
  assert.equal(text.length, 600 * record_bytes);
  for (let at = 0; at < text.length; at += record_bytes) {
    const record = text.slice(at, at + record_bytes);
    assert.ok(record === record[0].repeat(record_bytes), `record at ${at} is mixed`);
  }
  const single = await system.run(started.install("single", writer("c")), [], { kernel: 1 });
  assert.equal(single.stdout, "c".repeat(300 * record_bytes));
});

test("back pressure: a writer waits while nobody reads, and nothing is lost", async () => {
  const process = await system.spawn("/tmp/flood.wasm", [], { stdin: "null", stderr: "null" });
  await pause(100);
  const status = system.processes().find(({ pid }) => pid === process.pid);
  assert.equal(status?.state, "blocked", "the pipe is full");
  const reader = process.stdout?.getReader();
  let total = 0;
  while (total < 1_000_000)
    total += (await within(2_000, "data", reader?.read() ?? Promise.reject())).value?.length ?? 0;
  process.kill();
  for (;;) {
    const piece = await within(2_000, "the rest", reader?.read() ?? Promise.reject());
    if (piece.done) break;
    total += piece.value.length;
  }
  assert.equal(total % 4096, 0, "whole writes");
  assert.equal((await process.wait()).exitCode, 137);
});

test("many pipelines at once", async () => {
  const before = system.usage();
  const runs = Array.from({ length: 24 }, async (_, n) => {
    const processes = await pipeline(
      [0, 1, 2, 3].map((stage) => ({ program: "/tmp/copy.wasm", kernel: (n + stage) & 1 })),
    );
    const input = noise(100_000 + n);
    const writer = processes[0].stdin?.getWriter();
    const feeding = writer?.write(input).then(() => writer.close());
    const chunks: Uint8Array[] = [];
    for await (const chunk of processes[3].stdout ?? []) chunks.push(chunk);
    await feeding;
    assert.equal(digest(Buffer.concat(chunks)), digest(input), `pipeline ${n}`);
    assert.deepEqual(await codesOf(processes), [0, 0, 0, 0]);
  });
  await within(30_000, "pipelines", Promise.all(runs));
  await assertSameUsage(system, before, "many pipelines");
});
