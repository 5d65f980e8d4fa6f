/**
 * The copy pass: two functions with which the kernel moves bytes between the program's memory and the island's.
 * `memory.copy` between two memories is several times as fast as copying between typed arrays over shared
 * buffers, whatever the alignment. The program itself cannot reach the island's memory or these functions: it
 * was a valid module before they came.
 */
import { allMemories, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { copyInExport, copyOutExport, engineImport, engineNamespace } from "./abi.ts";
import type { ModuleEditor, Pass } from "./editor.ts";
import { memoryPages_max } from "./memory.ts";

/** The instruction `memory.copy`: a prefix and a number. Two memory indices follow, the target's first. */
const memoryCopy = [0xfc, 10];
/** The process memory is the first. */
const processMemory = 0;

export function copyPass(): Pass {
  let ram = 0;
  let wide = false;
  return {
    name: "copies",
    declare(editor: ModuleEditor): void {
      const memory = allMemories(editor.module)[0];
      if (memory === undefined) return;
      wide = memory.wide;
      ram = editor.importMemory(engineNamespace, engineImport.ram, {
        minimum: 0,
        maximum: memoryPages_max,
        shared: true,
        wide: false,
      });
    },
    define(editor: ModuleEditor): void {
      if (ram === processMemory) return;
      const { i32 } = valueType;
      const type = editor.functionType([i32, i32, i32], []);
      const copyIn = editor.addFunction(type, copy(ram, processMemory, [false, wide]));
      const copyOut = editor.addFunction(type, copy(processMemory, ram, [wide, false]));
      editor.exportFunction(copyInExport, copyIn);
      editor.exportFunction(copyOutExport, copyOut);
    },
  };
}

/** `(to, from, length)`; `isWide` says for `to` and `from` whether it is an address of 64 bits. */
function copy(target: number, source: number, isWide: readonly [boolean, boolean]): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  for (const [parameter, extended] of [...isWide, false].entries()) {
    writer.u8(op.localGet);
    writer.u32(parameter);
    if (extended) writer.u8(op.i64ExtendI32U);
  }
  writer.raw(memoryCopy);
  writer.u32(target);
  writer.u32(source);
  writer.u8(op.end);
  return writer.written().slice();
}
