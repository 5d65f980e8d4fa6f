/** Jobs of a running workload: their processes, what they wrote, and what happened to them. */
import type { Archipelago } from "../../system/archipelago.ts";
import type { PipeEnd } from "../../system/options.ts";
import type { ExitStatus, Process } from "../../system/process.ts";
import { type ProgramName, programPath } from "../programs/programs.ts";
import { commandLine, type JobAction } from "./actions.ts";

/** What a workload uses of a system. */
export type WorkloadSystem = Pick<
  Archipelago,
  | "spawn"
  | "files"
  | "migrate"
  | "stopKernel"
  | "bootKernel"
  | "processes"
  | "kernels"
  | "usage"
  | "pipe"
  | "delay"
>;

/** How a job ended: its processes in the order of the pipeline, and what the last one wrote. */
export interface JobEnd {
  readonly statuses: readonly ExitStatus[];
  readonly output: Uint8Array;
}

export class Job {
  readonly action: JobAction;
  readonly processes: readonly Process[];
  /** How it ended, once it has. */
  end: JobEnd | undefined;
  /** Resolves when all of it has ended. */
  readonly ended: Promise<void>;
  /** Signals that may have ended it, because somebody sent them or its kernel went away. */
  readonly signals = new Set<number>();

  constructor(action: JobAction, processes: readonly Process[]) {
    this.action = action;
    this.processes = processes;
    this.ended = this.#collect();
    // A system that is shut down before the end, since something else was found: nobody asks any more.
    this.ended.catch(() => undefined);
  }

  /** Nothing happened to it but what its program does. */
  get undisturbed(): boolean {
    return this.signals.size === 0;
  }

  /** It may have been ended by a signal from now on, if it has not ended by now. */
  disturb(signal: number): void {
    if (this.end === undefined) this.signals.add(signal);
  }

  async #collect(): Promise<void> {
    const last = this.processes[this.processes.length - 1];
    const [output, ...statuses] = await Promise.all([
      bytesOf(last.stdout),
      ...this.processes.map((process) => process.wait()),
    ]);
    this.end = { output, statuses };
  }
}

/**
 * Starts the processes of a job; kernels that do not run are replaced by the system's choice.
 * @throws what `spawn` throws; what had been started of a pipeline then ends by itself.
 */
export async function startJob(system: WorkloadSystem, action: JobAction): Promise<Job> {
  const running = new Set(
    system.kernels().flatMap(({ kernel, state }) => (state === "running" ? [kernel] : [])),
  );
  const start = (
    program: ProgramName,
    args: readonly string[],
    kernel: number | null,
    streams: { readonly stdin: PipeEnd | "null"; readonly stdout: PipeEnd | "pipe" },
  ): Promise<Process> =>
    system.spawn(programPath(program), args, {
      ...(kernel !== null && running.has(kernel) ? { kernel } : {}),
      ...streams,
      stderr: "null",
      directories: { "/": "/" },
    });
  if (action.kind === "spawn") {
    const streams = { stdin: "null", stdout: "pipe" } as const;
    return new Job(action, [await start(action.program, commandLine(action), action.kernel, streams)]);
  }
  const { kernels, seed, length, piece } = action;
  const processes: Process[] = [];
  let input: PipeEnd | "null" = "null";
  for (const [index, kernel] of kernels.entries()) {
    const isLast = index === kernels.length - 1;
    const pipe: ReturnType<WorkloadSystem["pipe"]> | undefined = isLast ? undefined : system.pipe();
    const program = index === 0 ? "source" : isLast ? "sink" : "pump";
    const args = index === 0 ? [seed, length, piece].map(String) : [];
    processes.push(await start(program, args, kernel, { stdin: input, stdout: pipe?.write ?? "pipe" }));
    if (pipe !== undefined) input = pipe.read;
  }
  return new Job(action, processes);
}

async function bytesOf(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  if (stream !== null) {
    for await (const piece of stream) {
      pieces.push(piece);
      length += piece.length;
    }
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
