/**
 * From a fresh thread to the end of its process: finds the program, has the engine load it, runs it, and
 * turns whatever happened into an exit status. Nothing a program does, and no program that is damaged or too
 * large, gets further than its own process.
 */
import {
  type Context,
  type ContextEnd,
  type ContextState,
  Linker,
  type LinkerOptions,
  type Program,
  ProgramError,
  type ProgramLoader,
  type ProgramMemory,
} from "../engine/index.ts";
import { type Core, interruptLine, type OperatorLog } from "../machine/machine.ts";
import type { Ram } from "../machine/ram.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Areas } from "./areas.ts";
import { type DecodedArguments, decodeArguments } from "./argument-block.ts";
import { CaptureHandlers, type CaptureService } from "./capture.ts";
import type { CapturedProcess } from "./captured-process.ts";
import { errno, errnoName } from "./errno.ts";
import { HotFrames } from "./hot-frames.ts";
import { ended, endedBySignal, failed, messageOf, type Outcome, outcomeOf } from "./outcome.ts";
import { type PageAllocator, page_bytes } from "./page-allocator.ts";
import { Paging } from "./paging.ts";
import type { Executable, Personality, ProcessCalls } from "./personality.ts";
import { clip, type ProcessTable, signal, startFailure } from "./processes.ts";
import { ProgramMemories } from "./program-memories.ts";
import { mostPages, type ProcessParts, RunningProcess } from "./running-process.ts";
import type { Scheduler } from "./scheduler.ts";
import { migratability } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** Room for the text that says why a program cannot be captured. */
const obstacle_bytes = 127;

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
}

export class ProgramRunner {
  /** What is done with captured processes of this core. */
  readonly handlers: CaptureHandlers;
  private readonly parts: RunnerParts;
  /** What is done for processes whose memory comes page by page. */
  readonly paging: Paging;
  private readonly linker: Linker;
  private readonly scheduler: () => Scheduler;
  /** Programs this core has loaded, by the identity of their file. A cache. */
  private readonly programs = new Map<string, Program>();
  private readonly memories = new ProgramMemories();
  private readonly running = new Map<number, Running>();
  /** Captured processes that have not gone on yet, by thread. */
  private readonly arrivals = new Map<number, Arrival>();
  /** The process whose thread is running: what the engine and the system calls ask is about this one. */
  private current: Running | undefined;

  /** @param scheduler of this core; asked for when programs run, not before. */
  constructor(parts: RunnerParts, scheduler: () => Scheduler) {
    this.parts = parts;
    this.scheduler = scheduler;
    this.handlers = new CaptureHandlers(parts.captures, parts.areas, parts.log);
    this.paging = new Paging(parts, this.memories);
    this.linker = this.makeLinker((wanted) => parts.personality.imports(wanted));
  }

  private makeLinker(imports: LinkerOptions["imports"]): Linker {
    const { core } = this.parts;
    return new Linker({
      control: core.control,
      ram: core.ram,
      imports,
      hooks: {
        interrupt: () => this.scheduler().interrupt(),
        suspend: () => this.scheduler().suspend(),
        grow: (delta_pages) => this.current?.process.grow(delta_pages) ?? -1,
        die: () => this.current?.process.die(),
        fault: (firstPage, lastPage) => this.current?.process.paging?.fault(firstPage, lastPage) ?? 0,
      },
    });
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

  private processParts(): ProcessParts {
    const { areas, captures, table, waits } = this.parts;
    return { areas, captures, table, waits, scheduler: this.scheduler() };
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
    const outcome = early === 0 ? await execute(process) : endedBySignal(early);
    this.running.delete(process.thread);
    this.paging.forget(process);
    this.setCurrent(undefined);
    calls.leave();
    if (outcome !== null) this.keepMemory(process);
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
    const started = decodeArguments(memory, offset, page_bytes * 2 ** order);
    areas.processes.setArgumentOffset(slot, 0);
    pages.free(offset, order);
    return started;
  }

  private async execute(
    process: RunningProcess,
    found: Executable | number,
    path: string,
  ): Promise<Outcome | null> {
    const program = this.load(found, path);
    if ("exitCode" in program) return program;
    process.program = program;
    process.path = path;
    this.noteMigratable(process.slot, program);
    this.watchHotFrames(process);
    let context: Context;
    try {
      const memory = program.memory === null ? null : this.programMemory(process, program.memory);
      if (typeof memory === "string") return ended(signal.KILL, memory);
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
        if (this.handlers.handle(process, state) === "gone") return null;
        pending = areas.processes.pendingSignal(process.slot);
      }
      if (pending !== 0) return endedBySignal(pending);
      end = await this.resume(process, state);
    }
    return outcomeOf(process, end, areas.processes.pendingSignal(process.slot), this.parts.log);
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

  /** Says in the process's record whether it can be captured; who has asked already is told now. */
  private noteMigratable(slot: number, { migratable, obstacle }: Program): void {
    const { areas, captures } = this.parts;
    areas.processes.setObstacle(slot, clip(obstacle, obstacle_bytes));
    areas.processes.setMigratable(slot, migratable ? migratability.yes : migratability.no);
    if (!migratable) captures.refuseAll(slot, -errno.NOTSUP);
  }

  private load(executable: Executable | number, path: string): Program | Outcome {
    if (typeof executable === "number") {
      if (executable === -errno.NOENT)
        return failed(startFailure.notFound, `${path}: there is no such program`);
      return failed(startFailure.notExecutable, `${path} cannot be run: ${errnoName(executable)}`);
    }
    const known = this.programs.get(executable.identity);
    if (known !== undefined) return known;
    const { areas, core, waits } = this.parts;
    areas.cores.setDeaf(core.id, 1);
    try {
      const program = this.parts.loader.load(executable.read());
      if (executable.isSettled) this.programs.set(executable.identity, program);
      return program;
    } catch (error) {
      return failed(startFailure.notExecutable, `${path}: ${messageOf(error)}`);
    } finally {
      areas.cores.setDeaf(core.id, 0);
      waits.wake(areas.cores.deafQueue(core.id));
    }
  }

  private programMemory(process: RunningProcess, wanted: ProgramMemory): WebAssembly.Memory | string {
    if (wanted.wide) return "its memory has 64-bit addresses, which WASI has no calls for";
    const limit_pages = this.parts.areas.processes.memoryLimitPages(process.slot);
    if (wanted.initial > limit_pages) {
      return `it needs ${wanted.initial} pages of memory at the start, and may have ${limit_pages}`;
    }
    try {
      const memory = new WebAssembly.Memory({
        initial: wanted.initial,
        maximum: wanted.maximum,
        shared: true,
      });
      process.adopt(memory);
      return memory;
    } catch {
      return `there is no memory for its first ${wanted.initial} pages`;
    }
  }
}
