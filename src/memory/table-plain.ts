/**
 * The type table's frequent methods: reads and writes of plain fields outside arrays, by record number.
 * One body per width; what differs between fields arrives in a `Place`, spread into parameters, because
 * captured parameters are the cheapest variables for V8 to reach (constants have to be checked for
 * being initialised). Byte order is a number for the same reason: comparing numbers is one instruction,
 * testing an unknown value for truth is a dozen.
 */
import type { BoundAccessor } from "./binding.ts";
import * as support from "./support.ts";
import type { FixedScalarName } from "./types.ts";

type State = BoundAccessor;

/** Where a field is: slot in the layout, check mask, bytes between records, byte offset, byte order (1 is little-endian). */
export type Place = readonly [slot: number, mask: number, stride: number, offset: number, order: number];

type Getter = (i: number) => number | boolean;
type Setter = (i: number, value: number) => void;

/** A byte that exists, and none after it: reading it at an index fails unless the index is 0. */
const one: DataView = new DataView(new ArrayBuffer(1));

/**
 * Refuses a record number that does not exist; see generate.ts for why this is a read. `mask` is -1, or
 * 0 to let everything pass: a branch here would cost several times what the read does.
 */
export function guard(state: State, slot: number, mask: number, i: number): void {
  try {
    state.$guard.getUint8((i | -(i !== (i | 0))) & mask);
  } catch {
    throw support.outOfBounds(state, slot, i);
  }
}

/** Reads a field that is stored as `stored`. */
export function plainGetter(state: State, place: Place, stored: FixedScalarName): Getter {
  return getters[stored](state, ...place);
}

/** Writes a field that is stored as `stored`. */
export function plainSetter(state: State, place: Place, stored: FixedScalarName): Setter {
  return setters[stored](state, ...place);
}

type GetterOf = (state: State, ...place: Place) => Getter;
type SetterOf = (state: State, ...place: Place) => Setter;

const getters: Readonly<Record<FixedScalarName, GetterOf>> = {
  u8: (state, slot, mask, stride, offset) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getUint8((i * stride + offset) | 0);
  },
  i8: (state, slot, mask, stride, offset) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getInt8((i * stride + offset) | 0);
  },
  bool: (state, slot, mask, stride, offset) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getUint8((i * stride + offset) | 0) !== 0;
  },
  u16: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getUint16((i * stride + offset) | 0, order === 1);
  },
  i16: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getInt16((i * stride + offset) | 0, order === 1);
  },
  u32: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getUint32((i * stride + offset) | 0, order === 1);
  },
  i32: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getInt32((i * stride + offset) | 0, order === 1);
  },
  f32: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getFloat32((i * stride + offset) | 0, order === 1);
  },
  f64: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    return state.$view.getFloat64((i * stride + offset) | 0, order === 1);
  },
  u64: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    const start = (i * stride + offset) | 0;
    const high = state.$view.getUint32((start + 4 * order) | 0, order === 1);
    const value = high * 4294967296 + state.$view.getUint32((start + 4 - 4 * order) | 0, order === 1);
    requireZero(state, slot, high >>> 21, value);
    return value;
  },
  i64: (state, slot, mask, stride, offset, order) => (i) => {
    guard(state, slot, mask, i);
    const start = (i * stride + offset) | 0;
    const high = state.$view.getInt32((start + 4 * order) | 0, order === 1);
    const value = high * 4294967296 + state.$view.getUint32((start + 4 - 4 * order) | 0, order === 1);
    requireZero(state, slot, (high + 2097152) >>> 22, value);
    return value;
  },
};

const setters: Readonly<Record<FixedScalarName, SetterOf>> = {
  u8: (state, slot, mask, stride, offset) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setUint8((i * stride + offset) | 0, value);
  },
  i8: (state, slot, mask, stride, offset) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setInt8((i * stride + offset) | 0, value);
  },
  bool: (state, slot, mask, stride, offset) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setUint8((i * stride + offset) | 0, value ? 1 : 0);
  },
  u16: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setUint16((i * stride + offset) | 0, value, order === 1);
  },
  i16: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setInt16((i * stride + offset) | 0, value, order === 1);
  },
  u32: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setUint32((i * stride + offset) | 0, value, order === 1);
  },
  i32: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setInt32((i * stride + offset) | 0, value, order === 1);
  },
  f32: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setFloat32((i * stride + offset) | 0, value, order === 1);
  },
  f64: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    state.$view.setFloat64((i * stride + offset) | 0, value, order === 1);
  },
  u64: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    if (!support.isExact(value, false)) throw support.inexact(state, pathOf(state, slot), value);
    const start = (i * stride + offset) | 0;
    state.$view.setUint32((start + 4 * order) | 0, Math.floor(value / 4294967296), order === 1);
    state.$view.setUint32((start + 4 - 4 * order) | 0, value, order === 1);
  },
  i64: (state, slot, mask, stride, offset, order) => (i, value) => {
    guard(state, slot, mask, i);
    if (!support.isExact(value, true)) throw support.inexact(state, pathOf(state, slot), value);
    const start = (i * stride + offset) | 0;
    state.$view.setUint32((start + 4 * order) | 0, Math.floor(value / 4294967296), order === 1);
    state.$view.setUint32((start + 4 - 4 * order) | 0, value, order === 1);
  },
};

/** Refuses a 64-bit value that is not exact: `excess` holds the bits that must be zero. */
function requireZero(state: State, slot: number, excess: number, value: number): void {
  try {
    one.getUint8(excess);
  } catch {
    throw support.inexact(state, pathOf(state, slot), value);
  }
}

function pathOf(state: State, slot: number): string {
  return state.area.layout.fields[slot].path;
}
