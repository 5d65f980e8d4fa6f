/**
 * One thread's execution of a program. A context runs on its own stack (JSPI), so that it can stop in the
 * middle of a system call or a loop and go on later; many contexts share a core.
 */
import { ProgramError } from "./errors.ts";
import { copyInExport, copyOutExport, startExport } from "./passes/abi.ts";
import type { Program } from "./program.ts";
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
  | { readonly kind: "failed"; readonly error: unknown };

/** Moves bytes between the process memory and the island's; the ranges must lie inside. */
export interface MemoryCopies {
  /** `length` bytes at `address` of the process memory go to `ramOffset` of the island's. */
  copyIn(ramOffset: number, address: number, length: number): void;
  /** `length` bytes at `ramOffset` of the island's memory go to `address` of the process memory. */
  copyOut(address: number, ramOffset: number, length: number): void;
}

type Entry = () => Promise<unknown>;

export class Context {
  readonly program: Program;
  /** Null for a program without memory. */
  readonly copies: MemoryCopies | null;
  private readonly instance: WebAssembly.Instance;
  private dying = false;

  /** An instance of a program, of which nothing has run yet. Made by a `Linker`. */
  constructor(program: Program, instance: WebAssembly.Instance) {
    this.program = program;
    this.instance = instance;
    const { [copyInExport]: copyIn, [copyOutExport]: copyOut } = instance.exports;
    const has = typeof copyIn === "function" && typeof copyOut === "function";
    this.copies = has ? ({ copyIn, copyOut } as MemoryCopies) : null;
  }

  /** The trap that follows is the kernel's way to end the program. */
  die(): void {
    this.dying = true;
  }

  /** Runs the program from its start to its end. To be called once. */
  async start(): Promise<ContextEnd> {
    const { entry, hasStart } = this.program;
    if (hasStart) {
      const end = await this.run(startExport);
      if (end.kind !== "returned" || entry === null) return end;
    }
    return entry === null ? { kind: "returned" } : this.run(entry);
  }

  /** Runs an exported function without parameters. */
  private async run(name: string): Promise<ContextEnd> {
    const exported = this.instance.exports[name];
    if (typeof exported !== "function") throw new ProgramError(`the program exports no function "${name}"`);
    const entry: Entry = WebAssembly.promising(exported);
    try {
      await entry();
      return { kind: "returned" };
    } catch (error) {
      return this.endOf(error);
    }
  }

  private endOf(error: unknown): ContextEnd {
    // The trap that ends a dying program is not its fault.
    if (this.dying) return { kind: "died" };
    const trap = classifyTrap(error);
    if (trap !== null) return { kind: "trapped", message: trap.trap, ...trap };
    if (error instanceof WebAssembly.Exception) {
      const trap = "uncaught exception";
      return { kind: "trapped", message: trap, trap, signalName: "SIGABRT", signal: trapSignal.SIGABRT };
    }
    return { kind: "failed", error };
  }
}
