/** Ending processes by signals, whatever they are doing. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Process } from "../../src/index.ts";
import { SystemError } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { copy, drain, exitWith, flood, readCode, sleep, spin, writeCode } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  firstOutput,
  pause,
  type TestSystem,
  within,
} from "./support/system.ts";

const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
let started: TestSystem;

before(async () => {
  started = await bootForTest();
  for (const [name, bytes] of Object.entries({
    spin,
    drain,
    copy,
    flood,
    sleep: sleep(3_600_000_000_000n),
  })) {
    started.install(name, bytes);
  }
  for (const kernel of [0, 1]) await started.system.run(started.install("exit", exitWith(0)), [], { kernel });
});
after(() => started[Symbol.asyncDispose]());

/** Waits for the end that a signal must bring, soon. */
async function endsBy(process: Process, signal: number, what: string): Promise<void> {
  const status = await within(3_000, `${what}: end by signal ${signal}`, process.wait());
  assert.equal(status.signal, signal, what);
  assert.equal(status.exitCode, 128 + signal, what);
  assert.match(status.message, new RegExp(`signal ${signal}`), what);
}

function stateOf(process: Process): string | undefined {
  return started.system.processes().find(({ pid }) => pid === process.pid)?.state;
}

test("a process in a busy loop ends by any signal that ends processes", async () => {
  for (const kernel of [0, 1]) {
    for (const signal of [1, 2, 9, 15, 64]) {
      const process = await started.system.spawn("/tmp/spin.wasm", [], {
        kernel,
        stdin: "null",
        stderr: "null",
      });
      await firstOutput(process);
      started.system.kill(process.pid, signal);
      await endsBy(process, signal, `kernel ${kernel}`);
    }
  }
});

test("blocked processes end: a reader, a writer, a sleeper in poll_oneoff", async () => {
  for (const kernel of [0, 1]) {
    const reader = await started.system.spawn("/tmp/drain.wasm", [], { kernel });
    const writer = await started.system.spawn("/tmp/flood.wasm", [], { kernel });
    const sleeper = await started.system.spawn("/tmp/sleep.wasm", [], { kernel, ...quiet });
    for (const process of [reader, writer, sleeper]) {
      await eventually("blocked", () => stateOf(process) === "blocked");
      assert.ok(process.kill(15));
      await endsBy(process, 15, `kernel ${kernel}`);
    }
  }
});

test("a signal that comes before the program has begun still ends it", async () => {
  for (let round = 0; round < 40; round++) {
    const process = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, kernel: round % 2 });
    assert.ok(process.kill());
    await endsBy(process, 9, `round ${round}`);
  }
});

test("a signal ends a process that is ready while another one has the core", async () => {
  // The signal's interrupt comes while the other program runs; the victim must be ended when its turn comes.
  for (let round = 0; round < 20; round++) {
    const processes: Process[] = [];
    for (let n = 0; n < 3; n++)
      processes.push(await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, kernel: 1 }));
    await pause(round % 5);
    for (const process of processes) {
      process.kill(15);
      await endsBy(process, 15, `round ${round}`);
    }
  }
});

test("a program that catches everything it can does not catch its end", async () => {
  const legacy = assemble({
    code: `${writeCode(1, 1024, 3)} loop try loop br 0 end catch_all end br 0 end`,
    data: { 1024: "on\n" },
  });
  const table = assemble({
    code: `${writeCode(1, 1024, 3)} loop block try_table 0 loop br 0 end end end br 0 end`,
    data: { 1024: "on\n" },
  });
  const inCall = assemble({
    code: `${writeCode(1, 1024, 3)} loop try loop ${readCode(0, 2048, 16)} drop br 0 end catch_all end br 0 end`,
    data: { 1024: "on\n" },
  });
  for (const [name, bytes] of Object.entries({ legacy, table, inCall })) {
    const process = await started.system.spawn(started.install(name, bytes), [], { stderr: "null" });
    await firstOutput(process);
    await pause(5);
    process.kill(15);
    await endsBy(process, 15, name);
    await process.stdin?.close().catch(() => undefined);
  }
});

test("a program that recurses for ever without any loop ends, and lets others run meanwhile", async () => {
  // A tree of calls 300 deep: no stack overflow, no loop head, no system call.
  await using own = await bootForTest({ cores: 1 });
  const { system } = own;
  const recursion = assemble({
    locals: "i",
    code: `
      i32.const 16 i32.load local.tee 0 i32.const 300 i32.ge_u if return end
      i32.const 16 local.get 0 i32.const 1 i32.add i32.store call self
      i32.const 16 local.get 0 i32.const 1 i32.add i32.store call self`,
  });
  const process = await system.spawn(own.install("recursion", recursion), [], quiet);
  const other = system.run(own.install("exit", exitWith(6)));
  assert.equal((await within(3_000, "a neighbour of a recursive program", other)).exitCode, 6);
  process.kill(15);
  await endsBy(process, 15, "recursion");
});

test("the first signal counts, unless KILL follows", async () => {
  const process = await started.system.spawn("/tmp/sleep.wasm", [], quiet);
  await eventually("blocked", () => stateOf(process) === "blocked");
  process.kill(15);
  process.kill(1);
  await endsBy(process, 15, "TERM and HUP");
});

test("a process sends itself a signal", async () => {
  const path = started.install(
    "raise",
    assemble({ code: "i32.const 6 call proc_raise drop i32.const 1 call proc_exit" }),
  );
  const { exitCode, signal } = await started.system.run(path);
  assert.deepEqual([exitCode, signal], [134, 6]);
});

test("signal 0 only asks whether there is such a process", async () => {
  const process = await started.system.spawn("/tmp/sleep.wasm", [], quiet);
  started.system.kill(process.pid, 0);
  await eventually("blocked", () => stateOf(process) === "blocked");
  assert.ok(process.kill(9));
  await endsBy(process, 9, "sleep");
  assert.equal(process.kill(), false, "it has ended");
  assert.throws(() => started.system.kill(process.pid, 0), { code: "ESRCH" });
});

test("an unknown pid or signal is refused by name", () => {
  const { system } = started;
  for (const pid of [0, -1, 4_000_000_000, 1_024, 1.5, Number.NaN]) {
    assert.throws(
      () => system.kill(pid),
      (error) => error instanceof SystemError && error.code === "ESRCH",
      `${pid}`,
    );
  }
  for (const signal of [-1, 65, 1.5, Number.NaN]) {
    assert.throws(
      () => system.kill(1, signal),
      (error) => error instanceof SystemError && error.code === "EINVAL",
      `${signal}`,
    );
  }
});

test("a pid is not used again soon: a late signal does not hit a stranger", async () => {
  const first = await started.system.spawn("/tmp/exit.wasm", [], quiet);
  const { pid } = first;
  await first.wait();
  const later: Process[] = [];
  for (let n = 0; n < 20; n++) later.push(await started.system.spawn("/tmp/exit.wasm", [], quiet));
  assert.ok(later.every((process) => process.pid !== pid));
  assert.throws(() => started.system.kill(pid), { code: "ESRCH" });
  for (const process of later) assert.equal((await process.wait()).exitCode, 0);
});

test("killed processes leave nothing behind", async () => {
  const { system } = started;
  // The first of each kind may leave caches that stay.
  for (let warm = 0; warm < 2; warm++) {
    const before = system.usage();
    const processes: Process[] = [];
    for (const name of ["spin", "drain", "copy", "flood", "sleep"]) {
      for (const kernel of [0, 1]) processes.push(await system.spawn(`/tmp/${name}.wasm`, [], { kernel }));
    }
    await pause(warm * 10);
    for (const process of processes) process.kill(9);
    for (const process of processes) {
      assert.equal((await within(3_000, "end", process.wait())).signal, 9);
      await process.stdin?.abort();
      await process.stdout?.cancel();
      await process.stderr?.cancel();
    }
    if (warm === 1) await assertSameUsage(system, before, "killed processes");
  }
});
