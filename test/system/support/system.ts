/** What tests of the whole system share: booting one that must not complain, and looking for leaks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Archipelago,
  type BootOptions,
  boot,
  type Process,
  type SystemUsage,
} from "../../../src/index.ts";

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

/**
 * Boots a system on two cores. When it is disposed of it is shut down, and the test fails if a kernel had
 * something to complain about.
 */
export async function bootForTest(options: BootOptions = {}): Promise<TestSystem> {
  const log: string[] = [];
  const system = await boot({
    cores: 2,
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

/** A directory on the host that is removed when the test process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "system-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Rejects with `what` if a promise takes longer than `limit_ms`. */
export async function within<T>(limit_ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${limit_ms} ms`)), limit_ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

export function pause(duration_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration_ms));
}

/** Looks until a condition holds. */
export async function eventually(what: string, condition: () => boolean, limit_ms = 10_000): Promise<void> {
  const deadline_ms = performance.now() + limit_ms;
  while (!condition()) {
    if (performance.now() > deadline_ms) throw new Error(`${what}: not within ${limit_ms} ms`);
    await pause(2);
  }
}

/**
 * Fails unless as much is in use as before. Ends of processes are seen by their waiters a moment before the
 * last of what they had is given back, so it looks for a while.
 */
export async function assertSameUsage(system: Archipelago, before: SystemUsage, what: string): Promise<void> {
  const deadline_ms = performance.now() + 2_000;
  let now = system.usage();
  while (JSON.stringify(now) !== JSON.stringify(before) && performance.now() < deadline_ms) {
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
