/** Rewrites the indices in code that added imports have moved. Runs as the last pass. */
import { immediate, memoryIndexFlag } from "../wasm/immediates.ts";
import { op, opcodeCount, opcodeTables } from "../wasm/opcodes.ts";
import type { BodyHook, BodyRewriter } from "./body.ts";
import type { ModuleEditor, Pass } from "./editor.ts";

export const renumberPass: Pass = {
  name: "renumber",
  define(editor: ModuleEditor): void {
    const renumberFunction: BodyHook = (body) => {
      const original = body.cursor.readIndex();
      const index = editor.function(original);
      if (index === original) return;
      const opcode = body.cursor.opcode;
      body.seekReplace();
      body.writer.u8(opcode);
      body.writer.u32(index);
    };
    for (const opcode of [op.call, op.returnCall, op.refFunc]) editor.replace(opcode, renumberFunction);
    if (editor.memoriesRenumbered) renumberMemories(editor);
  },
};

/** Several memories: every instruction that names one may have to name another. */
function renumberMemories(editor: ModuleEditor): void {
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    if (editor.replaceInstruction.has(opcode)) continue;
    switch (opcodeTables.immediates[opcode]) {
      case immediate.memoryArgument:
      case immediate.memoryArgumentLane:
        editor.replace(opcode, (body) => renumberMemoryArgument(editor, body));
        break;
      case immediate.memory:
        editor.replace(opcode, (body) => renumberPlain(editor, body, [true]));
        break;
      case immediate.memoryPair:
        editor.replace(opcode, (body) => renumberPlain(editor, body, [true, true]));
        break;
      case immediate.dataMemory:
        editor.replace(opcode, (body) => renumberPlain(editor, body, [false, true]));
        break;
    }
  }
}

export function renumberMemoryArgument(editor: ModuleEditor, body: BodyRewriter): void {
  const { cursor } = body;
  const reader = cursor.readerAt(cursor.immediates);
  const flags = reader.u32("an alignment");
  if ((flags & memoryIndexFlag) === 0) return;
  const index = reader.u32("a memory index");
  const rest = reader.position;
  body.seekReplace();
  body.copyOriginal(cursor.start, cursor.immediates);
  body.writer.u32(flags);
  body.writer.u32(editor.memory(index));
  body.copyOriginal(rest, cursor.position);
}

/** @param isMemory which of the immediates are memory indices. */
export function renumberPlain(editor: ModuleEditor, body: BodyRewriter, isMemory: readonly boolean[]): void {
  const { cursor } = body;
  const reader = cursor.readerAt(cursor.immediates);
  const indices = isMemory.map((memory) => {
    const index = reader.u32("an index");
    return memory ? editor.memory(index) : index;
  });
  body.seekReplace();
  body.copyOriginal(cursor.start, cursor.immediates);
  for (const index of indices) body.writer.u32(index);
}
