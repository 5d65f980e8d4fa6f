/**
 * Programs that count the instructions they execute, for machines on which those are what takes time. At the points
 * that `fuel-plan.ts` chooses, code subtracts from the word `fuel` of the control page what is executed from there
 * on; polls then test whether the word is negative, in place of the poll byte. A poll
 *
 * ```wat
 * (if (i32.lt_s (i32.load $control) 0) (then (call $poll)))
 * ```
 *
 * So a program is interrupted by making the word negative, and a slice ends at the first poll after it has been used
 * up. How much is subtracted depends on the program and what it was given only, never on when it was captured.
 *
 * Instructions that work on many bytes subtract one for each 8 bytes besides. Not counted: what the kernel does
 * (system calls, growing), and the elements that `table.copy` and its like work on.
 */
import { bodyCode } from "../capture/locals.ts";
import { UnsupportedModuleError } from "../errors.ts";
import { call, constant, localGet } from "../wasm/code.ts";
import { allMemories, type Module, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import type { BodyRewriter } from "./body.ts";
import { referencedFunctions } from "./call-graph.ts";
import { accessControl, CONTROL_FUEL_OFFSET, loadControl, wordAlignment } from "./control-page.ts";
import type { ModuleEditor } from "./editor.ts";
import { type FuelPlan, FuelPlanner, type FuelPrecision, pointOpcodes } from "./fuel-plan.ts";
import type { BodyFacts } from "./loops.ts";

/** A function that calls nothing, of up to so many instructions and bytes, is counted where it is called. */
const leafCost_max = 16;
const leafBytes_max = 100;
/** An instruction that works on many bytes does so many at a time, as a power of two. */
const bulkBytes_log2 = 3;
/** No single instruction makes fuel less than this, so that it cannot run over before the next poll. */
const fuel_min = -(2 ** 30);

/** Code that leaves on the stack whether a poll is to call the kernel. */
export function fuelIsGone(control: number): Uint8Array {
  return Uint8Array.from([...loadFuel(control), op.i32Const, 0, op.i32LtS]);
}

function loadFuel(control: number): Uint8Array {
  return loadControl(control, [op.i32Load], wordAlignment, CONTROL_FUEL_OFFSET);
}

/** Where instructions are time all cores share a thread, and an instruction that blocks it would stop them all. */
function refuseWaiting(): never {
  throw new UnsupportedModuleError("memory.atomic.wait", "on a simulated machine it would never end");
}

/** Counts in the bodies of a module, as they are written. */
export class FuelCounter {
  private readonly module: Module;
  private readonly load: Uint8Array;
  private readonly store: Uint8Array;
  private readonly planner: FuelPlanner;
  /** What leaves cost, by original index. */
  private readonly leaves: ReadonlyMap<number, number>;
  private readonly importedFunctions: number;
  private plan: FuelPlan = { entryCost: 0, starts: [], costs: [] };
  private next = 0;

  /** @param control index of the memory that is the control page. */
  constructor(editor: ModuleEditor, control: number, facts: readonly BodyFacts[], precision: FuelPrecision) {
    const { module, importedFunctions } = editor;
    this.module = module;
    this.importedFunctions = importedFunctions;
    this.load = loadFuel(control);
    this.store = accessControl(control, [op.i32Store], wordAlignment, CONTROL_FUEL_OFFSET);
    const alone = new FuelPlanner(module.bytes, precision, () => 0);
    this.leaves = findLeaves(module, importedFunctions, facts, alone);
    this.planner = new FuelPlanner(module.bytes, precision, (callee) => this.leaves.get(callee) ?? 0);
    for (const opcode of pointOpcodes) editor.before(opcode, (body) => this.countAfter(body));
    this.countBulk(editor);
    for (const opcode of [op.memoryAtomicWait32, op.memoryAtomicWait64]) editor.before(opcode, refuseWaiting);
  }

  /** The body is about to be written. True if it counts at its entry. */
  enter(bodyIndex: number): boolean {
    const body = this.module.bodies[bodyIndex];
    if (body instanceof Uint8Array) return false;
    this.plan = this.planner.plan(bodyCode(this.module, body), body.end);
    this.next = 0;
    return this.plan.entryCost > 0 && !this.leaves.has(this.importedFunctions + bodyIndex);
  }

  /** Counts what the entry does. */
  countEntry(body: BodyRewriter): void {
    this.subtract(body.writer, this.plan.entryCost);
  }

  /** Counts behind the current instruction, if there is a point. */
  countAfter(body: BodyRewriter): void {
    const { starts, costs } = this.plan;
    if (starts[this.next] !== body.cursor.start) return;
    body.seekAfter();
    this.subtract(body.writer, costs[this.next++]);
  }

  private subtract(writer: ByteWriter, cost: number): void {
    writer.raw([op.i32Const, 0]);
    writer.raw(this.load);
    constant(writer, cost);
    writer.u8(op.i32Sub);
    writer.raw(this.store);
  }

  /** Before an instruction that works on many bytes: their number is on top of the stack. */
  private countBulk(editor: ModuleEditor): void {
    const memories = allMemories(this.module);
    if (memories.length === 0) return;
    const narrow = this.addBulkFunction(editor, false);
    const wide = memories.some((memory) => memory.wide) ? this.addBulkFunction(editor, true) : narrow;
    const isWide = (index: number): boolean => memories[editor.memory(index)].wide;
    const count = (body: BodyRewriter, lengthIsWide: boolean): void => {
      body.seekBefore();
      call(body.writer, lengthIsWide ? wide : narrow);
    };
    editor.before(op.memoryInit, (body) => count(body, false));
    editor.before(op.memoryFill, (body) => count(body, isWide(body.cursor.readIndex())));
    editor.before(op.memoryCopy, (body) => {
      const reader = body.cursor.readerAt(body.cursor.immediates);
      const targetIsWide = isWide(reader.u32("a memory index"));
      count(body, isWide(reader.u32("a memory index")) && targetIsWide);
    });
  }

  /** Adds a function that takes a number of bytes, subtracts what they cost, and returns it. */
  private addBulkFunction(editor: ModuleEditor, isWide: boolean): number {
    const { i32, i64 } = valueType;
    const type = isWide ? i64 : i32;
    const fuel = 1;
    const writer = new ByteWriter(64);
    writer.raw([1, 1, i32, op.i32Const, 0]);
    writer.raw(this.load);
    localGet(writer, 0);
    // Memories have at most 4 GiB: an access to more traps, whatever was counted.
    if (isWide) writer.u8(op.i32WrapI64);
    writer.raw([op.i32Const, bulkBytes_log2, op.i32ShrU, op.i32Sub, op.localTee, fuel]);
    constant(writer, fuel_min);
    localGet(writer, fuel);
    constant(writer, fuel_min);
    writer.raw([op.i32GtS, op.select]);
    writer.raw(this.store);
    localGet(writer, 0);
    writer.u8(op.end);
    return editor.addFunction(editor.functionType([type], [type]), writer.written().slice());
  }
}

/** Small functions that only direct calls reach and that do nothing but compute, with their cost. */
function findLeaves(
  module: Module,
  importedFunctions: number,
  facts: readonly BodyFacts[],
  planner: FuelPlanner,
): ReadonlyMap<number, number> {
  const reached = referencedFunctions(module, facts);
  for (const { kind, index, added } of module.exports) {
    if (kind === "function" && added !== true) reached.add(index);
  }
  const leaves = new Map<number, number>();
  for (const [bodyIndex, { size_bytes, loops, calls, indirectCalls }] of facts.entries()) {
    const body = module.bodies[bodyIndex];
    const index = importedFunctions + bodyIndex;
    if (body instanceof Uint8Array || size_bytes > leafBytes_max || reached.has(index)) continue;
    if (loops.length > 0 || calls.targets.length > 0 || indirectCalls.targets.length > 0) continue;
    const { entryCost, starts } = planner.plan(bodyCode(module, body), body.end);
    if (starts.length === 0 && entryCost <= leafCost_max) leaves.set(index, entryCost);
  }
  return leaves;
}
