import assert from "node:assert/strict";
import { test } from "node:test";
import {
  array,
  atomic,
  bool,
  bytes,
  DeclarationError,
  type Fields,
  formatNames,
  layoutOf,
  lock,
  overlay,
  pointer,
  type ScalarType,
  struct,
  u8,
  u32,
  u64,
} from "../../src/memory/index.ts";

const Point = struct("Point", { x: u32, y: u32 });

test("declarations with colliding or unusable names are refused", () => {
  const refused: readonly (readonly [Fields, RegExp])[] = [
    [{ size: u32, setSize: u32 }, /fields size and setSize would both give the accessor method setSize/],
    [{ pos: Point, posX: u32 }, /fields pos\.x and posX would both give the accessor method posX/],
    [{ length: u64, lengthLow: u32 }, /fields length and lengthLow/],
    [{ name: bytes(4), nameOffset: u32 }, /fields name and nameOffset/],
    [{ state: atomic(u32), addState: u32 }, /fields state and addState/],
    [{ mutex: lock(), ownerOfMutex: u32 }, /fields mutex and ownerOfMutex/],
    [{ offset: u32 }, /field offset would give the accessor method offset, which is reserved/],
    [{ area: u32 }, /reserved/],
    [{ rebind: u32 }, /reserved/],
    [{ clear: u32 }, /reserved/],
    ...["then", "valueOf", "hasOwnProperty"].map((name) => [{ [name]: u32 }, /reserved/] as const),
    [{ constructor: u32 }, /reserved/],
    [{ toString: u32 }, /reserved/],
    [{ "a-b": u32 }, /field name "a-b" must be letters/],
    [{ $view: u32 }, /field name "\$view"/],
    [{ 0: u32 }, /field name "0"/],
    [{}, /at least one field/],
  ];
  for (const [fields, message] of refused) {
    assert.throws(
      () => struct("Refused", fields),
      (error: unknown) => error instanceof DeclarationError && message.test(error.message),
    );
  }
  assert.throws(() => struct("not a name", { x: u32 }), DeclarationError);
  assert.throws(() => struct('x"; alert(1); "', { x: u32 }), DeclarationError);
});

test("types without a sensible length or scalar are refused", () => {
  for (const length of [0, -1, 1.5, Number.NaN, 2 ** 60]) {
    assert.throws(() => array(u8, length), DeclarationError);
    assert.throws(() => bytes(length), DeclarationError);
  }
  const flag: ScalarType = bool;
  assert.throws(() => atomic(flag as ScalarType<"u8">), /only integers can be atomic/);
});

test("an unknown format is refused with the known ones", () => {
  const format = formatNames.find((name) => name === "lp64") ?? "lp64";
  assert.equal(layoutOf(Point, format).size, 8);
  assert.throws(
    () => Reflect.apply(layoutOf, undefined, [Point, "lp65"]),
    /unknown format "lp65"; the formats are ilp32/,
  );
});

test("structs may point at themselves and at each other", () => {
  const Node = struct("Node", { next: pointer("Node"), owner: pointer(() => Owner) });
  const Owner = struct("Owner", { first: pointer("Node") });
  const nodes = overlay(Node, new ArrayBuffer(64), { format: "lp64", count: 2 });
  nodes.setNext(0, 1);
  nodes.setOwner(1, 2 ** 40);
  assert.deepEqual([nodes.next(0), nodes.owner(1)], [1, 2 ** 40]);
  const small = overlay(Node, new ArrayBuffer(64), { format: "ilp32", count: 2 });
  small.setNext(0, 0xffffffff);
  assert.equal(small.next(0), 0xffffffff);
  assert.equal(Owner.name, "Owner");
});

test("accessor types follow the declaration", () => {
  const Sample = struct("Sample", {
    flag: bool,
    pos: Point,
    items: array(Point, 3),
    grid: array(array(u8, 2), 2),
    name: bytes(3),
    state: atomic(u32),
    mutex: lock(),
  });
  const sample = overlay(Sample, new SharedArrayBuffer(256), { format: "lp64", count: 2 });
  const flag: boolean = sample.flag(0);
  const x: number = sample.posX(0) + sample.itemsY(0, 2) + sample.grid(0, 1, 1);
  const name: Uint8Array = sample.name(1);
  const old: number = sample.addState(0, 2) + sample.compareExchangeState(0, 2, 3);
  const got: boolean = sample.tryAcquireMutex(0, 1);
  const waited: "ok" | "not-equal" | "timed-out" = sample.waitState(0, 9);
  assert.deepEqual([flag, x, name.length, old, got, waited], [false, 0, 3, 2, true, "not-equal"]);
});
