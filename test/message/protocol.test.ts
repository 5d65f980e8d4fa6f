/** Message types: what is written is read, by generated code and by the table. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  array,
  atomic,
  bool,
  bytes,
  type FieldType,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  lock,
  pointer,
  struct,
  u8,
  u16,
  u32,
  u64,
} from "../../src/memory/index.ts";
import { structCodec, type Values } from "../../src/message/codec.ts";
import {
  type MessageFields,
  MessageUsageError,
  message,
  request,
  typeNumber,
} from "../../src/message/index.ts";
import type { MessageField } from "../../src/message/protocol.ts";
import { Staging } from "../../src/message/staging.ts";

const int = (bits: number, signed: boolean) =>
  signed
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 });

interface Sample {
  readonly type: MessageField;
  readonly value: fc.Arbitrary<unknown>;
}

const scalars: Sample[] = [
  { type: u8, value: int(8, false) },
  { type: i8, value: int(8, true) },
  { type: u16, value: int(16, false) },
  { type: i16, value: int(16, true) },
  { type: u32, value: int(32, false) },
  { type: i32, value: int(32, true) },
  { type: u64, value: fc.maxSafeNat() },
  { type: i64, value: fc.maxSafeInteger() },
  { type: f32, value: fc.float({ noNaN: true }) },
  { type: f64, value: fc.double({ noNaN: true }) },
  { type: bool, value: fc.boolean() },
  { type: pointer("Thing"), value: fc.nat() },
];

const sample: fc.Arbitrary<Sample> = fc.letrec<{ any: Sample }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...scalars),
    fc.integer({ min: 1, max: 100 }).map((length) => ({
      type: bytes(length),
      value: fc.uint8Array({ minLength: length, maxLength: length }),
    })),
    fc.tuple(tie("any"), fc.integer({ min: 1, max: 4 })).map(([element, length]) => ({
      type: array(element.type, length),
      value: fc.array(element.value, { minLength: length, maxLength: length }),
    })),
    fc.array(tie("any"), { minLength: 1, maxLength: 3 }).map((parts) => {
      const fields = Object.fromEntries(parts.map((part, i) => [`part${i}`, part.type]));
      const values = Object.fromEntries(parts.map((part, i) => [`part${i}`, part.value]));
      return { type: struct("Inner", fields), value: fc.record(values, { noNullPrototype: true }) };
    }),
  ),
})).any;

const shapeAndValue = fc.array(sample, { minLength: 1, maxLength: 5 }).chain((samples) => {
  const fields: MessageFields = Object.fromEntries(samples.map((one, i) => [`field${i}`, one.type]));
  const values = fc.record(Object.fromEntries(samples.map((one, i) => [`field${i}`, one.value])), {
    noNullPrototype: true,
  });
  return fc.tuple(fc.constant(fields), values, fc.uint8Array({ maxLength: 200 }));
});

describe("message types", () => {
  test("what is written is read again, and both kinds of code write the same bytes", () => {
    fc.assert(
      fc.property(shapeAndValue, ([fields, value, tail]) => {
        const shape = struct("Shape", fields as { [field: string]: FieldType });
        const written = (["generated", "table"] as const).map((strategy) => {
          const staging = new Staging(1 << 16);
          staging.bytes.fill(0xaa);
          const codec = structCodec(shape, true, staging, strategy);
          const size = codec.write(64, { ...value, tail }, 1 << 15);
          assert.deepEqual(codec.read(64, size), { ...value, tail });
          return staging.bytes.slice(64, 64 + size);
        });
        assert.deepEqual(written[0], written[1]);
      }),
      { numRuns: 200 },
    );
  });

  test("padding carries nothing of an earlier message", () => {
    const staging = new Staging(64);
    staging.bytes.fill(0xff);
    const Padded = message("padded", { small: u8, large: u32 });
    assert.equal(Padded.bind(staging).write(0, { small: 1, large: 2 }, 64), 8);
    assert.deepEqual([...staging.bytes.slice(0, 8)], [1, 0, 0, 0, 2, 0, 0, 0]);
  });

  test("a payload of another size is none of the type", () => {
    const codec = structCodec(struct("Pair", { a: u32, b: u32 }), false, new Staging(64));
    assert.equal(codec.read(0, 7), undefined);
    assert.equal(codec.read(0, 9), undefined);
    assert.ok(codec.read(0, 8));
    const tailed = structCodec(struct("Pair", { a: u32, b: u32 }), true, new Staging(64));
    assert.equal(tailed.read(0, 7), undefined);
    assert.ok(tailed.read(0, 9));
  });

  test("values read are the reader's to keep", () => {
    const staging = new Staging(1024);
    const codec = structCodec(struct("Text", { text: bytes(100) }), true, staging);
    const size = codec.write(
      0,
      { text: new Uint8Array(100).fill(1), tail: new Uint8Array(200).fill(2) },
      1024,
    );
    const value = codec.read(0, size) as Values & { text: Uint8Array; tail: Uint8Array };
    staging.bytes.fill(9);
    assert.ok(value.text.every((byte) => byte === 1));
    assert.ok(value.tail.every((byte) => byte === 2));
  });

  test("an array of the wrong length is refused, by name", () => {
    for (const strategy of ["generated", "table"] as const) {
      const codec = structCodec(struct("List", { items: array(u32, 3) }), false, new Staging(64), strategy);
      assert.throws(
        () => codec.write(0, { items: [1, 2] }, 64),
        (error: unknown) => {
          assert.ok(error instanceof MessageUsageError);
          assert.match(error.message, /items/);
          return true;
        },
      );
    }
  });

  test("fields that a copy cannot carry are refused at declaration", () => {
    const atomicField = { counter: atomic(u32) } as unknown as MessageFields;
    const lockField = { inner: struct("Guarded", { mutex: lock() }) };
    assert.throws(() => message("bad", atomicField), /counter is a atomic/);
    assert.throws(() => message("bad", lockField), /inner.mutex is a lock/);
    assert.throws(() => message("bad", { tail: u32 }, { tail: true }), /tail/);
  });

  test("a request is a pair of types; numbers come from names alone", () => {
    const Open = request("open", { flags: u32 }, { handle: u32 });
    assert.equal(Open.request.name, "open_request");
    assert.equal(Open.reply.name, "open_reply");
    assert.notEqual(Open.request.number, Open.reply.number);
    assert.equal(typeNumber("open_request"), Open.request.number);
    assert.ok(typeNumber("anything") < 2 ** 30);
  });
});
