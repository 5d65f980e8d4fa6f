/**
 * The errors of typed shared memory. One class per kind, so that callers can tell them apart with
 * `instanceof`; every message names the area or struct, the field, and what to do about it.
 */

/** A struct, or a layout of one, was declared in a way that cannot be right. */
export class DeclarationError extends Error {
  override readonly name = "DeclarationError";
}

/** A buffer, a directory or an area cannot be used the way it was asked for (no room, name taken, not formatted). */
export class AreaError extends Error {
  override readonly name = "AreaError";
}

/** An attaché's declaration does not fit the area: attaching would lose or misread information. */
export class AttachError extends Error {
  override readonly name = "AttachError";
}

/** A record number, array index or address is outside what the accessor covers. */
export class IndexError extends RangeError {
  override readonly name = "IndexError";
}

/** A value cannot be represented: beyond ±2^53 in a 64-bit field, or too long for a byte string. */
export class ValueError extends RangeError {
  override readonly name = "ValueError";
}

/** A lock was used against its rules: released by a stranger, acquired twice by its holder, no valid owner. */
export class LockError extends Error {
  override readonly name = "LockError";
}

/** A pool was used against its rules: double free, an index that was never handed out. */
export class PoolError extends Error {
  override readonly name = "PoolError";
}
