/**
 * `archipelago_1`: system calls that no existing interface has. In C:
 *
 *     __attribute__((import_module("archipelago_1"), import_name("proc_migrate")))
 *     int proc_migrate(int kernel);
 */
import { errno } from "../kernel/errno.ts";
import { BLOCKED, DIED } from "../kernel/wait.ts";
import type { Caller } from "./caller.ts";
import { dmaFunctions } from "./dma.ts";
import type { WasiFunction } from "./functions.ts";

/**
 * `proc_migrate`: the calling process goes on at another kernel; success when it is there, or was already. ENODEV:
 * no such kernel runs. ENOTSUP: this program cannot be captured. EBUSY: somebody else is just moving it.
 */
function migrateProcess(caller: Caller, kernel: number): number {
  const { process } = caller;
  const result = process.migrate(kernel >>> 0);
  if (result !== undefined) return result < 0 ? -result : errno.SUCCESS;
  return process.dying() ? DIED : BLOCKED;
}

/**
 * `nightwatch_spawn`: starts a NightWatch thread of the process: one that is pinned to a weak kernel and runs only while
 * the normal thread is blocked. Its thread id, from 1 on, or a negated errno: see `NightwatchCalls.spawn`.
 *
 * As with `thread-spawn` of wasi-threads, the thread gets an instance of the module of its own over the same memory,
 * whose data segments are not written again, and runs the export `wasi_thread_start(thread id, argument)`. Its globals
 * have their initial values, the stack pointer included: setting up a stack of its own is the program's business. In C:
 *
 *     __attribute__((import_module("archipelago_1"), import_name("nightwatch_spawn")))
 *     int nightwatch_spawn(int argument);
 *
 * The process ends with its normal thread. Any thread ends it by `proc_exit`, or by a trap.
 */
function spawnNightwatch(caller: Caller, argument: number): number {
  const { nightwatch } = caller.process;
  return nightwatch === undefined ? -errno.NOSYS : nightwatch.spawn(argument);
}

/** `nightwatch_join`: waits until a NightWatch thread has ended. Once for each; errors: see `NightwatchCalls.join`. */
function joinNightwatch(caller: Caller, thread: number): number {
  const { process } = caller;
  const { nightwatch } = process;
  if (nightwatch === undefined) return errno.NOSYS;
  caller.awake();
  if (process.dying()) return DIED;
  const linked = caller.waitOn(process.childQueue);
  const result = nightwatch.join(thread);
  if (result === undefined) return caller.sleep(Infinity, linked);
  caller.awake();
  return -result;
}

export const archipelagoFunctions: Readonly<Record<string, WasiFunction>> = {
  ...dmaFunctions,
  proc_migrate: {
    parameters: "i",
    make: (c) => (kernel: number) => migrateProcess(c.caller, kernel),
  },
  nightwatch_spawn: {
    parameters: "i",
    make: (c) => (argument: number) => spawnNightwatch(c.caller, argument),
  },
  nightwatch_join: {
    parameters: "i",
    make: (c) => (thread: number) => joinNightwatch(c.caller, thread),
  },
};
