/**
 * Turns small programs, written as text, into WebAssembly modules. The text is the instructions of the WebAssembly text
 * format one after the other, without parentheses; `$name` stands for a local or parameter; `call name` calls a
 * function of the program or the library, or a WASI function. Everything is i32, locals that are listed as `longs`
 * excepted. `;;` starts a comment that goes to the end of the line.
 */
import { immediate } from "../../engine/wasm/immediates.ts";
import { coreRows } from "../../engine/wasm/opcodes-core.ts";
import { ByteWriter } from "../../engine/wasm/writer.ts";

export interface FunctionText {
  readonly parameters?: readonly string[];
  /** It leaves an i32. */
  readonly result?: boolean;
  readonly locals?: readonly string[];
  /** Locals of type i64. */
  readonly longs?: readonly string[];
  readonly code: string;
}

/** Functions of the program by name. What they call is looked for here, in the library, then among the imports. */
export interface ProgramText {
  readonly functions: Readonly<Record<string, FunctionText>>;
  /** Functions that many programs use; only those that are called become part of the module. */
  readonly library: Readonly<Record<string, FunctionText>>;
  /** Imports by name: module, parameters (`i` i32, `l` i64), `>`, result. */
  readonly imports: Readonly<Record<string, readonly [module: string, type: string]>>;
  readonly memory_pages: number;
}

const entryName = "_start";
const [i32, i64, emptyBlock, end] = [0x7f, 0x7e, 0x40, 0x0b];

interface Instruction {
  readonly opcode: number;
  readonly kind: number;
}

/** The module's bytes: it exports `_start` and its memory. @throws Error for a word that means nothing. */
export function assemble(program: ProgramText): Uint8Array {
  const instructions = instructionTable();
  const known = { ...program.library, ...program.functions };
  const bodies = new Map<string, string[]>();
  const imported: string[] = [];
  const reach = (name: string): void => {
    if (bodies.has(name) || imported.includes(name)) return;
    const text = known[name];
    if (text === undefined) {
      if (program.imports[name] === undefined) throw new Error(`assembler: nothing is called ${name}`);
      imported.push(name);
      return;
    }
    const words = wordsOf(text.code);
    bodies.set(name, words);
    for (const [at, word] of words.entries()) if (word === "call") reach(words[at + 1]);
  };
  reach(entryName);
  const names = [...imported, ...bodies.keys()];
  const numbers = new Map(names.map((name, index) => [name, index]));
  const writer = new ByteWriter(4096);
  writer.raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  section(writer, 1, names.length, (index) => writeType(writer, program, known[names[index]], names[index]));
  section(writer, 2, imported.length, (index) => {
    writer.name(program.imports[imported[index]][0]);
    writer.name(imported[index]);
    writer.u8(0);
    writer.u32(index);
  });
  section(writer, 3, bodies.size, (index) => writer.u32(imported.length + index));
  section(writer, 5, 1, () => {
    writer.u8(0);
    writer.u32(program.memory_pages);
  });
  section(writer, 7, 2, (index) => {
    writer.name(index === 0 ? "memory" : entryName);
    writer.u8(index === 0 ? 2 : 0);
    writer.u32(index === 0 ? 0 : (numbers.get(entryName) ?? 0));
  });
  const code = [...bodies];
  section(writer, 10, code.length, (index) => {
    const [name, words] = code[index];
    const start = writer.beginLength();
    writeBody(writer, known[name], words, instructions, numbers);
    writer.endLength(start);
  });
  return writer.written().slice();
}

function wordsOf(code: string): string[] {
  return code
    .replace(/;;.*$/gm, "")
    .split(/\s+/)
    .filter((word) => word !== "");
}

function instructionTable(): Map<string, Instruction> {
  const table = new Map<string, Instruction>();
  for (const [first, kind, , names] of coreRows) {
    for (const [index, name] of names.split(" ").entries()) table.set(name, { opcode: first + index, kind });
  }
  return table;
}

function section(writer: ByteWriter, id: number, count: number, write: (index: number) => void): void {
  writer.u8(id);
  const start = writer.beginLength();
  writer.u32(count);
  for (let index = 0; index < count; index++) write(index);
  writer.endLength(start);
}

function writeType(
  writer: ByteWriter,
  program: ProgramText,
  text: FunctionText | undefined,
  name: string,
): void {
  const letters = (list: string): number[] => [...list].map((letter) => (letter === "l" ? i64 : i32));
  const [parameters, results] =
    text === undefined
      ? program.imports[name][1].split(">").map(letters)
      : [(text.parameters ?? []).map(() => i32), text.result === true ? [i32] : []];
  writer.u8(0x60);
  for (const list of [parameters, results]) {
    writer.u32(list.length);
    writer.raw(list);
  }
}

function writeBody(
  writer: ByteWriter,
  text: FunctionText,
  words: readonly string[],
  instructions: ReadonlyMap<string, Instruction>,
  functions: ReadonlyMap<string, number>,
): void {
  const { parameters = [], locals = [], longs = [] } = text;
  const variables = new Map([...parameters, ...locals, ...longs].map((name, index) => [`$${name}`, index]));
  writer.u32(2);
  writer.u32(locals.length);
  writer.u8(i32);
  writer.u32(longs.length);
  writer.u8(i64);
  for (let at = 0; at < words.length; at++) {
    const instruction = instructions.get(words[at]);
    if (instruction === undefined) throw new Error(`assembler: ${words[at]} is no instruction`);
    writer.u8(instruction.opcode);
    switch (instruction.kind) {
      case immediate.none:
        break;
      case immediate.blockType:
        writer.u8(emptyBlock);
        break;
      case immediate.function:
        writer.u32(functions.get(words[++at]) ?? 0);
        break;
      case immediate.index:
        writer.u32(variables.get(words[++at]) ?? wholeNumber(words[at]));
        break;
      case immediate.memoryArgument: {
        const offset = /^offset=(\d+)$/.exec(words[at + 1] ?? "");
        if (offset !== null) at++;
        writer.u32(0);
        writer.u32(Number(offset?.[1] ?? 0));
        break;
      }
      case immediate.signed32:
        writer.s32(wholeNumber(words[++at]));
        break;
      case immediate.signed64:
        // All constants are small: 64-bit values come from elsewhere.
        writer.s32(wholeNumber(words[++at]));
        break;
      default:
        throw new Error(`assembler: ${words[at]} has an operand that is not supported`);
    }
  }
  writer.u8(end);
}

function wholeNumber(word: string): number {
  const value = Number(word);
  if (!Number.isInteger(value)) throw new Error(`assembler: ${word} is no number and no variable`);
  return value;
}
