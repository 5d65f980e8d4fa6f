/**
 * The resume clone of a function: the same code in a form that can be entered at any of its call sites. It takes
 * no parameters, reads its locals from the topmost frame of the save area, and goes to where the frame says.
 * It runs only after a restore, until it returns; it can itself be captured again, into the same kind of frame.
 *
 * To go there, each stretch of code is cut before the call sites and constructs that lead to one:
 *
 * ```wat
 * block $to_second
 *   block $to_first
 *     (br_table $to_first $to_second (resume))   ;; only if `resume` is not zero
 *     <code>
 *   end
 *   <first: resuming, the callee's frame goes on; otherwise it is called>
 *   <code>
 * end
 * <second: a construct that starts with a table of its own>
 * ```
 *
 * Operands that are on the stack at a cut are in their spills, from where both ways take them. Where a construct
 * starts right at the start of another one, one table inside serves both.
 */

import { call, constant, localGet, localSet } from "../wasm/code.ts";
import type { InstructionCursor } from "../wasm/cursor.ts";
import { type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import type { ByteWriter } from "../wasm/writer.ts";
import type { Arm, Construct, FunctionSites, Item } from "./sites.ts";
import {
  beginWrapping,
  endWrapping,
  layoutOf,
  type Mark,
  type UnwindParts,
  writeCatchBefore,
  writeFindCaught,
  writeFirstClause,
  writeKeep,
  writeLocals,
  writeSite,
} from "./unwinding.ts";

export interface ResumeParts extends UnwindParts {
  /** Walks over one body after the other. */
  readonly cursor: InstructionCursor;
  /** The function that resumes the next frame, for callees with these results. */
  next(results: readonly ValueType[]): number;
}

/** Where resuming may have to go from one place: the call sites from `first` to `last`. */
interface Target {
  readonly first: number;
  readonly last: number;
  /** Construct to leave, counted from the outermost. */
  readonly label: number;
}

/** An open construct of the original. */
interface OpenFrame {
  /** The construct that stands for it, counted from the outermost. */
  readonly label: number;
  readonly construct: Construct | undefined;
  /** Which arm is open. */
  armNumber: number;
  /** The arm, if call sites are in it, and how many of its items have been passed. */
  arm: Arm | undefined;
  passed: number;
}

const noTargets: readonly Target[] = [];

/** Writes the clone of a function with call sites. */
export function writeResumeClone(
  writer: ByteWriter,
  parts: ResumeParts,
  sites: FunctionSites,
  body: { readonly start: number; readonly end: number },
  functionNumber: number,
  hinted: readonly number[],
  mark: Mark,
  unlikely: () => void,
): void {
  const spilled = [...sites.spills.map(({ type }) => type), ...sites.zeros.keys()];
  const added = [...spilled, ...sites.resumeSpills.map(({ type }) => type), valueType.i32];
  const layout = layoutOf(sites);
  const resume = sites.siteLocal + added.length;
  writeLocals(writer, parts.module, body.start, sites, added, sites.type.params);
  call(writer, parts.frames.pop(valueType.i32, 2));
  writer.u8(op.drop);
  localSet(writer, resume);
  parts.frames.writeLoad(writer, layout);
  beginWrapping(writer, parts, sites.type.results);
  new CloneWriter(writer, parts, sites, resume, unlikely).write(body.end, hinted, mark);
  endWrapping(writer, parts, layout, sites.siteLocal, functionNumber);
}

class CloneWriter {
  private readonly writer: ByteWriter;
  private readonly parts: ResumeParts;
  private readonly sites: FunctionSites;
  private readonly resume: number;
  private readonly unlikely: () => void;
  private readonly cursor: InstructionCursor;
  private readonly open: OpenFrame[] = [];
  /** How many constructs are open in the code that is written, the function itself included. */
  private height: number;
  /** Where the construct to which unwinding goes counts. */
  private readonly unwound: number;
  private copiedTo: number;
  private nextKeep = 0;
  private nextCatch = 0;
  /** What resuming may have to reach besides, from the construct about to open. */
  private inherited: readonly Target[] = noTargets;

  constructor(
    writer: ByteWriter,
    parts: ResumeParts,
    sites: FunctionSites,
    resume: number,
    unlikely: () => void,
  ) {
    this.writer = writer;
    this.parts = parts;
    this.sites = sites;
    this.resume = resume;
    this.unlikely = unlikely;
    this.cursor = parts.cursor;
    this.unwound = 1;
    this.height = parts.legacy ? 2 : 3;
    this.copiedTo = sites.code;
  }

  write(bodyEnd: number, hinted: readonly number[], mark: Mark): void {
    const { cursor, sites } = this;
    this.open.push({
      label: this.height - 1,
      construct: undefined,
      armNumber: 0,
      arm: undefined,
      passed: 0,
    });
    this.enterArm(sites.body);
    let hint = 0;
    cursor.moveTo(sites.code, bodyEnd - 1);
    while (cursor.next()) {
      this.keep();
      const atItem = this.item();
      if (hinted[hint] === cursor.start) {
        hint++;
        if (!atItem) {
          this.copyTo(cursor.start);
          mark(cursor.start);
        }
      }
      this.instruction();
    }
    this.copyTo(bodyEnd - 1);
  }

  /** Keeps operands where the last instruction left them. */
  private keep(): void {
    const { keeps } = this.sites;
    const { start } = this.cursor;
    while (this.nextKeep < keeps.length && keeps[this.nextKeep].position <= start) {
      this.copyTo(start);
      writeKeep(this.writer, keeps[this.nextKeep++]);
    }
  }

  /** The cut before a call site or a construct that leads to one. True if the instruction is one. */
  private item(): boolean {
    const frame = this.open[this.open.length - 1];
    const { arm } = frame;
    if (arm === undefined || frame.passed >= arm.items.length) return false;
    const item = arm.items[frame.passed];
    if (item.start !== this.cursor.start) return false;
    frame.passed++;
    const merged = frame.passed === 1 && startsWithConstruct(arm);
    this.copyTo(item.start);
    if (!merged) this.cut(item);
    if (item.construct === null) this.writeCall(item);
    return true;
  }

  /** Ends the block that leads here; the operands are on the stack again behind it. */
  private cut({ operands, taken, construct, results }: Item): void {
    const { writer } = this;
    const below = operands.length - taken;
    for (let index = operands.length - 1; index >= below; index--) localSet(writer, operands[index].local);
    for (let index = 0; index < below; index++) writer.u8(op.drop);
    writer.u8(op.end);
    this.height--;
    const isIf = construct !== null && construct.opcode === op.if;
    const restored = results !== null ? below : isIf ? operands.length - 1 : operands.length;
    for (let index = 0; index < restored; index++) localGet(writer, operands[index].local);
    if (isIf) this.writeCondition(construct, operands[operands.length - 1].local);
  }

  /** Resuming, the condition of an `if` says in which of its arms the call site is. */
  private writeCondition({ arms }: Construct, condition: number): void {
    const { writer, resume } = this;
    const items = arms.get(0)?.items;
    const lastOfFirstArm = items === undefined ? 0 : items[items.length - 1].lastSite;
    localGet(writer, resume);
    constant(writer, lastOfFirstArm);
    writer.u8(op.i32LeU);
    localGet(writer, condition);
    localGet(writer, resume);
    writer.u8(op.select);
  }

  private writeCall({ firstSite, operands, taken, results }: Item): void {
    const { writer, parts, cursor, resume } = this;
    const resulting = results ?? [];
    writeSite(writer, this.sites, firstSite);
    localGet(writer, resume);
    this.unlikely();
    writer.u8(op.if);
    writer.raw(parts.blockType(resulting));
    constant(writer, 0);
    localSet(writer, resume);
    call(writer, parts.next(resulting));
    writer.u8(op.else);
    for (let index = operands.length - taken; index < operands.length; index++) {
      localGet(writer, operands[index].local);
    }
    writer.copy(parts.module.bytes, cursor.start, cursor.position);
    writer.u8(op.end);
    this.copiedTo = cursor.position;
  }

  /** The start of an arm that contains call sites: opens the blocks that lead to them and goes there. */
  private enterArm(arm: Arm): void {
    const { writer } = this;
    const frame = this.open[this.open.length - 1];
    frame.arm = arm;
    frame.passed = 0;
    const merged = startsWithConstruct(arm);
    const inherited = this.inherited;
    this.inherited = noTargets;
    if (!merged) {
      for (let index = arm.params.length - 1; index >= 0; index--) localSet(writer, arm.params[index].local);
    }
    const targets: Target[] = [];
    for (let index = arm.items.length - 1; index >= (merged ? 1 : 0); index--) {
      writer.raw([op.block, 0x40]);
      const { firstSite, lastSite } = arm.items[index];
      targets.unshift({ first: firstSite, last: lastSite, label: this.height++ });
    }
    targets.push(...inherited);
    if (merged) this.inherited = targets;
    else {
      this.writeTable(targets);
      for (const param of arm.params) localGet(writer, param.local);
    }
  }

  /** Goes to where the frame says, when resuming. */
  private writeTable(targets: readonly Target[]): void {
    const { writer, resume } = this;
    if (targets.length === 1) {
      localGet(writer, resume);
      this.unlikely();
      writer.u8(op.branchIf);
      writer.u32(this.height - 1 - targets[0].label);
      return;
    }
    localGet(writer, resume);
    this.unlikely();
    writer.raw([op.if, 0x40]);
    this.height++;
    localGet(writer, resume);
    constant(writer, targets[0].first);
    writer.raw([op.i32Sub, op.branchTable]);
    const last = targets[targets.length - 1];
    writer.u32(last.last - targets[0].first);
    for (const { first, last: end, label } of targets) {
      for (let site = first; site <= end; site++) {
        if (site !== last.last) writer.u32(this.height - 1 - label);
      }
    }
    writer.u32(this.height - 1 - last.label);
    writer.u8(op.end);
    this.height--;
  }

  /** Writes an instruction with its labels where they are now, and follows the constructs. */
  private instruction(): void {
    const { cursor, writer } = this;
    switch (cursor.opcode) {
      case op.block:
      case op.loop:
      case op.if:
      case op.try:
        this.copyTo(cursor.position);
        this.openConstruct();
        return;
      case op.tryTable:
        this.writeTryTable();
        this.openConstruct();
        return;
      case op.catchAll:
        this.copyTo(cursor.start);
        this.nextCatch++;
        writeCatchBefore(writer, this.parts.unwind);
        this.copyTo(cursor.position);
        this.findCaught();
        this.nextArm();
        return;
      case op.else:
      case op.catch:
        this.nextArm();
        return;
      case op.end:
        this.copyTo(cursor.position);
        this.height--;
        this.open.pop();
        return;
      case op.delegate:
        this.writeLabels(1);
        this.height--;
        this.open.pop();
        return;
      case op.branch:
      case op.branchIf:
      case op.rethrow:
        this.writeLabels(0);
        return;
      case op.branchTable:
        this.writeBranchTable();
        return;
    }
  }

  private openConstruct(): void {
    const frame = this.open[this.open.length - 1];
    const item = frame.arm?.items[frame.passed - 1];
    const construct = item !== undefined && item.start === this.cursor.start ? item.construct : null;
    this.open.push({
      label: this.height++,
      construct: construct ?? undefined,
      armNumber: 0,
      arm: undefined,
      passed: 0,
    });
    if (construct?.opcode === op.try) this.writeThrows(construct);
    const arm = construct?.arms.get(0);
    if (arm !== undefined) this.enterArm(arm);
  }

  /** At the start of a `try`: to resume inside one of its catch blocks, what that has caught is thrown again. */
  private writeThrows({ arms }: Construct): void {
    const { writer, resume } = this;
    for (const { caught, items } of arms.values()) {
      if (caught === null) continue;
      localGet(writer, resume);
      constant(writer, items[0].firstSite);
      writer.u8(op.i32Sub);
      constant(writer, items[items.length - 1].lastSite - items[0].firstSite);
      writer.raw([op.i32LeU, op.if, 0x40]);
      for (const [position, [tag, values]] of caught.payloads.entries()) {
        if (caught.which !== null) {
          localGet(writer, caught.which.local);
          constant(writer, position);
          writer.raw([op.i32Eq, op.if, 0x40]);
        }
        for (const value of values) localGet(writer, value.local);
        writer.u8(op.throw);
        writer.u32(tag);
        if (caught.which !== null) writer.u8(op.end);
      }
      writer.u8(op.end);
    }
  }

  /** At the start of a `catch_all`: see `writeFindCaught`. */
  private findCaught(): void {
    const { catches } = this.sites;
    const next = catches[this.nextCatch];
    if (next?.kind !== "caught" || next.position !== this.cursor.position) return;
    this.nextCatch++;
    writeFindCaught(this.writer, next.caught);
  }

  private nextArm(): void {
    this.copyTo(this.cursor.position);
    const frame = this.open[this.open.length - 1];
    frame.armNumber++;
    frame.arm = undefined;
    const arm = frame.construct?.arms.get(frame.armNumber);
    if (arm !== undefined) this.enterArm(arm);
  }

  /** Where the construct that a label names is now; `skipped` is 1 where the innermost does not count. */
  private label(original: number, skipped = 0): number {
    const { open } = this;
    return this.height - 1 - skipped - open[open.length - 1 - skipped - original].label;
  }

  private writeLabels(skipped: number): void {
    const { cursor, writer } = this;
    this.copyTo(cursor.start);
    writer.u8(cursor.opcode);
    writer.u32(this.label(cursor.readIndex(), skipped));
    this.copiedTo = cursor.position;
  }

  private writeBranchTable(): void {
    const { cursor, writer } = this;
    this.copyTo(cursor.start);
    const reader = cursor.readerAt(cursor.immediates);
    const count = reader.count("labels");
    writer.u8(op.branchTable);
    writer.u32(count);
    for (let index = 0; index <= count; index++) writer.u32(this.label(reader.u32("a label")));
    this.copiedTo = cursor.position;
  }

  private writeTryTable(): void {
    const { cursor, writer, parts, sites } = this;
    const caught = sites.catches[this.nextCatch];
    const reader = cursor.readClauses();
    const clauses = reader.position;
    this.copyTo(clauses);
    const count = reader.count("catch clauses");
    if (caught !== undefined && caught.position === clauses) {
      this.nextCatch++;
      const label = this.height - 1 - this.unwound;
      writeFirstClause(writer, parts.module, clauses, parts.unwind, label);
    } else writer.u32(count);
    for (let index = 0; index < count; index++) {
      const kind = reader.u8("a catch clause");
      writer.u8(kind);
      if (kind < 2) writer.u32(reader.u32("a tag"));
      writer.u32(this.label(reader.u32("a label")));
    }
    this.copiedTo = cursor.position;
  }

  private copyTo(position: number): void {
    if (position <= this.copiedTo) return;
    this.writer.copy(this.parts.module.bytes, this.copiedTo, position);
    this.copiedTo = position;
  }
}

/** Whether an arm starts with a construct that can hold its table: nothing is on the stack yet. */
function startsWithConstruct({ start, params, items }: Arm): boolean {
  const { construct, operands, start: itemStart } = items[0];
  return (
    construct !== null &&
    itemStart === start &&
    params.length === 0 &&
    operands.length === 0 &&
    construct.opcode !== op.if &&
    // A `try` whose catch blocks contain call sites starts with code of its own.
    construct.opcode !== op.try &&
    construct.arms.has(0)
  );
}
