/**
 * Small programs written in the tests themselves: a flat form of the WebAssembly text format, turned into a
 * module with one function, its imports and one memory. So most tests need no compiler.
 *
 *     assemble({ code: `i32.const 7 call proc_exit` })
 *
 * Instructions stand one after the other, without parentheses; `call` takes the name of a WASI function, or
 * `self` for the program's own function. Memory instructions may be followed by `offset=N`; blocks have no
 * results. `br_table` takes labels separated by commas; `try_table` takes one, where everything caught goes.
 */

import { immediate } from "../../../src/engine/wasm/immediates.ts";
import { coreRows } from "../../../src/engine/wasm/opcodes-core.ts";
import { ByteWriter } from "../../../src/engine/wasm/writer.ts";
import { wasiSignatures } from "./wasi-signatures.ts";

export interface SmallProgram {
  readonly code: string;
  /** Types of locals, one letter each: `i` i32, `l` i64, `f` f32, `d` f64. */
  readonly locals?: string;
  /** Pages of 64 KiB. Default 1, and no maximum. */
  readonly memory?: { readonly initial: number; readonly maximum?: number };
  /** Texts or bytes by address. */
  readonly data?: Readonly<Record<number, string | Uint8Array>>;
  /** Imports besides the WASI functions that the code calls: `module.name`, without parameters. */
  readonly imports?: readonly string[];
  /** Name of the exported function. */
  readonly entry?: string;
}

const letters: Readonly<Record<string, number>> = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c };
const emptyBlock = 0x40;

const instructions = new Map<string, { opcode: number; kind: number }>();
for (const [first, kind, , names] of coreRows) {
  for (const [index, name] of names.split(" ").entries()) {
    instructions.set(name, { opcode: first + index, kind: kind as number });
  }
}

/** The module's bytes. @throws Error for a word that is no instruction. */
export function assemble(program: SmallProgram): Uint8Array {
  const words = program.code.split(/\s+/).filter((word) => word !== "");
  const called = words.filter((_, at) => words[at - 1] === "call" && words[at] !== "self");
  const wasi = [...new Set(called)];
  const imports = [
    ...wasi.map((name) => ({ ...placeOf(name), ...signatureOf(name) })),
    ...(program.imports ?? []).map((text) => {
      const at = text.indexOf(".");
      return { module: text.slice(0, at), name: text.slice(at + 1), parameters: "", result: "" };
    }),
  ];
  const functions = new Map(wasi.map((name, index) => [name, index]));
  functions.set("self", imports.length);

  const writer = new ByteWriter(1024);
  writer.raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  section(writer, 1, () => {
    writer.u32(imports.length + 1);
    for (const { parameters, result } of [...imports, { parameters: "", result: "" }]) {
      writer.u8(0x60);
      types(writer, parameters);
      types(writer, result);
    }
  });
  section(writer, 2, () => {
    writer.u32(imports.length);
    for (const [type, { module, name }] of imports.entries()) {
      writer.name(module);
      writer.name(name);
      writer.u8(0);
      writer.u32(type);
    }
  });
  section(writer, 3, () => writer.raw([1, imports.length]));
  section(writer, 5, () => {
    const { initial, maximum } = program.memory ?? { initial: 1 };
    writer.raw([1, maximum === undefined ? 0 : 1]);
    writer.u32(initial);
    if (maximum !== undefined) writer.u32(maximum);
  });
  section(writer, 7, () => {
    writer.u32(2);
    writer.name("memory");
    writer.raw([2, 0]);
    writer.name(program.entry ?? "_start");
    writer.u8(0);
    writer.u32(imports.length);
  });
  section(writer, 10, () => {
    writer.u32(1);
    const start = writer.beginLength();
    const locals = program.locals ?? "";
    writer.u32(locals.length);
    for (const letter of locals) writer.raw([1, letters[letter]]);
    encodeBody(writer, words, functions);
    writer.endLength(start);
  });
  const data = Object.entries(program.data ?? {});
  section(writer, 11, () => {
    writer.u32(data.length);
    for (const [address, content] of data) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      writer.raw([0, 0x41]);
      writer.s32(Number(address));
      writer.u8(0x0b);
      writer.u32(bytes.length);
      writer.raw(bytes);
    }
  });
  return writer.written().slice();
}

/** `module.name`, or just the name of a WASI function. */
function placeOf(called: string): { module: string; name: string } {
  const at = called.indexOf(".");
  if (at < 0) return { module: "wasi_snapshot_preview1", name: called };
  return { module: called.slice(0, at), name: called.slice(at + 1) };
}

function signatureOf(name: string): { parameters: string; result: string } {
  const signature = wasiSignatures[name];
  if (signature === undefined) throw new Error(`assembler: there is no WASI function ${name}`);
  const [parameters, result] = signature.split(">");
  return { parameters, result };
}

function section(writer: ByteWriter, id: number, write: () => void): void {
  writer.u8(id);
  const start = writer.beginLength();
  write();
  writer.endLength(start);
}

function types(writer: ByteWriter, text: string): void {
  writer.u32(text.length);
  for (const letter of text) writer.u8(letters[letter]);
}

function encodeBody(
  writer: ByteWriter,
  words: readonly string[],
  functions: ReadonlyMap<string, number>,
): void {
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    const instruction = instructions.get(word);
    if (instruction === undefined) throw new Error(`assembler: ${word} is no instruction`);
    writer.u8(instruction.opcode);
    switch (instruction.kind) {
      case immediate.none:
        break;
      case immediate.blockType:
        writer.u8(emptyBlock);
        break;
      case immediate.function:
        writer.u32(functions.get(words[++at]) ?? Number(words[at]));
        break;
      case immediate.index:
        writer.u32(Number(words[++at]));
        break;
      case immediate.labels: {
        const labels = words[++at].split(",").map(Number);
        writer.u32(labels.length - 1);
        for (const label of labels) writer.u32(label);
        break;
      }
      case immediate.memoryArgument: {
        const offset = /^offset=(\d+)$/.exec(words[at + 1] ?? "");
        if (offset !== null) at++;
        writer.u32(0);
        writer.u32(Number(offset?.[1] ?? 0));
        break;
      }
      case immediate.memory:
        writer.u8(0);
        break;
      case immediate.catches:
        // One clause: everything goes to the label that follows.
        writer.raw([emptyBlock, 1, 2, Number(words[++at])]);
        break;
      case immediate.signed32:
        writer.s32(Number(words[++at]));
        break;
      case immediate.signed64:
        signed64(writer, BigInt(words[++at]));
        break;
      default:
        throw new Error(`assembler: ${word} has an immediate that is not supported here`);
    }
  }
  writer.u8(0x0b);
}

function signed64(writer: ByteWriter, value: bigint): void {
  let rest = value;
  for (;;) {
    const byte = Number(BigInt.asUintN(7, rest));
    rest >>= 7n;
    const isLast = (rest === 0n && !(byte & 0x40)) || (rest === -1n && (byte & 0x40) !== 0);
    writer.u8(isLast ? byte : byte | 0x80);
    if (isLast) return;
  }
}
