/**
 * Builds modules for the tests: functions are written as flat text, one instruction after the other, and
 * everything else as plain data. The module's own encoder writes the bytes, so that no test depends on a tool.
 *
 *     buildModule({ functions: [{ export: "f", params: "i", results: "i", code: "local.get 0 i32.const 1 i32.add" }] })
 *
 * Immediates: numbers separated by commas; block types as `:` and result letters (`block :i`, `loop :`, or
 * `block #2` for type 2); memory instructions may be followed by `offset=N` and `memory=N`.
 */

import { emptyModule } from "../../../src/engine/wasm/decode.ts";
import { encodeModule } from "../../../src/engine/wasm/encode.ts";
import { immediate } from "../../../src/engine/wasm/immediates.ts";
import type { Import, Limits, Module, TypeGroup } from "../../../src/engine/wasm/module.ts";
import { op, opcodeTables } from "../../../src/engine/wasm/opcodes.ts";
import { ByteWriter } from "../../../src/engine/wasm/writer.ts";

export interface FunctionSource {
  readonly export?: string;
  readonly params?: string;
  readonly results?: string;
  readonly locals?: string;
  /** Without the final `end`. */
  readonly code: string;
}

export interface ModuleSource {
  /** `module.name`, parameters, results. */
  readonly imports?: readonly (readonly [name: string, params: string, results: string])[];
  readonly importedMemory?: readonly [module: string, name: string, limits: Partial<Limits>];
  readonly memories?: readonly Partial<Limits>[];
  readonly functions: readonly FunctionSource[];
  /** Functions of the table's elements, in order, by index. */
  readonly table?: readonly number[];
  /** Mutable i32 globals. */
  readonly globals?: number;
  readonly exports?: Module["exports"];
  readonly start?: number;
  /** Texts by address. */
  readonly data?: Readonly<Record<number, string>>;
  /** Further types, which come first: parameters and results. */
  readonly types?: readonly (readonly [params: string, results: string])[];
  /** Exception tags by type index. */
  readonly tags?: readonly number[];
}

const letters: Readonly<Record<string, number>> = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c, v: 0x7b, r: 0x70 };

function valueTypes(text: string): number[] {
  return [...text].map((letter) => letters[letter]);
}

/** The bytes of a module. Memory 0 is exported as `memory` if there is one. */
export function buildModule(source: ModuleSource): Uint8Array<ArrayBuffer> {
  const pieces = new ByteWriter(1024);
  const piece = (write: () => void): { start: number; end: number } => {
    const start = pieces.position;
    write();
    return { start, end: pieces.position };
  };
  const constant = (value: number): { start: number; end: number } =>
    piece(() => {
      pieces.u8(op.i32Const);
      pieces.s32(value);
      pieces.u8(op.end);
    });
  const types: TypeGroup[] = [];
  const typeIndices = new Map<string, number>();
  const typeOf = (params: string, results: string): number => {
    const key = `${params}>${results}`;
    let index = typeIndices.get(key);
    if (index === undefined) {
      index = types.length;
      typeIndices.set(key, index);
      const type = { kind: "function", params: valueTypes(params), results: valueTypes(results) } as const;
      types.push({ types: [type], raw: null });
    }
    return index;
  };
  for (const [params, results] of source.types ?? []) typeOf(params, results);
  const limits = (partial: Partial<Limits>): Limits => ({
    minimum: 1,
    maximum: null,
    shared: false,
    wide: false,
    ...partial,
  });
  const imports: Import[] = (source.imports ?? []).map(([name, params, results]) => {
    const [module, field] = name.split(".");
    return { module, name: field, description: { kind: "function", typeIndex: typeOf(params, results) } };
  });
  const importedFunctions = imports.length;
  if (source.importedMemory !== undefined) {
    const [module, name, memory] = source.importedMemory;
    imports.push({ module, name, description: { kind: "memory", memory: limits(memory) } });
  }
  const memories = (source.memories ?? []).map(limits);
  const exports = [...(source.exports ?? [])];
  if (memories.length > 0) exports.push({ name: "memory", kind: "memory", index: 0 });
  source.functions.forEach((item, index) => {
    if (item.export !== undefined) {
      exports.push({ name: item.export, kind: "function", index: importedFunctions + index });
    }
  });
  const table = source.table ?? [];
  const tables =
    source.table === undefined
      ? []
      : [
          {
            type: {
              element: 0x70,
              limits: limits({ minimum: table.length, maximum: table.length }),
            },
            initial: null,
          },
        ];
  const elements =
    source.table === undefined
      ? []
      : [
          {
            flags: 0,
            tableIndex: 0,
            offset: constant(0),
            type: 0,
            functions: Uint32Array.from(table),
            expressions: [],
          },
        ];
  const globals = Array.from({ length: source.globals ?? 0 }, () => ({
    type: { type: 0x7f, mutable: true },
    initial: constant(0),
  }));
  const data = Object.entries(source.data ?? {}).map(([address, text]) => ({
    flags: 0,
    memoryIndex: 0,
    offset: constant(Number(address)),
    bytes: piece(() => pieces.raw(new TextEncoder().encode(text))),
  }));
  const functions = source.functions.map((item) => typeOf(item.params ?? "", item.results ?? ""));
  const bodies = source.functions.map((item) => encodeBody(item));
  return encodeModule({
    ...emptyModule(pieces.written().slice()),
    typeGroups: types,
    imports,
    functions,
    tables,
    memories,
    tags: [...(source.tags ?? [])],
    globals,
    exports,
    start: source.start ?? null,
    elements,
    bodies,
    data,
  }) as Uint8Array<ArrayBuffer>;
}

function encodeBody(source: FunctionSource): Uint8Array {
  const writer = new ByteWriter();
  const locals = valueTypes(source.locals ?? "");
  writer.u32(locals.length);
  for (const type of locals) writer.raw([1, type]);
  const words = source.code.split(/\s+/).filter((word) => word !== "");
  let at = 0;
  while (at < words.length) at = encodeInstruction(writer, words, at);
  writer.u8(op.end);
  return writer.written().slice();
}

const opcodes = new Map(opcodeTables.names.map((name, opcode) => [name, opcode]));
opcodes.delete("");

function writeOpcode(writer: ByteWriter, opcode: number): void {
  if (opcode < 0x100) writer.u8(opcode);
  else {
    const [prefix, base] =
      opcode < 0x200
        ? [0xfb, 0x100]
        : opcode < 0x300
          ? [0xfc, 0x200]
          : opcode < 0x500
            ? [0xfd, 0x300]
            : [0xfe, 0x500];
    writer.u8(prefix);
    writer.u32(opcode - base);
  }
}

/** Encodes the instruction at a word; returns where the next one starts. */
function encodeInstruction(writer: ByteWriter, words: readonly string[], start: number): number {
  const opcode = opcodes.get(words[start]);
  if (opcode === undefined) throw new Error(`module builder: ${words[start]} is no instruction`);
  writeOpcode(writer, opcode);
  let at = start + 1;
  const numbers = (): number[] => words[at++].split(",").map(Number);
  const kind = opcodeTables.immediates[opcode];
  switch (kind) {
    case immediate.none:
      break;
    case immediate.blockType:
      writeBlockType(writer, words[at++]);
      break;
    case immediate.signed32:
      writer.s32(numbers()[0]);
      break;
    case immediate.signed64:
      writer.s32(numbers()[0]);
      break;
    case immediate.bytes8:
      writer.raw(new Uint8Array(new Float64Array(numbers()).buffer));
      break;
    case immediate.labels: {
      const labels = numbers();
      writer.u32(labels.length - 1);
      for (const label of labels) writer.u32(label);
      break;
    }
    case immediate.memoryArgument: {
      let offset = 0;
      let memory = 0;
      while (/^(offset|memory)=/.test(words[at] ?? "")) {
        const [key, value] = words[at++].split("=");
        if (key === "offset") offset = Number(value);
        else memory = Number(value);
      }
      const alignment = naturalAlignment(words[start]);
      writer.u8(memory === 0 ? alignment : alignment | 0x40);
      if (memory !== 0) writer.u32(memory);
      writer.u32(offset);
      break;
    }
    case immediate.catches: {
      // `try_table :results label`: catches everything to one label.
      writeBlockType(writer, words[at++]);
      writer.raw([1, 2]);
      writer.u32(numbers()[0]);
      break;
    }
    case immediate.heapType:
      writer.u8(0x70);
      break;
    default:
      for (const number of numbers()) writer.u32(number);
  }
  return at;
}

function writeBlockType(writer: ByteWriter, word: string): void {
  if (word.startsWith("#")) writer.u32(Number(word.slice(1)));
  else if (word === ":") writer.u8(0x40);
  else writer.u8(letters[word.slice(1)]);
}

/** Atomic instructions need exactly their natural alignment; for the others 0 is always allowed. */
function naturalAlignment(name: string): number {
  if (!name.includes("atomic")) return 0;
  if (name.includes("8")) return 0;
  if (name.includes("16")) return 1;
  if (name.includes("wait64")) return 3;
  return name.startsWith("i64") && !name.includes("32") ? 3 : 2;
}
