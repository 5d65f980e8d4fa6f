/**
 * Atomic operations on integer fields of any width and byte order. Generated accessors inline the
 * common case (up to 32 bits, the machine's own byte order); everything else, and the type table,
 * comes here. Words of the other byte order are swapped: bitwise operations and exchanges swap their
 * operands, additions go through a compare-and-swap loop because carries run the other way.
 */
import type { BoundAccessor, IntegerCells } from "./binding.ts";
import { inexact } from "./support.ts";
import type { FixedScalarName } from "./types.ts";
import type { WaitResult } from "./waiting.ts";

/** Which integer, in which byte order. */
export interface AtomicField {
  readonly path: string;
  readonly stored: FixedScalarName;
  /** Whether it lies in the byte order that this machine's atomic operations do not have. */
  readonly swapped: boolean;
}

type WideCells = BigUint64Array<ArrayBufferLike> | BigInt64Array<ArrayBufferLike>;

/** Operations that return the old value and take one operand. */
export type Update = "add" | "or" | "and" | "exchange" | "store";

export function atomicLoad(accessor: BoundAccessor, field: AtomicField, position: number): number {
  const cells = narrowCells(accessor, field.stored);
  if (cells !== undefined) return decode(field, Atomics.load(cells, position / cells.BYTES_PER_ELEMENT));
  const word = Atomics.load(wideCells(accessor, field.stored), position / 8);
  return exactNumber(accessor, field, swapIfNeeded(field, word));
}

/** Applies an update and returns the old value (the new one for a store). */
export function atomicUpdate(
  accessor: BoundAccessor,
  field: AtomicField,
  position: number,
  update: Update,
  operand: number,
): number {
  const cells = narrowCells(accessor, field.stored);
  if (cells !== undefined)
    return updateNarrow(cells, field, update, position / cells.BYTES_PER_ELEMENT, operand);
  const wide = wideCells(accessor, field.stored);
  const word = exactWord(accessor, field, update, operand);
  return exactNumber(accessor, field, updateWide(wide, field, update, position / 8, word));
}

export function atomicCompareExchange(
  accessor: BoundAccessor,
  field: AtomicField,
  position: number,
  expected: number,
  replacement: number,
): number {
  const cells = narrowCells(accessor, field.stored);
  if (cells !== undefined) {
    const index = position / cells.BYTES_PER_ELEMENT;
    return decode(
      field,
      Atomics.compareExchange(cells, index, encode(field, expected), encode(field, replacement)),
    );
  }
  const wide = wideCells(accessor, field.stored);
  const from = swapIfNeeded(field, exactWord(accessor, field, "store", expected));
  const to = swapIfNeeded(field, exactWord(accessor, field, "store", replacement));
  const old = Atomics.compareExchange(wide, position / 8, from, to);
  return exactNumber(accessor, field, swapIfNeeded(field, old));
}

/** Waits, through the accessor's `Waiting`, until notified or the timeout is over; at once if the value is another. */
export function atomicWait(
  accessor: BoundAccessor,
  field: AtomicField,
  position: number,
  value: number,
  timeoutMs = Number.POSITIVE_INFINITY,
): WaitResult {
  return accessor.$waiting.wait(accessor.$i32, position / 4, encode(field, value) | 0, timeoutMs);
}

export function atomicWaitAsync(
  accessor: BoundAccessor,
  field: AtomicField,
  position: number,
  value: number,
  timeoutMs = Number.POSITIVE_INFINITY,
): Promise<WaitResult> {
  return accessor.$waiting.waitAsync(accessor.$i32, position / 4, encode(field, value) | 0, timeoutMs);
}

export function atomicNotify(
  accessor: BoundAccessor,
  position: number,
  count = Number.POSITIVE_INFINITY,
): number {
  return accessor.$waiting.notify(accessor.$i32, position / 4, count);
}

function updateNarrow(
  cells: IntegerCells,
  field: AtomicField,
  update: Update,
  index: number,
  operand: number,
): number {
  switch (update) {
    case "store":
      Atomics.store(cells, index, encode(field, operand));
      return operand;
    case "exchange":
      return decode(field, Atomics.exchange(cells, index, encode(field, operand)));
    case "or":
      return decode(field, Atomics.or(cells, index, encode(field, operand)));
    case "and":
      return decode(field, Atomics.and(cells, index, encode(field, operand)));
    case "add": {
      if (!field.swapped || cells.BYTES_PER_ELEMENT === 1) return Atomics.add(cells, index, operand);
      for (;;) {
        const old = Atomics.load(cells, index);
        const value = decode(field, old);
        if (Atomics.compareExchange(cells, index, old, encode(field, value + operand)) === old) return value;
      }
    }
  }
}

/** As `updateNarrow`; takes the operand and returns the old word in the machine's byte order. */
function updateWide(
  cells: WideCells,
  field: AtomicField,
  update: Update,
  index: number,
  operand: bigint,
): bigint {
  switch (update) {
    case "store":
      Atomics.store(cells, index, swapIfNeeded(field, operand));
      return operand;
    case "exchange":
      return swapIfNeeded(field, Atomics.exchange(cells, index, swapIfNeeded(field, operand)));
    case "or":
      return swapIfNeeded(field, Atomics.or(cells, index, swapIfNeeded(field, operand)));
    case "and":
      return swapIfNeeded(field, Atomics.and(cells, index, swapIfNeeded(field, operand)));
    case "add": {
      if (!field.swapped) return Atomics.add(cells, index, operand);
      for (;;) {
        const old = Atomics.load(cells, index);
        const value = swapIfNeeded(field, old);
        if (Atomics.compareExchange(cells, index, old, swapIfNeeded(field, value + operand)) === old)
          return value;
      }
    }
  }
}

/** The view whose elements are this integer, or nothing for 64 bits. */
function narrowCells(accessor: BoundAccessor, stored: FixedScalarName): IntegerCells | undefined {
  switch (stored) {
    case "u8":
      return accessor.$u8;
    case "i8":
      return accessor.$i8;
    case "u16":
      return accessor.$u16;
    case "i16":
      return accessor.$i16;
    case "u32":
      return accessor.$u32;
    case "i32":
      return accessor.$i32;
    default:
      return undefined;
  }
}

function wideCells(accessor: BoundAccessor, stored: FixedScalarName): WideCells {
  return stored === "u64" ? accessor.$u64 : accessor.$i64;
}

/** A value as it lies in memory. Typed arrays truncate it to their width. */
function encode(field: AtomicField, value: number): number {
  if (!field.swapped) return value;
  switch (field.stored) {
    case "u16":
    case "i16":
      return swap16(value);
    case "u32":
    case "i32":
      return swap32(value);
    default:
      return value;
  }
}

function decode(field: AtomicField, word: number): number {
  if (!field.swapped) return word;
  switch (field.stored) {
    case "u16":
      return swap16(word);
    case "i16":
      return (swap16(word) << 16) >> 16;
    case "u32":
      return swap32(word) >>> 0;
    case "i32":
      return swap32(word);
    default:
      return word;
  }
}

/** An operand as a 64-bit word, if it is exact. */
function exactWord(accessor: BoundAccessor, field: AtomicField, update: Update, value: number): bigint {
  // A negative operand of an unsigned addition subtracts; anywhere else it is a mistake.
  const mayBeNegative = field.stored === "i64" || update === "add";
  if (!Number.isSafeInteger(value) || (value < 0 && !mayBeNegative))
    throw inexact(accessor, field.path, value);
  return BigInt(value);
}

/** A 64-bit word as a number, if it is exact. */
function exactNumber(accessor: BoundAccessor, field: AtomicField, word: bigint): number {
  const value = Number(word);
  if (!Number.isSafeInteger(value)) throw inexact(accessor, field.path, value);
  return value;
}

/** Turns a 64-bit word from the machine's byte order to the field's, or back. */
function swapIfNeeded(field: AtomicField, word: bigint): bigint {
  if (!field.swapped) return word;
  const low = swap32(Number(BigInt.asUintN(32, word)));
  const high = swap32(Number(BigInt.asUintN(32, word >> 32n)));
  const swapped = (BigInt(low >>> 0) << 32n) | BigInt(high >>> 0);
  return field.stored === "i64" ? BigInt.asIntN(64, swapped) : swapped;
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** Swaps the bytes of a 32-bit value; the result is signed. */
function swap32(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}
