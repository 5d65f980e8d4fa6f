/** Moving processes with a copy of their memory, upfront and page by page, as between kernels that share none. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type MigrateOptions, type Process, SystemError } from "../../src/index.ts";
import { copy, spin } from "./support/programs.ts";
import {
  bootForTest,
  eventually,
  firstOutput,
  pause,
  type TestSystem,
  textOf,
  within,
} from "./support/system.ts";

const modes: readonly NonNullable<MigrateOptions["copy"]>[] = ["on-demand", "upfront", "none"];
let started: TestSystem;

before(async () => {
  started = await bootForTest();
  started.install("spin", spin);
  started.install("copy", copy);
});
after(() => started[Symbol.asyncDispose]());

function missing_bytes({ pid }: Process): number | undefined {
  return started.system.processes().find((process) => process.pid === pid)?.missing_bytes;
}

/** Fills a heap, says "on", then reads and writes all over it. */
const heapProgram = `
import sys
size = int(sys.argv[1])
numbers = list(range(size))
names = {n: str(n) for n in range(0, size, 10)}
print("on", flush=True)
total = 0
for round in range(int(sys.argv[2])):
    for at in range(round, size, 11):
        total += numbers[at]
        numbers[at] = at + round
    names[round * 10] = "round %d" % round
print(total, sum(numbers), sum(map(len, names.values())))
`;

async function startHeap(size: number, rounds: number): Promise<Process> {
  const args = ["-c", heapProgram, String(size), String(rounds)];
  return started.system.spawn("python3", args, { kernel: 0, stdin: "null" });
}

test("a process with a heap is moved in every way while it runs, and computes the same", async () => {
  const { system } = started;
  const undisturbed = await startHeap(200_000, 16);
  const expected = await textOf(undisturbed.stdout);
  assert.match(expected, /^on\n\d+ \d+ \d+\n$/);
  const moved = await startHeap(200_000, 16);
  const output = textOf(moved.stdout);
  let moves = 0;
  await pause(50);
  for (
    ;
    moves < 60 &&
    missing_bytes(moved) !== undefined &&
    system.processes().some(({ pid, state }) => pid === moved.pid && state !== "zombie");
    moves++
  ) {
    const mode = modes[moves % modes.length];
    try {
      await within(10_000, `move ${moves}`, moved.migrate((moves + 1) % 2, { copy: mode }));
    } catch (error) {
      // It may end meanwhile.
      if (!/ESRCH|has ended/.test(String(error))) throw error;
    }
    await pause(10);
  }
  assert.equal(await within(60_000, "end", output), expected);
  assert.equal((await moved.wait()).exitCode, 0);
  assert.ok(moves > 5, `${moves} moves`);
});

test("a process that waits gets its pages in the background, and then its fast code", async () => {
  const waiting = await started.system.spawn("/tmp/copy.wasm", [], { kernel: 0, stderr: "null" });
  const writer = waiting.stdin?.getWriter();
  await writer?.write(new TextEncoder().encode("before "));
  const output = textOf(waiting.stdout);
  await pause(20);
  for (let n = 0; n < 6; n++) {
    await within(3_000, "move", waiting.migrate((n + 1) % 2, { copy: "on-demand" }));
    await writer?.write(new TextEncoder().encode(`${n} `));
    await eventually("all pages have come", () => missing_bytes(waiting) === 0);
  }
  await writer?.close();
  assert.equal(await output, "before 0 1 2 3 4 5 ");
  assert.equal((await waiting.wait()).exitCode, 0);
});

test("a process can be killed, and moved on, while pages are missing", async () => {
  const spinning = await started.system.spawn("/tmp/spin.wasm", [], {
    kernel: 0,
    stdin: "null",
    stderr: "null",
  });
  await firstOutput(spinning);
  for (let n = 0; n < 20; n++) await spinning.migrate((n + 1) % 2, { copy: modes[n % 2] });
  assert.equal(spinning.kernel, 0);
  await spinning.migrate(1, { copy: "on-demand" });
  spinning.kill();
  assert.equal((await spinning.wait()).signal, 9);
});

test("without the program's file there are no pages on demand, and the process goes on where it was", async () => {
  await using booted = await bootForTest({ cacheDirectory: false });
  const { system } = booted;
  const spinning = await system.spawn(booted.install("spin", spin), [], {
    kernel: 0,
    stdin: "null",
    stderr: "null",
  });
  await firstOutput(spinning);
  system.files.remove("/tmp/spin.wasm");
  await assert.rejects(
    spinning.migrate(1, { copy: "on-demand" }),
    (error) => error instanceof SystemError && error.code === "ENOENT",
  );
  assert.equal(spinning.kernel, 0);
  await spinning.migrate(1, { copy: "upfront" });
  assert.equal(spinning.kernel, 1);
  spinning.kill();
  assert.equal((await spinning.wait()).signal, 9);
});

test("a checkpoint that is taken while pages are missing holds all of them", async () => {
  const { system } = started;
  const moved = await startHeap(400_000, 40);
  assert.ok(moved.stdout !== null);
  const reader = moved.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "on\n");
  const rest = (async () => {
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return text;
      text += new TextDecoder().decode(value);
    }
  })();
  let missing = 0;
  // All of them may have come before we look.
  for (let n = 0; n < 20 && missing === 0; n++) {
    await moved.migrate((n + 1) % 2, { copy: "on-demand" });
    missing = missing_bytes(moved) ?? 0;
  }
  await system.checkpoint(moved.pid, "/tmp/heap.checkpoint");
  assert.ok(missing > 0);
  const expected = await rest;
  assert.equal((await moved.wait()).exitCode, 0);
  const restored = await system.restore("/tmp/heap.checkpoint", {
    stdin: "null",
    stdout: "pipe",
    stderr: "null",
  });
  assert.equal(await textOf(restored.stdout), expected);
});
