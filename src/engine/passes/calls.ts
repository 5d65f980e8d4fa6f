/**
 * The system call pass. A system call stays a plain import, as cheap as an import call is. Its uses go through a
 * wrapper in the module, which looks at the result: `BLOCKED` suspends the context and repeats the call, `DIED`
 * ends the program. So the price of stack switching is paid only when a call really waits. 64-bit parameters are
 * passed in two halves, the lower first, as BigInts would cost more than the rest of a call.
 */
import { call } from "../wasm/code.ts";
import { functionTypeAt, type ValueType, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";
import { BLOCKED, DIED } from "./abi.ts";
import type { ModuleEditor, Pass } from "./editor.ts";

/** Which imports are system calls. Plain data: it is part of the key under which modules are cached. */
export interface CallPolicy {
  /** Imports of these modules that return an i32 may block. */
  readonly namespaces: readonly string[];
  /** Names that never block: their results need no look. */
  readonly neverBlocks: readonly string[];
  /** Names that do not return: the program ends when they do. */
  readonly neverReturns: readonly string[];
}

export const wasiCallPolicy: CallPolicy = {
  namespaces: ["wasi_snapshot_preview1", "wasi_unstable", "wasix_32v1", "archipelago_1", "host_process"],
  neverBlocks: ["clock_res_get", "clock_time_get", "fd_prestat_get", "fd_prestat_dir_name", "random_get"],
  neverReturns: ["proc_exit", "proc_exec"],
};

/** Functions that other passes supply, by new index. */
export interface RuntimeFunctions {
  readonly suspend: number;
  readonly die: number;
  /** Tag of the exception that unwinds the stack for a capture; null when nothing is ever captured. */
  readonly unwind: number | null;
}

/** Calls `suspend`, and unwinds the stack if it says so. */
export function suspendCode({ suspend, unwind }: Pick<RuntimeFunctions, "suspend" | "unwind">): Uint8Array {
  const writer = new ByteWriter(16);
  call(writer, suspend);
  if (unwind === null) writer.u8(op.drop);
  else {
    writer.raw([op.if, 0x40, op.throw]);
    writer.u32(unwind);
    writer.u8(op.end);
  }
  return writer.written().slice();
}

/** @param runtime asked for in `define`, when the indices are known. */
export function callPass(policy: CallPolicy, runtime: () => RuntimeFunctions): Pass {
  return {
    name: "calls",
    define(editor: ModuleEditor): void {
      const { module } = editor;
      const functions = runtime();
      let functionIndex = -1;
      for (const [position, entry] of module.imports.entries()) {
        const { description } = entry;
        if (description.kind !== "function") continue;
        functionIndex++;
        if (functionIndex >= editor.importedFunctions) break;
        if (!policy.namespaces.includes(entry.module)) continue;
        const type = functionTypeAt(module, description.typeIndex);
        if (type === null) continue;
        const { params } = type;
        const ends = policy.neverReturns.includes(entry.name);
        const blocks = !ends && !policy.neverBlocks.includes(entry.name);
        if (ends && type.results.length > 0) continue;
        if (blocks && (type.results.length !== 1 || type.results[0] !== valueType.i32)) continue;
        const isWide = params.includes(valueType.i64);
        if (!ends && !blocks && !isWide) continue;
        const body = ends
          ? endingCall(functionIndex, params, functions.die)
          : blocks
            ? blockingCall(functionIndex, params, functions)
            : plainCall(functionIndex, params);
        const wrapper = editor.addFunction(description.typeIndex, body);
        editor.redirectFunction(functionIndex, wrapper);
        if (blocks) editor.restartable.set(wrapper, functionIndex);
        if (isWide) {
          const typeIndex = editor.functionType(params.flatMap(halved), type.results);
          module.imports[position] = { ...entry, description: { kind: "function", typeIndex } };
        }
      }
    },
  };
}

/** How a parameter reaches the kernel. */
function halved(type: ValueType): readonly ValueType[] {
  return type === valueType.i64 ? [valueType.i32, valueType.i32] : [type];
}

function passArguments(writer: ByteWriter, params: readonly ValueType[]): void {
  for (const [index, type] of params.entries()) {
    writer.u8(op.localGet);
    writer.u32(index);
    if (type !== valueType.i64) continue;
    writer.raw([op.i32WrapI64, op.localGet]);
    writer.u32(index);
    writer.raw([op.i64Const, 32, op.i64ShrU, op.i32WrapI64]);
  }
}

function plainCall(raw: number, params: readonly ValueType[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  passArguments(writer, params);
  call(writer, raw);
  writer.u8(op.end);
  return writer.written().slice();
}

function blockingCall(raw: number, params: readonly ValueType[], functions: RuntimeFunctions): Uint8Array {
  const writer = new ByteWriter();
  const local = (instruction: number): void => {
    writer.u8(instruction);
    writer.u32(params.length);
  };
  const constant = (value: number): void => {
    writer.u8(op.i32Const);
    writer.s32(value);
  };
  writer.raw([1, 1, valueType.i32]);
  writer.raw([op.loop, 0x40]);
  passArguments(writer, params);
  call(writer, raw);
  local(op.localTee);
  constant(0);
  writer.raw([op.i32LtS, op.if, 0x40]);
  local(op.localGet);
  constant(BLOCKED);
  writer.raw([op.i32Eq, op.if, 0x40]);
  writer.raw(suspendCode(functions));
  writer.raw([op.branch, 2, op.end]);
  local(op.localGet);
  constant(DIED);
  writer.raw([op.i32Eq, op.if, 0x40]);
  call(writer, functions.die);
  writer.raw([op.unreachable, op.end, op.end, op.end]);
  local(op.localGet);
  writer.u8(op.end);
  return writer.written().slice();
}

function endingCall(raw: number, params: readonly ValueType[], die: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  passArguments(writer, params);
  call(writer, raw);
  call(writer, die);
  writer.raw([op.unreachable, op.end]);
  return writer.written().slice();
}
