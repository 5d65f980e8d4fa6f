/**
 * A program: a module that is instrumented, compiled and described. Programs are plain data, so that one core
 * may compile a program and post it to others.
 */
import { MalformedModuleError, NoEntryPointError, UnsupportedModuleError } from "./errors.ts";
import { type InstrumentOptions, instrument, instrumenterVersion } from "./instrument.ts";
import { pageCheckVersion } from "./paged/abi.ts";
import { pageChecked } from "./paged/page-checked.ts";
import {
  engineImport,
  engineNamespace,
  obstacleSection,
  resumeExport,
  startExport,
  threadExport,
} from "./passes/abi.ts";
import { type CallPolicy, wasiCallPolicy } from "./passes/calls.ts";
import type { FuelPrecision } from "./passes/fuel-plan.ts";
import { decodeModule } from "./wasm/decode.ts";
import { functionTypeAt, type Module, type ValueType, valueType } from "./wasm/module.ts";

/** A type that can pass between a program and the kernel; "reference" stands for all that is not a number. */
export type ImportValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "reference";

/** A function that the program expects from the system. */
export interface ProgramImport {
  readonly module: string;
  readonly name: string;
  readonly params: readonly ImportValueType[];
  readonly results: readonly ImportValueType[];
}

export interface ProgramMemory {
  /** Pages of 64 KiB that the memory must have at the start. */
  readonly initial: number;
  /** Pages that it may grow to; the memory handed in must be shared and declare no more. */
  readonly maximum: number;
  /** Addresses have 64 bits. */
  readonly wide: boolean;
}

export interface Program {
  /** Content hash of the original file. */
  readonly hash: string;
  readonly module: WebAssembly.Module;
  readonly imports: readonly ProgramImport[];
  readonly memory: ProgramMemory | null;
  /** The export that runs it: `_start` of a command, `_initialize` of a reactor, null if only a start function. */
  readonly entry: string | null;
  /** It has a start function, exported as `startExport`, to be run first. */
  readonly hasStart: boolean;
  /** It exports `wasi_thread_start`, which runs further threads. */
  readonly startsThreads: boolean;
  /** It can be captured and moved. */
  readonly migratable: boolean;
  /** The construct that keeps it from being captured; empty when it is migratable. */
  readonly obstacle: string;
}

/** Where instrumented modules survive the system. Entries may vanish; a damaged one must not be returned. */
export interface ModuleStore {
  get(key: string): Uint8Array | undefined;
  put(key: string, bytes: Uint8Array): void;
}

export interface ProgramLoaderOptions {
  /** A content hash in lower-case letters and digits; equal hashes are taken for equal files. */
  hash(bytes: Uint8Array): string;
  store?: ModuleStore;
  /**
   * What is in the store saves time, and makes no difference otherwise: where the original file would be needed without
   * it, it is read. For machines on which the same thing happens each time.
   */
  storeUnnoticed?: boolean;
  /** Which imports are system calls. */
  calls?: CallPolicy;
  /** Programs count the instructions that they execute (`InstrumentOptions.fuel`). */
  fuel?: FuelPrecision | null;
}

/** Loads programs and remembers them by content hash. One per core is enough; it holds no other state. */
export class ProgramLoader {
  private readonly options: ProgramLoaderOptions;
  private readonly instrumentOptions: InstrumentOptions;
  /** Names the way in which frames of its programs are laid out: only who does the same can use them. */
  readonly instrumenter: string;
  /** What of a program's instrumentation the options decide. */
  private readonly optionsKey: string;
  private readonly programs = new Map<string, Program>();
  /** Page-checked variants, by the same hashes. */
  private readonly checked = new Map<string, Program>();

  constructor(options: ProgramLoaderOptions) {
    this.options = options;
    const calls = options.calls ?? wasiCallPolicy;
    const fuel = options.fuel ?? null;
    this.instrumentOptions = { calls, fuel };
    const version = `archipelago ${instrumenterVersion}`;
    this.instrumenter = fuel === null ? version : `${version} counting instructions (${fuel})`;
    const policyKey = options.hash(new TextEncoder().encode(JSON.stringify(calls))).slice(0, 8);
    this.optionsKey = fuel === null ? policyKey : `${policyKey}-fuel-${fuel}`;
  }

  /**
   * @param bytes a WebAssembly binary, as it came from its toolchain.
   * @throws MalformedModuleError, UnsupportedModuleError, NoEntryPointError
   */
  load(bytes: Uint8Array): Program {
    const hash = this.options.hash(bytes);
    const known = this.programs.get(hash);
    if (known !== undefined) return known;
    const program = this.loadStored(hash) ?? this.loadFresh(hash, bytes);
    this.programs.set(hash, program);
    return program;
  }

  /** A program that another core has compiled. */
  adopt(program: Program): void {
    this.programs.set(program.hash, program);
  }

  /** The program with a content hash, if it is loaded. */
  find(hash: string): Program | undefined {
    return this.programs.get(hash);
  }

  /** The program with a content hash, if it is loaded or in the store: the original file is not needed then. */
  findStored(hash: string): Program | undefined {
    const loaded = this.programs.get(hash);
    if (loaded !== undefined || this.options.storeUnnoticed === true) return loaded;
    const program = this.loadStored(hash);
    if (program !== undefined) this.programs.set(hash, program);
    return program;
  }

  /** Forgets a program; contexts that run it are not affected. */
  forget(hash: string): void {
    this.programs.delete(hash);
  }

  /**
   * The page-checked variant of a program: for a process whose memory comes page by page.
   * @param original reads the program's file; asked only if the variant is not in the store.
   * @returns undefined when the file is gone, or holds another program.
   */
  pageChecked(program: Program, original: () => Uint8Array | undefined): Program | undefined {
    const { hash } = program;
    const known = this.checked.get(hash);
    if (known !== undefined) return known;
    const { store, storeUnnoticed = false } = this.options;
    const read = storeUnnoticed ? this.genuine(hash, original()) : undefined;
    if (storeUnnoticed && read === undefined) return undefined;
    const key = `${this.storeKey(hash)}-${pageCheckVersion}`;
    let bytes = store?.get(key);
    if (bytes === undefined) {
      const instrumented = this.instrumented(hash, () => read ?? original());
      if (instrumented === undefined) return undefined;
      bytes = pageChecked(instrumented);
      store?.put(key, bytes);
    }
    const variant = describeProgram(hash, bytes);
    this.checked.set(hash, variant);
    return variant;
  }

  /** A page-checked variant that another core has compiled; gives the one to use on this core. */
  adoptPageChecked(variant: Program): Program {
    const known = this.checked.get(variant.hash);
    if (known === undefined) this.checked.set(variant.hash, variant);
    return known ?? variant;
  }

  private instrumented(hash: string, original: () => Uint8Array | undefined): Uint8Array | undefined {
    const stored = this.options.store?.get(this.storeKey(hash));
    if (stored !== undefined) return stored;
    const bytes = this.genuine(hash, original());
    return bytes === undefined ? undefined : instrument(validModule(bytes), this.instrumentOptions).bytes;
  }

  /** What a file holds, if that is the program with a content hash. */
  private genuine(hash: string, bytes: Uint8Array | undefined): Uint8Array | undefined {
    return bytes !== undefined && this.options.hash(bytes) === hash ? bytes : undefined;
  }

  private storeKey(hash: string): string {
    return `${instrumenterVersion}-${this.optionsKey}-${hash}`;
  }

  private loadStored(hash: string): Program | undefined {
    const stored = this.options.store?.get(this.storeKey(hash));
    if (stored === undefined) return undefined;
    try {
      return describeProgram(hash, stored);
    } catch {
      // The store vouches for its entries, but making the module anew is always possible.
      return undefined;
    }
  }

  private loadFresh(hash: string, bytes: Uint8Array): Program {
    const instrumented = instrument(validModule(bytes), this.instrumentOptions).bytes;
    const program = describeProgram(hash, instrumented);
    this.options.store?.put(this.storeKey(hash), instrumented);
    return program;
  }
}

/**
 * Checks that the bytes are a valid module. The passes rely on it: a module that names things it does not have
 * must not get at the things that instrumentation adds.
 */
function validModule(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const own: Uint8Array<ArrayBuffer> =
    bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
  // Our own decoder first: it says what is wrong in our words.
  decodeModule(own);
  if (!WebAssembly.validate(own)) {
    const message = compileMessage(own);
    throw new MalformedModuleError(Number(/@\+(\d+)/.exec(message)?.[1] ?? 0), "a valid module", message);
  }
  return own;
}

function compileMessage(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    new WebAssembly.Module(bytes);
    return "an invalid one";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Compiles an instrumented module and reads off it what the kernel has to know. */
function describeProgram(hash: string, bytes: Uint8Array): Program {
  const module = decodeModule(bytes);
  const functions = new Set<string>();
  for (const entry of module.exports) if (entry.kind === "function") functions.add(entry.name);
  const entry = functions.has("_start") ? "_start" : functions.has("_initialize") ? "_initialize" : null;
  const hasStart = functions.has(startExport);
  if (entry === null && !hasStart) throw new NoEntryPointError("_start");
  return {
    hash,
    module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>),
    imports: programImports(module),
    memory: programMemory(module),
    entry,
    hasStart,
    startsThreads: module.exports.some((one) => one.name === threadExport && isThreadStart(module, one)),
    migratable: functions.has(resumeExport),
    obstacle: obstacleOf(module),
  };
}

/** Whether an export is a function that takes a thread id and an argument. */
function isThreadStart(module: Module, { kind, index }: Module["exports"][number]): boolean {
  if (kind !== "function") return false;
  const imported = module.imports.filter(({ description }) => description.kind === "function");
  const { description } = imported[index] ?? {};
  const typeIndex =
    description?.kind === "function" ? description.typeIndex : module.functions[index - imported.length];
  const type = functionTypeAt(module, typeIndex);
  return type?.results.length === 0 && type.params.join() === [valueType.i32, valueType.i32].join();
}

/** What instrumentation noted of a program that cannot be captured. */
function obstacleOf(module: Module): string {
  const section = module.custom.find(({ name }) => name === obstacleSection);
  if (section === undefined) return "";
  const { contents } = section;
  const bytes = contents instanceof Uint8Array ? contents : module.bytes.slice(contents.start, contents.end);
  return new TextDecoder().decode(bytes);
}

function programImports(module: Module): ProgramImport[] {
  const imports: ProgramImport[] = [];
  for (const entry of module.imports) {
    if (entry.module === engineNamespace) continue;
    const { description } = entry;
    if (description.kind !== "function") {
      throw new UnsupportedModuleError(
        `imported ${description.kind} ${entry.module}.${entry.name}`,
        "a program can import functions and its memory",
      );
    }
    const type = functionTypeAt(module, description.typeIndex);
    imports.push({
      module: entry.module,
      name: entry.name,
      params: (type?.params ?? []).map(importValueType),
      results: (type?.results ?? []).map(importValueType),
    });
  }
  return imports;
}

function programMemory(module: Module): ProgramMemory | null {
  for (const { module: namespace, name, description } of module.imports) {
    if (namespace !== engineNamespace || name !== engineImport.memory) continue;
    if (description.kind !== "memory") continue;
    const { minimum, maximum, wide } = description.memory;
    return { initial: minimum, maximum: maximum ?? minimum, wide };
  }
  return null;
}

function importValueType(type: ValueType): ImportValueType {
  switch (type) {
    case valueType.i32:
      return "i32";
    case valueType.i64:
      return "i64";
    case valueType.f32:
      return "f32";
    case valueType.f64:
      return "f64";
    case valueType.v128:
      return "v128";
    default:
      return "reference";
  }
}
