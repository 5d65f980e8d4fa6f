/** Endpoints in one thread: every way a message can go, and every error. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { array, u32, u64 } from "../../src/memory/index.ts";
import {
  Endpoint,
  MessageUsageError,
  message,
  priority,
  rawMessage,
  rawRequest,
  request,
} from "../../src/message/index.ts";
import { type Node, settleAll, World } from "./world.ts";

const Add = request("add", { a: u32, b: u32 }, { sum: u64 });
const Note = message("note", { number: u32 });
const Bytes = rawMessage("bytes");
const Echo = rawRequest("echo");
const Hollow = request("hollow", {}, {});

function pair(): { world: World; a: Node; b: Node } {
  const world = new World();
  const a = world.node(0);
  const b = world.node(1);
  world.onPause = (address) => void [a, b][1 - address].endpoint.drain();
  return { world, a, b };
}

describe("endpoint", () => {
  test("asynchronous messages arrive once and in order", () => {
    const { a, b } = pair();
    const seen: number[] = [];
    b.endpoint.handle(Note, ({ number }, from) => seen.push(number + from));
    for (let i = 0; i < 100; i++) assert.equal(a.endpoint.send(1, Note, { number: i }), 0);
    assert.equal(b.endpoint.drain(), 100);
    assert.equal(b.endpoint.drain(), 0);
    assert.deepEqual(seen, [...Array(100).keys()]);
  });

  test("a request gets its reply, asynchronously and synchronously, from itself too", async () => {
    const { world, a, b } = pair();
    for (const node of [a, b]) node.endpoint.serve(Add, ({ a, b }) => ({ sum: a + b }));
    const reply = a.endpoint.request(1, Add, { a: 2, b: 3 });
    await settleAll(world, [a, b]);
    assert.deepEqual(await reply, { status: 0, value: { sum: 5 } });
    assert.deepEqual(a.endpoint.call(1, Add, { a: 4, b: 3 }, 1e6), { status: 0, value: { sum: 7 } });
    assert.deepEqual(a.endpoint.call(0, Add, { a: 1, b: 1 }, 1e6), { status: 0, value: { sum: 2 } });
    assert.equal(a.endpoint.outstanding, 0);
  });

  test("a handler may return a status, a payload, a promise of either, or fail; there is one reply each", async () => {
    const { world, a, b } = pair();
    const answers: (() => { sum: number } | number | Promise<{ sum: number } | number>)[] = [
      () => 17,
      () => -errno.ACCES,
      () => ({ sum: 1 }),
      () => Promise.resolve({ sum: 2 }),
      () => Promise.resolve(-errno.PERM),
      () => Promise.reject(new Error("late failure")),
      () => {
        throw new Error("failure");
      },
    ];
    b.endpoint.serve(Add, ({ a }) => answers[a]());
    const replies = answers.map((_, a0) => a.endpoint.request(1, Add, { a: a0, b: 0 }));
    await settleAll(world, [a, b]);
    assert.deepEqual(await Promise.all(replies), [
      { status: 17, value: undefined },
      { status: -errno.ACCES, value: undefined },
      { status: 0, value: { sum: 1 } },
      { status: 0, value: { sum: 2 } },
      { status: -errno.PERM, value: undefined },
      { status: -errno.IO, value: undefined },
      { status: -errno.IO, value: undefined },
    ]);
    assert.deepEqual(b.faults.map((fault) => fault.detail).sort(), [
      "add_request: failure",
      "add_request: late failure",
    ]);
    assert.equal(a.faults.length, 0);
  });

  test("an unknown request is answered with NOSYS, an unknown message is reported", () => {
    const { a, b } = pair();
    assert.equal(a.endpoint.call(1, Add, { a: 1, b: 2 }, 1e6).status, -errno.NOSYS);
    a.endpoint.send(1, Note, { number: 1 });
    b.endpoint.drain();
    assert.deepEqual(
      b.faults.map((fault) => fault.kind),
      ["unhandled", "unhandled"],
    );
    assert.equal(b.transport.table.counters(1).dropped, 2);
  });

  test("a payload that is not what its type says is answered with BADMSG and runs no handler", () => {
    const { a, b } = pair();
    const Wide = request("add", { a: u32, b: u32, c: u32 }, { sum: u64 });
    let ran = false;
    b.endpoint.serve(Add, () => {
      ran = true;
      return 0;
    });
    assert.equal(a.endpoint.call(1, Wide, { a: 1, b: 2, c: 3 }, 1e6).status, -errno.BADMSG);
    assert.equal(ran, false);
    assert.equal(b.faults[0].kind, "malformed");
  });

  test("a reply whose payload is not what its type says settles the request with BADMSG", () => {
    const { a, b } = pair();
    const Other = request("add", { a: u32, b: u32 }, { sum: u64, carry: u32 });
    b.endpoint.serve(Other, () => ({ sum: 1, carry: 2 }));
    assert.equal(a.endpoint.call(1, Add, { a: 1, b: 2 }, 1e6).status, -errno.BADMSG);
    assert.equal(a.faults[0].kind, "malformed");
  });

  test("payloads without fields work", () => {
    const { a, b } = pair();
    b.endpoint.serve(Hollow, () => ({}));
    assert.deepEqual(a.endpoint.call(1, Hollow, {}, 1e6), { status: 0, value: {} });
  });

  test("a type has one handler, until it is taken back", () => {
    const { a, b } = pair();
    const remove = b.endpoint.serve(Add, () => 1);
    assert.throws(() => b.endpoint.serve(Add, () => 2), MessageUsageError);
    remove();
    remove();
    b.endpoint.serve(Add, () => 2);
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 1e6).status, 2);
  });

  test("bytes of any length up to the largest payload arrive whole; longer ones are refused", () => {
    const { a, b, world } = pair();
    const max = world.geometry.payload_bytes_max;
    b.endpoint.serve(Echo, (bytes) => bytes);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: max }), fc.nat(7), (bytes, shift) => {
        // Not aligned, to be sure that nothing depends on it.
        const shifted = new Uint8Array(bytes.length + shift).subarray(shift);
        shifted.set(bytes);
        assert.deepEqual(a.endpoint.call(1, Echo, shifted, 1e6).value, bytes);
      }),
    );
    assert.equal(a.endpoint.call(1, Echo, new Uint8Array(max), 1e6).value?.length, max);
    assert.equal(a.endpoint.send(1, Bytes, new Uint8Array(max + 1)), -errno.MSGSIZE);
    assert.equal(a.endpoint.call(1, Echo, new Uint8Array(max + 1), 1e6).status, -errno.MSGSIZE);
  });

  test("a reply too large for the channel becomes MSGSIZE", () => {
    const { a, b, world } = pair();
    b.endpoint.serve(Echo, () => new Uint8Array(world.geometry.payload_bytes_max + 1));
    assert.equal(a.endpoint.call(1, Echo, new Uint8Array(1), 1e6).status, -errno.MSGSIZE);
    assert.equal(b.faults[0].kind, "reply");
  });

  test("received bytes are the handler's to keep", () => {
    const { a, b } = pair();
    const kept: Uint8Array[] = [];
    b.endpoint.handle(Bytes, (bytes) => kept.push(bytes));
    for (const size of [10, 100, 1000]) {
      for (let i = 0; i < 50; i++) {
        a.endpoint.send(1, Bytes, new Uint8Array(size).fill(i));
        b.endpoint.drain();
      }
    }
    for (const [i, bytes] of kept.entries()) assert.ok(bytes.every((byte) => byte === i % 50));
  });

  test("a value that is none of the type throws and leaves nothing behind", () => {
    const { a } = pair();
    const Three = request("three", { items: array(u32, 3) }, {});
    assert.throws(() => a.endpoint.request(1, Three, { items: [1, 2] }), MessageUsageError);
    assert.throws(() => a.endpoint.call(1, Three, { items: [1, 2, 3, 4] }, 1), MessageUsageError);
    assert.equal(a.endpoint.outstanding, 0);
  });
});

describe("priorities", () => {
  test("urgent messages are handled before normal ones of the same batch", () => {
    const { a, b } = pair();
    const seen: number[] = [];
    b.endpoint.handle(Note, ({ number }, _, level) =>
      seen.push(level === priority.urgent ? -number : number),
    );
    for (let i = 1; i <= 3; i++) {
      a.endpoint.send(1, Note, { number: i });
      a.endpoint.send(1, Note, { number: i }, priority.urgent);
    }
    b.endpoint.drain();
    assert.deepEqual(seen, [-1, -2, -3, 1, 2, 3]);
  });

  test("a full normal ring holds up no urgent message", () => {
    const { a, b } = pair();
    const seen: number[] = [];
    b.endpoint.handle(Note, (_, __, level) => seen.push(level));
    while (a.endpoint.send(1, Note, { number: 0 }) === 0);
    assert.equal(a.endpoint.send(1, Note, { number: 0 }, priority.urgent), 0);
    b.endpoint.drain();
    assert.equal(seen[0], priority.urgent);
  });

  test("an urgent message that arrives while a batch is handled comes next", () => {
    const { a, b } = pair();
    const seen: number[] = [];
    b.endpoint.handle(Note, ({ number }) => {
      seen.push(number);
      if (number === 1) a.endpoint.send(1, Note, { number: 100 }, priority.urgent);
    });
    for (let i = 1; i <= 3; i++) a.endpoint.send(1, Note, { number: i });
    b.endpoint.drain();
    assert.deepEqual(seen, [1, 100, 2, 3]);
  });

  test("no sender waits for another's flood", () => {
    const world = new World();
    const nodes = [world.node(0), world.node(1), world.node(2)];
    const seen: number[] = [];
    nodes[2].endpoint.handle(Note, (_, from) => seen.push(from));
    for (let i = 0; i < 50; i++) nodes[0].endpoint.send(2, Note, { number: i });
    nodes[1].endpoint.send(2, Note, { number: 0 });
    nodes[2].endpoint.drain();
    assert.ok(seen.indexOf(1) <= 1);
  });
});

describe("full rings", () => {
  test("a full ring is an error value, nothing is sent, and room is told about", async () => {
    const { world, a, b } = pair();
    let seen = 0;
    b.endpoint.handle(Note, ({ number }) => assert.equal(number, seen++));
    let sent = 0;
    while (a.endpoint.send(1, Note, { number: sent }) === 0) sent++;
    assert.equal(a.endpoint.send(1, Note, { number: 9999 }), -errno.AGAIN);
    assert.ok(a.transport.table.counters(0).refused >= 2);
    let writable: number | undefined;
    a.endpoint.writable(1).then((status) => {
      writable = status;
    });
    await settleAll(world, [a]);
    assert.equal(writable, undefined);
    b.endpoint.drain();
    await settleAll(world, [a]);
    assert.equal(writable, 0);
    assert.equal(a.endpoint.send(1, Note, { number: sent }), 0);
    b.endpoint.drain();
    assert.equal(seen, sent + 1);
  });

  test("replies that find the ring full are sent when there is room, each once", async () => {
    const { world, a, b } = pair();
    world.onPause = () => {};
    b.endpoint.serve(Echo, (bytes) => bytes);
    const replies: Promise<{ status: number; value: Uint8Array | undefined }>[] = [];
    // Asked in two goes, so that more replies are due than the ring takes.
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 50; i++) replies.push(a.endpoint.request(1, Echo, new Uint8Array(200).fill(i)));
      b.endpoint.drain();
      world.rung.clear();
    }
    const fullBefore = b.endpoint.send(0, Note, { number: 1 });
    assert.equal(fullBefore, -errno.AGAIN);
    a.endpoint.drain();
    await settleAll(world, [a, b]);
    const settled = await Promise.all(replies);
    settled.forEach((reply, i) => {
      assert.equal(reply.status, 0);
      assert.deepEqual(reply.value, new Uint8Array(200).fill(i % 50));
    });
    assert.deepEqual(a.faults, []);
  });

  test("a synchronous call waits for room, and reports AGAIN when there never is any", () => {
    const { world, a, b } = pair();
    b.endpoint.serve(Add, () => 1);
    b.endpoint.handle(Note, () => {});
    while (a.endpoint.send(1, Note, { number: 0 }) === 0);
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 1e6).status, 1);
    while (a.endpoint.send(1, Note, { number: 0 }) === 0);
    world.onPause = () => {};
    assert.equal(a.endpoint.call(1, Add, { a: 0, b: 0 }, 1e6).status, -errno.AGAIN);
  });

  test("too many outstanding requests are AGAIN", async () => {
    const world = new World();
    const report = () => {};
    const { transport } = world.node(0);
    world.node(1);
    const endpoint = new Endpoint({
      transports: [transport],
      now_ns: () => 0,
      pause: () => {},
      report,
      outstanding_max: 3,
    });
    const replies = [1, 2, 3, 4].map(() => endpoint.request(1, Add, { a: 0, b: 0 }));
    assert.equal((await replies[3]).status, -errno.AGAIN);
    assert.equal(endpoint.outstanding, 3);
  });
});

describe("doorbells", () => {
  test("a batch is announced by one doorbell, and a draining receiver by none", () => {
    const { world, a, b } = pair();
    b.endpoint.handle(Note, ({ number }) => {
      if (number < 5) a.endpoint.send(1, Note, { number: number + 1 });
      assert.equal(world.rung.has(1), false);
    });
    a.endpoint.send(1, Note, { number: 0 });
    assert.ok(world.rung.delete(1));
    assert.equal(b.endpoint.drain(), 6);
    assert.equal(a.transport.table.counters(0).doorbells, 1);
    assert.equal(a.transport.table.counters(0).doorbellsSaved, 5);
  });

  test("what a limited drain leaves behind rings the own doorbell", () => {
    const { world, a, b } = pair();
    b.endpoint.handle(Note, () => {});
    for (let i = 0; i < 5; i++) a.endpoint.send(1, Note, { number: i });
    world.rung.clear();
    assert.equal(b.endpoint.drain(3), 3);
    assert.ok(world.rung.delete(1));
    assert.equal(b.endpoint.drain(3), 2);
    assert.equal(world.rung.has(1), false);
  });

  test("masks nest, and the last unmask says what waits", () => {
    const { world, a, b } = pair();
    b.endpoint.handle(Note, () => {});
    b.endpoint.mask();
    b.endpoint.mask();
    a.endpoint.send(1, Note, { number: 0 });
    assert.equal(world.rung.has(1), false);
    assert.equal(b.endpoint.unmask(), false);
    assert.equal(b.endpoint.unmask(), true);
    b.endpoint.drain();
    a.endpoint.send(1, Note, { number: 0 });
    assert.ok(world.rung.has(1));
  });

  test("a message that comes while a call is waiting for something else is not forgotten", () => {
    const { world, a, b } = pair();
    const c = world.node(2);
    let notes = 0;
    a.endpoint.handle(Note, () => notes++);
    b.endpoint.serve(Add, () => {
      for (let i = 0; i < 3; i++) c.endpoint.send(0, Note, { number: i });
      return 0;
    });
    a.endpoint.call(1, Add, { a: 0, b: 0 }, 1e6);
    if (notes < 3) assert.ok(world.rung.has(0));
    a.endpoint.drain();
    assert.equal(notes, 3);
  });
});
