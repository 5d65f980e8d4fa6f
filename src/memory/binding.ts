/**
 * What every accessor object is bound to: a stretch of a buffer and the views over it. Accessor
 * classes, generated or built from the type table, extend `BoundAccessor`. Its own properties start
 * with `$`, which no field name can.
 */
import { AreaError } from "./errors.ts";
import type { MemoryGuard } from "./guard.ts";
import type { Format, Layout } from "./layout.ts";
import type { Waiting } from "./waiting.ts";

/** How the first parameter of an accessor method names a record: by number, or by byte address. */
export type Addressing = "index" | "address";
/** How accessor code adapts to a layout: code generated for it, or one class that looks things up in a table. */
export type Strategy = "generated" | "table";

/** What an accessor knows about the memory it is bound to; every accessor has it as `accessor.area`. */
export interface AreaInfo {
  /** The area's name; empty for an overlay. */
  readonly name: string;
  readonly struct: string;
  readonly format: Format;
  readonly layout: Layout;
  readonly addressing: Addressing;
  /** Byte offset of record 0 (or of address 0) in the buffer. */
  readonly base: number;
  /** Records covered; Infinity when nobody said. */
  readonly count: number;
  /** Bytes from one record to the next. */
  readonly stride: number;
  readonly checked: boolean;
  readonly strategy: Strategy;
}

export type IntegerCells =
  | Uint8Array<ArrayBufferLike>
  | Int8Array<ArrayBufferLike>
  | Uint16Array<ArrayBufferLike>
  | Int16Array<ArrayBufferLike>
  | Uint32Array<ArrayBufferLike>
  | Int32Array<ArrayBufferLike>;

/**
 * The part of every accessor that has nothing to do with its fields. The views have a fixed length on
 * purpose: views that track a growable buffer are 20 to 40 times slower.
 */
export class BoundAccessor {
  readonly area: AreaInfo;
  readonly $base: number;
  readonly $stride: number;
  readonly $waiting: Waiting;
  /** What is told of every access beforehand; accessors without one are other code. */
  readonly $memory: MemoryGuard | undefined;
  $buffer: ArrayBufferLike;
  /** All bytes covered. */
  $view: DataView<ArrayBufferLike>;
  /** As many bytes as there are records: reading byte `i` fails exactly when record `i` does not exist. */
  $guard: DataView<ArrayBufferLike>;
  $bytes: Uint8Array<ArrayBufferLike>;
  // Cells of atomic fields; those of sizes that no field has are empty.
  $u8: Uint8Array<ArrayBufferLike>;
  $i8: Int8Array<ArrayBufferLike>;
  $u16: Uint16Array<ArrayBufferLike>;
  $i16: Int16Array<ArrayBufferLike>;
  $u32: Uint32Array<ArrayBufferLike>;
  $i32: Int32Array<ArrayBufferLike>;
  $u64: BigUint64Array<ArrayBufferLike>;
  $i64: BigInt64Array<ArrayBufferLike>;

  constructor(area: AreaInfo, buffer: ArrayBufferLike, waiting: Waiting, memory?: MemoryGuard) {
    this.area = area;
    this.$base = area.base;
    this.$stride = area.stride;
    this.$waiting = waiting;
    this.$memory = memory;
    const { base } = area;
    const length = stretchOf(area, buffer);
    const widest = widestCell(area, length);
    // A view needs a base aligned to its elements, so one that no field uses is left empty at 0.
    const at = (size: number): [base: number, length: number] =>
      widest >= size ? [base, Math.floor(length / size)] : [0, 0];
    this.$buffer = buffer;
    this.$view = new DataView(buffer, base, length);
    this.$guard = new DataView(buffer, base, Math.min(area.count, length));
    this.$bytes = new Uint8Array(buffer, base, length);
    this.$u8 = this.$bytes;
    this.$i8 = new Int8Array(buffer, ...at(1));
    this.$u16 = new Uint16Array(buffer, ...at(2));
    this.$i16 = new Int16Array(buffer, ...at(2));
    this.$u32 = new Uint32Array(buffer, ...at(4));
    this.$i32 = new Int32Array(buffer, ...at(4));
    this.$u64 = new BigUint64Array(buffer, ...at(8));
    this.$i64 = new BigInt64Array(buffer, ...at(8));
  }

  /** See `AccessorCore.rebind`. */
  rebind(buffer: ArrayBufferLike): this {
    const fresh = new BoundAccessor(this.area, buffer, this.$waiting);
    this.$buffer = buffer;
    this.$view = fresh.$view;
    this.$guard = fresh.$guard;
    this.$bytes = fresh.$bytes;
    this.$u8 = fresh.$u8;
    this.$i8 = fresh.$i8;
    this.$u16 = fresh.$u16;
    this.$i16 = fresh.$i16;
    this.$u32 = fresh.$u32;
    this.$i32 = fresh.$i32;
    this.$u64 = fresh.$u64;
    this.$i64 = fresh.$i64;
    return this;
  }
}

/** Bytes that an accessor covers in `buffer`. */
export function stretchOf(area: Omit<AreaInfo, "strategy">, buffer: ArrayBufferLike): number {
  const available = buffer.byteLength - area.base;
  if (available < 0) {
    throw new AreaError(
      `${describe(area)}: base ${area.base} is beyond the buffer's ${buffer.byteLength} bytes`,
    );
  }
  if (!Number.isFinite(area.count)) return available;
  const wanted = area.count === 0 ? 0 : (area.count - 1) * area.stride + area.layout.size;
  if (wanted > available) {
    throw new AreaError(
      `${describe(area)}: ${area.count} records of ${area.stride} bytes at ${area.base} do not fit a buffer of ${buffer.byteLength} bytes`,
    );
  }
  return wanted;
}

/** How messages name the memory: the area and its struct, or just the struct. */
export function describe(area: Pick<AreaInfo, "name" | "struct">): string {
  return area.name === "" ? `struct ${area.struct}` : `area ${area.name} (struct ${area.struct})`;
}

const cellBytesMax = 2 ** 32;

/** Bytes of the widest atomic field or lock, 0 when there are none; refuses memory in which they cannot be. */
function widestCell(area: AreaInfo, length: number): number {
  const cells = area.layout.fields.filter(
    (field) => field.type.kind === "atomic" || field.type.kind === "lock",
  );
  if (cells.length === 0) return 0;
  const widest = Math.max(...cells.map((field) => field.size));
  if (length > cellBytesMax) {
    throw new AreaError(
      `${describe(area)}: atomic fields can only lie in the first 4 GiB; bind it with a base near the records`,
    );
  }
  if (area.base % widest !== 0 || (area.addressing === "index" && area.stride % widest !== 0)) {
    throw new AreaError(
      `${describe(area)}: base ${area.base} and stride ${area.stride} must be multiples of ${widest}, because it has atomic fields of that size`,
    );
  }
  return widest;
}

/** A class made for a struct; its instances have the struct's accessor methods. */
export type AccessorClass = new (
  area: AreaInfo,
  buffer: ArrayBufferLike,
  waiting: Waiting,
  memory: MemoryGuard | undefined,
) => BoundAccessor;
