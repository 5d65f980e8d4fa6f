/** Decodes what describes types: value types, function types, recursion groups, limits, import and export kinds. */
import type {
  ExternalKind,
  FunctionType,
  GlobalType,
  Limits,
  OtherType,
  TableType,
  TypeGroup,
  ValueType,
} from "./module.ts";
import { valueType } from "./module.ts";
import type { ByteReader } from "./reader.ts";

const other: OtherType = { kind: "other" };

const form = { function: 0x60, struct: 0x5f, array: 0x5e, subtype: 0x50, finalSubtype: 0x4f, group: 0x4e };
const packed = { i8: 0x78, i16: 0x77 };

export const externalKinds: readonly ExternalKind[] = ["function", "table", "memory", "global", "tag"];

export function decodeValueType(reader: ByteReader): ValueType {
  const byte = reader.u8("a value type");
  if (byte === valueType.reference || byte === valueType.nullableReference) {
    return reader.s33("a heap type") * 256 + byte;
  }
  if (byte < 0x40 || byte > 0x7f) reader.fail("a value type", `0x${byte.toString(16)}`, reader.position - 1);
  return byte;
}

function decodeValueTypes(reader: ByteReader, what: string): ValueType[] {
  const count = reader.count(what);
  const types: ValueType[] = [];
  for (let index = 0; index < count; index++) types.push(decodeValueType(reader));
  return types;
}

function decodeField(reader: ByteReader): void {
  const byte = reader.bytes[reader.position];
  if (byte === packed.i8 || byte === packed.i16) reader.u8();
  else decodeValueType(reader);
  decodeMutability(reader);
}

function decodeMutability(reader: ByteReader): boolean {
  const byte = reader.u8("a mutability");
  if (byte > 1) reader.fail("a mutability", `0x${byte.toString(16)}`, reader.position - 1);
  return byte === 1;
}

function decodeCompositeType(reader: ByteReader, byte: number): FunctionType | OtherType {
  switch (byte) {
    case form.function:
      return {
        kind: "function",
        params: decodeValueTypes(reader, "parameters"),
        results: decodeValueTypes(reader, "results"),
      };
    case form.struct: {
      const count = reader.count("fields", 2);
      for (let index = 0; index < count; index++) decodeField(reader);
      return other;
    }
    case form.array:
      decodeField(reader);
      return other;
    default:
      return reader.fail("a type", `0x${byte.toString(16)}`, reader.position - 1);
  }
}

function decodeSubtype(reader: ByteReader): FunctionType | OtherType {
  const byte = reader.u8("a type");
  if (byte !== form.subtype && byte !== form.finalSubtype) return decodeCompositeType(reader, byte);
  const supertypes = reader.count("supertypes");
  for (let index = 0; index < supertypes; index++) reader.u32("a type index");
  return decodeCompositeType(reader, reader.u8("a type"));
}

/** One entry of the type section. */
export function decodeTypeGroup(reader: ByteReader): TypeGroup {
  const start = reader.position;
  const types: (FunctionType | OtherType)[] = [];
  if (reader.bytes[start] === form.group && reader.remaining > 0) {
    reader.u8();
    const count = reader.count("types of a group", 2);
    for (let index = 0; index < count; index++) types.push(decodeSubtype(reader));
  } else {
    types.push(decodeSubtype(reader));
  }
  return { types, raw: { start, end: reader.position } };
}

/** Flag bits of limits. */
export const limitsFlag = { maximum: 1, shared: 2, wide: 4 } as const;

export function decodeLimits(reader: ByteReader): Limits {
  const flags = reader.u8("limits");
  if (flags > 7) reader.fail("limits", `flags 0x${flags.toString(16)}`, reader.position - 1);
  return {
    minimum: reader.u64("a minimum"),
    maximum: flags & limitsFlag.maximum ? reader.u64("a maximum") : null,
    shared: (flags & limitsFlag.shared) !== 0,
    wide: (flags & limitsFlag.wide) !== 0,
  };
}

export function decodeTableType(reader: ByteReader): TableType {
  return { element: decodeValueType(reader), limits: decodeLimits(reader) };
}

export function decodeGlobalType(reader: ByteReader): GlobalType {
  return { type: decodeValueType(reader), mutable: decodeMutability(reader) };
}

/** The type index of a tag, behind its attribute. */
export function decodeTag(reader: ByteReader): number {
  const attribute = reader.u8("the attribute of a tag");
  if (attribute !== 0) reader.fail("an exception tag", `attribute ${attribute}`, reader.position - 1);
  return reader.u32("a type index");
}
