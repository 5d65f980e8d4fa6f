/**
 * What accessor methods call when they leave the fast path: failures, byte strings, byte swapping and
 * slow lock paths. Shared by generated code and the type table so that both behave alike.
 */
import { type BoundAccessor, describe } from "./binding.ts";
import { IndexError, ValueError } from "./errors.ts";
import { sizeOfScalar } from "./layout.ts";
import { acquireLock, lockOwner, releaseLock, tryAcquireLock } from "./lock.ts";
import type { FixedScalarName } from "./types.ts";

/** Names a field of the memory an accessor is bound to. */
export function whereIs(accessor: BoundAccessor, path: string): string {
  return `${describe(accessor.area)}, field ${path}`;
}

/**
 * The error for a record number, address or array index that the accessor does not cover.
 * @param slot Number of the field in the layout, -1 for the record itself.
 * @param indices Array indices, outermost dimension first.
 */
export function outOfBounds(
  accessor: BoundAccessor,
  slot: number,
  i: number,
  ...indices: number[]
): IndexError {
  const { area } = accessor;
  const field = area.layout.fields.at(slot);
  const where = slot === -1 || field === undefined ? describe(area) : whereIs(accessor, field.path);
  if (area.addressing === "address" && !isAddress(accessor, i)) {
    return new IndexError(
      `${where}: a record of ${area.layout.size} bytes at address ${i} is outside the ${accessor.$view.byteLength} bytes of memory`,
    );
  }
  if (area.addressing === "index" && !isIndex(i, area.count)) {
    return new IndexError(
      `${where}: record ${i} is out of bounds, there are ${area.count} (0 to ${area.count - 1})`,
    );
  }
  const depth = indices.findIndex((index, level) => !isIndex(index, field?.dimensions[level]?.length ?? 0));
  const length = field?.dimensions[depth]?.length ?? 0;
  return new IndexError(
    `${where}: array index ${indices[depth]} is out of bounds, the array has ${length} elements`,
  );
}

/** A whole number from 0 up to a count. NaN and undefined are not. */
function isIndex(index: number, count: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < count;
}

function isAddress(accessor: BoundAccessor, address: number): boolean {
  return isIndex(address, accessor.$view.byteLength - accessor.area.layout.size + 1);
}

/** An atomic field lies at an address that is not a multiple of its size. */
export function failAlignment(accessor: BoundAccessor, path: string, address: number): never {
  throw new IndexError(
    `${whereIs(accessor, path)}: the record at address ${address} is not aligned, and atomic access needs it to be`,
  );
}

/** Whether a 64-bit field holds `value` and the number is exactly it: within ±2^53, the upper end excluded. */
export function isExact(value: number, signed: boolean): boolean {
  if (signed) return Number.isSafeInteger(value) || value === -(2 ** 53);
  return Number.isSafeInteger(value) && value >= 0;
}

/** The error for a 64-bit field that holds, or should be given, what a number cannot represent exactly. */
export function inexact(accessor: BoundAccessor, path: string, value: number): ValueError {
  return new ValueError(
    `${whereIs(accessor, path)}: ${value} is not an integer that a JavaScript number and the field hold exactly (up to 2^53 - 1); use the Low, High and Halves methods of 64-bit fields`,
  );
}

/** An attaché whose declaration is wider than the area wrote a value that the area's field cannot hold. */
export function failNarrow(accessor: BoundAccessor, path: string, value: number): never {
  throw new ValueError(`${whereIs(accessor, path)}: ${value} does not fit the area's own type of this field`);
}

/** Inclusive bounds of what an integer scalar holds, within what numbers represent exactly. */
export function boundsOf(scalar: FixedScalarName): readonly [minimum: number, maximum: number] {
  if (scalar === "bool") return [0, 1];
  const bits = 8 * sizeOfScalar(scalar);
  if (bits === 64) return [scalar === "u64" ? 0 : -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  return scalar.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/**
 * Copies `value` to a byte string field and fills the rest of it with zeros.
 * @throws ValueError when it is too long, or not a Uint8Array.
 */
export function setByteString(
  accessor: BoundAccessor,
  path: string,
  position: number,
  length: number,
  value: unknown,
): void {
  if (!(value instanceof Uint8Array)) {
    throw new ValueError(
      `${whereIs(accessor, path)}: a byte string is set from a Uint8Array, not from ${typeof value}`,
    );
  }
  if (value.length > length) {
    throw new ValueError(
      `${whereIs(accessor, path)}: ${value.length} bytes do not fit, the field has ${length}`,
    );
  }
  accessor.$bytes.set(value, position);
  if (value.length < length) accessor.$bytes.fill(0, position + value.length, position + length);
}

type LockCells = Int32Array<ArrayBufferLike>;

export function acquire(
  accessor: BoundAccessor,
  path: string,
  cells: LockCells,
  index: number,
  owner: number,
): void {
  acquireLock(cells, index, owner, accessor.$waiting, whereIs(accessor, path), accessor.$memory);
}

export function tryAcquire(
  accessor: BoundAccessor,
  path: string,
  cells: LockCells,
  index: number,
  owner: number,
): boolean {
  return tryAcquireLock(cells, index, owner, whereIs(accessor, path));
}

export function release(
  accessor: BoundAccessor,
  path: string,
  cells: LockCells,
  index: number,
  owner: number,
): void {
  releaseLock(cells, index, owner, accessor.$waiting, whereIs(accessor, path));
}

export { lockOwner };
