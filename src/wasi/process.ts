/** `proc_*`, `sched_yield` and `random_get`: the process itself. */
import { errno } from "../kernel/errno.ts";
import { BLOCKED, DIED } from "../kernel/wait.ts";
import type { Caller } from "./caller.ts";

/** Signals are numbered from 0, "none", as in Unix. */
const lastSignal = 30;
/** Random bytes are made in private memory, a piece at a time. */
const randomPiece_bytes = 1024;
/** In `callDeadline_ns`: the thread has yielded, and the call being repeated is to return. */
const yielded = -1;

/** `proc_exit` */
export function processExit(caller: Caller, code: number): number {
  caller.process.exit(code);
  return DIED;
}

/** `proc_raise`: a signal to the caller; it is dead on return if the signal ends processes. */
export function processRaise(caller: Caller, signal: number): number {
  if (signal < 0 || signal > lastSignal) return errno.INVAL;
  if (signal === 0) return errno.SUCCESS;
  caller.process.raise(signal);
  return caller.process.dying() ? DIED : errno.SUCCESS;
}

/** `sched_yield`: lets other threads go first, once. */
export function schedulerYield(caller: Caller): number {
  const { threads } = caller.services;
  const { thread } = caller.process;
  if (threads.callDeadline_ns(thread) === yielded) {
    threads.setCallDeadline_ns(thread, 0);
    return errno.SUCCESS;
  }
  if (caller.process.dying()) return DIED;
  threads.setCallDeadline_ns(thread, yielded);
  caller.process.yield();
  return BLOCKED;
}

/** `random_get` */
export function randomBytes(caller: Caller, address: number, length: number): number {
  const { memory, services } = caller;
  const start = address >>> 0;
  const size = length >>> 0;
  memory.refresh();
  if (!memory.holds(start, size)) return errno.FAULT;
  // Not filled in place: not every source of randomness writes to shared memory.
  const piece = new Uint8Array(Math.min(size, randomPiece_bytes));
  for (let done = 0; done < size; done += piece.length) {
    services.random(piece);
    memory.put(start + done, size - done < piece.length ? piece.subarray(0, size - done) : piece);
  }
  return errno.SUCCESS;
}
