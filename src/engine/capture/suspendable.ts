/**
 * Which functions can be on the stack when a context is captured: those that call something that may suspend,
 * directly or through others. All other functions stay as they are.
 */
import { InstructionCursor } from "../wasm/cursor.ts";
import { importCount, type Module } from "../wasm/module.ts";
import { op, opcodeCount, opcodeTables } from "../wasm/opcodes.ts";
import { bodyCode } from "./locals.ts";

const elementDrop = opcodeTables.names.indexOf("elem.drop");
/** 1 for instructions that change a table. */
const tableChange = new Uint8Array(opcodeCount);
for (const name of ["table.set", "table.grow", "table.fill", "table.copy", "table.init"]) {
  tableChange[opcodeTables.names.indexOf(name)] = 1;
}

/** Who calls whom, for all functions by index. */
interface Calls {
  /** Callers of each function, directly. */
  readonly callers: number[][];
  /** Functions that call through a table or reference, by the type of the callee. */
  readonly indirectCallers: Map<number, number[]>;
  readonly legacyExceptions: boolean;
  readonly changesTable: boolean;
  readonly dropsElements: boolean;
  /** Functions whose references are taken in code. */
  readonly references: ReadonlySet<number>;
}

export class Suspendable {
  /** The module has exceptions of the first proposal. */
  readonly legacyExceptions: boolean;
  /** The program changes its tables, or drops element segments. */
  readonly changesTable: boolean;
  readonly dropsElements: boolean;
  /** Functions whose references are taken in code. */
  readonly references: ReadonlySet<number>;
  private readonly functions: Uint8Array;
  private readonly types: Uint8Array;

  constructor(calls: Calls, functions: Uint8Array, types: Uint8Array) {
    this.legacyExceptions = calls.legacyExceptions;
    this.changesTable = calls.changesTable;
    this.dropsElements = calls.dropsElements;
    this.references = calls.references;
    this.functions = functions;
    this.types = types;
  }

  /** Whether a call of the function may suspend. */
  function(index: number): boolean {
    return this.functions[index] === 1;
  }

  /** Whether an indirect call of a function of this type may suspend. */
  type(typeIndex: number): boolean {
    return this.types[typeIndex] === 1;
  }
}

/**
 * @param functionTypes type indices of all functions.
 * @param roots functions that suspend themselves.
 */
export function findSuspendable(
  module: Module,
  functionTypes: Uint32Array,
  roots: Iterable<number>,
): Suspendable {
  const calls = findCalls(module);
  const { callers, indirectCallers } = calls;
  const sameType = canonicalTypes(module);
  const functions = new Uint8Array(functionTypes.length);
  const canonical = new Uint8Array(module.types.length);
  const pending: number[] = [];
  const mark = (index: number): void => {
    if (functions[index] === 1) return;
    functions[index] = 1;
    pending.push(index);
  };
  for (const root of roots) mark(root);
  for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
    for (const caller of callers[index] ?? []) mark(caller);
    // Any function may be in a table: which ones are is not worth finding out.
    const type = sameType[functionTypes[index]];
    if (canonical[type] === 1) continue;
    canonical[type] = 1;
    for (const [called, from] of indirectCallers)
      if (sameType[called] === type) for (const f of from) mark(f);
  }
  const types = sameType.map((type) => canonical[type]);
  return new Suspendable(calls, functions, Uint8Array.from(types));
}

function findCalls(module: Module): Calls {
  const first = importCount(module, "function");
  const callers: number[][] = [];
  const indirectCallers = new Map<number, number[]>();
  let legacyExceptions = false;
  let changesTable = false;
  let dropsElements = false;
  const references = new Set<number>();
  const addIndirect = (type: number, caller: number): void => {
    const list = indirectCallers.get(type);
    if (list === undefined) indirectCallers.set(type, [caller]);
    else if (list[list.length - 1] !== caller) list.push(caller);
  };
  const cursor = new InstructionCursor(module.bytes);
  for (const [bodyIndex, body] of module.bodies.entries()) {
    if (body instanceof Uint8Array) continue;
    const caller = first + bodyIndex;
    cursor.moveTo(bodyCode(module, body), body.end);
    while (cursor.next()) {
      switch (cursor.opcode) {
        case op.call:
        case op.returnCall: {
          const callee = cursor.readIndex();
          callers[callee] ??= [];
          const list = callers[callee];
          if (list[list.length - 1] !== caller) list.push(caller);
          break;
        }
        case op.callIndirect:
        case op.returnCallIndirect:
          addIndirect(cursor.readCallIndirect().typeIndex, caller);
          break;
        case op.callRef:
        case op.returnCallRef:
          addIndirect(cursor.readIndex(), caller);
          break;
        case op.try:
          legacyExceptions = true;
          break;
        case op.refFunc:
          references.add(cursor.readIndex());
          break;
        case elementDrop:
          dropsElements = true;
          break;
        default:
          if (tableChange[cursor.opcode] === 1) changesTable = true;
      }
    }
  }
  return { callers, indirectCallers, legacyExceptions, changesTable, dropsElements, references };
}

/** For each type the first that is equal to it. */
function canonicalTypes(module: Module): number[] {
  const first = new Map<string, number>();
  return module.types.map((type, index) => {
    const key = type.kind === "function" ? `${type.params}>${type.results}` : `other ${index}`;
    const known = first.get(key);
    if (known === undefined) first.set(key, index);
    return known ?? index;
  });
}
