import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mailboxes } from "../../src/machine/sim/mailboxes.ts";
import { Random } from "../../src/machine/sim/random.ts";
import { Board } from "./support/board.ts";

const latency_ns = 2500;

function boxes(coreCount: number): { board: Board; mailboxes: Mailboxes } {
  const board = new Board();
  return { board, mailboxes: new Mailboxes(board, coreCount, latency_ns) };
}

test("a mail arrives after the latency, with its sender", () => {
  const { board, mailboxes } = boxes(2);
  const got: number[][] = [];
  mailboxes.of(1).receive((from, word) => got.push([from, word, board.time_ns]));
  board.time_ns = 100;
  mailboxes.of(0).send(1, 0xffffffff);
  board.runUntil(100 + latency_ns - 1);
  assert.equal(got.length, 0);
  board.runAll();
  assert.deepEqual(got.at(0), [0, 0xffffffff, 100 + latency_ns]);
  mailboxes.of(1).send(1, -1);
  board.runAll();
  assert.deepEqual(
    got.at(1)?.slice(0, 2),
    [1, 0xffffffff],
    "a core may write to itself, and words have no sign",
  );
});

test("what is sent at an earlier time overtakes the mail of a handler that was postponed; what is sent later does not", () => {
  const { board, mailboxes } = boxes(2);
  const got: number[][] = [];
  mailboxes.receive(1, (_from, word) => got.push([word, board.time_ns]));
  mailboxes.extraDelay_ns = (_from, _to, word) => (word === 1 ? 1000 : 0);
  board.time_ns = 100_000;
  mailboxes.send(0, 1, 1, true);
  // The core's own code comes to what it does before, and after.
  board.time_ns = 50_000;
  mailboxes.send(0, 1, 2);
  board.time_ns = 100_500;
  mailboxes.send(0, 1, 3);
  board.time_ns = 0;
  board.runAll();
  const late_ns = 101_000 + latency_ns;
  assert.deepEqual(got, [
    [2, 50_000 + latency_ns],
    [1, late_ns],
    [3, late_ns],
  ]);
});

test("mails wait for a handler, and go to the new one when it is set again", () => {
  const { board, mailboxes } = boxes(2);
  mailboxes.send(0, 1, 5);
  mailboxes.send(0, 1, 6);
  board.runAll();
  const got: number[] = [];
  mailboxes.receive(1, (_from, word) => {
    got.push(word);
    mailboxes.receive(1, (_other, later) => got.push(later + 100));
  });
  assert.deepEqual(got, [], "not inside the call that sets the handler");
  board.runAll();
  assert.deepEqual(got, [5, 106]);
});

test("each mail is handled after the one before it has been", () => {
  const { board, mailboxes } = boxes(2);
  board.handler_ns = 300;
  mailboxes.send(0, 1, 5);
  mailboxes.send(0, 1, 6);
  board.runAll();
  mailboxes.receive(1, () => undefined);
  board.runAll();
  assert.deepEqual(
    board.runs.map(({ time_ns }) => time_ns),
    [latency_ns, latency_ns + 300],
  );
});

test("mails to a core without power are lost, and a reset forgets the handler", () => {
  const { board, mailboxes } = boxes(2);
  const got: number[] = [];
  mailboxes.receive(1, (_from, word) => got.push(word));
  mailboxes.send(0, 1, 1);
  board.off.add(1);
  board.runAll();
  board.off.delete(1);
  mailboxes.reset(1);
  mailboxes.send(0, 1, 2);
  board.runAll();
  mailboxes.reset(1);
  mailboxes.receive(1, (_from, word) => got.push(word));
  board.runAll();
  assert.deepEqual(got, []);
  assert.deepEqual(mailboxes.statistics, { sent: 2, delivered: 0, lost: 2 });
});

test("words and cores that do not exist are refused", () => {
  const { mailboxes } = boxes(2);
  for (const word of [2 ** 32, 1.5, Number.NaN, -(2 ** 31) - 1])
    assert.throws(() => mailboxes.send(0, 1, word), RangeError);
  assert.throws(() => mailboxes.send(0, 2, 1), RangeError);
});

test("each pair's mails keep their order under any delays; other pairs' may overtake", () => {
  let overtakings = 0;
  fc.assert(
    fc.property(
      fc.nat(),
      fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.nat(3000)), { maxLength: 60 }),
      (seed, sends) => {
        const { board, mailboxes } = boxes(3);
        const random = new Random(seed);
        mailboxes.extraDelay_ns = () => random.below(20_000) - 1000;
        const order: number[] = [];
        const got = new Map<string, number[]>();
        const sent = new Map<string, number[]>();
        for (const core of [0, 1, 2]) {
          mailboxes.receive(core, (from, word) => {
            order.push(word);
            const pair = `${from} ${core}`;
            got.set(pair, [...(got.get(pair) ?? []), word]);
          });
        }
        for (const [word, [from, to, wait_ns]] of sends.entries()) {
          const pair = `${from} ${to}`;
          sent.set(pair, [...(sent.get(pair) ?? []), word]);
          mailboxes.send(from, to, word);
          board.runUntil(board.time_ns + wait_ns);
        }
        board.runAll();
        assert.deepEqual(Object.fromEntries([...got].sort()), Object.fromEntries([...sent].sort()));
        if (order.some((word, index) => index > 0 && word < order[index - 1])) overtakings++;
      },
    ),
  );
  assert.ok(overtakings > 10, `${overtakings} runs with an overtaking`);
});
