/** Sharing a core: preemption, priorities, yielding, and what waiting costs. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Process } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { readCode, sleep, spin, writeCode } from "./support/programs.ts";
import {
  bootForTest,
  eventually,
  firstOutput,
  notOnHost,
  now_ms,
  pause,
  type TestSystem,
  wallTime_ms,
  within,
} from "./support/system.ts";

const quiet = { stdin: "null", stdout: "null", stderr: "null", kernel: 1 } as const;
let started: TestSystem;

before(async () => {
  started = await bootForTest();
  started.install("spin", spin);
});
after(() => started[Symbol.asyncDispose]());

function cpuTime_ms(process: Process): number {
  const status = started.system.processes().find(({ pid }) => pid === process.pid);
  assert.ok(status !== undefined, `process ${process.pid} is gone`);
  return status.cpuTime_ns / 1e6;
}

async function end(...processes: Process[]): Promise<void> {
  for (const process of processes) process.kill(9);
  for (const process of processes) await within(3_000, "end", process.wait());
}

test("busy processes on one kernel share it", async () => {
  const processes: Process[] = [];
  for (let n = 0; n < 3; n++) processes.push(await started.system.spawn("/tmp/spin.wasm", [], quiet));
  await pause(500);
  const used_ms = processes.map(cpuTime_ms);
  await end(...processes);
  const total_ms = used_ms.reduce((sum, one) => sum + one, 0);
  for (const one of used_ms) {
    // When the host takes the processor away, that counts for whoever had the core.
    assert.ok(one > total_ms / 20, `shares of the core: ${used_ms.map((ms) => ms.toFixed(1)).join(", ")} ms`);
  }
});

test("a process that wakes its neighbour and then never stops does not keep it waiting", async () => {
  // Both on one kernel: the write makes the reader ready on the core that the writer goes on using.
  const pipe = started.system.pipe();
  const writer = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, stdout: pipe.write });
  const reader = await started.system.spawn(
    started.install(
      "reader",
      assemble({ code: `${readCode(0, 1024, 16)} drop i32.const 8 i32.load call proc_exit` }),
    ),
    [],
    { ...quiet, stdin: pipe.read },
  );
  assert.equal((await within(2_000, "the reader's turn", reader.wait())).exitCode, 3);
  await end(writer);
});

test("a process that wakes its neighbour by its first write after the neighbour blocked", async () => {
  const pipe = started.system.pipe();
  const reader = await started.system.spawn("/tmp/reader.wasm", [], { ...quiet, stdin: pipe.read });
  await eventually("blocked", () =>
    started.system.processes().some((p) => p.pid === reader.pid && p.state === "blocked"),
  );
  const writer = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, stdout: pipe.write });
  assert.equal((await within(2_000, "the reader's turn", reader.wait())).exitCode, 3);
  await end(writer);
});

test("a sleeper gets its core back from a busy process when its time comes", async () => {
  const busy = await started.system.spawn("/tmp/spin.wasm", [], quiet);
  const path = started.install("nap", sleep(30_000_000n));
  for (let round = 0; round < 10; round++) {
    const from_ms = now_ms();
    const sleeper = await started.system.spawn(path, [], quiet);
    assert.equal((await within(2_000, "the end of a nap", sleeper.wait())).exitCode, 0);
    const took_ms = now_ms() - from_ms;
    assert.ok(took_ms >= 29, `slept ${took_ms.toFixed(1)} of 30 ms`);
  }
  await end(busy);
});

test("an urgent process takes the core at once, and a less urgent one gets what is left", async () => {
  const urgent = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, priority: 1 });
  await pause(50);
  const idle = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, priority: 3 });
  await pause(150);
  assert.equal(cpuTime_ms(idle), 0, "a less urgent process ran while a more urgent one was busy");
  const mostUrgent = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, priority: 0 });
  await pause(50);
  const before_ms = cpuTime_ms(urgent);
  await pause(100);
  assert.ok(cpuTime_ms(urgent) - before_ms < 10, "a process went on although a more urgent one was ready");
  await end(mostUrgent, urgent);
  await eventually("the less urgent one runs", () => {
    const status = started.system.processes().find(({ pid }) => pid === idle.pid);
    return status?.state === "running";
  });
  await end(idle);
});

test("a woken urgent process interrupts a busy one on the same kernel", async () => {
  const busy = await started.system.spawn("/tmp/spin.wasm", [], quiet);
  const echo = await started.system.spawn(
    started.install(
      "echo",
      assemble({
        code: `loop ${readCode(0, 1024, 1)} drop i32.const 8 i32.load i32.eqz if return end ${writeCode(1, 1024, 1)} br 0 end`,
      }),
    ),
    [],
    { kernel: 1, priority: 0, stderr: "null" },
  );
  const writer = echo.stdin?.getWriter();
  const reader = echo.stdout?.getReader();
  assert.ok(writer !== undefined && reader !== undefined);
  for (let n = 0; n < 50; n++) {
    await writer.write(new Uint8Array([n]));
    const answer: { value?: Uint8Array } = await within(2_000, `echo ${n}`, reader.read());
    assert.deepEqual(answer.value, new Uint8Array([n]));
  }
  await writer.close();
  assert.equal((await echo.wait()).exitCode, 0);
  await end(busy);
});

test("sched_yield lets others go first and comes back", async () => {
  // Two processes on one kernel write a letter to the terminal and yield: the letters must alternate.
  const yielding = (letter: string) =>
    assemble({
      locals: "i",
      code: `
        loop
          ${writeCode(1, 1024, 1)} call sched_yield drop
          local.get 0 i32.const 1 i32.add local.tee 0 i32.const 40 i32.lt_u br_if 0
        end`,
      data: { 1024: letter },
    });
  const options = { stdin: "null", stdout: "terminal", stderr: "null", kernel: 0 } as const;
  const gate = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, kernel: 0, priority: 0 });
  const a = await started.system.spawn(started.install("yield-a", yielding("a")), [], options);
  const b = await started.system.spawn(started.install("yield-b", yielding("b")), [], options);
  await end(gate);
  for (const process of [a, b]) assert.equal((await within(2_000, "the end", process.wait())).exitCode, 0);
  const reader = started.system.terminal.output.getReader();
  let text = "";
  while (text.length < 80)
    text += new TextDecoder().decode((await within(2_000, "letters", reader.read())).value);
  reader.releaseLock();
  // A quantum may end at any place; without yielding, there would be two runs of forty.
  const longest = Math.max(...(text.match(/a+|b+/g) ?? []).map((run) => run.length));
  const turns = text.match(/ab|ba/g)?.length ?? 0;
  assert.ok(longest <= 3 && turns >= 30, text);
});

test("waiting costs no processor time", async () => {
  const kinds = {
    sleeper: await started.system.spawn(started.install("long", sleep(3_600_000_000_000n)), [], quiet),
    reader: await started.system.spawn("/tmp/reader.wasm", [], { kernel: 1 }),
  };
  for (const process of Object.values(kinds)) {
    await eventually("blocked", () =>
      started.system.processes().some((p) => p.pid === process.pid && p.state === "blocked"),
    );
  }
  const before = started.system.kernels()[1].contextSwitches;
  const used_ms = Object.values(kinds).map(cpuTime_ms);
  await pause(300);
  const more_ms = Object.values(kinds).map((process, n) => cpuTime_ms(process) - used_ms[n]);
  const switches = started.system.kernels()[1].contextSwitches - before;
  await end(...Object.values(kinds));
  for (const ms of more_ms) assert.ok(ms < 1, `a waiting process used ${ms} ms`);
  assert.ok(switches <= 2, `${switches} context switches while everybody waits`);
});

test("processor time is counted while a process runs and adds up at its end", async () => {
  const process = await started.system.spawn("/tmp/spin.wasm", [], { ...quiet, stdout: "pipe" });
  await firstOutput(process);
  const before_ms = cpuTime_ms(process);
  await pause(100);
  const alone_ms = cpuTime_ms(process) - before_ms;
  assert.ok(alone_ms > 90, `alone on its core for 100 ms, counted ${alone_ms.toFixed(1)}`);
  const neighbour = await started.system.spawn("/tmp/spin.wasm", [], quiet);
  const from_ms = now_ms();
  await pause(300);
  const elapsed_ms = now_ms() - from_ms;
  const shared_ms = cpuTime_ms(process) - before_ms - alone_ms;
  const share = shared_ms / elapsed_ms;
  assert.ok(
    share > 0.05 && share < 0.95,
    `half of ${elapsed_ms.toFixed(0)} ms, counted ${shared_ms.toFixed(1)}`,
  );
  await end(process, neighbour);
});

test("time goes the same way on all kernels", { skip: notOnHost }, async () => {
  // Cores whose clocks disagree end each other's quanta and sleeps at the wrong time.
  const clock = assemble({
    code: `
      i32.const 1 i64.const 0 i32.const 1024 call clock_time_get drop
      i32.const 0 i64.const 0 i32.const 1032 call clock_time_get drop
      ${writeCode(1, 1024, 16)}`,
  });
  await using many = await bootForTest({ cores: 6 });
  const path = many.install("clock", clock);
  let monotonic_ns = 0n;
  for (let turn = 0; turn < 36; turn++) {
    const before_ms = wallTime_ms();
    const process = await many.system.spawn(path, [], {
      kernel: (turn * 5) % 6,
      stdin: "null",
      stderr: "null",
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of process.stdout ?? []) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const now_ns = bytes.readBigUInt64LE(0);
    assert.ok(now_ns > monotonic_ns, `turn ${turn}: ${now_ns} after ${monotonic_ns}`);
    monotonic_ns = now_ns;
    const wall_ms = Number(bytes.readBigUInt64LE(8)) / 1e6;
    // The wall clock's steps are whole milliseconds, and its adjustments come once a second.
    assert.ok(
      wall_ms > before_ms - 10 && wall_ms < wallTime_ms() + 10,
      `turn ${turn}: ${wall_ms} at ${before_ms}`,
    );
  }
});
