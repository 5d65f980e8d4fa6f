/**
 * Layouts: where the fields of a struct lie in a given format, exactly as a C compiler for that ABI
 * places them. A layout is flat: one entry per field without parts, nested structs and arrays
 * unfolded into paths and dimensions.
 */
import { DeclarationError } from "./errors.ts";
import { joinNames } from "./names.ts";
import type { FieldType, FixedScalarName, LeafType, ScalarName, StructType } from "./types.ts";

/**
 * A data format: word size, alignment of 64-bit scalars, byte order.
 * `ilp32` is arm EABI and wasm32 (64-bit scalars aligned to 8), `i386` aligns them to 4, `lp64` is
 * x86-64, arm64 and wasm64; the `be` formats are big-endian (powerpc, s390x).
 */
export type Format = "ilp32" | "lp64" | "i386" | "ilp32be" | "lp64be";

/** What a format's name stands for. */
export interface FormatRules {
  /** Bytes of a pointer and of C's long. */
  readonly wordSize: 4 | 8;
  /** Alignment of 64-bit scalars inside a struct. */
  readonly wideAlign: 4 | 8;
  readonly littleEndian: boolean;
}

export const formats: Readonly<Record<Format, FormatRules>> = Object.freeze({
  ilp32: { wordSize: 4, wideAlign: 8, littleEndian: true },
  lp64: { wordSize: 8, wideAlign: 8, littleEndian: true },
  i386: { wordSize: 4, wideAlign: 4, littleEndian: true },
  ilp32be: { wordSize: 4, wideAlign: 8, littleEndian: false },
  lp64be: { wordSize: 8, wideAlign: 8, littleEndian: false },
});

/** Byte order of this machine, in which typed arrays and atomics work. */
export const hostLittleEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** All format names, in the order the directory numbers them. */
export const formatNames: readonly Format[] = Object.freeze(["ilp32", "lp64", "i386", "ilp32be", "lp64be"]);

/** One dimension of an array: how many elements, how many bytes apart. */
export interface Dimension {
  readonly length: number;
  readonly stride: number;
}

/** One field without parts, in place. */
export interface LayoutField {
  /** Where it is in the declaration: `size`, `pos.x`, `items[].x`. */
  readonly path: string;
  /** Its accessor name: `size`, `posX`, `itemsX`. */
  readonly name: string;
  readonly type: LeafType;
  /** The scalar really stored; "bytes" for byte strings. A lock is stored as an i32. */
  readonly stored: FixedScalarName | "bytes";
  /** The scalar the declaration stands for; wider than `stored` only where an attaché's is wider than the area's. */
  readonly declared: FixedScalarName | "bytes";
  /** Byte offset in the record of the first (or only) element. */
  readonly offset: number;
  /** Bytes of one element. */
  readonly size: number;
  readonly align: number;
  /** Outermost first; empty for a field outside any array. */
  readonly dimensions: readonly Dimension[];
}

export interface Layout {
  readonly struct: string;
  readonly format: Format;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly LayoutField[];
}

interface Extent {
  readonly size: number;
  readonly align: number;
}

/**
 * The layout of a struct in a format.
 * @throws DeclarationError for an unknown format.
 */
export function layoutOf(struct: StructType, format: Format): Layout {
  const rules = formats[format];
  if (rules === undefined) {
    throw new DeclarationError(
      `unknown format ${JSON.stringify(format)}; the formats are ${formatNames.join(", ")}`,
    );
  }
  const fields: LayoutField[] = [];
  const extent = place(struct, rules, 0, "", "", [], fields);
  return { struct: struct.name, format, size: extent.size, align: extent.align, fields };
}

/** The scalar of fixed size that stands for `name` in a format. */
export function storedScalar(name: ScalarName, rules: FormatRules): FixedScalarName {
  switch (name) {
    case "usize":
    case "ulong":
      return rules.wordSize === 8 ? "u64" : "u32";
    case "long":
      return rules.wordSize === 8 ? "i64" : "i32";
    default:
      return name;
  }
}

/** Bytes of a scalar of fixed size. */
export function sizeOfScalar(name: FixedScalarName): 1 | 2 | 4 | 8 {
  switch (name) {
    case "u8":
    case "i8":
    case "bool":
      return 1;
    case "u16":
    case "i16":
      return 2;
    case "u32":
    case "i32":
    case "f32":
      return 4;
    default:
      return 8;
  }
}

/** Places `type` at `offset`, adds its fields to `fields` and returns how much room one of it takes. */
function place(
  type: FieldType,
  rules: FormatRules,
  offset: number,
  path: string,
  name: string,
  dimensions: readonly Dimension[],
  fields: LayoutField[],
): Extent {
  if (type.kind === "struct") {
    // Offsets of parts need the struct's own start only as a sum: alignment inside a struct never
    // depends on where the struct lies, because the struct is aligned at least as strictly.
    let end = 0;
    let align = 1;
    for (const [field, part] of Object.entries(type.fields)) {
      const extent = extentOf(part, rules);
      const start = roundUp(end, extent.align);
      place(
        part,
        rules,
        offset + start,
        path === "" ? field : `${path}.${field}`,
        joinNames(name, field),
        dimensions,
        fields,
      );
      end = start + extent.size;
      align = Math.max(align, extent.align);
    }
    return { size: roundUp(end, align), align };
  }
  if (type.kind === "array") {
    const element = extentOf(type.element, rules);
    const dimension = { length: type.length, stride: element.size };
    place(type.element, rules, offset, `${path}[]`, name, [...dimensions, dimension], fields);
    return { size: element.size * type.length, align: element.align };
  }
  const extent = extentOf(type, rules);
  const stored = storedAs(type, rules);
  fields.push({ path, name, type, stored, declared: stored, offset, ...extent, dimensions });
  return extent;
}

function extentOf(type: FieldType, rules: FormatRules): Extent {
  switch (type.kind) {
    case "struct":
      return place(type, rules, 0, "", "", [], []);
    case "array": {
      const element = extentOf(type.element, rules);
      return { size: element.size * type.length, align: element.align };
    }
    case "bytes":
      return { size: type.length, align: 1 };
    case "lock":
      return { size: 4, align: 4 };
    case "atomic": {
      // C compilers align _Atomic types to their size, in the i386 ABI too.
      const size = sizeOfScalar(storedScalar(type.scalar, rules));
      return { size, align: size };
    }
    case "pointer":
      return { size: rules.wordSize, align: Math.min(rules.wordSize, rules.wideAlign) };
    case "scalar": {
      const size = sizeOfScalar(storedScalar(type.scalar, rules));
      return { size, align: size === 8 ? rules.wideAlign : size };
    }
  }
}

function storedAs(type: LeafType, rules: FormatRules): FixedScalarName | "bytes" {
  switch (type.kind) {
    case "bytes":
      return "bytes";
    case "lock":
      return "i32";
    case "pointer":
      return rules.wordSize === 8 ? "u64" : "u32";
    default:
      return storedScalar(type.scalar, rules);
  }
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
