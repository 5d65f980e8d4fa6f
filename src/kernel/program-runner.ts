/**
 * From a fresh thread to the end of its process: finds the program, has the engine load it, runs it, and
 * turns whatever happened into an exit status. Nothing a program does, and no program that is damaged or too
 * large, gets further than its own process.
 */
import {
  type Context,
  type ContextEnd,
  type ContextState,
  interruptAnswer,
  Linker,
  type LinkerOptions,
  ProgramError,
  type ProgramLoader,
} from "../engine/index.ts";
import { type Core, interruptLine, type OperatorLog } from "../machine/machine.ts";
import type { Ram } from "../machine/ram.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Endpoint } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { type DecodedArguments, decodeArguments } from "./argument-block.ts";
import { CaptureHandlers, type CaptureService } from "./capture.ts";
import type { CapturedProcess } from "./captured-process.ts";
import { HotFrames } from "./hot-frames.ts";
import { Nightwatch } from "./nightwatch.ts";
import type { NightwatchStart } from "./nightwatch-guests.ts";
import { ended, endedByPending, failed, messageOf, type Outcome, outcomeOf } from "./outcome.ts";
import { type PageAllocator, page_bytes } from "./page-allocator.ts";
import { Paging } from "./paging.ts";
import type { Executable, Personality, ProcessCalls } from "./personality.ts";
import { type ProcessTable, signal, startFailure } from "./processes.ts";
import { makeMemory, ProgramLoading } from "./program-loading.ts";
import { ProgramMemories } from "./program-memories.ts";
import type { RunQueue } from "./run-queue.ts";
import { mostPages, type ProcessParts, RunningProcess } from "./running-process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { WaitService } from "./wait.ts";

/** A process of this core, and its system calls. */
interface Running {
  readonly process: RunningProcess;
  readonly calls: ProcessCalls;
}

/** A captured process that is to go on here. */
interface Arrival {
  readonly process: RunningProcess;
  readonly state: ContextState;
}

export interface RunnerParts {
  readonly core: Core;
  readonly memory: TypedMemory;
  readonly ram: Ram;
  readonly areas: Areas;
  readonly waits: WaitService;
  readonly captures: CaptureService;
  readonly pages: PageAllocator;
  readonly personality: Personality;
  readonly loader: ProgramLoader;
  readonly table: ProcessTable;
  readonly log: OperatorLog;
  /** Whether long-running programs are entered anew in place: see `hot-frames.ts`. */
  readonly hotFrames: boolean;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  /** Number that names this core as a holder of locks. */
  readonly owner: number;
  /** Kernels that NightWatch threads are pinned to. */
  readonly weakKernels: readonly number[];
}

export class ProgramRunner {
  /** What is done with captured processes of this core. */
  readonly handlers: CaptureHandlers;
  private readonly parts: RunnerParts;
  /** What is done for processes whose memory comes page by page. */
  readonly paging: Paging;
  readonly nightwatch: Nightwatch;
  private readonly linker: Linker;
  private readonly scheduler: () => Scheduler;
  private readonly loading: ProgramLoading;
  private readonly memories = new ProgramMemories();
  private readonly running = new Map<number, Running>();
  /** Captured processes that have not gone on yet, by thread. */
  private readonly arrivals = new Map<number, Arrival>();
  /** The process whose thread is running: what the engine and the system calls ask is about this one. */
  private current: Running | undefined;
  /** The running context is about to be suspended for other cores, not for other threads. */
  private makingRoom = false;

  /** @param scheduler of this core; asked for when programs run, not before. */
  constructor(parts: RunnerParts, scheduler: () => Scheduler) {
    this.parts = parts;
    this.scheduler = scheduler;
    this.handlers = new CaptureHandlers(parts.captures, parts.areas, parts.log);
    this.paging = new Paging(parts, this.memories);
    this.nightwatch = new Nightwatch({ ...parts, endProcess: (slot) => this.endProcess(slot) }, scheduler);
    this.loading = new ProgramLoading(parts);
    this.linker = this.makeLinker((wanted) => parts.personality.imports(wanted));
  }

  private makeLinker(imports: LinkerOptions["imports"]): Linker {
    const { core } = this.parts;
    return new Linker({
      control: core.control,
      ram: core.ram,
      imports,
      hooks: {
        interrupt: () => this.interrupt(),
        suspend: () => this.suspend(),
        grow: (delta_pages) => this.current?.process.grow(delta_pages) ?? -1,
        die: () => this.current?.process.die(),
        fault: (firstPage, lastPage) => this.current?.process.paging?.fault(firstPage, lastPage) ?? 0,
      },
    });
  }

  /** A poll: the scheduler decides; if the program may go on, other cores may have to run first on this machine. */
  private interrupt(): number {
    const answer = this.scheduler().interrupt();
    if (answer !== interruptAnswer.proceed || !this.parts.core.mustRunOthers()) return answer;
    this.makingRoom = true;
    return interruptAnswer.suspend;
  }

  private suspend(): Promise<number> {
    if (!this.makingRoom) return this.scheduler().suspend();
    this.makingRoom = false;
    return this.parts.core.runOthers().then(() => this.scheduler().afterOthers());
  }

  /** Links a process that starts; one that is to stop at a point gets import functions of its own. */
  private linkerFor(process: RunningProcess): Linker {
    const { stoppingPoint } = process;
    if (stoppingPoint === undefined) return this.linker;
    return this.makeLinker((wanted) => {
      const table = this.parts.personality.stoppingImports(wanted, process, stoppingPoint);
      if (table === undefined) throw new ProgramError(`"${stoppingPoint}" is no point to stop at`);
      return table;
    });
  }

  /** The running context is to be captured. */
  capturing(): boolean {
    return this.current?.process.capturing() ?? false;
  }

  /** Processor time of its process at which the running context is to be entered anew; Infinity for never. */
  reentry_ns(): number {
    return this.current?.process.hotFrames.due_ns ?? Infinity;
  }

  /** From now on, the process is entered anew when its frames may have become hot. */
  private watchHotFrames(process: RunningProcess): void {
    if (!this.parts.hotFrames || process.program?.migratable !== true) return;
    process.hotFrames = new HotFrames(this.parts.areas.processes.cpuTime_ns(process.slot));
  }

  /**
   * Takes a captured process over, to go on from where it was: makes a context for it on this core. The process
   * runs when its thread, in state `fresh`, is queued on this core.
   * @throws what makes it impossible: no memory, or imports that there are not.
   */
  adopt(captured: CapturedProcess): void {
    this.arrivals.set(captured.thread, this.makeArrival(captured));
  }

  private makeArrival(captured: CapturedProcess): Arrival {
    const { loader } = this.parts;
    if (loader.find(captured.program.hash) === undefined) loader.adopt(captured.program);
    const program = loader.find(captured.program.hash) ?? captured.program;
    const process = new RunningProcess(captured.slot, captured, this.processParts());
    const { memory, paging, variant } = this.paging.receive({ ...captured, program });
    process.restore({ ...captured, program, memory });
    process.paging = paging;
    this.watchHotFrames(process);
    process.setContext(this.linker.makeContext(variant, memory, true, paging?.map));
    return { process, state: captured.state };
  }

  /** As `adopt`, for a process that was captured on this core and has not left after all. */
  readmit(process: RunningProcess, state: ContextState): void {
    this.arrivals.set(process.thread, { process, state });
  }

  /** An adopted process has become this core's: what is missing of its memory comes from now on. */
  watchArrival(thread: number): void {
    const arrival = this.arrivals.get(thread);
    if (arrival !== undefined) this.paging.watch(arrival.process);
  }

  /** Undoes `adopt`, for a process that goes elsewhere before it ran. */
  dropArrival(thread: number): void {
    this.arrivals.delete(thread);
  }

  /** A thread that has run before goes on. */
  enter(thread: number): void {
    this.setCurrent(this.running.get(thread));
  }

  /** Whether a thread that has something to do with NightWatch threads, and was just entered, may go on now. */
  lands(thread: number): boolean {
    if (!this.nightwatch.lands(thread)) return false;
    // Another thread of the process may have made it grow.
    if (this.current !== undefined) {
      const { process } = this.current;
      process.refreshMemory(this.nightwatch.memoryPages(process));
    }
    return true;
  }

  /** Whether the running process is about to end. */
  dying(): boolean {
    return this.current?.process.dying() ?? false;
  }

  private setCurrent(running: Running | undefined): void {
    this.current = running;
    this.parts.ram.setUser(running?.process);
    running?.calls.enter();
  }

  /**
   * Runs the process of a fresh thread; settles when it has ended and everything it held is free, or when it has
   * left this core.
   */
  async run(thread: number): Promise<void> {
    const { areas, personality, table } = this.parts;
    const guest = this.nightwatch.guests.begin(thread);
    if (guest !== undefined) return this.runNightwatch(guest);
    const slot = areas.threads.records.process(thread);
    const arrival = this.arrivals.get(thread);
    this.arrivals.delete(thread);
    let process: RunningProcess | undefined;
    let outcome: Outcome | null;
    if (arrival !== undefined) {
      process = arrival.process;
      outcome = await this.runProgram(process, (own) => this.goOn(own, arrival));
    } else {
      const started = this.takeArguments(slot);
      if (started === null) outcome = failed(startFailure.notExecutable, "its argument block is damaged");
      else {
        const { program } = started;
        process = new RunningProcess(slot, started, this.processParts());
        outcome = await this.runProgram(process, (own) =>
          this.execute(own, personality.findExecutable(program), program),
        );
      }
    }
    // `exec`: the same process with another program, as often as it asks for one.
    for (let next = process?.replacement; process !== undefined && next !== undefined; ) {
      const { file, name } = next;
      const { environment, preopens } = process;
      process = new RunningProcess(
        slot,
        { arguments: next.arguments, environment, preopens },
        this.processParts(),
      );
      outcome = await this.runProgram(process, (own) =>
        this.execute(own, personality.openExecutable(file), name),
      );
      personality.dropFiles([file]);
      next = process.replacement;
    }
    if (outcome === null) return;
    this.scheduler().settle();
    personality.releaseFiles(slot);
    table.end(slot, outcome.exitCode, outcome.signal, outcome.message);
  }

  /** Runs a NightWatch thread of a process to its end. */
  private async runNightwatch(start: NightwatchStart): Promise<void> {
    const { processes } = this.parts.areas;
    const { slot } = start;
    const process = new RunningProcess(slot, start, this.processParts(), start);
    let returned = false;
    const outcome = await this.runProgram(process, async (own) => {
      const end = await this.enterNightwatch(own, start);
      returned = end.kind === "returned";
      return outcomeOf(own, end, processes, this.parts.log);
    });
    this.scheduler().settle();
    this.nightwatch.leave(process, returned || process.isEnding() ? undefined : (outcome ?? undefined));
  }

  /** Ends a process of this core that has no threads any more. */
  private endProcess(slot: number): void {
    const { areas, personality, table } = this.parts;
    const { exitCode, signal: number, message } = endedByPending(areas.processes, slot);
    personality.releaseFiles(slot);
    table.end(slot, exitCode, number, message);
  }

  private async enterNightwatch(process: RunningProcess, start: NightwatchStart): Promise<ContextEnd> {
    const { loader } = this.parts;
    if (loader.find(start.program.hash) === undefined) loader.adopt(start.program);
    const program = loader.find(start.program.hash) ?? start.program;
    process.begin(program, start.path, start.memory);
    try {
      const context = this.linker.makeContext(program, start.memory, true);
      process.setContext(context);
      this.callForRequests(process);
      return await context.startThread(start.number, start.argument);
    } catch (error) {
      return { kind: "failed", error };
    }
  }

  private processParts(): ProcessParts {
    const { areas, captures, table, waits } = this.parts;
    return { areas, captures, table, waits, scheduler: this.scheduler(), nightwatch: this.nightwatch };
  }

  /** Runs one program of a process to its end; null when it has left this core. */
  private async runProgram(
    process: RunningProcess,
    execute: (process: RunningProcess) => Promise<Outcome | null>,
  ): Promise<Outcome | null> {
    const { areas, personality } = this.parts;
    const calls = personality.admit(process);
    const running = { process, calls };
    this.running.set(process.thread, running);
    this.setCurrent(running);
    // A signal that came before this moment found no program to interrupt.
    const early = areas.processes.pendingSignal(process.slot);
    const outcome = early === 0 ? await execute(process) : endedByPending(areas.processes, process.slot);
    this.running.delete(process.thread);
    this.paging.forget(process);
    this.setCurrent(undefined);
    calls.leave();
    if (outcome === null || process.nightwatchNumber !== 0) return outcome;
    // They use its memory and its files.
    if (areas.processes.nightwatchAlive(process.slot) !== 0) await this.nightwatch.endThreads(process);
    this.keepMemory(process);
    return outcome;
  }

  /** A copy of a captured process's memory, undefined when the host has none left. */
  copyMemory({ memory, program }: CapturedProcess): WebAssembly.Memory | null | undefined {
    return memory === null ? null : this.memories.copy(memory, program.memory?.maximum ?? mostPages);
  }

  /** A process that has ended leaves its memory to later ones. */
  private keepMemory(process: RunningProcess): void {
    const memory = process.leaveMemory();
    const maximum = process.program?.memory?.maximum;
    if (memory !== undefined && maximum !== undefined) this.memories.giveBack(memory, maximum);
  }

  private takeArguments(slot: number): DecodedArguments | null {
    const { areas, memory, pages } = this.parts;
    const offset = areas.processes.argumentOffset(slot);
    const order = areas.processes.argumentOrder(slot);
    // Two requests may have named the same block.
    const isThere = pages.holds(offset, order);
    const started = isThere ? decodeArguments(memory, offset, page_bytes * 2 ** order) : null;
    areas.processes.setArgumentOffset(slot, 0);
    if (isThere) pages.free(offset, order);
    return started;
  }

  private async execute(
    process: RunningProcess,
    found: Executable | number,
    path: string,
  ): Promise<Outcome | null> {
    const { areas } = this.parts;
    const program = this.loading.load(found, path);
    if ("exitCode" in program) return program;
    process.program = program;
    process.path = path;
    this.loading.noteMigratable(process.slot, program);
    this.watchHotFrames(process);
    let context: Context;
    try {
      const limit_pages = areas.processes.memoryLimitPages(process.slot);
      const memory = program.memory === null ? null : makeMemory(program.memory, limit_pages);
      if (typeof memory === "string") return ended(signal.KILL, memory);
      if (memory !== null) process.adopt(memory);
      context = this.linkerFor(process).makeContext(program, memory);
      process.setContext(context);
    } catch (error) {
      return failed(startFailure.notExecutable, `${path}: ${messageOf(error)}`);
    }
    this.callForRequests(process);
    return this.follow(process, await context.start());
  }

  /** Runs a process that came here captured. */
  private async goOn(process: RunningProcess, { state }: Arrival): Promise<Outcome | null> {
    return this.follow(process, await this.resume(process, state));
  }

  private async resume(process: RunningProcess, state: ContextState): Promise<ContextEnd> {
    this.callForRequests(process);
    try {
      this.useFastVariant(process);
      return await process.currentContext().resume(state);
    } catch (error) {
      return { kind: "failed", error };
    }
  }

  /** From one end of a context to the next: captures are served until the program has really ended, or has left. */
  private async follow(process: RunningProcess, first: ContextEnd): Promise<Outcome | null> {
    const { areas } = this.parts;
    let end = first;
    while (end.kind === "captured") {
      const { state } = end;
      process.hotFrames.entered(this.scheduler().cpuTime_ns(process.thread), state.frames.length);
      // A kill wins over everything else that is wanted.
      let pending = areas.processes.pendingSignal(process.slot);
      if (pending === 0) {
        // A request that came just before it got a NightWatch thread is refused by who has made it.
        const isFree = areas.processes.nightwatchAlive(process.slot) === 0;
        if (isFree && this.handlers.handle(process, state) === "gone") return null;
        pending = areas.processes.pendingSignal(process.slot);
      }
      if (pending !== 0) return endedByPending(areas.processes, process.slot);
      end = await this.resume(process, state);
    }
    return outcomeOf(process, end, areas.processes, this.parts.log);
  }

  /** A process whose last page has come has no need of the page-checked variant any more. */
  private useFastVariant(process: RunningProcess): void {
    const { paging, program } = process;
    if (paging === undefined || program === undefined || !paging.isComplete) return;
    const memory = process.endPaging();
    try {
      process.setContext(this.linker.makeContext(program, memory, true));
    } catch {
      // The host has no room for another instance. The page-checked variant does as well, only slower.
    }
  }

  /** What is wanted of a process that is about to run may have been announced when it could not hear. */
  private callForRequests(process: RunningProcess): void {
    const { core } = this.parts;
    if (process.dying() || process.capturing()) core.interrupt(core.id, interruptLine.signal);
    this.scheduler().reentryChanged();
  }
}
