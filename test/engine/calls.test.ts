/** System calls that block: the wrapper suspends the context and repeats the call, at no cost to those that do not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCKED, DIED } from "../../src/engine/passes/abi.ts";
import { buildModule } from "./support/module-builder.ts";
import { instantiateInstrumented } from "./support/plain-host.ts";

const preview1 = "wasi_snapshot_preview1";

const reader = buildModule({
  imports: [
    [`${preview1}.fd_read`, "iiii", "i"],
    [`${preview1}.proc_exit`, "i", ""],
    ["other.poll", "", "i"],
    [`${preview1}.clock_res_get`, "ii", "i"],
  ],
  memories: [{}],
  table: [0],
  functions: [
    {
      export: "read",
      params: "i",
      results: "i",
      code: "local.get 0 i32.const 1 i32.const 2 i32.const 3 call 0",
    },
    {
      export: "readIndirect",
      params: "i",
      results: "i",
      code: "local.get 0 i32.const 1 i32.const 2 i32.const 3 i32.const 0 call_indirect 0,0",
    },
    {
      // A program cannot catch its own end, and comes no further than the call.
      export: "exit",
      results: "i",
      code: "try : i32.const 7 call 1 i32.const 0 i32.const 99 i32.store catch_all i32.const 0 i32.const 98 i32.store end i32.const 1",
    },
    { export: "other", results: "i", code: "call 2" },
    { export: "args", results: "i", code: "i32.const 0 i32.const 0 call 3" },
  ],
  exports: [{ name: "rawRead", kind: "function", index: 0 }],
});

function run(answers: readonly number[], hooks: Parameters<typeof instantiateInstrumented>[1] = {}) {
  const calls: number[][] = [];
  const remaining = [...answers];
  const events: string[] = [];
  const instance = instantiateInstrumented(
    reader,
    { suspend: () => events.push("suspend"), die: () => events.push("die"), ...hooks },
    {
      [preview1]: {
        fd_read: (...values: number[]) => {
          calls.push(values);
          events.push("call");
          return remaining.shift() ?? 0;
        },
        proc_exit: () => events.push("exit"),
        clock_res_get: () => BLOCKED,
      },
      other: { poll: () => BLOCKED },
    },
  );
  return { ...instance, calls, events };
}

test("a call that does not block is one call", () => {
  const { exports, events } = run([28]);
  assert.equal(exports.read(5), 28);
  assert.deepEqual(events, ["call"]);
});

for (const name of ["read", "readIndirect"]) {
  test(`a blocked call suspends and is repeated with its arguments (${name})`, async () => {
    const { exports, calls, events } = run([BLOCKED, BLOCKED, 0]);
    assert.equal(await WebAssembly.promising(exports[name])(5), 0);
    assert.deepEqual(events, ["call", "suspend", "call", "suspend", "call"]);
    assert.deepEqual(calls, [
      [5, 1, 2, 3],
      [5, 1, 2, 3],
      [5, 1, 2, 3],
    ]);
  });
}

test("an exported import blocks, too", async () => {
  const { exports, events } = run([BLOCKED, 3]);
  assert.equal(await WebAssembly.promising(exports.rawRead)(1, 2, 3, 4), 3);
  assert.deepEqual(events, ["call", "suspend", "call"]);
});

test("a call that ends the program tells the kernel and traps", () => {
  const { exports, events } = run([DIED]);
  assert.throws(() => exports.read(5), WebAssembly.RuntimeError);
  assert.deepEqual(events, ["call", "die"]);
});

test("proc_exit cannot be caught and does not return", () => {
  const { exports, events, memory } = run([]);
  assert.throws(() => exports.exit(), WebAssembly.RuntimeError);
  assert.deepEqual(events, ["exit", "die"]);
  assert.equal(new Int32Array(memory.buffer)[0], 0);
});

test("calls that never block, and those of other modules, are left alone", () => {
  const { exports } = run([]);
  assert.equal(exports.args(), BLOCKED);
  assert.equal(exports.other(), BLOCKED);
});

test("contexts switch: two programs take turns on one thread", async () => {
  const order: string[] = [];
  const waiting: (() => void)[] = [];
  const start = (name: string): Promise<unknown> => {
    let round = 0;
    const { exports } = instantiateInstrumented(
      reader,
      { suspend: () => new Promise<void>((resolve) => waiting.push(resolve)) },
      {
        [preview1]: {
          fd_read: () => {
            order.push(`${name}${round}`);
            return round++ < 3 ? BLOCKED : 0;
          },
          proc_exit: () => {},
          clock_res_get: () => 0,
        },
        other: { poll: () => 0 },
      },
    );
    return WebAssembly.promising(exports.read)(0);
  };
  const both = Promise.all([start("a"), start("b")]);
  while (order.length < 8) {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await both;
  assert.deepEqual(order, ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]);
});
