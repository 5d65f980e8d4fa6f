/**
 * One walk over all function bodies that finds what the poll pass has to know: the loops, how they nest, and
 * the calls that can be reached without passing a loop head.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import { functionTypeAt, type Module } from "../wasm/module.ts";
import { op, opcodeCount, opcodeTables } from "../wasm/opcodes.ts";
import { ByteReader } from "../wasm/reader.ts";

export interface Loop {
  /** The `loop` instruction, its first body instruction, its `end`, and what follows. */
  readonly start: number;
  readonly bodyStart: number;
  bodyEnd: number;
  end: number;
  /** The block type has no parameters. */
  readonly plainType: boolean;
  innermost: boolean;
  /** Its body may be copied: no calls, no instruction that a pass changes, no labels but those of `br`s. */
  copyable: boolean;
}

/** Calls, in order, as two lists of the same length. */
export interface CallSites {
  /** Original function index of each direct call, type index of each indirect call. */
  readonly targets: number[];
  /** Where each call instruction starts. */
  readonly starts: number[];
}

/** What one body contains. */
export interface BodyFacts {
  readonly size_bytes: number;
  /** In the order of their `loop` instructions. */
  readonly loops: readonly Loop[];
  /** Calls outside of all loops. */
  readonly calls: CallSites;
  /** Calls through a table or a reference outside of all loops. */
  readonly indirectCalls: CallSites;
  /** Functions whose references are taken anywhere in the body. */
  readonly references: readonly number[];
}

const noLoops: readonly Loop[] = [];
const noReferences: readonly number[] = [];
const noCalls: CallSites = { targets: [], starts: [] };
const noFacts: BodyFacts = {
  size_bytes: 0,
  loops: noLoops,
  calls: noCalls,
  indirectCalls: noCalls,
  references: noReferences,
};

/** How an instruction matters to the walk. */
const role = { none: 0, open: 1, loop: 2, end: 3, call: 4, indirect: 5, reference: 6 } as const;

interface InstructionKinds {
  /** A `role` by instruction number. */
  readonly roles: Uint8Array;
  /** 1 for instructions that keep the loops around them from being copied. */
  readonly uncopyable: Uint8Array;
}

const kindsByRole: readonly (readonly [number, readonly number[]])[] = [
  [role.open, [op.block, op.if, op.try, op.tryTable]],
  [role.loop, [op.loop]],
  [role.end, [op.end, op.delegate]],
  [role.call, [op.call, op.returnCall]],
  [role.indirect, [op.callIndirect, op.returnCallIndirect, op.callRef, op.returnCallRef]],
  [role.reference, [op.refFunc]],
];

/** Instructions with labels or effects that copying does not know how to handle. */
const neverCopied: readonly number[] = [
  ...[op.try, op.tryTable, op.delegate, op.catch, op.catchAll, op.throw, op.rethrow, op.throwRef],
  ...[op.call, op.returnCall, op.refFunc],
  ...[op.callIndirect, op.returnCallIndirect, op.callRef, op.returnCallRef],
];
const labelledNames = ["br_on_null", "br_on_non_null", "br_on_cast", "br_on_cast_fail"];

/** @param hooked instructions that a pass changes or adds to. */
function instructionKinds(hooked: (opcode: number) => boolean): InstructionKinds {
  const roles = new Uint8Array(opcodeCount);
  const uncopyable = new Uint8Array(opcodeCount);
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    if (hooked(opcode) || labelledNames.includes(opcodeTables.names[opcode])) uncopyable[opcode] = 1;
  }
  for (const opcode of neverCopied) uncopyable[opcode] = 1;
  for (const [kind, opcodes] of kindsByRole) for (const opcode of opcodes) roles[opcode] = kind;
  return { roles, uncopyable };
}

/** Finds the facts of every body; bodies that passes added have none. */
export function findLoops(module: Module, hooked: (opcode: number) => boolean): BodyFacts[] {
  const walk = new LoopWalk(module, instructionKinds(hooked));
  return module.bodies.map((body) =>
    body instanceof Uint8Array ? noFacts : walk.facts(body.start, body.end),
  );
}

class LoopWalk {
  private readonly module: Module;
  private readonly kinds: InstructionKinds;
  private readonly cursor: InstructionCursor;
  /** Open constructs, innermost last: their loop, or null for a block. */
  private readonly open: (Loop | null)[] = [];

  constructor(module: Module, kinds: InstructionKinds) {
    this.module = module;
    this.kinds = kinds;
    this.cursor = new InstructionCursor(module.bytes);
  }

  facts(start: number, end: number): BodyFacts {
    const { cursor, open } = this;
    const { roles, uncopyable } = this.kinds;
    // Most bodies have no loops, or call nothing outside of loops: lists are made when there is something to say.
    let loops: Loop[] | null = null;
    let calls: CallSites | null = null;
    let indirectCalls: CallSites | null = null;
    let references: number[] | null = null;
    let loopDepth = 0;
    open.length = 0;
    cursor.moveTo(this.codeStart(start, end), end);
    while (cursor.next()) {
      const opcode = cursor.opcode;
      if (loopDepth > 0 && uncopyable[opcode] === 1) this.markUncopyable();
      switch (roles[opcode]) {
        case role.none:
          break;
        case role.open:
          open.push(null);
          break;
        case role.loop: {
          for (const outer of open) if (outer !== null) outer.innermost = false;
          const loop = this.openLoop();
          loops ??= [];
          loops.push(loop);
          open.push(loop);
          loopDepth++;
          break;
        }
        case role.end: {
          const closed = open.pop();
          if (closed) {
            closed.bodyEnd = cursor.start;
            closed.end = cursor.position;
            loopDepth--;
          }
          break;
        }
        case role.call:
          if (loopDepth === 0) calls = this.addCall(calls);
          break;
        case role.indirect:
          if (loopDepth === 0) indirectCalls = this.addCall(indirectCalls);
          break;
        case role.reference:
          references ??= [];
          references.push(cursor.readIndex());
          break;
      }
    }
    return {
      size_bytes: end - start,
      loops: loops ?? noLoops,
      calls: calls ?? noCalls,
      indirectCalls: indirectCalls ?? noCalls,
      references: references ?? noReferences,
    };
  }

  private addCall(calls: CallSites | null): CallSites {
    const { cursor } = this;
    const target = cursor.readIndex();
    if (calls === null) return { targets: [target], starts: [cursor.start] };
    calls.targets.push(target);
    calls.starts.push(cursor.start);
    return calls;
  }

  private openLoop(): Loop {
    const { cursor } = this;
    return {
      start: cursor.start,
      bodyStart: cursor.position,
      bodyEnd: cursor.position,
      end: cursor.position,
      plainType: this.hasNoParameters(),
      innermost: true,
      copyable: this.kinds.uncopyable[op.loop] === 0,
    };
  }

  private hasNoParameters(): boolean {
    const blockType = this.cursor.readerAt(this.cursor.immediates).s33("a block type");
    return blockType < 0 || functionTypeAt(this.module, blockType)?.params.length === 0;
  }

  private markUncopyable(): void {
    for (const loop of this.open) if (loop !== null) loop.copyable = false;
  }

  /** Passes over the local declarations. */
  private codeStart(start: number, end: number): number {
    const reader = new ByteReader(this.module.bytes, start, end);
    const groups = reader.count("local declarations", 2);
    for (let index = 0; index < groups; index++) {
      reader.u32("a number of locals");
      const byte = reader.u8("a value type");
      if (byte === 0x63 || byte === 0x64) reader.s33("a heap type");
    }
    return reader.position;
  }
}
