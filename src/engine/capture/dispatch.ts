/**
 * The functions that resume the topmost frame: they look which function it belongs to and call that one's resume
 * clone. There is one for each list of results, since a caller resumes its callee with the callee's results.
 * Two levels keep each function small: they are compiled when first run, and a program may have 20,000.
 */
import type { ModuleEditor } from "../passes/editor.ts";
import { call, localGet } from "../wasm/code.ts";
import { type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import type { FrameFunctions } from "./frames.ts";

/** Function numbers that one function of the second level covers. */
const chunkSize = 64;

/** A function number, and its resume clone. */
export type CloneEntry = readonly [number: number, clone: number];

/**
 * The body of a dispatcher, and the functions of the second level.
 * @param entries in ascending order of numbers.
 */
export function addDispatcher(
  editor: ModuleEditor,
  frames: FrameFunctions,
  results: readonly ValueType[],
  entries: readonly CloneEntry[],
): Uint8Array {
  const type = editor.functionType([valueType.i32], results);
  const chunks = new Map<number, Map<number, number>>();
  for (const [number, clone] of entries) {
    const chunk = Math.floor(number / chunkSize);
    const known = chunks.get(chunk) ?? new Map<number, number>();
    known.set(number % chunkSize, clone);
    chunks.set(chunk, known);
  }
  const second = new Map<number, number>();
  for (const [chunk, clones] of chunks) {
    const writer = new ByteWriter();
    writer.u32(0);
    writeSwitch(writer, clones, () => {
      localGet(writer, 0);
      writer.raw([op.i32Const, chunkSize - 1, op.i32And]);
    });
    second.set(chunk, editor.addFunction(type, writer.written().slice()));
  }
  const writer = new ByteWriter();
  writer.raw([1, 1, valueType.i32]);
  frames.writePeek(writer);
  writer.raw([op.localSet, 0]);
  writeSwitch(
    writer,
    second,
    () => {
      localGet(writer, 0);
      writer.raw([op.i32Const, Math.log2(chunkSize), op.i32ShrU]);
    },
    () => localGet(writer, 0),
  );
  return writer.written().slice();
}

/** Calls one of several functions by a number, and ends the function; any other number is a trap. */
function writeSwitch(
  writer: ByteWriter,
  functions: ReadonlyMap<number, number>,
  writeNumber: () => void,
  writeArguments: () => void = () => undefined,
): void {
  const cases = [...functions].sort(([a], [b]) => a - b);
  const last = cases.length === 0 ? -1 : cases[cases.length - 1][0];
  const position = new Map(cases.map(([number], index) => [number, index]));
  for (let index = 0; index <= cases.length; index++) writer.raw([op.block, 0x40]);
  writeNumber();
  writer.u8(op.branchTable);
  writer.u32(last + 1);
  for (let number = 0; number <= last; number++) writer.u32(position.get(number) ?? cases.length);
  writer.u32(cases.length);
  writer.u8(op.end);
  for (const [, target] of cases) {
    writeArguments();
    call(writer, target);
    writer.raw([op.return, op.end]);
  }
  writer.raw([op.unreachable, op.end]);
}
