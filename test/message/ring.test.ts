/** Rings against a queue model, and rings fed with nonsense. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import {
  type FaultReport,
  type MessageFault,
  type MessageHeader,
  priority,
  type ReceivedMessage,
} from "../../src/message/channel.ts";
import {
  cacheLine_bytes,
  createLines,
  linesFor,
  linesOf,
  positionLimit,
  RingControl,
  RingLine,
  recordsAt,
  stampOf,
} from "../../src/message/layout.ts";
import { formatRing, RingConsumer, type RingPlace, RingProducer } from "../../src/message/ring.ts";

const lineCount = 16;
const payload_bytes_max = 500;

function place(): RingPlace {
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 18));
  const control = createLines(memory, "ring", linesOf(RingControl, 1) + lineCount);
  const made = {
    memory,
    control,
    lines: control + linesOf(RingControl, 1) * cacheLine_bytes,
    lineCount,
    payload_bytes_max,
    priority: priority.normal,
  };
  formatRing(made, 1, 2);
  return made;
}

function header(type: number): MessageHeader {
  return {
    type,
    flags: 1,
    priority: priority.normal,
    correlation: 7,
    status: -3,
    sender: 1,
    toIncarnation: 5,
    fromIncarnation: 6,
  };
}

function buffer(size: number): { bytes: Uint8Array; words: Int32Array } {
  const memory = new ArrayBuffer((size + 7) & -8);
  return { bytes: new Uint8Array(memory), words: new Int32Array(memory) };
}

function filled(size: number, seed: number): { bytes: Uint8Array; words: Int32Array } {
  const payload = buffer(size);
  for (let i = 0; i < size; i++) payload.bytes[i] = (seed * 31 + i * 7) & 255;
  return payload;
}

function received(): ReceivedMessage {
  return { ...header(0), size: 0, ...buffer(payload_bytes_max) };
}

/** Moves an empty ring to a position, as if it had been used for long. */
function startAt(where: RingPlace, position: number): void {
  const control = recordsAt(RingControl, where.memory, where.control, 1);
  control.setTail(0, position);
  control.setCursor(0, position);
  control.setHead(0, position);
}

const silent: FaultReport = () => {};

describe("ring", () => {
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("send" as const), size: fc.nat(payload_bytes_max) }),
    },
    { weight: 5, arbitrary: fc.constant({ do: "receive" as const }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("release" as const), all: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("awaitRoom" as const), size: fc.nat(payload_bytes_max) }),
    },
    { weight: 1, arbitrary: fc.constant({ do: "newProducer" as const }) },
    { weight: 1, arbitrary: fc.constant({ do: "newConsumer" as const }) },
  );

  test("behaves as a bounded queue, whatever is done in whatever order", () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 300 }),
        fc.constantFrom(0, lineCount - 3, positionLimit - 20),
        (commands, start) => {
          const where = place();
          startAt(where, start);
          let producer = new RingProducer(where);
          let consumer = new RingConsumer(where, 1, silent);
          const queue: { type: number; size: number }[] = [];
          let taken = 0;
          let waiting = false;
          let sent = 0;
          const into = received();
          const linesQueued = () => queue.reduce((sum, one) => sum + linesFor(one.size), 0);
          for (const one of commands) {
            if (one.do === "send") {
              const type = ++sent;
              const status = producer.send(header(type), filled(one.size, type), one.size);
              if (status === 0) queue.push({ type, size: one.size });
              else {
                assert.equal(status, -errno.AGAIN);
                assert.ok(
                  linesQueued() + taken + linesFor(one.size) >= lineCount,
                  "refused although there was room",
                );
              }
              assert.ok(linesQueued() < lineCount, "accepted more than fits");
            } else if (one.do === "receive") {
              const next = queue.shift();
              assert.equal(consumer.pending(), next !== undefined);
              assert.equal(consumer.receive(into), next !== undefined);
              if (next === undefined) continue;
              taken += linesFor(next.size);
              const expected = { ...header(next.type), size: next.size };
              const { bytes, words: _, ...found } = into;
              assert.deepEqual(found, expected);
              assert.deepEqual(
                bytes.slice(0, next.size),
                filled(next.size, next.type).bytes.slice(0, next.size),
              );
            } else if (one.do === "release") {
              const wanted = consumer.release(one.all);
              if (wanted) assert.ok(waiting, "nobody waited for room");
              if (wanted) waiting = false;
              // At most a quarter is held back, and nothing if somebody waits.
              if (one.all || taken * 4 > lineCount || wanted) taken = 0;
            } else if (one.do === "awaitRoom") {
              waiting = !producer.awaitRoom(one.size);
              if (waiting) continue;
              const type = ++sent;
              assert.equal(
                producer.send(header(type), filled(one.size, type), one.size),
                0,
                "no room after all",
              );
              queue.push({ type, size: one.size });
            } else if (one.do === "newProducer") producer = new RingProducer(where);
            else consumer = new RingConsumer(where, 1, silent);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test("a producer waiting for room is told once the messages in its way were taken", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(payload_bytes_max), { minLength: 30, maxLength: 30 }),
        fc.nat(3),
        (sizes, held) => {
          const where = place();
          const producer = new RingProducer(where);
          const consumer = new RingConsumer(where, 1, silent);
          const into = received();
          for (const size of sizes) {
            if (producer.send(header(1), buffer(size), size) === 0) continue;
            if (producer.awaitRoom(size)) {
              assert.equal(producer.send(header(1), buffer(size), size), 0);
              continue;
            }
            let told = false;
            for (let i = 0; consumer.receive(into); i++)
              if (i % (held + 1) === 0) told = consumer.release(false) || told;
            told = consumer.release(false) || told;
            assert.ok(told, "nobody told the producer");
            assert.equal(producer.send(header(1), buffer(size), size), 0, "there is still no room");
          }
        },
      ),
    );
  });

  test("a consumer that polls and holds room back gives it when a producer wants it", () => {
    const where = place();
    const producer = new RingProducer(where);
    const consumer = new RingConsumer(where, 1, silent);
    const into = received();
    for (let i = 0; i < lineCount - 1; i++) producer.send(header(i), buffer(0), 0);
    for (let i = 0; i < 5; i++) consumer.receive(into);
    assert.equal(consumer.release(false), false);
    // Six lines are free now, which is too little; the next three are less than what is held back.
    assert.equal(producer.awaitRoom(400), false);
    for (let i = 0; i < 3; i++) consumer.receive(into);
    assert.equal(consumer.release(false), true, "the producer was not told");
    assert.equal(producer.send(header(1), buffer(400), 400), 0);
  });

  test("what is larger than a payload may be is refused", () => {
    const producer = new RingProducer(place());
    assert.equal(producer.send(header(1), buffer(600), payload_bytes_max + 1), -errno.MSGSIZE);
  });

  test("a producer that died between publishing and moving its tail loses and doubles nothing", () => {
    const where = place();
    const control = recordsAt(RingControl, where.memory, where.control, 1);
    const first = new RingProducer(where);
    first.send(header(1), filled(100, 1), 100);
    control.setTail(0, 0);
    const second = new RingProducer(where);
    assert.equal(control.tail(0), linesFor(100));
    second.send(header(2), filled(10, 2), 10);
    const consumer = new RingConsumer(where, 1, silent);
    const into = received();
    assert.ok(consumer.receive(into));
    assert.equal(into.type, 1);
    assert.ok(consumer.receive(into));
    assert.equal(into.type, 2);
    assert.equal(consumer.receive(into), false);
  });

  test("a producer that died before publishing leaves nothing", () => {
    const where = place();
    const lines = recordsAt(RingLine, where.memory, where.lines, lineCount);
    lines.setType(0, 99);
    lines.setSize(0, 40);
    new RingProducer(where).send(header(2), buffer(0), 0);
    const into = received();
    assert.ok(new RingConsumer(where, 1, silent).receive(into));
    assert.equal(into.type, 2);
  });

  test("payload of an earlier lap that looks like a stamp is not taken for a message", () => {
    const where = place();
    const producer = new RingProducer(where);
    const consumer = new RingConsumer(where, 1, silent);
    const into = received();
    // Line 1 of the first message is, to the last bit, the header that could stand there in the next lap.
    const evil = buffer(100);
    evil.words.set([stampOf(lineCount + 1), 66, 0, 0, 0, 1, 0, priority.normal << 16], 8);
    producer.send(header(1), evil, 100);
    for (let i = 0; i < lineCount - linesFor(100); i++) {
      assert.ok(consumer.receive(into));
      consumer.release(true);
      assert.equal(producer.send(header(2), buffer(0), 0), 0);
    }
    while (consumer.receive(into));
    consumer.release(true);
    assert.equal(producer.send(header(3), buffer(0), 0), 0);
    assert.ok(consumer.receive(into));
    assert.equal(into.type, 3);
    assert.equal(consumer.receive(into), false);
    assert.equal(consumer.malformed, 0);
  });

  test("a consumer's nonsense takes the channel out of service instead of overwriting messages", () => {
    const where = place();
    const control = recordsAt(RingControl, where.memory, where.control, 1);
    const producer = new RingProducer(where);
    for (let i = 0; i < lineCount - 1; i++) assert.equal(producer.send(header(i), buffer(0), 0), 0);
    control.setHead(0, 12345);
    assert.equal(producer.send(header(99), buffer(0), 0), -errno.PROTO);
  });
});

describe("malformed messages", () => {
  const fields = ["size", "flags", "priority", "sender"] as const;

  function corrupt(where: RingPlace, line: number, field: (typeof fields)[number], value: number): void {
    const lines = recordsAt(RingLine, where.memory, where.lines, lineCount);
    if (field === "size") lines.setSize(line, value);
    else if (field === "flags") lines.setFlags(line, value);
    else if (field === "priority") lines.setPriority(line, value);
    else lines.setSender(line, value);
  }

  for (const field of fields) {
    test(`a wrong ${field} costs that message and no other`, () => {
      const where = place();
      const faults: MessageFault[] = [];
      const producer = new RingProducer(where);
      const consumer = new RingConsumer(where, 1, (fault) => faults.push(fault));
      const sizes = [10, 200, 40];
      const payloads = sizes.map((size, i) => filled(size, i));
      for (const [i, size] of sizes.entries()) assert.equal(producer.send(header(i), payloads[i], size), 0);
      corrupt(where, linesFor(10), field, 0xfff0);
      const into = received();
      const types: number[] = [];
      while (consumer.receive(into)) types.push(into.type);
      assert.deepEqual(types, [0, 2]);
      assert.equal(consumer.malformed, 1);
      assert.equal(faults.length, 1);
      assert.equal(faults[0].kind, "malformed");
      // And the ring goes on.
      consumer.release(true);
      for (let i = 0; i < 50; i++) {
        assert.equal(producer.send(header(i), filled(90, i), 90), 0);
        assert.ok(consumer.receive(into));
        assert.equal(into.type, i);
        consumer.release(true);
      }
    });
  }

  test("a size that is possible but false is found out and costs only its neighbours", () => {
    for (const lie of [0, 33, 160, payload_bytes_max]) {
      const where = place();
      const producer = new RingProducer(where);
      const consumer = new RingConsumer(where, 1, silent);
      producer.send(header(0), filled(100, 0), 100);
      corrupt(where, 0, "size", lie);
      const into = received();
      const types: number[] = [];
      const take = () => {
        while (consumer.pending()) if (consumer.receive(into)) types.push(into.type);
        consumer.release(true);
      };
      for (let i = 1; i < 40; i++) {
        const status = producer.send(header(i), filled(20, i), 20);
        assert.equal(status, 0, `lie ${lie}, message ${i}`);
        take();
      }
      // Whatever lay inside the false message may be gone; what came later arrives.
      assert.deepEqual(
        types.slice(-25),
        Array.from({ length: 25 }, (_, i) => i + 15),
      );
    }
  });

  test("random damage never crashes, hangs or reads outside the ring", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(lineCount - 1), fc.nat(15), fc.integer()), { maxLength: 40 }),
        fc.array(fc.nat(payload_bytes_max), { maxLength: 40 }),
        (damage, sizes) => {
          const where = place();
          const producer = new RingProducer(where);
          const consumer = new RingConsumer(where, 1, silent);
          const words = new Int32Array(where.memory.buffer, where.lines, lineCount * 16);
          const into = received();
          let step = 0;
          for (const size of sizes) {
            producer.send(header(1), buffer(size), size);
            const hit = damage[step++];
            if (hit !== undefined) words[hit[0] * 16 + hit[1]] = hit[2];
            for (let i = 0; i < lineCount + 1 && consumer.pending(); i++) {
              if (consumer.receive(into)) assert.ok(into.size <= payload_bytes_max);
            }
            consumer.release(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
