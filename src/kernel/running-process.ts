/**
 * A process on the core that runs it: the engine context of its thread, its memory views, and the hooks
 * between the engine, the scheduler and the system call layer. Everything that must outlive the kernel is in
 * the process table; this object holds what belongs to the core.
 */

import type { Context, MemoryCopies } from "../engine/index.ts";
import type { UserMemory } from "../machine/ram.ts";
import type { Areas } from "./areas.ts";
import { errno } from "./errno.ts";
import type { Scheduler } from "./scheduler.ts";
import { limits } from "./state.ts";

/** Pages a 32-bit WebAssembly memory can have. */
export const mostPages = 65_536;

/** A program that another one asked to be replaced by. */
export interface Replacement {
  /** Open file of the program. */
  readonly file: number;
  readonly name: string;
  readonly arguments: readonly Uint8Array[];
}

/** What a program is started with. */
export interface StartedWith {
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  readonly preopens: readonly string[];
}

export class RunningProcess implements UserMemory {
  readonly slot: number;
  readonly thread: number;
  readonly pid: number;
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  readonly preopens: readonly string[];
  /** Views of the program's memory, replaced when it grows. Empty until there is a memory. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Set by `exit` and `raise`; the engine context then ends with `died`. */
  exitCode: number | undefined;
  /** The program's way to copy; null until there is a context, and without a memory. */
  copies: MemoryCopies | null = null;
  private context: Context | undefined;
  private memory: WebAssembly.Memory | undefined;
  private readonly processes: Areas["processes"];
  private readonly scheduler: Scheduler;
  private readonly kill: (pid: number, signal: number) => number;
  /** The program that takes over, see `exec`. */
  replacement: Replacement | undefined;

  /** `kill` sends a signal to any process. */
  constructor(
    slot: number,
    started: StartedWith,
    areas: Areas,
    scheduler: Scheduler,
    kill: (pid: number, signal: number) => number,
  ) {
    this.kill = kill;
    this.slot = slot;
    this.processes = areas.processes;
    this.scheduler = scheduler;
    this.thread = areas.processes.thread(slot);
    this.pid = areas.processes.pid(slot);
    this.arguments = started.arguments;
    this.environment = started.environment;
    this.preopens = started.preopens;
  }

  /** `memory.grow` of the program: old size in pages, or −1 when its limit or the host's memory is reached. */
  grow(delta_pages: number): number {
    const { memory } = this;
    if (memory === undefined) return -1;
    const old_pages = this.processes.memoryPages(this.slot);
    const new_pages = old_pages + (delta_pages >>> 0);
    if (new_pages > this.processes.memoryLimitPages(this.slot)) return -1;
    try {
      memory.grow(delta_pages >>> 0);
    } catch {
      return -1;
    }
    this.adopt(memory);
    return old_pages;
  }

  /** Takes the context that the program is about to run in. */
  setContext(context: Context): void {
    this.context = context;
    this.copies = context.copies;
  }

  /** The engine is about to end the program because it was told to. */
  die(): void {
    this.context?.die();
  }

  /** Takes the program's memory: accounts its pages and makes the views. */
  adopt(memory: WebAssembly.Memory): void {
    this.memory = memory;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.processes.setMemoryPages(this.slot, this.bytes.length / 65_536);
  }

  // What the system call layer asks.

  /** A signal that ends the process is pending, or it has called exit. */
  dying(): boolean {
    return (
      this.exitCode !== undefined ||
      this.replacement !== undefined ||
      this.processes.pendingSignal(this.slot) !== 0
    );
  }

  /** As on every Unix, who waits sees eight bits of the code. */
  exit(code: number): void {
    this.exitCode = code & 0xff;
  }

  /** Another program takes this one's place when its context has ended; the open file is handed over. */
  exec(file: number, name: string, args: readonly Uint8Array[]): void {
    this.replacement = { file, name, arguments: args };
  }

  /** A signal to this process or a child of it: zero, −PERM for any other process, −SRCH, −INVAL. */
  signal(pid: number, number: number): number {
    const slot = pid % limits.processes;
    const known = this.processes.pid(slot) === pid;
    if (known && pid !== this.pid && this.processes.parent(slot) !== this.pid) return -errno.PERM;
    return this.kill(pid, number);
  }

  raise(number: number): void {
    this.processes.compareExchangePendingSignal(this.slot, 0, number);
  }

  /** The next suspension does not sleep: it lets other ready threads run first. */
  yield(): void {
    this.scheduler.yieldNext();
  }
}
