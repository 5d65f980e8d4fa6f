/**
 * Where the addresses of memory accesses come from. An address is checked right behind the instruction that produces
 * it, when it is on top of the operand stack: so a store's value, which lies above its address by the time of the
 * store, is in nobody's way. Pages never become absent again, so it does no harm that this is earlier.
 */
import { localTypes } from "../capture/locals.ts";
import { moduleTypes, OperandWalk } from "../capture/operands.ts";
import { UnsupportedModuleError } from "../errors.ts";
import type { InstructionCursor } from "../wasm/cursor.ts";
import { type ByteRange, functionTypeAt, type Module } from "../wasm/module.ts";
import { op, opcodeTables, prefixBase } from "../wasm/opcodes.ts";

/** What a body does with the process memory, without its bulk instructions. */
export interface BodyAccesses {
  /** By where the instruction that produces the address ends: static offset and size of the access. */
  readonly byAddress: ReadonlyMap<number, Access>;
  /** Which locals each block, loop, if or try assigns, by the order in which they start. */
  readonly assigned: readonly ReadonlySet<number>[];
  /** How many parameters and locals the function has. */
  readonly locals: number;
  /** Where its first instruction is. */
  readonly code: number;
}

export interface Access {
  readonly offset: number;
  readonly size_bytes: number;
}

function isObjectInstruction(opcode: number): boolean {
  return opcode >= prefixBase[0xfb] && opcode < prefixBase[0xfc];
}

export class AddressFinder {
  private readonly module: Module;
  private readonly walk: OperandWalk;
  private readonly sizes: Uint8Array;
  /** How many operands an instruction takes. */
  private readonly operands = opcodeTables.signatures.map((signature) => signature.indexOf(">"));

  /** @param sizes of accesses by instruction: see `accessSizes`. */
  constructor(module: Module, sizes: Uint8Array) {
    this.module = module;
    this.walk = new OperandWalk(module, moduleTypes(module));
    this.sizes = sizes;
  }

  /** Whether the instruction under a cursor may keep `find` from following a body: several values at once, mostly. */
  mayNotFollow(cursor: InstructionCursor): boolean {
    const { opcode } = cursor;
    switch (opcode) {
      case op.block:
      case op.loop:
      case op.if:
      case op.try:
      case op.tryTable:
        // Not one of the types that are a single byte.
        return (cursor.bytes[cursor.immediates] & 0xc0) !== 0x40;
      case op.call:
        return this.hasSeveralResults(this.walk.space.functions[cursor.readIndex()]);
      case op.callIndirect:
      case op.callRef:
        return this.hasSeveralResults(cursor.readIndex());
      case op.catch:
        return true;
      default:
        return (opcode > op.refFunc && opcode < 0x100) || isObjectInstruction(opcode);
    }
  }

  private hasSeveralResults(typeIndex: number): boolean {
    return (functionTypeAt(this.module, typeIndex)?.results.length ?? 2) > 1;
  }

  /** Null for a body in which not every address can be followed. */
  find(bodyIndex: number, body: ByteRange): BodyAccesses | null {
    const type = functionTypeAt(this.module, this.module.functions[bodyIndex]);
    if (type === null) return null;
    const { types, code } = localTypes(this.module, body, type.params);
    this.walk.begin(type, types, code, body.end);
    try {
      const found = this.follow();
      return found === null ? null : { ...found, locals: types.length, code };
    } catch (error) {
      if (error instanceof UnsupportedModuleError) return null;
      throw error;
    }
  }

  private follow(): Pick<BodyAccesses, "byAddress" | "assigned"> | null {
    const { walk, sizes, operands } = this;
    const { cursor } = walk;
    const byAddress = new Map<number, Access>();
    const assigned: Set<number>[] = [];
    const open: Set<number>[] = [];
    while (cursor.next()) {
      const { opcode } = cursor;
      const size_bytes = sizes[opcode];
      if (size_bytes > 0 && !walk.dead) {
        const { memoryIndex, offset } = cursor.readMemoryArgument();
        if (memoryIndex === 0) {
          const address = walk.producedAt[walk.depth - operands[opcode]];
          // One of several values: it may never have been on top.
          if (walk.groups.has(address)) return null;
          byAddress.set(address, { offset, size_bytes });
        }
      }
      switch (opcode) {
        case op.block:
        case op.loop:
        case op.if:
        case op.try:
        case op.tryTable: {
          const locals = new Set<number>();
          assigned.push(locals);
          open.push(locals);
          break;
        }
        case op.end:
        case op.delegate: {
          const inner = open.pop();
          const outer = open[open.length - 1];
          if (inner !== undefined && outer !== undefined) for (const local of inner) outer.add(local);
          break;
        }
        case op.localSet:
        case op.localTee:
          open[open.length - 1]?.add(cursor.readIndex());
          break;
      }
      walk.apply();
    }
    return { byAddress, assigned };
  }
}
