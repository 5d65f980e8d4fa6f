/**
 * The instructions that generated modules may use for computing, taken from the engine's own table of opcodes, and
 * how to write them. Left out is what may trap or differ from machine to machine. Results that are floating-point
 * numbers are freed of NaNs, whose bits WebAssembly leaves open.
 */
import { immediate } from "../../../src/engine/wasm/immediates.ts";
import { op, opcodeTables, prefixBase } from "../../../src/engine/wasm/opcodes.ts";
import type { ByteWriter } from "../../../src/engine/wasm/writer.ts";

/** A value type as a letter: i32, i64, f32, f64, v128. */
export type Letter = "i" | "l" | "f" | "d" | "v";
export const letters: readonly Letter[] = ["i", "l", "f", "d", "v"];
export const typeByte: Readonly<Record<Letter, number>> = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c, v: 0x7b };

export type Random = (bound: number) => number;

export interface Operator {
  readonly opcode: number;
  readonly name: string;
  /** Letters, with `a` for an address. */
  readonly operands: string;
  readonly result: Letter | null;
}

const [f32Const, f64Const, f32Eq, f64Eq, select] = [0x43, 0x44, 0x5b, 0x61, 0x1b];

/** May trap, waits, depends on the machine, or is written elsewhere. */
const leftOut =
  /\.(div|rem)_|\.trunc_f|relaxed|memory\.|\.wait|notify|fence|\.const$|^data\.|^elem\.|^memory|^ref\./;

function allOperators(): Operator[] {
  const found: Operator[] = [];
  for (const [opcode, signature] of opcodeTables.signatures.entries()) {
    const name = opcodeTables.names[opcode];
    if (!/^[ilfdva]*>[ilfdv]?$/.test(signature) || leftOut.test(name)) continue;
    const [operands, result] = signature.split(">");
    found.push({ opcode, name, operands, result: result === "" ? null : (result as Letter) });
  }
  return found;
}

const operators = allOperators();

/** Operators that push a value of a type; `vectors` lets in those that take vectors too. */
export function operatorsFor(type: Letter | null, vectors: boolean): readonly Operator[] {
  return operators.filter(
    ({ result, operands, name }) =>
      result === type && (vectors || !(operands.includes("v") || result === "v" || name.includes("v128"))),
  );
}

export function writeOpcode(writer: ByteWriter, opcode: number): void {
  if (opcode < 0x100) {
    writer.u8(opcode);
    return;
  }
  for (const [prefix, base] of Object.entries(prefixBase).reverse()) {
    if (opcode < base) continue;
    writer.u8(Number(prefix));
    writer.u32(opcode - base);
    return;
  }
}

/** Largest address that generated code forms, a multiple of 16; and the largest offset of an access. */
export const addressMask = 0x7ff0;
const offset_max = 64;

/** Writes an operator with its immediates; its operands are on the stack, addresses masked. */
export function writeOperator(writer: ByteWriter, { opcode, name }: Operator, random: Random): void {
  writeOpcode(writer, opcode);
  const atomic = name.includes("atomic");
  const offset = atomic ? 16 * random(offset_max / 16) : random(offset_max);
  switch (opcodeTables.immediates[opcode]) {
    case immediate.memoryArgument:
      writer.u32(atomic ? atomicAlignment(name) : 0);
      writer.u32(offset);
      break;
    case immediate.memoryArgumentLane:
      writer.u32(0);
      writer.u32(offset);
      writer.u8(random(128 / Number(/(\d+)_lane/.exec(name)?.[1] ?? 64)));
      break;
    case immediate.bytes1:
      writer.u8(random(Number(/x(\d+)\./.exec(name)?.[1] ?? 2)));
      break;
    case immediate.bytes16:
      for (let n = 0; n < 16; n++) writer.u8(random(32));
      break;
  }
}

/**
 * Replaces the NaNs that an operator may have left by zero: `x == x ? x : 0`, of vectors lane by lane
 * `x & (x == x)`.
 * @param newLocal a local of a type that nothing else uses.
 */
export function withoutNaN(
  writer: ByteWriter,
  { name, result }: Operator,
  newLocal: (type: Letter) => number,
): void {
  const vector = result === "v" ? /^(f32x4|f64x2)\./.exec(name)?.[1] : undefined;
  if (result === null || !(result === "f" || result === "d" || vector !== undefined)) return;
  const local = newLocal(result);
  const get = () => {
    writer.u8(op.localGet);
    writer.u32(local);
  };
  writer.u8(op.localTee);
  writer.u32(local);
  if (result === "v") {
    get();
    get();
    writeOpcode(writer, opcodeTables.names.indexOf(`${vector}.eq`));
    writeOpcode(writer, opcodeTables.names.indexOf("v128.and"));
    return;
  }
  writer.raw(result === "f" ? [f32Const, 0, 0, 0, 0] : [f64Const, 0, 0, 0, 0, 0, 0, 0, 0]);
  get();
  get();
  writer.u8(result === "f" ? f32Eq : f64Eq);
  writer.u8(select);
}

/** Writes a constant: mostly small or on an edge. */
export function writeConstant(writer: ByteWriter, type: Letter, random: Random): void {
  const small = random(3) > 0;
  switch (type) {
    case "i":
      writer.u8(op.i32Const);
      writer.s32(small ? random(40) - 10 : (random(0x10000) << 16) ^ random(0x10000));
      break;
    case "l":
      writer.u8(op.i64Const);
      if (small) writer.s32(random(400) - 100);
      else writeWide(writer, random);
      break;
    case "f":
      writer.u8(f32Const);
      writer.raw(new Uint8Array(Float32Array.of(real(random, small)).buffer));
      break;
    case "d":
      writer.u8(f64Const);
      writer.raw(new Uint8Array(Float64Array.of(real(random, small)).buffer));
      break;
    case "v":
      writeOpcode(writer, prefixBase[0xfd] + 0x0c);
      for (let n = 0; n < 16; n++) writer.u8(small ? random(9) : random(256));
      break;
  }
}

function real(random: Random, small: boolean): number {
  return small ? (random(64) - 20) / 8 : (random(0x10000) - 0x8000) * 10 ** (random(40) - 20);
}

/** A 64-bit constant of nine or ten bytes in the signed encoding. */
function writeWide(writer: ByteWriter, random: Random): void {
  for (let n = 0; n < 8; n++) writer.u8(0x80 | random(128));
  writer.u8(random(64));
}

/** Atomic instructions take exactly their natural alignment. */
function atomicAlignment(name: string): number {
  const width = /(?:load|store|rmw)(8|16|32)/.exec(name)?.[1];
  const bits = width === undefined ? (name.startsWith("i64") ? 64 : 32) : Number(width);
  return Math.log2(bits / 8);
}
