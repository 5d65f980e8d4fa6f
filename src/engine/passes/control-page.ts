/** Where programs find what they poll, in the control page of their core; and the code that accesses it. */

import { ControlPage } from "../../machine/machine.ts";
import { layoutOf } from "../../memory/index.ts";
import { memoryIndexFlag } from "../wasm/immediates.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { CONTROL_POLL_OFFSET } from "./abi.ts";

const { fields } = layoutOf(ControlPage, "ilp32");

function offsetOf(name: string): number {
  const field = fields.find((one) => one.name === name);
  if (field === undefined) throw new Error(`the control page has no field "${name}"`);
  return field.offset;
}

/** Offset in the control page of the word from which programs subtract what they execute, if they do. */
export const CONTROL_FUEL_OFFSET: number = offsetOf("fuel");

if (offsetOf("pending") !== CONTROL_POLL_OFFSET) {
  throw new Error("programs do not poll the control page's word of pending interrupts");
}

/** Access to a byte of the page: one byte needs no alignment, atomic or not. */
export const byteAlignment = 0;
/** Access to a word. */
export const wordAlignment = 2;

/**
 * A load or store of the control page; the address, and for a store the value, are on the stack. The address is 0.
 * @param control index of the memory that is the control page.
 * @param alignment as a power of two.
 */
export function accessControl(
  control: number,
  instruction: readonly number[],
  alignment: number,
  offset: number,
): Uint8Array {
  const writer = new ByteWriter(16);
  writer.raw(instruction);
  if (control === 0) writer.u8(alignment);
  else {
    writer.u8(alignment | memoryIndexFlag);
    writer.u32(control);
  }
  writer.u32(offset);
  return writer.written().slice();
}

/** Code that leaves on the stack what a load finds in the control page. */
export function loadControl(
  control: number,
  instruction: readonly number[],
  alignment: number,
  offset: number,
): Uint8Array {
  return Uint8Array.from([op.i32Const, 0, ...accessControl(control, instruction, alignment, offset)]);
}
