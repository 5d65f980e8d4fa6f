/** NightWatch threads: when they run, what they share with the normal thread, and how they end. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { compileC, noCompiler } from "./support/c-program.ts";
import {
  call,
  countAt,
  exit,
  sleepFor,
  type ThreadedProgram,
  threaded,
  write,
} from "./support/nightwatch-programs.ts";
import { exitWith } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  firstOutput,
  type TestSystem,
  within,
} from "./support/system.ts";

const spawn = call("nightwatch_spawn");
const join = call("nightwatch_join");
/** Code: ends the process with a code unless the word on the stack is 0. */
const unless0 = (code: number) => `if : i32.const ${code} ${exit} end`;

let started: TestSystem;
let installed = 0;
before(async () => {
  started = await bootForTest();
});
after(() => started[Symbol.asyncDispose]());

async function run(program: ThreadedProgram, on = started, kernel: number | undefined = 0) {
  const path = on.install(`threaded-${++installed}`, threaded(program));
  return within(10_000, "its end", on.system.run(path, [], { kernel }));
}

/**
 * The normal thread sleeps and computes in turns, while a NightWatch thread counts for ever. Exits with 1 if the count
 * grew while the normal thread computed, with 2 if it did not grow while that slept, however long, and with 0 after
 * some turns.
 */
const alternating: ThreadedProgram = {
  normal: `
    i32.const 0 ${spawn} drop
    loop :
      i32.const 8192 i32.load local.set 1
      i32.const 0 local.set 3
      loop :
        ${sleepFor(2)}
        local.get 3 i32.const 1 i32.add local.tee 3 i32.const 2000 i32.eq ${unless0(2)}
        i32.const 8192 i32.load local.tee 2 local.get 1 i32.eq br_if 0
      end
      i32.const 0 local.set 3
      loop : local.get 3 i32.const 1 i32.add local.tee 3 i32.const 2000000 i32.lt_u br_if 0 end
      i32.const 8192 i32.load local.get 2 i32.ne ${unless0(1)}
      local.get 0 i32.const 1 i32.add local.tee 0 i32.const 20 i32.lt_u br_if 0
    end`,
  thread: countAt(8192),
};

test("a NightWatch thread gets its id and its argument, and shares the memory", async () => {
  const result = await run({
    normal: `i32.const 42 ${spawn} ${join} ${unless0(90)} i32.const 64 i32.load ${exit}`,
    thread: "i32.const 64 local.get 0 i32.const 10 i32.mul local.get 1 i32.add i32.store",
  });
  assert.deepEqual([result.exitCode, result.message], [52, ""]);
});

test("a program that does not export wasi_thread_start is told so", async () => {
  const result = await run({ normal: `i32.const 0 i32.const 1 ${spawn} i32.sub ${exit}` });
  assert.equal(result.exitCode, errno.NOEXEC);
});

test("the data of the program is not written again, and its start function runs for each thread", async () => {
  const result = await run({
    data: { 256: "A" },
    start: "i32.const 300 i32.const 300 i32.load i32.const 1 i32.add i32.store",
    normal: `
      i32.const 256 i32.const 66 i32.store8
      i32.const 0 ${spawn} ${join} ${unless0(90)}
      i32.const 256 i32.load8_u i32.const 300 i32.load i32.add ${exit}`,
    thread: "",
  });
  assert.equal(result.exitCode, 66 + 2);
});

test("a NightWatch thread runs while the normal thread is blocked, and never while that runs", async () => {
  const result = await run(alternating);
  assert.deepEqual([result.exitCode, result.message], [0, ""]);
});

test("the same on one core, where both kinds of threads share a scheduler", async () => {
  await using one = await bootForTest({ cores: 1 });
  const result = await run(alternating, one);
  assert.deepEqual([result.exitCode, result.message], [0, ""]);
});

test("the same in one kernel that spans two cores", async () => {
  await using smp = await bootForTest({ preset: "smp" });
  const result = await run(alternating, smp);
  assert.deepEqual([result.exitCode, result.message], [0, ""]);
});

test("the same on the weak kernel that was chosen, and beside the normal thread if it is there itself", async () => {
  await using other = await bootForTest({ weakKernels: [0] });
  for (const kernel of [0, 1]) {
    const result = await run(alternating, other, kernel);
    assert.deepEqual([result.exitCode, result.message], [0, ""]);
  }
});

test("a NightWatch thread shares the descriptors, and writes", async () => {
  const result = await run({
    data: { 512: "from the thread\n", 540: "from the process\n" },
    normal: `i32.const 0 ${spawn} ${join} ${unless0(90)} ${write(2, 540, 17)} ${exit}`,
    thread: `${write(1, 512, 16, 4096)} ${unless0(91)} i32.const 1 i32.const 2 ${call("fd_renumber")} ${unless0(92)}`,
  });
  assert.deepEqual([result.exitCode, result.stdout], [0, "from the thread\nfrom the process\n"]);
});

test("memory that a NightWatch thread has grown is there for the normal thread and its calls", async () => {
  const result = await run({
    normal: `
      i32.const 0 ${spawn} ${join} ${unless0(90)}
      i32.const 65536 i32.load8_u i32.const 71 i32.ne ${unless0(91)}
      ${write(1, 65536, 1)} ${unless0(92)}
      i32.const 2 memory.grow 0 i32.const 3 i32.ne ${unless0(93)}
      memory.size 0 ${exit}`,
    thread: "i32.const 2 memory.grow 0 drop i32.const 65536 i32.const 71 i32.store8",
  });
  assert.deepEqual([result.exitCode, result.stdout], [5, "G"]);
});

test("and the other way round", async () => {
  const result = await run({
    normal: `
      i32.const 0 ${spawn} local.set 0
      ${sleepFor(2)}
      i32.const 1 memory.grow 0 drop
      i32.const 65540 i32.const 72 i32.store8
      i32.const 600 i32.const 1 i32.store
      local.get 0 ${join} ${exit}`,
    thread: `
      loop : i32.const 600 i32.load i32.eqz br_if 0 end
      ${write(1, 65540, 1, 4096)} ${unless0(91)}`,
  });
  assert.deepEqual([result.exitCode, result.stdout], [0, "H"]);
});

test("memory that the normal thread grows again and again, in short turns", async () => {
  // A thread that was told to stop and to go on at one poll went on without a look at the memory's size.
  const result = await run({
    maximum_pages: 400,
    normal: `
      i32.const 0 ${spawn} local.set 0
      loop :
        i32.const 600 i32.const 1 memory.grow 0 i32.const 65536 i32.mul i32.store
        ${sleepFor(0.05)}
        local.get 1 i32.const 1 i32.add local.tee 1 i32.const 300 i32.lt_u br_if 0
      end
      i32.const 600 i32.const 1 i32.store
      local.get 0 ${join} ${exit}`,
    thread: `
      loop :
        i32.const 600 i32.load local.tee 2
        i32.const 1 i32.gt_u if :
          i32.const 4096 local.get 2 i32.store
          i32.const 4100 i32.const 1 i32.store
          i32.const 1 i32.const 4096 i32.const 1 i32.const 4104 ${call("fd_write")} ${unless0(91)}
        end
        local.get 2 i32.const 1 i32.ne br_if 0
      end`,
  });
  assert.deepEqual([result.exitCode, result.message], [0, ""]);
});

test("sixteen at once, and no more; each is joined once", async () => {
  const result = await run({
    normal: `
      loop :
        i32.const 0 ${spawn} i32.const 0 i32.le_s ${unless0(90)}
        local.get 0 i32.const 1 i32.add local.tee 0 i32.const 16 i32.lt_u br_if 0
      end
      i32.const 0 ${spawn} i32.const -${errno.AGAIN} i32.ne ${unless0(91)}
      i32.const 16 local.set 0
      loop :
        local.get 0 ${join} ${unless0(92)}
        local.get 0 ${join} i32.const ${errno.SRCH} i32.ne ${unless0(93)}
        local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0
      end
      i32.const 0 ${join} i32.const ${errno.SRCH} i32.ne ${unless0(94)}
      i32.const 700 i32.load ${exit}`,
    thread: `
      local.get 0 ${join} i32.const ${errno.DEADLK} i32.ne ${unless0(95)}
      i32.const 700 i32.const 700 i32.load i32.const 1 i32.add i32.store`,
  });
  assert.equal(result.exitCode, 16);
});

test("a NightWatch thread starts another and waits for it", async () => {
  const result = await run({
    normal: `i32.const 1 ${spawn} ${join} ${unless0(90)} i32.const 700 i32.load ${exit}`,
    thread: `
      local.get 1 if : i32.const 0 ${spawn} ${join} ${unless0(91)} end
      i32.const 700 i32.const 700 i32.load i32.const 2 i32.mul local.get 1 i32.add i32.const 1 i32.add i32.store`,
  });
  // The inner one first: 1; then 1 * 2 + 2.
  assert.equal(result.exitCode, 4);
});

test("exit by a NightWatch thread ends the process, also one that computes", async () => {
  const blocked = await run({
    normal: `i32.const 0 ${spawn} ${join} ${exit}`,
    thread: `i32.const 7 ${exit}`,
  });
  assert.deepEqual([blocked.exitCode, blocked.signal, blocked.message], [7, 0, ""]);
});

test("a NightWatch thread that fails ends the process, which says why", async () => {
  const result = await run({ normal: `i32.const 0 ${spawn} ${join} ${exit}`, thread: "unreachable" });
  assert.equal(result.signal, 6);
  assert.match(result.message, /unreachable/);
  const raised = await run({
    normal: `i32.const 0 ${spawn} ${join} ${exit}`,
    thread: `i32.const 15 ${call("proc_raise")} drop`,
  });
  assert.equal(raised.signal, 15);
});

test("the process ends with its normal thread, whatever its NightWatch threads do; nothing is left", async () => {
  const before = started.system.usage();
  for (const thread of [countAt(8192), sleepFor(1500, 4096), `${sleepFor(5, 4096)} ${countAt(8192)}`, ""]) {
    for (const wait of ["", sleepFor(3)]) {
      const result = await run({
        normal: `i32.const 0 ${spawn} drop i32.const 0 ${spawn} drop ${wait}`,
        thread,
      });
      assert.deepEqual([result.exitCode, result.signal], [0, 0]);
    }
  }
  for (let n = 1; n <= installed; n++) {
    const path = `/tmp/threaded-${n}.wasm`;
    if (started.system.files.exists(path)) started.system.files.remove(path);
  }
  await assertSameUsage(
    started.system,
    { ...before, ...blocksOf(started.system.usage()) },
    "NightWatch threads",
  );
});

/** The disk is not what that test is about. */
function blocksOf({ freeBlocks, freeInodes }: { freeBlocks: number; freeInodes: number }) {
  return { freeBlocks, freeInodes };
}

test("killed: while the normal thread waits, while it computes, while it joins", async () => {
  for (const normal of [sleepFor(1900), "loop : br 0 end", `i32.const 1 ${join} drop`]) {
    const path = started.install(
      "to-kill",
      threaded({
        data: { 512: "on" },
        normal: `i32.const 0 ${spawn} drop ${write(1, 512, 2)} drop ${normal}`,
        thread: countAt(8192),
      }),
    );
    const process = await started.system.spawn(path, [], { kernel: 0, stdin: "null", stderr: "null" });
    await firstOutput(process);
    process.kill(15);
    assert.equal((await within(5_000, "its end", process.wait())).signal, 15);
    await process.stdout?.cancel();
  }
});

test("a process with NightWatch threads does not move, fork or go to a file; afterwards it does", async () => {
  const path = started.install(
    "stays",
    threaded({
      data: { 512: "on" },
      normal: `
        i32.const 0 ${spawn} local.set 0
        i32.const 1 i32.const 900 ${call("proc_fork")} i32.const ${errno.NOTSUP} i32.ne ${unless0(90)}
        i32.const 1 ${call("proc_migrate")} i32.const ${errno.NOTSUP} i32.ne ${unless0(91)}
        ${write(1, 512, 2)} drop
        i32.const 0 i32.const 600 i32.store i32.const 4 i32.const 1 i32.store
        i32.const 0 i32.const 0 i32.const 1 i32.const 8 ${call("fd_read")} ${unless0(92)}
        i32.const 640 i32.const 1 i32.store
        local.get 0 ${join} ${unless0(93)}
        i32.const 1 ${call("proc_migrate")} ${exit}`,
      thread: "loop : i32.const 640 i32.load i32.eqz br_if 0 end",
    }),
  );
  const process = await started.system.spawn(path, [], { kernel: 0, stderr: "null" });
  await firstOutput(process);
  const { system } = started;
  await assert.rejects(process.migrate(1), /has NightWatch threads/);
  await assert.rejects(system.checkpoint(process.pid, "/tmp/stays.checkpoint"), /has NightWatch threads/);
  assert.equal(system.processes().find(({ pid }) => pid === process.pid)?.nightwatchThreads, 1);
  const writer = process.stdin?.getWriter();
  await writer?.write(new Uint8Array([1]));
  await writer?.close();
  assert.equal((await within(5_000, "its end", process.wait())).exitCode, 0);
  await process.stdout?.cancel();
});

test("another program takes the place of the normal thread: the NightWatch threads end", async () => {
  started.install("next", exitWith(33));
  const exec = `i32.const 512 i32.const 13 i32.const 540 i32.const 4 ${call("proc_exec")}`;
  const data = { 512: "/tmp/next.wasm", 540: "next" };
  const name = exec.replace("const 13", "const 14");
  const replaced = await run({
    data,
    normal: `i32.const 0 ${spawn} drop ${sleepFor(2)} ${name}`,
    thread: countAt(8192),
  });
  assert.equal(replaced.exitCode, 33);
  const refused = await run({ data, normal: `i32.const 0 ${spawn} ${join} ${exit}`, thread: name });
  assert.equal(refused.exitCode, 126);
});

test("a program is started as a NightWatch thread: on the weak kernel, where it stays", async () => {
  const path = started.install(
    "light",
    threaded({ data: { 512: "on" }, normal: `${write(1, 512, 2)} drop loop : br 0 end` }),
  );
  const process = await started.system.spawn(path, [], { nightwatch: true, stdin: "null", stderr: "null" });
  await firstOutput(process);
  assert.equal(process.kernel, 1);
  await assert.rejects(process.migrate(0), /NightWatch thread, which is pinned/);
  process.kill();
  await process.wait();
  await process.stdout?.cancel();
  await assert.rejects(started.system.spawn(path, [], { nightwatch: true, kernel: 0 }), RangeError);
});

test("a program started as a NightWatch thread has more of them, which run beside it", async () => {
  const path = started.install(
    "light-threads",
    threaded({
      normal: `
        i32.const 3 ${spawn} local.set 0
        loop : ${sleepFor(1)} i32.const 640 i32.load i32.eqz br_if 0 end
        local.get 0 ${join} ${unless0(90)} i32.const 640 i32.load ${exit}`,
      thread: "i32.const 640 local.get 1 i32.store",
    }),
  );
  const result = await within(5_000, "end", started.system.run(path, [], { nightwatch: true }));
  assert.equal(result.exitCode, 3);
});

test("many short turns: no wake-up is lost", async () => {
  const result = await run({
    normal: `
      i32.const 0 ${spawn} drop
      loop :
        ${sleepFor(0.05)}
        local.get 0 i32.const 1 i32.add local.tee 0 i32.const 1500 i32.lt_u br_if 0
      end`,
    thread: `loop : ${sleepFor(0.02, 4096)} br 0 end`,
  });
  assert.equal(result.exitCode, 0);
});

test("several processes with NightWatch threads share the weak kernel", async () => {
  const runs = Array.from({ length: 4 }, () => run(alternating));
  for (const result of await Promise.all(runs)) assert.deepEqual([result.exitCode, result.message], [0, ""]);
});

test("a NightWatch thread in a system call that asks the main kernel stops as well, at its next poll", async () => {
  // The terminal is the main kernel's: it answers while it waits for the thread to stop.
  const { system } = started;
  const reading = system.terminal.output.getReader();
  let isOver = false;
  const discarded = (async () => {
    while (!isOver) await reading.read();
  })();
  const path = started.install(
    "typist",
    threaded({
      ...alternating,
      data: { 512: "." },
      thread: `
        loop :
          ${write(1, 512, 1, 4096)} drop
          i32.const 8192 i32.const 8192 i32.load i32.const 1 i32.add i32.store
          br 0
        end`,
    }),
  );
  const process = await system.spawn(path, [], {
    kernel: 0,
    stdin: "null",
    stdout: "terminal",
    stderr: "null",
  });
  const { exitCode, message } = await within(10_000, "its end", process.wait());
  assert.deepEqual([exitCode, message], [0, ""]);
  isOver = true;
  const last = await system.spawn(path, [], { kernel: 0, stdin: "null", stdout: "terminal", stderr: "null" });
  await within(10_000, "its end", last.wait());
  await discarded;
  reading.releaseLock();
});

const inC = compileC("nightwatch");

test("a program in C gives its thread a stack of its own", {
  skip: inC === undefined && noCompiler,
}, async () => {
  assert.ok(inC !== undefined);
  const result = await started.system.run(started.install("in-c", inC), [], { kernel: 0 });
  assert.deepEqual([result.exitCode, result.stdout], [0, "thread 1: 2890\njoined: 0, total 2890\n"]);
});

test("eventually nothing of all that is left", async () => {
  await eventually("threads", () => started.system.processes().length === 0);
});
