/**
 * A process on the core that runs it: the engine context of its thread, its memory views, and the hooks
 * between the engine, the scheduler and the system call layer. Everything that must outlive the kernel is in
 * the process table; this object holds what belongs to the core.
 */

import type { Context, ContextState, MemoryCopies, Program } from "../engine/index.ts";
import type { UserMemory } from "../machine/ram.ts";
import type { Areas } from "./areas.ts";
import { type CaptureService, captureKind } from "./capture.ts";
import type { CaptureCall, CapturedProcess } from "./captured-process.ts";
import { type ChildEnd, isLent, joinChild } from "./children.ts";
import { errno } from "./errno.ts";
import { HotFrames } from "./hot-frames.ts";
import { leastLoadedCore } from "./migration.ts";
import type { Nightwatch } from "./nightwatch.ts";
import type { PagedMemory } from "./paged-memory.ts";
import { clip, type ProcessTable } from "./processes.ts";
import type { Scheduler } from "./scheduler.ts";
import { limits } from "./state.ts";
import type { WaitService } from "./wait.ts";

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
  /** Where it is to stop; nowhere unless given. */
  readonly stoppingPoint?: string;
}

/** What the processes of a core share. */
export interface ProcessParts {
  readonly areas: Areas;
  readonly scheduler: Scheduler;
  readonly captures: CaptureService;
  readonly waits: WaitService;
  readonly table: ProcessTable;
  readonly nightwatch: Nightwatch;
}

/** A NightWatch thread of a process: the thread, and its number. */
interface NightwatchThread {
  readonly thread: number;
  readonly number: number;
}

export class RunningProcess implements UserMemory {
  readonly slot: number;
  readonly thread: number;
  /** Of a NightWatch thread; 0 for the process's own thread. */
  readonly nightwatchNumber: number;
  readonly pid: number;
  /** How far its monotonic clock is ahead of the machine's. */
  readonly clockOffset_ns: number;
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  readonly preopens: readonly string[];
  /** Where it is to stop, see `argument-block.ts`. */
  readonly stoppingPoint: string | undefined;
  /** Views of the program's memory, replaced when it grows. Empty until there is a memory. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Set by `exit` and `raise`; the engine context then ends with `died`. */
  exitCode: number | undefined;
  /** It has raised a signal. */
  private raised = false;
  /** The program's way to copy; null until there is a context, and without a memory. */
  copies: MemoryCopies | null = null;
  /** The program that runs, and the path it was found by; set before it starts. */
  program: Program | undefined;
  path = "";
  /** As long as the program is the page-checked variant, because pages of the memory are missing. */
  paging: PagedMemory | undefined;
  /** When it is to be entered anew in place. */
  hotFrames = new HotFrames(Infinity);
  private context: Context | undefined;
  private memory: WebAssembly.Memory | undefined;
  private readonly processes: Areas["processes"];
  private readonly parts: ProcessParts;
  /** The program that takes over, see `exec`. */
  replacement: Replacement | undefined;
  /** The system call that waits for a capture of this process. */
  private call: CaptureCall | undefined;

  /** @param nightwatch the NightWatch thread that this is about, if it is not the process's own thread. */
  constructor(slot: number, started: StartedWith, parts: ProcessParts, nightwatch?: NightwatchThread) {
    const { processes } = parts.areas;
    this.parts = parts;
    this.slot = slot;
    this.processes = processes;
    this.thread = nightwatch?.thread ?? processes.thread(slot);
    this.nightwatchNumber = nightwatch?.number ?? 0;
    this.pid = processes.pid(slot);
    this.clockOffset_ns = processes.clockOffset_ns(slot);
    this.arguments = started.arguments;
    this.environment = started.environment;
    this.preopens = started.preopens;
    this.stoppingPoint = started.stoppingPoint;
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
    if (this.nightwatchNumber !== 0) this.parts.nightwatch.guests.grown(this.pid, new_pages);
    return old_pages;
  }

  /** Takes the context that the program is about to run in. */
  setContext(context: Context): void {
    this.context = context;
    this.copies = context.copies;
  }

  /** The context that the program runs in. @throws Error before there is one. */
  currentContext(): Context {
    if (this.context === undefined) throw new Error(`process ${this.pid} has no context`);
    return this.context;
  }

  /** Processor time is credited up to now: the process is about to leave this core. */
  settle(): void {
    this.parts.scheduler.settle();
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

  /** Another thread of the process may have made the memory grow, to a size in WebAssembly pages, since this one ran. */
  refreshMemory(pages: number): void {
    const { memory } = this;
    if (memory === undefined || this.bytes.length >= pages * 65_536) return;
    // What another host thread has grown shows here as soon as this one grows it, too, by nothing.
    memory.grow(0);
    this.adopt(memory);
  }

  /** The memory with all of its pages, to be shared; null without one. */
  wholeMemory(): WebAssembly.Memory | null {
    this.paging?.complete();
    return this.memory ?? null;
  }

  /** Takes what a NightWatch thread runs. */
  begin(program: Program, path: string, memory: WebAssembly.Memory): void {
    this.program = program;
    this.path = path;
    memory.grow(0);
    this.adopt(memory);
  }

  /** Its NightWatch thread is to end, because its process does. */
  isEnding(): boolean {
    return this.nightwatchNumber !== 0 && this.parts.nightwatch.guests.isEnding(this.thread);
  }

  // What the system call layer asks.

  /** A signal that ends the process is pending, or it has called exit. */
  dying(): boolean {
    if (this.exitCode !== undefined || this.replacement !== undefined) return true;
    // Signals are for the normal thread, which ends the others.
    if (this.nightwatchNumber !== 0) return this.raised || this.isEnding();
    return this.processes.pendingSignal(this.slot) !== 0;
  }

  /** The context is to be captured: somebody asked for it, or the last page has come; and it can be done. */
  capturing(): boolean {
    if (this.nightwatchNumber !== 0) return false;
    const isWanted = this.processes.captureRequests(this.slot) !== 0 || this.paging?.isComplete === true;
    return isWanted && this.program?.migratable === true && this.processes.nightwatchAlive(this.slot) === 0;
  }

  /** What travels, when the context has been captured. @throws Error without a program. */
  captured(state: ContextState): CapturedProcess {
    if (this.program === undefined) throw new Error(`process ${this.pid} has no program`);
    // Whoever gets it next gets all of its memory.
    this.paging?.complete();
    this.processes.setMissingPages(this.slot, 0);
    return {
      slot: this.slot,
      thread: this.thread,
      pid: this.pid,
      state,
      memory: this.memory ?? null,
      program: this.program,
      path: this.path,
      arguments: this.arguments,
      environment: this.environment,
      preopens: this.preopens,
      call: this.call,
    };
  }

  /** Every page has come: the memory, over which the program can go on in its fast variant. */
  endPaging(): WebAssembly.Memory | null {
    this.paging = undefined;
    this.processes.setMissingPages(this.slot, 0);
    return this.memory ?? null;
  }

  /** Takes over what travelled, before the context goes on. */
  restore(captured: CapturedProcess): void {
    this.program = captured.program;
    this.path = captured.path;
    this.call = captured.call;
    if (captured.memory !== null) this.adopt(captured.memory);
  }

  /**
   * For a system call that asks for a capture of its own process. Undefined when the call is to return BLOCKED: it
   * is repeated after the capture. The last time gives what `answerCall` was told, or a negated errno.
   */
  captureCall(kind: number, argument: number): number | undefined {
    const { call } = this;
    if (call === undefined) {
      const ticket = this.parts.captures.requestOwn(this.slot, kind, argument);
      if (ticket < 0) return ticket;
      this.call = { kind, result: undefined };
      return undefined;
    }
    if (call.result !== undefined) this.call = undefined;
    return call.result;
  }

  /** The result of the system call that asked for a capture of a kind, if one did. */
  answerCall(kind: number, result: number): void {
    if (this.call?.kind === kind) this.call = { kind, result };
  }

  /** As on every Unix, who waits sees eight bits of the code. */
  exit(code: number): void {
    this.exitCode = code & 0xff;
  }

  /** Another program takes this one's place when its context has ended; the open file is handed over. */
  exec(file: number, name: string, args: readonly Uint8Array[]): void {
    this.replacement = { file, name, arguments: args };
    const decoder = new TextDecoder();
    const words = [
      name.slice(name.lastIndexOf("/") + 1),
      ...args.slice(1).map((word) => decoder.decode(word)),
    ];
    this.processes.setName(this.slot, clip(words.join(" "), 63));
  }

  /** A signal to this process or a child of it: zero, −PERM for any other process, −SRCH, −INVAL. */
  signal(pid: number, number: number): number {
    const slot = pid % limits.processes;
    const known = this.processes.pid(slot) === pid;
    if (known && pid !== this.pid && this.processes.parent(slot) !== this.pid) return -errno.PERM;
    return this.parts.table.kill(pid, number);
  }

  /** Moves this process to a kernel: see `WasiProcess.migrate` for results. */
  migrate(kernel: number): number | undefined {
    if (this.call === undefined) {
      const target = leastLoadedCore(this.parts.areas, kernel);
      return target < 0 ? target : this.captureCall(captureKind.migrate, target);
    }
    return this.captureCall(captureKind.migrate, 0);
  }

  /** The calls about NightWatch threads: see `NightwatchCalls` of the WASI layer for results. */
  get nightwatch() {
    const { nightwatch } = this.parts;
    return {
      isCaller: this.nightwatchNumber !== 0,
      spawn: (argument: number) => nightwatch.spawn(this, argument),
      join: (number: number) => nightwatch.join(this, number),
    };
  }

  get parent(): number {
    return this.processes.parent(this.slot);
  }

  /** Wakes when a child ends, or has left this process's memory. */
  get childQueue(): number {
    return this.processes.exitQueue(this.slot);
  }

  /** Makes a child: see `WasiProcess.fork` for results. */
  fork(copies: boolean): number | undefined {
    const { processes, slot } = this;
    if (processes.lentTo(slot) === 0) return this.captureCall(captureKind.fork, copies ? 1 : 0);
    // The child is there. What is left of the call is in the process's record, where it outlives other captures.
    this.call = undefined;
    if (isLent(processes, slot)) return undefined;
    const child = processes.lentTo(slot);
    processes.setLentTo(slot, 0);
    // The child may have made it grow.
    if (this.memory !== undefined) this.adopt(this.memory);
    return child;
  }

  /** Collects a child that has ended: see `joinChild`. */
  join(pid: number, into: ChildEnd): number {
    const { table } = this.parts;
    // Children are the normal thread's to collect.
    if (this.nightwatchNumber !== 0) return -errno.NOTSUP;
    return joinChild(this.processes, this.slot, pid, (child) => table.collect(child), into);
  }

  /** The program has ended: gives up its memory. The memory, if now nobody uses it. */
  leaveMemory(): WebAssembly.Memory | undefined {
    const { memory, processes, slot } = this;
    this.memory = undefined;
    this.paging = undefined;
    processes.setMissingPages(slot, 0);
    this.bytes = new Uint8Array(0);
    this.view = new DataView(new ArrayBuffer(0));
    const isShared = processes.borrows(slot) !== 0 || isLent(processes, slot);
    if (processes.borrows(slot) !== 0) {
      processes.setBorrows(slot, 0);
      this.parts.table.wakeParent(processes.parent(slot));
    }
    processes.setLentTo(slot, 0);
    return isShared ? undefined : memory;
  }

  /** It has reached the point where it was to stop: tells who waits for it. */
  stop(): void {
    this.processes.setStopped(this.slot, 1);
    this.parts.waits.wake(this.processes.exitQueue(this.slot));
  }

  get isStopped(): boolean {
    return this.processes.stopped(this.slot) !== 0;
  }

  raise(number: number): void {
    this.raised = true;
    this.processes.compareExchangePendingSignal(this.slot, 0, number);
  }

  /** The next suspension does not sleep: it lets other ready threads run first. */
  yield(): void {
    this.parts.scheduler.yieldNext();
  }
}
