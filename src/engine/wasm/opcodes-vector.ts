/** The 128-bit vector instructions (prefix 0xfd), the relaxed ones included. */
import { immediate } from "./immediates.ts";
import type { OpcodeRow } from "./opcodes.ts";

const { none, memoryArgument, memoryArgumentLane, bytes1, bytes16 } = immediate;

const integerComparisons = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];
const floatComparisons = ["eq", "ne", "lt", "gt", "le", "ge"];
const shifts = ["shl", "shr_s", "shr_u"];
const saturatingSums = ["add", "add_sat_s", "add_sat_u", "sub", "sub_sat_s", "sub_sat_u"];
const extremes = ["min_s", "min_u", "max_s", "max_u"];
const floatBinary = ["add", "sub", "mul", "div", "min", "max", "pmin", "pmax"];

/** The same operations of one lane shape, consecutively numbered. */
function shaped(first: number, signature: string, shape: string, operations: readonly string[]): OpcodeRow {
  return [first, none, signature, operations.map((operation) => `${shape}.${operation}`).join(" ")];
}

/** `extend_low_x_s extend_high_x_s extend_low_x_u extend_high_x_u`, likewise for `extmul`. */
function halves(operation: string, source: string): string[] {
  return ["low_S_s", "high_S_s", "low_S_u", "high_S_u"].map(
    (half) => `${operation}_${half.replace("S", source)}`,
  );
}

const unary = "v>v";
const binary = "vv>v";
const ternary = "vvv>v";

export const vectorRows: readonly OpcodeRow[] = [
  [
    0x00,
    memoryArgument,
    "a>v",
    "v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat",
  ],
  [0x0b, memoryArgument, "av>", "v128.store"],
  [0x0c, bytes16, ">v", "v128.const"],
  [0x0d, bytes16, binary, "i8x16.shuffle"],
  [0x0e, none, binary, "i8x16.swizzle"],
  [0x0f, none, "i>v", "i8x16.splat i16x8.splat i32x4.splat"],
  [0x12, none, "l>v", "i64x2.splat"],
  [0x13, none, "f>v", "f32x4.splat"],
  [0x14, none, "d>v", "f64x2.splat"],
  [0x15, bytes1, "v>i", "i8x16.extract_lane_s i8x16.extract_lane_u"],
  [0x17, bytes1, "vi>v", "i8x16.replace_lane"],
  [0x18, bytes1, "v>i", "i16x8.extract_lane_s i16x8.extract_lane_u"],
  [0x1a, bytes1, "vi>v", "i16x8.replace_lane"],
  [0x1b, bytes1, "v>i", "i32x4.extract_lane"],
  [0x1c, bytes1, "vi>v", "i32x4.replace_lane"],
  [0x1d, bytes1, "v>l", "i64x2.extract_lane"],
  [0x1e, bytes1, "vl>v", "i64x2.replace_lane"],
  [0x1f, bytes1, "v>f", "f32x4.extract_lane"],
  [0x20, bytes1, "vf>v", "f32x4.replace_lane"],
  [0x21, bytes1, "v>d", "f64x2.extract_lane"],
  [0x22, bytes1, "vd>v", "f64x2.replace_lane"],
  shaped(0x23, binary, "i8x16", integerComparisons),
  shaped(0x2d, binary, "i16x8", integerComparisons),
  shaped(0x37, binary, "i32x4", integerComparisons),
  shaped(0x41, binary, "f32x4", floatComparisons),
  shaped(0x47, binary, "f64x2", floatComparisons),
  shaped(0x4d, unary, "v128", ["not"]),
  shaped(0x4e, binary, "v128", ["and", "andnot", "or", "xor"]),
  shaped(0x52, ternary, "v128", ["bitselect"]),
  shaped(0x53, "v>i", "v128", ["any_true"]),
  [0x54, memoryArgumentLane, "av>v", "v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane"],
  [0x58, memoryArgumentLane, "av>", "v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane"],
  [0x5c, memoryArgument, "a>v", "v128.load32_zero v128.load64_zero"],
  [0x5e, none, unary, "f32x4.demote_f64x2_zero f64x2.promote_low_f32x4"],
  shaped(0x60, unary, "i8x16", ["abs", "neg", "popcnt"]),
  shaped(0x63, "v>i", "i8x16", ["all_true", "bitmask"]),
  shaped(0x65, binary, "i8x16", ["narrow_i16x8_s", "narrow_i16x8_u"]),
  shaped(0x67, unary, "f32x4", ["ceil", "floor", "trunc", "nearest"]),
  shaped(0x6b, "vi>v", "i8x16", shifts),
  shaped(0x6e, binary, "i8x16", saturatingSums),
  shaped(0x74, unary, "f64x2", ["ceil", "floor"]),
  shaped(0x76, binary, "i8x16", extremes),
  shaped(0x7a, unary, "f64x2", ["trunc"]),
  shaped(0x7b, binary, "i8x16", ["avgr_u"]),
  shaped(0x7c, unary, "i16x8", ["extadd_pairwise_i8x16_s", "extadd_pairwise_i8x16_u"]),
  shaped(0x7e, unary, "i32x4", ["extadd_pairwise_i16x8_s", "extadd_pairwise_i16x8_u"]),
  shaped(0x80, unary, "i16x8", ["abs", "neg"]),
  shaped(0x82, binary, "i16x8", ["q15mulr_sat_s"]),
  shaped(0x83, "v>i", "i16x8", ["all_true", "bitmask"]),
  shaped(0x85, binary, "i16x8", ["narrow_i32x4_s", "narrow_i32x4_u"]),
  shaped(0x87, unary, "i16x8", halves("extend", "i8x16")),
  shaped(0x8b, "vi>v", "i16x8", shifts),
  shaped(0x8e, binary, "i16x8", saturatingSums),
  shaped(0x94, unary, "f64x2", ["nearest"]),
  shaped(0x95, binary, "i16x8", ["mul", ...extremes]),
  shaped(0x9b, binary, "i16x8", ["avgr_u", ...halves("extmul", "i8x16")]),
  shaped(0xa0, unary, "i32x4", ["abs", "neg"]),
  shaped(0xa3, "v>i", "i32x4", ["all_true", "bitmask"]),
  shaped(0xa7, unary, "i32x4", halves("extend", "i16x8")),
  shaped(0xab, "vi>v", "i32x4", shifts),
  shaped(0xae, binary, "i32x4", ["add"]),
  shaped(0xb1, binary, "i32x4", ["sub"]),
  shaped(0xb5, binary, "i32x4", ["mul", ...extremes, "dot_i16x8_s"]),
  shaped(0xbc, binary, "i32x4", halves("extmul", "i16x8")),
  shaped(0xc0, unary, "i64x2", ["abs", "neg"]),
  shaped(0xc3, "v>i", "i64x2", ["all_true", "bitmask"]),
  shaped(0xc7, unary, "i64x2", halves("extend", "i32x4")),
  shaped(0xcb, "vi>v", "i64x2", shifts),
  shaped(0xce, binary, "i64x2", ["add"]),
  shaped(0xd1, binary, "i64x2", ["sub"]),
  shaped(0xd5, binary, "i64x2", ["mul", "eq", "ne", "lt_s", "gt_s", "le_s", "ge_s"]),
  shaped(0xdc, binary, "i64x2", halves("extmul", "i32x4")),
  shaped(0xe0, unary, "f32x4", ["abs", "neg"]),
  shaped(0xe3, unary, "f32x4", ["sqrt"]),
  shaped(0xe4, binary, "f32x4", floatBinary),
  shaped(0xec, unary, "f64x2", ["abs", "neg"]),
  shaped(0xef, unary, "f64x2", ["sqrt"]),
  shaped(0xf0, binary, "f64x2", floatBinary),
  [
    0xf8,
    none,
    unary,
    "i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u",
  ],
  shaped(0x100, binary, "i8x16", ["relaxed_swizzle"]),
  shaped(0x101, unary, "i32x4", [
    "relaxed_trunc_f32x4_s",
    "relaxed_trunc_f32x4_u",
    "relaxed_trunc_f64x2_s_zero",
    "relaxed_trunc_f64x2_u_zero",
  ]),
  shaped(0x105, ternary, "f32x4", ["relaxed_madd", "relaxed_nmadd"]),
  shaped(0x107, ternary, "f64x2", ["relaxed_madd", "relaxed_nmadd"]),
  [
    0x109,
    none,
    ternary,
    "i8x16.relaxed_laneselect i16x8.relaxed_laneselect i32x4.relaxed_laneselect i64x2.relaxed_laneselect",
  ],
  shaped(0x10d, binary, "f32x4", ["relaxed_min", "relaxed_max"]),
  shaped(0x10f, binary, "f64x2", ["relaxed_min", "relaxed_max"]),
  shaped(0x111, binary, "i16x8", ["relaxed_q15mulr_s", "relaxed_dot_i8x16_i7x16_s"]),
  shaped(0x113, ternary, "i32x4", ["relaxed_dot_i8x16_i7x16_add_s"]),
];
