/** The decoder and the encoder: what is read is written back the same, and damage is reported, never suffered. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MalformedModuleError } from "../../src/engine/errors.ts";
import { InstructionCursor } from "../../src/engine/wasm/cursor.ts";
import { decodeModule } from "../../src/engine/wasm/decode.ts";
import { encodeModule } from "../../src/engine/wasm/encode.ts";
import { functionTypeAt } from "../../src/engine/wasm/module.ts";
import { op, opcodeTables } from "../../src/engine/wasm/opcodes.ts";
import { ByteReader } from "../../src/engine/wasm/reader.ts";
import { ByteWriter } from "../../src/engine/wasm/writer.ts";
import { largeBinaries, toolBinaries } from "./support/binaries.ts";
import { buildModule } from "./support/module-builder.ts";

const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** Decodes bytes that must be refused; returns the error. */
function refused(bytes: readonly number[]): MalformedModuleError {
  try {
    decodeModule(Uint8Array.from(bytes));
  } catch (error) {
    assert.ok(error instanceof MalformedModuleError, String(error));
    return error;
  }
  return assert.fail("the module was accepted");
}

describe("real programs", () => {
  for (const { name, read } of [...largeBinaries, ...toolBinaries]) {
    test(`${name} is written back byte for byte`, () => {
      const bytes = read();
      const encoded = encodeModule(decodeModule(bytes));
      assert.equal(encoded.length, bytes.length);
      assert.equal(Buffer.compare(encoded, bytes), 0);
    });
  }

  for (const { name, read } of largeBinaries.slice(-3)) {
    test(`every body of ${name} is a sequence of known instructions that ends with end`, () => {
      const bytes = read();
      const module = decodeModule(bytes);
      const cursor = new InstructionCursor(bytes);
      for (const body of module.bodies) {
        assert.ok(!(body instanceof Uint8Array));
        const reader = new ByteReader(bytes, body.start, body.end);
        for (let groups = reader.u32(); groups > 0; groups--) {
          reader.u32();
          reader.u8();
        }
        cursor.moveTo(reader.position, body.end);
        while (cursor.next());
        assert.equal(cursor.position, body.end);
        assert.equal(cursor.opcode, op.end);
      }
    });
  }
});

describe("numbers", () => {
  const values = [0, 1, 63, 64, 127, 128, 16383, 16384, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

  test("unsigned and signed integers survive", () => {
    for (const value of values) {
      const writer = new ByteWriter(1);
      writer.u32(value);
      writer.u64(value * 2 ** 20);
      writer.s32(value | 0);
      writer.s32(-value | 0);
      const reader = new ByteReader(writer.written());
      assert.equal(reader.u32(), value);
      assert.equal(reader.u64(), value * 2 ** 20);
      assert.equal(reader.s33(), value | 0);
      assert.equal(reader.s33(), -value | 0);
      assert.equal(reader.remaining, 0);
    }
  });

  test("integers that are too long or too large are refused", () => {
    assert.throws(
      () => new ByteReader(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0)).u32(),
      MalformedModuleError,
    );
    assert.throws(
      () => new ByteReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f)).u32(),
      MalformedModuleError,
    );
    assert.throws(() => new ByteReader(Uint8Array.of(0x80)).u32(), MalformedModuleError);
    assert.throws(() => new ByteReader(new Uint8Array(11).fill(0x80)).u64(), MalformedModuleError);
  });

  test("a length can be filled in afterwards in any width", () => {
    for (const length of [0, 1, 127, 128, 20000]) {
      const writer = new ByteWriter(1);
      writer.u8(7);
      const start = writer.beginLength();
      for (let index = 0; index < length; index++) writer.u8(index);
      writer.endLength(start);
      const reader = new ByteReader(writer.written(), 1);
      assert.equal(reader.u32(), length);
      assert.equal(reader.remaining, length);
      if (length > 1) assert.equal(reader.bytes[reader.position + 1], 1);
    }
  });
});

describe("malformed modules name the place and what belongs there", () => {
  const cases: readonly (readonly [
    what: string,
    bytes: readonly number[],
    offset: number,
    expected: RegExp,
  ])[] = [
    ["nothing", [], 0, /magic/],
    ["another file", [0x7f, 0x45, 0x4c, 0x46], 0, /magic/],
    ["a component", [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0], 4, /version/],
    ["a section beyond the end", [...header, 1, 5, 0], 9, /bytes of a section/],
    ["an unknown section", [...header, 99, 0], 8, /section/],
    ["sections in the wrong order", [...header, 3, 1, 0, 1, 1, 0], 11, /order/],
    ["the same section twice", [...header, 1, 1, 0, 1, 1, 0], 11, /order/],
    ["rest in a section", [...header, 1, 2, 0, 0], 11, /end of section/],
    ["more types than fit", [...header, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f], 10, /number of types/],
    ["an unknown type", [...header, 1, 3, 1, 0x11, 0], 11, /type/],
    ["functions without bodies", [...header, 3, 2, 1, 0], 12, /function bodies/],
    ["a name that is not UTF-8", [...header, 0, 2, 1, 0xff], 10, /name/],
    ["an expression without end", [...header, 6, 5, 1, 0x7f, 0, 0x41, 0], 13, /constant expression/],
    ["strange limits", [...header, 5, 3, 1, 0x40, 0], 11, /limits/],
  ];
  for (const [what, bytes, offset, expected] of cases) {
    test(what, () => {
      const error = refused(bytes);
      assert.equal(error.offset_bytes, offset);
      assert.match(error.expected, expected);
      assert.match(error.message, /at byte \d+: expected/);
    });
  }

  test("a module in shared memory can be decoded", () => {
    const bytes = buildModule({ functions: [{ export: "f", code: "nop" }] });
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    assert.equal(decodeModule(shared).exports[0].name, "f");
  });
});

test("regression: a name that begins with a byte order mark keeps it", () => {
  const writer = new ByteWriter(32);
  writer.name("\uFEFFname");
  assert.equal(new ByteReader(writer.written().slice()).name("a name"), "\uFEFFname");
});

describe("types", () => {
  test("groups, structs, arrays and typed references count in the type index space", () => {
    const types = [
      ...[0x4e, 2, 0x50, 0, 0x5f, 1, 0x64, 0x01, 0x00, 0x4f, 1, 0, 0x5e, 0x78, 1],
      ...[0x60, 2, 0x7f, 0x63, 0x00, 1, 0x64, 0x70],
    ];
    const bytes = Uint8Array.from([...header, 1, types.length + 1, 2, ...types]);
    const module = decodeModule(bytes);
    assert.equal(module.typeGroups.length, 2);
    assert.equal(module.types.length, 3);
    assert.equal(functionTypeAt(module, 1), null);
    assert.deepEqual(functionTypeAt(module, 2)?.params, [0x7f, 0x63]);
    assert.deepEqual(functionTypeAt(module, 2)?.results, [-16 * 256 + 0x64]);
    assert.deepEqual([...encodeModule(module)], [...bytes]);
  });

  test("instruction names are unique, and every signature has its shape", () => {
    const seen = new Set<string>();
    opcodeTables.names.forEach((name, opcode) => {
      if (name === "") return;
      assert.ok(!seen.has(name), name);
      seen.add(name);
      assert.match(opcodeTables.signatures[opcode], /^(\*|[ilfdvra]*>[ilfdvra]*)$/, name);
    });
    assert.ok(seen.size > 550, `${seen.size} instructions`);
  });
});
