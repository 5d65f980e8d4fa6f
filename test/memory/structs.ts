/** Random struct declarations, and a simple model of C layout rules written independently of the code under test. */
import fc from "fast-check";
import {
  array,
  atomic,
  bool,
  bytes,
  type Fields,
  type FieldType,
  type Format,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  lock,
  long,
  pointer,
  type ScalarType,
  type StructType,
  struct,
  u8,
  u16,
  u32,
  u64,
  ulong,
  usize,
} from "../../src/memory/index.ts";

const scalars: readonly ScalarType[] = [
  ...[u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool],
  ...[usize, long, ulong],
];
const atomics: readonly FieldType[] = [
  ...[atomic(u8), atomic(i8), atomic(u16), atomic(i16), atomic(u32), atomic(i32)],
  ...[atomic(u64), atomic(i64), atomic(usize)],
];

/** Structs of up to six fields, nested up to `depth` deep. */
export function arbitraryStruct(depth = 2): fc.Arbitrary<StructType> {
  return fc.array(arbitraryType(depth), { minLength: 1, maxLength: 6 }).map((types) => {
    const fields: Record<string, FieldType> = {};
    types.forEach((type, number) => {
      fields[`f${number}`] = type;
    });
    return struct("Sample", fields satisfies Fields);
  });
}

function arbitraryType(depth: number): fc.Arbitrary<FieldType> {
  const leaves: fc.Arbitrary<FieldType>[] = [
    fc.constantFrom(...scalars),
    fc.constantFrom(...scalars),
    fc.constantFrom(...atomics),
    fc.constant(lock()),
    fc.constant(pointer("Sample")),
    fc.integer({ min: 1, max: 20 }).map(bytes),
  ];
  if (depth === 0) return fc.oneof(...leaves);
  const part = arbitraryType(depth - 1);
  const arrays = fc.tuple(part, fc.integer({ min: 1, max: 4 })).map(([type, length]) => array(type, length));
  return fc.oneof(...leaves, arrays, arbitraryStruct(depth - 1));
}

/** The rules of an ABI, as its documents state them. */
interface Rules {
  readonly pointer: number;
  /** Alignment of long long and double inside a struct. */
  readonly wide: number;
  readonly big: boolean;
}

const rulesOf: Readonly<Record<Format, Rules>> = {
  ilp32: { pointer: 4, wide: 8, big: false },
  lp64: { pointer: 8, wide: 8, big: false },
  i386: { pointer: 4, wide: 4, big: false },
  ilp32be: { pointer: 4, wide: 8, big: true },
  lp64be: { pointer: 8, wide: 8, big: true },
};

/** What the model knows about one element of one field. */
export interface ModelElement {
  /** Accessor name without indices. */
  readonly name: string;
  readonly path: string;
  readonly indices: readonly number[];
  readonly type: FieldType;
  readonly offset: number;
  readonly size: number;
  /** How the bytes are read: "u" unsigned, "i" signed, "f" float, "b" bool, "s" byte string. */
  readonly reading: "u" | "i" | "f" | "b" | "s";
}

export interface Model {
  readonly size: number;
  readonly align: number;
  readonly big: boolean;
  /** Every element of every field, arrays spelled out. */
  readonly elements: readonly ModelElement[];
}

interface Sized {
  size: number;
  align: number;
}

/** Lays a struct out the slow and obvious way. */
export function modelOf(type: StructType, format: Format): Model {
  const rules = rulesOf[format];
  const elements: ModelElement[] = [];
  const walk = (
    part: FieldType,
    offset: number,
    name: string,
    path: string,
    indices: readonly number[],
  ): void => {
    if (part.kind === "array") {
      const { size } = sizeOf(part.element, rules);
      for (let index = 0; index < part.length; index++) {
        walk(part.element, offset + index * size, name, `${path}[]`, [...indices, index]);
      }
      return;
    }
    if (part.kind === "struct") {
      let position = 0;
      for (const [key, field] of Object.entries(part.fields)) {
        const { size, align } = sizeOf(field, rules);
        while (position % align !== 0) position++;
        const longer = name === "" ? key : name + key[0].toUpperCase() + key.slice(1);
        walk(field, offset + position, longer, path === "" ? key : `${path}.${key}`, indices);
        position += size;
      }
      return;
    }
    elements.push({
      name,
      path,
      indices,
      type: part,
      offset,
      size: sizeOf(part, rules).size,
      reading: readingOf(part),
    });
  };
  walk(type, 0, "", "", []);
  return { ...sizeOf(type, rules), big: rules.big, elements };
}

function sizeOf(type: FieldType, rules: Rules): Sized {
  switch (type.kind) {
    case "struct": {
      let position = 0;
      let strictest = 1;
      for (const field of Object.values(type.fields)) {
        const { size, align } = sizeOf(field, rules);
        while (position % align !== 0) position++;
        position += size;
        if (align > strictest) strictest = align;
      }
      while (position % strictest !== 0) position++;
      return { size: position, align: strictest };
    }
    case "array": {
      const element = sizeOf(type.element, rules);
      return { size: element.size * type.length, align: element.align };
    }
    case "bytes":
      return { size: type.length, align: 1 };
    case "pointer":
      return { size: rules.pointer, align: rules.pointer };
    case "lock":
      return { size: 4, align: 4 };
    default: {
      const bits: Readonly<Record<string, number>> = { bool: 8, usize: 0, long: 0, ulong: 0 };
      const size =
        type.scalar in bits ? bits[type.scalar] / 8 || rules.pointer : Number(type.scalar.slice(1)) / 8;
      const natural = type.kind === "atomic" || size < 8;
      return { size, align: natural ? size : rules.wide };
    }
  }
}

function readingOf(type: FieldType): ModelElement["reading"] {
  if (type.kind === "bytes") return "s";
  if (type.kind === "lock") return "i";
  if (type.kind !== "scalar" && type.kind !== "atomic") return "u";
  if (type.scalar === "bool") return "b";
  if (type.scalar.startsWith("f")) return "f";
  return type.scalar.startsWith("i") || type.scalar === "long" ? "i" : "u";
}

/** Values that fit an element of `size` bytes read as `reading`; 64-bit ones up to what numbers hold exactly. */
export function arbitraryValue(
  reading: ModelElement["reading"],
  size: number,
): fc.Arbitrary<number | boolean | Uint8Array> {
  switch (reading) {
    case "s":
      return fc.uint8Array({ maxLength: size });
    case "b":
      return fc.boolean();
    case "f":
      return size === 4 ? fc.float() : fc.double();
    case "u":
      return size === 8 ? fc.maxSafeNat() : fc.integer({ min: 0, max: 2 ** (8 * size) - 1 });
    case "i":
      return size === 8
        ? fc.maxSafeInteger()
        : fc.integer({ min: -(2 ** (8 * size - 1)), max: 2 ** (8 * size - 1) - 1 });
  }
}

/** The bytes that a value has in memory, built digit by digit. */
export function bytesOf(
  value: number | boolean | Uint8Array,
  element: ModelElement,
  big: boolean,
): Uint8Array {
  const out = new Uint8Array(element.size);
  if (value instanceof Uint8Array) {
    out.set(value);
    return out;
  }
  if (element.reading === "f") {
    const float = element.size === 4 ? Float32Array.of(Number(value)) : Float64Array.of(Number(value));
    out.set(new Uint8Array(float.buffer));
  } else {
    let rest = BigInt.asUintN(8 * element.size, BigInt(value));
    for (let digit = 0; digit < element.size; digit++) {
      out[digit] = Number(rest % 256n);
      rest /= 256n;
    }
  }
  return big ? out.reverse() : out;
}
