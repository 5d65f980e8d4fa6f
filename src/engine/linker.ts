/**
 * Links programs with what they import, and so makes contexts. There is one linker per core. All processes of a
 * program get the same import functions, which act for whichever process runs: making them anew for each would
 * take as long as everything else that starting a small program takes.
 */
import { Context, type ImportFunction } from "./context.ts";
import { MissingImportsError, ProgramError } from "./errors.ts";
import { pagedImport } from "./paged/abi.ts";
import { engineImport, engineNamespace, initializeExport } from "./passes/abi.ts";
import type { Program, ProgramImport } from "./program.ts";
import { SaveArea } from "./save-area.ts";

/** The kernel's side of the contexts on a core; every call is about the one that runs. */
export interface ContextHooks {
  /** Called from a poll that found the poll word set, or its fuel gone: an `interruptAnswer`; `capture` for migratable programs only. */
  interrupt(): number;
  /** Called when the context must wait; resolves to a `resumption` when it is to go on. */
  suspend(): Promise<number>;
  /** In place of `memory.grow`: the old size in pages, or -1. */
  grow(deltaPages: number): number;
  /** The context is about to be ended by a trap that is not its fault: `Context.die` must be called. */
  die(): void;
  /** For page-checked programs: `pagedImport.fault`. */
  fault?(firstPage: number, lastPage: number): number;
}

/** Import functions by module and name. */
export type ImportFunctions = Readonly<Record<string, Readonly<Record<string, ImportFunction>>>>;

export interface LinkerOptions {
  /** The control page of the core. */
  readonly control: WebAssembly.Memory;
  /** The island's memory. */
  readonly ram: WebAssembly.Memory;
  readonly hooks: ContextHooks;
  /**
   * The functions for a program's imports, as far as there are any. A function that would block returns
   * `BLOCKED`; one that ends the program, `DIED`.
   */
  readonly imports: (wanted: readonly ProgramImport[]) => ImportFunctions;
}

type ModuleImports = Record<string, WebAssembly.ImportValue>;

export class Linker {
  private readonly wanted: LinkerOptions["imports"];
  /** What instrumentation imports; the process memory is filled in for each process. */
  private readonly engine: ModuleImports;
  private readonly saveArea = new SaveArea();
  private readonly linked = new WeakMap<Program, Record<string, ModuleImports>>();

  constructor({ control, ram, hooks, imports }: LinkerOptions) {
    this.wanted = imports;
    this.engine = {
      [engineImport.control]: control,
      [engineImport.ram]: ram,
      [engineImport.frames]: this.saveArea.memory,
      [engineImport.interrupt]: () => hooks.interrupt(),
      [engineImport.suspend]: new WebAssembly.Suspending(() => hooks.suspend()),
      [engineImport.grow]: (deltaPages: number) => hooks.grow(deltaPages >>> 0),
      [engineImport.die]: () => hooks.die(),
      [pagedImport.fault]: (first: number, last: number) => hooks.fault?.(first >>> 0, last >>> 0) ?? 1,
    };
  }

  /**
   * Makes an instance of the program; nothing of it runs yet.
   * @param memory the process memory: shared, within the limits of `program.memory`; null for a program without.
   * @param resumed the memory is that of a captured process already: the program's data is not written to it.
   * @param pages the page map, for the page-checked variant of a program.
   * @throws MissingImportsError naming every function that there is not.
   * @throws ProgramError when the memory does not fit the program.
   */
  makeContext(
    program: Program,
    memory: WebAssembly.Memory | null,
    resumed = false,
    pages: WebAssembly.Memory | null = null,
  ): Context {
    const imports = this.importsOf(program);
    if (pages !== null) this.engine[pagedImport.pages] = pages;
    if (memory !== null) this.engine[engineImport.memory] = memory;
    let instance: WebAssembly.Instance;
    try {
      instance = new WebAssembly.Instance(program.module, imports);
      const { [initializeExport]: initialize } = instance.exports;
      if (!resumed && typeof initialize === "function") initialize();
    } catch (error) {
      // A data segment outside the memory, or a memory of the wrong size.
      throw new ProgramError(`the program cannot start: ${error instanceof Error ? error.message : error}`);
    } finally {
      // The imports outlive the process; its memory must not.
      delete this.engine[engineImport.memory];
      delete this.engine[pagedImport.pages];
    }
    return new Context(program, instance, this.saveArea);
  }

  private importsOf(program: Program): Record<string, ModuleImports> {
    const known = this.linked.get(program);
    if (known !== undefined) return known;
    const functions = this.wanted(program.imports);
    const missing: string[] = [];
    for (const { module, name } of program.imports) {
      if (typeof functions[module]?.[name] !== "function") missing.push(`${module}.${name}`);
    }
    if (missing.length > 0) throw new MissingImportsError(missing);
    const imports = { ...(functions as Record<string, ModuleImports>), [engineNamespace]: this.engine };
    this.linked.set(program, imports);
    return imports;
  }
}
