/**
 * Requests to capture a process: to take its execution state off the stack, in order to move it, copy it, save
 * it, or just to enter it anew. Any kernel, the console, or the process itself (by a system call) may ask.
 *
 * A request is a state, not an event: a bit in the process's record, which stays until it is served. So it
 * cannot be lost when the process blocks, ends, is killed or replaces its program at that moment; how the
 * process hears of it is as with signals (`ProcessTable.kill`).
 *
 * Life of a request:
 * 1. The asker claims the kind, in `captureClaims`: there is at most one request of a kind for a process.
 * 2. It writes the argument and sets the bit in `captureRequests`, wakes the thread and interrupts its core.
 * 3. The core's scheduler answers the program's next poll, or what it is suspended in, with "capture". The
 *    context ends; `CaptureHandlers.handle` runs the handlers of all kinds that are wanted, in the order of
 *    their numbers.
 * 4. Exactly one answer, a result or a negated errno: `answerCapture` writes it with the next serial number, and
 *    clears bit and claim. It is given by the handler, by who ends the process (−SRCH), or by who finds that
 *    the program cannot be captured (−NOTSUP). A kill wins over every request.
 */
import type { ContextState } from "../engine/index.ts";
import { type Core, interruptLine } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { errno } from "./errno.ts";
import type { RunQueue } from "./run-queue.ts";
import type { RunningProcess } from "./running-process.ts";
import { captureKinds, limits, migratability, processState } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** What a process can be captured for: bits of `captureRequests`, served lowest first. */
export const captureKind = {
  /** To go on in place at once, in code that was optimised meanwhile. */
  reenter: 1,
  /** The process asks for a copy of itself. */
  fork: 2,
  /** To be written to a file. */
  checkpoint: 4,
  /** To go on at another core, which the argument names. Last: the process may be gone afterwards. */
  migrate: 8,
} as const;

const serialShift = 16;
const serialMask = 0xffff;

type Processes = Areas["processes"];

/** Index of a kind among the arguments and answers. */
function indexOf(kind: number): number {
  return 31 - Math.clz32(kind);
}

/** Answers the request of a kind, if there is one: `result` is at least 0, or a negated errno. */
export function answerCapture(processes: Processes, slot: number, kind: number, result: number): void {
  processes.andCaptureRequests(slot, ~kind >>> 0);
  if ((processes.captureClaims(slot) & kind) === 0) return;
  const index = indexOf(kind);
  const serial = ((processes.captureAnswers(slot, index) >>> serialShift) + 1) & serialMask;
  processes.setCaptureAnswers(slot, index, ((serial << serialShift) | (result & 0xffff)) >>> 0);
  processes.andCaptureClaims(slot, ~kind >>> 0);
}

/** Answers every request in the same way. The caller wakes the process's `exitQueue`, where askers wait. */
export function refuseCaptures(processes: Processes, slot: number, result: number): void {
  for (let kind = 1; kind < 1 << captureKinds; kind <<= 1) answerCapture(processes, slot, kind, result);
}

/** Asking, for one core or the console. */
export class CaptureService {
  private readonly processes: Processes;
  private readonly core: Core;
  private readonly queue: RunQueue;
  private readonly waits: WaitService;

  constructor(areas: Pick<Areas, "processes">, core: Core, queue: RunQueue, waits: WaitService) {
    this.processes = areas.processes;
    this.core = core;
    this.queue = queue;
    this.waits = waits;
  }

  /**
   * Asks for a capture of a process. A ticket for `answer`, or a negated errno: −SRCH when there is no such
   * process, −NOTSUP when its program cannot be captured (`processes.obstacle` says why), −BUSY when the same is
   * asked for already.
   */
  request(pid: number, kind: number, argument: number): number {
    const { processes } = this;
    const slot = this.find(pid);
    if (slot < 0) return slot;
    const ticket = this.record(slot, kind, argument);
    if (ticket < 0) return ticket;
    // Who ends a process first marks it so and then answers what is asked: one of us sees the other.
    if (this.find(pid) < 0 || processes.migratable(slot) === migratability.no) {
      this.answer(slot, kind, -errno.SRCH);
      return -errno.SRCH;
    }
    this.queue.makeReady(processes.thread(slot));
    this.core.interrupt(processes.core(slot), interruptLine.signal);
    return ticket;
  }

  /** As `request`, by the process itself, which is about to return BLOCKED from a system call. */
  requestOwn(slot: number, kind: number, argument: number): number {
    return this.record(slot, kind, argument);
  }

  private record(slot: number, kind: number, argument: number): number {
    const { processes } = this;
    if (processes.migratable(slot) === migratability.no) return -errno.NOTSUP;
    if ((processes.orCaptureClaims(slot, kind) & kind) !== 0) return -errno.BUSY;
    const index = indexOf(kind);
    const ticket = processes.captureAnswers(slot, index) >>> serialShift;
    processes.setCaptureArguments(slot, index, argument);
    processes.orCaptureRequests(slot, kind);
    return ticket;
  }

  /** Slot of a process that runs, or −SRCH. */
  private find(pid: number): number {
    if (!Number.isSafeInteger(pid) || pid <= 0) return -errno.SRCH;
    const slot = pid % limits.processes;
    const runs = this.processes.state(slot) === processState.running;
    return runs && this.processes.pid(slot) === pid ? slot : -errno.SRCH;
  }

  /** What came of a request: a result, a negated errno, or undefined as long as there is no answer. */
  answerTo(slot: number, kind: number, ticket: number): number | undefined {
    const word = this.processes.captureAnswers(slot, indexOf(kind));
    const serial = word >>> serialShift;
    if (serial === ticket) return undefined;
    // Somebody asked again before we looked: then ours was served, but with what result nobody knows any more.
    if (serial !== ((ticket + 1) & serialMask)) return -errno.CANCELED;
    return (word << serialShift) >> serialShift;
  }

  /** Answers a request and wakes who asked. */
  answer(slot: number, kind: number, result: number): void {
    answerCapture(this.processes, slot, kind, result);
    this.waits.wake(this.processes.exitQueue(slot));
  }

  /** Answers every request: the program that was loaded cannot be captured. */
  refuseAll(slot: number, result: number): void {
    refuseCaptures(this.processes, slot, result);
    this.waits.wake(this.processes.exitQueue(slot));
  }
}

/** What becomes of a captured process. */
export type CaptureVerdict =
  /** It goes on: to the next kind that is wanted, then in place. */
  | "resume"
  /** This core has nothing more to do with it; the handler has given everything away or taken it over. */
  | "gone";

/**
 * Serves one kind of request for a process whose context was captured: `process.captured(state)` is all of it as
 * plain data. The request must have been answered (`CaptureHandlers.answer`) when the process goes on or is gone for
 * good. An exception is logged, answered with −IO, and the process goes on.
 *
 * The core does nothing else until the handler returns.
 */
export type CaptureHandler = (
  process: RunningProcess,
  state: ContextState,
  argument: number,
) => CaptureVerdict;

/** The handlers of one core, by kind. */
export class CaptureHandlers {
  private readonly captures: CaptureService;
  private readonly processes: Processes;
  private readonly report: (message: string) => void;
  private readonly handlers = new Map<number, CaptureHandler>();

  constructor(captures: CaptureService, areas: Pick<Areas, "processes">, report: (message: string) => void) {
    this.captures = captures;
    this.processes = areas.processes;
    this.report = report;
  }

  /** Serves a kind from now on. */
  register(kind: number, handler: CaptureHandler): void {
    this.handlers.set(kind, handler);
  }

  /** Runs the handlers of all kinds that are wanted of a process that was just captured on this core. */
  handle(process: RunningProcess, state: ContextState): CaptureVerdict {
    for (let kind = 1; kind < 1 << captureKinds; kind <<= 1) {
      if ((this.processes.captureRequests(process.slot) & kind) === 0) continue;
      if (this.serve(process, state, kind) === "gone") return "gone";
    }
    return "resume";
  }

  private serve(process: RunningProcess, state: ContextState, kind: number): CaptureVerdict {
    const { slot } = process;
    const handler = this.handlers.get(kind);
    if (handler === undefined) {
      this.answer(process, kind, kind === captureKind.reenter ? 0 : -errno.NOSYS);
      return "resume";
    }
    try {
      return handler(process, state, this.processes.captureArguments(slot, indexOf(kind)));
    } catch (error) {
      this.report(`capture of process ${process.pid}: ${error instanceof Error ? error.message : error}`);
      this.answer(process, kind, -errno.IO);
      return "resume";
    }
  }

  /** Answers a request for a process of this core: who asked from outside, and the system call that did. */
  answer(process: RunningProcess, kind: number, result: number): void {
    process.answerCall(kind, result);
    this.captures.answer(process.slot, kind, result);
  }

  /** Answers who asked from outside only. */
  answerRequest(slot: number, kind: number, result: number): void {
    this.captures.answer(slot, kind, result);
  }
}
