import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  array,
  bytes,
  type Format,
  formatNames,
  IndexError,
  i64,
  layoutOf,
  overlay,
  type Strategy,
  type StructType,
  struct,
  u8,
  u16,
  u32,
  u64,
  ValueError,
} from "../../src/memory/index.ts";
import { call, setterOf } from "./call.ts";
import { arbitraryStruct, arbitraryValue, bytesOf, type ModelElement, modelOf } from "./structs.ts";

const strategies: readonly Strategy[] = ["generated", "table"];

/** A struct in a format, and writes of random values to random elements of random records. */
interface Script {
  readonly declared: StructType;
  readonly format: Format;
  readonly writes: readonly { record: number; element: ModelElement; value: number | boolean | Uint8Array }[];
}

const records = 3;

const arbitraryScript: fc.Arbitrary<Script> = fc
  .tuple(arbitraryStruct(), fc.constantFrom(...formatNames))
  .chain(([declared, format]): fc.Arbitrary<Script> => {
    const elements = modelOf(declared, format).elements.filter(({ type }) => type.kind !== "lock");
    if (elements.length === 0) return fc.constant({ declared, format, writes: [] });
    const write = fc
      .tuple(fc.nat(records - 1), fc.constantFrom(...elements))
      .chain(([record, element]) =>
        arbitraryValue(element.reading, element.size).map((value) => ({ record, element, value })),
      );
    return fc.array(write, { maxLength: 20 }).map((writes) => ({ declared, format, writes }));
  });

/** Runs a script against one kind of accessor, comparing every byte of memory with the model after every write. */
function check(script: Script, strategy: Strategy, checked: boolean, addressing: "index" | "address"): void {
  const { declared, format } = script;
  const model = modelOf(declared, format);
  const base = 64;
  const buffer = new SharedArrayBuffer(base + records * model.size + 8);
  const expected = new Uint8Array(buffer.byteLength);
  const common = { format, base, checked, strategy, addressing };
  const accessor = overlay(declared, buffer, addressing === "index" ? { ...common, count: records } : common);
  for (const { record, element, value } of script.writes) {
    const i = addressing === "index" ? record : record * model.size;
    call(accessor, setterOf(element.name), i, ...element.indices, value);
    expected.set(bytesOf(value, element, model.big), base + record * model.size + element.offset);
    assert.deepEqual(new Uint8Array(buffer), expected);
    const back = call(accessor, element.name, i, ...element.indices);
    if (value instanceof Uint8Array) {
      assert.deepEqual(Array.from(value), Array.from(back as Uint8Array).slice(0, value.length));
    } else if (element.reading === "f" && Number.isNaN(value)) {
      assert.ok(Number.isNaN(back));
    } else {
      // Integers have no negative zero.
      assert.ok(back === value, `${element.path}: wrote ${value}, read ${back}`);
    }
  }
}

for (const strategy of strategies) {
  for (const addressing of ["index", "address"] as const) {
    test(`${strategy} accessors by ${addressing} write and read the bytes that C would`, () => {
      fc.assert(
        fc.property(arbitraryScript, fc.boolean(), (script, checked) =>
          check(script, strategy, checked, addressing),
        ),
        { numRuns: 150 },
      );
    });
  }
}

test("integers that do not fit keep their low bits, as with DataView", () => {
  const Small = struct("Small", { byte: u8, half: u16, word: u32 });
  for (const strategy of strategies) {
    const accessor = overlay(Small, new ArrayBuffer(8), { format: "lp64", strategy });
    accessor.setByte(0, 0x1ff);
    accessor.setHalf(0, -1);
    accessor.setWord(0, 2 ** 32 + 5);
    assert.deepEqual([accessor.byte(0), accessor.half(0), accessor.word(0)], [0xff, 0xffff, 5]);
  }
});

const Wide = struct("Wide", { size: u64, delta: i64, sizes: array(u64, 2) });

test("64-bit fields refuse what a number does not hold exactly", () => {
  for (const strategy of strategies) {
    for (const format of formatNames) {
      const wide = overlay(Wide, new ArrayBuffer(64), { format, strategy });
      for (const value of [-1, 2 ** 53, 2 ** 64, 2 ** 96, 0.5, Number.NaN, Infinity, -Infinity, 1e300]) {
        assert.throws(() => wide.setSize(0, value), ValueError, `${strategy} ${format} ${value}`);
      }
      for (const value of [2 ** 53, -(2 ** 53) - 2, 1.5, Number.NaN, -Infinity, 2 ** 85]) {
        assert.throws(() => wide.setDelta(0, value), ValueError, `${strategy} ${format} ${value}`);
      }
      assert.throws(() => wide.setSizes(0, 1, 2 ** 53), ValueError);
      assert.deepEqual([wide.size(0), wide.delta(0), wide.sizes(0, 1)], [0, 0, 0], "nothing was written");
      for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
        wide.setSize(0, value);
        wide.setSizes(0, 1, value);
        assert.deepEqual([wide.size(0), wide.sizes(0, 1)], [value, value]);
      }
      for (const value of [-1, -(2 ** 32), -(2 ** 53), 2 ** 53 - 1, -(2 ** 53) + 1]) {
        wide.setDelta(0, value);
        assert.equal(wide.delta(0), value);
      }
    }
  }
});

test("the halves of 64-bit fields reach all 64 bits", () => {
  for (const strategy of strategies) {
    for (const format of formatNames) {
      const buffer = new ArrayBuffer(64);
      const wide = overlay(Wide, buffer, { format, strategy });
      wide.setSizeHalves(0, 0x89abcdef, 0x01234567);
      const order = format.endsWith("be");
      assert.equal(
        new DataView(buffer).getBigUint64(layoutOf(Wide, format).fields[0].offset, !order),
        0x0123456789abcdefn,
      );
      assert.deepEqual([wide.sizeLow(0), wide.sizeHigh(0)], [0x89abcdef, 0x01234567]);
      wide.setSizeHalves(0, 0xffffffff, 0xffffffff);
      assert.throws(() => wide.size(0), { name: "ValueError", message: /struct Wide, field size: .*2\^53/ });
      wide.setDeltaHalves(0, 0xffffffff, 0xffffffff);
      assert.equal(wide.delta(0), -1);
      wide.setDeltaHalves(0, 0, 0x80000000);
      assert.throws(() => wide.delta(0), ValueError);
      wide.setSizesHalves(0, 1, 7, 0x00200000);
      assert.throws(() => wide.sizes(0, 1), ValueError);
    }
  }
});

const Entry = struct("Entry", {
  id: u32,
  name: bytes(6),
  blocks: array(u16, 4),
  grid: array(array(u8, 3), 2),
  parts: array(struct("Part", { x: u8, tags: array(u8, 2) }), 2),
});

test("indices out of bounds are refused with struct, field, index and count", () => {
  for (const strategy of strategies) {
    const entries = overlay(Entry, new SharedArrayBuffer(1000), { format: "lp64", count: 5, strategy });
    for (const index of [5, 6, -1, 2 ** 31, 2 ** 32, 178_956_971, 2 ** 53, 0.5, 4.5, Number.NaN, Infinity]) {
      assert.throws(
        () => entries.id(index),
        (error: unknown) =>
          error instanceof IndexError &&
          error instanceof RangeError &&
          error.message === `struct Entry, field id: record ${index} is out of bounds, there are 5 (0 to 4)`,
        `${strategy} ${index}`,
      );
      assert.throws(() => entries.setId(index, 1), IndexError);
      assert.throws(() => entries.name(index), IndexError);
      assert.throws(() => entries.setName(index, new Uint8Array(1)), IndexError);
      assert.throws(() => entries.offset(index), IndexError);
      assert.throws(() => entries.clear(index), IndexError);
    }
    for (const index of [4, -1, 1.5, Number.NaN, 2 ** 32]) {
      assert.throws(() => entries.blocks(0, index), {
        name: "IndexError",
        message: `struct Entry, field blocks[]: array index ${index} is out of bounds, the array has 4 elements`,
      });
      assert.throws(() => entries.setBlocks(0, index, 1), IndexError);
    }
    assert.throws(() => entries.grid(0, 2, 0), /array index 2 is out of bounds, the array has 2 elements/);
    assert.throws(() => entries.grid(0, 0, 3), /array index 3 is out of bounds, the array has 3 elements/);
    assert.throws(() => entries.partsTags(0, 1, 2), /parts\[\]\.tags\[\]: array index 2/);
    assert.throws(() => entries.partsX(5, 0), /record 5/);
    entries.setPartsTags(4, 1, 1, 9);
    assert.equal(entries.partsTags(4, 1, 1), 9);
  }
});

test("indices that are not numbers are refused", () => {
  for (const strategy of strategies) {
    const entries = overlay(Entry, new SharedArrayBuffer(1000), { format: "lp64", count: 5, strategy });
    for (const index of [undefined, null, "1", {}, "x", true]) {
      assert.throws(() => call(entries, "id", index), IndexError, `${strategy} ${String(index)}`);
      assert.throws(() => call(entries, "blocks", 0, index), IndexError, `${strategy} ${String(index)}`);
    }
  }
});

test("unchecked accessors never leave the memory they cover", () => {
  for (const strategy of strategies) {
    const options = { format: "lp64", base: 128, count: 5, checked: false, strategy } as const;
    const entries = overlay(Entry, new SharedArrayBuffer(2000), options);
    for (const index of [5, -1, 1000]) {
      assert.throws(() => entries.id(index), RangeError);
      assert.throws(() => entries.setId(index, 1), RangeError);
    }
  }
});

test("addresses are checked when asked for", () => {
  for (const strategy of strategies) {
    const memory = new SharedArrayBuffer(256);
    const entries = overlay(Entry, memory, {
      format: "ilp32",
      addressing: "address",
      checked: true,
      strategy,
    });
    const { size } = layoutOf(Entry, "ilp32");
    entries.setId(256 - size, 77);
    assert.equal(entries.id(256 - size), 77);
    for (const address of [256 - size + 1, 256, -1, 2 ** 32, Number.NaN, 0.5]) {
      assert.throws(
        () => entries.id(address),
        {
          name: "IndexError",
          message: new RegExp(`field id: a record of ${size} bytes at address ${address} is outside the 256`),
        },
        `${strategy} ${address}`,
      );
    }
    assert.throws(() => entries.blocks(0, 4), IndexError);
    entries.setId(3, 0x01020304);
    assert.equal(entries.id(3), 0x01020304, "plain fields need no alignment");
  }
});

test("byte strings are views, are padded with zeros, and do not overflow", () => {
  for (const strategy of strategies) {
    const buffer = new SharedArrayBuffer(1000);
    const entries = overlay(Entry, buffer, { format: "lp64", base: 16, count: 5, strategy });
    entries.setName(2, new TextEncoder().encode("abcdef"));
    entries.setName(2, new TextEncoder().encode("xy"));
    assert.deepEqual(Array.from(entries.name(2)), [120, 121, 0, 0, 0, 0]);
    entries.name(2)[5] = 33;
    assert.equal(new Uint8Array(buffer)[entries.nameOffset(2) + 5], 33);
    assert.equal(entries.nameOffset(2), entries.offset(2) + 4);
    assert.throws(() => entries.setName(2, new Uint8Array(7)), {
      name: "ValueError",
      message: "struct Entry, field name: 7 bytes do not fit, the field has 6",
    });
    assert.throws(
      () => call(entries, "setName", 2, "text"),
      /a byte string is set from a Uint8Array, not from string/,
    );
    entries.clear(2);
    assert.deepEqual(Array.from(entries.name(2)), [0, 0, 0, 0, 0, 0]);
  }
});

test("rebinding follows memory that has grown", () => {
  for (const strategy of strategies) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
    const entries = overlay(Entry, memory.buffer, { format: "ilp32", addressing: "address", strategy });
    const before = entries.area;
    entries.setId(100, 5);
    assert.throws(() => entries.id(70_000), RangeError);
    memory.grow(1);
    assert.equal(entries.rebind(memory.buffer), entries);
    assert.equal(entries.id(100), 5);
    entries.setId(70_000, 6);
    assert.equal(new DataView(memory.buffer).getUint32(70_000, true), 6);
    assert.equal(entries.area, before);
    assert.throws(
      () =>
        overlay(Entry, memory.buffer, { format: "ilp32", count: 3, strategy }).rebind(new ArrayBuffer(10)),
      {
        name: "AreaError",
      },
    );
  }
});

test("a stride leaves room between records", () => {
  for (const strategy of strategies) {
    const buffer = new ArrayBuffer(64 * 4);
    const entries = overlay(Entry, buffer, { format: "lp64", count: 4, stride: 64, strategy });
    entries.setId(3, 9);
    assert.equal(entries.offset(3), 192);
    assert.equal(new DataView(buffer).getUint32(192, true), 9);
    assert.throws(() => entries.id(4), IndexError);
  }
});

test("accessor classes are shared by areas that look alike", () => {
  const one = overlay(Entry, new ArrayBuffer(1000), { format: "lp64", count: 5 });
  const other = overlay(Entry, new SharedArrayBuffer(2000), { format: "lp64", base: 64, count: 9 });
  const odd = overlay(Entry, new ArrayBuffer(1000), { format: "lp64be", count: 5 });
  assert.equal(Object.getPrototypeOf(one), Object.getPrototypeOf(other));
  assert.notEqual(Object.getPrototypeOf(one), Object.getPrototypeOf(odd));
});
