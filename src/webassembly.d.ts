/**
 * The part of the WebAssembly JavaScript API that the system uses, JavaScript Promise Integration included.
 * Declared here because the DOM library, where TypeScript keeps it, would bring browser globals into kernel
 * code.
 */
declare namespace WebAssembly {
  type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "externref" | "anyfunc";
  type ExportKind = "function" | "table" | "memory" | "global" | "tag";
  type ImportValue =
    | Memory
    | Table
    | Global
    | Suspending
    | ((...values: never[]) => unknown)
    | number
    | bigint;

  interface ModuleImportDescriptor {
    readonly module: string;
    readonly name: string;
    readonly kind: ExportKind;
  }
  interface ModuleExportDescriptor {
    readonly name: string;
    readonly kind: ExportKind;
  }

  class Module {
    constructor(bytes: BufferSource);
    static imports(module: Module): ModuleImportDescriptor[];
    static exports(module: Module): ModuleExportDescriptor[];
    static customSections(module: Module, name: string): ArrayBuffer[];
  }
  type BufferSource = ArrayBuffer | Uint8Array<ArrayBuffer> | DataView<ArrayBuffer>;

  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, ImportValue>>);
    readonly exports: Record<string, ExportValue>;
  }
  type ExportFunction = (...values: (number | bigint)[]) => unknown;
  type ExportValue = ExportFunction | Memory | Table | Global | Tag;

  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: SharedArrayBuffer;
    grow(delta_pages: number): number;
  }
  class Table {
    constructor(descriptor: { element: "anyfunc" | "externref"; initial: number; maximum?: number });
    readonly length: number;
    get(index: number): unknown;
    set(index: number, value: unknown): void;
    grow(delta: number): number;
  }
  class Global {
    constructor(descriptor: { value: ValueType; mutable?: boolean }, value?: number | bigint);
    value: number | bigint;
  }
  /** An import that may suspend the calling context until the promise it returns settles. */
  class Suspending {
    constructor(body: (...values: never[]) => unknown);
  }
  /** The same export, run on a stack of its own that can be suspended. */
  function promising(exported: ExportFunction): (...values: (number | bigint)[]) => Promise<unknown>;
  function validate(bytes: BufferSource): boolean;
  function compile(bytes: BufferSource): Promise<Module>;

  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}
  class Tag {
    constructor(type: { parameters: ValueType[] });
  }
  class Exception extends Error {
    is(tag: Tag): boolean;
  }
}
