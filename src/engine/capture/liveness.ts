/**
 * Which locals are dead at a poll: not read again before they are written. They need not be kept for a capture there;
 * kept alive, they would cost registers from their last use to the end of the loop. (At other calls they do no
 * harm: all registers are given up there anyway, and the code that lets go of them would cost more.)
 *
 * One walk lists what matters of the instructions; the others go over that list. Sets of locals are rows of bits
 * in a few large arrays, as small arrays of their own would cost more than all the rest.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import type { Module } from "../wasm/module.ts";
import { op, opcodeCount } from "../wasm/opcodes.ts";
import { BitRows } from "./bit-rows.ts";

/** What matters of an instruction; the list holds `kind, operand` pairs. */
const event = {
  none: 0,
  read: 1,
  write: 2,
  site: 3,
  block: 4,
  loop: 5,
  if: 6,
  else: 7,
  end: 8,
  branch: 9,
  branchIf: 10,
  /** One of the further targets of a `br_table`. */
  branchAlso: 11,
  /** What follows is not reached. */
  stop: 12,
  /** Exceptions are caught: not looked at. */
  caught: 13,
} as const;

const eventOf = new Uint8Array(opcodeCount);
for (const [kind, opcodes] of [
  [event.read, [op.localGet]],
  [event.write, [op.localSet, op.localTee]],
  [event.block, [op.block]],
  [event.loop, [op.loop]],
  [event.if, [op.if]],
  [event.else, [op.else]],
  [event.end, [op.end]],
  [event.branch, [op.branch]],
  [event.branchIf, [op.branchIf]],
  [event.branchAlso, [op.branchTable]],
  [
    event.stop,
    [
      op.return,
      op.unreachable,
      op.returnCall,
      op.returnCallIndirect,
      op.returnCallRef,
      op.throw,
      op.throwRef,
    ],
  ],
  [event.caught, [op.try, op.tryTable]],
] as const) {
  for (const opcode of opcodes) eventOf[opcode] = kind;
}

/** How often loops are looked at until nothing changes; a function that takes longer keeps all its locals. */
const rounds_max = 12;
/** Row of the set that a walk carries along; those of open constructs follow. */
const current = 0;

export class Liveness {
  private readonly cursor: InstructionCursor;
  private events = new Int32Array(1 << 14);
  private length = 0;
  private loopCount = 0;
  private depth_max = 0;
  /** Sets of the open constructs: what is live, or zero, at their ends; and at their `else`s. */
  private readonly ends = new BitRows();
  private readonly elses = new BitRows();
  /** What is live at the head of each loop, or written inside of it. */
  private readonly loops = new BitRows();
  /** What is live at each poll. */
  private readonly sites = new BitRows();
  /** The loop that each open construct is, -1 for others; and whether it has an `else`. */
  private readonly open: number[] = [];
  private readonly hasElse: boolean[] = [];

  constructor(module: Module) {
    this.cursor = new InstructionCursor(module.bytes);
  }

  /**
   * For each poll the locals that are dead there and may not be zero already: setting them to zero at each poll
   * keeps all dead locals zero. None for a function in which exceptions are caught.
   * @param polls their call sites by where they start, in order.
   */
  find(
    code: number,
    end: number,
    parameters: number,
    locals: number,
    polls: ReadonlyMap<number, number>,
  ): Map<number, number[]> {
    const found = new Map<number, number[]>();
    if (locals === 0 || polls.size === 0 || !this.collect(code, end, polls)) return found;
    this.ends.reset(this.depth_max + 2, locals);
    this.elses.reset(this.depth_max + 2, locals);
    this.loops.reset(this.loopCount, locals);
    this.sites.reset(polls.size, locals);
    for (let round = 0; this.walkBackward(); round++) if (round === rounds_max) return found;
    this.walkForward(parameters, locals, [...polls.values()], found);
    return found;
  }

  /** Lists the events of a body. False if it catches exceptions. */
  private collect(code: number, end: number, polls: ReadonlyMap<number, number>): boolean {
    const { cursor, open } = this;
    /** Where in the list the `if` of each open construct is; -1 for other constructs. */
    const ifs: number[] = [];
    const positions = [...polls.keys()];
    let next = 0;
    this.length = 0;
    this.loopCount = 0;
    this.depth_max = 0;
    open.length = 0;
    cursor.moveTo(code, end);
    while (cursor.next()) {
      if (cursor.start === positions[next]) this.add(event.site, next++);
      const kind = eventOf[cursor.opcode];
      switch (kind) {
        case event.none:
          break;
        case event.read:
        case event.write:
        case event.branch:
        case event.branchIf:
          this.add(kind, cursor.readIndex());
          break;
        case event.block:
        case event.loop:
        case event.if:
          ifs.push(kind === event.if ? this.length : -1);
          open.push(kind === event.loop ? this.loopCount++ : -1);
          this.add(kind, open[open.length - 1]);
          if (open.length > this.depth_max) this.depth_max = open.length;
          break;
        case event.else:
          // The operand of an `if` that has an `else` is 0.
          this.events[ifs[ifs.length - 1] + 1] = 0;
          this.add(kind, 0);
          break;
        case event.end:
          ifs.pop();
          this.add(kind, open.pop() ?? -1);
          break;
        case event.branchAlso: {
          const reader = cursor.readerAt(cursor.immediates);
          const count = reader.count("labels");
          // Backwards, the last target is met first.
          for (let index = 0; index < count; index++) this.add(event.branchAlso, reader.u32());
          this.add(event.branch, reader.u32());
          break;
        }
        case event.stop:
          this.add(kind, 0);
          break;
        case event.caught:
          return false;
      }
    }
    return true;
  }

  private add(kind: number, operand: number): void {
    if (this.length + 2 > this.events.length) {
      const larger = new Int32Array(this.events.length * 2);
      larger.set(this.events);
      this.events = larger;
    }
    this.events[this.length++] = kind;
    this.events[this.length++] = operand;
  }

  /** What is live at each poll, from the last instruction to the first. True if that at a loop head has grown. */
  private walkBackward(): boolean {
    const { events, ends, elses, loops, open, hasElse } = this;
    let grown = false;
    open.length = 0;
    ends.clear(current);
    for (let at = this.length - 2; at >= 0; at -= 2) {
      const operand = events[at + 1];
      switch (events[at]) {
        case event.read:
          ends.set(current, operand);
          break;
        case event.write:
          ends.unset(current, operand);
          break;
        case event.site:
          this.sites.copyFrom(operand, ends, current);
          break;
        case event.end:
          open.push(operand);
          hasElse[open.length] = false;
          ends.copyFrom(open.length, ends, current);
          break;
        case event.else:
          hasElse[open.length] = true;
          elses.copyFrom(open.length, ends, current);
          ends.copyFrom(current, ends, open.length);
          break;
        case event.if:
          if (hasElse[open.length]) ends.include(current, elses, open.length);
          else ends.include(current, ends, open.length);
          open.pop();
          break;
        case event.loop:
          if (loops.include(operand, ends, current)) grown = true;
          open.pop();
          break;
        case event.block:
          open.pop();
          break;
        case event.branch:
          ends.clear(current);
          this.includeTarget(operand);
          break;
        case event.branchIf:
        case event.branchAlso:
          this.includeTarget(operand);
          break;
        case event.stop:
          ends.clear(current);
          break;
      }
    }
    return grown;
  }

  private includeTarget(label: number): void {
    const { open, ends, loops } = this;
    const depth = open.length - label;
    const loop = open[depth - 1];
    if (loop >= 0) ends.include(current, loops, loop);
    else ends.include(current, ends, depth);
  }

  /** Follows which locals are zero, and makes those zero that are dead at a poll. */
  private walkForward(
    parameters: number,
    locals: number,
    numbers: readonly number[],
    found: Map<number, number[]>,
  ): void {
    const { events, ends, elses, loops, sites, open } = this;
    this.findWritten();
    ends.fill(current);
    for (let local = 0; local < parameters; local++) ends.unset(current, local);
    open.length = 0;
    for (let at = 0; at < this.length; at += 2) {
      const operand = events[at + 1];
      switch (events[at]) {
        case event.write:
          ends.unset(current, operand);
          break;
        case event.site: {
          const dead = sites.missing(operand, ends, current, locals);
          if (dead !== null) found.set(numbers[operand], dead);
          break;
        }
        case event.loop:
          ends.remove(current, loops, operand);
          open.push(operand);
          ends.fill(open.length);
          break;
        case event.block:
        case event.if:
          open.push(-1);
          ends.fill(open.length);
          elses.copyFrom(open.length, ends, current);
          // Without an `else`, the end is reached from here.
          if (events[at] === event.if && operand !== 0) ends.restrict(open.length, ends, current);
          break;
        case event.else:
          ends.restrict(open.length, ends, current);
          ends.copyFrom(current, elses, open.length);
          break;
        case event.end:
          // The function's own end closes nothing.
          if (open.length > 0) ends.restrict(current, ends, open.length);
          open.pop();
          break;
        case event.branch:
          this.reach(operand);
          ends.fill(current);
          break;
        case event.branchIf:
        case event.branchAlso:
          this.reach(operand);
          break;
        case event.stop:
          ends.fill(current);
          break;
      }
    }
  }

  /** The end of a construct is reached from here; the head of a loop counts with what the loop writes. */
  private reach(label: number): void {
    const depth = this.open.length - label;
    if (depth > 0 && this.open[depth - 1] < 0) this.ends.restrict(depth, this.ends, current);
  }

  /** The locals that are written inside of each loop. */
  private findWritten(): void {
    const { events, loops, open } = this;
    loops.clearAll();
    open.length = 0;
    let inner = -1;
    for (let at = 0; at < this.length; at += 2) {
      const operand = events[at + 1];
      switch (events[at]) {
        case event.loop:
          open.push(inner);
          inner = operand;
          break;
        case event.block:
        case event.if:
          open.push(inner);
          break;
        case event.end: {
          const outer = open.pop() ?? -1;
          if (inner !== outer && outer >= 0) loops.include(outer, loops, inner);
          inner = outer;
          break;
        }
        case event.write:
          if (inner >= 0) loops.set(inner, operand);
          break;
      }
    }
  }
}
