/**
 * The control and poll passes: the module imports the control page of its core and polls its poll byte at loop
 * heads, and before calls that could otherwise lead far without passing a loop. A byte that is not zero
 * calls the kernel, which may let the program go on, suspend it, or end it.
 *
 * A poll costs what it does to the code around it more than what it executes. Hence two shapes. Most loops get
 *
 * ```wat
 * (if (i32.load8_u $control) (then (call $poll)))
 * ```
 *
 * marked as unlikely, so that the compiler moves the call out of line; the call also keeps the compiler from
 * moving the load out of the loop. Small inner loops without calls are unrolled instead: see `unroll.ts`.
 *
 * In programs that count their instructions, all loops get the first shape, and the test is another: see `fuel.ts`.
 */
import { valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import {
  CONTROL_POLL_OFFSET,
  engineImport,
  engineNamespace,
  framesPages,
  interruptAnswer,
  unwindExport,
} from "./abi.ts";
import { type BodyPlan, type BodyRewriter, noBodyPlan } from "./body.ts";
import { CallGraph } from "./call-graph.ts";
import { findCallPolls } from "./call-polls.ts";
import { type RuntimeFunctions, suspendCode } from "./calls.ts";
import { byteAlignment, loadControl } from "./control-page.ts";
import type { ModuleEditor, Pass } from "./editor.ts";
import { FuelCounter, fuelIsGone } from "./fuel.ts";
import type { FuelPrecision } from "./fuel-plan.ts";
import type { BranchHints } from "./hints.ts";
import { type BodyFacts, findLoops, type Loop } from "./loops.ts";
import { LoopUnroller } from "./unroll.ts";

/** How many polls of which kind a module got. */
export interface PollCounts {
  /** Loop heads with a conditional call. */
  loops: number;
  /** Inner loops that were unrolled or at least poll from outside. */
  leafLoops: number;
  functionEntries: number;
  /** Calls that poll first. */
  calls: number;
}

export interface PollPass extends Pass {
  readonly counts: PollCounts;
  /** The functions that this pass imports; known once `declare` has run. */
  runtime(): RuntimeFunctions;
  /** The function that polls call; known once `define` has run. */
  poll(): number;
}

/**
 * @param capture whether the kernel may capture contexts: the stack can then be unwound.
 * @param fuel how the program counts its instructions; null if it does not.
 */
export function pollPass(hints: BranchHints, capture: boolean, fuel: FuelPrecision | null): PollPass {
  let control = 0;
  let interrupt = 0;
  let suspend = 0;
  let die = 0;
  let unwind: number | null = null;
  let poll = 0;
  const counts: PollCounts = {
    loops: 0,
    leafLoops: 0,
    functionEntries: 0,
    calls: 0,
  };
  return {
    name: "poll",
    counts,
    runtime: () => ({ suspend, die, unwind }),
    poll: () => poll,
    declare(editor: ModuleEditor): void {
      const { i32 } = valueType;
      control = editor.importMemory(engineNamespace, engineImport.control, {
        minimum: 1,
        maximum: 1,
        shared: true,
        wide: false,
      });
      if (capture) {
        const pages = framesPages;
        const limits = { minimum: pages, maximum: pages, shared: false, wide: false };
        editor.importMemory(engineNamespace, engineImport.frames, limits);
      }
      interrupt = editor.importFunction(engineNamespace, engineImport.interrupt, [], [i32]);
      suspend = editor.importFunction(engineNamespace, engineImport.suspend, [], [i32]);
      die = editor.importFunction(engineNamespace, engineImport.die, [], []);
      if (capture) unwind = editor.addTag(unwindExport);
    },
    define(editor: ModuleEditor): void {
      const loadByte = (instruction: readonly number[]): Uint8Array =>
        loadControl(control, instruction, byteAlignment, CONTROL_POLL_OFFSET);
      const test = fuel === null ? loadByte([op.i32Load8U]) : fuelIsGone(control);
      poll = editor.addFunction(
        editor.functionType([], []),
        pollFunction(test, interrupt, { suspend, die, unwind }),
      );
      editor.restartable.set(poll, editor.functionCount);
      const templates = { test, testAtomic: loadByte(i32AtomicLoad8U), callPoll: encodeCall(poll) };
      const facts = findLoops(editor.module, (opcode) => editor.isHooked(opcode));
      const counter = fuel === null ? null : new FuelCounter(editor, control, facts, fuel);
      emitPolls(editor, hints, templates, { facts, counter, counts });
    },
  };
}

const i32AtomicLoad8U: readonly number[] = [0xfe, 0x12];

interface PollTemplates {
  readonly test: Uint8Array;
  readonly testAtomic: Uint8Array;
  readonly callPoll: Uint8Array;
}

/** Loops up to this size are unrolled, as often as fits, but not more than eight times. */
const unrolledBytes_max = 400;
const copies_max = 8;
/** Larger inner loops, and those in large functions, gain nothing from leaving the loop to call. */
const leafLoopBytes_max = 1000;
const leafLoopFunctionBytes_max = 5000;

/** How often the body of a loop is written if the loop polls from outside; 0 if it polls by a conditional call. */
function copiesOf(loop: Loop, body: BodyFacts): number {
  const size_bytes = loop.bodyEnd - loop.bodyStart;
  if (!loop.innermost || !loop.copyable || !loop.plainType) return 0;
  if (size_bytes > leafLoopBytes_max || body.size_bytes > leafLoopFunctionBytes_max) return 0;
  return Math.max(1, Math.min(copies_max, Math.floor(unrolledBytes_max / Math.max(size_bytes, 1))));
}

const callOpcodes: readonly number[] = [
  ...[op.call, op.callIndirect, op.callRef],
  ...[op.returnCall, op.returnCallIndirect, op.returnCallRef],
];

interface PollWork {
  readonly facts: readonly BodyFacts[];
  /** For programs that count their instructions. */
  readonly counter: FuelCounter | null;
  readonly counts: PollCounts;
}

function emitPolls(
  editor: ModuleEditor,
  hints: BranchHints,
  templates: PollTemplates,
  { facts, counter, counts }: PollWork,
): void {
  const { module } = editor;
  const graph = new CallGraph(module, facts, editor.importedFunctions, module.functions);
  const callPolls = findCallPolls(graph, facts);
  const unroller = new LoopUnroller(module.bytes, templates);

  const pollHere = (body: BodyRewriter): void => {
    const { writer } = body;
    writer.raw(templates.test);
    hints.unlikely(body);
    writer.raw([op.if, 0x40]);
    writer.raw(templates.callPoll);
    writer.u8(op.end);
  };
  const pollAtEntry = (body: BodyRewriter): void => {
    counts.functionEntries++;
    pollHere(body);
  };
  const entryPlan = (polls: boolean, countsFuel: boolean): BodyPlan => {
    if (!countsFuel) return polls ? { addedLocals: 0, entry: pollAtEntry } : noBodyPlan;
    const entry = (body: BodyRewriter): void => {
      counter?.countEntry(body);
      if (polls) pollAtEntry(body);
    };
    return { addedLocals: 0, entry };
  };
  let nextLoop = 0;
  let sites: readonly number[] = [];
  let nextSite = 0;
  editor.planBody = (bodyIndex) => {
    nextLoop = 0;
    nextSite = 0;
    const countsFuel = counter?.enter(bodyIndex) === true;
    sites = bodyIndex < facts.length ? callPolls.sites(bodyIndex) : [];
    return entryPlan(bodyIndex < facts.length && callPolls.atEntry(bodyIndex), countsFuel);
  };
  const pollSite = (body: BodyRewriter): void => {
    if (sites[nextSite] !== body.cursor.start) return;
    nextSite++;
    counts.calls++;
    body.seekBefore();
    pollHere(body);
  };
  for (const opcode of callOpcodes) editor.before(opcode, pollSite);
  editor.before(op.loop, (body) => {
    const bodyFacts = facts[body.bodyIndex];
    const loop = bodyFacts.loops[nextLoop++];
    const copies = counter === null ? copiesOf(loop, bodyFacts) : 0;
    if (copies === 0) {
      counts.loops++;
      body.seekAfter();
      counter?.countAfter(body);
      pollHere(body);
    } else {
      counts.leafLoops++;
      body.seekReplace();
      unroller.write(body.writer, loop, copies, () => hints.likely(body));
      body.skipTo(loop.end);
    }
  });
}

function encodeCall(index: number): Uint8Array {
  const writer = new ByteWriter(8);
  writer.u8(op.call);
  writer.u32(index);
  return writer.written().slice();
}

/** Asks the kernel until it says to go on; suspends as long as it says so. */
function pollFunction(test: Uint8Array, interrupt: number, functions: RuntimeFunctions): Uint8Array {
  const writer = new ByteWriter();
  const answer = 0;
  const answers = (value: number): void => {
    writer.raw([op.localGet, answer, op.i32Const, value, op.i32Eq, op.if, 0x40]);
  };
  writer.raw([1, 1, valueType.i32]);
  writer.raw([op.loop, 0x40]);
  writer.raw(encodeCall(interrupt));
  writer.raw([op.localTee, answer, op.i32Eqz, op.if, 0x40, op.return, op.end]);
  answers(interruptAnswer.suspend);
  writer.raw(suspendCode(functions));
  writer.raw(test);
  writer.raw([op.branchIf, 1, op.return, op.end]);
  if (functions.unwind !== null) {
    answers(interruptAnswer.capture);
    writer.u8(op.throw);
    writer.u32(functions.unwind);
    writer.u8(op.end);
  }
  writer.raw(encodeCall(functions.die));
  writer.raw([op.unreachable, op.end, op.end]);
  return writer.written().slice();
}
