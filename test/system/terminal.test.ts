/** The terminal belongs to one kernel; programs on the others reach it by proxy. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago, Process } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { copy, readCode, spin, writeCode } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  pause,
  type TestSystem,
  within,
} from "./support/system.ts";

const onTerminal = { stdin: "terminal", stdout: "terminal", stderr: "terminal" } as const;
let started: TestSystem;
let system: Archipelago;
let screen: ReadableStreamDefaultReader<Uint8Array>;
let seen = "";

before(async () => {
  started = await bootForTest();
  system = started.system;
  screen = system.terminal.output.getReader();
  started.install("copy", copy);
  started.install("spin", spin);
});
after(async () => {
  screen.releaseLock();
  await started[Symbol.asyncDispose]();
});

/** Reads the screen until it shows a text, and forgets everything up to there. */
async function shows(text: string, limit_ms = 10_000): Promise<void> {
  const decoder = new TextDecoder();
  while (!seen.includes(text)) {
    const piece = await within(
      limit_ms,
      `${JSON.stringify(text)} on the screen, which shows ${JSON.stringify(seen)}`,
      screen.read(),
    );
    seen += decoder.decode(piece.value, { stream: true });
  }
  seen = seen.slice(seen.indexOf(text) + text.length);
}

async function isBlocked(process: Process): Promise<void> {
  await eventually("waiting for the terminal", () =>
    system.processes().some(({ pid, state }) => pid === process.pid && state === "blocked"),
  );
}

test("lines that are typed reach programs on every kernel, until the end of file", async () => {
  for (const kernel of [0, 1]) {
    const process = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel });
    for (let line = 0; line < 5; line++) {
      if (line % 2 === 0) await isBlocked(process);
      await system.terminal.type(`line ${line} for kernel ${kernel}\n`);
      await shows(`line ${line} for kernel ${kernel}\n`);
    }
    system.terminal.endOfFile();
    const { exitCode } = await within(5_000, "the end of file", process.wait());
    assert.equal(exitCode, 0, `kernel ${kernel}`);
  }
});

test("what is typed before a program reads is kept for it", async () => {
  await system.terminal.type("early\n");
  system.terminal.endOfFile();
  const process = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel: 1 });
  await shows("early\n");
  assert.equal((await within(5_000, "the end of file", process.wait())).exitCode, 0);
});

test("much output from both kernels at once comes through whole lines at a time", async () => {
  const lines = (letter: string) =>
    assemble({
      locals: "i",
      code: `
        loop
          ${writeCode(1, 1024, 80)}
          local.get 0 i32.const 1 i32.add local.tee 0 i32.const 2000 i32.lt_u br_if 0
        end`,
      data: { 1024: `${letter.repeat(79)}\n` },
    });
  const processes = [];
  for (const [kernel, letter] of ["a", "b", "c", "d"].entries()) {
    processes.push(
      await system.spawn(started.install(`lines-${letter}`, lines(letter)), [], {
        ...onTerminal,
        kernel: kernel & 1,
      }),
    );
  }
  const decoder = new TextDecoder();
  while (seen.length < 4 * 2000 * 80) {
    seen += decoder.decode((await within(10_000, `${seen.length} characters`, screen.read())).value);
  }
  for (const process of processes) assert.equal((await process.wait()).exitCode, 0);
  const counts: Record<string, number> = {};
  for (const line of seen.split("\n").slice(0, -1)) {
    assert.equal(line, line[0].repeat(79));
    counts[line[0]] = (counts[line[0]] ?? 0) + 1;
  }
  seen = "";
  assert.deepEqual(counts, { a: 2000, b: 2000, c: 2000, d: 2000 });
});

test("large writes and large reads go through the proxy in pieces", async () => {
  const process = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel: 1 });
  const text = `${Array.from({ length: 3000 }, (_, n) => `number ${n}`).join(" ")}\n`;
  const typing = system.terminal.type(text);
  await shows(text);
  await typing;
  system.terminal.endOfFile();
  assert.equal((await within(5_000, "the end of file", process.wait())).exitCode, 0);
});

test("the proxy works while the terminal's owner is busy with a program", async () => {
  const busy = await system.spawn("/tmp/spin.wasm", [], {
    kernel: 0,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  const process = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel: 1 });
  for (let line = 0; line < 20; line++) {
    await system.terminal.type(`${line} while busy\n`);
    await shows(`${line} while busy\n`);
  }
  system.terminal.endOfFile();
  assert.equal((await within(5_000, "the end of file", process.wait())).exitCode, 0);
  busy.kill();
  await busy.wait();
});

test("the proxy waits for an owner that is loading a large program", async () => {
  // Kernel 0 instruments and compiles for longer than a patient caller would like; nothing may be lost.
  const process = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel: 1 });
  await isBlocked(process);
  const loading = system.run("clang", ["--version"], { kernel: 0 });
  for (let line = 0; line < 10; line++) {
    await pause(60);
    await system.terminal.type(`${line} while loading\n`);
    await shows(`${line} while loading\n`, 60_000);
  }
  assert.equal((await within(60_000, "clang --version", loading)).exitCode, 0);
  system.terminal.endOfFile();
  assert.equal((await within(5_000, "the end of file", process.wait())).exitCode, 0);
});

test("two readers on two kernels share what is typed, and none of it is lost or doubled", async () => {
  const counter = assemble({
    locals: "i",
    code: `
      loop
        ${readCode(0, 1024, 1000)} drop
        i32.const 8 i32.load i32.eqz if local.get 0 call proc_exit end
        local.get 0 i32.const 8 i32.load i32.add local.set 0
        br 0
      end`,
  });
  const path = started.install("counter", counter);
  const readers = [];
  for (const kernel of [0, 1, 0, 1]) readers.push(await system.spawn(path, [], { ...onTerminal, kernel }));
  for (let n = 0; n < 100; n++) await system.terminal.type("x\n");
  for (const _ of readers) system.terminal.endOfFile();
  const counts = await Promise.all(
    readers.map(async (process) => (await within(5_000, "end", process.wait())).exitCode),
  );
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    200,
    `${counts}`,
  );
});

test("a blocked reader and a blocked writer of the terminal can be killed", async () => {
  const before = system.usage();
  for (const kernel of [0, 1]) {
    const reader = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel });
    await isBlocked(reader);
    reader.kill(2);
    assert.equal((await within(3_000, "end", reader.wait())).exitCode, 130);
  }
  // Nothing typed afterwards goes to the dead.
  const next = await system.spawn("/tmp/copy.wasm", [], { ...onTerminal, kernel: 1 });
  await system.terminal.type("for the living\n");
  await shows("for the living\n");
  system.terminal.endOfFile();
  await within(5_000, "the end of file", next.wait());
  await assertSameUsage(system, before, "terminal");
});

test("programs can tell a terminal from a pipe and from a file", async () => {
  // Filetype 2 is a character device; a terminal has no right to seek, /dev/null has.
  const path = started.install(
    "type",
    assemble({
      code: "i32.const 0 i32.const 1024 call fd_fdstat_get drop i32.const 1024 i32.load8_u call proc_exit",
    }),
  );
  const codeFor = async (stdin: "terminal" | "pipe" | "null") => {
    const process = await system.spawn(path, [], { stdin, stdout: "null", stderr: "null" });
    return (await process.wait()).exitCode;
  };
  assert.equal(await codeFor("terminal"), 2);
  assert.notEqual(await codeFor("pipe"), 2);
  const ask = "import sys, os; print(*(stream.isatty() for stream in (sys.stdin, sys.stdout)))";
  const piped = await within(30_000, "python", system.run("python3", ["-c", ask], { kernel: 1 }));
  assert.equal(piped.stdout, "False False\n", piped.stderr);
  const process = await system.spawn("python3", ["-c", ask], { ...onTerminal, kernel: 1 });
  await shows("True True\n");
  assert.equal((await process.wait()).exitCode, 0);
});

test("python reads lines from the terminal", async () => {
  const code =
    "while True:\n  try: line = input('> ')\n  except EOFError: break\n  print(line[::-1], flush=True)";
  const process = await system.spawn("python3", ["-c", code], { ...onTerminal, kernel: 1 });
  await system.terminal.type("desserts\n");
  await shows("stressed\n");
  await system.terminal.type("drawer\n");
  await shows("reward\n");
  system.terminal.endOfFile();
  assert.equal((await within(5_000, "the end of python", process.wait())).exitCode, 0);
});
