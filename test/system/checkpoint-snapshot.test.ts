/** Warm starts: programs that are run until they are ready, kept, and started from there. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Process } from "../../src/index.ts";
import { copy, print } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  eventually,
  temporaryDirectory,
  textOf,
  within,
} from "./support/system.ts";

const file = "/tmp/warm";

async function outputOf(process: Process, input = ""): Promise<string> {
  assert.ok(process.stdin !== null);
  const writer = process.stdin.getWriter();
  if (input !== "") await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const [output, errors, { exitCode }] = await Promise.all([
    textOf(process.stdout),
    textOf(process.stderr),
    process.wait(),
  ]);
  assert.deepEqual([errors, exitCode], ["", 0]);
  return output;
}

test("python3 that waits for its script is ready; it runs whatever comes, each time afresh", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const summary = await system.snapshot(file, "python3");
  assert.deepEqual([summary.stdout, summary.stderr], ["", ""]);
  assert.deepEqual(system.processes(), []);
  assert.equal(await outputOf(await system.restore(file), "x = 6 * 7\nprint(x)\n"), "42\n");
  const script = "import json\nprint('x' in globals(), json.dumps([1]))\n";
  assert.equal(await outputOf(await system.restore(file), script), "False [1]\n");
});

test("arguments and variables that are asked for afterwards are the new ones", async () => {
  await using started = await bootForTest();
  const { system } = started;
  await system.snapshot(file, "echo", ["old"], { at: "call:args_sizes_get" });
  assert.equal(await outputOf(await system.restore(file)), "old\n");
  assert.equal(await outputOf(await system.restore(file, { arguments: ["new", "ones"] })), "new ones\n");
  await system.snapshot(file, "printenv", [], {
    at: "call:environ_sizes_get",
    environment: { A: "1", B: "2" },
  });
  const output = await outputOf(await system.restore(file, { environment: { B: "3", C: "4" } }));
  const lines = output.split("\n");
  for (const line of ["A=1", "B=3", "C=4"]) assert.ok(lines.includes(line), output);
  assert.ok(!lines.includes("B=2"), output);
});

test("a program is ready before it opens a file, after it has printed a text, or at a certain call", async () => {
  await using started = await bootForTest();
  const { system } = started;
  system.files.write("/tmp/script.py", "print('first')\n");
  await system.snapshot(file, "python3", ["/tmp/script.py"], { at: "open:script.py" });
  system.files.write("/tmp/script.py", "print('second')\n");
  assert.equal(await outputOf(await system.restore(file)), "second\n");

  const script = "print('loading')\nprint('ready', flush=True)\nfor n in range(3): print(n)\n";
  system.files.write("/tmp/script.py", script);
  const { stdout } = await system.snapshot(file, "python3", ["/tmp/script.py"], { at: "output:ready" });
  assert.equal(stdout, "loading\nready\n");
  assert.equal(await outputOf(await system.restore(file)), "0\n1\n2\n");

  system.files.write("/tmp/text", "one\n");
  await system.snapshot(file, "cat", ["/tmp/text"], { at: "call:fd_write:1" });
  system.files.write("/tmp/text", "two\n");
  const restored = await system.restore(file, { acceptChangedFiles: true });
  assert.match(await outputOf(restored), /^one\n/);
});

test("a program that never gets there says so, and nothing is left", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const path = started.install("print", print("hello\n"));
  for (const kernel of [0, 1]) await system.run(path, [], { kernel });
  const usage = system.usage();
  await assert.rejects(system.snapshot(file, path), {
    name: "CheckpointError",
    message: `${path} ended with exit code 0 before it came to the point "input"; give it arguments with which it gets there, or name another point`,
  });
  await assert.rejects(system.snapshot(file, "no-such-program"), /exit code 127 .*there is no such program/);
  await assert.rejects(system.snapshot(file, path, [], { at: "tomorrow" }), RangeError);
  assert.ok(!system.files.exists(file));
  await assertSameUsage(system, usage, "snapshots that failed");
});

const command = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** The user's own is not for tests. */
const cache = temporaryDirectory();

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], cwd: string) {
  const child = spawn(process.execPath, [command, ...args], {
    cwd,
    env: { ...process.env, XDG_CACHE_HOME: cache, NODE_TEST_CONTEXT: undefined },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Result>((resolve) =>
    child.on("close", (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended, output: () => stdout };
}

function runCommand(args: readonly string[], cwd: string, input = ""): Promise<Result> {
  const { child, ended } = start(args, cwd);
  child.stdin.end(input);
  return within(60_000, args.join(" "), ended);
}

test("the command line makes a snapshot, runs from it, and refuses a damaged one", async () => {
  const directory = temporaryDirectory();
  const made = await runCommand(["snapshot", "--out", "sql.warm", "sqlite3"], directory);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /^sql\.warm: \d+\.\d MB, \d+ pages/);
  const ran = await runCommand(["run", "--from", "sql.warm"], directory, "select 6 * 7;\n");
  assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, "42\n", ""]);
  const bytes = readFileSync(join(directory, "sql.warm"));
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(join(directory, "bad"), bytes);
  const refused = await runCommand(["run", "--from", "bad"], directory);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^archipelago: .*the checkpoint is damaged: .*take the checkpoint again\n$/);
  const missing = await runCommand(["run", "--from", "nothing"], directory);
  assert.match(missing.stderr, /^archipelago: nothing: there is no such file/);
  const unnamed = await runCommand(["snapshot", "sqlite3"], directory);
  assert.match(unnamed.stderr, /^archipelago: snapshot: give the file to write, with --out FILE\n/);
});

test("the prompt restores a process, from a directory of the host", async () => {
  const directory = temporaryDirectory();
  {
    await using started = await bootForTest({ mounts: { "/host": directory } });
    const { system } = started;
    const script = 'BEGIN { print "ready"; fflush(); print "and on" }';
    const { stdout } = await system.snapshot("/host/kept", "awk", [script], { at: "output:ready" });
    assert.equal(stdout, "ready\n");
  }
  const lines = "restore /host/kept\nrestore /host/nothing\ncheckpoint 99 /host/x\nrestore\n";
  const { stdout, stderr } = await runCommand(["start", "--mount", `/host=${directory}`], directory, lines);
  assert.match(stdout, /and on\n/);
  assert.doesNotMatch(stdout, /ready/);
  assert.equal(
    stderr,
    "/host/nothing: ENOENT\nprocess 99 cannot be written to a checkpoint: there is no such process, or it has ended\nrestore FILE\n",
  );
});

test("the command line writes a running program at SIGUSR2, and goes on from there", async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "copy.wasm"), copy);
  const { child, ended, output } = start(["run", "--checkpoint", "kept", "copy.wasm"], directory);
  child.stdin.write("one\n");
  await eventually("the first line", () => output() === "one\n", 60_000);
  child.kill("SIGUSR2");
  await eventually("the checkpoint", () => existsSync(join(directory, "kept")), 60_000);
  copyFileSync(join(directory, "kept"), join(directory, "again"));
  child.stdin.end("two\n");
  assert.deepEqual(await within(60_000, "the end", ended), { code: 0, stdout: "one\ntwo\n", stderr: "" });
  const ran = await runCommand(["run", "--from", "again"], directory, "three\n");
  assert.deepEqual(ran, { code: 0, stdout: "three\n", stderr: "" });
});
