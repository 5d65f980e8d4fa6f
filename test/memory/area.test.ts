import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import {
  AreaError,
  AttachError,
  array,
  atomic,
  bool,
  bytes,
  type Fields,
  type FieldType,
  type Format,
  f32,
  f64,
  formatNames,
  i32,
  i64,
  layoutOf,
  lock,
  overlay,
  pointer,
  type Strategy,
  struct,
  TypedMemory,
  u8,
  u16,
  u32,
  u64,
  usize,
  ValueError,
} from "../../src/memory/index.ts";

const strategies: readonly Strategy[] = ["generated", "table"];

const Process = struct("Process", {
  pid: u32,
  state: atomic(u32),
  parent: u32,
  size: u64,
  name: bytes(12),
  times: array(f64, 2),
  next: pointer("Process"),
});

function freshMemory(byteLength = 1 << 16): TypedMemory {
  return TypedMemory.format(new SharedArrayBuffer(byteLength));
}

test("an attaché sees the creator's records, in every format", () => {
  for (const format of formatNames) {
    for (const strategy of strategies) {
      const memory = freshMemory();
      const created = memory.create("processes", Process, { count: 10, format });
      created.setPid(3, 4711);
      created.setSize(3, 2 ** 40);
      created.setTimes(3, 1, 0.25);
      created.setState(3, 7);
      const attached = TypedMemory.attach(memory.buffer).attachArea("processes", Process, { strategy });
      assert.equal(attached.area.format, format);
      assert.equal(attached.area.strategy, strategy);
      assert.deepEqual(
        [attached.pid(3), attached.size(3), attached.times(3, 1), attached.addState(3, 1)],
        [4711, 2 ** 40, 0.25, 7],
      );
      assert.equal(created.state(3), 8);
    }
  }
});

test("an attaché may know fewer fields than the creator", () => {
  const Part = struct("Process", { next: pointer("Process"), size: u64 });
  for (const format of formatNames) {
    for (const strategy of strategies) {
      const memory = freshMemory();
      const created = memory.create("processes", Process, { count: 4, format });
      const attached = memory.attachArea("processes", Part, { strategy });
      attached.setSize(2, 99);
      attached.setNext(2, 1);
      assert.deepEqual([created.size(2), created.next(2), created.pid(2)], [99, 1, 0]);
      assert.equal(attached.area.layout.size, layoutOf(Process, format).size);
      attached.clear(2);
      assert.equal(created.size(2), 0);
    }
  }
});

test("an attaché may declare wider scalars, and writes that do not fit are refused", () => {
  const Narrow = struct("Shape", { count: u16, delta: i32, weight: f32, size: usize });
  const Wider = struct("Shape", { count: i64, delta: i64, weight: f64, size: u64 });
  for (const format of ["ilp32", "ilp32be"] as const) {
    for (const strategy of strategies) {
      const memory = freshMemory();
      const created = memory.create("shapes", Narrow, { count: 2, format });
      const attached = memory.attachArea("shapes", Wider, { strategy });
      created.setDelta(1, -5);
      created.setSize(1, 0xfffffffe);
      assert.deepEqual(
        [attached.delta(1), attached.deltaLow(1), attached.deltaHigh(1)],
        [-5, 0xfffffffb, 0xffffffff],
      );
      assert.deepEqual(
        [attached.size(1), attached.sizeLow(1), attached.sizeHigh(1)],
        [0xfffffffe, 0xfffffffe, 0],
      );
      attached.setCount(1, 65535);
      attached.setDeltaHalves(1, 0xfffffffe, 0xffffffff);
      attached.setSizeHalves(1, 7, 0);
      attached.setWeight(1, 0.5);
      attached.setWeight(1, Number.NaN);
      attached.setWeight(1, 1.5);
      assert.deepEqual(
        [created.count(1), created.delta(1), created.size(1), created.weight(1)],
        [65535, -2, 7, 1.5],
      );
      const refused = {
        name: "ValueError",
        message: /area shapes \(struct Shape\), field \w+: .* does not fit/,
      };
      assert.throws(() => attached.setCount(1, 65536), refused);
      assert.throws(() => attached.setCount(1, -1), refused);
      assert.throws(() => attached.setCount(1, 0.5), refused);
      assert.throws(() => attached.setDelta(1, 2 ** 31), refused);
      assert.throws(() => attached.setSize(1, 2 ** 32), refused);
      assert.throws(() => attached.setSizeHalves(1, 0, 1), refused);
      assert.throws(() => attached.setWeight(1, 0.1), refused);
    }
  }
});

test("attaching that would lose or misread information names the field", () => {
  const attempts: readonly (readonly [create: FieldType, attach: FieldType, reason: RegExp])[] = [
    [u64, u32, /the area has u64 .*which u32 cannot hold without loss/],
    [i32, u32, /the area has i32/],
    [u32, i32, /the area has u32/],
    [u64, i64, /the area has u64/],
    [f64, f32, /the area has f64/],
    [u32, f64, /the area has u32/],
    [bool, u8, /the area has bool/],
    [usize, u32, /the area has usize \(u64 in lp64\)/],
    [bytes(8), bytes(4), /the area has bytes\(8\); declare the same type/],
    [bytes(8), u64, /the area has bytes\(8\)/],
    [array(u32, 4), array(u32, 5), /the area's array is \[4\], the declared one \[5\]/],
    [array(u32, 4), array(u32, 3), /the area's array is \[4\]/],
    [array(u32, 4), u32, /the area has it as value\[\]: arrays must have the same dimensions/],
    [u32, array(u32, 1), /the area has it as value: arrays/],
    [struct("Inner", { x: u32 }), u32, /the area has it as a struct or array \(value\.x\)/],
    [u32, struct("Inner", { x: u32 }), /no such field/],
    [atomic(u32), u32, /the area has atomic u32/],
    [u32, atomic(u32), /the area has u32/],
    [lock(), u32, /the area has lock/],
    [pointer("Node"), pointer("Other"), /the area has pointer to Node/],
    [pointer("Node"), u64, /the area has pointer to Node/],
  ];
  for (const [create, attach, reason] of attempts) {
    const memory = freshMemory();
    memory.create("things", struct("Thing", { head: u8, value: create }), { count: 1 });
    assert.throws(
      () => memory.attachArea("things", struct("Thing", { value: attach })),
      (error: unknown) => {
        assert.ok(error instanceof AttachError);
        assert.match(error.message, /^area things, field value(\.x|\[\])? \(declared /);
        assert.match(error.message, reason);
        return true;
      },
    );
  }
  const memory = freshMemory();
  memory.create("things", struct("Thing", { head: u8 }), { count: 1 });
  assert.throws(
    () => memory.attachArea("things", struct("Thing", { tail: u8 })),
    /no such field; declare only fields the creator has: head/,
  );
  assert.throws(
    () => memory.attachArea("things", struct("Other", { head: u8 })),
    /holds records of struct Thing, not Other/,
  );
  assert.throws(
    () => memory.attachArea("nothing", Process),
    /no area nothing to attach to; the memory has things/,
  );
});

test("names, room and entries are limited, and say so", () => {
  const memory = TypedMemory.format(new SharedArrayBuffer(8192), { areasMax: 3 });
  memory.create("one", Process, { count: 2 });
  assert.throws(() => memory.create("one", Process, { count: 2 }), /area one exists already/);
  assert.throws(
    () => memory.create("big", Process, { count: 10_000 }),
    /no room for area big: it needs \d+ bytes in a row/,
  );
  for (const name of ["", "x".repeat(65), "ü".repeat(33)]) {
    assert.throws(() => memory.create(name, Process, { count: 1 }), /must have 1 to 64 bytes/);
  }
  memory.create("x".repeat(64), Process, { count: 1 });
  memory.create("two", Process, { count: 1 });
  assert.throws(() => memory.create("three", Process, { count: 1 }), /all 3 directory entries are taken/);
  for (const count of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
    assert.throws(() => memory.create("bad", Process, { count }), AreaError);
  }
  assert.throws(() => memory.create("bad", Process, { count: 1, stride: 8 }), /stride 8/);
  assert.throws(() => memory.create("bad", Process, { count: 1, align: 24 }), /alignment 24/);
  assert.throws(() => memory.remove("four"), /no area four to remove/);
  assert.throws(
    () => TypedMemory.attach(new SharedArrayBuffer(8192)),
    /no directory at 0: format the memory/,
  );
  assert.throws(() => TypedMemory.attach(new SharedArrayBuffer(8)), AreaError);
  assert.throws(
    () => TypedMemory.format(new SharedArrayBuffer(1000)),
    /a directory of 256 areas takes \d+ bytes; there are 1000/,
  );
});

test("areas are described, listed and removed", () => {
  const memory = freshMemory();
  const contract = { coherence: "dsm", latenciesNs: [80, 120.5] } as const;
  memory.create("pages", Process, { count: 3, format: "i386", contract, align: 4096, stride: 128 });
  memory.create("plain", Process, { count: 1 });
  const pages = TypedMemory.attach(memory.buffer).lookup("pages");
  assert.ok(pages !== undefined);
  assert.deepEqual([pages.format, pages.count, pages.stride, pages.byteLength], ["i386", 3, 128, 384]);
  assert.equal(pages.base % 4096, 0);
  assert.deepEqual(pages.contract, contract);
  assert.deepEqual(memory.lookup("plain")?.contract, { coherence: "coherent", latenciesNs: [] });
  assert.deepEqual(
    memory.areas().map(({ name }) => name),
    ["pages", "plain"],
  );
  memory.remove("pages");
  assert.equal(memory.lookup("pages"), undefined);
  assert.deepEqual(
    memory.areas().map(({ name }) => name),
    ["plain"],
  );
});

test("areas never overlap, are zeroed, and their room is used again", () => {
  const Cell = struct("Cell", { value: u32 });
  const step = fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    count: fc.integer({ min: 1, max: 400 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const memory = TypedMemory.format(new SharedArrayBuffer(8192), { areasMax: 8 });
      const free = memory.freeBytes();
      const live = new Map<
        string,
        { marker: number; area: ReturnType<typeof memory.create<typeof Cell.fields>> }
      >();
      steps.forEach(({ name, count }, marker) => {
        if (live.delete(name)) {
          memory.remove(name);
          return;
        }
        try {
          const area = memory.create(name, Cell, { count });
          for (let i = 0; i < count; i++) {
            assert.equal(area.value(i), 0, "a new area is zeroed");
            area.setValue(i, marker + 1);
          }
          live.set(name, { marker, area });
        } catch (error) {
          assert.ok(error instanceof AreaError);
        }
        for (const { marker, area } of live.values()) {
          for (let i = 0; i < area.area.count; i++)
            assert.equal(area.value(i), marker + 1, "nobody else wrote here");
        }
      });
      for (const name of live.keys()) memory.remove(name);
      assert.equal(memory.freeBytes(), free);
    }),
    { numRuns: 60 },
  );
});

test("a memory can lie inside a larger buffer", () => {
  const buffer = new SharedArrayBuffer(1 << 16);
  const low = TypedMemory.format(buffer, { base: 0, byteLength: 16_384, areasMax: 16 });
  const high = TypedMemory.format(buffer, { base: 16_384, byteLength: 16_384, areasMax: 16 });
  low.create("same", Process, { count: 4 }).setPid(0, 1);
  high.create("same", Process, { count: 4 }).setPid(0, 2);
  const again = TypedMemory.attach(buffer, { base: 16_384 });
  assert.equal(again.attachArea("same", Process).pid(0), 2);
  const { base, byteLength } = again.lookup("same") ?? { base: 0, byteLength: 0 };
  assert.ok(base >= 16_384 && base + byteLength <= 32_768);
  assert.throws(() => TypedMemory.format(buffer, { base: 100 }), /multiple of 64/);
});

test("random structs attach to themselves in every format, and fail cleanly against each other", () => {
  const fields: fc.Arbitrary<Fields> = fc.dictionary(
    fc.constantFrom("a", "b", "c", "d"),
    fc.constantFrom<FieldType>(
      u8,
      u16,
      u32,
      u64,
      i32,
      i64,
      f32,
      f64,
      bool,
      bytes(3),
      array(u8, 2),
      atomic(u32),
      lock(),
    ),
    { minKeys: 1 },
  );
  fc.assert(
    fc.property(fields, fields, fc.constantFrom<Format>(...formatNames), (one, other, format) => {
      const memory = freshMemory();
      const area = memory.create("x", struct("X", one), { count: 2, format });
      assert.deepEqual(memory.attachArea("x", struct("X", one)).area.layout, area.area.layout);
      try {
        const { layout } = memory.attachArea("x", struct("X", other)).area;
        for (const field of layout.fields) assert.ok(Object.hasOwn(one, field.path.replace("[]", "")));
      } catch (error) {
        assert.ok(error instanceof AttachError);
      }
    }),
    { numRuns: 200 },
  );
});

test("values cross from the creator's 32-bit big-endian format to a 64-bit attaché unchanged", () => {
  const Message = struct("Message", { tag: u8, length: usize, payload: array(i64, 3) });
  fc.assert(
    fc.property(
      fc.nat(0xffffffff),
      fc.array(fc.maxSafeInteger(), { minLength: 3, maxLength: 3 }),
      (length, payload) => {
        const memory = freshMemory();
        const sender = memory.create("m", Message, { count: 1, format: "ilp32be" });
        sender.setLength(0, length);
        payload.forEach((value, j) => {
          sender.setPayload(0, j, value);
        });
        const receiver = memory.attachArea("m", Message, { strategy: "table" });
        assert.deepEqual(
          [receiver.length(0), ...payload.map((_, j) => receiver.payload(0, j))],
          [length, ...payload],
        );
      },
    ),
    { numRuns: 50 },
  );
});

test("a damaged description is reported, not trusted", () => {
  const memory = freshMemory();
  memory.create("x", Process, { count: 1 });
  const { base, byteLength } = memory.lookup("x") ?? { base: 0, byteLength: 0 };
  memory.bytes.fill(123, base + byteLength, base + byteLength + 20);
  assert.throws(() => memory.attachArea("x", Process), /description.* damaged/);
});

test("without the right to generate code, accessors use the type table", () => {
  const program = `
    import { struct, TypedMemory, u32 } from ${JSON.stringify(new URL("../../src/memory/index.ts", import.meta.url).href)};
    const memory = TypedMemory.format(new SharedArrayBuffer(65536));
    const area = memory.create("x", struct("X", { value: u32 }), { count: 2 });
    area.setValue(1, 42);
    const pool = memory.createPool("p", struct("P", { value: u32 }), { count: 2 });
    console.log(area.area.strategy, area.value(1), pool.allocate(1), memory.areas().length);
  `;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--disallow-code-generation-from-strings", "--input-type=module", "--eval", program],
    { encoding: "utf8" },
  );
  assert.equal(stdout, "table 42 1 4\n", stderr);
});

test("64-bit values beyond 2^53 in an area name it", () => {
  const memory = freshMemory();
  const area = memory.create("sizes", struct("Sizes", { size: u64 }), { count: 1 });
  assert.throws(
    () => area.setSize(0, 2 ** 60),
    (error: unknown) =>
      error instanceof ValueError &&
      error.message.startsWith("area sizes (struct Sizes), field size: 1152921504606847000 is not"),
  );
});

test("a user that died inside the directory can be cleaned up behind", () => {
  const memory = freshMemory();
  memory.create("x", Process, { count: 1 });
  const dead = TypedMemory.attach(memory.buffer);
  assert.notEqual(dead.user, memory.user);
  // The lock word lies behind the magic number and the version.
  const lockWord = new Int32Array(memory.buffer, 8, 1);
  Atomics.store(lockWord, 0, dead.user);
  memory.recover(memory.user);
  assert.equal(Atomics.load(lockWord, 0), dead.user, "nobody else's lock is touched");
  memory.recover(dead.user);
  assert.equal(memory.areas().length, 1);
});

test("regression: a user is known by the number that it chose before it does anything", () => {
  const { buffer } = freshMemory();
  const lockWord = new Int32Array(buffer, 8, 1);
  const memory = TypedMemory.attach(buffer, { user: 7 });
  assert.equal(memory.user, 7);
  let holder = 0;
  const guard = {
    access: () => {
      holder = Math.max(holder, Atomics.load(lockWord, 0) & 0x7fffffff);
    },
  };
  const areas = TypedMemory.attach(buffer, { user: 9, guard }).areas();
  assert.equal(areas.length, 0);
  assert.equal(holder, 9);
  assert.notEqual(TypedMemory.attach(buffer).user, 9);
});

test("areas beyond 2 GiB are reached", () => {
  const Cell = struct("Cell", { value: u32, cells: array(u16, 2) });
  // Nothing but two pages of this is ever touched.
  const buffer = new SharedArrayBuffer(2 ** 31 + 2 ** 20);
  const count = buffer.byteLength / 8;
  for (const strategy of strategies) {
    for (const checked of [true, false]) {
      const cells = overlay(Cell, buffer, { format: "lp64", count, checked, strategy });
      cells.setValue(count - 1, 7);
      cells.setCells(count - 1, 1, 9);
      assert.deepEqual([cells.value(count - 1), cells.cells(count - 1, 1)], [7, 9]);
      assert.equal(new DataView(buffer).getUint32(buffer.byteLength - 8, true), 7);
      assert.equal(cells.offset(count - 1), buffer.byteLength - 8);
      assert.throws(() => cells.value(count), RangeError);
    }
  }
});

test("overlays refuse memory that they do not fit", () => {
  const Atomic = struct("Atomic", { value: atomic(u32) });
  assert.throws(
    () => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", base: 2 }),
    /must be multiples of 4/,
  );
  assert.throws(
    () => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", stride: 6 }),
    /must be multiples of 4/,
  );
  assert.throws(
    () => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", count: 17 }),
    /17 records of 4 bytes at 0 do not fit/,
  );
  assert.throws(
    () => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", base: 128 }),
    /base 128 is beyond/,
  );
  assert.throws(() => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", base: -4 }), /base -4/);
  assert.throws(() => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", count: 0 }), /count 0/);
  assert.throws(() => overlay(Atomic, new SharedArrayBuffer(64), { format: "lp64", stride: 3 }), /stride 3/);
  assert.equal(overlay(Atomic, new SharedArrayBuffer(62), { format: "lp64" }).area.count, 15);
});
