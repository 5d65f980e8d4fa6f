/** Which instructions read or write memory, and how many bytes each of them does: read off their names. */
import { immediate } from "../wasm/immediates.ts";
import { opcodeCount, opcodeTables } from "../wasm/opcodes.ts";

/** Bytes of the types that a name may begin with. */
const typeBytes: Readonly<Record<string, number>> = { i32: 4, f32: 4, i64: 8, f64: 8, v128: 16, memory: 4 };

/**
 * By instruction number, how many bytes of memory an instruction with a memory argument touches; 0 for all
 * others.
 */
export function accessSizes(): Uint8Array {
  const sizes = new Uint8Array(opcodeCount);
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    const kind = opcodeTables.immediates[opcode];
    if (kind !== immediate.memoryArgument && kind !== immediate.memoryArgumentLane) continue;
    sizes[opcode] = sizeOf(opcodeTables.names[opcode]);
  }
  return sizes;
}

/** `i32.load8_s` 1, `v128.load16x4_u` 8, `i64.atomic.rmw.add` 8, `memory.atomic.wait64` 8... */
function sizeOf(name: string): number {
  const [, bits, lanes] = /(?:load|store|rmw|wait)(\d+)?(x\d+)?/.exec(name) ?? [];
  // The loads that widen take half of a vector.
  if (lanes !== undefined) return 8;
  if (bits !== undefined) return Number(bits) / 8;
  return typeBytes[name.split(".")[0]];
}
