/**
 * Data segments are written by a function instead of by instantiation, since the memory of a restored process must
 * not be written over: active segments become passive ones.
 */
import { initializeExport } from "../passes/abi.ts";
import type { ModuleEditor } from "../passes/editor.ts";
import { constant } from "../wasm/code.ts";
import type { DataSegment } from "../wasm/module.ts";
import { sectionId } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";

const passive = 1;
const memoryInit = [0xfc, 8] as const;
/** The instruction, without its segment. */
export const dataDrop = [0xfc, 9] as const;

/** Adds the function that gives a fresh process its data. */
export function initializeMemory(editor: ModuleEditor): void {
  const { module } = editor;
  const writer = new ByteWriter();
  writer.u32(0);
  module.data = module.data.map((segment, index) => {
    if (segment.offset === null) return segment;
    writeSegment(writer, module.bytes, segment, index);
    return { ...segment, flags: passive, memoryIndex: 0, offset: null };
  });
  writer.u8(op.end);
  if (module.data.length > 0 && module.dataCount === null) {
    module.dataCount = module.data.length;
    module.sections = [...module.sections, sectionId.dataCount];
  }
  const type = editor.functionType([], []);
  editor.exportFunction(initializeExport, editor.addFunction(type, writer.written().slice()));
}

function writeSegment(writer: ByteWriter, bytes: Uint8Array, segment: DataSegment, index: number): void {
  const { offset } = segment;
  if (offset === null) return;
  // A constant expression is code as well; its `end` is left out.
  writer.copy(bytes, offset.start, offset.end - 1);
  constant(writer, 0);
  constant(writer, segment.bytes.end - segment.bytes.start);
  writer.raw(memoryInit);
  writer.u32(index);
  writer.u32(segment.memoryIndex);
  writer.raw(dataDrop);
  writer.u32(index);
}
