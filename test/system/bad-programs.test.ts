/** Programs that are damaged, fail or want too much: they end, with a reason; nobody else notices. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Archipelago, ExitStatus, Process } from "../../src/index.ts";
import { assemble } from "./support/assembler.ts";
import { copy, exitWith, print, spin } from "./support/programs.ts";
import {
  assertSameUsage,
  bootForTest,
  firstOutput,
  pause,
  type TestSystem,
  within,
} from "./support/system.ts";

let started: TestSystem;
let system: Archipelago;
/** Busy on both kernels from the first test to the last. */
let neighbours: Process[];

before(async () => {
  started = await bootForTest();
  system = started.system;
  const path = started.install("spin", spin);
  neighbours = [];
  for (const kernel of [0, 1]) {
    const neighbour = await system.spawn(path, [], { kernel, stdin: "null", stderr: "null" });
    await firstOutput(neighbour);
    neighbours.push(neighbour);
  }
});
after(async () => {
  for (const neighbour of neighbours) {
    assert.notEqual(neighbour.kernel, -1, "a neighbour ended");
    neighbour.kill();
    assert.equal((await neighbour.wait()).exitCode, 137);
  }
  await started[Symbol.asyncDispose]();
});

/** The end of a program that may well loop for ever: it is killed after some time. A kernel must be able to do that. */
async function endWithin(limit_ms: number, process: Process, what: string): Promise<ExitStatus> {
  let ended = false;
  const killing = pause(limit_ms).then(() => ended || process.kill(9));
  const status = await within(20_000, what, process.wait());
  ended = true;
  await killing;
  return status;
}

async function outcome(bytes: Uint8Array, options: Parameters<Archipelago["run"]>[2] = {}) {
  const path = started.install("candidate", bytes);
  return within(15_000, "a bad program", system.run(path, [], options));
}

test("files that are no modules cannot be started, and the message says why", async () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /WebAssembly|empty/],
    ["text", new TextEncoder().encode("#!/bin/sh\necho hello\n"), /WebAssembly/],
    ["only a header", new Uint8Array(header), /_start/],
    ["wrong version", new Uint8Array([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), /version|WebAssembly/],
    ["cut off", print("hello").subarray(0, 60), /malformed/],
    [
      "section of excessive length",
      new Uint8Array([...header, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
      /malformed/,
    ],
    ["type error", assemble({ code: "i64.const 1 i32.eqz drop" }), /malformed|type/],
    ["no entry point", assemble({ code: "", entry: "main" }), /_start/],
  ];
  for (const [what, bytes, reason] of cases) {
    const { exitCode, signal, message, stdout } = await outcome(bytes);
    assert.deepEqual([exitCode, signal, stdout], [126, 0, ""], `${what}: ${message}`);
    assert.match(message, reason, what);
    assert.match(message, /candidate/, "the message names the program");
  }
});

test("a program that is not there, is a directory or may not be executed", async () => {
  system.files.write("/tmp/plain", exitWith(0), 0o644);
  const code = async (path: string) => {
    const { exitCode, message } = await system.run(path);
    assert.match(message, new RegExp(path), "the message names the path");
    return exitCode;
  };
  assert.equal(await code("/tmp/absent"), 127);
  assert.equal(await code("/tmp/absent/deeper"), 127);
  assert.equal(await code("/tmp"), 126);
  assert.equal(await code("/tmp/plain"), 126);
  const { exitCode } = await system.run("no-such-program");
  assert.equal(exitCode, 127);
});

test("every import that is missing is named", async () => {
  const { exitCode, message } = await outcome(
    assemble({ code: "", imports: ["env.one", "wasi_snapshot_preview1.unheard_of", "host.two"] }),
  );
  assert.equal(exitCode, 126);
  for (const name of ["env.one", "host.two"]) assert.ok(message.includes(name), message);
});

test("traps end a program like signals, with the name of the trap", async () => {
  const cases: [string, string, number, RegExp][] = [
    ["unreachable", "unreachable", 6, /unreachable/],
    ["division by zero", "i32.const 1 i32.const 0 i32.div_s drop", 8, /divide by zero/],
    ["remainder by zero", "i64.const 1 i64.const 0 i64.rem_u drop", 8, /by zero/],
    ["overflow", "i32.const -2147483648 i32.const -1 i32.div_s drop", 8, /overflow/],
    ["load outside", "i32.const 65536 i32.load drop", 11, /out of bounds/],
    ["load far outside", "i32.const -1 i32.load offset=4294967295 drop", 11, /out of bounds/],
    ["store outside", "i32.const 65533 i32.const 1 i32.store", 11, /out of bounds/],
    ["endless recursion", "call self", 11, /stack/],
  ];
  for (const [what, code, signal, reason] of cases) {
    const result = await outcome(assemble({ code }));
    assert.deepEqual([result.exitCode, result.signal], [128 + signal, signal], `${what}: ${result.message}`);
    assert.match(result.message, reason, what);
  }
});

test("a trap outside of memory does not touch what lies there", async () => {
  // The last byte inside can be written; nothing of a store that straddles the end is.
  const result = await outcome(
    assemble({
      code: `
        i32.const 65535 i32.const 1 i32.store8
        i32.const 65535 i32.load8_u i32.const 1 i32.ne if i32.const 9 call proc_exit end
        i32.const 65534 i64.const -1 i64.store`,
    }),
  );
  assert.equal(result.exitCode, 139, result.message);
});

test("deep recursion of an ordinary depth works", async () => {
  const { exitCode, message } = await outcome(
    assemble({
      locals: "i",
      code: `
        i32.const 16 i32.load local.tee 0 i32.const 8000 i32.ge_u if return end
        i32.const 16 local.get 0 i32.const 1 i32.add i32.store call self`,
    }),
  );
  assert.equal(exitCode, 0, message);
});

test("memory: too much at the start is refused, growing stops at the limit, and the rest works", async () => {
  const megabyte = 1024 * 1024;
  const large = await outcome(assemble({ code: "", memory: { initial: 1024 } }), {
    memory_bytes: 32 * megabyte,
  });
  assert.equal(large.exitCode, 137, large.message);
  assert.match(large.message, /1024 pages.*512/);

  // Grows page by page until it is refused, checks that all of it can be written, and tells the pages.
  const growing = assemble({
    locals: "i",
    code: `
      loop i32.const 1 memory.grow i32.const -1 i32.ne br_if 0 end
      memory.size i32.const 65536 i32.mul i32.const 4 i32.sub i32.const 7 i32.store
      i32.const 1024 memory.size i32.store
      i32.const 0 i32.const 1024 i32.store i32.const 4 i32.const 4 i32.store
      i32.const 1 i32.const 0 i32.const 1 i32.const 8 call fd_write call proc_exit`,
  });
  const grown = await outcome(growing, { memory_bytes: 5 * megabyte });
  assert.equal(grown.exitCode, 0, grown.message);
  assert.equal(new DataView(new TextEncoder().encode(grown.stdout).buffer).getUint32(0, true), 80);

  // Its own maximum is lower than the limit.
  const modest = await outcome(
    assemble({
      code: "i32.const 3 memory.grow i32.const 4 memory.grow i32.eq call proc_exit",
      memory: { initial: 1, maximum: 4 },
    }),
    { memory_bytes: 5 * megabyte },
  );
  assert.equal(modest.exitCode, 0, "1 + 3 pages fit, 4 more do not: 1 and −1 differ");
  const huge = await outcome(
    assemble({ code: "i32.const 65536 memory.grow i32.const -1 i32.ne call proc_exit" }),
  );
  assert.equal(huge.exitCode, 0, "growing beyond 4 GiB is refused");
});

test("a file that was replaced runs as what it is now", async () => {
  // Same path, same size, and so soon after that the time of change may be the same.
  for (let code = 10; code < 40; code++) {
    const path = started.install("replaced", exitWith(code));
    const { exitCode } = await system.run(path, [], { kernel: code & 1 });
    assert.equal(exitCode, code, "the content before the last write ran");
  }
});

test("random damage to a small program never harms the system", async () => {
  // Every byte of a program that reads and writes, changed in turn, and some changed many times.
  const original = copy;
  const before = system.usage();
  const seed = 20261121;
  let state = seed;
  const random = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const outcomes = new Map<number, number>();
  const candidates: Uint8Array[] = [];
  for (let at = 8; at < original.length; at++) {
    const changed = original.slice();
    changed[at] ^= 1 << random(8);
    candidates.push(changed);
  }
  for (let n = 0; n < 150; n++) {
    const changed = original.slice(0, random(4) === 0 ? 8 + random(original.length - 8) : original.length);
    for (let times = 1 + random(8); times > 0; times--) changed[8 + random(changed.length - 8)] = random(256);
    candidates.push(changed);
  }
  let next = 0;
  const worker = async (kernel: number) => {
    while (next < candidates.length) {
      const n = next++;
      const path = started.install(`mutant-${kernel}`, candidates[n]);
      const process = await system.spawn(path, [], {
        kernel: kernel & 1,
        stdin: "null",
        stdout: "null",
        stderr: "null",
        memory_bytes: 1 << 24,
      });
      const status = await endWithin(60, process, `mutant ${n} of seed ${seed}`);
      outcomes.set(status.exitCode, (outcomes.get(status.exitCode) ?? 0) + 1);
      assert.notEqual(
        status.signal,
        31,
        `mutant ${n} of seed ${seed} made a system call fail inside: ${status.message}`,
      );
    }
  };
  await Promise.all([worker(0), worker(1), worker(2), worker(3)]);
  const summary = JSON.stringify(Object.fromEntries(outcomes));
  assert.ok((outcomes.get(126) ?? 0) > 50, `few were refused: ${summary}`);
  assert.ok((outcomes.get(0) ?? 0) > 10, `few still worked: ${summary}`);
  for (let kernel = 0; kernel < 4; kernel++) system.files.remove(`/tmp/mutant-${kernel}.wasm`);
  await assertSameUsage(system, before, "mutants");
});

test("random damage to real programs never harms the system", async () => {
  const files = ["true", "echo", "head"].map((name) => system.files.read(`/bin/${name}`));
  let state = 4711;
  const random = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  for (let n = 0; n < 24; n++) {
    const changed = files[n % files.length].slice();
    for (let times = 1 + random(20); times > 0; times--)
      changed[8 + random(changed.length - 8)] = random(256);
    const path = started.install("mutant", changed);
    const process = await system.spawn(path, ["x"], {
      kernel: n & 1,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    const status = await endWithin(500, process, `mutant ${n}`);
    assert.notEqual(status.signal, 31, `mutant ${n}: ${status.message}`);
  }
  assert.equal((await system.run("echo", ["fine"])).stdout, "fine\n");
});
