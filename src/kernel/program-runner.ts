/**
 * From a fresh thread to the end of its process: finds the program, has the engine load it, runs it, and
 * turns whatever happened into an exit status. Nothing a program does, and no program that is damaged or too
 * large, gets further than its own process.
 */
import {
  type Context,
  type ContextEnd,
  Linker,
  type Program,
  type ProgramLoader,
  type ProgramMemory,
} from "../engine/index.ts";
import type { Core, OperatorLog } from "../machine/machine.ts";
import type { Ram } from "../machine/ram.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Areas } from "./areas.ts";
import { type DecodedArguments, decodeArguments } from "./argument-block.ts";
import { errno, errnoName } from "./errno.ts";
import { type PageAllocator, page_bytes } from "./page-allocator.ts";
import type { Executable, Personality, ProcessCalls } from "./personality.ts";
import { type ProcessTable, signal, startFailure } from "./processes.ts";
import { RunningProcess } from "./running-process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { WaitService } from "./wait.ts";

/** How a process ended, as the process table records it. */
interface Outcome {
  readonly exitCode: number;
  readonly signal: number;
  readonly message: string;
}

/** A process of this core, and its system calls. */
interface Running {
  readonly process: RunningProcess;
  readonly calls: ProcessCalls;
}

export interface RunnerParts {
  readonly core: Core;
  readonly memory: TypedMemory;
  readonly ram: Ram;
  readonly areas: Areas;
  readonly waits: WaitService;
  readonly pages: PageAllocator;
  readonly personality: Personality;
  readonly loader: ProgramLoader;
  readonly table: ProcessTable;
  readonly log: OperatorLog;
}

export class ProgramRunner {
  private readonly parts: RunnerParts;
  private readonly linker: Linker;
  /** Programs this core has loaded, by the identity of their file. A cache. */
  private readonly programs = new Map<string, Program>();
  private readonly running = new Map<number, Running>();
  /** The process whose thread is running: what the engine and the system calls ask is about this one. */
  private current: Running | undefined;

  /** @param scheduler of this core; asked for when programs run, not before. */
  constructor(parts: RunnerParts, scheduler: () => Scheduler) {
    this.parts = parts;
    this.linker = new Linker({
      control: parts.core.control,
      ram: parts.core.ram,
      imports: (wanted) => parts.personality.imports(wanted),
      hooks: {
        interrupt: () => scheduler().interrupt(),
        suspend: () => scheduler().suspend(),
        grow: (delta_pages) => this.current?.process.grow(delta_pages) ?? -1,
        die: () => this.current?.process.die(),
      },
    });
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

  /** Runs the process of a fresh thread; settles when it has ended and everything it held is free. */
  async run(thread: number, scheduler: Scheduler): Promise<void> {
    const { areas, personality, table } = this.parts;
    const slot = areas.threads.records.process(thread);
    const started = this.takeArguments(slot);
    let outcome: Outcome;
    if (started === null) outcome = failed(startFailure.notExecutable, "its argument block is damaged");
    else {
      const first = new RunningProcess(slot, started, areas, scheduler, this.kill);
      const ended = await this.runProgram(
        first,
        () => personality.findExecutable(started.program),
        started.program,
      );
      outcome = ended.outcome;
      let { process } = ended;
      // `exec`: the same process with another program, as often as it asks for one.
      for (let next = process.replacement; next !== undefined; next = process.replacement) {
        const { file, name } = next;
        const { environment, preopens } = process;
        const given = { arguments: next.arguments, environment, preopens };
        process = new RunningProcess(slot, given, areas, scheduler, this.kill);
        ({ outcome } = await this.runProgram(process, () => personality.openExecutable(file), name));
        personality.dropFiles([file]);
      }
    }
    personality.releaseFiles(slot);
    table.end(slot, outcome.exitCode, outcome.signal, outcome.message);
  }

  private readonly kill = (pid: number, number: number) => this.parts.table.kill(pid, number);

  /** Runs one program of a process to its end. */
  private async runProgram(
    process: RunningProcess,
    find: () => Executable | number,
    name: string,
  ): Promise<{ process: RunningProcess; outcome: Outcome }> {
    const { areas, personality } = this.parts;
    const calls = personality.admit(process);
    const running = { process, calls };
    this.running.set(process.thread, running);
    this.setCurrent(running);
    // A signal that came before this moment found no program to interrupt.
    const early = areas.processes.pendingSignal(process.slot);
    const outcome = early === 0 ? await this.execute(process, find(), name) : endedBySignal(early);
    this.running.delete(process.thread);
    this.setCurrent(undefined);
    calls.leave();
    return { process, outcome };
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

  private async execute(process: RunningProcess, found: Executable | number, path: string): Promise<Outcome> {
    const program = this.load(found, path);
    if ("exitCode" in program) return program;
    let context: Context;
    try {
      const memory = program.memory === null ? null : this.programMemory(process, program.memory);
      if (typeof memory === "string") return ended(signal.KILL, memory);
      context = this.linker.makeContext(program, memory);
      process.setContext(context);
    } catch (error) {
      return failed(startFailure.notExecutable, `${path}: ${messageOf(error)}`);
    }
    const end = await context.start();
    return this.outcomeOf(process, end, this.parts.areas.processes.pendingSignal(process.slot));
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

  private outcomeOf(process: RunningProcess, end: ContextEnd, pendingSignal: number): Outcome {
    if (process.exitCode !== undefined) return { exitCode: process.exitCode, signal: 0, message: "" };
    if (pendingSignal !== 0) return endedBySignal(pendingSignal);
    switch (end.kind) {
      case "returned":
        return { exitCode: 0, signal: 0, message: "" };
      case "trapped":
        return ended(end.signal, `${end.signalName}: ${end.message}`);
      case "failed":
        this.parts.log(`kernel: a system call of process ${process.pid} failed: ${messageOf(end.error)}`);
        return ended(signal.SYS, `a system call failed inside the kernel: ${messageOf(end.error)}`);
      default:
        return ended(signal.ABRT, "it stopped without a reason");
    }
  }
}

function ended(number: number, message: string): Outcome {
  return { exitCode: 128 + number, signal: number, message };
}

function endedBySignal(number: number): Outcome {
  return ended(number, `ended by signal ${number}`);
}

function failed(exitCode: number, message: string): Outcome {
  return { exitCode, signal: 0, message };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
