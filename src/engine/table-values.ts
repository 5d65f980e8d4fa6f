/**
 * The tables that a program changes, as numbers: for each table its length, then an entry for each slot, 32 bits
 * little-endian: 0 for null, else the place of the function among all that the program refers to, counted from 1.
 */
import { ProgramError } from "./errors.ts";
import { functionsTableExport, tableExport } from "./passes/abi.ts";

const word_bytes = 4;

/** What is in the tables of an instance; empty for programs that do not change theirs. */
export function saveTables({ exports }: WebAssembly.Instance): Uint8Array {
  const functions = exports[functionsTableExport];
  if (!(functions instanceof WebAssembly.Table)) return new Uint8Array(0);
  const numbers = new Map<unknown, number>([[null, 0]]);
  for (let place = 0; place < functions.length; place++) numbers.set(functions.get(place), place + 1);
  const words: number[] = [];
  for (const table of changedTables(exports)) {
    words.push(table.length);
    for (let slot = 0; slot < table.length; slot++) {
      const number = numbers.get(table.get(slot));
      if (number === undefined)
        throw new ProgramError("a table holds a function that the program has no name for");
      words.push(number);
    }
  }
  const bytes = new Uint8Array(words.length * word_bytes);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(index * word_bytes, word, true);
  return bytes;
}

/** Makes the tables of an instance what they were. @throws ProgramError when the bytes do not fit the program. */
export function loadTables({ exports }: WebAssembly.Instance, bytes: Uint8Array): void {
  const functions = exports[functionsTableExport];
  if (!(functions instanceof WebAssembly.Table)) {
    if (bytes.length > 0) throw new ProgramError("the state has tables that the program has not");
    return;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  const next = (): number => {
    if (offset + word_bytes > bytes.length) throw new ProgramError("the tables of the state are cut off");
    offset += word_bytes;
    return view.getUint32(offset - word_bytes, true);
  };
  for (const table of changedTables(exports)) {
    const length = next();
    if (length < table.length || offset + length * word_bytes > bytes.length) {
      throw new ProgramError("a table of the state does not fit the program");
    }
    if (length > table.length) table.grow(length - table.length);
    for (let slot = 0; slot < length; slot++) {
      const number = next();
      if (number > functions.length) throw new ProgramError("a table of the state names an unknown function");
      table.set(slot, number === 0 ? null : functions.get(number - 1));
    }
  }
  if (offset !== bytes.length) throw new ProgramError("the state has more tables than the program");
}

function changedTables(exports: WebAssembly.Instance["exports"]): WebAssembly.Table[] {
  const tables: WebAssembly.Table[] = [];
  for (let index = 0; ; index++) {
    const table = exports[tableExport(index)];
    if (!(table instanceof WebAssembly.Table)) return tables;
    tables.push(table);
  }
}
