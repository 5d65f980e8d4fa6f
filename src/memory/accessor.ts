/**
 * The TypeScript side of accessors: which methods an accessor of a declared struct has, worked out by
 * the compiler. `names.ts` says the same at run time.
 */
import type { AreaInfo } from "./binding.ts";
import type {
  ArrayType,
  AtomicType,
  BytesType,
  Fields,
  FieldType,
  LeafType,
  LockType,
  ScalarType,
  StructType,
} from "./types.ts";
import type { WaitResult } from "./waiting.ts";

/** `pos` and `x` give `posX`. */
type Join<Prefix extends string, Name extends string> = Prefix extends ""
  ? Name
  : `${Prefix}${Capitalize<Name>}`;

/** One field without parts: its accessor name, its type, and one number per array dimension around it. */
interface Leaf {
  readonly name: string;
  readonly type: LeafType;
  readonly indices: readonly number[];
}

/** The leaves of a field type, as a union. A struct or array of unknown make has none, or this would never end. */
type LeavesOf<Type, Name extends string, Indices extends readonly number[]> =
  Type extends StructType<infer F>
    ? LeavesOfFields<F, Name, Indices>
    : Type extends ArrayType<infer Element>
      ? FieldType extends Element
        ? never
        : LeavesOf<Element, Name, [...Indices, index: number]>
      : { readonly name: Name; readonly type: Type; readonly indices: Indices };

type LeavesOfFields<F, Name extends string, Indices extends readonly number[]> = string extends keyof F
  ? never
  : { [Key in keyof F & string]: LeavesOf<F[Key], Join<Name, Key>, Indices> }[keyof F & string];

/** What a getter returns and a setter takes. */
type Value<Type> =
  Type extends ScalarType<infer Name>
    ? "bool" extends Name
      ? boolean
      : number
    : Type extends BytesType
      ? Uint8Array<ArrayBufferLike>
      : number;

type Of<L extends Leaf, Type> = L extends { readonly type: Type } ? L : never;
type Readable<L extends Leaf> = L extends { readonly type: LockType } ? never : L;
type Place<L extends Leaf> = [i: number, ...indices: L["indices"]];

type Getters<L extends Leaf> = {
  [One in Readable<L> as One["name"]]: (...place: Place<One>) => Value<One["type"]>;
};

type Setters<L extends Leaf> = {
  [One in Readable<L> as `set${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, value: Value<One["type"]>]
  ) => void;
};

type WideLeaf = ScalarType<"u64"> | ScalarType<"i64">;

type HalfGetters<L extends Leaf> = {
  [One in Of<L, WideLeaf> as `${One["name"]}${"Low" | "High"}`]: (...place: Place<One>) => number;
};

type HalfSetters<L extends Leaf> = {
  [One in Of<L, WideLeaf> as `set${Capitalize<One["name"]>}Halves`]: (
    ...place: [...Place<One>, low: number, high: number]
  ) => void;
};

type Offsets<L extends Leaf> = {
  [One in Of<L, BytesType> as `${One["name"]}Offset`]: (...place: Place<One>) => number;
};

type Updates<L extends Leaf> = {
  [One in Of<L, AtomicType> as `${"add" | "or" | "and" | "exchange"}${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, value: number]
  ) => number;
};

type CompareExchanges<L extends Leaf> = {
  [One in Of<L, AtomicType> as `compareExchange${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, expected: number, value: number]
  ) => number;
};

type Waitable = AtomicType<"u32"> | AtomicType<"i32">;

type Waits<L extends Leaf> = {
  [One in Of<L, Waitable> as `wait${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, value: number, timeoutMs?: number]
  ) => WaitResult;
};

type AsyncWaits<L extends Leaf> = {
  [One in Of<L, Waitable> as `waitAsync${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, value: number, timeoutMs?: number]
  ) => Promise<WaitResult>;
};

type Notifies<L extends Leaf> = {
  [One in Of<L, Waitable> as `notify${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, count?: number]
  ) => number;
};

type LockChanges<L extends Leaf> = {
  [One in Of<L, LockType> as `${"acquire" | "release"}${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, owner: number]
  ) => void;
};

type LockTries<L extends Leaf> = {
  [One in Of<L, LockType> as `tryAcquire${Capitalize<One["name"]>}`]: (
    ...place: [...Place<One>, owner: number]
  ) => boolean;
};

type LockOwners<L extends Leaf> = {
  [One in Of<L, LockType> as `ownerOf${Capitalize<One["name"]>}`]: (...place: Place<One>) => number;
};

/** What every accessor has, whatever its fields. */
export interface AccessorCore {
  /** The memory this accessor is bound to. */
  readonly area: AreaInfo;
  /** Absolute byte offset of record `i` in the buffer. */
  offset(i: number): number;
  /** Fills record `i` with zeros. Not atomic. */
  clear(i: number): void;
  /**
   * Binds the accessor to another buffer that holds the same memory (a grown program memory) and
   * returns it.
   * @throws AreaError when the buffer is too short.
   */
  rebind(buffer: ArrayBufferLike): this;
}

type MethodsOf<L extends Leaf> = Getters<L> &
  Setters<L> &
  HalfGetters<L> &
  HalfSetters<L> &
  Offsets<L> &
  Updates<L> &
  CompareExchanges<L> &
  Waits<L> &
  AsyncWaits<L> &
  Notifies<L> &
  LockChanges<L> &
  LockTries<L> &
  LockOwners<L>;

/**
 * Reads and writes records of a struct. The first parameter `i` is the record number (or its byte
 * address, for overlays that address by byte); array fields take one more index per dimension.
 *
 * Integer setters keep the low bits of a value that does not fit, as `DataView` does; 64-bit ones and
 * byte strings refuse it with a ValueError.
 */
export type Accessor<F extends Fields> = AccessorCore & MethodsOf<Extract<LeavesOfFields<F, "", []>, Leaf>>;

/** An accessor over a named area of a `TypedMemory`. */
export type Area<F extends Fields> = Accessor<F>;
