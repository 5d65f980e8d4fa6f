/**
 * The drops pass: whether a passive data segment has been dropped is part of what a program is, but cannot be asked
 * for. So each drop is noted in a global, which is captured with the others.
 */
import { op } from "../wasm/opcodes.ts";
import type { ModuleEditor, Pass } from "./editor.ts";

const passive = 1;

export const dropsPass: Pass = {
  name: "drops",
  define(editor: ModuleEditor): void {
    for (const [index, { flags }] of editor.module.data.entries()) {
      if (flags === passive) editor.dropped.set(index, editor.addGlobal());
    }
    if (editor.dropped.size === 0) return;
    editor.after(op.dataDrop, (body) => {
      const global = editor.dropped.get(body.cursor.readIndex());
      if (global === undefined) return;
      body.seekAfter();
      body.writer.raw([op.i32Const, 1, op.globalSet]);
      body.writer.u32(global);
    });
  },
};
