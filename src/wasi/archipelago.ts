/**
 * `archipelago_1`: system calls that no existing interface has. In C:
 *
 *     __attribute__((import_module("archipelago_1"), import_name("proc_migrate")))
 *     int proc_migrate(int kernel);
 */
import { errno } from "../kernel/errno.ts";
import { BLOCKED, DIED } from "../kernel/wait.ts";
import type { Caller } from "./caller.ts";
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

export const archipelagoFunctions: Readonly<Record<string, WasiFunction>> = {
  proc_migrate: {
    parameters: "i",
    make: (c) => (kernel: number) => migrateProcess(c.caller, kernel),
  },
};
