/**
 * A thousand short processes, and nothing left of them: no process slot, thread, wait queue, open file, pipe,
 * page, block or inode. However they end, and whatever the caller does with their streams.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Process } from "../../src/index.ts";
import { limits } from "../../src/kernel/state.ts";
import { assemble } from "./support/assembler.ts";
import { copy, drain, exitWith, flood, print, sleep, spin } from "./support/programs.ts";
import {
  assertRootClean,
  assertSameUsage,
  bootForTest,
  pause,
  type TestSystem,
  textOf,
  within,
} from "./support/system.ts";

/** Processes at a time. */
const width = 16;
let started: TestSystem;

/** A file made in /tmp, written, closed and removed, all in a few system calls. */
const fileMaker = assemble({
  locals: "i",
  code: `
    i32.const 4 i32.const 0 i32.const 64 i32.const 8 i32.const 9
    i64.const 70 i64.const 0 i32.const 0 i32.const 16 call path_open
    local.tee 0 if local.get 0 call proc_exit end
    i32.const 0 i32.const 1024 i32.store i32.const 4 i32.const 30000 i32.store
    i32.const 16 i32.load i32.const 0 i32.const 1 i32.const 8 call fd_write
    local.tee 0 if local.get 0 call proc_exit end
    i32.const 4 i32.const 64 i32.const 8 call path_unlink_file call proc_exit`,
  data: { 64: "tmp/file" },
});

before(async () => {
  started = await bootForTest();
  const programs = {
    exit: exitWith(7),
    print: print("x".repeat(1000)),
    spin,
    drain,
    copy,
    flood,
    nap: sleep(1_000_000n),
    trap: assemble({ code: "unreachable" }),
    bounds: assemble({ code: "i32.const -4 i32.load drop" }),
    missing: assemble({ code: "", imports: ["env.absent"] }),
    malformed: new TextEncoder().encode("\0asm\x01\0\0\0nonsense"),
    empty: new Uint8Array(0),
    greedy: assemble({ code: "", memory: { initial: 60_000, maximum: 65_536 } }),
    grow: assemble({ code: "loop i32.const 1 memory.grow i32.const 0 i32.ge_s br_if 0 end" }),
    // Files left open at the end.
    open: assemble({
      locals: "i",
      code: `
        loop
          i32.const 4 i32.const 0 i32.const 64 i32.const 3 i32.const 0
          i64.const 16384 i64.const 0 i32.const 0 i32.const 16 call path_open drop
          local.get 0 i32.const 1 i32.add local.tee 0 i32.const 20 i32.lt_u br_if 0
        end`,
      data: { 64: "tmp" },
    }),
  };
  for (const [name, bytes] of Object.entries(programs)) started.install(name, bytes);
  started.install("file", fileMaker);
});
after(() => started[Symbol.asyncDispose]());

/** Runs `work` for 0, 1, … `count` − 1, `width` at a time. */
async function inParallel(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Does `work` once so that caches which stay are filled, then again between two counts. */
async function assertNoLeak(what: string, work: () => Promise<void>): Promise<void> {
  for (const kernel of [0, 1]) await started.system.run("/tmp/exit.wasm", [], { kernel });
  await work();
  await pause(20);
  const before = started.system.usage();
  await work();
  await assertSameUsage(started.system, before, what);
}

test("a thousand short processes that are run to their end", async () => {
  const { system } = started;
  await system.run("/tmp/print.wasm");
  const before = system.usage();
  await inParallel(1_000, async (n) => {
    const name = ["print", "exit", "copy", "file", "open"][n % 5];
    const input = name === "copy" ? `input of ${n}` : undefined;
    const result = await within(10_000, name, system.run(`/tmp/${name}.wasm`, [], { kernel: n & 1, input }));
    if (name === "print") assert.deepEqual([result.exitCode, result.stdout.length], [0, 1000]);
    else if (name === "exit") assert.equal(result.exitCode, 7);
    else if (name === "copy") assert.deepEqual([result.exitCode, result.stdout], [0, `input of ${n}`]);
    // Several make and remove one file at once: any of them may find it gone.
    else if (name === "file") assert.ok([0, 44].includes(result.exitCode), `errno ${result.exitCode}`);
    else assert.equal(result.exitCode, 0, result.message);
  });
  // The root directory stays open on each kernel once it was used.
  const kept = { ...before, openFiles: system.usage().openFiles };
  assert.ok(kept.openFiles <= before.openFiles + 2, `${kept.openFiles} open files`);
  await assertSameUsage(system, kept, "short processes");
  assertRootClean(system, "after a thousand processes");
});

test("processes whose streams nobody touches", () =>
  assertNoLeak("untouched streams", () =>
    inParallel(64, async (n) => {
      const process = await started.system.spawn(`/tmp/${["print", "exit", "trap"][n % 3]}.wasm`);
      await within(5_000, "end", process.wait());
    }),
  ));

test("output can still be read after the end of a process that nobody had read", async () => {
  const process = await started.system.spawn("/tmp/print.wasm");
  await process.wait();
  await pause(20);
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdout ?? []) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "x".repeat(1000));
});

test("processes that are killed, also before they begin and twice", () =>
  assertNoLeak("killed processes", () =>
    inParallel(160, async (n) => {
      const name = ["spin", "drain", "flood", "nap", "copy"][n % 5];
      const process = await started.system.spawn(`/tmp/${name}.wasm`, [], { kernel: n & 1 });
      if (n % 3 === 1) await pause(n % 7);
      process.kill(15);
      if (n % 2 === 1) process.kill(9);
      const { exitCode } = await within(5_000, name, process.wait());
      assert.ok([143, 137, 0].includes(exitCode), `${name} ended with ${exitCode}`);
    }),
  ));

test("programs that cannot start, and programs that fail", () =>
  assertNoLeak("failing programs", () =>
    inParallel(112, async (n) => {
      const name = ["trap", "bounds", "missing", "malformed", "empty", "grow", "absent"][n % 7];
      const expected = {
        trap: 134,
        bounds: 139,
        missing: 126,
        malformed: 126,
        empty: 126,
        grow: 0,
        absent: 127,
      }[name];
      const options = { kernel: n & 1, memory_bytes: 32 << 20 };
      const result = await within(10_000, name, started.system.run(`/tmp/${name}.wasm`, [], options));
      assert.equal(result.exitCode, expected, `${name}: ${result.message}`);
    }),
  ));

test("calls of spawn that are refused", () =>
  assertNoLeak("refused calls", async () => {
    const { system } = started;
    await assert.rejects(system.spawn("/tmp/exit.wasm", [], { directories: { "/": "/nowhere" } }), {
      code: "ENOENT",
    });
    await assert.rejects(system.spawn("/tmp/exit.wasm", [], { priority: 9 }), /priority 9/);
    await assert.rejects(system.spawn("/tmp/exit.wasm", ["a\0b"]), /NUL/);
    await assert.rejects(system.spawn("/tmp/exit.wasm", [], { kernel: 9 }), /kernel 9/);
    await assert.rejects(system.spawn("/tmp/exit.wasm", [], { memory_bytes: -1 }), /memory_bytes/);
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`/${n}`, "/tmp"]));
    await assert.rejects(system.spawn("/tmp/exit.wasm", [], { directories: many }), /too many directories/);
    await assert.rejects(system.spawn("/tmp/exit.wasm", ["x".repeat(70_000_000)]), { code: "ETOOBIG" });
    const turned = system.pipe();
    await assert.rejects(
      system.spawn("/tmp/exit.wasm", [], { stdin: turned.write, stdout: turned.read }),
      /end of a pipe/,
    );
    for (const end of ["read", "write"] as const) {
      const pipe = system.pipe();
      const options = end === "read" ? { stdin: pipe.read } : { stdout: pipe.write };
      await assert.rejects(system.spawn("/tmp/exit.wasm", [], { ...options, kernel: 9 }), /kernel 9/);
      const again = system.spawn("/tmp/exit.wasm", [], options);
      await assert.rejects(again, /given to a process before/);
      const other = end === "read" ? { stdout: pipe.write } : { stdin: pipe.read };
      await assert.rejects(system.spawn("/tmp/exit.wasm", [], { ...other, priority: 9 }), /priority 9/);
    }
  }));

test("pipes between processes", () =>
  assertNoLeak("pipelines", () =>
    inParallel(32, async (n) => {
      const { system } = started;
      const pipe = system.pipe();
      const from = await system.spawn("/tmp/print.wasm", [], {
        kernel: n & 1,
        stdin: "null",
        stdout: pipe.write,
      });
      const to = await system.spawn("/tmp/drain.wasm", [], { kernel: (n >> 1) & 1, stdin: pipe.read });
      const [first, second] = await Promise.all([from.wait(), to.wait()]);
      assert.deepEqual([first.exitCode, second.exitCode], [0, 3]);
    }),
  ));

test("one end of a pipe as standard output and standard error at once", () =>
  assertNoLeak("one pipe for two streams", async () => {
    const { system } = started;
    const pipe = system.pipe();
    const from = await system.spawn("/tmp/print.wasm", [], {
      stdin: "null",
      stdout: pipe.write,
      stderr: pipe.write,
    });
    const to = await system.spawn("/tmp/copy.wasm", [], { stdin: pipe.read });
    assert.equal((await textOf(to.stdout)).length, 1000);
    assert.deepEqual([(await from.wait()).exitCode, (await to.wait()).exitCode], [0, 0]);
  }));

test("streams that are cancelled or aborted in the middle", () =>
  assertNoLeak("cancelled streams", () =>
    inParallel(32, async (n) => {
      const process = await started.system.spawn("/tmp/flood.wasm", [], { kernel: n & 1 });
      const reader = process.stdout?.getReader();
      await reader?.read();
      await reader?.cancel();
      await process.stdin?.abort();
      // Nobody reads any more: the write that fails is its end.
      assert.equal((await within(5_000, "flood", process.wait())).exitCode, 64);
    }),
  ));

test("the table of processes fills up, says so, and works again", async () => {
  const { system } = started;
  started.install("long", sleep(3_600_000_000_000n));
  const before = system.usage();
  const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const running: Process[] = [];
  await assert.rejects(
    async () => {
      for (;;) running.push(await system.spawn("/tmp/long.wasm", [], quiet));
    },
    { code: "EAGAIN" },
  );
  // Slot 0 stands for no process.
  assert.equal(running.length, limits.processes - 1);
  assert.equal(system.processes().length, running.length);
  for (const process of running) process.kill(15);
  for (const process of running) assert.equal((await within(20_000, "end", process.wait())).exitCode, 143);
  assert.equal((await system.run("/tmp/exit.wasm")).exitCode, 7);
  await assertSameUsage(system, before, "as many processes as there can be");
});
