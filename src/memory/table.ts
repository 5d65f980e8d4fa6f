/**
 * The type table: accessors without generated code, for places that forbid it (a strict
 * content-security policy) and for call sites that meet many layouts. Each method is a closure over its
 * line of the table (offset, width, byte order) and the views.
 *
 * All accessors share the same few function bodies and one shape of views, so however many layouts meet
 * at a call site, V8 compiles one inlined body there; classes generated per layout become megamorphic
 * at the fifth, and ten times slower. Methods are own properties, made in one go, because that is what
 * keeps the objects of one struct in one shape.
 */
import * as atomics from "./atomics.ts";
import { type AreaInfo, BoundAccessor } from "./binding.ts";
import type { MemoryGuard } from "./guard.ts";
import { formats, hostLittleEndian, type LayoutField } from "./layout.ts";
import { accessOf, methodsOf, type Operation } from "./names.ts";
import * as support from "./support.ts";
import { guard, type Place, plainGetter, plainSetter } from "./table-plain.ts";
import type { Waiting } from "./waiting.ts";

/** A line of the table: a field and what its methods need to know. */
interface Entry extends LayoutField {
  readonly slot: number;
  readonly littleEndian: boolean;
  /** Inclusive bounds for writes, where the area's field is narrower than the declared one. */
  readonly narrow: readonly [number, number] | undefined;
  readonly cell: atomics.AtomicField;
  /** Checks a record number. */
  readonly check: (i: number) => void;
}

// biome-ignore lint/complexity/noBannedTypes: methods differ in their parameters; the caller knows them by name.
type Methods = readonly (readonly [name: string, method: Function])[];

/** Makes an accessor object for an area without generating code. */
export function tableAccessor(
  area: AreaInfo,
  buffer: ArrayBufferLike,
  waiting: Waiting,
  memory: MemoryGuard | undefined,
  far: boolean,
): object {
  const state = new BoundAccessor(area, buffer, waiting, memory);
  const startOf = (i: number): number => {
    checkRecord(state, -1, i);
    return area.addressing === "address" ? i : i * area.stride;
  };
  const accessor: object = Object.fromEntries<unknown>([
    ["area", area],
    ["offset", (i: number) => area.base + startOf(i)],
    ["clear", (i: number) => clearBytes(state, startOf(i))],
    ["rebind", (next: ArrayBufferLike) => rebind(state, next, accessor)],
    ...area.layout.fields.flatMap((field, slot) => methodsOfField(state, entryOf(state, field, slot), far)),
  ]);
  return accessor;
}

function clearBytes(state: BoundAccessor, start: number): void {
  const { size } = state.area.layout;
  state.$memory?.access(state.$base + start, size, true);
  state.$bytes.fill(0, start, start + size);
}

function rebind(state: BoundAccessor, buffer: ArrayBufferLike, accessor: object): object {
  state.rebind(buffer);
  return accessor;
}

function entryOf(state: BoundAccessor, field: LayoutField, slot: number): Entry {
  const { area } = state;
  const { littleEndian } = formats[area.format];
  const { stored } = field;
  const whole = stored === "bytes" ? "u8" : stored;
  return {
    ...field,
    slot,
    littleEndian,
    narrow: field.declared === stored || stored === "f32" ? undefined : support.boundsOf(whole),
    cell: { path: field.path, stored: whole, swapped: littleEndian !== hostLittleEndian },
    check: (i) => {
      if (area.checked) checkRecord(state, slot, i);
    },
  };
}

function methodsOfField(state: BoundAccessor, entry: Entry, far: boolean): Methods {
  const { area } = state;
  const plain = entry.type.kind === "scalar" || entry.type.kind === "pointer";
  const narrowed = entry.declared !== entry.stored;
  const simple = plain && entry.dimensions.length === 0 && !narrowed && !far && state.$memory === undefined;
  const place: Place = [
    entry.slot,
    area.checked ? -1 : 0,
    area.stride,
    entry.offset,
    entry.littleEndian ? 1 : 0,
  ];
  return methodsOf(entry.name, entry.type).map(({ name, operation }) => {
    if (simple && area.addressing === "index") {
      if (operation === "get") return [name, plainGetter(state, place, entry.cell.stored)];
      if (operation === "set") return [name, plainSetter(state, place, entry.cell.stored)];
    }
    return [name, generalMethod(state, entry, operation)];
  });
}

/** Refuses a record number or address that the accessor does not cover. */
function checkRecord(state: BoundAccessor, slot: number, i: number): void {
  const { area } = state;
  if (area.addressing === "index") {
    guard(state, slot, -1, i);
  } else if (!(i >= 0 && i <= state.$view.byteLength - area.layout.size) || i % 1 !== 0) {
    throw support.outOfBounds(state, slot, i);
  }
}

/** Any method of any field. Parameters are the record, one index per dimension, then up to two operands. */
function generalMethod(
  state: BoundAccessor,
  entry: Entry,
  operation: Operation,
): (i: number, ...rest: number[]) => unknown {
  const { dimensions, slot } = entry;
  const { area } = state;
  const depth = dimensions.length;
  const access = accessOf(operation);
  const memory = access === "none" ? undefined : state.$memory;
  return (i, ...rest) => {
    entry.check(i);
    let position = (area.addressing === "address" ? i : i * area.stride) + entry.offset;
    for (let level = 0; level < depth; level++) {
      const index = rest[level];
      if (area.checked && (index >>> 0 !== index || index >= dimensions[level].length)) {
        throw support.outOfBounds(state, slot, i, ...rest.slice(0, depth));
      }
      position += index * dimensions[level].stride;
    }
    if (entry.type.kind === "atomic" || entry.type.kind === "lock") {
      if (area.addressing === "address" && i % entry.size !== 0) support.failAlignment(state, entry.path, i);
    }
    memory?.access(state.$base + position, entry.size, access === "write");
    return operate(state, entry, operation, position, rest[depth], rest[depth + 1]);
  };
}

function operate(
  state: BoundAccessor,
  entry: Entry,
  operation: Operation,
  position: number,
  first: number,
  second: number,
): unknown {
  if (entry.type.kind === "lock") return operateLock(state, entry, operation, position, first);
  if (entry.type.kind === "atomic") return operateAtomic(state, entry, operation, position, first, second);
  switch (operation) {
    case "get":
      return get(state, entry, position);
    case "set":
      return set(state, entry, position, first);
    case "offset":
      return state.area.base + position;
    case "low":
      return halfOf(state, entry, position, 0);
    case "high":
      return halfOf(state, entry, position, 1);
    default:
      return setHalves(state, entry, position, first, second);
  }
}

function get(state: BoundAccessor, entry: Entry, position: number): unknown {
  const view = state.$view;
  const { littleEndian } = entry;
  switch (entry.stored) {
    case "u8":
      return view.getUint8(position);
    case "i8":
      return view.getInt8(position);
    case "bool":
      return view.getUint8(position) !== 0;
    case "u16":
      return view.getUint16(position, littleEndian);
    case "i16":
      return view.getInt16(position, littleEndian);
    case "u32":
      return view.getUint32(position, littleEndian);
    case "i32":
      return view.getInt32(position, littleEndian);
    case "f32":
      return view.getFloat32(position, littleEndian);
    case "f64":
      return view.getFloat64(position, littleEndian);
    case "bytes":
      return new Uint8Array(state.$buffer, state.$base + position, entry.size);
    default:
      return getWide(state, entry, position);
  }
}

function set(state: BoundAccessor, entry: Entry, position: number, value: number): void {
  if (entry.declared !== entry.stored) requireNarrow(state, entry, value);
  const view = state.$view;
  const { littleEndian } = entry;
  switch (entry.stored) {
    case "u8":
    case "i8":
      view.setUint8(position, value);
      break;
    case "bool":
      view.setUint8(position, value ? 1 : 0);
      break;
    case "u16":
    case "i16":
      view.setUint16(position, value, littleEndian);
      break;
    case "u32":
    case "i32":
      view.setUint32(position, value, littleEndian);
      break;
    case "f32":
      view.setFloat32(position, value, littleEndian);
      break;
    case "f64":
      view.setFloat64(position, value, littleEndian);
      break;
    case "bytes":
      support.setByteString(state, entry.path, position, entry.size, value);
      break;
    default:
      setWide(state, entry, position, value);
  }
}

/** Refuses a value that the area's field, narrower than the declared one, cannot hold. */
function requireNarrow(state: BoundAccessor, entry: Entry, value: number): void {
  const fits =
    entry.narrow === undefined
      ? Math.fround(value) === value || Number.isNaN(value)
      : value >= entry.narrow[0] && value <= entry.narrow[1] && value % 1 === 0;
  if (!fits) support.failNarrow(state, entry.path, value);
}

/** A 64-bit integer, if a number is exactly it. */
function getWide(state: BoundAccessor, entry: Entry, position: number): number {
  const signed = entry.stored === "i64";
  const high = halfOf(state, entry, position, 1);
  const value = (signed ? high | 0 : high) * 4294967296 + halfOf(state, entry, position, 0);
  if (!support.isExact(value, signed)) throw support.inexact(state, entry.path, value);
  return value;
}

function setWide(state: BoundAccessor, entry: Entry, position: number, value: number): void {
  if (!support.isExact(value, entry.stored === "i64")) throw support.inexact(state, entry.path, value);
  setHalves(state, entry, position, value, Math.floor(value / 4294967296));
}

/** 32 bits of a 64-bit field: 0 the low ones, 1 the high ones. */
function halfOf(state: BoundAccessor, entry: Entry, position: number, half: 0 | 1): number {
  if (entry.size < 8) {
    // The attaché declared 64 bits, the area has fewer.
    const value = Number(get(state, entry, position));
    if (half === 0) return value >>> 0;
    return value < 0 ? 0xffffffff : 0;
  }
  const first = entry.littleEndian ? half : 1 - half;
  return state.$view.getUint32(position + 4 * first, entry.littleEndian);
}

function setHalves(state: BoundAccessor, entry: Entry, position: number, low: number, high: number): void {
  if (entry.size < 8) {
    const top = entry.declared === "i64" ? high | 0 : high >>> 0;
    set(state, entry, position, top * 4294967296 + (low >>> 0));
  } else {
    const { littleEndian } = entry;
    state.$view.setUint32(position + (littleEndian ? 0 : 4), low, littleEndian);
    state.$view.setUint32(position + (littleEndian ? 4 : 0), high, littleEndian);
  }
}

function operateAtomic(
  state: BoundAccessor,
  { cell }: Entry,
  operation: Operation,
  position: number,
  first: number,
  second: number,
): unknown {
  switch (operation) {
    case "get":
      return atomics.atomicLoad(state, cell, position);
    case "set":
      atomics.atomicUpdate(state, cell, position, "store", first);
      return;
    case "compareExchange":
      return atomics.atomicCompareExchange(state, cell, position, first, second);
    case "wait":
      return atomics.atomicWait(state, cell, position, first, second);
    case "waitAsync":
      return atomics.atomicWaitAsync(state, cell, position, first, second);
    case "notify":
      return atomics.atomicNotify(state, position, first);
    case "add":
    case "or":
    case "and":
    case "exchange":
      return atomics.atomicUpdate(state, cell, position, operation, first);
    default:
      throw new TypeError(`${operation} is not an operation of atomic fields`);
  }
}

function operateLock(
  state: BoundAccessor,
  entry: Entry,
  operation: Operation,
  position: number,
  owner: number,
): unknown {
  const cells = state.$i32;
  const index = position / 4;
  switch (operation) {
    case "acquire":
      return support.acquire(state, entry.path, cells, index, owner);
    case "tryAcquire":
      return support.tryAcquire(state, entry.path, cells, index, owner);
    case "release":
      return support.release(state, entry.path, cells, index, owner);
    default:
      return support.lockOwner(cells, index);
  }
}
