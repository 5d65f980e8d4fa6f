/** Writes the instructions and types that every pass writes. */
import { type ValueType, valueType } from "./module.ts";
import { op } from "./opcodes.ts";
import type { ByteWriter } from "./writer.ts";

export function call(writer: ByteWriter, index: number): void {
  writer.u8(op.call);
  writer.u32(index);
}

export function localGet(writer: ByteWriter, local: number): void {
  writer.u8(op.localGet);
  writer.u32(local);
}

export function localSet(writer: ByteWriter, local: number): void {
  writer.u8(op.localSet);
  writer.u32(local);
}

export function constant(writer: ByteWriter, value: number): void {
  writer.u8(op.i32Const);
  writer.s32(value);
}

export function writeValueType(writer: ByteWriter, type: ValueType): void {
  const byte = type & 0xff;
  writer.u8(byte);
  if (byte === valueType.reference || byte === valueType.nullableReference) {
    writer.s32(Math.floor(type / 256));
  }
}
