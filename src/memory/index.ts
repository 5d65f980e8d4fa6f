/**
 * Typed shared memory: structs declared once, laid out as a C compiler would, in named areas that
 * several kernels or worker threads attach to. See README.md.
 */
export type { Accessor, AccessorCore, Area } from "./accessor.ts";
export type { Addressing, AreaInfo, Strategy } from "./binding.ts";
export type { AreaDescription, Coherence, Contract } from "./directory.ts";
export {
  AreaError,
  AttachError,
  DeclarationError,
  IndexError,
  LockError,
  PoolError,
  ValueError,
} from "./errors.ts";
export type { MemoryGuard } from "./guard.ts";
export { guardedPage_bytes, inPages } from "./guard.ts";
export type { Dimension, Format, FormatRules, Layout, LayoutField } from "./layout.ts";
export { formatNames, formats, layoutOf } from "./layout.ts";
export type { OverlayOptions } from "./overlay.ts";
export { overlay } from "./overlay.ts";
export { Pool } from "./pool.ts";
export { readBytes, writeBytes, zeroBytes } from "./raw.ts";
export { struct } from "./struct.ts";
export type { AttachOptions, CreateOptions, MemoryOptions, PoolOptions } from "./typed-memory.ts";
export { TypedMemory } from "./typed-memory.ts";
export type {
  ArrayType,
  AtomicScalarName,
  AtomicType,
  BytesType,
  Fields,
  FieldType,
  FixedScalarName,
  LockType,
  PointerType,
  ScalarName,
  ScalarType,
  StructType,
} from "./types.ts";
export {
  array,
  atomic,
  bool,
  bytes,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  lock,
  long,
  pointer,
  u8,
  u16,
  u32,
  u64,
  ulong,
  usize,
} from "./types.ts";
export type { WaitCells, Waiting, WaitResult } from "./waiting.ts";
export { threadWaiting } from "./waiting.ts";
