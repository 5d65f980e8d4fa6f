/**
 * Snapshots: a program is run until it has finished its initialisation, written to a checkpoint, and ended. Whoever
 * restores the checkpoint starts where the initialisation was over.
 */
import { CheckpointError } from "../checkpoint/index.ts";
import { limits, processState } from "../kernel/state.ts";
import { parseStoppingPoint } from "../wasi/index.ts";
import type { CheckpointSummary, SnapshotOptions, SnapshotSummary } from "./checkpoint-options.ts";
import type { ConsoleCore } from "./console-core.ts";
import type { SpawnOptions } from "./options.ts";
import type { ExitStatus, Process, ProcessServices } from "./process.ts";

export interface SnapshotParts {
  readonly console: ConsoleCore;
  readonly areas: ProcessServices["areas"];
  spawn(program: string, args: readonly string[], options: SpawnOptions): Promise<Process>;
  take(pid: number, path: string, options: SnapshotOptions): Promise<CheckpointSummary>;
}

/** See `Archipelago.snapshot`. */
export async function takeSnapshot(
  parts: SnapshotParts,
  path: string,
  program: string,
  args: readonly string[],
  options: SnapshotOptions,
): Promise<SnapshotSummary> {
  const { at = "input", ...rest } = options;
  if (parseStoppingPoint(at) === null) {
    throw new RangeError(
      `${JSON.stringify(at)} is no point to stop at; give "input", "call:NAME", "call:NAME:N" (of a WASI call that can wait), "open:PATH" or "output:TEXT"`,
    );
  }
  const process = await parts.spawn(program, args, {
    ...rest,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    stoppingPoint: at,
  });
  const output = Promise.all([textOf(process.stdout), textOf(process.stderr)]);
  const { pid } = process;
  try {
    const ended = await Promise.race([process.wait(), stopped(parts, pid)]);
    if (ended !== undefined) throw tooEarly(program, at, ended, (await output)[1]);
    const summary = await parts.take(pid, path, options);
    process.kill();
    await process.wait();
    const [stdout, stderr] = await output;
    return { ...summary, stdout, stderr };
  } finally {
    process.kill();
  }
}

/** Resolves when the process has reached its point, or has ended. */
async function stopped({ console, areas }: SnapshotParts, pid: number): Promise<undefined> {
  const slot = pid % limits.processes;
  const { processes } = areas;
  const runs = () => processes.pid(slot) === pid && processes.state(slot) === processState.running;
  await console.until(processes.exitQueue(slot), () =>
    processes.stopped(slot) !== 0 || !runs() ? true : undefined,
  );
  // An end is for the other one in the race to tell.
  if (!runs()) await new Promise<never>(() => undefined);
}

function tooEarly(
  program: string,
  at: string,
  { exitCode, message }: ExitStatus,
  stderr: string,
): CheckpointError {
  const reason = message === "" ? stderr.trimEnd().split("\n").at(-1) : message;
  const detail = reason === undefined || reason === "" ? "" : `: ${reason}`;
  return new CheckpointError(
    `${program} ended with exit code ${exitCode} before it came to the point "${at}"${detail}; give it arguments with which it gets there, or name another point`,
  );
}

async function textOf(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  if (stream === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}
