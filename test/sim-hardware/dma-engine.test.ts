import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DmaEngines } from "../../src/machine/sim/dma-engine.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { Board } from "./support/board.ts";

/** 100 MB/s: ten nanoseconds a byte. */
const byte_ns = 10;
const traits = { channels: 4, bandwidth_MBps: 100, startUp_us: 1 };
const startUp_ns = 1000;

function engine() {
  const board = new Board();
  const dram = new Uint8Array(65_536);
  new Random("dram").fill(dram);
  const raisedAt_ns: number[] = [];
  const dma = new DmaEngines(board, traits, { dram }, () => raisedAt_ns.push(board.time_ns));
  return { board, dram, dma, raisedAt_ns };
}

test("a transfer copies at the engine's bandwidth, and tells by an interrupt", () => {
  const { board, dram, dma, raisedAt_ns } = engine();
  const expected = dram.slice(100, 1100);
  dma.start(2, 100, 5000, 1000);
  assert.equal(dma.isBusy(2), true);
  board.runUntil(startUp_ns + 1000 * byte_ns - 1);
  assert.equal(dma.takeFinished(), 0);
  board.runAll();
  assert.deepEqual(raisedAt_ns, [startUp_ns + 1000 * byte_ns]);
  assert.equal(dma.isBusy(2), false);
  assert.equal(dma.takeFinished(), 1 << 2);
  assert.equal(dma.takeFinished(), 0);
  assert.deepEqual(dram.slice(5000, 6000), expected);
});

test("each line has a status word of its own", () => {
  const { board, dma, raisedAt_ns } = engine();
  dma.start(0, 0, 10_000, 100);
  dma.start(1, 0, 20_000, 200, 5);
  dma.start(3, 0, 30_000, 300, 5);
  board.runAll();
  assert.equal(raisedAt_ns.length, 3);
  assert.equal(dma.linesFinished(), (1 << 0) | (1 << 5));
  assert.equal(dma.takeFinished(5), (1 << 1) | (1 << 3));
  assert.equal(dma.linesFinished(), 1 << 0);
  dma.start(0, 0, 10_000, 100, 2);
  assert.equal(dma.linesFinished(), 0, "a channel that is started again has not finished");
  assert.throws(() => dma.start(1, 0, 10_000, 100, 32), RangeError);
});

test("busy channels share the bandwidth equally", () => {
  const { board, dma, raisedAt_ns } = engine();
  dma.start(0, 0, 10_000, 1000);
  dma.start(1, 0, 20_000, 3000);
  board.runAll();
  // Both together until the shorter one is done, then the other alone.
  assert.deepEqual(raisedAt_ns, [startUp_ns + 2000 * byte_ns, startUp_ns + 4000 * byte_ns]);
  assert.deepEqual(dma.statistics, { transfers: 2, bytes: 4000, busy_ns: 4000 * byte_ns });
});

test("an empty transfer takes the start-up alone", () => {
  const { board, dma, raisedAt_ns } = engine();
  dma.start(0, 65_536, 0, 0);
  board.runAll();
  assert.deepEqual(raisedAt_ns, [startUp_ns]);
  assert.equal(dma.takeFinished(), 1);
});

test("overlapping source and target copy as if through a buffer", () => {
  const { board, dram, dma } = engine();
  const expected = dram.slice(0, 500);
  dma.start(0, 0, 100, 500);
  board.runAll();
  assert.deepEqual(dram.slice(100, 600), expected);
});

test("each core reaches the engine through its registers", () => {
  const { board, dma } = engine();
  let reached = 0;
  const mine = dma.of(() => {
    reached++;
  });
  mine.start(0, 0, 100, 10);
  assert.equal(mine.isBusy(0), true);
  board.runAll();
  assert.equal(mine.takeFinished(), 1);
  assert.deepEqual([mine.channels, reached], [4, 3]);
});

test("busy channels and bytes outside the memory are refused", () => {
  const { dma } = engine();
  dma.start(0, 0, 100, 10);
  assert.throws(() => dma.start(0, 0, 100, 10), /channel 0 is busy/);
  for (const channel of [-1, 4, Number.NaN]) assert.throws(() => dma.start(channel, 0, 100, 10), RangeError);
  for (const [from, to, length] of [
    [-1, 0, 1],
    [0, 65_530, 7],
    [65_536, 0, 1],
    [0, 0, -1],
  ]) {
    assert.throws(() => dma.start(1, from, to, length), RangeError);
  }
  assert.throws(
    () =>
      new DmaEngines(new Board(), { ...traits, channels: 32 }, { dram: new Uint8Array(1) }, () => undefined),
  );
});

test("a reset stops everything", () => {
  const { board, dma, raisedAt_ns } = engine();
  dma.start(0, 0, 100, 10);
  board.runUntil(startUp_ns + 1);
  dma.start(1, 0, 100, 10);
  dma.reset();
  board.runAll();
  assert.deepEqual([raisedAt_ns, dma.isBusy(0), dma.isBusy(1)], [[], false, false]);
});

test("starts that come out of the order of time lose nothing", () => {
  const { board, dma, raisedAt_ns } = engine();
  board.runUntil(1_000_000);
  dma.start(0, 0, 100, 10);
  // A core whose clock is behind: its event is taken late.
  board.time_ns = 500_000;
  dma.start(1, 0, 200, 10);
  board.runAll();
  assert.equal(dma.takeFinished(), 3);
  assert.equal(raisedAt_ns.length, 2);
});

test("bandwidth is conserved and shared fairly: the engine equals a simulation byte by byte", () => {
  const job = fc.record({ start: fc.nat(60), length: fc.integer({ min: 1, max: 40 }) });
  fc.assert(
    fc.property(fc.array(job, { minLength: 1, maxLength: 4 }), (jobs) => {
      const { board, dma } = engine();
      const ends_ns = new Map<number, number>();
      const starts = jobs.map((each, channel) => ({ ...each, channel }));
      // In units of one byte's time: jobs start at these ticks and get a share of each tick.
      const left = jobs.map(({ length }) => length);
      const expected_ns = jobs.map(() => 0);
      for (let tick_ns = 0; left.some((bytes) => bytes > 1e-9); ) {
        const busy = starts.filter(
          ({ start, channel }) => start * byte_ns <= tick_ns && left[channel] > 1e-9,
        );
        const nextStart_ns = Math.min(
          ...starts.filter(({ start }) => start * byte_ns > tick_ns).map(({ start }) => start * byte_ns),
        );
        const share_ns = byte_ns * busy.length;
        const least = Math.min(...busy.map(({ channel }) => left[channel]));
        const firstEnd_ns = busy.length === 0 ? Infinity : tick_ns + least * share_ns;
        const until_ns = Math.min(nextStart_ns, firstEnd_ns);
        for (const { channel } of busy) {
          left[channel] -= (until_ns - tick_ns) / share_ns;
          if (left[channel] <= 1e-9) expected_ns[channel] = until_ns;
        }
        tick_ns = until_ns;
      }
      const order = starts.toSorted((one, other) => one.start - other.start || one.channel - other.channel);
      const note = () => {
        const finished = dma.takeFinished();
        for (const { channel } of starts)
          if (finished & (1 << channel)) ends_ns.set(channel, board.time_ns - startUp_ns);
      };
      for (const { start, channel, length } of order) {
        while (board.queue.nextTime_ns() <= start * byte_ns) {
          board.runUntil(board.queue.nextTime_ns());
          note();
        }
        board.runUntil(start * byte_ns);
        dma.start(channel, 0, 1000, length);
      }
      while (board.queue.size > 0) {
        board.runUntil(board.queue.nextTime_ns());
        note();
      }
      for (const { channel } of starts) {
        const end_ns = ends_ns.get(channel) ?? Number.NaN;
        assert.ok(Math.abs(end_ns - expected_ns[channel]) < 1e-3, `${end_ns} is not ${expected_ns[channel]}`);
      }
      const bytes = jobs.reduce((sum, { length }) => sum + length, 0);
      assert.equal(dma.statistics.bytes, bytes);
      assert.ok(
        Math.abs(dma.statistics.busy_ns - bytes * byte_ns) < 1e-3,
        "never idle while there is work, never faster",
      );
    }),
    { numRuns: 300 },
  );
});
