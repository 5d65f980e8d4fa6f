/**
 * The types of the operand stack at every instruction of a function body: the part of validation that capture
 * needs. The module is known to be valid, so nothing is checked; in code that cannot be reached nothing is
 * tracked either.
 */
import { UnsupportedModuleError } from "../errors.ts";
import { InstructionCursor } from "../wasm/cursor.ts";
import { decodeValueType } from "../wasm/decode-types.ts";
import {
  type FunctionType,
  functionTypeAt,
  functionTypeIndices,
  type GlobalType,
  type Module,
  type TableType,
  type ValueType,
  valueType,
} from "../wasm/module.ts";
import { op, opcodeCount, opcodeTables } from "../wasm/opcodes.ts";

/** Types of the index spaces of a module, imports first. */
export interface ModuleTypes {
  readonly functions: Uint32Array;
  readonly globals: readonly GlobalType[];
  readonly tables: readonly TableType[];
  /** Type indices of the tags. */
  readonly tags: readonly number[];
}

export function moduleTypes(module: Module): ModuleTypes {
  const globals: GlobalType[] = [];
  const tables: TableType[] = [];
  const tags: number[] = [];
  for (const { description } of module.imports) {
    if (description.kind === "global") globals.push(description.global);
    else if (description.kind === "table") tables.push(description.table);
    else if (description.kind === "tag") tags.push(description.typeIndex);
  }
  globals.push(...module.globals.map((global) => global.type));
  tables.push(...module.tables.map((table) => table.type));
  tags.push(...module.tags);
  return { functions: functionTypeIndices(module), globals, tables, tags };
}

/** A construct that the walk is inside of; the first stands for the function. */
export interface ControlFrame {
  /** `block`, `loop`, `if`, `try`, `try_table`; `block` for the function itself. */
  readonly opcode: number;
  /** Where its instruction starts. */
  readonly start: number;
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
  /** Depth of the operand stack under its parameters. */
  readonly height: number;
  /** It stands in code that cannot be reached. */
  readonly dead: boolean;
  /** Counts the arms begun: 1 from `else` or the first `catch` on. */
  arm: number;
  /** Where the code of the current arm starts. */
  armStart: number;
  /** The tag that the current arm catches; -1 in `catch_all` and in all other arms. */
  armTag: number;
}

/** Operands that one instruction produced together, the first at depth `base`. */
export interface ProducedGroup {
  readonly base: number;
  readonly types: readonly ValueType[];
}

/** How many operands an instruction pops, and the type that it pushes (0 for none); 255 for those with an own rule. */
const ownRule = 255;
const letters: Readonly<Record<string, ValueType>> = {
  i: valueType.i32,
  a: valueType.i32,
  l: valueType.i64,
  f: valueType.f32,
  d: valueType.f64,
  v: valueType.v128,
};
const { pops, pushes } = buildEffects();

function buildEffects(): { pops: Uint8Array; pushes: Uint8Array } {
  const pops = new Uint8Array(opcodeCount).fill(ownRule);
  const pushes = new Uint8Array(opcodeCount);
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    const signature = opcodeTables.signatures[opcode];
    if (signature === "" || signature === "*") continue;
    const [operands, results] = signature.split(">");
    pops[opcode] = operands.length;
    pushes[opcode] = results === "" ? 0 : letters[results];
  }
  return { pops, pushes };
}

const none: readonly ValueType[] = [];
/** Instruction numbers of those without a name in `op`. */
const named = (name: string): number => opcodeTables.names.indexOf(name);
const selectTyped = named("select_typed");
const [select, nop, tableGet, tableSet] = ["select", "nop", "table.get", "table.set"].map(named);
const [refNull, refAsNonNull] = ["ref.null", "ref.as_non_null"].map(named);
const [tableInit, tableCopy, tableFill] = ["table.init", "table.copy", "table.fill"].map(named);
const [tableGrow, tableSize] = ["table.grow", "table.size"].map(named);

export class OperandWalk {
  readonly cursor: InstructionCursor;
  /** How many operands there are. */
  depth = 0;
  /** Types of the operands, the bottom first. */
  types = new Int32Array(256);
  /** Where the instruction that produced each operand ends. */
  producedAt = new Int32Array(256);
  /** Operands produced several at once, by where their instruction ends. */
  readonly groups = new Map<number, ProducedGroup>();
  readonly frames: ControlFrame[] = [];
  /** How much of the stack is still as it was when the user of this class last raised this number. */
  settled = 0;
  /** The code here cannot be reached. */
  dead = false;
  readonly module: Module;
  readonly space: ModuleTypes;
  private locals: readonly ValueType[] = none;

  constructor(module: Module, space: ModuleTypes) {
    this.module = module;
    this.space = space;
    this.cursor = new InstructionCursor(module.bytes);
  }

  /** Stands before the first instruction of a body. `locals` are the types of parameters and locals. */
  begin(type: FunctionType, locals: readonly ValueType[], code: number, end: number): void {
    this.depth = 0;
    this.groups.clear();
    this.settled = 0;
    this.dead = false;
    this.locals = locals;
    this.cursor.moveTo(code, end);
    this.frames.length = 0;
    this.frames.push({
      opcode: op.block,
      start: code,
      params: none,
      results: type.results,
      height: 0,
      dead: false,
      arm: 0,
      armStart: code,
      armTag: -1,
    });
  }

  /** The function type that a call instruction under the cursor calls. */
  callee(): FunctionType {
    const { cursor, module } = this;
    switch (cursor.opcode) {
      case op.call:
      case op.returnCall:
        return this.functionType(this.space.functions[cursor.readIndex()]);
      case op.callIndirect:
      case op.returnCallIndirect:
        return this.functionType(cursor.readCallIndirect().typeIndex);
      default:
        return functionTypeAt(module, cursor.readIndex()) ?? this.unsupported();
    }
  }

  /** What exceptions with a tag carry. */
  tagTypes(tag: number): readonly ValueType[] {
    return this.functionType(this.space.tags[tag]).params;
  }

  /** Applies the instruction under the cursor to the stack. */
  apply(): void {
    const { opcode } = this.cursor;
    const count = pops[opcode];
    if (count !== ownRule) {
      if (this.dead) return;
      this.pop(count);
      const type = pushes[opcode];
      if (type !== 0) this.push(type);
      return;
    }
    switch (opcode) {
      case op.block:
      case op.loop:
      case op.try:
      case op.tryTable:
        this.open();
        return;
      case op.if:
        if (!this.dead) this.pop(1);
        this.open();
        return;
      case op.else:
        this.nextArm(this.frames[this.frames.length - 1].params);
        return;
      case op.catch:
        this.nextArm(this.tagTypes(this.cursor.readIndex()), this.cursor.readIndex());
        return;
      case op.catchAll:
        this.nextArm(none);
        return;
      case op.end:
      case op.delegate:
        this.close();
        return;
    }
    if (!this.dead) this.applyReachable(opcode);
  }

  private applyReachable(opcode: number): void {
    const { cursor } = this;
    switch (opcode) {
      case nop:
        return;
      case op.unreachable:
      case op.branch:
      case op.branchTable:
      case op.return:
      case op.throw:
      case op.rethrow:
      case op.throwRef:
      case op.returnCall:
      case op.returnCallIndirect:
      case op.returnCallRef:
        this.truncate(this.frames[this.frames.length - 1].height);
        this.dead = true;
        return;
      case op.branchIf:
      case op.drop:
        this.pop(1);
        return;
      case op.call:
        this.applyCall(0);
        return;
      case op.callIndirect:
      case op.callRef:
        this.applyCall(1);
        return;
      case op.localGet:
        this.push(this.locals[cursor.readIndex()]);
        return;
      case op.localSet:
      case op.globalSet:
        this.pop(1);
        return;
      case op.localTee:
        this.pop(1);
        this.push(this.locals[cursor.readIndex()]);
        return;
      case op.globalGet:
        this.push(this.space.globals[cursor.readIndex()].type);
        return;
      case select: {
        const type = this.types[this.depth - 2];
        this.pop(3);
        this.push(type);
        return;
      }
      case selectTyped: {
        this.pop(3);
        const reader = cursor.readerAt(cursor.immediates);
        reader.u32();
        this.push(decodeValueType(reader));
        return;
      }
      default:
        this.applyReference(opcode);
    }
  }

  private applyReference(opcode: number): void {
    const { cursor } = this;
    switch (opcode) {
      case refNull: {
        const heap = cursor.readerAt(cursor.immediates).s33();
        this.push(heap < 0 ? heap & 0x7f : heap * 256 + valueType.nullableReference);
        return;
      }
      case op.refFunc:
        this.push(valueType.funcref);
        return;
      case refAsNonNull:
        return;
      case tableGet:
        this.pop(1);
        this.push(this.space.tables[cursor.readIndex()].element);
        return;
      case tableSet:
        this.pop(2);
        return;
      case tableInit:
      case tableCopy:
      case tableFill:
        this.pop(3);
        return;
      case tableGrow:
        this.pop(2);
        this.push(valueType.i32);
        return;
      case tableSize:
        this.push(valueType.i32);
        return;
      default:
        this.unsupported();
    }
  }

  private unsupported(): never {
    throw new UnsupportedModuleError(opcodeTables.names[this.cursor.opcode], "it cannot be captured");
  }

  /** Parameter and result types of the block type under the cursor. */
  private blockType(): FunctionType {
    const { cursor } = this;
    const byte = cursor.bytes[cursor.immediates];
    if (byte === 0x40) return emptyType;
    const reader = cursor.readerAt(cursor.immediates);
    if (byte >= 0x63 && byte < 0x80) {
      return { kind: "function", params: none, results: [decodeValueType(reader)] };
    }
    return this.functionType(reader.s33());
  }

  private functionType(index: number): FunctionType {
    return functionTypeAt(this.module, index) ?? this.unsupported();
  }

  private applyCall(extra: number): void {
    const { params, results } = this.callee();
    this.pop(params.length + extra);
    this.pushAll(results, this.cursor.position);
  }

  private open(): void {
    const { cursor } = this;
    const { params, results } = this.blockType();
    const height = this.dead ? this.depth : this.depth - params.length;
    this.frames.push({
      opcode: cursor.opcode,
      start: cursor.start,
      params,
      results,
      height,
      dead: this.dead,
      arm: 0,
      armStart: cursor.position,
      armTag: -1,
    });
    if (this.dead) return;
    this.pop(params.length);
    this.pushAll(params, cursor.position);
  }

  private nextArm(params: readonly ValueType[], tag = -1): void {
    const frame = this.frames[this.frames.length - 1];
    frame.arm++;
    frame.armTag = tag;
    frame.armStart = this.cursor.position;
    if (frame.dead) return;
    this.truncate(frame.height);
    this.dead = false;
    this.pushAll(params, this.cursor.position);
  }

  private close(): void {
    const frame = this.frames.pop();
    if (frame === undefined || frame.dead) return;
    this.truncate(frame.height);
    this.dead = false;
    this.pushAll(frame.results, this.cursor.position);
  }

  private push(type: ValueType): void {
    if (this.depth === this.types.length) this.enlarge();
    this.types[this.depth] = type;
    this.producedAt[this.depth++] = this.cursor.position;
  }

  private pushAll(types: readonly ValueType[], position: number): void {
    if (types.length > 1) this.groups.set(position, { base: this.depth, types });
    for (const type of types) {
      if (this.depth === this.types.length) this.enlarge();
      this.types[this.depth] = type;
      this.producedAt[this.depth++] = position;
    }
  }

  private pop(count: number): void {
    this.truncate(this.depth - count);
  }

  private truncate(depth: number): void {
    this.depth = depth;
    if (this.settled > depth) this.settled = depth;
  }

  private enlarge(): void {
    const enlarged = (array: Int32Array): Int32Array<ArrayBuffer> => {
      const larger = new Int32Array(array.length * 2);
      larger.set(array);
      return larger;
    };
    this.types = enlarged(this.types);
    this.producedAt = enlarged(this.producedAt);
  }
}

const emptyType: FunctionType = { kind: "function", params: none, results: none };
