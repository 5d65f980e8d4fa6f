/** The command line as a user of the shell meets it: real streams, exit codes, signals, mistakes. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { copy, exitWith, flood, print, sleep, spin } from "./support/programs.ts";
import { temporaryDirectory, within } from "./support/system.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const directory = temporaryDirectory();
/** A home of its own: the user's cache is not for tests. */
const environment = {
  ...process.env,
  XDG_CACHE_HOME: join(directory, "cache"),
  NODE_TEST_CONTEXT: undefined,
};

for (const [name, bytes] of Object.entries({
  copy,
  flood,
  spin,
  exit: exitWith(41),
  print: print("printed\n"),
  nap: sleep(60_000_000_000n),
})) {
  writeFileSync(join(directory, `${name}.wasm`), bytes);
}

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [main, ...args], { cwd: directory, env: environment, stdio: "pipe" });
}

function ended(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  return within(
    60_000,
    "the command line",
    new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))),
  );
}

async function cli(args: readonly string[], input: string | Uint8Array = ""): Promise<Ended> {
  const child = start(args);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  return ended(child);
}

/** Resolves when the child has written a text. */
async function says(child: ChildProcess, text: string): Promise<void> {
  let seen = "";
  await within(
    60_000,
    `"${text}" on standard output`,
    new Promise<void>((resolve) => {
      child.stdout?.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
        if (seen.includes(text)) resolve();
      });
    }),
  );
}

test("sqlite3 answers what comes in a pipe, and nothing else is printed", async () => {
  assert.deepEqual(await cli(["run", "sqlite3"], "select 6*7;"), {
    code: 0,
    signal: null,
    stdout: "42\n",
    stderr: "",
  });
});

test("the exit code is the program's", async () => {
  assert.equal((await cli(["run", "exit.wasm"])).code, 41);
  assert.equal((await cli(["run", "python3", "-c", "import sys; sys.exit(7)"])).code, 7);
  const failing = await cli(["run", "python3", "-c", "boom"]);
  assert.equal(failing.code, 1);
  assert.match(failing.stderr, /NameError/);
});

test("input and output of megabytes pass unchanged", async () => {
  const input = Buffer.alloc(5_000_000);
  for (let at = 0; at < input.length; at++) input[at] = (at * 7 + (at >> 9)) & 0x7f;
  const { code, stdout } = await cli(["run", "--kernel", "1", "copy.wasm"], input);
  assert.equal(code, 0);
  assert.ok(Buffer.from(stdout).equals(input), `${stdout.length} of ${input.length} bytes came back`);
});

test("arguments are the program's own, options included", async () => {
  const { stdout, stderr } = await cli(["run", "--env", "X=a b", "printenv", "X"]);
  assert.equal(stdout, "a b\n", stderr);
  const echoed = await cli(["run", "echo", "--kernel", "1", "two  words", ""]);
  assert.equal(echoed.stdout, "--kernel 1 two  words \n");
});

test("a host directory that is mounted", async () => {
  mkdirSync(join(directory, "shared"), { recursive: true });
  writeFileSync(join(directory, "shared", "from-host"), "hello");
  const read = await cli(["run", "--mount", "/work=shared", "cat", "/work/from-host"]);
  assert.deepEqual([read.code, read.stdout], [0, "hello"], read.stderr);
  const written = await cli(["run", "--mount", "/work=shared", "cp", "/work/from-host", "/work/copied"]);
  assert.equal(written.code, 0, written.stderr);
  assert.equal(readFileSync(join(directory, "shared", "copied"), "utf8"), "hello");
  const refused = await cli(["run", "--mount", "/work=shared:ro", "cp", "/work/from-host", "/work/refused"]);
  assert.notEqual(refused.code, 0);
});

test("mistakes on the command line: exit code 2 and one line that says what is wrong", async () => {
  const cases: [string[], RegExp][] = [
    [["jump"], /jump/],
    [["run"], /which program/],
    [["run", "--kernel"], /kernel/],
    [["run", "--kernel", "x", "true"], /kernel.*"x"/],
    [["run", "--kernel", "99", "true"], /kernel 99/],
    [["run", "--frobnicate", "true"], /frobnicate/],
    [["run", "--cores", "0", "true"], /cores/],
    [["run", "--preset", "none", "true"], /--preset none: there are multikernel/],
    [["run", "--machine", "none", "true"], /--machine none: there are host, omap4/],
    [["run", "--preset", "k2", "--cores", "3", "true"], /--cores 3: the machine omap4 has 2/],
    [["run", "--place", "files=nowhere", "true"], /--place files=nowhere: .*shadowed or proxied/],
    [["run", "--mount", "work", "true"], /--mount/],
    [["run", "--mount", "/work=/nowhere", "true"], /nowhere/],
    [["run", "--root", "/nowhere.img", "true"], /nowhere/],
    [["run", "./absent.wasm"], /absent\.wasm/],
    [["run", "--env", "novalue", "true"], /--env/],
  ];
  for (const [args, reason] of cases) {
    const { code, stdout, stderr } = await cli(args);
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, reason, args.join(" "));
    assert.equal(stdout, "", args.join(" "));
    assert.ok(!/\n\s+at /.test(stderr), `${args.join(" ")} shows a stack trace: ${stderr}`);
  }
});

test("a program that does not exist: 127 as in a shell, and its name on standard error", async () => {
  const { code, stderr } = await cli(["run", "no-such-program"]);
  assert.equal(code, 127);
  assert.match(stderr, /no-such-program/);
});

test("a program that traps: 128 and the signal, and the trap on standard error", async () => {
  writeFileSync(join(directory, "empty.wasm"), "");
  const bad = await cli(["run", "empty.wasm"]);
  assert.equal(bad.code, 126);
  assert.match(bad.stderr, /empty\.wasm/);
});

test("help is help", async () => {
  const { code, stdout } = await cli(["--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /--kernel N/);
});

test("signals to the command line go to the program, which ends like by a signal", async () => {
  for (const [signal, number] of [
    ["SIGTERM", 15],
    ["SIGINT", 2],
    ["SIGHUP", 1],
  ] as const) {
    const child = start(["run", "spin.wasm"]);
    const end = ended(child);
    await says(child, "on\n");
    child.kill(signal);
    const { code } = await end;
    assert.equal(code, 128 + number, signal);
  }
});

test("a program that still waits for input ends when it is told to", async () => {
  const child = start(["run", "nap.wasm"]);
  const end = ended(child);
  await says(child, "on\n");
  child.kill("SIGTERM");
  assert.equal((await end).code, 143);
});

test("output that nobody reads any more ends the program", async () => {
  const child = start(["run", "flood.wasm"]);
  const end = ended(child);
  await within(60_000, "output", new Promise((resolve) => child.stdout?.once("data", resolve)));
  child.stdout?.destroy();
  // EPIPE of the write that failed.
  assert.equal((await end).code, 64);
});

test("a program that ends before it has read everything leaves the rest unread", async () => {
  const { code } = await cli(["run", "exit.wasm"], "x".repeat(3_000_000));
  assert.equal(code, 41);
});

test("the prompt runs lines from a pipe: programs, pipelines over kernels, ps", async () => {
  const script = [
    "echo one",
    "@0 printf 'b\\na\\nb\\n' | @1 grep b | @0 wc -l",
    "ps",
    "kernels",
    "false",
    "nonsense-program",
    "echo after",
    "exit",
    "echo never",
  ].join("\n");
  const { code, stdout, stderr } = await cli(["start"], script);
  assert.match(stdout, /2 kernels|kernels on/);
  assert.match(stdout, /one\n/);
  assert.match(stdout, /^\s*2$/m);
  assert.match(stdout, /PID/);
  assert.match(stdout, /KERNEL/);
  assert.match(stderr, /nonsense-program/);
  assert.match(stdout, /after\n/);
  assert.ok(!stdout.includes("never"));
  assert.equal(code, 0);
});

test("the prompt starts programs in the background, moves them, and brings them back from a file", async () => {
  const script = [
    "@0 spin.wasm &",
    "migrate 1 1",
    "ps",
    "checkpoint 1 /spin.ckpt",
    "kill 1 9",
    "wait 1",
    "restore /spin.ckpt &",
    "ps",
    "kill 2 15",
    "wait",
    "wait 2",
    "spin.wasm & ls",
    "exit",
    "",
  ].join("\n");
  const { stdout, stderr } = await cli(["start"], script);
  assert.match(stdout, /^started 1$/m);
  assert.match(stdout, /^1 +1 +1 +\w+ +yes .*spin\.wasm$/m, "it runs on kernel 1");
  assert.match(stdout, /^\/spin\.ckpt: [\d.]+ MB; process 1 stood still for [\d.]+ ms$/m);
  assert.match(stdout, /^started 2$/m);
  assert.match(stdout, /^2 +\d .*spin\.wasm$/m, "the second ps shows what was restored");
  assert.match(stderr, /^process 1: ended by signal 9$/m);
  assert.match(stderr, /^process 2: ended by signal 15$/m);
  assert.match(stderr, /^wait: no process 2 /m);
  assert.match(stderr, /& ends a line/);
});

test("the end of input ends the prompt", async () => {
  const { code, stdout } = await cli([], "");
  assert.equal(code, 0);
  assert.match(stdout, /kernel 0/);
});

const noScript =
  spawnSync("script", ["-qec", "true", "/dev/null"]).status === 0
    ? false
    : "needs script: install the package bsdutils";

/** Runs the command line on a terminal of its own, types lines and gives what was on the screen. */
async function onTerminal(args: readonly string[], lines: readonly string[]): Promise<Ended> {
  const quoted = [process.execPath, main, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const child = spawn("script", ["-qec", quoted.join(" "), "/dev/null"], {
    cwd: directory,
    env: environment,
    stdio: "pipe",
  });
  const end = ended(child);
  let screen = "";
  child.stdout?.on("data", (text) => {
    screen += text;
  });
  child.stdin?.on("error", () => undefined);
  for (const line of lines) {
    // Each line answers a prompt.
    const before = screen.length;
    while (!screen.slice(before === 0 ? 0 : before - 2).includes("> "))
      await new Promise((resolve) => setTimeout(resolve, 10));
    child.stdin?.write(line);
  }
  return end;
}

test("on a terminal, programs know that they are, and what they print is on the screen", {
  skip: noScript,
}, async () => {
  const ask = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty()); sys.exit(5)";
  const { code, stdout } = await onTerminal(["run", "python3", "-c", ask], []);
  assert.match(stdout, /True True True/);
  assert.equal(code, 5);
});

test("on a terminal, lines that are typed reach the program, and Ctrl-D is the end of file", {
  skip: noScript,
}, async () => {
  const code =
    "while True:\n  try: line = input('name> ')\n  except EOFError: break\n  print('hello', line.upper())\nprint('bye')";
  const result = await onTerminal(
    ["run", "--kernel", "1", "python3", "-c", code],
    ["ada\n", "grace\n", "\x04"],
  );
  assert.match(result.stdout, /hello ADA/);
  assert.match(result.stdout, /hello GRACE/);
  assert.match(result.stdout, /bye/);
  assert.equal(result.code, 0);
});

test("on a terminal, Ctrl-C ends the program by SIGINT", { skip: noScript }, async () => {
  const result = await onTerminal(["run", "python3", "-c", "input('wait> ')"], ["\x03"]);
  assert.equal(result.code, 130, result.stdout);
});

test("on a terminal, a pipe into the program and the screen for its output", { skip: noScript }, async () => {
  const words = [process.execPath, main, "run", "sqlite3"].join(" ");
  const child = spawn("script", ["-qec", `echo 'select 6*7;' | ${words}`, "/dev/null"], {
    cwd: directory,
    env: environment,
    stdio: "pipe",
  });
  const { code, stdout } = await ended(child);
  assert.equal(stdout, "42\r\n");
  assert.equal(code, 0);
});
