import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NetworkControllers } from "../../src/machine/sim/network-controller.ts";
import { Board } from "./support/board.ts";

/** 100 MB/s: ten nanoseconds a byte. */
const byte_ns = 10;
const latency_ns = 2000;
const traits = { frame_bytes_max: 1000, queueFrames: 4, bandwidth_MBps: 100, latency_us: 2 };

function controller() {
  const board = new Board();
  const raisedAt_ns: number[] = [];
  const network = new NetworkControllers(board, traits, () => raisedAt_ns.push(board.time_ns));
  return { board, network, raisedAt_ns };
}

test("what is sent arrives, copied, at the wire's bandwidth", () => {
  const { board, network, raisedAt_ns } = controller();
  const frame = Uint8Array.from({ length: 100 }, (_, index) => index);
  const expected = frame.slice();
  assert.equal(network.send(frame), true);
  assert.equal(network.send(frame.subarray(0, 50)), true);
  frame.fill(0);
  assert.equal(network.receive(), undefined);
  board.runAll();
  assert.deepEqual(raisedAt_ns, [100 * byte_ns + latency_ns, 150 * byte_ns + latency_ns]);
  assert.deepEqual(network.receive(), expected);
  assert.deepEqual(network.receive(), expected.subarray(0, 50));
  assert.equal(network.receive(), undefined);
});

test("a full transmit queue refuses, and tells when there is room", () => {
  const { board, network, raisedAt_ns } = controller();
  const frame = new Uint8Array(100);
  for (let count = 0; count < 4; count++) assert.equal(network.send(frame), true);
  assert.equal(network.send(frame), false);
  board.runUntil(100 * byte_ns);
  assert.deepEqual(raisedAt_ns, [100 * byte_ns]);
  assert.equal(network.send(frame), true);
});

test("a frame that finds the receive queue full is lost", () => {
  const { board, network } = controller();
  for (let count = 0; count < 6; count++) {
    network.send(Uint8Array.of(count));
    board.runAll();
  }
  assert.deepEqual(network.statistics, { sent: 6, received: 4, lost: 2 });
  for (let count = 0; count < 4; count++) assert.deepEqual(network.receive(), Uint8Array.of(count));
  assert.equal(network.receive(), undefined);
});

test("frames of no length or too long are refused", () => {
  const { network } = controller();
  for (const length of [0, 1001]) assert.throws(() => network.send(new Uint8Array(length)), RangeError);
});

test("after a reset nothing of before arrives", () => {
  const { board, network, raisedAt_ns } = controller();
  network.send(new Uint8Array(10));
  network.reset();
  network.send(Uint8Array.of(9));
  board.runAll();
  assert.deepEqual(network.receive(), Uint8Array.of(9));
  assert.equal(network.receive(), undefined);
  assert.equal(raisedAt_ns.length, 1);
});

test("each core reaches the controller through its registers", () => {
  const { board, network } = controller();
  let reached = 0;
  const mine = network.of(() => {
    reached++;
  });
  assert.equal(mine.send(Uint8Array.of(1)), true);
  board.runAll();
  assert.deepEqual(mine.receive(), Uint8Array.of(1));
  assert.deepEqual([mine.frame_bytes_max, reached], [1000, 2]);
});

test("frames arrive in order and whole; those that are not lost arrive once", () => {
  const step = fc.tuple(fc.integer({ min: 1, max: 400 }), fc.nat(6000), fc.nat(3));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { board, network } = controller();
      let accepted = 0;
      const got: number[] = [];
      const drain = (count: number) => {
        for (let taken = 0; taken < count; taken++) {
          const frame = network.receive();
          if (frame === undefined) return;
          assert.ok(frame.every((byte) => byte === frame[0]));
          got.push(frame[0]);
        }
      };
      for (const [length, wait_ns, takes] of steps) {
        if (network.send(new Uint8Array(length).fill(accepted))) accepted++;
        board.runUntil(board.time_ns + wait_ns);
        drain(takes);
      }
      board.runAll();
      drain(Infinity);
      assert.equal(network.statistics.sent, accepted);
      assert.equal(got.length, accepted - network.statistics.lost);
      assert.ok(got.every((value, index) => index === 0 || value > got[index - 1]));
    }),
  );
});
