/**
 * Where a function can be captured, and what has to be saved there: its call sites in order, the operands that
 * lie under each, and the constructs on the way to it.
 *
 * An operand that waits under a call must be found again when the call is captured. So each one is also kept in a
 * local of its own, a *spill*, from the moment it is produced: one for each depth of the stack and type.
 */

import { UnsupportedModuleError } from "../errors.ts";
import type { ByteRange, FunctionType, Module, ValueType } from "../wasm/module.ts";
import { valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { frameTypes } from "./frames.ts";
import { Liveness } from "./liveness.ts";
import { localTypes } from "./locals.ts";
import type { ControlFrame, OperandWalk } from "./operands.ts";
import type { Suspendable } from "./suspendable.ts";

/** A local that keeps an operand. */
export interface Spill {
  readonly type: ValueType;
  /** It is part of a saved frame; else it only serves the code that resumes. */
  saved: boolean;
  /** Index of the local, once all spills are known. */
  local: number;
}

/** Keep what the instruction that ends at `position` leaves on the stack. */
export interface Keep {
  readonly position: number;
  /** Spills of everything that it produced; usually one. */
  readonly spills: readonly Spill[];
}

/** A call site, or a construct that contains one. */
export interface Item {
  /** Where the instruction starts. */
  readonly start: number;
  /** Numbers of the first and last call site in it. */
  readonly firstSite: number;
  lastSite: number;
  /** The operands on the stack of the code around it, the bottom first: those it takes come last. */
  readonly operands: readonly Spill[];
  /** How many of them it takes. */
  readonly taken: number;
  /** What the call returns; null for a construct. */
  readonly results: readonly ValueType[] | null;
  /** What is inside; null for a call. */
  readonly construct: Construct | null;
}

/** A stretch of code that is entered at its start only: the function's, a construct's, an `else`'s. */
export interface Arm {
  readonly start: number;
  /** The parameters of its construct, which are on the stack when it starts. */
  readonly params: readonly Spill[];
  /** In order. */
  readonly items: Item[];
  /** Not null in catch blocks of the older kind. */
  readonly caught: Caught | null;
}

/**
 * What a catch block of the older kind has caught, kept for as long as the block runs: resuming inside of it starts
 * with throwing the same again.
 */
export interface Caught {
  /** Number of the tag among `payloads`, set on the way in; null when it can be but one. */
  readonly which: Spill | null;
  /** What exceptions carry, by tag. */
  readonly payloads: readonly (readonly [tag: number, values: readonly Spill[]])[];
}

export interface Construct {
  readonly opcode: number;
  /** Its arms that contain call sites, by number (see `ControlFrame.arm`). */
  readonly arms: Map<number, Arm>;
}

/** A place where code is changed for the sake of programs that catch every exception. */
export type CatchEverything =
  /** Before a `catch_all`. */
  | { readonly kind: "legacy"; readonly position: number }
  /** At the clauses of a `try_table`, inside `depth` constructs of the function. */
  | { readonly kind: "clauses"; readonly position: number; readonly depth: number }
  /** At the start of a `catch_all` that contains call sites: finds out what was caught. */
  | { readonly kind: "caught"; readonly position: number; readonly caught: Caught };

export interface FunctionSites {
  readonly type: FunctionType;
  /** Types of parameters and locals. */
  readonly locals: readonly ValueType[];
  /** Where the code starts. */
  readonly code: number;
  readonly body: Arm;
  /** Where each call site starts, in order: call site n is at index n - 1. */
  readonly sites: readonly number[];
  /** In the order of their positions. */
  readonly keeps: readonly Keep[];
  readonly catches: readonly CatchEverything[];
  /** Spills that are part of a frame. Added locals count on from the function's own and the call-site number. */
  readonly spills: readonly Spill[];
  /** Locals that stay zero, by type: dead locals are set to them. They follow the spills. */
  readonly zeros: ReadonlyMap<ValueType, number>;
  /** Spills that only resuming needs. They follow the zeros. */
  readonly resumeSpills: readonly Spill[];
  /** Locals that are dead at a poll, and may not be zero, by call site. */
  readonly dead: ReadonlyMap<number, readonly number[]>;
  /** Local that holds the number of the call site where the function is. */
  readonly siteLocal: number;
}

const clauseCatchAll = 2;
/** What V8 allows: locals of a function, and targets of a `br_table`. */
const locals_max = 50_000;
const callSites_max = 65_000;

export class SiteFinder {
  private readonly module: Module;
  private readonly walk: OperandWalk;
  private readonly suspendable: Suspendable;
  private spills: Map<ValueType, Spill[]> = new Map();
  private keeps: Keep[] = [];
  private keptGroups = new Set<number>();
  private catches: CatchEverything[] = [];
  private sites: number[] = [];
  /** The call sites that are polls, by position: what is done there for a capture is off every program's way. */
  private polls = new Map<number, number>();
  /** Spills that do not belong to a depth of the stack. */
  private ownSpills: Spill[] = [];
  private readonly unwind: number;
  private readonly poll: number;
  private readonly liveness: Liveness;
  /** Arm and construct of each open control frame, made when its first call site is found. */
  private arms: (Arm | undefined)[] = [];
  private constructs: (Construct | undefined)[] = [];

  /**
   * @param unwind tag of the exceptions that are not the program's.
   * @param poll the function that polls call.
   */
  constructor(module: Module, walk: OperandWalk, suspendable: Suspendable, unwind: number, poll: number) {
    this.poll = poll;
    this.unwind = unwind;
    this.liveness = new Liveness(module);
    this.module = module;
    this.walk = walk;
    this.suspendable = suspendable;
  }

  /**
   * @returns null for a function without call sites that may suspend.
   * @throws UnsupportedModuleError naming what cannot be captured.
   */
  find(type: FunctionType, body: ByteRange): FunctionSites | null {
    const { types, code } = localTypes(this.module, body, type.params);
    this.spills = new Map();
    this.keeps = [];
    this.keptGroups = new Set();
    this.catches = [];
    this.sites = [];
    this.polls = new Map();
    this.ownSpills = [];
    const whole: Arm = { start: code, params: [], items: [], caught: null };
    this.arms = [whole];
    this.constructs = [undefined];
    const { walk } = this;
    const { cursor } = walk;
    walk.begin(type, types, code, body.end);
    while (cursor.next()) {
      this.look();
      walk.apply();
      this.followFrames();
    }
    if (this.sites.length === 0) return null;
    for (const local of types) requireValue(local, "a local");
    const dead = this.liveness.find(code, body.end, type.params.length, types.length, this.polls);
    const siteLocal = types.length;
    const spills = this.takeSpills(true);
    const resumeSpills = this.takeSpills(false);
    let next = siteLocal + 1;
    for (const spill of spills) spill.local = next++;
    const zeros = new Map<ValueType, number>();
    for (const locals of dead.values()) {
      for (const local of locals) if (!zeros.has(types[local])) zeros.set(types[local], next++);
    }
    for (const spill of resumeSpills) spill.local = next++;
    if (next >= locals_max) refuse(`a function with ${types.length} locals`);
    if (this.sites.length > callSites_max) refuse(`a function with ${this.sites.length} calls`);
    return {
      type,
      locals: types,
      code,
      body: whole,
      sites: this.sites,
      keeps: this.keeps.sort((a, b) => a.position - b.position),
      catches: this.catches.sort((a, b) => a.position - b.position),
      spills,
      zeros,
      resumeSpills,
      dead,
      siteLocal,
    };
  }

  /** Looks at the instruction under the cursor, before it has its effect. */
  private look(): void {
    const { walk, suspendable } = this;
    const { cursor } = walk;
    switch (cursor.opcode) {
      case op.call:
        if (!walk.dead && suspendable.function(cursor.readIndex())) {
          this.addSite(0);
          if (cursor.readIndex() === this.poll) this.polls.set(cursor.start, this.sites.length);
        }
        break;
      case op.callIndirect:
        if (!walk.dead && suspendable.type(cursor.readCallIndirect().typeIndex)) this.addSite(1);
        break;
      case op.callRef:
        if (!walk.dead && suspendable.type(cursor.readIndex())) refuse("a call through a reference");
        break;
      case op.catchAll:
        this.catches.push({ kind: "legacy", position: cursor.start });
        break;
      case op.tryTable:
        this.lookAtClauses();
        break;
    }
  }

  /** After an instruction: arms and constructs follow the control frames. */
  private followFrames(): void {
    const { frames, cursor } = this.walk;
    const { arms, constructs } = this;
    if (frames.length > arms.length) {
      arms.push(undefined);
      constructs.push(undefined);
    } else if (frames.length < arms.length) {
      arms.pop();
      constructs.pop();
    } else if (cursor.opcode === op.else || cursor.opcode === op.catch || cursor.opcode === op.catchAll) {
      arms[arms.length - 1] = undefined;
    }
  }

  private lookAtClauses(): void {
    const { cursor, frames } = this.walk;
    const reader = cursor.readClauses();
    const position = reader.position;
    const count = reader.count("catch clauses");
    for (let index = 0; index < count; index++) {
      const kind = reader.u8();
      if (kind >= clauseCatchAll) {
        this.catches.push({ kind: "clauses", position, depth: frames.length });
        return;
      }
      reader.skipLeb(5);
      reader.skipLeb(5);
    }
  }

  /** The call under the cursor may suspend; besides its arguments it takes `extra` operands. */
  private addSite(extra: number): void {
    const { walk } = this;
    const { params, results } = walk.callee();
    const number = this.sites.push(walk.cursor.start);
    const taken = params.length + extra;
    this.keepUpTo(walk.depth - taken);
    const depth = walk.frames.length - 1;
    const arm = this.arm(depth, number);
    const below = this.operands(walk.frames[depth].height, walk.depth - taken);
    const given = extra === 0 ? params : [...params, valueType.i32];
    const operands = [...below, ...this.operands(walk.depth - taken, walk.depth, given)];
    arm.items.push({
      start: walk.cursor.start,
      firstSite: number,
      lastSite: number,
      operands,
      taken,
      results,
      construct: null,
    });
  }

  /** The operands below `depth` wait under a call: they get spills. */
  private keepUpTo(depth: number): void {
    const { walk } = this;
    for (; walk.settled < depth; walk.settled++) {
      const at = walk.settled;
      const position = walk.producedAt[at];
      const group = walk.groups.get(position);
      if (group === undefined) {
        this.keeps.push({ position, spills: [this.spill(walk.types[at], at, true)] });
      } else if (!this.keptGroups.has(position)) {
        this.keptGroups.add(position);
        const spills = group.types.map((type, index) => this.spill(type, group.base + index, true));
        this.keeps.push({ position, spills });
      }
    }
  }

  /** The arm that is open at a depth of constructs; call site `number` is in it. */
  private arm(depth: number, number: number): Arm {
    const frame = this.walk.frames[depth];
    const known = this.arms[depth];
    if (depth > 0) {
      // Widen what is known of the constructs around.
      const outer = this.arm(depth - 1, number);
      if (known !== undefined) {
        outer.items[outer.items.length - 1].lastSite = number;
        return known;
      }
      return this.openArm(depth, number, outer, frame);
    }
    return known as Arm;
  }

  private openArm(depth: number, number: number, outer: Arm, frame: ControlFrame): Arm {
    let construct = this.constructs[depth];
    // The parameters of a construct are on the stack of its first arm and of an `else`, not of a catch block.
    const params = this.operands(frame.height, frame.height + frame.params.length, frame.params);
    if (construct === undefined) {
      construct = { opcode: frame.opcode, arms: new Map() };
      this.constructs[depth] = construct;
      const below = this.operands(this.walk.frames[depth - 1].height, frame.height);
      const condition =
        frame.opcode === op.if ? [this.spill(valueType.i32, frame.height + frame.params.length, false)] : [];
      outer.items.push({
        start: frame.start,
        firstSite: number,
        lastSite: number,
        operands: [...below, ...params, ...condition],
        taken: params.length + condition.length,
        results: null,
        construct,
      });
    } else outer.items[outer.items.length - 1].lastSite = number;
    const arm = this.makeArm(frame, params);
    construct.arms.set(frame.arm, arm);
    this.arms[depth] = arm;
    return arm;
  }

  private makeArm(frame: ControlFrame, params: readonly Spill[]): Arm {
    const start = frame.armStart;
    if (frame.opcode !== op.try || frame.arm === 0) return { start, params, items: [], caught: null };
    if (frame.armTag >= 0) {
      const values = this.keptValues(frame.armTag);
      if (values.length > 0) this.keeps.push({ position: start, spills: values });
      return {
        start,
        params: values,
        items: [],
        caught: { which: null, payloads: [[frame.armTag, values]] },
      };
    }
    const payloads: (readonly [number, readonly Spill[]])[] = [];
    for (let tag = 0; tag < this.walk.space.tags.length; tag++) {
      if (tag !== this.unwind) payloads.push([tag, this.keptValues(tag)]);
    }
    const caught = { which: this.ownSpill(valueType.i32), payloads };
    this.catches.push({ kind: "caught", position: start, caught });
    return { start, params: [], items: [], caught };
  }

  /** Spills of their own for what exceptions with a tag carry. */
  private keptValues(tag: number): Spill[] {
    return this.walk.tagTypes(tag).map((type) => this.ownSpill(type));
  }

  private ownSpill(type: ValueType): Spill {
    requireValue(type, "a caught value");
    const spill: Spill = { type, saved: true, local: 0 };
    this.ownSpills.push(spill);
    return spill;
  }

  /** Spills for the operands between two depths. */
  private operands(from: number, to: number, types?: readonly ValueType[]): Spill[] {
    const spills: Spill[] = [];
    for (let depth = from; depth < to; depth++) {
      const type = types === undefined ? this.walk.types[depth] : types[depth - from];
      spills.push(this.spill(type, depth, false));
    }
    return spills;
  }

  private spill(type: ValueType, depth: number, saved: boolean): Spill {
    if (saved) requireValue(type, "an operand under a call");
    else if ((type & 0xff) === valueType.reference)
      refuse("a reference that cannot be null, given to a call");
    let byDepth = this.spills.get(type);
    if (byDepth === undefined) {
      byDepth = [];
      this.spills.set(type, byDepth);
    }
    byDepth[depth] ??= { type, saved: false, local: 0 };
    const spill = byDepth[depth];
    if (saved) spill.saved = true;
    return spill;
  }

  /** Spills in the order of their types. */
  private takeSpills(saved: boolean): Spill[] {
    const taken: Spill[] = saved ? [...this.ownSpills] : [];
    for (const byDepth of this.spills.values()) {
      for (const spill of byDepth) if (spill !== undefined && spill.saved === saved) taken.push(spill);
    }
    return taken;
  }
}

function requireValue(type: ValueType, what: string): void {
  if (!frameTypes.includes(type)) refuse(`${what} that is a reference`);
}

function refuse(what: string): never {
  throw new UnsupportedModuleError(what, "it cannot be captured");
}
