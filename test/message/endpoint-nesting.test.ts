/** Endpoints in one thread: calls inside handlers, deaths and successors, and any mix of everything. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { u32, u64 } from "../../src/memory/index.ts";
import { message, priority, rawRequest, request } from "../../src/message/index.ts";
import { type Node, settleAll, World } from "./world.ts";

const Add = request("add", { a: u32, b: u32 }, { sum: u64 });
const Note = message("note", { number: u32 });
const Echo = rawRequest("echo");

function pair(): { world: World; a: Node; b: Node } {
  const world = new World();
  const a = world.node(0);
  const b = world.node(1);
  world.onPause = (address) => void [a, b][1 - address].endpoint.drain();
  return { world, a, b };
}

describe("nesting", () => {
  test("two endpoints that call each other do not deadlock, to any depth", () => {
    const { a, b } = pair();
    const Countdown = request("countdown", { left: u32 }, { total: u32 });
    const step = (own: Node, other: number) =>
      own.endpoint.serve(Countdown, ({ left }) => {
        if (left === 0) return { total: 0 };
        const reply = own.endpoint.call(other, Countdown, { left: left - 1 }, 1e9);
        return reply.value === undefined ? reply.status : { total: reply.value.total + 1 };
      });
    step(a, 1);
    step(b, 0);
    assert.deepEqual(a.endpoint.call(1, Countdown, { left: 12 }, 1e9), { status: 0, value: { total: 12 } });
  });

  test("at the deepest level requests wait and replies still arrive; every request is answered", async () => {
    const { world, a, b } = pair();
    let nested = 0;
    let deepest = 0;
    a.endpoint.serve(Echo, (bytes) => {
      deepest = Math.max(deepest, ++nested);
      const reply = a.endpoint.call(1, Add, { a: 1, b: 1 }, 1e9);
      nested--;
      assert.equal(reply.value?.sum, 2);
      return bytes;
    });
    b.endpoint.serve(Add, ({ a, b }) => ({ sum: a + b }));
    const replies = Array.from({ length: 60 }, (_, i) => b.endpoint.request(0, Echo, new Uint8Array([i])));
    a.endpoint.drain();
    await settleAll(world, [a, b]);
    for (const [i, reply] of (await Promise.all(replies)).entries()) {
      assert.deepEqual(reply.value, new Uint8Array([i]));
    }
    assert.equal(deepest, 16);
  });

  test("two endpoints that wait for each other at the deepest level refuse instead of waiting for ever", async () => {
    const { world, a, b } = pair();
    const ask = (own: Node, other: number) =>
      own.endpoint.serve(Echo, () => own.endpoint.call(other, Echo, new Uint8Array(1), 1e9).status);
    ask(a, 1);
    ask(b, 0);
    const { status } = a.endpoint.call(1, Echo, new Uint8Array(1), 1e9);
    assert.equal(status, -errno.DEADLK);
    assert.ok(world.now_ns < 1e9, "nobody waited for the timeout");
    await settleAll(world, [a, b]);
    assert.equal(a.endpoint.outstanding + b.endpoint.outstanding, 0);
    assert.deepEqual([...a.faults, ...b.faults], []);
  });

  test("a call with nobody answering times out, and the late reply is dropped", () => {
    const { world, a, b } = pair();
    b.endpoint.serve(Add, () => 5);
    world.onPause = () => {};
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 50_000).status, -errno.TIMEDOUT);
    assert.ok(world.now_ns >= 50_000);
    b.endpoint.drain();
    a.endpoint.drain();
    assert.deepEqual(
      a.faults.map((fault) => fault.kind),
      ["stray"],
    );
    world.onPause = () => void b.endpoint.drain();
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 50_000).status, 5);
  });

  test("a flood of messages does not keep a call from timing out", () => {
    const { world, a, b } = pair();
    a.endpoint.handle(Note, () => {
      world.now_ns += 1000;
      b.endpoint.send(0, Note, { number: 0 });
    });
    b.endpoint.send(0, Note, { number: 0 });
    world.onPause = () => {};
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 100_000).status, -errno.TIMEDOUT);
  });
});

describe("death", () => {
  test("sending to nobody and to the dead are different errors", async () => {
    const { world, a, b } = pair();
    assert.equal(a.endpoint.send(5, Note, { number: 0 }), -errno.HOSTUNREACH);
    assert.equal(a.endpoint.send(999, Note, { number: 0 }), -errno.HOSTUNREACH);
    assert.equal((await a.endpoint.request(999, Add, { a: 0, b: 0 })).status, -errno.HOSTUNREACH);
    b.transport.close();
    assert.equal(a.endpoint.send(1, Note, { number: 0 }), -errno.NOLINK);
    assert.equal((await a.endpoint.request(1, Add, { a: 0, b: 0 })).status, -errno.NOLINK);
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 1e6).status, -errno.NOLINK);
    assert.equal(await a.endpoint.writable(1), -errno.NOLINK);
    assert.equal(world.rung.size, 0);
  });

  test("outstanding requests fail when the peer dies, calls too, and senders waiting for room are told", async () => {
    const { world, a, b } = pair();
    const reply = a.endpoint.request(1, Add, { a: 0, b: 0 });
    while (a.endpoint.send(1, Note, { number: 0 }) === 0);
    const writable = a.endpoint.writable(1);
    a.transport.table.markDead(1);
    a.endpoint.drain();
    assert.equal((await reply).status, -errno.NOLINK);
    assert.equal(await writable, -errno.NOLINK);
    const c = world.node(2);
    world.onPause = () => c.transport.close();
    assert.equal(a.endpoint.call(2, Add, { a: 0, b: 0 }, 1e9).status, -errno.NOLINK);
    assert.equal(b.faults.length, 0);
  });

  test("regression: a reply that the peer sent before it died is no stray one", async () => {
    const { a, b } = pair();
    b.endpoint.serve(Add, ({ a: first, b: second }) => ({ sum: first + second }));
    const reply = a.endpoint.request(1, Add, { a: 1, b: 2 });
    b.endpoint.drain();
    a.transport.table.markDead(1);
    a.endpoint.drain();
    assert.equal((await reply).status, -errno.NOLINK);
    assert.deepEqual(
      a.faults.map(({ kind }) => kind),
      ["stale"],
    );
  });

  test("a new incarnation gets nothing that was meant for the one before, and the old one's requests fail", async () => {
    const { world, a, b } = pair();
    a.endpoint.send(1, Note, { number: 1 });
    const lost = a.endpoint.request(1, Add, { a: 0, b: 0 });
    b.transport.close();
    const again = world.node(1);
    const seen: number[] = [];
    again.endpoint.handle(Note, ({ number }) => seen.push(number));
    again.endpoint.serve(Add, () => 3);
    a.endpoint.send(1, Note, { number: 2 });
    const kept = a.endpoint.request(1, Add, { a: 0, b: 0 });
    await settleAll(world, [a, again]);
    assert.deepEqual(seen, [2]);
    assert.equal((await lost).status, -errno.NOLINK);
    assert.equal((await kept).status, 3);
    assert.deepEqual(
      again.faults.map((fault) => fault.kind),
      ["stale", "stale"],
    );
  });

  test("a reply to an incarnation that is gone is dropped", async () => {
    const { world, a, b } = pair();
    let finish: (status: number) => void = () => {};
    b.endpoint.serve(
      Add,
      () =>
        new Promise<number>((resolve) => {
          finish = resolve;
        }),
    );
    a.endpoint.request(1, Add, { a: 0, b: 0 });
    b.endpoint.drain();
    a.transport.close();
    const again = world.node(0);
    finish(1);
    await settleAll(world, [again, b]);
    assert.deepEqual(again.faults, []);
    b.endpoint.serve(Echo, (bytes) => bytes);
    world.onPause = () => void b.endpoint.drain();
    assert.equal(again.endpoint.call(1, Echo, new Uint8Array(3), 1e6).value?.length, 3);
  });

  test("a kernel that takes over an incarnation gets every message once", () => {
    const { world, a, b } = pair();
    const seen: number[] = [];
    b.endpoint.handle(Note, ({ number }) => seen.push(number));
    for (let i = 0; i < 10; i++) a.endpoint.send(1, Note, { number: i });
    b.endpoint.drain(4);
    const successor = world.node(1, true);
    successor.endpoint.handle(Note, ({ number }) => seen.push(number));
    successor.endpoint.drain();
    a.endpoint.send(1, Note, { number: 10 });
    successor.endpoint.drain();
    assert.deepEqual(seen, [...Array(11).keys()]);
  });
});

describe("model", () => {
  test("any mix of messages and requests between four endpoints: each arrives once, each request is settled once", async () => {
    const action = fc.record({
      from: fc.nat(3),
      to: fc.nat(3),
      do: fc.constantFrom("send", "request", "drain", "flood"),
      urgent: fc.boolean(),
      size: fc.nat(900),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 120 }), async (actions) => {
        const world = new World({
          endpoints_max: 4,
          urgentLines: 32,
          normalLines: 32,
          payload_bytes_max: 900,
          groupLines: 32,
        });
        const nodes = [0, 1, 2, 3].map((address) => world.node(address));
        const delivered = new Map<number, number>();
        const expected = new Set<number>();
        let number = 0;
        let settled = 0;
        let asked = 0;
        const Numbered = message("numbered", { number: u32 }, { tail: true });
        const Question = request("question", { number: u32 }, { number: u32 }, { tail: true });
        const arrived = (value: { number: number }) =>
          delivered.set(value.number, (delivered.get(value.number) ?? 0) + 1);
        for (const { endpoint } of nodes) {
          endpoint.handle(Numbered, (value) => void arrived(value));
          endpoint.serve(Question, (value) => {
            arrived(value);
            return { number: value.number, tail: value.tail };
          });
        }
        for (const one of actions) {
          const { endpoint } = nodes[one.from];
          const level = one.urgent ? priority.urgent : priority.normal;
          const tail = new Uint8Array(Math.max(0, one.size - 8));
          if (one.do === "drain") endpoint.drain();
          else if (one.do === "request") {
            asked++;
            const id = ++number;
            endpoint.request(one.to, Question, { number: id, tail }, level).then((reply) => {
              settled++;
              if (reply.status === 0) expected.add(id);
              else assert.equal(reply.status, -errno.AGAIN);
              if (reply.status === 0) assert.equal(reply.value?.number, id);
            });
          } else {
            for (let i = 0; i < (one.do === "flood" ? 40 : 1); i++) {
              const id = ++number;
              if (endpoint.send(one.to, Numbered, { number: id, tail }, level) === 0) expected.add(id);
            }
          }
        }
        await settleAll(world, nodes);
        assert.equal(settled, asked);
        for (const id of expected) assert.equal(delivered.get(id), 1, `message ${id}`);
        assert.equal(delivered.size, expected.size);
        for (const node of nodes) assert.deepEqual(node.faults, []);
      }),
      { numRuns: 60 },
    );
  });
});
