/**
 * Where a function of a program that counts its instructions does so, and how many it adds at each place.
 *
 * Code is cut into *pieces*: stretches that are entered at their start only and left at their end only. Counting in
 * each of them would be exact, and slow. So a piece is added to an earlier *point* that is always passed before it:
 * the function's entry, the head of the loop around it, or the start of an earlier piece. A piece that is executed
 * whenever its point is (but for traps and exceptions) is added without a second thought. One that may be skipped is
 * added only as long as all such pieces of the point are no more than what is sure: what is counted then is at least
 * what is executed, and at most about twice as much. Otherwise the piece becomes a point itself.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import { op, opcodeCount, opcodeTables } from "../wasm/opcodes.ts";

/** `close`: as said above. `exact`: every piece is a point. In both, a trap may come before what was counted is done. */
export type FuelPrecision = "close" | "exact";

/** The points of one function that have something to count, in order. */
export interface FuelPlan {
  /** Counted at the entry. */
  readonly entryCost: number;
  /** Start of the instruction behind which each of the other points stands. */
  readonly starts: readonly number[];
  readonly costs: readonly number[];
}

/** Where the entry's point stands: before every instruction. */
const entryStart = -1;
/** Few instructions that may be skipped are not worth a point, whatever is sure. */
const negligible = 6;

/** How an instruction matters to the walk. */
const role = {
  plain: 0,
  /** It makes no code. */
  free: 1,
  block: 2,
  loop: 3,
  if: 4,
  /** An `else` or a handler: code that is entered instead of other code of its construct. */
  arm: 5,
  end: 6,
  branch: 7,
  branchIf: 8,
  branchTable: 9,
  /** A conditional branch whose label is not looked at. */
  branchSomewhere: 10,
  /** Leaves the function, or goes to a handler. */
  leave: 11,
  trap: 12,
  call: 13,
} as const;

const rolesByOpcode: readonly (readonly [number, readonly number[]])[] = [
  [role.block, [op.block, op.try, op.tryTable]],
  [role.loop, [op.loop]],
  [role.if, [op.if]],
  [role.arm, [op.else, op.catch, op.catchAll]],
  [role.end, [op.end, op.delegate]],
  [role.branch, [op.branch]],
  [role.branchIf, [op.branchIf]],
  [role.branchTable, [op.branchTable]],
  [role.leave, [op.return, op.throw, op.rethrow, op.throwRef]],
  [role.leave, [op.returnCall, op.returnCallIndirect, op.returnCallRef]],
  [role.trap, [op.unreachable]],
  [role.call, [op.call]],
];
const rolesByName: Readonly<Record<string, number>> = {
  nop: role.free,
  br_on_null: role.branchSomewhere,
  br_on_non_null: role.branchSomewhere,
  br_on_cast: role.branchSomewhere,
  br_on_cast_fail: role.branchSomewhere,
};

/** What a piece that can be reached may start with, loops aside. */
const pointRoles: readonly number[] = [role.if, role.arm, role.end, role.branchIf, role.branchSomewhere];

/** A `role` by instruction number. */
const roles: Uint8Array = buildRoles();

function buildRoles(): Uint8Array {
  const table = new Uint8Array(opcodeCount);
  for (const [name, kind] of Object.entries(rolesByName)) table[opcodeTables.names.indexOf(name)] = kind;
  for (const [kind, opcodes] of rolesByOpcode) for (const opcode of opcodes) table[opcode] = kind;
  return table;
}

/** Instructions behind which a point may stand, loops aside. */
export const pointOpcodes: readonly number[] = [...roles.keys()].filter((opcode) =>
  pointRoles.includes(roles[opcode]),
);

interface Point {
  readonly start: number;
  /** Instructions that are executed whenever the point is passed, and those that may be. */
  sure: number;
  unsure: number;
}

/** An open construct. */
interface Frame {
  /** What opened it, or its current arm. */
  opcode: number;
  /** What held where it was opened. */
  readonly point: number;
  readonly sure: boolean;
  readonly dead: boolean;
  /** A branch inside goes further than to its end. */
  escapes: boolean;
  /** Its end is reached otherwise than from the code right before it. */
  endReached: boolean;
}

/** Plans one function after the other. */
export class FuelPlanner {
  private readonly cursor: InstructionCursor;
  private readonly precision: FuelPrecision;
  private readonly calleeCost: (functionIndex: number) => number;
  private frames: Frame[] = [];
  private points: Point[] = [];
  /** The point before the code under the cursor to which that can be added. */
  private point = 0;
  /** That code is executed whenever the point is passed. */
  private sure = true;
  /** That code is never reached. */
  private dead = false;
  /** The instruction before the piece, and what is in the piece so far. */
  private pieceStart = entryStart;
  private pieceCost = 0;

  /**
   * @param bytes the module that the functions are in.
   * @param calleeCost what a direct call of a function counts besides the call itself.
   */
  constructor(bytes: Uint8Array, precision: FuelPrecision, calleeCost: (functionIndex: number) => number) {
    this.cursor = new InstructionCursor(bytes);
    this.precision = precision;
    this.calleeCost = calleeCost;
  }

  /** @param code where the code of the function starts, behind the local declarations. */
  plan(code: number, end: number): FuelPlan {
    const { cursor } = this;
    this.frames = [];
    this.points = [];
    this.addPoint(entryStart);
    this.dead = false;
    this.pieceStart = entryStart;
    this.pieceCost = 0;
    cursor.moveTo(code, end);
    while (cursor.next()) this.look();
    const [entry, ...others] = this.points.map(({ start, sure, unsure }) => ({ start, cost: sure + unsure }));
    const counting = others.filter(({ cost }) => cost > 0);
    return {
      entryCost: entry.cost,
      starts: counting.map(({ start }) => start),
      costs: counting.map(({ cost }) => cost),
    };
  }

  private look(): void {
    const { cursor } = this;
    switch (roles[cursor.opcode]) {
      case role.plain:
        this.add(1);
        return;
      case role.free:
        return;
      case role.call:
        this.add(1 + this.calleeCost(cursor.readIndex()));
        return;
      case role.block:
        this.open();
        return;
      case role.loop:
        this.endPiece();
        this.open();
        this.addPoint(cursor.start);
        return;
      case role.if:
        this.add(1);
        this.endPiece();
        this.open();
        this.sure = false;
        return;
      case role.arm:
        this.nextArm();
        return;
      case role.end:
        this.close();
        return;
      default:
        this.lookAtBranch();
    }
  }

  private lookAtBranch(): void {
    const { cursor, frames } = this;
    const kind = roles[cursor.opcode];
    if (kind !== role.trap) this.add(1);
    this.endPiece();
    switch (kind) {
      case role.branch:
      case role.branchIf:
        this.goTo(cursor.readIndex());
        break;
      case role.branchTable: {
        const reader = cursor.readerAt(cursor.immediates);
        const count = reader.count("labels");
        for (let label = 0; label <= count; label++) this.goTo(reader.u32("a label"));
        break;
      }
      case role.branchSomewhere:
        this.reachAllEnds();
        this.goTo(frames.length);
        break;
      case role.leave:
        this.goTo(frames.length);
        break;
    }
    if (kind === role.branchIf || kind === role.branchSomewhere) this.sure = false;
    else this.dead = true;
  }

  private open(): void {
    const { point, sure, dead, cursor, frames } = this;
    const { opcode } = cursor;
    // Its handlers are wherever its clauses say.
    if (opcode === op.tryTable) this.reachAllEnds();
    frames.push({ opcode, point, sure, dead, escapes: false, endReached: false });
  }

  /** An `else` or a handler. */
  private nextArm(): void {
    this.endPiece();
    const frame = this.frames[this.frames.length - 1];
    if (!this.dead) frame.endReached = true;
    // From now on it is not the `if` itself that leads to the end.
    frame.opcode = op.else;
    this.point = frame.point;
    this.sure = false;
    this.dead = frame.dead;
  }

  private close(): void {
    this.endPiece();
    const frame = this.frames.pop();
    // The end of the function.
    if (frame === undefined) return;
    const endReached = !this.dead || frame.endReached || frame.opcode === op.if;
    this.point = frame.point;
    this.sure = frame.sure && !frame.escapes;
    this.dead = frame.dead || !endReached;
  }

  /** Code goes to a label: what it leaves on the way has ends that may not be reached. */
  private goTo(label: number): void {
    if (this.dead) return;
    const { frames } = this;
    const target = frames.length - 1 - label;
    for (let depth = Math.max(0, target + 1); depth < frames.length; depth++) frames[depth].escapes = true;
    if (target >= 0 && frames[target].opcode !== op.loop) frames[target].endReached = true;
  }

  private reachAllEnds(): void {
    for (const frame of this.frames) frame.endReached = true;
  }

  private add(cost: number): void {
    if (!this.dead) this.pieceCost += cost;
  }

  /** The piece ends with the instruction under the cursor: its cost goes to a point. */
  private endPiece(): void {
    const { pieceStart, pieceCost } = this;
    this.pieceStart = this.cursor.start;
    this.pieceCost = 0;
    if (pieceCost === 0) return;
    if (this.precision === "exact" && pieceStart !== entryStart) {
      this.points.push({ start: pieceStart, sure: pieceCost, unsure: 0 });
      return;
    }
    const point = this.points[this.point];
    if (this.sure) point.sure += pieceCost;
    else if (point.unsure + pieceCost <= Math.max(point.sure, negligible)) point.unsure += pieceCost;
    else {
      this.addPoint(pieceStart);
      this.points[this.point].sure = pieceCost;
    }
  }

  private addPoint(start: number): void {
    this.point = this.points.push({ start, sure: 0, unsure: 0 }) - 1;
    this.sure = true;
  }
}
