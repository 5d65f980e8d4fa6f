/**
 * Codecs: how the values of a message's fields become a payload and come out of it again, by the accessors of
 * typed memory. The code that moves the fields of one struct is generated, as the accessors are; where
 * generating code is forbidden, closures made from the declaration do the same.
 */
import { type FieldType, layoutOf, overlay, type StructType } from "../memory/index.ts";
import { MessageUsageError } from "./errors.ts";
import type { Staging } from "./staging.ts";

/** Payload structs have this format on every transport. */
export const payloadFormat = "lp64";

/** Turns values into a payload at an address of a staging memory, and back. */
export interface Codec<T> {
  /** Writes a payload; `room` bytes are available. @returns its size, or −1 if it does not fit. */
  write(address: number, value: T, room: number): number;
  /** Reads a payload of `size` bytes; undefined if no such payload has that size. */
  read(address: number, size: number): T | undefined;
  /** The payload of a value if it is bytes that lie somewhere already. */
  bytesOf?(value: T): Uint8Array;
}

/** The values of a payload's fields, by name. */
export type Values = { readonly [field: string]: unknown };
export type CodecStrategy = "generated" | "table";

/** Moves the fields of a struct between an object and an address. */
interface StructMover {
  write(address: number, value: Values): void;
  read(address: number): { [field: string]: unknown };
}

/** The codec of payloads that are nothing but bytes. */
export function rawCodec(staging: Staging): Codec<Uint8Array> {
  return {
    write(address, value, room) {
      if (value.length > room) return -1;
      staging.bytes.set(value, address);
      return value.length;
    },
    read: (address, size) => staging.copy(address, size),
    bytesOf: (value) => value,
  };
}

/** The codec of payloads that are a struct (if there is one), followed by the bytes of `tail` if `withTail`. */
export function structCodec(
  shape: StructType | undefined,
  withTail: boolean,
  staging: Staging,
  strategy?: CodecStrategy,
): Codec<Values> {
  const mover = shape === undefined ? emptyMover : moverFor(shape, staging, strategy);
  const size = shape === undefined ? 0 : layoutOf(shape, payloadFormat).size;
  const padded = shape !== undefined && hasPadding(shape);
  return {
    write(address, value, room) {
      const tail = withTail ? (value.tail as Uint8Array) : undefined;
      const whole = size + (tail === undefined ? 0 : tail.length);
      if (whole > room) return -1;
      // Padding must not carry what an earlier message left in the staging memory.
      if (padded) staging.bytes.fill(0, address, address + size);
      mover.write(address, value);
      if (tail !== undefined) staging.bytes.set(tail, address + size);
      return whole;
    },
    read(address, whole) {
      if (whole !== size && !(withTail && whole > size)) return undefined;
      const value = mover.read(address);
      if (withTail) value.tail = staging.copy(address + size, whole - size);
      return value;
    },
  };
}

const emptyMover: StructMover = { write: () => {}, read: () => ({}) };

function moverFor(shape: StructType, staging: Staging, strategy: CodecStrategy | undefined): StructMover {
  const accessor: unknown = overlay(shape, staging.buffer, {
    format: payloadFormat,
    addressing: "address",
    checked: false,
    strategy,
  });
  // Method names are made from the declaration, by the same rule as the accessor's own.
  const methods = accessor as { [name: string]: Method };
  if (strategy === "table") return tableMover(shape, methods, staging);
  try {
    return generatedMover(shape, methods, staging);
  } catch (error) {
    // A content-security policy forbids generating code.
    if (!(error instanceof EvalError)) throw error;
    return tableMover(shape, methods, staging);
  }
}

type Method = (...args: unknown[]) => unknown;
type Methods = { [name: string]: Method };

/** True if some bytes of the struct belong to no field. */
function hasPadding(shape: StructType): boolean {
  const layout = layoutOf(shape, payloadFormat);
  let used = 0;
  for (const field of layout.fields) {
    used += field.dimensions.reduce((elements, dimension) => elements * dimension.length, field.size);
  }
  return used < layout.size;
}

function wrongLength(path: string, given: number, length: number): never {
  throw new MessageUsageError(`field ${path}: ${given} elements given, it has ${length}`);
}

function generatedMover(shape: StructType, methods: Methods, staging: Staging): StructMover {
  const copy = (address: number, size: number) => staging.copy(address, size);
  const source = `return {
    write(at, value) { ${writeSource(shape, "", "value", [])} },
    read(at) { return ${readSource(shape, "", [])}; },
  };`;
  const make = new Function("accessor", "copy", "wrongLength", source);
  return make(methods, copy, wrongLength) as StructMover;
}

/** Statements that write `value`, an expression, to the field with an accessor name. */
function writeSource(type: FieldType, name: string, value: string, indices: readonly string[]): string {
  if (type.kind === "struct") {
    return Object.entries(type.fields)
      .map(([key, part]) => writeSource(part, join(name, key), `${value}.${key}`, indices))
      .join(" ");
  }
  if (type.kind === "array") {
    const index = `i${indices.length}`;
    const items = `items${indices.length}`;
    return `{ const ${items} = ${value};
      if (${items}.length !== ${type.length}) wrongLength(${JSON.stringify(name)}, ${items}.length, ${type.length});
      for (let ${index} = 0; ${index} < ${type.length}; ${index}++) {
        ${writeSource(type.element, name, `${items}[${index}]`, [...indices, index])}
      } }`;
  }
  return `accessor.set${capital(name)}(${["at", ...indices, value].join(", ")});`;
}

/** An expression for the value of the field with an accessor name. */
function readSource(type: FieldType, name: string, indices: readonly string[]): string {
  if (type.kind === "struct") {
    const parts = Object.entries(type.fields).map(
      ([key, part]) => `${key}: ${readSource(part, join(name, key), indices)}`,
    );
    return `({ ${parts.join(", ")} })`;
  }
  if (type.kind === "array") {
    const index = `i${indices.length}`;
    const element = readSource(type.element, name, [...indices, index]);
    return `Array.from({ length: ${type.length} }, (_, ${index}) => ${element})`;
  }
  const place = ["at", ...indices].join(", ");
  if (type.kind === "bytes") return `copy(accessor.${name}Offset(${place}), ${type.length})`;
  return `accessor.${name}(${place})`;
}

function tableMover(shape: StructType, methods: Methods, staging: Staging): StructMover {
  const mover = placedMover(shape, "", methods, staging);
  return {
    write: (address, value) => mover.write(address, value),
    // The mover of a struct makes an object.
    read: (address) => mover.read(address) as { [field: string]: unknown },
  };
}

/** Moves what lies at an address and, inside arrays, at further indices. */
interface PlacedMover {
  write(address: number, value: unknown, ...indices: number[]): void;
  read(address: number, ...indices: number[]): unknown;
}

function placedMover(type: FieldType, name: string, methods: Methods, staging: Staging): PlacedMover {
  if (type.kind === "struct") {
    const parts = Object.entries(type.fields).map(
      ([key, part]) => [key, placedMover(part, join(name, key), methods, staging)] as const,
    );
    return {
      write(address, value, ...indices) {
        for (const [key, part] of parts) part.write(address, (value as Values)[key], ...indices);
      },
      read(address, ...indices) {
        const value: { [field: string]: unknown } = {};
        for (const [key, part] of parts) value[key] = part.read(address, ...indices);
        return value;
      },
    };
  }
  if (type.kind === "array") {
    const element = placedMover(type.element, name, methods, staging);
    const { length } = type;
    return {
      write(address, value, ...indices) {
        const items = value as readonly unknown[];
        if (items.length !== length) wrongLength(name, items.length, length);
        items.forEach((item, i) => {
          element.write(address, item, ...indices, i);
        });
      },
      read: (address, ...indices) => Array.from({ length }, (_, i) => element.read(address, ...indices, i)),
    };
  }
  const write = (address: number, value: unknown, ...indices: number[]) => {
    methods[`set${capital(name)}`](address, ...indices, value);
  };
  if (type.kind === "bytes") {
    return {
      write,
      // An accessor's own getter gives a view, which the next message would change.
      read: (address, ...indices) =>
        staging.copy(methods[`${name}Offset`](address, ...indices) as number, type.length),
    };
  }
  return { write, read: (address, ...indices) => methods[name](address, ...indices) };
}

/** The accessor name of a part: `pos` and `x` give `posX`. */
function join(prefix: string, name: string): string {
  return prefix === "" ? name : prefix + capital(name);
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
