/**
 * Decodes a WebAssembly binary into a `Module`. Only the structure is checked here, bounds and counts first of
 * all; whether the module is valid is the engine's judgement (`WebAssembly.validate`).
 */
import { InstructionCursor } from "./cursor.ts";
import {
  decodeGlobalType,
  decodeLimits,
  decodeTableType,
  decodeTag,
  decodeTypeGroup,
  decodeValueType,
  externalKinds,
} from "./decode-types.ts";
import type {
  ByteRange,
  DataSegment,
  ElementSegment,
  ExternalKind,
  Import,
  ImportDescription,
  Module,
  Table,
} from "./module.ts";
import { sectionId, sectionOrder, valueType } from "./module.ts";
import { op } from "./opcodes.ts";
import { ByteReader } from "./reader.ts";

const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/** What a component or a later version has in place of the version. */
const headerNames = ["the magic number of a WebAssembly module", "version 1 of a core WebAssembly module"];

/**
 * @param bytes the whole file; ranges in the result refer to it, so it must not change afterwards.
 * @throws MalformedModuleError
 */
export function decodeModule(bytes: Uint8Array): Module {
  const reader = new ByteReader(bytes);
  for (let index = 0; index < header.length; index++) {
    if (reader.remaining === 0 || bytes[index] !== header[index]) {
      reader.fail(headerNames[index < 4 ? 0 : 1], undefined, index);
    }
    reader.position++;
  }
  const module = emptyModule(bytes);
  const cursor = new InstructionCursor(bytes);
  let previousId = 0;
  let previousRank = -1;
  while (reader.remaining > 0) {
    const at = reader.position;
    const id = reader.u8("a section");
    const section = reader.part("a section");
    if (id === sectionId.custom) {
      const name = section.name("the name of a custom section");
      module.custom.push({
        name,
        contents: { start: section.position, end: section.end },
        after: previousId,
      });
      continue;
    }
    const rank = sectionOrder.indexOf(id);
    if (rank < 0) reader.fail("a section", `id ${id}`, at);
    if (rank <= previousRank) reader.fail("sections in order, each once", `section ${id}`, at);
    previousId = id;
    previousRank = rank;
    module.sections.push(id);
    decodeSection(module, id, section, cursor);
    if (section.remaining > 0) section.fail(`the end of section ${id}`, `${section.remaining} more bytes`);
  }
  if (module.functions.length !== module.bodies.length) {
    reader.fail(`${module.functions.length} function bodies`, `${module.bodies.length}`);
  }
  return module;
}

/** A module without any section. */
export function emptyModule(bytes: Uint8Array = Uint8Array.from(header)): Module {
  return {
    bytes,
    typeGroups: [],
    types: [],
    imports: [],
    functions: [],
    tables: [],
    memories: [],
    tags: [],
    globals: [],
    exports: [],
    start: null,
    elements: [],
    dataCount: null,
    bodies: [],
    data: [],
    custom: [],
    sections: [],
  };
}

function decodeSection(module: Module, id: number, reader: ByteReader, cursor: InstructionCursor): void {
  switch (id) {
    case sectionId.type:
      repeat(reader, "types", 2, () => {
        const group = decodeTypeGroup(reader);
        module.typeGroups.push(group);
        for (const type of group.types) module.types.push(type);
      });
      break;
    case sectionId.import:
      repeat(reader, "imports", 4, () => module.imports.push(decodeImport(reader)));
      break;
    case sectionId.function:
      repeat(reader, "functions", 1, () => module.functions.push(reader.u32("a type index")));
      break;
    case sectionId.table:
      repeat(reader, "tables", 3, () => module.tables.push(decodeTable(reader, cursor)));
      break;
    case sectionId.memory:
      repeat(reader, "memories", 2, () => module.memories.push(decodeLimits(reader)));
      break;
    case sectionId.tag:
      repeat(reader, "tags", 2, () => module.tags.push(decodeTag(reader)));
      break;
    case sectionId.global:
      repeat(reader, "globals", 3, () =>
        module.globals.push({ type: decodeGlobalType(reader), initial: decodeExpression(reader, cursor) }),
      );
      break;
    case sectionId.export:
      repeat(reader, "exports", 3, () =>
        module.exports.push({
          name: reader.name("the name of an export"),
          kind: decodeExternalKind(reader),
          index: reader.u32("an index"),
        }),
      );
      break;
    case sectionId.start:
      module.start = reader.u32("a function index");
      break;
    case sectionId.element:
      repeat(reader, "element segments", 2, () => module.elements.push(decodeElement(reader, cursor)));
      break;
    case sectionId.dataCount:
      module.dataCount = reader.u32("the number of data segments");
      break;
    case sectionId.code:
      repeat(reader, "function bodies", 2, () => {
        const body = reader.part("a function body");
        module.bodies.push({ start: body.position, end: body.end });
      });
      break;
    case sectionId.data:
      repeat(reader, "data segments", 2, () => module.data.push(decodeData(reader, cursor)));
      break;
  }
}

function repeat(reader: ByteReader, what: string, itemBytes_min: number, item: () => void): void {
  const count = reader.count(what, itemBytes_min);
  for (let index = 0; index < count; index++) item();
}

function decodeExternalKind(reader: ByteReader): ExternalKind {
  const byte = reader.u8("a kind of import or export");
  return externalKinds[byte] ?? reader.fail("a kind of import or export", `${byte}`, reader.position - 1);
}

function decodeImport(reader: ByteReader): Import {
  const module = reader.name("the module of an import");
  const name = reader.name("the name of an import");
  return { module, name, description: decodeImportDescription(reader) };
}

function decodeImportDescription(reader: ByteReader): ImportDescription {
  const kind = decodeExternalKind(reader);
  switch (kind) {
    case "function":
      return { kind, typeIndex: reader.u32("a type index") };
    case "table":
      return { kind, table: decodeTableType(reader) };
    case "memory":
      return { kind, memory: decodeLimits(reader) };
    case "global":
      return { kind, global: decodeGlobalType(reader) };
    case "tag":
      return { kind, typeIndex: decodeTag(reader) };
  }
}

/** A table may carry an initial value, announced by two bytes that cannot start a table type. */
function decodeTable(reader: ByteReader, cursor: InstructionCursor): Table {
  if (reader.bytes[reader.position] !== 0x40) return { type: decodeTableType(reader), initial: null };
  reader.u8();
  if (reader.u8("a table") !== 0) reader.fail("a table", undefined, reader.position - 1);
  const type = decodeTableType(reader);
  return { type, initial: decodeExpression(reader, cursor) };
}

/** A constant expression, its `end` included. */
function decodeExpression(reader: ByteReader, cursor: InstructionCursor): ByteRange {
  const start = reader.position;
  cursor.moveTo(start, reader.end);
  while (cursor.next()) {
    if (cursor.opcode === op.end) {
      reader.position = cursor.position;
      return { start, end: cursor.position };
    }
  }
  return reader.fail("the end of a constant expression", "the end of the section", start);
}

const elementFlag = { passive: 1, explicitIndex: 2, expressions: 4 } as const;

function decodeElement(reader: ByteReader, cursor: InstructionCursor): ElementSegment {
  const flags = reader.u32("an element segment");
  if (flags > 7) reader.fail("an element segment", `flags ${flags}`, reader.position - 1);
  const active = (flags & elementFlag.passive) === 0;
  const explicit = (flags & elementFlag.explicitIndex) !== 0;
  const tableIndex = active && explicit ? reader.u32("a table index") : 0;
  const offset = active ? decodeExpression(reader, cursor) : null;
  const hasType = !active || explicit;
  if (flags & elementFlag.expressions) {
    const type = hasType ? decodeValueType(reader) : valueType.funcref;
    const expressions: ByteRange[] = [];
    repeat(reader, "element expressions", 2, () => expressions.push(decodeExpression(reader, cursor)));
    return { flags, tableIndex, offset, type, functions: null, expressions };
  }
  const type = hasType ? reader.u8("an element kind") : 0;
  const functions = new Uint32Array(reader.count("elements"));
  for (let index = 0; index < functions.length; index++) functions[index] = reader.u32("a function index");
  return { flags, tableIndex, offset, type, functions, expressions: [] };
}

function decodeData(reader: ByteReader, cursor: InstructionCursor): DataSegment {
  const flags = reader.u32("a data segment");
  if (flags > 2) reader.fail("a data segment", `flags ${flags}`, reader.position - 1);
  const memoryIndex = flags === 2 ? reader.u32("a memory index") : 0;
  const offset = flags === 1 ? null : decodeExpression(reader, cursor);
  const bytes = reader.part("a data segment");
  return { flags, memoryIndex, offset, bytes: { start: bytes.position, end: bytes.end } };
}
