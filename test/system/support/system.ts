/** What tests of the whole system share: booting one that must not complain, and looking for leaks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import {
  type Archipelago,
  type BootOptions,
  boot,
  type Process,
  type SystemUsage,
} from "../../../src/index.ts";
import { customProfile, type MachineProfile } from "../../../src/machine/profiles/index.ts";
import type { SimMachine } from "../../../src/machine/sim/sim-machine.ts";
import { simulatedOrigin_ns } from "../../../src/system/simulated.ts";

/** Room for the files of tests; small, so that counting and checking it is quick. */
const root_bytes = 64 * 1024 * 1024;

export interface TestSystem extends AsyncDisposable {
  readonly system: Archipelago;
  /** Lines that kernels wrote for the operator. A test that expects some empties it. */
  readonly log: string[];
  /** Puts bytes into the system as an executable file and gives its path. */
  install(name: string, bytes: Uint8Array): string;
}

/** Instrumented programs, kept while this test process lives: systems and kernels share them. */
const cacheDirectory = temporaryDirectory();

/** Machines for tests alone: their cores are slow, so that a program that computes for a second is soon done with it. */
const testMachines: Readonly<Record<string, MachineProfile>> = {
  "board-4": customProfile({ name: "board-4", islands: [["strong", "strong", "strong", "strong"]] }),
  "board-2+2": customProfile({
    name: "board-2+2",
    islands: [
      ["strong", "strong"],
      ["weak", "weak"],
    ],
  }),
};

/** The same tests on another machine: `ARCHIPELAGO_MACHINE=board-4`, or the name of any machine profile. */
const machineName = process.env.ARCHIPELAGO_MACHINE ?? "host";
const machine = testMachines[machineName] ?? machineName;
const onHost = machineName === "host";

/** A reason to skip a test that is about the computer it runs on, or false when systems run directly on that. */
export const notOnHost: string | false = onHost
  ? false
  : `about this computer; the systems of this run are on ${machineName}`;

/** Systems that run, the latest last: the tests' time is theirs. */
const running: Archipelago[] = [];

/** Boots a system on two cores of the machine that the tests are for. */
export async function bootOnMachine(options: BootOptions = {}): Promise<Archipelago> {
  const system = await boot({ cores: 2, machine, ...options });
  const shutdown = system.shutdown.bind(system);
  running.push(system);
  system.shutdown = () => {
    const index = running.indexOf(system);
    if (index >= 0) running.splice(index, 1);
    return shutdown();
  };
  return system;
}

/**
 * Boots a system on two cores. When it is disposed of it is shut down, and the test fails if a kernel had
 * something to complain about.
 */
export async function bootForTest(options: BootOptions = {}): Promise<TestSystem> {
  const log: string[] = [];
  const system = await bootOnMachine({
    cacheDirectory,
    ...(options.root === undefined ? { rootSize_bytes: root_bytes } : {}),
    log: (line) => log.push(line),
    ...options,
  });
  return {
    system,
    log,
    install(name, bytes) {
      const path = `/tmp/${name}.wasm`;
      system.files.write(path, bytes, 0o755);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      assert.deepEqual(log, [], "kernels complained to the operator");
    },
  };
}

/** Has a core crash in the middle of whatever it does. Resolves when the system knows. */
export async function killCore(system: Archipelago, core: number): Promise<void> {
  const { machine } = system as unknown as { machine: SimMachine | HostThreads };
  if ("crash" in machine) machine.crash(core);
  else {
    const worker = [...machine.workers].find((one) => one.threadName === `core ${core}`);
    assert.ok(worker, `core ${core} has a thread`);
    await worker.terminate();
  }
  const kernel = system.kernels().findIndex(({ cores }) => cores.includes(core));
  await eventually("the kernel is dead", () => system.kernels()[kernel].state === "dead");
}

/** What of the host machine `killCore` uses. */
interface HostThreads {
  readonly workers: ReadonlySet<Worker & { threadName?: string }>;
}

/** Boots a kernel whose core has crashed; for a moment the machine may not be ready for that. */
export async function bootAgain(system: Archipelago, kernel: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await system.bootKernel(kernel);
      return;
    } catch (error) {
      if (attempt === 200) throw error;
      await pause(25);
    }
  }
}

/** A directory on the host that is removed when the test process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "system-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A simulated core is slower than a real one. */
const patience = onHost ? 1 : 10;

/** Rejects with `what` if a promise takes longer than `limit_ms`: of real time, for what should not take any. */
export async function within<T>(limit_ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    const expire = () => reject(new Error(`${what}: not within ${limit_ms * patience} ms`));
    timer = setTimeout(expire, limit_ms * patience);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds by the clock of the latest system that runs, from some moment on. */
export function now_ms(): number {
  const latest = running.at(-1);
  return latest === undefined ? performance.now() : latest.time_ns() / 1e6;
}

/** The time on the wall as the systems of this run have it, in milliseconds since 1970. */
export function wallTime_ms(): number {
  return onHost ? Date.now() : simulatedOrigin_ns / 1e6 + now_ms();
}

/** Waits, in the time of the systems that run. */
export async function pause(duration_ms: number): Promise<void> {
  if (running.length === 0) await new Promise((resolve) => setTimeout(resolve, duration_ms));
  else await Promise.all(running.map((system) => system.delay(duration_ms)));
}

/** Looks until a condition holds. */
export async function eventually(what: string, condition: () => boolean, limit_ms = 10_000): Promise<void> {
  const deadline_ms = now_ms() + limit_ms;
  while (!condition()) {
    if (now_ms() > deadline_ms) throw new Error(`${what}: not within ${limit_ms} ms`);
    await pause(2);
  }
}

/**
 * Fails unless as much is in use as before. Ends of processes are seen by their waiters a moment before the
 * last of what they had is given back, so it looks for a while.
 */
export async function assertSameUsage(system: Archipelago, before: SystemUsage, what: string): Promise<void> {
  const deadline_ms = now_ms() + 2_000;
  let now = system.usage();
  while (JSON.stringify(now) !== JSON.stringify(before) && now_ms() < deadline_ms) {
    await pause(5);
    now = system.usage();
  }
  assert.deepEqual(now, before, `${what}: something leaked`);
}

/** The first bytes that a process writes, as text. */
export async function firstOutput(process: Process): Promise<string> {
  assert.ok(process.stdout !== null);
  const reader = process.stdout.getReader();
  try {
    const { value } = await within(10_000, "first output", reader.read());
    return new TextDecoder().decode(value);
  } finally {
    reader.releaseLock();
  }
}

/** Everything a stream gives, as text. */
export async function textOf(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  assert.ok(stream !== null);
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

const searchPath = `${process.env.PATH}:/usr/sbin:/sbin`;

export function run(program: string, args: readonly string[]): { status: number | null; output: string } {
  const result = spawnSync(program, args, { encoding: "utf8", env: { ...process.env, PATH: searchPath } });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** A reason to skip tests that need e2fsprogs, or false. */
export const noE2fsprogs: string | false =
  spawnSync("e2fsck", ["-V"], { env: { ...process.env, PATH: searchPath } }).error === undefined
    ? false
    : "needs e2fsck and mke2fs: install the package e2fsprogs";

/** Fails unless e2fsck finds nothing wrong with the system's root file system as it is now. */
export function assertRootClean(system: Archipelago, what: string): void {
  if (noE2fsprogs) return;
  const image = join(temporaryDirectory(), "root.img");
  system.saveRoot(image);
  const { status, output } = run("e2fsck", ["-fn", image]);
  rmSync(image);
  assert.equal(status, 0, `e2fsck ${what}: ${output}`);
}
