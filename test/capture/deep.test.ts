/** Deep stacks: what runs undisturbed also goes on after a capture, whose frames are in baseline code at first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { enlargeStacks } from "../../src/machine/host/v8-settings.ts";
import { buildModule } from "../engine/support/module-builder.ts";
import { captureOnceAt, moves, undisturbed } from "./support/disturbance.ts";
import { loadProgram, runDisturbed, runPlain } from "./support/drive.ts";

enlargeStacks();

/** Adds up the numbers to `depth` by recursion. The deepest call waits. */
function recursion(depth: number, locals = ""): Uint8Array<ArrayBuffer> {
  return buildModule({
    imports: [["wasi_snapshot_preview1.sched_yield", "", "i"]],
    memories: [{}],
    functions: [
      { export: "_start", code: `i32.const 0 i32.const ${depth} call 2 i32.store` },
      {
        params: "i",
        results: "i",
        locals,
        code: `local.get 0 i32.eqz if :i call 0 else local.get 0 i32.const 1 i32.sub call 2 local.get 0 i32.add end`,
      },
    ],
  });
}

// Found here: stacks of a thread's size hold 10,000 frames in optimised code, and not 5,000 that were resumed.
for (const depth of [10, 100, 1000, 5000, 10_000]) {
  test(`${depth} frames are captured and resumed`, async () => {
    const bytes = recursion(depth);
    const expected = runPlain(bytes);
    assert.equal(expected.end, "returned");
    const program = loadProgram(bytes);
    const { polls } = await runDisturbed(program, undisturbed());
    for (const move of moves) {
      for (const at of new Set([1, Math.ceil(polls / 2), polls])) {
        const { outcome, captures } = await runDisturbed(program, captureOnceAt(at, move));
        assert.deepEqual(outcome, expected, `${move}, at poll ${at} of ${polls}`);
        assert.equal(captures, Math.min(1, polls));
      }
    }
  });
}

test("frames of many values are captured and resumed", async () => {
  const bytes = recursion(1000, "ilfd".repeat(25));
  const program = loadProgram(bytes);
  const expected = runPlain(bytes);
  const { polls } = await runDisturbed(program, undisturbed());
  const { outcome, frames_bytes_max } = await runDisturbed(program, captureOnceAt(polls, "fresh instance"));
  assert.deepEqual(outcome, expected);
  assert.ok(frames_bytes_max > 500_000, `${frames_bytes_max} bytes of frames`);
});

// A stack may run out in the middle of an unwinding or a resumption only if it ran out before.
test("a recursion without end overflows the stack in the same way after captures", async () => {
  const bytes = buildModule({ memories: [{}], functions: [{ export: "_start", code: "call 0" }] });
  const program = loadProgram(bytes);
  const { outcome, captures } = await runDisturbed(program, captureOnceAt(500, "fresh instance"));
  assert.equal(outcome.end, "trapped: stack overflow");
  assert.equal(captures, 1);
});
