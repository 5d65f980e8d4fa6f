/** When long-running programs are entered anew in place, and that it changes nothing but their speed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HotFrames } from "../../src/kernel/hot-frames.ts";
import { assemble } from "../system/support/assembler.ts";
import { bootForTest, eventually, textOf } from "../system/support/system.ts";

test("re-entries come in pairs, at growing intervals, and never for a process that cannot be captured", () => {
  const hot = new HotFrames(1_000);
  const gaps: number[] = [];
  let now_ns = 1_000;
  for (let n = 0; n < 24; n++) {
    gaps.push((hot.due_ns - now_ns) / 1e6);
    now_ns = hot.due_ns;
    hot.entered(now_ns, 2_000);
  }
  assert.deepEqual(gaps.slice(0, 8), [20, 25, 200, 25, 400, 25, 800, 25]);
  assert.equal(Math.max(...gaps), 5_000);
  const never = new HotFrames(Infinity);
  never.entered(5e9, 2_000);
  assert.equal(never.due_ns, Infinity);
});

test("deep stacks are entered anew less often", () => {
  const hot = new HotFrames(0);
  hot.entered(hot.due_ns, 1_000_000);
  assert.equal(hot.due_ns, 20e6 + 1e9);
});

/** Counts to 600 million in one call, with a result that depends on every step, and writes its eight bytes. */
const counter = assemble({
  locals: "il",
  code: `
    loop
      local.get 1 i64.const 6364136223846793005 i64.mul i64.const 1442695040888963407 i64.add local.set 1
      local.get 0 i32.const 1 i32.add local.tee 0
      i32.const 600000000 i32.lt_u br_if 0
    end
    i32.const 1024 local.get 1 i64.store
    i32.const 0 i32.const 1024 i32.store
    i32.const 4 i32.const 8 i32.store
    i32.const 1 i32.const 0 i32.const 1 i32.const 8 call fd_write drop`,
});

test("a long call is entered anew in place, and computes the same", async () => {
  const results: string[] = [];
  for (const hotFrames of [false, true]) {
    await using started = await bootForTest({ hotFrames });
    const path = started.install("counter", counter);
    const { system } = started;
    const process = await system.spawn(path, [], { kernel: 1, stdin: "null", stderr: "null" });
    results.push(Buffer.from(await textOf(process.stdout)).toString("hex"));
    assert.equal((await process.wait()).exitCode, 0);
  }
  assert.equal(results[0], results[1]);
});

test("python computes the same with and without re-entries", async () => {
  const program = "s = 0\nfor i in range(1500000): s = (s * 31 + i) % 1000003\nprint(s)";
  for (const hotFrames of [false, true]) {
    await using started = await bootForTest({ hotFrames });
    const { stdout } = await started.system.run("python3", ["-c", program], { kernel: 1 });
    assert.equal(stdout, "307811\n");
  }
});

test("a process alone on its core is entered anew: the timer rings for it", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const path = started.install("counter", counter);
  const process = await system.spawn(path, [], { kernel: 1, stdin: "null", stdout: "null", stderr: "null" });
  const before = system.kernels()[1].interrupts;
  await eventually("its core is interrupted", () => system.kernels()[1].interrupts >= before + 2);
  process.kill();
  await process.wait();
});
