/**
 * Writes a `Module` as a WebAssembly binary. What passes left alone is copied; index spaces that passes shifted
 * are rewritten on the way by `Renumbering`.
 */

import { writeValueType } from "./code.ts";
import { InstructionCursor } from "./cursor.ts";
import { externalKinds, limitsFlag } from "./decode-types.ts";
import type {
  Body,
  ByteRange,
  CustomSection,
  DataSegment,
  ElementSegment,
  FunctionType,
  GlobalType,
  Import,
  Limits,
  Module,
  Table,
  TableType,
  TypeGroup,
} from "./module.ts";
import { sectionId, sectionOrder } from "./module.ts";
import { op } from "./opcodes.ts";
import { ByteWriter } from "./writer.ts";

/** What became of the indices of the original module. */
export interface Renumbering {
  function(index: number): number;
  memory(index: number): number;
}

const unchanged: Renumbering = { function: (index) => index, memory: (index) => index };

/** Writes one function body, without its length. Called once for each body, in order. */
export type BodyEncoder = (writer: ByteWriter, body: Body, index: number) => void;

export interface EncodeOptions {
  /** Applied to exports, start, elements, data and constant expressions; bodies are the body encoder's. */
  renumbering?: Renumbering;
  /** Default: copies the body. */
  encodeBody?: BodyEncoder;
  /** Size of the result, about. */
  capacity_bytes?: number;
  /** Custom sections made while bodies were encoded; they are written in front of the code section. */
  beforeCode?: () => readonly CustomSection[];
}

/** @returns a new buffer that holds the module. */
export function encodeModule(module: Module, options: EncodeOptions = {}): Uint8Array {
  return new ModuleEncoder(module, options).encode();
}

class ModuleEncoder {
  private readonly module: Module;
  private readonly renumbering: Renumbering;
  private readonly encodeBody: BodyEncoder;
  private readonly beforeCode: () => readonly CustomSection[];
  private readonly writer: ByteWriter;
  private readonly cursor: InstructionCursor;

  constructor(module: Module, options: EncodeOptions) {
    this.module = module;
    this.renumbering = options.renumbering ?? unchanged;
    this.encodeBody = options.encodeBody ?? ((writer, body) => copyBody(module, writer, body));
    this.beforeCode = options.beforeCode ?? (() => []);
    // Most passes add a few percent; room for a quarter more saves growing the buffer.
    this.writer = new ByteWriter(options.capacity_bytes ?? Math.ceil(module.bytes.length * 1.25) + 4096);
    this.cursor = new InstructionCursor(module.bytes);
  }

  encode(): Uint8Array {
    const { module, writer } = this;
    writer.raw([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    this.customSections(0);
    for (const id of sectionOrder) {
      if (module.sections.includes(id) || this.itemCount(id) > 0) {
        const sectionAt = writer.position;
        writer.u8(id);
        const start = writer.beginLength();
        this.section(id);
        writer.endLength(start);
        if (id === sectionId.code) this.insertBeforeCode(sectionAt);
      }
      this.customSections(id);
    }
    return writer.written().slice();
  }

  private insertBeforeCode(codeAt: number): void {
    const sections = this.beforeCode();
    if (sections.length === 0) return;
    const writer = this.writer;
    const codeEnd = writer.position;
    for (const section of sections) this.customSection(section);
    const added = writer.bytes.slice(codeEnd, writer.position);
    writer.bytes.copyWithin(codeAt + added.length, codeAt, codeEnd);
    writer.bytes.set(added, codeAt);
  }

  private itemCount(id: number): number {
    const { module } = this;
    switch (id) {
      case sectionId.type:
        return module.typeGroups.length;
      case sectionId.import:
        return module.imports.length;
      case sectionId.function:
        return module.functions.length;
      case sectionId.table:
        return module.tables.length;
      case sectionId.memory:
        return module.memories.length;
      case sectionId.tag:
        return module.tags.length;
      case sectionId.global:
        return module.globals.length;
      case sectionId.export:
        return module.exports.length;
      case sectionId.start:
        return module.start === null ? 0 : 1;
      case sectionId.element:
        return module.elements.length;
      case sectionId.dataCount:
        return module.dataCount === null ? 0 : 1;
      case sectionId.code:
        return module.bodies.length;
      default:
        return module.data.length;
    }
  }

  private section(id: number): void {
    const { module, writer, renumbering } = this;
    if (id === sectionId.start) {
      writer.u32(renumbering.function(module.start ?? 0));
      return;
    }
    if (id === sectionId.dataCount) {
      writer.u32(module.dataCount ?? 0);
      return;
    }
    writer.u32(this.itemCount(id));
    switch (id) {
      case sectionId.type:
        for (const group of module.typeGroups) this.typeGroup(group);
        break;
      case sectionId.import:
        for (const entry of module.imports) this.import(entry);
        break;
      case sectionId.function:
        for (const typeIndex of module.functions) writer.u32(typeIndex);
        break;
      case sectionId.table:
        for (const table of module.tables) this.table(table);
        break;
      case sectionId.memory:
        for (const memory of module.memories) this.limits(memory);
        break;
      case sectionId.tag:
        for (const typeIndex of module.tags) this.tag(typeIndex);
        break;
      case sectionId.global:
        for (const global of module.globals) {
          this.globalType(global.type);
          this.expression(global.initial);
        }
        break;
      case sectionId.export:
        for (const { name, kind, index, added } of module.exports) {
          writer.name(name);
          writer.u8(externalKinds.indexOf(kind));
          writer.u32(
            kind === "function" && !added
              ? renumbering.function(index)
              : kind === "memory"
                ? renumbering.memory(index)
                : index,
          );
        }
        break;
      case sectionId.element:
        for (const segment of module.elements) this.element(segment);
        break;
      case sectionId.code:
        for (let index = 0; index < module.bodies.length; index++) {
          const start = writer.beginLength();
          this.encodeBody(writer, module.bodies[index], index);
          writer.endLength(start);
        }
        break;
      case sectionId.data:
        for (const segment of module.data) this.data(segment);
        break;
    }
  }

  private customSections(after: number): void {
    for (const section of this.module.custom) if (section.after === after) this.customSection(section);
  }

  private customSection(section: CustomSection): void {
    const { module, writer } = this;
    writer.u8(sectionId.custom);
    const start = writer.beginLength();
    writer.name(section.name);
    copyBody(module, writer, section.contents);
    writer.endLength(start);
  }

  private typeGroup(group: TypeGroup): void {
    if (group.raw !== null) {
      this.writer.copy(this.module.bytes, group.raw.start, group.raw.end);
      return;
    }
    for (const type of group.types) if (type.kind === "function") this.functionType(type);
  }

  private functionType(type: FunctionType): void {
    this.writer.u8(0x60);
    for (const list of [type.params, type.results]) {
      this.writer.u32(list.length);
      for (const item of list) writeValueType(this.writer, item);
    }
  }

  private limits(limits: Limits): void {
    const { writer } = this;
    writer.u8(
      (limits.maximum === null ? 0 : limitsFlag.maximum) |
        (limits.shared ? limitsFlag.shared : 0) |
        (limits.wide ? limitsFlag.wide : 0),
    );
    writer.u64(limits.minimum);
    if (limits.maximum !== null) writer.u64(limits.maximum);
  }

  private tableType(type: TableType): void {
    writeValueType(this.writer, type.element);
    this.limits(type.limits);
  }

  private globalType(type: GlobalType): void {
    writeValueType(this.writer, type.type);
    this.writer.u8(type.mutable ? 1 : 0);
  }

  private tag(typeIndex: number): void {
    this.writer.u8(0);
    this.writer.u32(typeIndex);
  }

  private import(entry: Import): void {
    const { writer } = this;
    const { description } = entry;
    writer.name(entry.module);
    writer.name(entry.name);
    writer.u8(externalKinds.indexOf(description.kind));
    switch (description.kind) {
      case "function":
        writer.u32(description.typeIndex);
        break;
      case "table":
        this.tableType(description.table);
        break;
      case "memory":
        this.limits(description.memory);
        break;
      case "global":
        this.globalType(description.global);
        break;
      case "tag":
        this.tag(description.typeIndex);
        break;
    }
  }

  private table(table: Table): void {
    if (table.initial === null) {
      this.tableType(table.type);
      return;
    }
    this.writer.raw([0x40, 0x00]);
    this.tableType(table.type);
    this.expression(table.initial);
  }

  /** A constant expression; the only index in one that may have shifted is a function's. */
  private expression(range: ByteRange | Uint8Array): void {
    const { cursor, writer, module } = this;
    if (range instanceof Uint8Array) {
      writer.raw(range);
      return;
    }
    cursor.moveTo(range.start, range.end);
    while (cursor.next()) {
      if (cursor.opcode === op.refFunc) {
        writer.u8(op.refFunc);
        writer.u32(this.renumbering.function(cursor.readIndex()));
      } else {
        writer.copy(module.bytes, cursor.start, cursor.position);
      }
    }
  }

  private element(segment: ElementSegment): void {
    const { writer } = this;
    const active = (segment.flags & 1) === 0;
    const explicit = (segment.flags & 2) !== 0;
    writer.u32(segment.flags);
    if (active && explicit) writer.u32(segment.tableIndex);
    if (segment.offset !== null) this.expression(segment.offset);
    if (!active || explicit) {
      if (segment.functions === null) writeValueType(this.writer, segment.type);
      else writer.u8(segment.type);
    }
    if (segment.functions === null) {
      writer.u32(segment.expressions.length);
      for (const expression of segment.expressions) this.expression(expression);
    } else {
      writer.u32(segment.functions.length);
      for (const index of segment.functions) writer.u32(this.renumbering.function(index));
    }
  }

  private data(segment: DataSegment): void {
    const { writer, module } = this;
    const memoryIndex = this.renumbering.memory(segment.memoryIndex);
    // Only the form with flags 2 can name a memory other than the first.
    const flags = segment.flags === 0 && memoryIndex !== 0 ? 2 : segment.flags;
    writer.u32(flags);
    if (flags === 2) writer.u32(memoryIndex);
    if (segment.offset !== null) this.expression(segment.offset);
    writer.u32(segment.bytes.end - segment.bytes.start);
    writer.copy(module.bytes, segment.bytes.start, segment.bytes.end);
  }
}

/** Writes bytes that are a range of the file, or were made by a pass. */
function copyBody(module: Module, writer: ByteWriter, body: Body): void {
  if (body instanceof Uint8Array) writer.raw(body);
  else writer.copy(module.bytes, body.start, body.end);
}
