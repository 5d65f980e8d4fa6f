/** A process as the code that started it sees it: web streams for its standard streams, waiting and killing. */
import type { Areas } from "../kernel/areas.ts";
import { errno } from "../kernel/errno.ts";
import type { ProcessTable } from "../kernel/processes.ts";
import { limits, processState } from "../kernel/state.ts";
import type { Files } from "../services/fs/files.ts";
import type { ConsoleCore } from "./console-core.ts";
import type { MigrateOptions, Mover } from "./mover.ts";
import type { ProgramStep } from "./program-directory.ts";

/** How a process ended. */
export interface ExitStatus {
  /** What the program gave to `exit`; 128 + signal when a signal ended it; 126 or 127 when it could not start. */
  readonly exitCode: number;
  /** The signal that ended it, 0 for none. */
  readonly signal: number;
  /** Why, for people; empty after an ordinary exit. */
  readonly message: string;
}

/** What the parts of a process need of the system. */
export interface ProcessServices {
  readonly areas: Areas;
  readonly table: ProcessTable;
  readonly files: Files;
  readonly console: ConsoleCore;
  readonly mover: Mover;
}

/** What a process was started with. */
export interface ProcessStreams {
  /** Null where it was given something else than a pipe. */
  readonly stdin: WritableStream<Uint8Array> | null;
  readonly stdout: ReadableStream<Uint8Array> | null;
  readonly stderr: ReadableStream<Uint8Array> | null;
  /** The process has ended, or the last of several: gives up what is held for it. */
  finish(): void;
}

export class Process {
  /** Standard input; closing it is the end of file. */
  readonly stdin: WritableStream<Uint8Array> | null;
  readonly stdout: ReadableStream<Uint8Array> | null;
  readonly stderr: ReadableStream<Uint8Array> | null;
  private readonly services: ProcessServices;
  private readonly ended: Promise<ExitStatus>;
  private current: number;
  private killedBy = 0;

  private constructor(
    pid: number,
    rest: readonly ProgramStep[],
    start: (step: ProgramStep) => Promise<number>,
    services: ProcessServices,
    streams: ProcessStreams,
  ) {
    this.current = pid;
    this.services = services;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.ended = this.follow(rest, start).finally(() => streams.finish());
    // The caller may never ask; a shutdown before the end is then nobody's error.
    this.ended.catch(() => undefined);
  }

  /** @internal Starts the first of some steps; the others follow one by one. Use `Archipelago.spawn`. */
  static async start(
    steps: readonly ProgramStep[],
    start: (step: ProgramStep) => Promise<number>,
    services: ProcessServices,
    streams: ProcessStreams,
  ): Promise<Process> {
    const pid = await start(steps[0]);
    return new Process(pid, steps.slice(1), start, services, streams);
  }

  /** Process id; of the step that runs now where a command, such as a compiler's, takes several processes. */
  get pid(): number {
    return this.current;
  }

  /** Resolves when the process has ended. */
  wait(): Promise<ExitStatus> {
    return this.ended;
  }

  /** Ends the process with a signal (9 by default). False if it has ended already. */
  kill(signal = 9): boolean {
    const result = this.services.table.kill(this.current, signal);
    if (result === -errno.INVAL) throw new RangeError(`signal ${signal} does not exist`);
    if (result === 0) this.killedBy = signal;
    return result === 0;
  }

  /** Moves the process to another kernel: see `Archipelago.migrate`. */
  migrate(kernel: number, options: MigrateOptions = {}): Promise<void> {
    return this.services.mover.migrate(this.current, kernel, options);
  }

  /** The kernel that runs this process now, or −1 after its end. */
  get kernel(): number {
    const slot = this.services.table.find(this.current);
    return slot < 0 ? -1 : this.services.areas.processes.kernel(slot);
  }

  private async follow(
    rest: readonly ProgramStep[],
    start: (step: ProgramStep) => Promise<number>,
  ): Promise<ExitStatus> {
    let status = await this.collect();
    for (const step of rest) {
      if (!step.cleanup && (status.exitCode !== 0 || this.killedBy !== 0)) continue;
      this.current = await start(step);
      const ended = await this.collect();
      if (!step.cleanup) status = ended;
    }
    return status;
  }

  private async collect(): Promise<ExitStatus> {
    const { areas, table, console } = this.services;
    const slot = this.current % limits.processes;
    const zombie = () => (areas.processes.state(slot) === processState.zombie ? true : undefined);
    await console.until(areas.processes.exitQueue(slot), zombie);
    const status = table.outcome(slot);
    table.collect(slot);
    return status;
  }
}
