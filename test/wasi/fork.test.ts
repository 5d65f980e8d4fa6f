/** `proc_fork`, `proc_join` and `proc_parent`: arguments, results, and how they wait. Offsets are the C header's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { BLOCKED, DIED } from "../../src/kernel/wait.ts";
import { Harness, lastWord } from "./harness.ts";

const nonBlocking = 1;
const call = (h: Harness, name: string, ...values: number[]) => h.callIn("wasix_32v1", name, ...values);

/** Room for an option (tag at 0, pid at 4) and a status (tag at 0, code at 2, signal at 4), filled with rubbish. */
function joining(h: Harness, pid: number): { option: number; status: number } {
  const option = h.room(8);
  const status = h.room(6);
  h.process.bytes.fill(0xee, status, status + 6);
  h.view.setUint8(option, pid === 0 ? 0 : 1);
  h.view.setUint32(option + 4, pid, true);
  return { option, status };
}

test("fork gives the pid, or 0, or why there is no child", () => {
  const h = new Harness();
  const at = h.room(4);
  const copies: boolean[] = [];
  for (const result of [4712, 0, -errno.AGAIN, -errno.NOMEM, -errno.NOTSUP]) {
    h.view.setUint32(at, 99, true);
    h.process.fork = (copy) => {
      copies.push(copy);
      return result;
    };
    assert.equal(call(h, "proc_fork", 1, at), result < 0 ? -result : 0);
    assert.equal(h.u32(at), result < 0 ? 99 : result);
  }
  assert.equal(call(h, "proc_fork", 0, lastWord), errno.NOTSUP);
  assert.deepEqual(copies, [true, true, true, true, true, false]);
  h.process.fork = () => assert.fail("there is no room for the result");
  assert.equal(call(h, "proc_fork", 1, lastWord + 1), errno.FAULT);
  assert.equal(call(h, "proc_fork", 1, -1), errno.FAULT);
  h.close();
});

test("fork waits, is repeated, and gives up when the process ends", () => {
  const h = new Harness();
  const queue = h.areas.waitQueues.allocate(1);
  Object.assign(h.process, { childQueue: queue });
  const at = h.room(4);
  h.process.fork = () => undefined;
  assert.equal(call(h, "proc_fork", 0, at), BLOCKED);
  assert.equal(h.areas.threads.records.deadline_ns(h.thread), Infinity);
  h.waits.wake(queue);
  assert.deepEqual(h.woken, [h.thread]);
  h.process.fork = () => 5;
  assert.equal(call(h, "proc_fork", 0, at), 0);
  assert.equal(h.areas.threads.records.waitersLinked(h.thread), 0);
  h.process.fork = () => undefined;
  assert.equal(call(h, "proc_fork", 1, at), BLOCKED);
  h.dying = true;
  assert.equal(call(h, "proc_fork", 1, at), DIED);
  h.close();
});

test("join says which child ended, and how", () => {
  const h = new Harness();
  for (const [wanted, exitCode, signal, expected] of [
    [0, 7, 0, [1, 7]],
    [4712, 255, 0, [1, 255]],
    [0, 137, 9, [2, 137, 9]],
  ] as const) {
    const { option, status } = joining(h, wanted);
    h.process.join = (pid, into) => {
      assert.equal(pid, wanted);
      Object.assign(into, { pid: 4712, exitCode, signal });
      return 1;
    };
    assert.equal(call(h, "proc_join", option, 0, status), 0);
    assert.deepEqual([h.u8(option), h.u32(option + 4)], [1, 4712]);
    const found = [h.u8(status), h.u16(status + 2)];
    assert.deepEqual(signal === 0 ? found : [...found, h.u8(status + 4)], expected);
  }
  h.close();
});

test("join waits, unless it must not", () => {
  const h = new Harness();
  const queue = h.areas.waitQueues.allocate(1);
  Object.assign(h.process, { childQueue: queue });
  h.process.join = () => 0;
  for (const [wanted, named] of [
    [0, 0],
    [4712, 4712],
  ]) {
    const { option, status } = joining(h, wanted);
    assert.equal(call(h, "proc_join", option, nonBlocking, status), 0);
    assert.deepEqual([h.u8(option), h.u32(option + 4), h.u8(status)], [1, named, 0]);
    assert.equal(h.areas.threads.records.waitersLinked(h.thread), 0);
  }
  const { option, status } = joining(h, 0);
  assert.equal(call(h, "proc_join", option, 0, status), BLOCKED);
  assert.equal(h.u8(status), 0xee);
  h.waits.wake(queue);
  assert.deepEqual(h.woken, [h.thread]);
  h.dying = true;
  assert.equal(call(h, "proc_join", option, 0, status), DIED);
  h.close();
});

test("join refuses what makes no sense", () => {
  const h = new Harness();
  h.process.join = () => -errno.CHILD;
  const { option, status } = joining(h, 4713);
  assert.equal(call(h, "proc_join", option, 0, status), errno.CHILD);
  assert.equal(call(h, "proc_join", option, nonBlocking, status), errno.CHILD);
  assert.equal(call(h, "proc_join", option, 4, status), errno.INVAL);
  assert.equal(call(h, "proc_join", lastWord - 3, 0, status), errno.FAULT);
  assert.equal(call(h, "proc_join", option, 0, lastWord - 1), errno.FAULT);
  h.view.setUint32(option + 4, 0, true);
  assert.equal(call(h, "proc_join", option, 0, status), errno.CHILD, "0 is nobody's pid");
  h.view.setUint8(option, 2);
  assert.equal(call(h, "proc_join", option, 0, status), errno.INVAL);
  h.close();
});

test("a process knows its parent", () => {
  const h = new Harness();
  Object.assign(h.process, { parent: 12 });
  const at = h.room(4);
  assert.equal(call(h, "proc_parent", h.process.pid, at), 0);
  assert.equal(h.u32(at), 12);
  assert.equal(call(h, "proc_parent", 1, at), errno.PERM);
  assert.equal(call(h, "proc_parent", h.process.pid, -1), errno.FAULT);
  h.close();
});
