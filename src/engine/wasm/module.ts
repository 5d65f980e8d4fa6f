/**
 * A WebAssembly module as plain data. Small things are decoded; large ones (function bodies, data, names) stay
 * byte ranges of the file. Passes change the lists; `encodeModule` writes what they say.
 */

/** `[start, end)` in `Module.bytes`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * A value type: its byte (0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64, 0x7b v128, 0x70 funcref...). A reference to
 * a given heap type is `heapType * 256 + byte`, its byte being 0x63 (nullable) or 0x64.
 */
export type ValueType = number;

export const valueType = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  funcref: 0x70,
  externref: 0x6f,
  exnref: 0x69,
  nullableReference: 0x63,
  reference: 0x64,
} as const;

export interface FunctionType {
  readonly kind: "function";
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** A struct or array type. Nothing here looks inside. */
export interface OtherType {
  readonly kind: "other";
}

/** An entry of the type section: one recursion group, which defines one or more types. */
export interface TypeGroup {
  readonly types: readonly (FunctionType | OtherType)[];
  /** As it stands in the file; null for a group that a pass added, which holds one function type. */
  readonly raw: ByteRange | null;
}

export interface Limits {
  readonly minimum: number;
  readonly maximum: number | null;
  readonly shared: boolean;
  /** Addresses are 64 bits wide. */
  readonly wide: boolean;
}

export interface TableType {
  readonly element: ValueType;
  readonly limits: Limits;
}

export interface GlobalType {
  readonly type: ValueType;
  readonly mutable: boolean;
}

export type ImportDescription =
  | { readonly kind: "function"; readonly typeIndex: number }
  | { readonly kind: "table"; readonly table: TableType }
  | { readonly kind: "memory"; readonly memory: Limits }
  | { readonly kind: "global"; readonly global: GlobalType }
  | { readonly kind: "tag"; readonly typeIndex: number };

export type ExternalKind = ImportDescription["kind"];

export interface Import {
  readonly module: string;
  readonly name: string;
  readonly description: ImportDescription;
}

export interface Export {
  readonly name: string;
  readonly kind: ExternalKind;
  readonly index: number;
  /** A pass added it with the function it names: the index is a new one already. */
  readonly added?: true;
}

/** A table of the module's own; `initial` is the constant expression of its elements, if it has one. */
export interface Table {
  readonly type: TableType;
  readonly initial: ByteRange | null;
}

export interface Global {
  readonly type: GlobalType;
  /** A constant expression: a range of the file, or made by a pass. */
  readonly initial: ByteRange | Uint8Array;
}

/** An element segment. Its flags, as in the file, say which of the optional parts are present. */
export interface ElementSegment {
  readonly flags: number;
  readonly tableIndex: number;
  readonly offset: ByteRange | Uint8Array | null;
  /** The byte of an element kind, or a value type, when flags call for one. */
  readonly type: number;
  /** Function indices, or null when the segment lists expressions. */
  readonly functions: Uint32Array | null;
  readonly expressions: readonly ByteRange[];
}

export interface DataSegment {
  readonly flags: number;
  readonly memoryIndex: number;
  readonly offset: ByteRange | null;
  readonly bytes: ByteRange;
}

export interface CustomSection {
  readonly name: string;
  /** The contents behind the name. */
  readonly contents: ByteRange | Uint8Array;
  /** The id of the section that it follows, 0 at the start of the file. */
  readonly after: number;
}

/** A function body: locals and code, without the length in front. */
export type Body = ByteRange | Uint8Array;

export interface Module {
  readonly bytes: Uint8Array;
  typeGroups: TypeGroup[];
  /** All types by index. */
  types: (FunctionType | OtherType)[];
  imports: Import[];
  /** Type indices of the functions that have a body. */
  functions: number[];
  tables: Table[];
  memories: Limits[];
  /** Type indices of the tags defined here. */
  tags: number[];
  globals: Global[];
  exports: Export[];
  start: number | null;
  elements: ElementSegment[];
  /** The number in the data count section, null without one. */
  dataCount: number | null;
  bodies: Body[];
  data: DataSegment[];
  custom: CustomSection[];
  /** Ids of the sections that the file has, custom ones left out: an empty section is kept. */
  sections: number[];
}

export const sectionId = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** The order that the specification prescribes. */
export const sectionOrder: readonly number[] = [
  sectionId.type,
  sectionId.import,
  sectionId.function,
  sectionId.table,
  sectionId.memory,
  sectionId.tag,
  sectionId.global,
  sectionId.export,
  sectionId.start,
  sectionId.element,
  sectionId.dataCount,
  sectionId.code,
  sectionId.data,
];

/** How many imports of a kind there are: the index of the first definition of that kind. */
export function importCount(module: Module, kind: ExternalKind): number {
  let count = 0;
  for (const entry of module.imports) if (entry.description.kind === kind) count++;
  return count;
}

/** Type indices of all functions: imported ones first, then those with a body. */
export function functionTypeIndices(module: Module): Uint32Array {
  const imported: number[] = [];
  for (const { description } of module.imports) {
    if (description.kind === "function") imported.push(description.typeIndex);
  }
  const all = new Uint32Array(imported.length + module.functions.length);
  all.set(imported);
  all.set(module.functions, imported.length);
  return all;
}

/** All memories: imported ones first. */
export function allMemories(module: Module): Limits[] {
  const imported: Limits[] = [];
  for (const { description } of module.imports) {
    if (description.kind === "memory") imported.push(description.memory);
  }
  return imported.concat(module.memories);
}

/** The function type at an index, or null if there is none. */
export function functionTypeAt(module: Module, typeIndex: number): FunctionType | null {
  const type = module.types[typeIndex];
  return type !== undefined && type.kind === "function" ? type : null;
}
