/**
 * Writes function bodies with checks of addresses in line:
 *
 * ```wat
 * (if (i32.ne (i32.load16_u $pages (i32.shr_u address 12)) 0x0101) (call $missing address))
 * ```
 *
 * One look at the page map asks for two pages, that of the address and the one behind it: accesses that reach
 * from one page to the next need nothing more, and neither do others within a page's length of the address. Of these
 * there are many, as programs access structures through the same pointer again and again.
 */

import type { ModuleEditor } from "../passes/editor.ts";
import type { BranchHints } from "../passes/hints.ts";
import { InstructionCursor } from "../wasm/cursor.ts";
import { memoryIndexFlag } from "../wasm/immediates.ts";
import { type ByteRange, type Module, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteReader } from "../wasm/reader.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { mapPage_bytes, mapPageShift, pageState } from "./abi.ts";
import type { Access, BodyAccesses } from "./address-finder.ts";
import { checkedOffset, constants, KnownPages, pageOfConstant } from "./known-pages.ts";

const [opI32Load16U, opI32Ne] = [0x2f, 0x47];
const reach_bytes = 2 ** 32;
const bothPresent = pageState.present * 0x0101;

export interface InlineParts {
  readonly module: Module;
  readonly editor: ModuleEditor;
  readonly hints: BranchHints;
  readonly originalHints: ReadonlyMap<number, readonly (readonly [offset: number, value: number])[]>;
  /** Memory index of the page map. */
  readonly pages: number;
  /** The function that `missingFunction` makes. */
  readonly missing: number;
  /** The function to call in place of a bulk instruction; -1 for all that stays. */
  readonly bulk: (cursor: InstructionCursor) => number;
}

/** `(i32 address) -> ()`: asks for the address's page and the one behind it. */
export function missingFunction(fault: number): Uint8Array {
  const writer = new ByteWriter(32);
  const page = [op.localGet, 0, op.i32Const, mapPageShift, op.i32ShrU];
  writer.raw([0, ...page, ...page, op.i32Const, 1, op.i32Add, op.call]);
  writer.u32(fault);
  writer.raw([op.if, 0x40, op.unreachable, op.end, op.end]);
  return writer.written().slice();
}

export class CheckedBodies {
  private readonly parts: InlineParts;
  private readonly cursor: InstructionCursor;
  private readonly reader: ByteReader;
  private writer = new ByteWriter(0);
  private bodyIndex = 0;
  private bodyStart = 0;
  private copiedTo = 0;
  private known = new KnownPages();
  /** The local that holds addresses which come from no local. */
  private scratch = 0;

  constructor(parts: InlineParts) {
    this.parts = parts;
    this.cursor = new InstructionCursor(parts.module.bytes);
    this.reader = new ByteReader(parts.module.bytes);
  }

  write(writer: ByteWriter, body: ByteRange, bodyIndex: number, accesses: BodyAccesses): void {
    const { cursor } = this;
    this.writer = writer;
    this.bodyIndex = bodyIndex;
    this.bodyStart = writer.position;
    this.known = new KnownPages();
    this.scratch = accesses.locals;
    this.writeLocals(body, accesses);
    const hints = this.parts.originalHints.get(bodyIndex) ?? [];
    let nextHint = 0;
    let construct = 0;
    cursor.moveTo(accesses.code, body.end);
    while (cursor.next()) {
      if (nextHint < hints.length && hints[nextHint][0] === cursor.start - body.start) {
        this.copyTo(cursor.start);
        this.hint(hints[nextHint][1]);
        nextHint++;
      }
      if (isConstruct(cursor.opcode)) {
        this.known.enter(accesses.assigned[construct++], cursor.opcode === op.loop);
      } else this.pass();
      const access = accesses.byAddress.get(cursor.position);
      if (access !== undefined) this.check(access);
    }
    this.copyTo(body.end);
  }

  /** One instruction that starts no construct. */
  private pass(): void {
    const { cursor, known, parts } = this;
    switch (cursor.opcode) {
      case op.call:
      case op.returnCall:
      case op.refFunc: {
        const index = cursor.readIndex();
        this.replace(cursor.opcode, parts.editor.function(index));
        break;
      }
      case op.localSet:
      case op.localTee:
        known.forget(cursor.readIndex());
        break;
      case op.else:
        known.otherwise();
        break;
      case op.catch:
      case op.catchAll:
        known.caught();
        break;
      case op.end:
      case op.delegate:
        known.leave();
        break;
      default: {
        const replacement = parts.bulk(cursor);
        if (replacement >= 0) this.replace(op.call, replacement);
      }
    }
  }

  /** Makes sure of the address that the instruction under the cursor has put on the stack. */
  private check({ offset, size_bytes }: Access): void {
    const { cursor, known } = this;
    switch (cursor.opcode) {
      case op.i32Const: {
        const address = (cursor.readSigned32() >>> 0) + offset;
        if (address + size_bytes > reach_bytes || known.covers(constants, address, size_bytes)) return;
        this.seekAfter();
        this.checkConstant(pageOfConstant(address) * mapPage_bytes);
        return;
      }
      case op.localGet:
      case op.localTee: {
        const local = cursor.readIndex();
        if (known.covers(local, offset, size_bytes)) return;
        const from = checkedOffset(offset, size_bytes);
        this.seekAfter();
        this.checkLocal(local, from);
        known.add(local, from);
        return;
      }
      default:
        this.seekAfter();
        this.local(op.localTee, this.scratch);
        this.checkLocal(this.scratch, checkedOffset(offset, size_bytes));
    }
  }

  private checkLocal(local: number, offset: number): void {
    const address = (): void => {
      this.local(op.localGet, local);
      if (offset === 0) return;
      this.constant(offset);
      this.writer.u8(op.i32Add);
    };
    address();
    this.constant(mapPageShift);
    this.writer.u8(op.i32ShrU);
    this.look(0);
    address();
    this.endLook();
  }

  private checkConstant(address: number): void {
    this.constant(0);
    this.look(pageOfConstant(address));
    this.constant(address);
    this.endLook();
    this.known.add(constants, address);
  }

  /** With a page number on the stack. */
  private look(firstPage: number): void {
    const { writer, parts } = this;
    writer.raw([opI32Load16U, memoryIndexFlag]);
    writer.u32(parts.pages);
    writer.u32(firstPage);
    this.constant(bothPresent);
    writer.u8(opI32Ne);
    this.hint(0);
    writer.raw([op.if, 0x40]);
  }

  private endLook(): void {
    const { writer, parts } = this;
    writer.u8(op.call);
    writer.u32(parts.missing);
    writer.u8(op.end);
  }

  private hint(value: number): void {
    this.parts.hints.mark(this.bodyIndex, this.writer.position - this.bodyStart, value);
  }

  private constant(value: number): void {
    this.writer.u8(op.i32Const);
    this.writer.s32(value);
  }

  private local(opcode: number, index: number): void {
    this.writer.u8(opcode);
    this.writer.u32(index);
  }

  private replace(opcode: number, index: number): void {
    this.copyTo(this.cursor.start);
    this.copiedTo = this.cursor.position;
    this.local(opcode, index);
  }

  private seekAfter(): void {
    this.copyTo(this.cursor.position);
  }

  private copyTo(position: number): void {
    if (position <= this.copiedTo) return;
    this.writer.copy(this.parts.module.bytes, this.copiedTo, position);
    this.copiedTo = position;
  }

  /** Copies the local declarations; a function that accesses memory gets one more. */
  private writeLocals(body: ByteRange, { byAddress, code }: BodyAccesses): void {
    const { reader, writer, parts } = this;
    this.copiedTo = body.start;
    if (byAddress.size === 0) return;
    reader.position = body.start;
    reader.end = body.end;
    const groups = reader.count("local declarations", 2);
    writer.u32(groups + 1);
    writer.copy(parts.module.bytes, reader.position, code);
    writer.raw([1, valueType.i32]);
    this.copiedTo = code;
  }
}

function isConstruct(opcode: number): boolean {
  switch (opcode) {
    case op.block:
    case op.loop:
    case op.if:
    case op.try:
    case op.tryTable:
      return true;
    default:
      return false;
  }
}
