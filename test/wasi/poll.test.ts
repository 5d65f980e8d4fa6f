/** `poll_oneoff` and the other calls that wait for time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { BLOCKED, DIED } from "../../src/kernel/wait.ts";
import { right } from "../../src/wasi/index.ts";
import { Harness, preview1Name, unstableName } from "./harness.ts";

interface Clock {
  userdata?: bigint;
  clock: number;
  timeout_ns: number | bigint;
  absolute?: boolean;
  flags?: number;
}
interface Descriptor {
  userdata?: bigint;
  fd: number;
  write?: boolean;
}
type Subscription = Clock | Descriptor;

interface Event {
  userdata: number;
  error: number;
  type: number;
  bytes: number;
  flags: number;
}

/** Offsets as in `wasi/api.h` of either version. */
const layouts = {
  [preview1Name]: { size: 48, id: 16, timeout: 24, flags: 40 },
  [unstableName]: { size: 56, id: 24, timeout: 32, flags: 48 },
};

/** A poll that can be repeated with the same arguments, as the engine does. */
class Poll {
  private readonly h: Harness;
  private readonly module: keyof typeof layouts;
  private readonly input: number;
  private readonly output: number;
  private readonly count: number;
  private readonly result: number;

  constructor(h: Harness, subscriptions: Subscription[], module: keyof typeof layouts = preview1Name) {
    this.h = h;
    this.module = module;
    this.count = subscriptions.length;
    const layout = layouts[module];
    this.input = h.room(this.count * layout.size);
    this.output = h.room(this.count * 32);
    this.result = h.room(4);
    subscriptions.forEach((one, n) => {
      const at = this.input + n * layout.size;
      h.view.setBigUint64(at, one.userdata ?? BigInt(n + 1), true);
      if ("fd" in one) {
        h.view.setUint8(at + 8, one.write === true ? 2 : 1);
        h.view.setUint32(at + 16, one.fd, true);
      } else {
        h.view.setUint8(at + 8, 0);
        h.view.setUint32(at + layout.id, one.clock, true);
        h.view.setBigUint64(at + layout.timeout, BigInt(one.timeout_ns), true);
        h.view.setUint16(at + layout.flags, one.flags ?? (one.absolute === true ? 1 : 0), true);
      }
    });
  }

  call(): number {
    return this.h.callIn(this.module, "poll_oneoff", this.input, this.output, this.count, this.result);
  }

  /** Calls, expects success, and gives the events. */
  events(): Event[] {
    assert.equal(this.call(), 0);
    return Array.from({ length: this.h.u32(this.result) }, (_, n) => {
      const at = this.output + n * 32;
      return {
        userdata: this.h.u64(at),
        error: this.h.u16(at + 8),
        type: this.h.u8(at + 10),
        bytes: this.h.u64(at + 16),
        flags: this.h.u16(at + 24),
      };
    });
  }
}

const deadline = (h: Harness): number => h.areas.threads.records.deadline_ns(h.thread);

for (const module of [preview1Name, unstableName] as const) {
  test(`a relative timeout sleeps until it is over and is not extended by restarts (${module})`, () => {
    const h = new Harness();
    const poll = new Poll(h, [{ clock: 1, timeout_ns: 5_000_000 }], module);
    assert.equal(poll.call(), BLOCKED);
    assert.equal(deadline(h), 1e9 + 5_000_000);
    h.now.monotonic_ns += 3_000_000;
    assert.equal(poll.call(), BLOCKED);
    assert.equal(deadline(h), 1e9 + 5_000_000);
    h.now.monotonic_ns += 2_000_000;
    assert.deepEqual(poll.events(), [{ userdata: 1, error: 0, type: 0, bytes: 0, flags: 0 }]);
    assert.equal(poll.call(), BLOCKED, "the next sleep is a new one");
    assert.equal(deadline(h), h.now.monotonic_ns + 5_000_000);
    h.close();
  });
}

test("absolute times, of either clock", () => {
  const h = new Harness();
  const poll = new Poll(h, [
    { clock: 1, timeout_ns: 2e9, absolute: true },
    { clock: 0, timeout_ns: 1_700_000_000_500_000_000n, absolute: true },
  ]);
  assert.equal(poll.call(), BLOCKED);
  assert.equal(deadline(h), 1e9 + 5e8, "the time of day comes first");
  h.now.monotonic_ns += 5e8;
  h.now.realtime_ns += 5e8;
  assert.deepEqual(
    poll.events().map((event) => event.userdata),
    [2],
  );
  const past = new Poll(h, [{ clock: 1, timeout_ns: 0, absolute: true }]);
  assert.equal(past.events().length, 1);
  h.close();
});

test("several durations count from the first call", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const poll = new Poll(h, [{ clock: 1, timeout_ns: 9e6 }, { clock: 0, timeout_ns: 4e6 }, { fd: reader }]);
  assert.equal(poll.call(), BLOCKED);
  h.now.monotonic_ns += 3e6;
  assert.equal(poll.call(), BLOCKED);
  assert.equal(deadline(h), 1e9 + 4e6);
  h.now.monotonic_ns += 6e6;
  h.write(writer, "ab");
  assert.deepEqual(
    poll.events().map((event) => [event.userdata, event.type, event.bytes]),
    [
      [1, 0, 0],
      [2, 0, 0],
      [3, 1, 2],
    ],
  );
  h.close();
});

test("a zero timeout asks without waiting", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const poll = new Poll(h, [{ fd: reader }, { clock: 1, timeout_ns: 0 }]);
  assert.deepEqual(
    poll.events().map((event) => event.userdata),
    [2],
  );
  h.write(writer, "abc");
  assert.deepEqual(
    poll.events().map((event) => event.userdata),
    [1, 2],
  );
  h.close();
});

test("many pipes, the terminal and a clock are waited for at once", () => {
  const h = new Harness();
  const pipes = Array.from({ length: 10 }, () => h.pipe());
  const poll = new Poll(h, [
    ...pipes.map(({ reader }) => ({ fd: reader })),
    { fd: 0, userdata: 2n ** 64n - 1n },
    { clock: 1, timeout_ns: 1e12 },
  ]);
  for (const wake of [() => h.otherWrites(pipes[7].writer, "x"), () => h.terminal.input.push(10)]) {
    assert.equal(poll.call(), BLOCKED);
    assert.equal(deadline(h), 1e9 + 1e12);
    h.woken.length = 0;
    wake();
    h.waits.wake(h.terminal.readQueue);
    assert.deepEqual([...new Set(h.woken)], [h.thread]);
    assert.equal(poll.events().length, 1);
    h.otherReads(pipes[7].reader, 10);
  }
  h.close();
});

test("more descriptors than a thread has waiter records: it looks again by the clock", () => {
  const h = new Harness();
  const pipes = Array.from({ length: 20 }, () => h.pipe());
  const poll = new Poll(
    h,
    pipes.map(({ reader }) => ({ fd: reader })),
  );
  assert.equal(poll.call(), BLOCKED);
  assert.ok(deadline(h) < 1e9 + 1e7, "soon");
  h.otherWrites(pipes[19].writer, "x");
  assert.deepEqual(
    poll.events().map((event) => event.userdata),
    [20],
  );
  h.close();
});

test("hang-up is an event", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const poll = new Poll(h, [{ fd: reader }]);
  assert.equal(poll.call(), BLOCKED);
  h.call("fd_close", writer);
  assert.deepEqual(h.woken, [h.thread]);
  assert.deepEqual(
    poll.events().map((event) => [event.error, event.flags]),
    [[0, 1]],
  );
  h.close();
});

test("writing: room in a pipe", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const poll = new Poll(h, [{ fd: writer, write: true }]);
  assert.equal(poll.events()[0].bytes > 0, true);
  h.write(writer, "x".repeat(65_536));
  assert.equal(poll.call(), BLOCKED);
  h.otherReads(reader, 65_536);
  assert.deepEqual(h.woken, [h.thread]);
  assert.deepEqual(
    poll.events().map((event) => event.type),
    [2],
  );
  h.close();
});

test("files are always ready, and say how much there is", () => {
  const h = new Harness();
  h.file("file", "12345");
  const fd = h.open("file");
  const poll = new Poll(h, [{ fd }, { fd, write: true }]);
  assert.deepEqual(
    poll.events().map((event) => [event.error, event.type]),
    [
      [0, 1],
      [0, 2],
    ],
  );
  assert.equal(poll.events()[0].bytes, 5);
  h.close();
});

test("what is wrong with one subscription is an event; the call succeeds", () => {
  const h = new Harness();
  h.file("file", "12345");
  const fd = h.open("file", { rights: right.FD_READ | right.POLL_FD_READWRITE });
  const blind = h.open("file", { rights: right.FD_READ });
  const poll = new Poll(h, [
    { fd: 77 },
    { fd, write: true },
    { fd: blind },
    { clock: 2, timeout_ns: 1 },
    { clock: 9, timeout_ns: 1 },
    { clock: 1, timeout_ns: 1, flags: 2 },
    { clock: 1, timeout_ns: 1e12 },
  ]);
  assert.deepEqual(
    poll.events().map((event) => [event.userdata, event.error]),
    [
      [1, errno.BADF],
      [2, errno.NOTCAPABLE],
      [3, errno.NOTCAPABLE],
      [4, errno.NOTSUP],
      [5, errno.INVAL],
      [6, errno.INVAL],
    ],
  );
  h.close();
});

test("no subscriptions, too many, an unknown type, memory that is not there", () => {
  const h = new Harness();
  const at = h.room(4096);
  assert.equal(h.call("poll_oneoff", at, at, 0, at), errno.INVAL);
  assert.equal(h.call("poll_oneoff", 0, 0, 4097, 0), errno.INVAL);
  assert.equal(h.call("poll_oneoff", at, at, -1, at), errno.INVAL);
  h.view.setUint8(at + 8, 3);
  assert.equal(h.call("poll_oneoff", at, at + 64, 1, at + 128), errno.INVAL);
  assert.equal(h.call("poll_oneoff", -8, at, 1, at), errno.FAULT);
  assert.equal(h.call("poll_oneoff", at, -8, 1, at), errno.FAULT);
  assert.equal(h.call("poll_oneoff", at, at, 1, -2), errno.FAULT);
  h.close();
});

test("timeouts as large as they get wait for ever", () => {
  const h = new Harness();
  for (const absolute of [false, true]) {
    const poll = new Poll(h, [{ clock: 1, timeout_ns: 2n ** 64n - 1n, absolute }]);
    assert.equal(poll.call(), BLOCKED);
    h.now.monotonic_ns += 1e12;
    assert.equal(poll.call(), BLOCKED);
    assert.ok(deadline(h) > 1e19);
    h.areas.threads.records.setCallDeadline_ns(h.thread, 0);
  }
  h.close();
});

test("a process that is to end is not put to sleep", () => {
  const h = new Harness();
  const poll = new Poll(h, [{ clock: 1, timeout_ns: 1e9 }]);
  assert.equal(poll.call(), BLOCKED);
  h.dying = true;
  assert.equal(poll.call(), DIED);
  h.close();
});

test("input and output may be the same memory", () => {
  const h = new Harness();
  const at = h.room(48 * 3);
  for (let n = 0; n < 3; n++) {
    h.view.setBigUint64(at + n * 48, BigInt(100 + n), true);
    h.view.setUint32(at + n * 48 + 16, 1, true);
  }
  const result = h.room(4);
  assert.equal(h.call("poll_oneoff", at, at, 3, result), 0);
  assert.equal(h.u32(result), 3);
  assert.deepEqual(
    [0, 1, 2].map((n) => h.u64(at + n * 32)),
    [100, 101, 102],
  );
  h.close();
});

test("sleep_ms of the everyday tools keeps its end over restarts", () => {
  const h = new Harness();
  assert.equal(h.callIn("host_process", "sleep_ms", 50), BLOCKED);
  assert.equal(deadline(h), 1e9 + 5e7);
  h.now.monotonic_ns += 4e7;
  assert.equal(h.callIn("host_process", "sleep_ms", 50), BLOCKED);
  assert.equal(deadline(h), 1e9 + 5e7);
  h.now.monotonic_ns += 1e7;
  assert.equal(h.callIn("host_process", "sleep_ms", 50), 0);
  assert.equal(h.callIn("host_process", "sleep_ms", 0), 0);
  assert.equal(h.callIn("host_process", "sleep_ms", 50), BLOCKED);
  h.close();
});

test("sched_yield lets others run once", () => {
  const h = new Harness();
  assert.equal(h.call("sched_yield"), BLOCKED);
  assert.equal(h.yields, 1);
  assert.equal(h.call("sched_yield"), 0);
  assert.equal(h.call("sched_yield"), BLOCKED);
  h.close();
});
