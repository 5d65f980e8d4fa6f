/** Kernels that die, stop or are busy while a process is on its way to them or from them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Archipelago, type Process, SystemError } from "../../src/index.ts";
import { copy, sleep, spin } from "./support/programs.ts";
import {
  bootOnMachine,
  eventually,
  firstOutput,
  killCore,
  notOnHost,
  pause,
  textOf,
  within,
} from "./support/system.ts";

/** A simulated core loads a program in no time: it is never seen busy. */
const neverBusy = notOnHost;
const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;

async function bootThree(): Promise<Archipelago> {
  const system = await bootOnMachine({
    cores: 3,
    cacheDirectory: false,
    rootSize_bytes: 64 * 2 ** 20,
    log: () => undefined,
  });
  for (const [name, bytes] of Object.entries({ spin, copy, long: sleep(3_600_000_000_000n) }))
    system.files.write(`/tmp/${name}.wasm`, bytes, 0o755);
  return system;
}

/** Has a kernel do something that takes it long, in which it answers nothing: it loads a large program. */
async function keepBusy(system: Archipelago, kernel: number): Promise<Process> {
  const process = await system.spawn("python3", ["-c", "pass"], { kernel, ...quiet });
  const { services } = system as unknown as {
    services: { areas: { cores: { deaf(core: number): number } } };
  };
  await eventually("the kernel is busy", () => services.areas.cores.deaf(kernel) === 1);
  return process;
}

async function refused(promise: Promise<void>, code: string): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof SystemError && error.code === code);
}

test("the target dies before it has the process: the process goes on at the source", {
  skip: neverBusy,
}, async () => {
  await using system = await bootThree();
  const waiting = await system.spawn("/tmp/copy.wasm", [], { kernel: 0, stderr: "null" });
  const spinning = await system.spawn("/tmp/spin.wasm", [], { kernel: 0, stdin: "null", stderr: "null" });
  await firstOutput(spinning);
  await keepBusy(system, 1);
  const moves = [waiting, spinning].map((process) => refused(process.migrate(1), "ENOLINK"));
  await pause(20);
  await killCore(system, 1);
  await within(5_000, "both refused", Promise.all(moves));
  assert.equal(waiting.kernel, 0);
  assert.equal(spinning.kernel, 0);
  const before_ns = cpuTime_ns(system, spinning);
  await eventually("it runs on", () => cpuTime_ns(system, spinning) > before_ns + 10e6);
  const writer = waiting.stdin?.getWriter();
  await writer?.write(new TextEncoder().encode("not lost"));
  await spinning.migrate(2);
  await waiting.migrate(2);
  await writer?.close();
  assert.equal(await textOf(waiting.stdout), "not lost");
  assert.equal((await waiting.wait()).exitCode, 0);
  spinning.kill();
  assert.equal((await spinning.wait()).signal, 9);
  assert.deepEqual(system.processes(), []);
});

function cpuTime_ns(system: Archipelago, { pid }: Process): number {
  return system.processes().find((process) => process.pid === pid)?.cpuTime_ns ?? 0;
}

test("the source dies while it offers a process: the process ends, and does not run at the target", {
  skip: neverBusy,
}, async () => {
  await using system = await bootThree();
  const process = await system.spawn("/tmp/spin.wasm", [], { kernel: 1, stdin: "null", stderr: "null" });
  await firstOutput(process);
  const busy = await keepBusy(system, 2);
  const move = refused(process.migrate(2), "ESRCH");
  await pause(20);
  await killCore(system, 1);
  const status = await within(5_000, "end", process.wait());
  assert.match(status.message, /kernel on core 1 died/);
  await move;
  busy.kill();
  await within(30_000, "the target is ready again", busy.wait());
  assert.deepEqual(system.processes(), []);
  await eventually("nothing is counted any more", () => system.kernels()[2].processes === 0);
});

test("a kill while the process is between kernels ends it", { skip: neverBusy }, async () => {
  await using system = await bootThree();
  const process = await system.spawn("/tmp/long.wasm", [], { kernel: 0, ...quiet });
  await eventually("it sleeps", () => system.processes()[0].state === "blocked");
  const busy = await keepBusy(system, 1);
  const move = process.migrate(1).catch((error: unknown) => error);
  await pause(20);
  process.kill(9);
  // It does not have to wait for the kernel that is busy.
  assert.equal((await within(300, "end", process.wait())).signal, 9);
  await move;
  busy.kill();
  await busy.wait();
  assert.deepEqual(system.processes(), []);
});

test("a kernel stops under running programs: they move to others", async () => {
  await using system = await bootThree();
  const processes = await Promise.all(
    ["spin", "copy", "long", "spin", "copy"].map((name) =>
      system.spawn(`/tmp/${name}.wasm`, [], { kernel: 2, stderr: "null" }),
    ),
  );
  await system.stopKernel(2, { processes: "move" });
  assert.equal(system.kernels()[2].state, "stopped");
  assert.equal(system.kernels()[2].processes, 0);
  for (const process of processes) assert.ok(process.kernel === 0 || process.kernel === 1);
  await refused(processes[0].migrate(2), "ENODEV");
  await system.bootKernel(2);
  await processes[0].migrate(2);
  const writer = processes[1].stdin?.getWriter();
  await writer?.write(new TextEncoder().encode("hello"));
  await writer?.close();
  assert.equal(await textOf(processes[1].stdout), "hello");
  for (const process of processes) process.kill();
  await Promise.all(processes.map((process) => process.wait()));
  assert.deepEqual(system.processes(), []);
});

test("kernels stop and boot while processes are moved to them all the time: none is lost", async () => {
  await using system = await bootThree();
  const processes = await Promise.all(
    Array.from({ length: 6 }, (_, n) =>
      system.spawn(n % 2 === 0 ? "/tmp/spin.wasm" : "/tmp/long.wasm", [], { kernel: n % 2, ...quiet }),
    ),
  );
  let done = false;
  const moving = processes.map(async (process, n) => {
    for (let step = n; !done; step++) {
      try {
        await process.migrate(step % 3);
      } catch (error) {
        // Kernel 2 is stopping, or off.
        assert.ok(error instanceof SystemError && /^E(NODEV|NOLINK)$/.test(error.code), String(error));
        await pause(1);
      }
    }
  });
  for (let round = 0; round < 5; round++) {
    await pause(20);
    await system.stopKernel(2, { processes: "move" });
    await system.bootKernel(2);
  }
  done = true;
  await within(10_000, "moves end", Promise.all(moving));
  assert.equal(system.processes().length, processes.length);
  for (const process of processes) {
    process.kill();
    await within(3_000, `end of ${process.pid}`, process.wait());
  }
  assert.deepEqual(system.processes(), []);
});

test("a kernel dies at some moment while processes are moved: each is somewhere, or has ended with the kernel", async () => {
  for (let round = 0; round < 4; round++) {
    await using system = await bootThree();
    const processes = await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        system.spawn(n % 2 === 0 ? "/tmp/spin.wasm" : "/tmp/long.wasm", [], { kernel: n % 3, ...quiet }),
      ),
    );
    const moving = processes.map(async (process, n) => {
      // Until its end, or the other kernel's.
      for (let step = n, gone = false; !gone; step++) {
        await process.migrate(step % 3).catch(() => {
          gone = true;
        });
      }
    });
    await pause(30 + round * 7);
    await killCore(system, 1);
    await within(5_000, "all moves have failed", Promise.all(moving));
    for (const process of processes) {
      process.kill();
      const status = await within(5_000, `end of ${process.pid}`, process.wait());
      assert.equal(status.signal, 9, status.message);
    }
    assert.deepEqual(system.processes(), []);
    // A source counts a process until it has heard that the target has it.
    const empty = (kernel: number) => system.kernels()[kernel].processes === 0;
    await eventually("nothing is counted any more", () => empty(0) && empty(2));
  }
});
