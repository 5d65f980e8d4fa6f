/** How a process ended, as the process table records it and people read it. */
import type { ContextEnd } from "../engine/index.ts";
import type { OperatorLog } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { exitCodeOf } from "./nightwatch-state.ts";
import { signal, text } from "./processes.ts";
import type { RunningProcess } from "./running-process.ts";

export interface Outcome {
  readonly exitCode: number;
  readonly signal: number;
  readonly message: string;
}

/** Ended by a signal that its own fault stands for. */
export function ended(number: number, message: string): Outcome {
  return { exitCode: 128 + number, signal: number, message };
}

/** Ended by what is pending in its record: a signal, or a NightWatch thread that called exit or failed. */
export function endedByPending(processes: Areas["processes"], slot: number): Outcome {
  const pending = processes.pendingSignal(slot);
  const exitCode = exitCodeOf(pending);
  if (exitCode !== undefined) return { exitCode, signal: 0, message: "" };
  const reason = text(processes.message(slot));
  return ended(pending, reason === "" ? `ended by signal ${pending}` : reason);
}

/** It could not be started: `exitCode` is one of `startFailure`. */
export function failed(exitCode: number, message: string): Outcome {
  return { exitCode, signal: 0, message };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What the end of its context means for a process. */
export function outcomeOf(
  process: RunningProcess,
  end: ContextEnd,
  processes: Areas["processes"],
  log: OperatorLog,
): Outcome {
  if (process.exitCode !== undefined) return { exitCode: process.exitCode, signal: 0, message: "" };
  if (processes.pendingSignal(process.slot) !== 0) return endedByPending(processes, process.slot);
  switch (end.kind) {
    case "returned":
      return { exitCode: 0, signal: 0, message: "" };
    case "trapped":
      return ended(end.signal, `${end.signalName}: ${end.message}`);
    case "failed":
      log(`kernel: a system call of process ${process.pid} failed: ${messageOf(end.error)}`);
      return ended(signal.SYS, `a system call failed inside the kernel: ${messageOf(end.error)}`);
    default:
      return ended(signal.ABRT, "it stopped without a reason");
  }
}
