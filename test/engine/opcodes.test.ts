/** The opcode table says what the engine that runs the programs says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyModule } from "../../src/engine/wasm/decode.ts";
import { encodeModule } from "../../src/engine/wasm/encode.ts";
import { immediate } from "../../src/engine/wasm/immediates.ts";
import { opcodeTables } from "../../src/engine/wasm/opcodes.ts";
import { ByteWriter } from "../../src/engine/wasm/writer.ts";

const letters: Readonly<Record<string, number>> = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c, v: 0x7b, a: 0x7f };

/** Immediates that are valid in the module below; null for kinds that need more context. */
function immediates(kind: number, name: string): readonly number[] | null {
  switch (kind) {
    case immediate.none:
      return [];
    case immediate.memoryArgument:
      return [alignment(name), 0];
    case immediate.memoryArgumentLane:
      return [0, 0, 0];
    case immediate.memory:
    case immediate.bytes1:
    case immediate.signed32:
    case immediate.signed64:
      return [0];
    case immediate.memoryPair:
    case immediate.dataMemory:
      return [0, 0];
    case immediate.bytes4:
      return [0, 0, 0, 0];
    case immediate.bytes8:
      return new Array<number>(8).fill(0);
    case immediate.bytes16:
      return new Array<number>(16).fill(0);
    default:
      return null;
  }
}

/** Atomic accesses must state their natural alignment. */
function alignment(name: string): number {
  if (!name.includes("atomic")) return 0;
  const width = /(8|16|32)_u$|rmw(8|16|32)|(?:store|load|wait)(8|16|32)/.exec(name);
  const bits = Number(width?.[1] ?? width?.[2] ?? width?.[3] ?? 0);
  if (bits !== 0) return Math.log2(bits / 8);
  return name.includes("wait64") || name.startsWith("i64") ? 3 : 2;
}

function opcodeBytes(opcode: number): number[] {
  if (opcode < 0x100) return [opcode];
  const writer = new ByteWriter();
  const [prefix, base] =
    opcode < 0x200
      ? [0xfb, 0x100]
      : opcode < 0x300
        ? [0xfc, 0x200]
        : opcode < 0x500
          ? [0xfd, 0x300]
          : [0xfe, 0x500];
  writer.u8(prefix);
  writer.u32(opcode - base);
  return [...writer.written()];
}

/** A module with one function that has the instruction's operands as parameters and returns its results. */
function moduleWith(opcode: number, operands: string, results: string, rest: readonly number[]): Uint8Array {
  const body = [0];
  for (let index = 0; index < operands.length; index++) body.push(0x20, index);
  body.push(...opcodeBytes(opcode), ...rest, 0x0b);
  const types = (text: string): number[] => [...text].map((letter) => letters[letter]);
  return encodeModule({
    ...emptyModule(),
    typeGroups: [
      { types: [{ kind: "function", params: types(operands), results: types(results) }], raw: null },
    ],
    functions: [0],
    memories: [{ minimum: 1, maximum: 1, shared: true, wide: false }],
    dataCount: 1,
    bodies: [Uint8Array.from(body)],
    data: [{ flags: 1, memoryIndex: 0, offset: null, bytes: { start: 0, end: 0 } }],
  });
}

test("every instruction with a fixed signature has that signature in the engine", () => {
  let checked = 0;
  opcodeTables.names.forEach((name, opcode) => {
    const signature = opcodeTables.signatures[opcode];
    if (name === "" || signature.includes("*") || signature.includes("r")) return;
    const rest = immediates(opcodeTables.immediates[opcode], name);
    if (rest === null) return;
    const [operands, results] = signature.split(">");
    const bytes = moduleWith(opcode, operands, results, rest) as Uint8Array<ArrayBuffer>;
    let message = "";
    try {
      new WebAssembly.Module(bytes);
    } catch (error) {
      message = String(error);
    }
    assert.equal(message, "", `${name} ${signature}`);
    checked++;
  });
  assert.ok(checked > 480, `${checked} instructions checked`);
});
