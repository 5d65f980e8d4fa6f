import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generateText } from "../../src/memory/generate.ts";
import {
  array,
  atomic,
  bytes,
  formatNames,
  i64,
  inPages,
  layoutOf,
  lock,
  type MemoryGuard,
  overlay,
  type Strategy,
  struct,
  TypedMemory,
  u8,
  u16,
  u32,
  u64,
  type WaitCells,
  type Waiting,
} from "../../src/memory/index.ts";
import { methodsOf, type Operation } from "../../src/memory/names.ts";
import { call } from "./call.ts";
import { arbitraryStruct, arbitraryValue, type ModelElement, modelOf } from "./structs.ts";
import { ScrambledMemory } from "./support/scrambled-memory.ts";

const strategies: readonly Strategy[] = ["generated", "table"];

/** Writes down what it is told. */
class Recorder implements MemoryGuard {
  readonly told: [offset: number, length: number, write: boolean][] = [];
  access(offset: number, length: number, write: boolean): void {
    this.told.push([offset, length, write]);
  }
}

const Sample = struct("Sample", {
  byte: u8,
  half: u16,
  size: u64,
  delta: i64,
  name: bytes(5),
  rows: array(u32, 3),
  count: atomic(u32),
  total: atomic(u64),
  mutex: lock(),
});

test("each method announces the bytes that it touches, and whether it writes them", () => {
  const { fields, size } = layoutOf(Sample, "lp64");
  const offsetOf = (path: string): number =>
    fields.find((field) => field.path === path)?.offset ?? Number.NaN;
  for (const strategy of strategies) {
    for (const addressing of ["index", "address"] as const) {
      const guard = new Recorder();
      const base = 4096;
      const buffer = new SharedArrayBuffer(3 * 4096);
      const accessor = overlay(Sample, buffer, { format: "lp64", base, strategy, addressing, guard });
      const start = base + 2 * size;
      const at = addressing === "index" ? 2 : 2 * size;
      const announces = (action: () => unknown, path: string, length: number, write: boolean): void => {
        guard.told.length = 0;
        action();
        assert.deepEqual(guard.told, [[start + offsetOf(path), length, write]], `${strategy} ${path}`);
      };
      announces(() => accessor.byte(at), "byte", 1, false);
      announces(() => accessor.setHalf(at, 1), "half", 2, true);
      announces(() => accessor.size(at), "size", 8, false);
      announces(() => accessor.setSize(at, 1), "size", 8, true);
      announces(() => accessor.sizeLow(at), "size", 8, false);
      announces(() => accessor.deltaHigh(at), "delta", 8, false);
      announces(() => accessor.setDeltaHalves(at, 1, 2), "delta", 8, true);
      announces(() => accessor.name(at), "name", 5, false);
      announces(() => accessor.setName(at, Uint8Array.of(1)), "name", 5, true);
      announces(() => accessor.count(at), "count", 4, false);
      announces(() => accessor.setCount(at, 1), "count", 4, true);
      announces(() => accessor.addCount(at, 1), "count", 4, true);
      announces(() => accessor.compareExchangeCount(at, 0, 1), "count", 4, true);
      announces(() => accessor.waitCount(at, 0, 0), "count", 4, false);
      announces(() => accessor.notifyCount(at), "count", 4, false);
      announces(() => accessor.orTotal(at, 1), "total", 8, true);
      announces(() => accessor.acquireMutex(at, 1), "mutex", 4, true);
      announces(() => accessor.ownerOfMutex(at), "mutex", 4, false);
      announces(() => accessor.releaseMutex(at, 1), "mutex", 4, true);
      announces(() => accessor.tryAcquireMutex(at, 1), "mutex", 4, true);
      announces(() => accessor.clear(at), "byte", size, true);
      guard.told.length = 0;
      accessor.setRows(at, 1, 7);
      assert.deepEqual(guard.told, [[start + offsetOf("rows[]") + 4, 4, true]]);
      guard.told.length = 0;
      assert.equal(accessor.offset(at), start);
      assert.equal(accessor.nameOffset(at), start + offsetOf("name"));
      if (addressing === "index") assert.throws(() => accessor.byte(1000), { name: "IndexError" });
      assert.deepEqual(guard.told, [], "nothing is announced that is not touched");
      const longer = new SharedArrayBuffer(8 * 4096);
      accessor.rebind(longer).setByte(at, 3);
      assert.deepEqual(guard.told, [[start, 1, true]], "a rebound accessor keeps its guard");
      assert.equal(new Uint8Array(longer)[start], 3);
    }
  }
});

test("generated code without a guard has no trace of one", () => {
  for (const addressing of ["index", "address"] as const) {
    const shape = {
      layout: layoutOf(Sample, "lp64"),
      addressing,
      checked: true,
      stride: undefined,
      far: false,
    };
    assert.doesNotMatch(generateText({ ...shape, announced: false }), /\$memory|access\(/);
    assert.match(generateText({ ...shape, announced: true }), /this\.\$memory\.access\(/);
  }
});

interface Step {
  readonly record: number;
  readonly method: string;
  readonly parameters: readonly unknown[];
}

/** A random method of an element, with parameters that cannot make it wait for ever. */
function arbitraryStep(element: ModelElement): fc.Arbitrary<Step> {
  if (element.type.kind === "array" || element.type.kind === "struct") throw new TypeError("not a leaf");
  const value = arbitraryValue(element.reading, element.size);
  const small = fc.nat(100);
  const parametersOf = (operation: Operation): fc.Arbitrary<readonly unknown[]> => {
    switch (operation) {
      case "set":
        return fc.tuple(value);
      case "setHalves":
        return fc.tuple(small, small);
      case "add":
      case "or":
      case "and":
      case "exchange":
        return fc.tuple(small);
      case "compareExchange":
        return fc.tuple(small, small);
      case "wait":
        return fc.tuple(small, fc.constant(0));
      case "acquire":
      case "tryAcquire":
        return fc.constant([1]);
      case "release":
        return fc.tuple(fc.integer({ min: 1, max: 2 }));
      default:
        return fc.constant([]);
    }
  };
  const methods = methodsOf(element.name, element.type).filter(({ operation }) => operation !== "waitAsync");
  return fc.tuple(fc.nat(2), fc.constantFrom(...methods)).chain(([record, { name, operation }]) =>
    parametersOf(operation).map((rest) => ({
      record,
      method: name,
      parameters: [...element.indices, ...rest],
    })),
  );
}

const arbitrarySession = fc
  .tuple(arbitraryStruct(), fc.constantFrom(...formatNames))
  .chain(([declared, format]) => {
    const { elements } = modelOf(declared, format);
    const clear = fc.nat(2).map((record): Step => ({ record, method: "clear", parameters: [] }));
    const step = elements.length === 0 ? clear : fc.constantFrom(...elements).chain(arbitraryStep);
    const steps = fc.array(fc.oneof({ weight: 9, arbitrary: step }, { weight: 1, arbitrary: clear }), {
      maxLength: 30,
    });
    return steps.map((steps) => ({ declared, format, steps }));
  });

/** What a method returns or throws. A byte string is copied, because it is only there until the next access. */
function outcomeOf(accessor: object, { method, parameters }: Step, i: number): unknown {
  try {
    const result = call(accessor, method, i, ...parameters);
    return result instanceof Uint8Array ? result.slice() : result;
  } catch (error) {
    return String(error);
  }
}

for (const strategy of strategies) {
  test(`${strategy} accessors with a guard do what those without do, and touch nothing unannounced`, () => {
    fc.assert(
      fc.property(
        arbitrarySession,
        fc.boolean(),
        fc.constantFrom("index" as const, "address" as const),
        ({ declared, format, steps }, checked, addressing) => {
          const { size } = modelOf(declared, format);
          const plainBuffer = new SharedArrayBuffer(64 + 3 * size + 8);
          const memory = new ScrambledMemory(new SharedArrayBuffer(plainBuffer.byteLength));
          const options = { format, base: 64, checked, addressing, strategy };
          const plain = overlay(declared, plainBuffer, options);
          const guarded = overlay(declared, memory.buffer, { ...options, guard: memory });
          for (const step of steps) {
            const i = addressing === "index" ? step.record : step.record * size;
            assert.deepEqual(outcomeOf(guarded, step, i), outcomeOf(plain, step, i), step.method);
          }
          assert.deepEqual(memory.contents(), new Uint8Array(plainBuffer));
        },
      ),
      { numRuns: 150 },
    );
  });
}

/** Makes, uses and removes areas and pools; the same for every memory. */
function useDirectory(memory: TypedMemory, attach: () => TypedMemory): unknown[] {
  const areas = memory.create("areas", Sample, { count: 100, format: "i386" });
  areas.setName(7, new TextEncoder().encode("seven"));
  const pool = memory.createPool("pool", Sample, { count: 5, contract: { latenciesNs: [1, 2] } });
  const other = attach();
  const theirs = other.attachPool("pool", Sample);
  const held = [pool.allocate(1), theirs.allocate(2), pool.allocate(1)];
  pool.free(held[0], 1);
  memory.create("gap", Sample, { count: 3000 });
  memory.remove("areas");
  memory.create("again", struct("Again", { word: u32 }), { count: 2 });
  memory.removePool("pool");
  const two = [other.attachArea("again", struct("Again", { word: u32 })), other.attachArea("gap", Sample)];
  two[0].clear(1);
  two[1].clear(2999);
  memory.touch(two[1].offset(3), 4, true);
  memory.bytes.fill(9, two[1].offset(3), two[1].offset(3) + 4);
  return [held, memory.areas(), other.freeBytes(), Array.from(memory.attachArea("gap", Sample).name(4))];
}

test("the directory and pools of a guarded memory touch nothing unannounced", () => {
  const size = 1 << 19;
  const plainBuffer = new SharedArrayBuffer(size);
  const plain = TypedMemory.format(plainBuffer);
  const expected = useDirectory(plain, () => TypedMemory.attach(plainBuffer));
  assert.equal(plain.guard, undefined);
  for (const strategy of strategies) {
    const memory = new ScrambledMemory(new SharedArrayBuffer(size));
    const options = { guard: memory, strategy };
    const guarded = TypedMemory.format(memory.buffer, options);
    assert.equal(guarded.guard, memory);
    assert.deepEqual(
      useDirectory(guarded, () => TypedMemory.attach(memory.buffer, options)),
      expected,
    );
    assert.deepEqual(memory.contents(), new Uint8Array(plainBuffer));
    assert.ok(memory.accesses > 100);
  }
});

test("somebody who waits for a lock sees what others did to the word meanwhile", () => {
  for (const strategy of strategies) {
    for (const releaseAt of ["spinning", "sleeping"] as const) {
      const memory = new ScrambledMemory(new SharedArrayBuffer(64));
      const steps: string[] = [];
      const release = (): void => {
        // Another core's doing: nothing of the page is here.
        memory.contents().fill(0, 4, 8);
      };
      const waiting: Waiting = {
        spin(attempt) {
          steps.push("spin");
          memory.settle();
          if (attempt === 1 && releaseAt === "spinning") release();
          return attempt < 2;
        },
        wait(_cells: WaitCells, index: number, value: number) {
          steps.push(`sleep ${index} ${value}`);
          release();
          return "ok";
        },
        waitAsync: async () => "ok",
        notify: () => 0,
      };
      const Locked = struct("Locked", { word: u32, mutex: lock() });
      const locked = overlay(Locked, memory.buffer, { format: "lp64", waiting, strategy, guard: memory });
      locked.acquireMutex(0, 3);
      locked.acquireMutex(0, 5);
      assert.equal(locked.ownerOfMutex(0), 5);
      locked.releaseMutex(0, 5);
      assert.deepEqual(Array.from(memory.contents().subarray(4, 8)), [0, 0, 0, 0]);
      assert.equal(steps.length, releaseAt === "spinning" ? 2 : 4);
    }
  }
});

test("a range is visited page by page", () => {
  const pieces = (offset: number, length: number): number[][] => {
    const visited: number[][] = [];
    inPages(offset, length, (start, piece) => visited.push([start, piece]));
    return visited;
  };
  assert.deepEqual(pieces(5, 0), []);
  assert.deepEqual(pieces(5, 4091), [[5, 4091]]);
  assert.deepEqual(pieces(4095, 4098), [
    [4095, 1],
    [4096, 4096],
    [8192, 1],
  ]);
  assert.deepEqual(pieces(2 ** 32 - 1, 2), [
    [2 ** 32 - 1, 1],
    [2 ** 32, 1],
  ]);
});
