/**
 * Tables that a program changes. Their entries are functions, which a capture writes as numbers; so every function
 * that the program refers to is put into one more table, in the order of the indices, and the number of a function is
 * its place in that. See `engine/table-values.ts` for the other half.
 */
import { UnsupportedModuleError } from "../errors.ts";
import { functionsTableExport, tableExport } from "../passes/abi.ts";
import type { ModuleEditor } from "../passes/editor.ts";
import { InstructionCursor } from "../wasm/cursor.ts";
import { importCount, type Module, valueType } from "../wasm/module.ts";
import { op } from "../wasm/opcodes.ts";
import { ByteWriter } from "../wasm/writer.ts";

/** Flags of an active element segment that names its table and lists function indices. */
const listForTable = 2;

/**
 * Exports the tables of a module and the table of its functions.
 * @param references functions whose references are taken in code.
 * @throws UnsupportedModuleError for tables that hold something else.
 */
export function exportTables({ module }: ModuleEditor, references: ReadonlySet<number>): void {
  if (importCount(module, "table") > 0) refuse("an imported table that is changed");
  for (const [index, { type }] of module.tables.entries()) {
    if (type.element !== valueType.funcref) refuse("a changed table of other references than functions");
    module.exports.push({ name: tableExport(index), kind: "table", index, added: true });
  }
  const functions = Uint32Array.from(referenced(module, references)).sort();
  const index = module.tables.length;
  const limits = { minimum: functions.length, maximum: functions.length, shared: false, wide: false };
  module.tables.push({ type: { element: valueType.funcref, limits }, initial: null });
  module.exports.push({ name: functionsTableExport, kind: "table", index, added: true });
  const offset = new ByteWriter(4);
  offset.raw([op.i32Const, 0, op.end]);
  module.elements.push({
    flags: listForTable,
    tableIndex: index,
    offset: offset.written().slice(),
    type: 0,
    functions,
    expressions: [],
  });
}

function referenced(module: Module, references: ReadonlySet<number>): Set<number> {
  const functions = new Set(references);
  for (const entry of module.exports) if (entry.kind === "function") functions.add(entry.index);
  const cursor = new InstructionCursor(module.bytes);
  const expression = (range: { start: number; end: number }): void => {
    cursor.moveTo(range.start, range.end);
    while (cursor.next()) if (cursor.opcode === op.refFunc) functions.add(cursor.readIndex());
  };
  for (const segment of module.elements) {
    for (const index of segment.functions ?? []) functions.add(index);
    for (const range of segment.expressions) expression(range);
  }
  for (const { initial } of module.tables) if (initial !== null) expression(initial);
  for (const { initial } of module.globals) if (!(initial instanceof Uint8Array)) expression(initial);
  return functions;
}

function refuse(what: string): never {
  throw new UnsupportedModuleError(what, "it cannot be captured");
}
