/**
 * The functions that write frames to the context save area and read them back, added to a module as far as it
 * needs them. They are called on cold paths only, several values at a time, which keeps the code around them
 * small.
 *
 * The save area is a stack of values. A frame is its values grouped by type (i32, i64, f32, f64, v128, exceptions),
 * then the number of the call site and the number of the function, an i32 each.
 */

import { FRAMES_TOP_OFFSET } from "../passes/abi.ts";
import type { ModuleEditor } from "../passes/editor.ts";
import { call, constant, localGet, localSet } from "../wasm/code.ts";
import { memoryIndexFlag } from "../wasm/immediates.ts";
import { type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";

const { i32, i64, f32, f64, v128, exnref } = valueType;

/** The types that a frame can hold, in the order in which it holds them; exceptions last. */
export const frameTypes: readonly ValueType[] = [i32, i64, f32, f64, v128, exnref];

interface Access {
  readonly size_bytes: number;
  readonly load: readonly number[];
  readonly store: readonly number[];
}
/** How many bytes a value takes; exceptions differ from module to module. */
export function valueSize_bytes(type: ValueType): number {
  return access[type].size_bytes;
}

const access: Readonly<Record<number, Access>> = {
  [i32]: { size_bytes: 4, load: [0x28], store: [0x36] },
  [i64]: { size_bytes: 8, load: [0x29], store: [0x37] },
  [f32]: { size_bytes: 4, load: [0x2a], store: [0x38] },
  [f64]: { size_bytes: 8, load: [0x2b], store: [0x39] },
  [v128]: { size_bytes: 16, load: [0xfd, 0x00], store: [0xfd, 0x0b] },
};

/** How many values one function moves. */
const batches: readonly number[] = [16, 4, 1];
/** Frames of up to this many values are saved by one call. */
const smallFrame = 24;
/** Call site and function number, behind the values of a frame. */
const trailerLength = 2;

/** The locals of a function by type, in the order in which a frame holds them. */
export type FrameLayout = readonly (readonly number[])[];

/** Pushes and takes exceptions; see `exceptions.ts`. */
export interface ExceptionFunctions {
  prepare(frames: FrameFunctions): void;
  push(): number;
  pop(): number;
}

export class FrameFunctions {
  private readonly editor: ModuleEditor;
  private readonly memory: number;
  private readonly unwind: number;
  private readonly added = new Map<string, number>();
  private readonly exceptions: ExceptionFunctions;

  /**
   * @param memory index of the save area.
   * @param unwind tag of the exception that unwinds.
   */
  constructor(editor: ModuleEditor, memory: number, unwind: number, exceptions: ExceptionFunctions) {
    this.unwind = unwind;
    this.editor = editor;
    this.memory = memory;
    this.exceptions = exceptions;
    // All are there before any code is written: functions cannot be added then.
    for (const type of frameTypes) {
      if (type === exnref) continue;
      for (const count of batches) {
        this.push(type, count);
        this.pop(type, count);
      }
    }
    this.pop(i32, trailerLength);
  }

  /**
   * Writes code that pushes locals onto the save area, then call site and function number, and unwinds.
   * @param writeTrailer writes code that leaves those two numbers on the stack.
   */
  writeSave(writer: ByteWriter, layout: FrameLayout, writeTrailer: () => void): void {
    const small = isSmall(layout);
    if (small) for (const locals of layout) for (const local of locals) localGet(writer, local);
    else this.writeBatches(writer, layout);
    writeTrailer();
    call(writer, this.unwinding(small ? layout : frameLayout([])));
    writer.u8(op.unreachable);
  }

  private writeBatches(writer: ByteWriter, layout: FrameLayout): void {
    for (const [position, locals] of layout.entries()) {
      forEachBatch(locals, frameTypes[position], (batch) => {
        for (const local of batch) localGet(writer, local);
        call(writer, this.push(frameTypes[position], batch.length));
      });
    }
  }

  /** Adds what saving this layout needs: no function can be added once code is written. */
  prepare(layout: FrameLayout): void {
    this.unwinding(isSmall(layout) ? layout : frameLayout([]));
    if (layout[frameTypes.indexOf(exnref)].length > 0) this.exceptions.prepare(this);
  }

  /** `(values…, site, function) -> ()`: pushes them and unwinds. Small frames are saved by one call. */
  private unwinding(layout: FrameLayout): number {
    return this.once(`unwind ${layout.map((locals) => locals.length)}`, () => {
      const types = layout.flatMap((locals, position) => locals.map(() => frameTypes[position]));
      const writer = new ByteWriter();
      const top = types.length + trailerLength;
      writer.raw([1, 1, i32]);
      this.loadTop(writer);
      localSet(writer, top);
      let offset = 0;
      for (const [local, type] of [...types, i32, i32].entries()) {
        localGet(writer, top);
        localGet(writer, local);
        this.access(writer, access[type].store, offset);
        offset += access[type].size_bytes;
      }
      this.storeTop(writer, top, offset);
      writer.u8(op.throw);
      writer.u32(this.unwind);
      writer.u8(op.end);
      const type = this.editor.functionType([...types, i32, i32], []);
      return this.editor.addFunction(type, writer.written().slice());
    });
  }

  /** Writes code that takes the locals back. */
  writeLoad(writer: ByteWriter, layout: FrameLayout): void {
    for (let position = layout.length - 1; position >= 0; position--) {
      const taken: (readonly number[])[] = [];
      forEachBatch(layout[position], frameTypes[position], (batch) => taken.push(batch));
      for (const batch of taken.reverse()) {
        call(writer, this.pop(frameTypes[position], batch.length));
        for (let index = batch.length - 1; index >= 0; index--) {
          writer.u8(op.localSet);
          writer.u32(batch[index]);
        }
      }
    }
  }

  /** `(values…) -> ()`. */
  push(type: ValueType, count: number): number {
    if (type === exnref) return this.exceptions.push();
    return this.once(`push ${type} ${count}`, () => {
      const types = new Array<ValueType>(count).fill(type);
      const writer = new ByteWriter();
      const top = count;
      writer.raw([1, 1, i32]);
      this.loadTop(writer);
      localSet(writer, top);
      for (let index = 0; index < count; index++) {
        localGet(writer, top);
        localGet(writer, index);
        this.access(writer, access[type].store, index * access[type].size_bytes);
      }
      this.storeTop(writer, top, count * access[type].size_bytes);
      writer.u8(op.end);
      return this.editor.addFunction(this.editor.functionType(types, []), writer.written().slice());
    });
  }

  /** `() -> (values…)`, as they were pushed. */
  pop(type: ValueType, count: number): number {
    if (type === exnref) return this.exceptions.pop();
    return this.once(`pop ${type} ${count}`, () => {
      const types = new Array<ValueType>(count).fill(type);
      const writer = new ByteWriter();
      const top = 0;
      writer.raw([1, 1, i32]);
      this.loadTop(writer);
      writer.u8(op.i32Const);
      writer.s32(count * access[type].size_bytes);
      writer.u8(op.i32Sub);
      localSet(writer, top);
      this.storeTop(writer, top, 0);
      for (let index = 0; index < count; index++) {
        localGet(writer, top);
        this.access(writer, access[type].load, index * access[type].size_bytes);
      }
      writer.u8(op.end);
      return this.editor.addFunction(this.editor.functionType([], types), writer.written().slice());
    });
  }

  /** Writes code that leaves the number of the function of the topmost frame on the stack. */
  writePeek(writer: ByteWriter): void {
    this.loadTop(writer);
    writer.raw([op.i32Const, 4, op.i32Sub]);
    this.access(writer, access[i32].load, 0);
  }

  /** Writes code that moves the end of the save area and leaves where it then is in a local. */
  writeMove(writer: ByteWriter, local: number, by_bytes: number): void {
    this.loadTop(writer);
    constant(writer, by_bytes);
    writer.u8(op.i32Add);
    localSet(writer, local);
    this.storeTop(writer, local, 0);
  }

  /** Writes the load or store of a value; its address, and the value to store, are on the stack. */
  writeAccess(writer: ByteWriter, type: ValueType, kind: "load" | "store", offset: number): void {
    this.access(writer, access[type][kind], offset);
  }

  private once(key: string, add: () => number): number {
    const known = this.added.get(key);
    if (known !== undefined) return known;
    const index = add();
    this.added.set(key, index);
    return index;
  }

  private loadTop(writer: ByteWriter): void {
    writer.raw([op.i32Const, 0]);
    this.access(writer, access[i32].load, FRAMES_TOP_OFFSET);
  }

  private storeTop(writer: ByteWriter, local: number, added_bytes: number): void {
    writer.raw([op.i32Const, 0]);
    localGet(writer, local);
    if (added_bytes > 0) {
      writer.u8(op.i32Const);
      writer.s32(added_bytes);
      writer.u8(op.i32Add);
    }
    this.access(writer, access[i32].store, FRAMES_TOP_OFFSET);
  }

  private access(writer: ByteWriter, instruction: readonly number[], offset: number): void {
    writer.raw(instruction);
    if (this.memory === 0) writer.u8(0);
    else {
      writer.u8(memoryIndexFlag);
      writer.u32(this.memory);
    }
    writer.u32(offset);
  }
}

/** Whether one call can save all of it. */
function isSmall(layout: FrameLayout): boolean {
  const values = layout.reduce((sum, locals) => sum + locals.length, 0);
  return values <= smallFrame && layout[frameTypes.indexOf(exnref)].length === 0;
}

/** Groups locals by their types. */
export function frameLayout(locals: Iterable<readonly [local: number, type: ValueType]>): FrameLayout {
  const layout: number[][] = frameTypes.map(() => []);
  for (const [local, type] of locals) layout[frameTypes.indexOf(type)].push(local);
  return layout;
}

function forEachBatch(
  locals: readonly number[],
  type: ValueType,
  use: (batch: readonly number[]) => void,
): void {
  let done = 0;
  for (const size of type === exnref ? [1] : batches) {
    for (; locals.length - done >= size; done += size) use(locals.slice(done, done + size));
  }
}
