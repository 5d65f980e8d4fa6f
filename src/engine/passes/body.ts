/** Rewrites one function body after another, applying the hooks of all passes in a single walk. */
import { InstructionCursor } from "../wasm/cursor.ts";
import type { Body, Module } from "../wasm/module.ts";
import { opcodeCount } from "../wasm/opcodes.ts";
import { ByteReader } from "../wasm/reader.ts";
import type { ByteWriter } from "../wasm/writer.ts";

/** What happens to one body besides its instructions. */
export interface BodyPlan {
  /** i32 locals to add behind the function's own. */
  readonly addedLocals: number;
  /** Writes code at the start of the function. */
  readonly entry: BodyHook | null;
}

export const noBodyPlan: BodyPlan = { addedLocals: 0, entry: null };

export type BodyHook = (body: BodyRewriter) => void;

/** The instruction hooks of all passes. */
export interface InstructionHooks {
  readonly beforeInstruction: ReadonlyMap<number, readonly BodyHook[]>;
  readonly afterInstruction: ReadonlyMap<number, readonly BodyHook[]>;
  readonly replaceInstruction: ReadonlyMap<number, BodyHook>;
}

export class BodyRewriter {
  /** At the instruction that a hook is called for. */
  readonly cursor: InstructionCursor;
  /** Where hooks write. Set while a body is rewritten. */
  writer: ByteWriter;
  /** Which body of the original module this is. */
  bodyIndex = 0;
  /** Index of the first added local. */
  firstAddedLocal = 0;
  /** Where the function starts in the writer: offsets of branch hints count from here. */
  bodyStart = 0;
  private readonly module: Module;
  private readonly hooks: (BodyHook | undefined)[];
  private readonly parameterCount: (bodyIndex: number) => number;
  private readonly reader: ByteReader;
  /** Everything before this place in the original is written. */
  private copiedTo = 0;

  /** @param parameterCount how many parameters the function with a body has. */
  constructor(
    module: Module,
    hooks: InstructionHooks,
    writer: ByteWriter,
    parameterCount: (bodyIndex: number) => number,
  ) {
    this.module = module;
    this.writer = writer;
    this.parameterCount = parameterCount;
    this.cursor = new InstructionCursor(module.bytes);
    this.reader = new ByteReader(module.bytes);
    this.hooks = combineHooks(hooks);
  }

  /** Writes the rewritten body, without its length. */
  rewrite(writer: ByteWriter, body: Body, bodyIndex: number, plan: BodyPlan): void {
    this.writer = writer;
    if (body instanceof Uint8Array) {
      writer.raw(body);
      return;
    }
    this.bodyIndex = bodyIndex;
    this.bodyStart = writer.position;
    this.copiedTo = body.start;
    const code = this.writeLocals(body.start, body.end, plan.addedLocals);
    const { cursor, hooks } = this;
    cursor.moveTo(code, body.end);
    if (plan.entry !== null) plan.entry(this);
    while (cursor.next()) {
      const hook = hooks[cursor.opcode];
      if (hook !== undefined) hook(this);
    }
    writer.copy(this.module.bytes, this.copiedTo, body.end);
  }

  /** Makes the writer stand before the current instruction, which will be kept. */
  seekBefore(): void {
    this.copyTo(this.cursor.start);
  }

  /** Makes the writer stand behind the current instruction, which is kept. */
  seekAfter(): void {
    this.copyTo(this.cursor.position);
  }

  /** Makes the writer stand in place of the current instruction, which is dropped. */
  seekReplace(): void {
    this.copyTo(this.cursor.start);
    this.copiedTo = this.cursor.position;
  }

  /** Goes on behind `position`; what lies between was written by the hook or is dropped. */
  skipTo(position: number): void {
    this.copiedTo = position;
    this.cursor.moveTo(position, this.cursor.end);
  }

  /** Original bytes of the current instruction from `start` on, for hooks that rewrite a part of it. */
  copyOriginal(start: number, end: number): void {
    this.writer.copy(this.module.bytes, start, end);
  }

  private copyTo(position: number): void {
    if (position > this.copiedTo) {
      this.writer.copy(this.module.bytes, this.copiedTo, position);
      this.copiedTo = position;
    }
  }

  /** Copies the local declarations, with those added; returns where the code starts. */
  private writeLocals(start: number, end: number, added: number): number {
    const { reader, writer } = this;
    reader.position = start;
    reader.end = end;
    const groups = reader.count("local declarations", 2);
    const declarations = reader.position;
    let count = 0;
    for (let index = 0; index < groups; index++) {
      count += reader.u32("a number of locals");
      const byte = reader.u8("a value type");
      if (byte === 0x63 || byte === 0x64) reader.s33("a heap type");
    }
    if (added > 0) {
      this.firstAddedLocal = this.parameterCount(this.bodyIndex) + count;
      writer.u32(groups + 1);
      writer.copy(this.module.bytes, declarations, reader.position);
      writer.u32(added);
      writer.u8(0x7f);
      this.copiedTo = reader.position;
    } else {
      this.copyTo(reader.position);
    }
    return reader.position;
  }
}

/** One function per instruction number that runs all its hooks: before, in place, after. */
function combineHooks(hooks: InstructionHooks): (BodyHook | undefined)[] {
  const combined = new Array<BodyHook | undefined>(opcodeCount).fill(undefined);
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    const before = hooks.beforeInstruction.get(opcode) ?? [];
    const replace = hooks.replaceInstruction.get(opcode);
    const after = hooks.afterInstruction.get(opcode) ?? [];
    const all = [...before, ...(replace === undefined ? [] : [replace]), ...after];
    if (all.length === 1) combined[opcode] = all[0];
    else if (all.length > 1) {
      combined[opcode] = (body) => {
        for (const hook of all) hook(body);
      };
    }
  }
  return combined;
}
