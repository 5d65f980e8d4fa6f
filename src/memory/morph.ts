/**
 * Morphing: fitting an attaché's declaration to the layout an area already has. The data stays as the
 * creator's format laid it out; the accessor code takes its offsets, widths and byte order.
 *
 * A description of the creator's struct travels in the directory as JSON text. An attaché may declare
 * fewer fields, and wider scalars; anything that would lose information is refused.
 */
import { AttachError } from "./errors.ts";
import { type Format, formats, type Layout, type LayoutField, layoutOf, storedScalar } from "./layout.ts";
import { struct } from "./struct.ts";
import { boundsOf } from "./support.ts";
import {
  array,
  bytes,
  type FieldType,
  type FixedScalarName,
  type LeafType,
  lock,
  pointer,
  type ScalarName,
  type StructType,
} from "./types.ts";

/** The struct as text, for the directory. */
export function encodeStruct(struct: StructType): string {
  return JSON.stringify(encodeType(struct));
}

type Encoded = string | readonly [string, ...unknown[]];

function encodeType(type: FieldType): Encoded {
  switch (type.kind) {
    case "scalar":
      return type.scalar;
    case "lock":
      return "lock";
    case "bytes":
      return ["bytes", type.length];
    case "array":
      return ["array", encodeType(type.element), type.length];
    case "pointer":
      return ["pointer", type.targetName()];
    case "atomic":
      return ["atomic", type.scalar];
    case "struct":
      return [
        "struct",
        type.name,
        Object.entries(type.fields).map(([name, part]) => [name, encodeType(part)]),
      ];
  }
}

/**
 * The struct that `text` describes.
 * @throws AttachError when the text is not such a description (the directory is damaged).
 */
export function decodeStruct(areaName: string, text: string): StructType {
  try {
    const type = decodeType(JSON.parse(text));
    if (type.kind === "struct") return type;
  } catch (error) {
    throw new AttachError(`area ${areaName}: its description in the directory is damaged`, { cause: error });
  }
  throw new AttachError(`area ${areaName}: its description in the directory is not of a struct`);
}

const scalarNames: readonly ScalarName[] = [
  ...(["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool"] as const),
  ...(["usize", "long", "ulong"] as const),
];

function decodeType(encoded: unknown): FieldType {
  if (encoded === "lock") return lock();
  if (typeof encoded === "string") return { kind: "scalar", scalar: scalarNamed(encoded) };
  if (!Array.isArray(encoded)) throw new TypeError("a field type is a name or a list");
  const [kind, first, second]: unknown[] = encoded;
  switch (kind) {
    case "bytes":
      return bytes(Number(first));
    case "array":
      return array(decodeType(first), Number(second));
    case "pointer":
      return pointer(String(first));
    case "atomic": {
      const scalar = scalarNamed(first);
      if (scalar === "f32" || scalar === "f64" || scalar === "bool") throw new TypeError(`atomic ${scalar}`);
      return { kind: "atomic", scalar };
    }
    case "struct": {
      if (!Array.isArray(second)) throw new TypeError("a struct has a list of fields");
      const fields = second.map((pair: unknown): [string, FieldType] => {
        if (!Array.isArray(pair)) throw new TypeError("a field is a name and a type");
        return [String(pair[0]), decodeType(pair[1])];
      });
      return struct(String(first), Object.fromEntries(fields));
    }
    default:
      throw new TypeError(`unknown kind ${String(kind)}`);
  }
}

function scalarNamed(name: unknown): ScalarName {
  const found = scalarNames.find((known) => known === name);
  if (found === undefined) throw new TypeError(`unknown scalar ${String(name)}`);
  return found;
}

/**
 * The layout through which `declared` sees an area that was created as `created` in `format`.
 * @throws AttachError naming the first field that does not fit, and why.
 */
export function morph(areaName: string, declared: StructType, created: StructType, format: Format): Layout {
  if (declared.name !== created.name) {
    throw new AttachError(
      `area ${areaName} holds records of struct ${created.name}, not ${declared.name}; attach with a declaration of ${created.name}`,
    );
  }
  const layout = layoutOf(created, format);
  const areaFields = new Map(layout.fields.map((field) => [field.path, field]));
  const fields = layoutOf(declared, format).fields.map((field): LayoutField => {
    const there = areaFields.get(field.path);
    if (there === undefined)
      throw misfit(areaName, field, `the area has ${elsewhere(field.path, areaFields)}`);
    const reason = reasonAgainst(field, there, format);
    if (reason !== undefined) throw misfit(areaName, field, reason);
    return { ...there, type: field.type, declared: field.stored };
  });
  return { ...layout, fields };
}

function misfit(areaName: string, field: LayoutField, reason: string): AttachError {
  return new AttachError(`area ${areaName}, field ${field.path} (declared ${nameOf(field.type)}): ${reason}`);
}

/** Says what the area has instead of a path it does not have. */
function elsewhere(path: string, areaFields: ReadonlyMap<string, LayoutField>): string {
  const plain = path.replaceAll("[]", "");
  for (const other of areaFields.keys()) {
    if (other.replaceAll("[]", "") === plain) return `it as ${other}: arrays must have the same dimensions`;
    if (other.startsWith(`${path}.`) || other.startsWith(`${path}[`))
      return `it as a struct or array (${other}), not as one value`;
  }
  return `no such field; declare only fields the creator has: ${[...areaFields.keys()].join(", ")}`;
}

/** Why the area's field cannot be seen as the declared one, or nothing when it can. */
function reasonAgainst(field: LayoutField, there: LayoutField, format: Format): string | undefined {
  const lengths = (dimensions: LayoutField["dimensions"]): string =>
    dimensions.map(({ length }) => `[${length}]`).join("");
  if (lengths(field.dimensions) !== lengths(there.dimensions)) {
    return `the area's array is ${lengths(there.dimensions)}, the declared one ${lengths(field.dimensions)}; declare the same length`;
  }
  const areaType = nameOf(there.type);
  if (field.type.kind === "scalar" && there.type.kind === "scalar") {
    const wanted = storedScalar(field.type.scalar, formats[format]);
    const stored = storedScalar(there.type.scalar, formats[format]);
    return holds(wanted, stored)
      ? undefined
      : `the area has ${areaType} (${stored} in ${format}), which ${wanted} cannot hold without loss`;
  }
  return nameOf(field.type) === areaType ? undefined : `the area has ${areaType}; declare the same type`;
}

/** True when every value of `stored` is a value of `wanted`. */
function holds(wanted: FixedScalarName, stored: FixedScalarName): boolean {
  if (wanted === stored) return true;
  if (wanted === "f64" && stored === "f32") return true;
  const odd: readonly FixedScalarName[] = ["f32", "f64", "bool"];
  if (odd.includes(wanted) || odd.includes(stored)) return false;
  // The 64-bit bounds are those of exact numbers; u64 and i64 still do not hold each other.
  if (stored === "u64" || stored === "i64") return false;
  const [wantedMinimum, wantedMaximum] = boundsOf(wanted);
  const [storedMinimum, storedMaximum] = boundsOf(stored);
  return wantedMinimum <= storedMinimum && wantedMaximum >= storedMaximum;
}

/** How messages and comparisons name a leaf type. */
function nameOf(type: LeafType): string {
  switch (type.kind) {
    case "scalar":
      return type.scalar;
    case "bytes":
      return `bytes(${type.length})`;
    case "pointer":
      return `pointer to ${type.targetName()}`;
    case "atomic":
      return `atomic ${type.scalar}`;
    case "lock":
      return "lock";
  }
}
