/** The TypeScript API: streams, waiting, listing, files, directories, limits. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Archipelago, SystemError } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { copy, exitWith, flood, print, sleep, spin } from "./support/programs.ts";
import {
  bootForTest,
  eventually,
  firstOutput,
  pause,
  type TestSystem,
  textOf,
  wallTime_ms,
  within,
} from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;

before(async () => {
  started = await bootForTest();
  system = started.system;
  for (const [name, bytes] of Object.entries({ copy, flood, spin, exit: exitWith(3) }))
    started.install(name, bytes);
});
after(() => started[Symbol.asyncDispose]());

test("run collects output, feeds input and gives the status", async () => {
  const result = await system.run("/tmp/copy.wasm", [], { input: "grüße 🌊" });
  assert.deepEqual(result, { exitCode: 0, signal: 0, message: "", stdout: "grüße 🌊", stderr: "" });
  const bytes = await system.run("/tmp/copy.wasm", [], { input: new Uint8Array([104, 105]) });
  assert.equal(bytes.stdout, "hi");
  assert.equal((await system.run("/tmp/exit.wasm", [], { input: "x".repeat(1_000_000) })).exitCode, 3);
});

test("arguments and environment arrive as they were given", async () => {
  const code =
    "import sys, os, json; print(json.dumps([sys.argv[1:], os.environ.get('GREETING'), os.environ.get('HOME')]))";
  const args = ["", "two words", "--flag", "ünï", "'\"$\\", "\n"];
  const result = await within(
    60_000,
    "python",
    system.run("python3", ["-c", code, ...args], {
      environment: { GREETING: "hello = world", HOME: "/tmp" },
    }),
  );
  assert.deepEqual(JSON.parse(result.stdout), [args, "hello = world", "/tmp"], result.stderr);
});

test("exit codes", async () => {
  for (const code of [0, 1, 2, 77, 127, 255]) {
    assert.equal((await system.run(started.install("code", exitWith(code)))).exitCode, code);
  }
  // Eight bits of the code are seen, as on Unix.
  assert.equal((await system.run(started.install("code", exitWith(-1)))).exitCode, 255);
  assert.equal((await system.run(started.install("code", exitWith(258)))).exitCode, 2);
});

test("standard streams are web streams, with back pressure in both directions", async () => {
  const process = await system.spawn("/tmp/copy.wasm", [], { stderr: "null" });
  assert.ok(process.stdin instanceof WritableStream);
  assert.ok(process.stdout instanceof ReadableStream);
  assert.equal(process.stderr, null);
  const writer = process.stdin.getWriter();
  let accepted = 0;
  const feeding = (async () => {
    for (let n = 0; n < 64; n++) {
      await writer.write(new Uint8Array(16_384).fill(n));
      accepted = n + 1;
    }
    await writer.close();
  })();
  await pause(150);
  // Two pipes and the program's buffer hold some 160 KiB of the megabyte.
  assert.ok(accepted < 20, `${accepted} of 64 pieces were accepted while nobody read`);
  let total = 0;
  for await (const chunk of process.stdout) total += chunk.length;
  await feeding;
  assert.equal(total, 64 * 16_384);
  assert.equal((await process.wait()).exitCode, 0);
});

test("piping one process's output into another's input with web streams", async () => {
  const from = await system.spawn(started.install("print", print("through web streams")), [], {
    stdin: "null",
    stderr: "null",
  });
  const to = await system.spawn("/tmp/copy.wasm", [], { stderr: "null" });
  assert.ok(from.stdout !== null && to.stdin !== null);
  const [text] = await Promise.all([textOf(to.stdout), from.stdout.pipeTo(to.stdin)]);
  assert.equal(text, "through web streams");
});

test("writing to a process that has ended, or reads no more, is an error of the stream", async () => {
  const process = await system.spawn("/tmp/exit.wasm", [], { stdout: "null", stderr: "null" });
  await process.wait();
  await assert.rejects(async () => {
    const writer = process.stdin?.getWriter();
    for (let n = 0; n < 100; n++) await writer?.write(new Uint8Array(10_000));
  }, /EPIPE/);
});

test("cancelling output ends a program that writes on, while a read is waiting too", async () => {
  const process = await system.spawn("/tmp/flood.wasm", [], { stdin: "null", stderr: "null" });
  const reader = process.stdout?.getReader();
  await reader?.read();
  await reader?.cancel();
  assert.equal((await within(3_000, "end by EPIPE", process.wait())).exitCode, 64);

  const silent = await system.spawn(started.install("nap", sleep(50_000_000n)), [], {
    stdin: "null",
    stderr: "null",
  });
  const waiting = silent.stdout?.getReader();
  await waiting?.read();
  const pending = waiting?.read();
  await waiting?.cancel();
  assert.deepEqual(await within(1_000, "the read that was waiting", pending ?? Promise.reject()), {
    done: true,
    value: undefined,
  });
  assert.equal((await within(3_000, "end", silent.wait())).exitCode, 0);
});

test("wait may be called often, early and late", async () => {
  const process = await system.spawn("/tmp/exit.wasm");
  const statuses = await Promise.all([process.wait(), process.wait()]);
  assert.deepEqual(statuses[0], statuses[1]);
  await pause(20);
  assert.equal((await process.wait()).exitCode, 3);
});

test("processes lists what runs, with its name, kernel, memory and time", async () => {
  const process = await system.spawn("/tmp/spin.wasm", ["first", "second argument"], {
    kernel: 1,
    stdin: "null",
    stderr: "null",
  });
  await firstOutput(process);
  const [status] = system.processes().filter(({ pid }) => pid === process.pid);
  assert.equal(status.name, "spin.wasm first second argument");
  assert.deepEqual(
    [status.kernel, status.state, status.memory_bytes, status.parent],
    [1, "running", 65_536, 0],
  );
  assert.ok(status.startTime_ns > 0);
  process.kill();
  await process.wait();
  assert.ok(system.processes().every(({ pid }) => pid !== process.pid));
});

test("a name that is longer than the table holds is cut between characters", async () => {
  const process = await system.spawn("/tmp/spin.wasm", ["ü".repeat(200)], { stdin: "null", stderr: "null" });
  await firstOutput(process);
  const status = system.processes().find(({ pid }) => pid === process.pid);
  assert.match(status?.name ?? "", /^spin\.wasm ü+$/);
  process.kill();
  await process.wait();
});

test("files: write, read, list, stat, rename, remove", () => {
  const { files } = system;
  files.makeDirectory("/tmp/api");
  files.write("/tmp/api/one", "first");
  files.write("/tmp/api/two", new Uint8Array([1, 2, 3]), 0o600);
  files.write("/tmp/api/one", "longer than first");
  assert.equal(files.readText("/tmp/api/one"), "longer than first");
  files.write("/tmp/api/one", "short");
  assert.equal(files.readText("/tmp/api/one"), "short", "writing replaces");
  assert.deepEqual(files.read("/tmp/api/two"), new Uint8Array([1, 2, 3]));
  files.makeSymbolicLink("one", "/tmp/api/link");
  files.makeDirectory("/tmp/api/deep/er", { recursive: true });
  files.makeDirectory("/tmp/api/deep/er", { recursive: true });
  assert.deepEqual(files.list("/tmp/api"), [
    { name: "deep", type: "directory" },
    { name: "link", type: "symlink" },
    { name: "one", type: "file" },
    { name: "two", type: "file" },
  ]);
  const stat = files.stat("/tmp/api/link");
  assert.deepEqual([stat.type, stat.size_bytes, stat.linkCount], ["file", 5, 1]);
  assert.equal(files.stat("/tmp/api/two").mode & 0o777, 0o600);
  assert.ok(Math.abs(stat.modified.getTime() - wallTime_ms()) < 60_000);
  files.rename("/tmp/api/two", "/tmp/api/deep/three");
  assert.equal(files.exists("/tmp/api/two"), false);
  assert.equal(files.exists("/tmp/api/deep/three"), true);
  for (const path of ["deep/three", "deep/er", "deep", "link", "one", ""])
    files.remove(`/tmp/api/${path}`.replace(/\/$/, ""));
  assert.equal(files.exists("/tmp/api"), false);
});

test("large files are written and read whole", () => {
  const { files } = system;
  const bytes = new Uint8Array(9_000_001);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31) >>> 3;
  files.write("/tmp/large", bytes);
  assert.equal(files.stat("/tmp/large").size_bytes, bytes.length);
  assert.equal(Buffer.compare(files.read("/tmp/large"), bytes), 0);
  files.remove("/tmp/large");
});

test("failures of files are SystemErrors with the errno's name, and say which path", () => {
  const { files } = system;
  files.write("/tmp/plain", "x");
  const fails = (code: string, path: string, work: () => unknown) =>
    assert.throws(work, (error) => {
      assert.ok(error instanceof SystemError, String(error));
      assert.equal(error.code, code);
      assert.ok(error.message.includes(path), error.message);
      return true;
    });
  fails("ENOENT", "/tmp/absent", () => files.read("/tmp/absent"));
  fails("ENOENT", "/nowhere/file", () => files.write("/nowhere/file", ""));
  fails("EISDIR", "/tmp", () => files.read("/tmp"));
  fails("EISDIR", "/tmp", () => files.write("/tmp", "x"));
  fails("ENOTDIR", "/tmp/plain", () => files.list("/tmp/plain"));
  fails("ENOTDIR", "/tmp/plain/below", () => files.write("/tmp/plain/below", "x"));
  fails("EEXIST", "/tmp", () => files.makeDirectory("/tmp"));
  fails("ENOENT", "/tmp/absent", () => files.remove("/tmp/absent"));
  fails("ENOENT", "/tmp/absent", () => files.stat("/tmp/absent"));
  fails("ENOENT", "/tmp/absent", () => files.rename("/tmp/absent", "/tmp/other"));
  fails("EROFS", "/bin/new", () => files.write("/bin/new", "x"));
  files.makeDirectory("/tmp/full/inner", { recursive: true });
  fails("ENOTEMPTY", "/tmp/full", () => files.remove("/tmp/full"));
  files.remove("/tmp/full/inner");
  files.remove("/tmp/full");
  assert.throws(() => files.read("relative"), RangeError);
  assert.equal(files.exists("/tmp/absent"), false);
});

test("a full disk is an error for programs and for the API, and removing files makes room again", async () => {
  await using small = await bootForTest({ rootSize_bytes: 4 * 1024 * 1024 });
  const { files } = small.system;
  assert.throws(() => files.write("/tmp/big", new Uint8Array(8 * 1024 * 1024)), { code: "ENOSPC" });
  files.remove("/tmp/big");
  files.write("/tmp/fits", new Uint8Array(1024 * 1024));
  assert.equal(files.stat("/tmp/fits").size_bytes, 1024 * 1024);
});

/** Tells by its exit code whether a path below one of its directories can be opened. */
function opener(descriptor: number, path: string): Uint8Array {
  const length = new TextEncoder().encode(path).length;
  return assemble({
    code: `
      i32.const ${descriptor} i32.const 1 i32.const 64 i32.const ${length} i32.const 0
      i64.const 0 i64.const 0 i32.const 0 i32.const 16 call path_open call proc_exit`,
    data: { 64: path },
  });
}

test("a program sees only the directories it was given", async () => {
  const { files } = system;
  files.makeDirectory("/tmp/box/inside", { recursive: true });
  files.write("/tmp/box/inside/mine", "x");
  files.write("/tmp/outside", "secret");
  files.makeSymbolicLink("../../outside", "/tmp/box/inside/up");
  files.makeSymbolicLink("/tmp/outside", "/tmp/box/inside/absolute");
  const directories = { "/box": "/tmp/box/inside" };
  const attempt = async (path: string) =>
    (await system.run(started.install("opener", opener(3, path)), [], { directories })).exitCode;
  assert.equal(await attempt("mine"), 0);
  for (const path of [
    "../../outside",
    "../inside/mine",
    "up",
    "absolute",
    "/tmp/outside",
    "..",
    "/",
    "mine/../../x",
  ]) {
    assert.notEqual(await attempt(path), 0, `${path} was opened`);
  }
  const EBADF = 8;
  const none = await system.run(started.install("opener", opener(3, "mine")), [], { directories: {} });
  assert.equal(none.exitCode, EBADF, "without directories there is no descriptor 3");
  const second = await system.run(started.install("opener", opener(4, "mine")), [], { directories });
  assert.equal(second.exitCode, EBADF);
});

test("real programs in a directory of their own", async () => {
  system.files.makeDirectory("/tmp/jail", { recursive: true });
  system.files.write("/tmp/jail/notes.txt", "a\nb\n");
  const directories = { "/": "/tmp/jail", ".": "/tmp/jail" };
  const listing = await system.run("ls", ["/"], { directories });
  assert.equal(listing.stdout, "notes.txt\n", listing.stderr);
  assert.equal((await system.run("cat", ["/notes.txt"], { directories })).stdout, "a\nb\n");
  const escaping = await system.run("cat", ["/../../etc/passwd", "../tmp/outside", "/tmp/outside"], {
    directories,
  });
  assert.notEqual(escaping.exitCode, 0);
  assert.equal(escaping.stdout, "");
});

test("workingDirectory is where relative paths of programs with older C libraries start", async () => {
  system.files.makeDirectory("/tmp/here", { recursive: true });
  const options = { workingDirectory: "/tmp/here" };
  const made = await system.run(
    "sqlite3",
    ["relative.db", "create table t(x); insert into t values (7);"],
    options,
  );
  assert.equal(made.exitCode, 0, made.stderr);
  assert.equal(
    (await system.run("sqlite3", ["/tmp/here/relative.db", "select x from t"], options)).stdout,
    "7\n",
  );
});

test("a program's own options: priority and memory are checked", async () => {
  await assert.rejects(system.spawn("/tmp/exit.wasm", [], { priority: 4 }), RangeError);
  await assert.rejects(system.spawn("/tmp/exit.wasm", [], { priority: 1.5 }), RangeError);
  await assert.rejects(system.spawn("/tmp/exit.wasm", [], { memory_bytes: Number.NaN }), RangeError);
  const { exitCode, message } = await system.run("/tmp/exit.wasm", [], { memory_bytes: 1000 });
  assert.equal(exitCode, 137, message);
});

test("programs of one's own by name, also in place of the catalogue's", async () => {
  const { mkdtempSync, writeFileSync } = await import("node:fs");
  const { join } = await import("node:path");
  const { tmpdir } = await import("node:os");
  const directory = mkdtempSync(join(tmpdir(), "programs-"));
  writeFileSync(join(directory, "mine.wasm"), print("mine\n"));
  const programs = { mine: join(directory, "mine.wasm"), echo: join(directory, "mine.wasm") };
  await using own = await bootForTest({ programs });
  assert.ok(own.system.programNames().includes("mine"));
  assert.equal((await own.system.run("mine")).stdout, "mine\n");
  assert.equal((await own.system.run("echo", ["not this"])).stdout, "mine\n");
  assert.equal((await own.system.run("/bin/mine")).stdout, "mine\n");
});

test("processes spread over kernels when none is named", async () => {
  const kernels = new Set<number>();
  const processes = [];
  for (let n = 0; n < 4; n++) {
    const process = await system.spawn("/tmp/spin.wasm", [], { stdin: "null", stderr: "null" });
    await firstOutput(process);
    kernels.add(process.kernel);
    processes.push(process);
  }
  assert.deepEqual([...kernels].sort(), [0, 1]);
  for (const process of processes) process.kill();
  for (const process of processes) await process.wait();
  await eventually("no load", () => system.kernels().every(({ processes: count }) => count === 0));
});

test("/proc counts the cores of the system, and their idle time", async () => {
  await pause(20);
  const { stdout: cores } = await system.run("cat", ["/proc/cores"]);
  assert.deepEqual(
    cores
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/)[0]),
    ["core", "0", "1"],
  );
  const { stdout: uptime } = await system.run("cat", ["/proc/uptime"]);
  const [up_s, idle_s] = uptime.split(" ").map(Number);
  assert.ok(up_s > 0 && idle_s > 0, uptime);
});

test("the whole system is visible in /proc from both kernels", async () => {
  const process = await system.spawn("/tmp/spin.wasm", [], { kernel: 0, stdin: "null", stderr: "null" });
  await firstOutput(process);
  const { stdout } = await system.run("cat", [`/proc/${process.pid}/status`, "/proc/kernels"], { kernel: 1 });
  assert.match(stdout, new RegExp(`Pid:\\s+${process.pid}\\n`));
  assert.match(stdout, /Kernel:\s+0\n/);
  assert.equal(stdout.match(/running\s+general/g)?.length, 2, stdout);
  process.kill();
  await process.wait();
});

test("bootKernel of a kernel that runs has nothing to do", async () => {
  await system.bootKernel(1);
  assert.equal(system.kernels()[1].state, "running");
});
