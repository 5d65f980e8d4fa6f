/**
 * Every instruction that compilers emit, as data. An instruction is known by one number: its opcode, or for
 * prefixed ones the base of its prefix plus the number behind it, so that flat arrays can be indexed with it.
 */
import type { Immediate } from "./immediates.ts";
import { bulkRows, coreRows } from "./opcodes-core.ts";
import { atomicRows, objectRows } from "./opcodes-reference.ts";
import { vectorRows } from "./opcodes-vector.ts";

/** First opcode, kind of immediate, stack signature, names of consecutive opcodes. */
export type OpcodeRow = readonly [first: number, immediate: Immediate, signature: string, names: string];

/** Where the instructions behind each prefix byte start, and how many numbers there are. */
export const prefixBase = { 251: 0x100, 252: 0x200, 253: 0x300, 254: 0x500 } as const;
const prefixSize = 0x100;
const vectorPrefixSize = 0x200;

/** One past the largest instruction number. */
export const opcodeCount: number = prefixBase[0xfe] + prefixSize;

/** How many numbers may follow a prefix byte; 0 for bytes that are not a prefix. */
export function prefixLimit(byte: number): number {
  return byte === 0xfd ? vectorPrefixSize : byte >= 0xfb && byte <= 0xfe ? prefixSize : 0;
}

export interface OpcodeTables {
  /** Kind of immediate by instruction number; 0 where there is no instruction. */
  readonly immediates: Uint8Array;
  /** Stack signature by instruction number (see `opcodes-core.ts`). */
  readonly signatures: readonly string[];
  readonly names: readonly string[];
}

function buildTables(): OpcodeTables {
  const immediates = new Uint8Array(opcodeCount);
  const signatures = new Array<string>(opcodeCount).fill("");
  const names = new Array<string>(opcodeCount).fill("");
  const add = (base: number, rows: readonly OpcodeRow[]): void => {
    for (const [first, immediate, signature, rowNames] of rows) {
      let opcode = base + first;
      for (const name of rowNames.split(" ")) {
        if (immediates[opcode] !== 0) throw new Error(`opcode table: ${name} and ${names[opcode]} collide`);
        immediates[opcode] = immediate;
        signatures[opcode] = signature;
        names[opcode] = name;
        opcode++;
      }
    }
  };
  add(0, coreRows);
  add(prefixBase[0xfb], objectRows);
  add(prefixBase[0xfc], bulkRows);
  add(prefixBase[0xfd], vectorRows);
  add(prefixBase[0xfe], atomicRows);
  return { immediates, signatures, names };
}

export const opcodeTables: OpcodeTables = buildTables();

/** The instructions that passes and the decoder name themselves. */
export const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  catch: 0x07,
  throw: 0x08,
  rethrow: 0x09,
  throwRef: 0x0a,
  end: 0x0b,
  branch: 0x0c,
  branchIf: 0x0d,
  branchTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  callRef: 0x14,
  returnCallRef: 0x15,
  delegate: 0x18,
  catchAll: 0x19,
  drop: 0x1a,
  select: 0x1b,
  tryTable: 0x1f,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Load: 0x28,
  i32Load8U: 0x2d,
  i32Store: 0x36,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32LtS: 0x48,
  i32GtS: 0x4a,
  i32LeU: 0x4d,
  i64GtU: 0x56,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32And: 0x71,
  i32ShrU: 0x76,
  i64ShrU: 0x88,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  memoryInit: prefixBase[0xfc] + 8,
  dataDrop: prefixBase[0xfc] + 9,
  memoryCopy: prefixBase[0xfc] + 10,
  memoryAtomicWait32: prefixBase[0xfe] + 1,
  memoryAtomicWait64: prefixBase[0xfe] + 2,
  memoryFill: prefixBase[0xfc] + 11,
  refNull: 0xd0,
  refIsNull: 0xd1,
  refFunc: 0xd2,
} as const;
