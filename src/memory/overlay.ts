/**
 * Overlays: accessors over memory that has no name in a directory, such as on-disk structures or
 * structs in a program's memory. Areas are overlays that the directory describes.
 */
import type { Accessor } from "./accessor.ts";
import {
  type AccessorClass,
  type Addressing,
  type AreaInfo,
  describe,
  type Strategy,
  stretchOf,
} from "./binding.ts";
import { AreaError } from "./errors.ts";
import { generateClass } from "./generate.ts";
import type { Shape } from "./generate-body.ts";
import type { MemoryGuard } from "./guard.ts";
import { type Format, type Layout, layoutOf } from "./layout.ts";
import { tableAccessor } from "./table.ts";
import type { Fields, StructType } from "./types.ts";
import { threadWaiting, type Waiting } from "./waiting.ts";

/** The largest position that 32-bit arithmetic gives. */
const positionMax = 2 ** 31 - 1;

export interface OverlayOptions {
  readonly format: Format;
  /** Byte offset in the buffer of record 0 (or of address 0). Default 0. */
  readonly base?: number;
  /** Records covered. Default: as many as there is room for. */
  readonly count?: number;
  /** Bytes between records. Default: the struct's size. */
  readonly stride?: number;
  /** Whether the first parameter of methods is a record number (default) or a byte address. */
  readonly addressing?: Addressing;
  /**
   * Whether record numbers or addresses, and array indices, are checked. Default: record numbers are,
   * addresses are not. Unchecked access never leaves the memory covered (the platform throws a
   * RangeError of its own) but may hit a wrong record.
   */
  readonly checked?: boolean;
  /** Default: generated code, or the type table where code generation is forbidden. */
  readonly strategy?: Strategy;
  /** How locks and atomic fields wait. Default: spin, then park the thread. */
  readonly waiting?: Waiting;
  /** Is told of every access before it happens. Default: none, the buffer is plainly there. */
  readonly guard?: MemoryGuard;
}

/**
 * Accessors for a struct over any buffer.
 * @throws AreaError when the buffer is too short, or misaligned for atomic fields.
 */
export function overlay<F extends Fields>(
  struct: StructType<F>,
  buffer: ArrayBufferLike,
  options: OverlayOptions,
): Accessor<F> {
  return bind(struct, layoutOf(struct, options.format), "", buffer, options);
}

/** Makes an accessor for a layout: the struct's own, or one morphed to an area. */
export function bind<F extends Fields>(
  struct: StructType<F>,
  layout: Layout,
  name: string,
  buffer: ArrayBufferLike,
  options: OverlayOptions,
): Accessor<F> {
  const base = options.base ?? 0;
  const stride = options.stride ?? layout.size;
  const addressing = options.addressing ?? "index";
  const checked = options.checked ?? addressing === "index";
  const where = describe({ name, struct: struct.name });
  requireNumber(where, "base", base, 0);
  requireNumber(where, "stride", stride, layout.size);
  if (options.count !== undefined) requireNumber(where, "count", options.count, 1);
  const room = Math.floor((buffer.byteLength - base - layout.size) / stride) + 1;
  const count = options.count ?? (addressing === "index" ? Math.max(room, 0) : Number.POSITIVE_INFINITY);
  const place = {
    name,
    struct: struct.name,
    format: layout.format,
    layout,
    addressing,
    base,
    count,
    stride,
    checked,
  };
  const shape: Shape = {
    layout,
    addressing,
    checked,
    stride: stride === layout.size ? stride : undefined,
    far: stretchOf(place, buffer) > positionMax,
    announced: options.guard !== undefined,
  };
  const waiting = options.waiting ?? threadWaiting;
  const Class =
    options.strategy === "table" ? undefined : classFor(struct, shape, options.strategy === "generated");
  const area: AreaInfo = Object.freeze({ ...place, strategy: Class === undefined ? "table" : "generated" });
  const accessor: unknown =
    Class === undefined
      ? tableAccessor(area, buffer, waiting, options.guard, shape.far)
      : new Class(area, buffer, waiting, options.guard);
  return accessor as Accessor<F>;
}

function requireNumber(where: string, what: string, value: number, minimum: number): void {
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new AreaError(`${where}: ${what} ${value} must be an integer of at least ${minimum}`);
  }
}

/**
 * Finds or makes the class for a shape; classes are shared by all areas and overlays that look alike.
 * Nothing where generating code is forbidden, unless it was asked for.
 */
function classFor(struct: StructType, shape: Shape, insist: boolean): AccessorClass | undefined {
  const key = `${shape.addressing} ${shape.checked} ${shape.stride} ${shape.far} ${shape.announced} ${signature(shape.layout)}`;
  const known = struct.accessorClasses.get(key);
  if (known !== undefined) return known;
  try {
    const made = generateClass(shape);
    struct.accessorClasses.set(key, made);
    return made;
  } catch (error) {
    // A content-security policy forbids generating code: the table does the same without.
    if (insist || !(error instanceof EvalError)) throw error;
    return undefined;
  }
}

/** A text that two layouts share exactly when the same code serves both. */
function signature(layout: Layout): string {
  const fields = layout.fields.map((field) => {
    const dimensions = field.dimensions.map((dimension) => `${dimension.length}*${dimension.stride}`);
    return `${field.stored}/${field.declared}@${field.offset}${dimensions.length === 0 ? "" : `[${dimensions}]`}`;
  });
  return `${layout.format} ${layout.size} ${fields.join(",")}`;
}
