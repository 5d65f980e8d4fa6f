/**
 * The code of checked accesses. Each distinct instruction that accesses the process memory becomes a small
 * function: the optimising compiler puts the ones that are called often in place of their calls, and all others
 * cost the program's code less than the check itself would.
 */
import { call, localGet } from "../wasm/code.ts";
import { memoryIndexFlag } from "../wasm/immediates.ts";
import { type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { mapPageShift } from "./abi.ts";

/** Indices that checks refer to. */
export interface CheckTargets {
  /** Memory index of the page map. */
  readonly pages: number;
  /** The imported function of that name. */
  readonly fault: number;
  /** `(address, i32 length) -> ()`: makes a range present. Addresses have the memory's width. */
  readonly ensure: number;
  /** Addresses of the process memory have 64 bits. */
  readonly wide: boolean;
}

/** Code, and where in it the branch to the rare side is. */
export interface HintedBody {
  readonly body: Uint8Array;
  readonly rareBranchAt: number;
}

/**
 * A function that does what one instruction does, once its pages are present.
 *
 * The page of the first byte and that of the last are looked up without asking whether they differ: the second
 * look is cheaper than the question. Where address and offset overflow, another page is asked for, which does no
 * harm, and the access itself then traps.
 * @param parameters how many the function has; the first is the address.
 * @param size_bytes how much the instruction accesses.
 * @param offset the static offset of the instruction; below 4 GiB.
 */
export function checkedAccess(
  targets: CheckTargets,
  instruction: Uint8Array,
  parameters: number,
  size_bytes: number,
  offset: number,
): HintedBody {
  const writer = new ByteWriter(64);
  const last = offset + size_bytes - 1;
  writer.u32(0);
  presence(writer, targets, offset);
  if (last !== offset) {
    presence(writer, targets, last);
    writer.u8(op.i32And);
  }
  writer.u8(op.i32Eqz);
  const rareBranchAt = writer.position;
  writer.raw([op.if, 0x40]);
  page(writer, targets.wide, offset);
  page(writer, targets.wide, last);
  callFault(writer, targets);
  writer.u8(op.end);
  for (let index = 0; index < parameters; index++) localGet(writer, index);
  writer.raw(instruction);
  writer.u8(op.end);
  return { body: writer.written().slice(), rareBranchAt };
}

/** The range of one operand pair of a bulk instruction. */
export interface CheckedRange {
  /** Parameter that holds the address. */
  readonly address: number;
  /** Parameter that holds the length. */
  readonly length: number;
  readonly lengthIsWide: boolean;
}

/** A function that does what a bulk instruction does, once the ranges are present. */
export function checkedBulk(
  targets: CheckTargets,
  instruction: Uint8Array,
  parameters: number,
  ranges: readonly CheckedRange[],
): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u32(0);
  for (const { address, length, lengthIsWide } of ranges) {
    localGet(writer, address);
    if (!targets.wide) writer.u8(op.i64ExtendI32U);
    localGet(writer, length);
    if (!lengthIsWide) writer.u8(op.i64ExtendI32U);
    call(writer, targets.ensure);
  }
  for (let index = 0; index < parameters; index++) localGet(writer, index);
  writer.raw(instruction);
  writer.u8(op.end);
  return writer.written().slice();
}

const opI64Add = 0x7c;
const opI64Shl = 0x86;
const opI64LtU = 0x54;
const opI64Eqz = 0x50;
const opI32Or = 0x72;

/**
 * `(i64 address, i64 length) -> ()`: makes the pages of a range present, unless it is empty or not inside of
 * memory: the instruction that follows then traps, or does nothing.
 */
export function ensureFunction(targets: CheckTargets): Uint8Array {
  const writer = new ByteWriter(128);
  const [address, length, size, at, last] = [0, 1, 2, 3, 4];
  const get = (local: number) => localGet(writer, local);
  const set = (local: number) => writer.raw([op.localSet, local]);
  writer.raw([2, 1, valueType.i64, 2, valueType.i32]);
  writer.raw([op.memorySize, 0]);
  if (!targets.wide) writer.u8(op.i64ExtendI32U);
  writer.raw([op.i64Const, 16, opI64Shl]);
  set(size);
  // Empty; or beginning or ending outside, in steps that cannot overflow.
  get(length);
  writer.u8(opI64Eqz);
  get(size);
  get(address);
  writer.raw([opI64LtU, opI32Or]);
  get(size);
  get(length);
  writer.raw([opI64LtU, opI32Or, op.if, 0x40, op.return, op.end]);
  get(address);
  get(length);
  writer.u8(opI64Add);
  get(size);
  writer.raw([op.i64GtU, op.if, 0x40, op.return, op.end]);
  get(address);
  writer.raw([op.i64Const, mapPageShift, op.i64ShrU, op.i32WrapI64]);
  set(at);
  get(address);
  get(length);
  writer.raw([opI64Add, op.i64Const, 0x7f, opI64Add]);
  writer.raw([op.i64Const, mapPageShift, op.i64ShrU, op.i32WrapI64]);
  set(last);
  writer.raw([op.loop, 0x40]);
  get(at);
  loadPresence(writer, targets.pages);
  writer.raw([op.i32Eqz, op.if, 0x40]);
  get(at);
  get(last);
  callFault(writer, targets);
  writer.raw([op.return, op.end]);
  get(at);
  writer.raw([op.i32Const, 1, op.i32Add, op.localTee, at]);
  get(last);
  writer.raw([op.i32LeU, op.branchIf, 0, op.end, op.end]);
  return writer.written().slice();
}

/** Types of the parameters and results in a stack signature (see `opcodes-core.ts`). */
export function signatureTypes(
  signature: string,
  wide: boolean,
): { params: ValueType[]; results: ValueType[] } {
  const { i32, i64, f32, f64, v128 } = valueType;
  const letters: Readonly<Record<string, ValueType>> = {
    ...{ i: i32, l: i64, f: f32, d: f64, v: v128 },
    a: wide ? i64 : i32,
  };
  const [params, results] = signature.split(">").map((side) => [...side].map((letter) => letters[letter]));
  return { params, results };
}

/** Leaves the number of the page of address + offset. */
function page(writer: ByteWriter, wide: boolean, offset: number): void {
  localGet(writer, 0);
  if (offset > 0) {
    writer.u8(op.i32Const);
    writer.s32(offset);
    if (wide) writer.u8(op.i64ExtendI32U);
    writer.u8(wide ? opI64Add : op.i32Add);
  }
  if (wide) writer.raw([op.i64Const, mapPageShift, op.i64ShrU, op.i32WrapI64]);
  else writer.raw([op.i32Const, mapPageShift, op.i32ShrU]);
}

function presence(writer: ByteWriter, { wide, pages }: CheckTargets, offset: number): void {
  page(writer, wide, offset);
  loadPresence(writer, pages);
}

function loadPresence(writer: ByteWriter, pages: number): void {
  writer.raw([op.i32Load8U, memoryIndexFlag]);
  writer.u32(pages);
  writer.u8(0);
}

/** With the first and the last page on the stack. */
function callFault(writer: ByteWriter, { fault }: CheckTargets): void {
  call(writer, fault);
  writer.raw([op.if, 0x40, op.unreachable, op.end]);
}
