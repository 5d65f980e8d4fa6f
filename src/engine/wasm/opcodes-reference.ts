/** Garbage-collected objects and casts (prefix 0xfb) and atomic memory access (prefix 0xfe). */
import { immediate } from "./immediates.ts";
import type { OpcodeRow } from "./opcodes.ts";

const { none, index, indexPair, heapType, memoryArgument } = immediate;

export const objectRows: readonly OpcodeRow[] = [
  [0, index, "*", "struct.new struct.new_default"],
  [2, indexPair, "*", "struct.get struct.get_s struct.get_u struct.set"],
  [6, index, "*", "array.new array.new_default"],
  [8, indexPair, "*", "array.new_fixed array.new_data array.new_elem"],
  [11, index, "*", "array.get array.get_s array.get_u array.set"],
  [15, none, "r>i", "array.len"],
  [16, index, "*", "array.fill"],
  [17, indexPair, "*", "array.copy array.init_data array.init_elem"],
  [20, heapType, "*", "ref.test ref.test_null ref.cast ref.cast_null"],
  [24, immediate.castBranch, "*", "br_on_cast br_on_cast_fail"],
  [26, none, "*", "any.convert_extern extern.convert_any ref.i31"],
  [29, none, "r>i", "i31.get_s i31.get_u"],
];

/** The seven widths in which each read-modify-write operation comes. */
function readModifyWriteRows(first: number, operation: string, operands: (value: string) => string) {
  const row = (offset: number, value: string, names: string): OpcodeRow => [
    first + offset,
    memoryArgument,
    `a${operands(value)}>${value}`,
    names,
  ];
  return [
    row(0, "i", `i32.atomic.rmw.${operation}`),
    row(1, "l", `i64.atomic.rmw.${operation}`),
    row(2, "i", `i32.atomic.rmw8.${operation}_u i32.atomic.rmw16.${operation}_u`),
    row(
      4,
      "l",
      `i64.atomic.rmw8.${operation}_u i64.atomic.rmw16.${operation}_u i64.atomic.rmw32.${operation}_u`,
    ),
  ];
}

const one = (value: string): string => value;
const two = (value: string): string => value + value;

export const atomicRows: readonly OpcodeRow[] = [
  [0x00, memoryArgument, "ai>i", "memory.atomic.notify"],
  [0x01, memoryArgument, "ail>i", "memory.atomic.wait32"],
  [0x02, memoryArgument, "all>i", "memory.atomic.wait64"],
  [0x03, immediate.bytes1, ">", "atomic.fence"],
  [0x10, memoryArgument, "a>i", "i32.atomic.load"],
  [0x11, memoryArgument, "a>l", "i64.atomic.load"],
  [0x12, memoryArgument, "a>i", "i32.atomic.load8_u i32.atomic.load16_u"],
  [0x14, memoryArgument, "a>l", "i64.atomic.load8_u i64.atomic.load16_u i64.atomic.load32_u"],
  [0x17, memoryArgument, "ai>", "i32.atomic.store"],
  [0x18, memoryArgument, "al>", "i64.atomic.store"],
  [0x19, memoryArgument, "ai>", "i32.atomic.store8 i32.atomic.store16"],
  [0x1b, memoryArgument, "al>", "i64.atomic.store8 i64.atomic.store16 i64.atomic.store32"],
  ...readModifyWriteRows(0x1e, "add", one),
  ...readModifyWriteRows(0x25, "sub", one),
  ...readModifyWriteRows(0x2c, "and", one),
  ...readModifyWriteRows(0x33, "or", one),
  ...readModifyWriteRows(0x3a, "xor", one),
  ...readModifyWriteRows(0x41, "xchg", one),
  ...readModifyWriteRows(0x48, "cmpxchg", two),
];
