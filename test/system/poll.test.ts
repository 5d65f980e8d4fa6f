/** Waiting for time and for data: poll_oneoff from real programs and from small ones. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { sleep, writeCode } from "./support/programs.ts";
import { bootForTest, eventually, now_ms, pause, type TestSystem, within } from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest();
  system = started.system;
});
after(() => started[Symbol.asyncDispose]());

/** A subscription for `poll_oneoff` as bytes: to a clock, or to a descriptor for reading or writing. */
function subscription(
  userdata: bigint,
  what: { duration_ns: bigint } | { read: number } | { write: number },
): Uint8Array {
  const view = new DataView(new ArrayBuffer(48));
  view.setBigUint64(0, userdata, true);
  if ("duration_ns" in what) {
    view.setUint8(8, 0);
    view.setUint32(16, 1, true);
    view.setBigUint64(24, what.duration_ns, true);
  } else {
    view.setUint8(8, "read" in what ? 1 : 2);
    view.setUint32(16, "read" in what ? what.read : what.write, true);
  }
  return new Uint8Array(view.buffer);
}

/** Polls once and writes the events' 32 bytes each to standard output. */
function poller(subscriptions: readonly Uint8Array[]): Uint8Array {
  return assemble({
    code: `
      ${writeCode(2, 8192, 3)}
      i32.const 1024 i32.const 4096 i32.const ${subscriptions.length} i32.const 12 call poll_oneoff
      if i32.const 99 call proc_exit end
      i32.const 0 i32.const 4096 i32.store
      i32.const 4 i32.const 12 i32.load i32.const 32 i32.mul i32.store
      i32.const 1 i32.const 0 i32.const 1 i32.const 8 call fd_write drop
      i32.const 12 i32.load call proc_exit`,
    data: { 1024: Buffer.concat(subscriptions), 8192: "on\n" },
  });
}

interface Event {
  readonly userdata: bigint;
  readonly error: number;
  readonly type: number;
  readonly bytes: bigint;
  readonly hangup: boolean;
}

async function eventsOf(stream: ReadableStream<Uint8Array> | null): Promise<Event[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const events: Event[] = [];
  for (let at = 0; at < bytes.length; at += 32) {
    events.push({
      userdata: bytes.readBigUInt64LE(at),
      error: bytes.readUInt16LE(at + 8),
      type: bytes.readUInt8(at + 10),
      bytes: bytes.readBigUInt64LE(at + 16),
      hangup: (bytes.readUInt16LE(at + 24) & 1) !== 0,
    });
  }
  return events;
}

test("a sleep takes as long as it should, on a busy and on an idle kernel", async () => {
  for (const duration_ms of [0, 1, 20, 100]) {
    const path = started.install(`sleep-${duration_ms}`, sleep(BigInt(duration_ms) * 1_000_000n));
    const from_ms = now_ms();
    const { exitCode } = await system.run(path);
    const took_ms = now_ms() - from_ms;
    assert.equal(exitCode, 0);
    assert.ok(took_ms >= duration_ms, `${duration_ms} ms took ${took_ms.toFixed(1)}`);
    assert.ok(took_ms < duration_ms + 3_000, `${duration_ms} ms took ${took_ms.toFixed(1)}`);
  }
});

test("a hundred sleepers sleep at the same time", async () => {
  const path = started.install("sleep", sleep(200_000_000n));
  const from_ms = now_ms();
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, n) => system.run(path, [], { kernel: n & 1 })),
  );
  const took_ms = now_ms() - from_ms;
  assert.ok(results.every(({ exitCode }) => exitCode === 0));
  assert.ok(took_ms >= 200 && took_ms < 10_000, `100 sleeps of 200 ms took ${took_ms.toFixed(0)} ms`);
});

test("sleepers wake in the order of their times, not of their starts", async () => {
  const durations_ms = [800, 200, 600, 400];
  const runAll = async () => {
    const order: number[] = [];
    await Promise.all(
      durations_ms.map(async (duration_ms) => {
        const path = started.install(`order-${duration_ms}`, sleep(BigInt(duration_ms) * 1_000_000n));
        await system.run(path, [], { kernel: 1 });
        order.push(duration_ms);
      }),
    );
    return order;
  };
  // The first time, loading the programs one after the other moves their starts apart.
  await runAll();
  assert.deepEqual(await runAll(), [200, 400, 600, 800]);
});

test("of several clocks the earliest one fires", async () => {
  const path = started.install(
    "clocks",
    poller([
      subscription(1n, { duration_ns: 3_600_000_000_000n }),
      subscription(2n, { duration_ns: 30_000_000n }),
      subscription(3n, { duration_ns: 60_000_000_000n }),
    ]),
  );
  const process = await system.spawn(path, [], { stderr: "null" });
  const events = await within(5_000, "events", eventsOf(process.stdout));
  assert.deepEqual(events, [{ userdata: 2n, error: 0, type: 0, bytes: 0n, hangup: false }]);
});

test("data in a pipe ends a poll that also waits for a clock, on either kernel", async () => {
  const path = started.install(
    "both",
    poller([subscription(1n, { duration_ns: 60_000_000_000n }), subscription(2n, { read: 0 })]),
  );
  for (const kernel of [0, 1]) {
    const process = await system.spawn(path, [], { kernel, stderr: "null" });
    await eventually("blocked", () =>
      system.processes().some((p) => p.pid === process.pid && p.state === "blocked"),
    );
    await process.stdin?.getWriter().write(new Uint8Array(17));
    const events = await within(5_000, "events", eventsOf(process.stdout));
    assert.deepEqual(events, [{ userdata: 2n, error: 0, type: 1, bytes: 17n, hangup: false }]);
  }
});

test("the end of a pipe is an event too: hang-up, for readers and for writers", async () => {
  const reading = started.install("reading", poller([subscription(5n, { read: 0 })]));
  const reader = await system.spawn(reading, [], { stderr: "null" });
  await eventually("blocked", () =>
    system.processes().some((p) => p.pid === reader.pid && p.state === "blocked"),
  );
  await reader.stdin?.close();
  assert.deepEqual(await within(5_000, "events", eventsOf(reader.stdout)), [
    { userdata: 5n, error: 0, type: 1, bytes: 0n, hangup: true },
  ]);
});

test("a full pipe can be polled for writing, and is ready when it was read from", async () => {
  // Fills standard error's pipe until it would block, polls it for writing, and says so on standard output.
  const nonblock = 4;
  const filler = assemble({
    code: `
      i32.const 2 i32.const ${nonblock} call fd_fdstat_set_flags drop
      loop
        i32.const 0 i32.const 8192 i32.store i32.const 4 i32.const 4096 i32.store
        i32.const 2 i32.const 0 i32.const 1 i32.const 8 call fd_write
        i32.eqz br_if 0
      end
      ${writeCode(1, 4096, 5)}
      i32.const 1024 i32.const 2048 i32.const 1 i32.const 12 call poll_oneoff drop
      ${writeCode(1, 4104, 6)}`,
    data: { 1024: subscription(9n, { write: 2 }), 4096: "full\n", 4104: "ready\n" },
    memory: { initial: 1 },
  });
  const process = await system.spawn(started.install("filler", filler), [], { stdin: "null" });
  const output = process.stdout?.getReader();
  const next = async () =>
    new TextDecoder().decode((await within(5_000, "output", output?.read() ?? Promise.reject())).value);
  assert.equal(await next(), "full\n");
  await pause(30);
  assert.ok(system.processes().some((p) => p.pid === process.pid && p.state === "blocked"));
  const errors = process.stderr?.getReader();
  assert.equal((await errors?.read())?.value?.length, 65_536, "a pipe holds 64 KiB");
  assert.equal(await next(), "ready\n");
  assert.equal((await process.wait()).exitCode, 0);
});

test("files and /dev/null are always ready", async () => {
  const path = started.install(
    "ready",
    poller([subscription(1n, { read: 0 }), subscription(2n, { duration_ns: 60_000_000_000n })]),
  );
  const process = await system.spawn(path, [], { stdin: "null", stderr: "null" });
  const [event] = await within(5_000, "events", eventsOf(process.stdout));
  assert.deepEqual([event.userdata, event.error, event.type], [1n, 0, 1]);
});

test("a poll of the terminal and a clock ends by a typed line, also on the kernel that does not own it", async () => {
  const path = started.install(
    "terminal",
    poller([subscription(1n, { duration_ns: 60_000_000_000n }), subscription(2n, { read: 0 })]),
  );
  for (const kernel of [0, 1]) {
    const process = await system.spawn(path, [], { kernel, stdin: "terminal", stderr: "null" });
    await eventually("blocked", () =>
      system.processes().some((p) => p.pid === process.pid && p.state === "blocked"),
    );
    await system.terminal.type("x\n");
    const [event] = await within(5_000, "events", eventsOf(process.stdout));
    assert.deepEqual([event.userdata, event.error, event.type], [2n, 0, 1]);
    // The line is still there: take it away.
    const taker = assemble({
      code: "i32.const 0 i32.const 1024 i32.store i32.const 4 i32.const 9 i32.store i32.const 0 i32.const 0 i32.const 1 i32.const 8 call fd_read drop",
    });
    await (
      await system.spawn(started.install("taker", taker), [], {
        stdin: "terminal",
        stderr: "null",
        stdout: "null",
      })
    ).wait();
  }
});

test("more subscriptions than a thread can wait on at once still end", async () => {
  // Twenty pipes' worth of waits: the same descriptor twenty times counts once, so use many and a clock.
  const many = Array.from({ length: 40 }, (_, n) =>
    subscription(BigInt(n), { read: n % 2 === 0 ? 0 : 40 + n }),
  );
  const path = started.install(
    "many",
    poller([...many.filter((_, n) => n % 2 === 0), subscription(99n, { duration_ns: 50_000_000n })]),
  );
  const process = await system.spawn(path, [], { stderr: "null" });
  const events = await within(5_000, "events", eventsOf(process.stdout));
  assert.deepEqual(
    events.map(({ userdata }) => userdata),
    [99n],
  );
  const wrong = started.install("wrong", poller(many));
  const EBADF = 8;
  const failing = await system.spawn(wrong, [], { stderr: "null" });
  const errors = await within(5_000, "events", eventsOf(failing.stdout));
  assert.equal(errors.length, 20, "every descriptor that is not open is an event at once");
  assert.ok(errors.every(({ error }) => error === EBADF));
});

test("scripts sleep as long as they say, several of them at the same time", async () => {
  // Python's and Ruby's builds for WASI cannot wait for a clock and a file at once, but PHP's, Ruby's and
  // QuickJS's sleep.
  system.files.write(
    "/tmp/sleep.php",
    "<?php $a = microtime(true); usleep(250000); echo microtime(true) - $a;",
  );
  system.files.write(
    "/tmp/sleep.js",
    "const a = Date.now(); setTimeout(() => print((Date.now() - a) / 1000), 250);",
  );
  const ruby =
    "a = Process.clock_gettime(Process::CLOCK_MONOTONIC); sleep 0.25; print Process.clock_gettime(Process::CLOCK_MONOTONIC) - a";
  const runs: [string, string[]][] = [
    ["php", ["/tmp/sleep.php"]],
    ["qjs", ["/tmp/sleep.js"]],
    ["ruby", ["-e", ruby]],
  ];
  const results = await within(
    60_000,
    "scripts",
    Promise.all(
      [0, 1].flatMap((kernel) => runs.map(([program, args]) => system.run(program, args, { kernel }))),
    ),
  );
  for (const { stdout, stderr } of results) {
    const slept_s = Number(stdout);
    // QuickJS counts whole milliseconds of the time of day.
    assert.ok(slept_s >= 0.249 && slept_s < 20, `slept ${stdout} ${stderr}`);
  }
});

test("the tool sleep from npm sleeps", async () => {
  const from_ms = now_ms();
  const { exitCode, stderr } = await within(10_000, "sleep", system.run("sleep", ["0.2"]));
  assert.equal(exitCode, 0, stderr);
  assert.ok(now_ms() - from_ms >= 200);
});
