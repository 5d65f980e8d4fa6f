/** Moving processes between kernels while they run. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Process, SystemError } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { compileC, noCompiler } from "./support/c-program.ts";
import { copy, sleep, spin } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  firstOutput,
  now_ms,
  pause,
  type TestSystem,
  textOf,
  within,
} from "./support/system.ts";

const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
const migrations = 1_000;
let started: TestSystem;

before(async () => {
  started = await bootForTest();
  for (const [name, bytes] of Object.entries({
    spin,
    copy,
    sleep: sleep(200_000_000n),
    long: sleep(3_600_000_000_000n),
  })) {
    started.install(name, bytes);
  }
  // Each kernel keeps its root directory open from the first program on.
  for (const kernel of [0, 1]) await started.system.run("/tmp/copy.wasm", [], { kernel });
});
after(() => started[Symbol.asyncDispose]());

function statusOf({ pid }: Process) {
  return started.system.processes().find((process) => process.pid === pid);
}

/** Starts a program on kernel 0, moves it to kernel 1 when it is in a state, and gives it. */
async function startAndMove(path: string, state: string, options = {}): Promise<Process> {
  const process = await started.system.spawn(path, [], { kernel: 0, stderr: "null", ...options });
  await eventually(`${path} is ${state}`, () => statusOf(process)?.state === state);
  await within(3_000, "move", process.migrate(1));
  assert.equal(process.kernel, 1);
  return process;
}

test("a process that counts primes between two pipes is moved a thousand times: nothing is lost or doubled", async () => {
  const { system } = started;
  const program = `
import sys
for line in sys.stdin:
    low, high = map(int, line.split())
    found = 0
    for n in range(low, high):
        if n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1)):
            found += 1
    sys.stdout.write("%d %d %d\\n" % (low, high, found))
    sys.stdout.flush()
print("end")
`;
  const process = await system.spawn("python3", ["-c", program], { kernel: 0 });
  const { stdin, stdout } = process;
  assert.ok(stdin !== null && stdout !== null);
  const { pid } = process;
  let moving = true;
  let batches = 0;
  const feeding = (async () => {
    const writer = stdin.getWriter();
    for (; moving; batches++) {
      const low = (batches % 50) * 100;
      await writer.write(new TextEncoder().encode(`${low} ${low + 100}\n`));
    }
    await writer.close();
  })();
  const output = textOf(stdout);
  for (let n = 0; n < migrations; n++) {
    await within(10_000, `move ${n}`, process.migrate((n + 1) % 2));
    assert.equal(process.kernel, (n + 1) % 2);
    assert.equal(process.pid, pid);
  }
  moving = false;
  await feeding;
  const status = await within(20_000, "end", process.wait());
  assert.deepEqual(status, { exitCode: 0, signal: 0, message: "" });
  const expected = Array.from({ length: batches }, (_, batch) => {
    const low = (batch % 50) * 100;
    return `${low} ${low + 100} ${primesIn(low, low + 100)}\n`;
  });
  assert.equal(await output, `${expected.join("")}end\n`);
});

function primesIn(low: number, high: number): number {
  let found = 0;
  for (let n = Math.max(low, 2); n < high; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) found++;
  }
  return found;
}

test("a process that waits for a pipe is moved, and the other end notices nothing", async () => {
  const process = await startAndMove("/tmp/copy.wasm", "blocked");
  const { stdin, stdout } = process;
  assert.ok(stdin !== null && stdout !== null);
  const writer = stdin.getWriter();
  await writer.write(new TextEncoder().encode("one "));
  await eventually("it waits again", () => statusOf(process)?.state === "blocked");
  await process.migrate(0);
  await writer.write(new TextEncoder().encode("two"));
  await writer.close();
  assert.equal(await textOf(stdout), "one two");
  assert.equal((await process.wait()).exitCode, 0);
});

test("a sleep is not prolonged by being moved", async () => {
  const from_ms = now_ms();
  const process = await startAndMove("/tmp/sleep.wasm", "blocked", quiet);
  for (let n = 0; n < 20; n++) {
    await process.migrate(n % 2);
    await pause(5);
  }
  assert.equal((await within(3_000, "end", process.wait())).exitCode, 0);
  const took_ms = now_ms() - from_ms;
  assert.ok(took_ms >= 199, `it slept ${took_ms} ms of 200`);
  assert.ok(took_ms < 1_000, `it slept ${took_ms} ms instead of 200`);
});

test("a process in a busy loop, one that is ready, and one that writes can be moved", async () => {
  const spinning = await startAndMove("/tmp/spin.wasm", "running", { stdin: "null" });
  const second = await started.system.spawn("/tmp/spin.wasm", [], { kernel: 1, stdin: "null" });
  const third = await started.system.spawn("/tmp/spin.wasm", [], { kernel: 1, stdin: "null" });
  for (const process of [spinning, second, third]) {
    await firstOutput(process);
    await within(3_000, "move", process.migrate(0));
    assert.equal(process.kernel, 0);
    await within(3_000, "move back", process.migrate(1));
    assert.equal(process.kernel, 1);
  }
  for (const process of [spinning, second, third]) {
    process.kill(15);
    assert.equal((await within(3_000, "end", process.wait())).signal, 15);
  }
});

test("a pipeline is moved stage by stage while bytes flow, and no byte is lost", async () => {
  const { system } = started;
  const total_bytes = 32 * 1024 * 1024;
  const first = system.pipe();
  const sender = await system.spawn("/tmp/copy.wasm", [], { kernel: 0, stdout: first.write, stderr: "null" });
  const receiver = await system.spawn("/tmp/copy.wasm", [], { kernel: 1, stdin: first.read, stderr: "null" });
  assert.ok(sender.stdin !== null && receiver.stdout !== null);
  const bytes = new Uint8Array(total_bytes).map((_, at) => (at * 7 + (at >> 11)) & 0xff);
  const writer = sender.stdin.getWriter();
  const writing = writer.write(bytes).then(() => writer.close());
  const chunks: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of receiver.stdout ?? []) chunks.push(chunk.slice());
  })();
  let moves = 0;
  let flowing = true;
  const moving = (async () => {
    for (; flowing; moves++) {
      try {
        await (moves % 2 === 0 ? sender : receiver).migrate((moves >> 1) % 2);
      } catch (error) {
        // It has ended.
        assert.ok(error instanceof SystemError && error.code === "ESRCH", String(error));
      }
      await pause(1);
    }
  })();
  await within(20_000, "all bytes", Promise.all([writing, reading]));
  flowing = false;
  await moving;
  assert.deepEqual(Buffer.concat(chunks).equals(Buffer.from(bytes)), true, "the bytes are others");
  assert.ok(moves > 10, `moved ${moves} times only`);
});

test("a moved process can be killed, wherever it is and in the middle of a move", async () => {
  const { system } = started;
  // What other tests started ends on its own, but not at once.
  await eventually("the processes of earlier tests have ended", () => system.processes().length === 0);
  const before = system.usage();
  for (let n = 0; n < 40; n++) {
    const path = n % 2 === 0 ? "/tmp/spin.wasm" : "/tmp/long.wasm";
    const process = await system.spawn(path, [], { kernel: n % 2, ...quiet });
    if (n % 3 === 0) await process.migrate(1 - (n % 2));
    const moved = process.migrate(n % 2 === 0 ? 1 : 0).catch((error: unknown) => error);
    if (n % 4 >= 2) await pause(n % 5);
    process.kill(9);
    assert.equal((await within(3_000, `end of ${n}`, process.wait())).signal, 9);
    const outcome = await within(3_000, `answer to the move of ${n}`, moved);
    if (outcome !== undefined)
      assert.ok(outcome instanceof SystemError && outcome.code === "ESRCH", String(outcome));
  }
  await assertSameUsage(system, before, "killing while moving");
});

test("several moves of one process at once are all answered", async () => {
  const process = await started.system.spawn("/tmp/spin.wasm", [], { kernel: 0, ...quiet });
  const wanted = Array.from({ length: 20 }, (_, n) => process.migrate(n % 2));
  await within(5_000, "all answers", Promise.all(wanted));
  process.kill();
  await process.wait();
});

test("what cannot be done is refused with a reason, and the process goes on", async () => {
  const { system } = started;
  const process = await system.spawn("/tmp/copy.wasm", [], { kernel: 0, stderr: "null" });
  const fails = (promise: Promise<void>, code: string, message: RegExp) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof SystemError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  await fails(process.migrate(7), "ENODEV", /kernel 7: that kernel does not run/);
  await fails(process.migrate(-1), "ENODEV", /does not run/);
  await fails(process.migrate(0.5), "ENODEV", /does not run/);
  await fails(system.migrate(4_000_000, 1), "ESRCH", /no such process/);
  await process.migrate(0);
  assert.ok(process.stdin !== null);
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode("still here"));
  await writer.close();
  assert.equal(await textOf(process.stdout), "still here");
  await process.wait();
  await fails(process.migrate(1), "ESRCH", /ended/);
});

test("a process moves itself with proc_migrate", async () => {
  const code = `
    block loop
      local.get 0 i32.const 20 i32.ge_u br_if 1
      local.get 0 i32.const 1 i32.and i32.const 1 i32.xor call archipelago_1.proc_migrate
      if call proc_exit_code end
      local.get 0 i32.const 1 i32.add local.set 0
      br 0
    end end
    i32.const 5 call archipelago_1.proc_migrate call proc_exit
  `.replaceAll("call proc_exit_code", "i32.const 99 call proc_exit");
  const path = started.install("wanderer", assemble({ code, locals: "i" }));
  const process = await started.system.spawn(path, [], { kernel: 0, ...quiet });
  const status = await within(5_000, "end", process.wait());
  // No kernel 5: ENODEV.
  assert.equal(status.exitCode, 43);
});

test("/proc and ps show the kernel, and whether a process can be moved", async () => {
  const process = await startAndMove("/tmp/long.wasm", "blocked", quiet);
  const status = new TextDecoder().decode(started.system.files.read(`/proc/${process.pid}/status`));
  assert.match(status, /^Kernel:\t1$/m);
  assert.match(status, /^Migratable:\tyes$/m);
  assert.equal(statusOf(process)?.kernel, 1);
  assert.equal(statusOf(process)?.migratable, true);
  assert.equal(statusOf(process)?.obstacle, "");
  process.kill();
  await process.wait();
});

test("many processes of one program are moved, and each keeps what is its own", async () => {
  const processes = await Promise.all(
    Array.from({ length: 8 }, () =>
      started.system.spawn("/tmp/copy.wasm", [], { kernel: 0, stderr: "null" }),
    ),
  );
  await Promise.all(processes.map((process, n) => process.migrate(n % 2)));
  const outputs = await Promise.all(
    processes.map(async (process, n) => {
      const writer = process.stdin?.getWriter();
      await writer?.write(new TextEncoder().encode(`I am ${n}`));
      await process.migrate((n + 1) % 2);
      await writer?.close();
      return textOf(process.stdout);
    }),
  );
  assert.deepEqual(
    outputs,
    processes.map((_, n) => `I am ${n}`),
  );
  await Promise.all(processes.map((process) => process.wait()));
});

const wanderers = compileC("wanderers");

test("a program that moves itself finds its stack, files, memory, sleeps and children as they were", {
  skip: wanderers === undefined ? noCompiler : false,
}, async () => {
  const path = started.install("wanderers", wanderers ?? new Uint8Array());
  const { system } = started;
  const before = system.usage();
  const options = { environment: { COLOUR: "blue" }, workingDirectory: "/tmp" };
  const ended = await within(20_000, "end", system.run(path, ["argument", "two words"], options));
  assert.equal(ended.stderr, "");
  assert.equal(ended.exitCode, 0, ended.message);
  assert.match(ended.stdout, /^\d+ moves\n$/);
  await assertSameUsage(system, before, "moving");
});

test("a process that replaces its program again and again is moved meanwhile", {
  skip: wanderers === undefined ? noCompiler : false,
}, async () => {
  const path = started.install("wanderers", wanderers ?? new Uint8Array());
  const process = await started.system.spawn(path, ["again", "60"], { kernel: 0, workingDirectory: "/tmp" });
  const output = textOf(process.stdout);
  const { pid } = process;
  let moves = 0;
  try {
    for (; ; moves++) await process.migrate((moves + 1) % 2);
  } catch (error) {
    assert.ok(error instanceof SystemError && error.code === "ESRCH", String(error));
  }
  assert.deepEqual(await process.wait(), { exitCode: 0, signal: 0, message: "" });
  assert.equal(await output, "no more\n");
  assert.equal(process.pid, pid);
  assert.ok(moves > 5, `moved ${moves} times only`);
});

/** A program with a mutable global that is a reference, which cannot be captured, and that does what another one does. */
function unmovable(program: Uint8Array): Uint8Array {
  const exports = 7;
  let at = 8;
  // Each section has an id, a size in LEB128, and as many bytes.
  while (program[at] !== exports) {
    let size = 0;
    let bits = 0;
    do {
      at++;
      size |= (program[at] & 0x7f) << bits;
      bits += 7;
    } while (program[at] >= 0x80);
    at += 1 + size;
  }
  // One global: externref, mutable, null.
  const globals = [6, 6, 1, 0x6f, 1, 0xd0, 0x6f, 0x0b];
  return Uint8Array.from([...program.subarray(0, at), ...globals, ...program.subarray(at)]);
}

test("a program that cannot be captured runs, is marked, and stays where it is", async () => {
  const { system } = started;
  const path = started.install("unmovable", unmovable(copy));
  const process = await system.spawn(path, [], { kernel: 0, stderr: "null" });
  const refused = (error: unknown) => {
    assert.ok(error instanceof SystemError);
    assert.equal(error.code, "ENOTSUP");
    assert.match(error.message, /cannot be captured: .*reference/);
    return true;
  };
  // Perhaps before it is loaded, and afterwards.
  await assert.rejects(process.migrate(1), refused);
  await assert.rejects(process.migrate(1), refused);
  assert.equal(statusOf(process)?.migratable, false);
  assert.match(statusOf(process)?.obstacle ?? "", /reference/);
  const status = new TextDecoder().decode(system.files.read(`/proc/${process.pid}/status`));
  assert.match(status, /^Migratable:\tno \(.*reference.*\)$/m);
  const writer = process.stdin?.getWriter();
  await writer?.write(new TextEncoder().encode("runs"));
  await writer?.close();
  assert.equal(await textOf(process.stdout), "runs");
  assert.equal((await process.wait()).exitCode, 0);
});

test("a process that waits for the terminal is moved, and hears what is typed", async () => {
  const { system } = started;
  const options = { kernel: 0, stdin: "terminal", stderr: "null" } as const;
  const process = await system.spawn("head", ["-n", "2"], options);
  await eventually("it waits", () => statusOf(process)?.state === "blocked");
  await process.migrate(1);
  await eventually("it waits again", () => statusOf(process)?.state === "blocked");
  await system.terminal.type("first line\n");
  await process.migrate(0);
  await system.terminal.type("second line\n");
  assert.equal(await textOf(process.stdout), "first line\nsecond line\n");
  assert.equal((await process.wait()).exitCode, 0);
});

test("a program that faults after a move ends as it would have", async () => {
  const code = `
    i32.const 1 call archipelago_1.proc_migrate drop
    i32.const 1 i32.const 0 i32.div_s drop`;
  const path = started.install("faulty", assemble({ code }));
  const process = await started.system.spawn(path, [], { kernel: 0, ...quiet });
  const status = await process.wait();
  assert.equal(status.signal, 8);
  assert.match(status.message, /SIGFPE/);
});

test("a move is asked for while the program is being loaded, and done when it runs", async () => {
  const { system } = started;
  const process = await system.spawn("python3", ["-c", "print(6 * 7)"], { kernel: 0, stderr: "null" });
  await within(20_000, "move", process.migrate(1));
  assert.equal(process.kernel, 1);
  assert.equal(await textOf(process.stdout), "42\n");
  assert.equal((await process.wait()).exitCode, 0);
});
