/** Fork, join and exec: a C program that tests itself (`test/wasi/programs/forks.c`), and what the system sees of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Process } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { compileC, noCompiler } from "./support/c-program.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  pause,
  type TestSystem,
  textOf,
  within,
} from "./support/system.ts";

const binary = compileC("forks");
const options = { skip: binary === undefined ? noCompiler : false };
const path = "/tmp/forks.wasm";
const limit_ms = 20_000;
let started: TestSystem;

before(async () => {
  started = await bootForTest();
  if (binary !== undefined) started.install("forks", binary);
  // Each kernel keeps its root directory open from the first program on.
  for (const kernel of [0, 1]) await started.system.run("echo", [], { kernel });
});
after(() => started[Symbol.asyncDispose]());

async function run(args: string[], kernel: number, exitCode = 0): Promise<string> {
  const running = started.system.run(path, args, { kernel, environment: { COLOUR: "blue" } });
  const ended = await within(limit_ms, args.join(" "), running);
  assert.equal(ended.stderr, "");
  assert.equal(ended.exitCode, exitCode, ended.message);
  return ended.stdout;
}

interface Family {
  readonly parent: Process;
  readonly child: number;
  /** Gives the child its input. To be called once. */
  put(text: string): Promise<void>;
}

/** Starts the program that has one child, which waits for input; gives the pids. */
async function family(kernel: number, ...args: string[]): Promise<Family> {
  const input = started.system.pipe();
  const parent = await started.system.spawn(path, ["family", ...args], {
    kernel,
    stdin: input.read,
    stdout: "null",
    stderr: "null",
  });
  await eventually("child", () => childOf(parent) !== undefined);
  const child = childOf(parent);
  assert.ok(child !== undefined);
  await eventually("child waits", () => statusOf(child)?.state === "blocked");
  const put = async (text: string) => {
    const stderr = "null";
    await (await started.system.spawn("echo", [text], { stdout: input.write, stderr, stdin: "null" })).wait();
  };
  return { parent, child, put };
}

function childOf({ pid }: Process): number | undefined {
  return started.system.processes().find((process) => process.parent === pid)?.pid;
}

function statusOf(pid: number) {
  return started.system.processes().find((process) => process.pid === pid);
}

/** Adds a global variable that holds a reference, which is nothing that could be saved, behind the memory section. */
function withReference(module: Uint8Array): Uint8Array {
  const memorySection = 5;
  let at = 8;
  // Sections of small modules have lengths of one byte.
  while (module[at] !== memorySection) at += 2 + module[at + 1];
  at += 2 + module[at + 1];
  const globals = [6, 6, 1, 0x6f, 1, 0xd0, 0x6f, 0x0b];
  return Uint8Array.from([...module.subarray(0, at), ...globals, ...module.subarray(at)]);
}

const subjects: Readonly<Record<string, string>> = {
  memory: "child and parent have the same memory, and then each its own",
  codes: "exit codes and signals of children; wrong arguments",
  joins: "waiting for any child, for a certain one, without blocking",
  recursion: "a fork deep down in calls returns through all of them, twice",
  files: "open files are shared with their position",
  pipes: "a pipe between parent and child",
  pipeline: "programs of the catalogue, connected as a shell does it",
  execs: "fork and exec: pid, descriptors and environment are kept",
  lending: "without a copy, the child runs in its parent's memory and the parent waits",
  apart: "parents and children on different kernels",
};

for (const [name, what] of Object.entries(subjects)) {
  test(what, options, async () => {
    const before = started.system.usage();
    for (const kernel of [0, 1]) assert.equal(await run([name], kernel), "");
    await assertSameUsage(started.system, before, name);
  });
}

test("children are killed in a loop, in a call and before they run; an orphan goes on", options, async () => {
  const before = started.system.usage();
  for (const kernel of [0, 1]) {
    await run(["kills"], kernel);
    await eventually("the orphan has ended", () => started.system.processes().length === 0);
    assert.equal(started.system.files.readText("/tmp/orphan"), "alive");
    started.system.files.remove("/tmp/orphan");
  }
  await assertSameUsage(started.system, before, "kills");
});

test(
  "forking until the process table is full fails cleanly, and works again afterwards",
  options,
  async () => {
    const before = started.system.usage();
    const output = await run(["bomb"], 1);
    assert.equal(Number(output), 1022, "every slot but the parent's");
    await assertSameUsage(started.system, before, "bomb");
  },
);

test("a line of processes, each waiting for the next", options, async () => {
  const before = started.system.usage();
  await run(["chain", "100"], 0, 101);
  await assertSameUsage(started.system, before, "chain");
});

test("a thousand forks leak nothing", options, async () => {
  const { system } = started;
  await run(["repeated", "10"], 0);
  const before = system.usage();
  await run(["repeated", "1000"], 0);
  await assertSameUsage(system, before, "forks");
  assert.deepEqual(system.processes(), []);
});

test("a process is moved again and again while it forks and joins", options, async () => {
  const { system } = started;
  const before = system.usage();
  const process = await system.spawn(path, ["repeated", "1000"], { kernel: 0 });
  let ended = false;
  const end = process.wait().then((status) => {
    ended = true;
    return status;
  });
  let moves = 0;
  for (; !ended; moves++) await process.migrate((moves + 1) % 2).catch(() => pause(1));
  assert.equal(await textOf(process.stderr), "");
  assert.equal((await end).exitCode, 0);
  assert.ok(moves > 10, `${moves} moves`);
  await assertSameUsage(system, before, "moves");
});

test("parent and child are moved while the one waits for the other", options, async () => {
  for (const args of [[], ["lend"]]) {
    const { parent, child, put } = await family(0, ...args);
    await started.system.migrate(child, 1);
    await started.system.migrate(parent.pid, 1);
    await started.system.migrate(child, 0);
    assert.deepEqual([statusOf(child)?.kernel, statusOf(parent.pid)?.kernel], [0, 1]);
    await put("7");
    assert.equal((await within(limit_ms, "end", parent.wait())).exitCode, 17);
  }
});

test(
  "a parent that is killed leaves its child to the console, which nobody has to collect",
  options,
  async () => {
    const { system } = started;
    const before = system.usage();
    for (const args of [[], ["lend"]]) {
      const { parent, child, put } = await family(1, ...args);
      parent.kill();
      assert.equal((await parent.wait()).signal, 9);
      assert.equal(statusOf(child)?.parent, 0);
      await put("1");
      await eventually("the child has ended", () => system.processes().length === 0);
    }
    await assertSameUsage(system, before, "orphans");
  },
);

test("a child that is killed while it runs in its parent's memory frees the parent", options, async () => {
  const { parent, child, put } = await family(0, "lend");
  started.system.kill(child, 15);
  assert.equal((await within(limit_ms, "end", parent.wait())).exitCode, 115);
  await put("");
});

test(
  "families that do random things keep their memory, their children and their pipes",
  options,
  async () => {
    const { system } = started;
    const before = system.usage();
    for (let round = 0; round < 4; round++) {
      let ended = false;
      const moving = (async () => {
        for (let n = 0; !ended; n++) {
          const all = system.processes();
          // Whoever ends meanwhile, or is just moving by itself, is left alone.
          const copy = (["none", "upfront", "on-demand"] as const)[n % 3];
          const chosen = all[n % all.length]?.pid ?? 0;
          await system.migrate(chosen, n & 1, { copy }).catch(() => undefined);
          await pause(1);
        }
      })();
      const seeds = [0, 1, 2, 3].map((n) => 4 * round + n);
      try {
        await Promise.all(seeds.map((seed) => run(["grind", `${seed}`, "40"], seed & 1, 33)));
      } finally {
        ended = true;
        await moving;
      }
      await eventually("orphans have ended", () => system.processes().length === 0);
    }
    await assertSameUsage(system, before, "grind");
  },
);

test("ps shows whose child a process is, and the program it executes", options, async () => {
  const { system } = started;
  system.files.write(
    "/tmp/exec.wasm",
    assemble({
      code: `i32.const 1024 i32.const 8 i32.const 2048 i32.const 13 call wasix_32v1.proc_exec`,
      data: { 1024: "/bin/cat", 2048: "cat\n-\nof this" },
    }),
    0o755,
  );
  const process = await system.spawn("/tmp/exec.wasm", []);
  await eventually("cat runs", () => statusOf(process.pid)?.name === "cat - of this");
  process.kill();
  await process.wait();
});

test("a program that cannot be captured hears it when it forks", async () => {
  const { system, install } = started;
  const code = "i32.const 1 i32.const 64 call wasix_32v1.proc_fork call proc_exit";
  const fixed = install("fixed", withReference(assemble({ code })));
  assert.equal((await system.run(fixed)).exitCode, 58, "ENOTSUP");
});

test("a system that is shut down while a process forks for ever ends in time", options, async () => {
  const booted = await bootForTest();
  const { system } = booted;
  assert.ok(binary !== undefined);
  await system.spawn(booted.install("forks", binary), ["endless"], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await eventually("forks", () => system.processes().length > 50);
  await within(10_000, "shutdown", Promise.resolve(booted[Symbol.asyncDispose]()));
});
