/**
 * Field types: what a struct declaration is written in. Every type is a small frozen object that
 * says what is stored, never where; `layout.ts` turns it into offsets for a format.
 */
import type { AccessorClass } from "./binding.ts";
import { DeclarationError } from "./errors.ts";

/** Scalars whose size is the same in every format. */
export type FixedScalarName =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "f32"
  | "f64"
  | "bool";
/** Scalars as wide as a pointer of the format. */
export type WordScalarName = "usize" | "long" | "ulong";
export type ScalarName = FixedScalarName | WordScalarName;
/** Scalars that atomic fields can hold. */
export type AtomicScalarName = Exclude<ScalarName, "f32" | "f64" | "bool">;

export interface ScalarType<Name extends ScalarName = ScalarName> {
  readonly kind: "scalar";
  readonly scalar: Name;
}

/** A byte string of a fixed length. */
export interface BytesType {
  readonly kind: "bytes";
  readonly length: number;
}

/** A fixed number of elements of one type, in a row. */
export interface ArrayType<Element extends FieldType = FieldType> {
  readonly kind: "array";
  readonly element: Element;
  readonly length: number;
}

/** A reference to a typed object, as wide as the format's pointers. The number stored is the user's: an index or an address. */
export interface PointerType {
  readonly kind: "pointer";
  /** Name of the struct pointed to. A function, because two structs may point at each other. */
  readonly targetName: () => string;
}

/** An integer only ever touched by atomic operations; aligned to its size in every format. */
export interface AtomicType<Name extends AtomicScalarName = AtomicScalarName> {
  readonly kind: "atomic";
  readonly scalar: Name;
}

/** A mutex word of 4 bytes that knows its owner; see `lock.ts`. */
export interface LockType {
  readonly kind: "lock";
}

export type Fields = { readonly [field: string]: FieldType };

/** A declared struct. `accessorClasses` caches the classes made for it, one per layout and way of addressing. */
export interface StructType<F extends Fields = Fields> {
  readonly kind: "struct";
  readonly name: string;
  readonly fields: F;
  /** @internal */
  readonly accessorClasses: Map<string, AccessorClass>;
}

export type FieldType = ScalarType | BytesType | ArrayType | PointerType | AtomicType | LockType | StructType;
/** A type that has no parts: what an accessor method reads or writes. */
export type LeafType = ScalarType | BytesType | PointerType | AtomicType | LockType;

function scalar<Name extends ScalarName>(name: Name): ScalarType<Name> {
  return Object.freeze({ kind: "scalar", scalar: name });
}

export const u8 = scalar("u8");
export const i8 = scalar("i8");
export const u16 = scalar("u16");
export const i16 = scalar("i16");
export const u32 = scalar("u32");
export const i32 = scalar("i32");
/** 64 bits, read and written as a JavaScript number: exact within ±(2^53 - 1), an error beyond. */
export const u64 = scalar("u64");
/** 64 bits, read and written as a JavaScript number: exact within ±(2^53 - 1), an error beyond. */
export const i64 = scalar("i64");
export const f32 = scalar("f32");
export const f64 = scalar("f64");
/** One byte, 0 or 1, read and written as a boolean. */
export const bool = scalar("bool");
/** C's `size_t`: as wide as a pointer, unsigned. */
export const usize = scalar("usize");
/** C's `long`: as wide as a pointer, signed. */
export const long = scalar("long");
/** C's `unsigned long`: as wide as a pointer, unsigned. */
export const ulong = scalar("ulong");

/**
 * A byte string of `length` bytes.
 * @throws DeclarationError when `length` is not a positive integer.
 */
export function bytes(length: number): BytesType {
  requireLength("bytes", length);
  return Object.freeze({ kind: "bytes", length });
}

/**
 * `length` elements of `element`, as in C.
 * @throws DeclarationError when `length` is not a positive integer.
 */
export function array<Element extends FieldType>(element: Element, length: number): ArrayType<Element> {
  requireLength("array", length);
  return Object.freeze({ kind: "array", element, length });
}

/**
 * A pointer to a struct. TypeScript cannot infer a struct that mentions itself; there, give its name
 * instead: `pointer("Node")`.
 */
export function pointer(target: string | (() => { readonly name: string })): PointerType {
  return Object.freeze({
    kind: "pointer",
    targetName: typeof target === "string" ? () => target : () => target().name,
  });
}

/**
 * An atomic integer. Threads can wait on 32-bit ones; 64-bit ones are exact up to 2^53 - 1 and two to three
 * times slower.
 * @throws DeclarationError for floats and booleans.
 */
export function atomic<Name extends AtomicScalarName>(type: ScalarType<Name>): AtomicType<Name> {
  if (["f32", "f64", "bool"].includes(type.scalar)) {
    throw new DeclarationError(`atomic(${type.scalar}): only integers can be atomic; use u8 for a flag`);
  }
  return Object.freeze({ kind: "atomic", scalar: type.scalar });
}

/** A mutex word; give it a holder's number to acquire it. */
export function lock(): LockType {
  return Object.freeze({ kind: "lock" });
}

function requireLength(what: string, length: number): void {
  if (!Number.isSafeInteger(length) || length < 1) {
    throw new DeclarationError(`${what}(${length}): the length must be a positive integer`);
  }
}
