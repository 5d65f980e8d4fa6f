/** Checkpoints of real processes: written while they run, restored here and in later systems, refused when damaged. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { countFrames, decodeCheckpoint, describeFrames, sourceOf } from "../../src/checkpoint/index.ts";
import { frameTableSection, readFrameTable } from "../../src/engine/capture/frame-table.ts";
import { ProgramLoader } from "../../src/engine/index.ts";
import { CheckpointError, DamagedCheckpointError, type Process } from "../../src/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { buildModule } from "../engine/support/module-builder.ts";
import { Driven } from "./support/driven.ts";
import { copy, count, sleep, spin } from "./support/programs.ts";
import { puppet } from "./support/puppet.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  firstOutput,
  now_ms,
  pause,
  temporaryDirectory,
  textOf,
  within,
} from "./support/system.ts";

const file = "/tmp/p.checkpoint";

async function answer(process: Process, question: string): Promise<string> {
  assert.ok(process.stdin !== null);
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(question));
  writer.releaseLock();
  return firstOutput(process);
}

async function close(process: Process): Promise<void> {
  await process.stdin?.close();
  assert.equal((await process.wait()).exitCode, 0);
}

test("sqlite3 with a database in memory goes on, and is restored as often as one likes", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const process = await system.spawn("sqlite3");
  assert.equal(
    await answer(process, "create table t(a); insert into t values (1),(2); select sum(a) from t;\n"),
    "3\n",
  );
  const summary = await system.checkpoint(process.pid, file);
  assert.equal(summary.file_bytes, system.files.stat(file).size_bytes);
  assert.ok(summary.differentPages > 0 && summary.differentPages <= summary.pages && summary.pause_ns > 0);
  assert.equal(await answer(process, "insert into t values (10); select sum(a) from t;\n"), "13\n");
  for (const kernel of [0, 1, 1]) {
    const restored = await system.restore(file, { kernel });
    assert.equal(restored.kernel, kernel);
    assert.notEqual(restored.pid, process.pid);
    assert.equal(await answer(restored, "insert into t values (100); select sum(a) from t;\n"), "103\n");
    await close(restored);
  }
  await close(process);
});

test("a process that computes is written in the middle, and its parts make a whole", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const script =
    "import sys\nfor n in range(60):\n  print(n, sum(i*i%7 for i in range(n*150)), flush=True)\n";
  system.files.write("/tmp/sums.py", script);
  const whole = await system.run("python3", ["/tmp/sums.py"]);
  assert.equal(whole.exitCode, 0);
  const process = await system.spawn("python3", ["/tmp/sums.py"], { stdin: "null" });
  assert.ok(process.stdout !== null);
  const decoder = new TextDecoder();
  let text = "";
  let taken = 0;
  for await (const chunk of process.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (taken === 4 || text.length < (taken + 1) * 80) continue;
    const done = await system.checkpoint(process.pid, `${file}${taken}`).catch((error) => error);
    // It may have been quicker than we were.
    if (!(done instanceof CheckpointError)) taken++;
  }
  assert.equal(text, whole.stdout);
  assert.ok(taken > 0);
  for (let n = 0; n < taken; n++) {
    const restored = await system.restore(`${file}${n}`);
    const rest = await textOf(restored.stdout);
    assert.equal((await restored.wait()).exitCode, 0);
    assert.ok(rest.length > 0 && whole.stdout.endsWith(rest), `part ${n}: ${rest}`);
  }
});

test("in a later system with the same root, and in one without the program", async () => {
  const root = join(temporaryDirectory(), "root.img");
  {
    await using started = await bootForTest();
    const { system } = started;
    const process = await system.spawn(started.install("copy", copy));
    assert.equal(await answer(process, "before\n"), "before\n");
    await system.checkpoint(process.pid, "/home/plain");
    await system.checkpoint(process.pid, "/home/whole", { embedProgram: true });
    process.kill();
    await process.wait();
    system.saveRoot(root);
  }
  // Without a store of programs that were loaded before.
  await using started = await bootForTest({ root, cacheDirectory: false });
  const { system } = started;
  const restored = await system.restore("/home/plain");
  assert.equal(await answer(restored, "after\n"), "after\n");
  await close(restored);
  system.files.write("/tmp/copy.wasm", spin, 0o755);
  // A kernel that has run the program still has it; one of them has not.
  await assert.rejects(
    Promise.all([0, 1].map((kernel) => system.restore("/home/plain", { kernel }).then(close))),
    /its program is not at \/tmp\/copy.wasm any more, or another one is; put the program back/,
  );
  const whole = await system.restore("/home/whole");
  assert.equal(await answer(whole, "again\n"), "again\n");
  await close(whole);
});

test("a damaged or truncated file is refused, and nothing changes", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const process = await system.spawn("sqlite3");
  await answer(process, "select 1;\n");
  await system.checkpoint(process.pid, file);
  await close(process);
  const whole = system.files.read(file);
  system.files.write("/tmp/bad", whole);
  const usage = system.usage();
  const refused = async (bytes: Uint8Array, why: RegExp) => {
    system.files.write("/tmp/bad", bytes);
    await assert.rejects(system.restore("/tmp/bad"), (error) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.match(error.message, why);
      return true;
    });
  };
  for (let turn = 0; turn < 40; turn++) {
    const at = Math.floor((whole.length * turn) / 40);
    const damaged = whole.slice();
    damaged[at] ^= 1 << (turn % 8);
    await refused(damaged, /^\/tmp\/bad: (the checkpoint is damaged|this is no checkpoint)/);
  }
  for (const length of [1, 15, 16, 100, whole.length >> 1, whole.length - 1]) {
    await refused(
      whole.subarray(0, length),
      /cut off .*; use another copy of the file, or take the checkpoint again$/,
    );
  }
  await refused(new Uint8Array(0), /is empty/);
  await refused(new TextEncoder().encode("hello, this is no checkpoint"), /this is no checkpoint/);
  await assert.rejects(system.restore("/tmp/nothing"), { code: "ENOENT" });
  system.files.write("/tmp/bad", whole);
  await assertSameUsage(system, usage, "refused files");
  assert.deepEqual(system.processes(), []);
});

test("a sleeping process sleeps the rest of its time, not all of it again", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const process = await system.spawn(started.install("sleep", sleep(1_500_000_000n)));
  await firstOutput(process);
  await pause(900);
  await system.checkpoint(process.pid, file);
  const from_ms = now_ms();
  const restored = await system.restore(file);
  assert.equal((await within(5000, "the end", restored.wait())).exitCode, 0);
  const slept_ms = now_ms() - from_ms;
  assert.ok(slept_ms > 200 && slept_ms < 1300, `it slept ${slept_ms} ms more`);
  assert.equal((await process.wait()).exitCode, 0);
});

test("the monotonic clock of a restored process goes on from where it was", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const clock_ns = async (driven: Driven) => {
    assert.equal(await driven.call("clock_time_get", 1, 0n, 8192), 0);
    return (await driven.result()) + (await driven.result(4)) * 2 ** 32;
  };
  const before = new Driven(await system.spawn(started.install("puppet", puppet())));
  const first_ns = await clock_ns(before);
  const asked_ns = now_ms() * 1e6;
  await system.checkpoint(before.process.pid, file);
  await before.end();
  await pause(700);
  const after = new Driven(await system.restore(file));
  const between_ns = (await clock_ns(after)) - first_ns;
  const really_ns = now_ms() * 1e6 - asked_ns;
  assert.ok(between_ns > 0 && between_ns < really_ns - 600e6, `${between_ns} of ${really_ns} ns`);
  await after.end();
});

test("the frames of a process can be read with the table of its program", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const process = await system.spawn("sqlite3");
  await answer(process, "select 1;\n");
  await eventually("waiting for input", () => system.processes()[0].state === "blocked");
  await system.checkpoint(process.pid, file);
  const checkpoint = decodeCheckpoint(sourceOf(system.files.read(file)), contentHash);
  await close(process);
  const [{ frames, globals }] = checkpoint.threads;
  const loader = new ProgramLoader({ hash: contentHash });
  const program = loader.load(system.files.read(checkpoint.program.path));
  const [section] = WebAssembly.Module.customSections(program.module, frameTableSection);
  const shapes = readFrameTable(new Uint8Array(section));
  const found = describeFrames(frames, shapes);
  assert.equal(found.length, countFrames(frames, shapes));
  // From _start over main to the read that waits for input, which is called again.
  assert.ok(found.length > 3 && found[0].site === 0 && found.slice(1).every(({ site }) => site > 0));
  assert.equal(found[0].i32[0], 0, "it reads standard input");
  assert.ok(globals.length >= 4 && globals.length % 4 === 0);
  assert.throws(() => countFrames(frames.subarray(0, frames.length - 4), shapes), DamagedCheckpointError);
});

test("a process number is given again when that is asked for and it is free", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const process = await system.spawn(started.install("spin", spin), [], { stdin: "null" });
  await firstOutput(process);
  await system.checkpoint(process.pid, file);
  const { pid } = process;
  await assert.rejects(system.restore(file, { pid: "same" }), /process number \d+ is taken/);
  process.kill();
  await process.wait();
  const restored = await system.restore(file, { pid: "same" });
  assert.equal(restored.pid, pid);
  const [listed] = system.processes();
  assert.equal(listed.name, "spin.wasm");
  assert.ok(listed.cpuTime_ns > 0);
  restored.kill();
  await restored.wait();
});

test("who is not there, or ends meanwhile, cannot be written, and leaves nothing", async () => {
  await using started = await bootForTest();
  const { system } = started;
  await assert.rejects(system.checkpoint(12_345, file), /there is no such process/);
  await assert.rejects(system.checkpoint(1, "/nowhere/file"), { code: "ENOENT" });
  const path = started.install("count", count(20 << 20));
  for (const kernel of [0, 1]) await system.run(path, [], { kernel });
  const usage = system.usage();
  for (let turn = 0; turn < 10; turn++) {
    const process = await system.spawn(path, [], { stdin: "null", stdout: "null" });
    const attempts: Promise<unknown>[] = [];
    for (let n = 0; n < 3; n++)
      attempts.push(system.checkpoint(process.pid, `${file}${n}`).catch((error) => error));
    if (turn % 2 === 0) process.kill();
    for (const result of await Promise.all(attempts)) {
      if (result instanceof Error) assert.match(result.message, /has ended|there is no such process/);
    }
    const { exitCode } = await process.wait();
    assert.ok(exitCode === 0 || (turn % 2 === 0 && exitCode === 137));
  }
  for (const { name } of system.files.list("/tmp")) {
    if (name.startsWith("p.checkpoint")) system.files.remove(`/tmp/${name}`);
  }
  assert.deepEqual(
    system.files.list("/tmp").map(({ name }) => name),
    ["count.wasm"],
  );
  await assertSameUsage(system, usage, "checkpoints of ending processes");
});

test("a program that cannot be captured is refused with the construct, and goes on", async () => {
  await using started = await bootForTest();
  const { system } = started;
  // A reference that lives across a wait is nothing that memory could hold.
  const program = buildModule({
    imports: [["wasi_snapshot_preview1.fd_read", "iiii", "i"]],
    memories: [{ minimum: 1 }],
    table: [1],
    functions: [
      {
        export: "_start",
        locals: "r",
        code: `ref.func 1 local.set 0
          i32.const 8 i32.const 64 i32.store i32.const 12 i32.const 8 i32.store
          i32.const 0 i32.const 8 i32.const 1 i32.const 16 call 0 drop local.get 0 drop`,
      },
    ],
  });
  const process = await system.spawn(started.install("fixed", program));
  await eventually("waiting", () => system.processes()[0]?.state === "blocked");
  const [status] = system.processes();
  if (status.migratable === false) {
    await assert.rejects(system.checkpoint(process.pid, file), (error) => {
      assert.ok(error instanceof CheckpointError);
      const expected = `its program cannot be captured (${status.obstacle})`;
      assert.ok(status.obstacle !== "" && error.message.endsWith(expected), error.message);
      return true;
    });
    assert.ok(!system.files.exists(file));
  } else {
    await system.checkpoint(process.pid, file);
    await close(await system.restore(file));
  }
  await close(process);
});

test("checkpoints of a process that is being moved about hold all of it", async () => {
  await using started = await bootForTest({ rootSize_bytes: 256 << 20 });
  const { system } = started;
  const script =
    "def primes():\n  n = 2\n  while True:\n    if all(n % d for d in range(2, int(n ** 0.5) + 1)): yield n\n    n += 1\n" +
    "for i, p in zip(range(900), primes()): print(i, p, flush=i % 50 == 0)\n";
  system.files.write("/tmp/primes.py", script);
  const whole = (await system.run("python3", ["/tmp/primes.py"])).stdout;
  const process = await system.spawn("python3", ["/tmp/primes.py"], { stdin: "null" });
  const output = textOf(process.stdout);
  let running = true;
  const ended = process.wait().then((status) => {
    running = false;
    return status;
  });
  let taken = 0;
  const failures: unknown[] = [];
  const note = (error: unknown) => {
    // Its end comes when it comes.
    if (!/has ended/.test(String(error))) failures.push(error);
  };
  for (let turn = 0; running && turn < 60; turn++) {
    const moved = process.migrate(turn % 2).catch(note);
    const name = `${file}${taken % 8}`;
    const written = system.checkpoint(process.pid, name).then(() => taken++, note);
    await Promise.all([moved, written]);
    await pause(1);
  }
  assert.deepEqual(failures, []);
  assert.equal((await ended).exitCode, 0);
  assert.equal(await output, whole);
  assert.ok(taken > 3, `${taken} checkpoints`);
  for (let n = 0; n < Math.min(taken, 8); n++) {
    const restored = await system.restore(`${file}${n}`);
    const rest = await textOf(restored.stdout);
    assert.equal((await restored.wait()).exitCode, 0);
    assert.ok(whole.endsWith(rest), `${n}: ${rest.slice(0, 200)}`);
  }
});

test("a hundred turns of writing and restoring leave nothing behind", async () => {
  await using started = await bootForTest();
  const { system } = started;
  let process = await system.spawn(started.install("copy", copy));
  assert.equal(await answer(process, "0\n"), "0\n");
  await system.checkpoint(process.pid, file);
  let usage = system.usage();
  for (let turn = 1; turn <= 100; turn++) {
    // By then every kernel has opened what it keeps open.
    if (turn === 3) usage = system.usage();
    const restored = await system.restore(file, { kernel: turn % 2 });
    process.kill();
    await process.wait();
    process = restored;
    assert.equal(await answer(process, `${turn}\n`), `${turn}\n`);
    await system.checkpoint(process.pid, file);
  }
  await assertSameUsage(system, usage, "a hundred checkpoints");
  process.kill();
  await process.wait();
  await eventually("the end", () => system.processes().length === 0);
});
