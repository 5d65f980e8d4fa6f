/**
 * One thread's execution of a program. A context runs on its own stack (JSPI), so that it can stop in the
 * middle of a system call or a loop and go on later; many contexts share a core.
 */
import { ProgramError } from "./errors.ts";
import {
  copyInExport,
  copyOutExport,
  loadGlobalsExport,
  resumeExport,
  saveGlobalsExport,
  startExport,
  threadExport,
  unwindExport,
} from "./passes/abi.ts";
import type { Program } from "./program.ts";
import type { SaveArea } from "./save-area.ts";
import { loadTables, saveTables } from "./table-values.ts";
import { classifyTrap, type Trap, trapSignal } from "./traps.ts";

/** A function that a program imports: numbers in, a number or nothing out. */
export type ImportFunction = (...values: never[]) => unknown;

/** How a context ended. */
export type ContextEnd =
  /** The entry function returned. */
  | { readonly kind: "returned" }
  /** The kernel ended it: a poll or a system call said so. */
  | { readonly kind: "died" }
  /** The program's own fault. */
  | ({ readonly kind: "trapped"; readonly message: string } & Trap)
  /** A function of the kernel threw. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** The kernel asked for a capture: the stack is gone, and this is what was on it. `resume` brings it back. */
  | { readonly kind: "captured"; readonly state: ContextState };

/**
 * One thread's execution state, outside of the program's memory. Plain data: it can be posted and stored. Its
 * layout is described in FORMAT.md.
 */
export interface ContextState {
  /** Content hash of the original program. */
  readonly program: string;
  /** Which export was running: the start function or the entry. */
  readonly phase: "start" | "entry";
  /** The frames, innermost first, as the instrumented functions wrote them. */
  readonly frames: Uint8Array;
  /** Values of the mutable globals, then the tables that the program changes (`table-values.ts`). */
  readonly globals: Uint8Array;
}

/** Moves bytes between the process memory and the island's; the ranges must lie inside. */
export interface MemoryCopies {
  /** `length` bytes at `address` of the process memory go to `ramOffset` of the island's. */
  copyIn(ramOffset: number, address: number, length: number): void;
  /** `length` bytes at `ramOffset` of the island's memory go to `address` of the process memory. */
  copyOut(address: number, ramOffset: number, length: number): void;
}

type Entry = (...values: number[]) => Promise<unknown>;

export class Context {
  readonly program: Program;
  /** Null for a program without memory. */
  readonly copies: MemoryCopies | null;
  private readonly instance: WebAssembly.Instance;
  private readonly saveArea: SaveArea;
  private dying = false;
  private phase: ContextState["phase"] = "start";

  /** An instance of a program, of which nothing has run yet. Made by a `Linker`. */
  constructor(program: Program, instance: WebAssembly.Instance, saveArea: SaveArea) {
    this.program = program;
    this.instance = instance;
    this.saveArea = saveArea;
    const { [copyInExport]: copyIn, [copyOutExport]: copyOut } = instance.exports;
    const has = typeof copyIn === "function" && typeof copyOut === "function";
    this.copies = has ? ({ copyIn, copyOut } as MemoryCopies) : null;
  }

  /** The trap that follows is the kernel's way to end the program. */
  die(): void {
    this.dying = true;
  }

  /** Runs the program from its start. To be called once. */
  start(): Promise<ContextEnd> {
    this.phase = this.program.hasStart ? "start" : "entry";
    if (this.phase === "entry") return this.enter();
    return this.runStart(startExport);
  }

  /**
   * Runs a further thread of the program, over the memory in which it runs already: the module's start function, if
   * there is one, then `wasi_thread_start`. To be called once, instead of `start`. Such a context cannot be captured.
   */
  async startThread(id: number, argument: number): Promise<ContextEnd> {
    if (this.program.hasStart) {
      const end = await this.run(startExport);
      if (end.kind !== "returned") return end;
    }
    return this.run(threadExport, id, argument);
  }

  /**
   * Goes on with what was captured, here or in another context of the same program. The memory must be as it was.
   * @throws ProgramError when the state is not this program's, or is damaged.
   */
  resume(state: ContextState): Promise<ContextEnd> {
    const { program, saveArea } = this;
    if (!program.migratable) throw new ProgramError(`the program cannot be captured: ${program.obstacle}`);
    if (state.program !== program.hash) throw new ProgramError("the state is that of another program");
    if (state.frames.length === 0) throw new ProgramError("the state has no frames");
    // What the globals take is known from saving them.
    saveArea.reset();
    this.call(saveGlobalsExport);
    const globals_bytes = saveArea.take(saveArea.base).globals.length;
    loadTables(this.instance, state.globals.subarray(globals_bytes));
    saveArea.write(state.frames, state.globals.subarray(0, globals_bytes));
    this.call(loadGlobalsExport);
    this.phase = state.phase;
    return this.phase === "start" ? this.runStart(resumeExport) : this.run(resumeExport);
  }

  private async runStart(name: string): Promise<ContextEnd> {
    const end = await this.run(name);
    if (end.kind !== "returned") return end;
    this.phase = "entry";
    return this.enter();
  }

  private async enter(): Promise<ContextEnd> {
    const { entry } = this.program;
    return entry === null ? { kind: "returned" } : this.run(entry);
  }

  /** Runs an exported function, which may wait. */
  private async run(name: string, ...values: number[]): Promise<ContextEnd> {
    const entry: Entry = WebAssembly.promising(this.exported(name));
    try {
      await entry(...values);
      return { kind: "returned" };
    } catch (error) {
      return this.endOf(error);
    }
  }

  /** Calls an exported function without parameters, which does not wait. */
  private call(name: string): void {
    this.exported(name)();
  }

  private exported(name: string): () => unknown {
    const exported = this.instance.exports[name];
    if (typeof exported !== "function") throw new ProgramError(`the program exports no function "${name}"`);
    return exported as () => unknown;
  }

  private endOf(error: unknown): ContextEnd {
    // The trap that ends a dying program is not its fault.
    if (this.dying) return { kind: "died" };
    if (error instanceof WebAssembly.Exception) {
      const { [unwindExport]: unwind } = this.instance.exports;
      if (unwind instanceof WebAssembly.Tag && error.is(unwind)) {
        return { kind: "captured", state: this.takeState() };
      }
      const trap = "uncaught exception";
      return { kind: "trapped", message: trap, trap, signalName: "SIGABRT", signal: trapSignal.SIGABRT };
    }
    const trap = classifyTrap(error);
    if (trap !== null) return { kind: "trapped", message: trap.trap, ...trap };
    return { kind: "failed", error };
  }

  /** What unwinding left in the save area. */
  private takeState(): ContextState {
    const { program, saveArea, phase } = this;
    const framesEnd = saveArea.top;
    this.call(saveGlobalsExport);
    const { frames, globals } = saveArea.take(framesEnd);
    const tables = saveTables(this.instance);
    if (tables.length === 0) return { program: program.hash, phase, frames, globals };
    const both = new Uint8Array(globals.length + tables.length);
    both.set(globals);
    both.set(tables, globals.length);
    return { program: program.hash, phase, frames, globals: both };
  }
}
