/** The grow pass: `memory.grow` of the process memory asks the kernel, which accounts for pages. */
import { allMemories, type Limits, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { engineImport, engineNamespace } from "./abi.ts";
import type { ModuleEditor, Pass } from "./editor.ts";
import { memoryPages_max } from "./memory.ts";

const { i32, i64 } = valueType;

export function growPass(): Pass {
  let memory: Limits | undefined;
  let grow = 0;
  return {
    name: "grow",
    declare(editor: ModuleEditor): void {
      memory = allMemories(editor.module)[0];
      if (memory !== undefined)
        grow = editor.importFunction(engineNamespace, engineImport.grow, [i32], [i32]);
    },
    define(editor: ModuleEditor): void {
      if (memory === undefined) return;
      const target = memory.wide
        ? editor.addFunction(editor.functionType([i64], [i64]), wideGrow(grow))
        : grow;
      editor.replace(op.memoryGrow, (body) => {
        const index = body.cursor.readIndex();
        if (index === 0) {
          body.seekReplace();
          body.writer.u8(op.call);
          body.writer.u32(target);
        } else if (editor.memory(index) !== index) {
          body.seekReplace();
          body.writer.u8(op.memoryGrow);
          body.writer.u32(editor.memory(index));
        }
      });
    },
  };
}

/** For a memory with 64-bit addresses: too many pages fail, all else fits the 32-bit call. */
function wideGrow(grow: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  writer.raw([op.localGet, 0, op.i64Const]);
  writer.s32(memoryPages_max);
  writer.raw([op.i64GtU, op.if, 0x40, op.i64Const, 0x7f, op.return, op.end]);
  writer.raw([op.localGet, 0, op.i32WrapI64, op.call]);
  writer.u32(grow);
  writer.raw([op.i64ExtendI32S, op.end]);
  return writer.written().slice();
}
