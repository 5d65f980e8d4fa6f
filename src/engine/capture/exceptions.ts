/**
 * Exceptions that a program holds on to (exnref), as values in the save area. A reference cannot be written to
 * memory, but what makes an exception can: its tag and what it carries. To find out, it is thrown and caught; to
 * have it again, a new one is thrown and caught. A program cannot tell the two apart.
 *
 * In the save area an exception takes as much as the largest that the module can make, then the number of its tag
 * counted from 1, an i32; 0 is the null reference.
 */
import { UnsupportedModuleError } from "../errors.ts";
import type { ModuleEditor } from "../passes/editor.ts";
import { call, constant, localGet } from "../wasm/code.ts";
import { functionTypeAt, type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { type ExceptionFunctions, type FrameFunctions, frameTypes, valueSize_bytes } from "./frames.ts";

const { i32, exnref } = valueType;
const clause = { catch: 0, catchAllReference: 3 } as const;
const number_bytes = 4;

interface ExceptionTag {
  readonly index: number;
  readonly params: readonly ValueType[];
}

export class ExceptionValues implements ExceptionFunctions {
  private readonly editor: ModuleEditor;
  private readonly unwind: number;
  private pushFunction = -1;
  private popFunction = -1;

  /** @param unwind the tag of the exceptions that are not the program's. */
  constructor(editor: ModuleEditor, unwind: number) {
    this.editor = editor;
    this.unwind = unwind;
  }

  /** `(exnref) -> ()`. */
  push(): number {
    if (this.pushFunction < 0) throw new Error("exceptions were not prepared for");
    return this.pushFunction;
  }

  /** `() -> (exnref)`. */
  pop(): number {
    if (this.popFunction < 0) throw new Error("exceptions were not prepared for");
    return this.popFunction;
  }

  /** Adds the functions, while functions can be added. @throws UnsupportedModuleError when a tag carries references. */
  prepare(frames: FrameFunctions): void {
    if (this.pushFunction >= 0) return;
    const { editor } = this;
    const tags = this.tags();
    const payload_bytes = payloadSize_bytes(tags.map(({ params }) => params));
    const pushes = tags.map((tag, position) => this.addPushOf(frames, tag, position + 1, payload_bytes));
    const pushNull = this.addPushOf(frames, { index: -1, params: [] }, 0, payload_bytes);
    this.pushFunction = editor.addFunction(
      editor.functionType([exnref], []),
      this.pushBody(tags, pushes, pushNull),
    );
    this.popFunction = editor.addFunction(
      editor.functionType([], [exnref]),
      this.popBody(frames, tags, payload_bytes),
    );
  }

  /** What one exception takes in the save area; 0 if none is ever saved. */
  get size_bytes(): number {
    if (this.pushFunction < 0) return 0;
    return payloadSize_bytes(this.tags().map(({ params }) => params)) + number_bytes;
  }

  private tags(): ExceptionTag[] {
    return moduleTags(this.editor).filter(({ index }) => index !== this.unwind);
  }

  /** Adds `(what the tag carries…) -> ()`, which pushes it and the tag's number. */
  private addPushOf(
    frames: FrameFunctions,
    { params }: ExceptionTag,
    number: number,
    payload_bytes: number,
  ): number {
    const { editor } = this;
    const writer = new ByteWriter();
    const top = params.length;
    writer.raw([1, 1, i32]);
    frames.writeMove(writer, top, payload_bytes + number_bytes);
    let offset = -(payload_bytes + number_bytes);
    const address = (): void => {
      localGet(writer, top);
      constant(writer, offset);
      writer.u8(op.i32Add);
    };
    for (const [local, type] of params.entries()) {
      address();
      localGet(writer, local);
      frames.writeAccess(writer, type, "store", 0);
      offset += valueSize_bytes(type);
    }
    offset = -number_bytes;
    address();
    constant(writer, number);
    frames.writeAccess(writer, i32, "store", 0);
    writer.u8(op.end);
    return editor.addFunction(editor.functionType(params, []), writer.written().slice());
  }

  private pushBody(tags: readonly ExceptionTag[], pushes: readonly number[], pushNull: number): Uint8Array {
    const writer = new ByteWriter();
    writer.u32(0);
    localGet(writer, 0);
    writer.raw([op.refIsNull, op.if, 0x40]);
    call(writer, pushNull);
    writer.raw([op.return, op.end]);
    for (const { params } of [...tags].reverse()) {
      writer.u8(op.block);
      this.writeBlockType(writer, params);
    }
    writer.raw([op.tryTable, 0x40]);
    writer.u32(tags.length);
    for (const [position, { index }] of tags.entries()) {
      writer.u8(clause.catch);
      writer.u32(index);
      writer.u32(position);
    }
    localGet(writer, 0);
    writer.raw([op.throwRef, op.end, op.unreachable]);
    for (const target of pushes) {
      writer.u8(op.end);
      call(writer, target);
      writer.u8(op.return);
    }
    writer.u8(op.end);
    return writer.written().slice();
  }

  private popBody(frames: FrameFunctions, tags: readonly ExceptionTag[], payload_bytes: number): Uint8Array {
    const writer = new ByteWriter();
    const [top, number] = [0, 1];
    writer.raw([1, 2, i32]);
    frames.writeMove(writer, top, -(payload_bytes + number_bytes));
    localGet(writer, top);
    frames.writeAccess(writer, i32, "load", payload_bytes);
    writer.u8(op.localTee);
    writer.u32(number);
    writer.raw([op.i32Eqz, op.if, 0x40, op.refNull, exnref, op.return, op.end]);
    writer.raw([op.block, exnref, op.tryTable, 0x40, 1, clause.catchAllReference, 0]);
    for (const [position, { index, params }] of tags.entries()) {
      localGet(writer, number);
      constant(writer, position + 1);
      writer.raw([op.i32Eq, op.if, 0x40]);
      let offset = 0;
      for (const type of params) {
        localGet(writer, top);
        frames.writeAccess(writer, type, "load", offset);
        offset += valueSize_bytes(type);
      }
      writer.u8(op.throw);
      writer.u32(index);
      writer.u8(op.end);
    }
    writer.raw([op.end, op.unreachable, op.end, op.end]);
    return writer.written().slice();
  }

  private writeBlockType(writer: ByteWriter, results: readonly ValueType[]): void {
    if (results.length === 0) writer.u8(0x40);
    else if (results.length === 1) writer.u8(results[0]);
    else writer.s32(this.editor.functionType([], results));
  }
}

/** All tags of a module, with what their exceptions carry. @throws UnsupportedModuleError for references. */
function moduleTags({ module }: ModuleEditor): ExceptionTag[] {
  const types: number[] = [];
  for (const { description } of module.imports)
    if (description.kind === "tag") types.push(description.typeIndex);
  types.push(...module.tags);
  return types.map((typeIndex, index) => {
    const params = functionTypeAt(module, typeIndex)?.params ?? [];
    if (params.some((type) => type === exnref || !frameTypes.includes(type))) {
      throw new UnsupportedModuleError("an exception that carries a reference", "it cannot be captured");
    }
    return { index, params };
  });
}

function payloadSize_bytes(payloads: readonly (readonly ValueType[])[]): number {
  const sizes = payloads.map((types) => types.reduce((sum, type) => sum + valueSize_bytes(type), 0));
  return Math.max(0, ...sizes);
}
