/**
 * Import functions: what a program that asks for system functions is linked with. A core makes them once for each
 * program; they act for the process that runs.
 *
 * A function that a program asks for but that is not there, or is there with other parameters, is not a
 * reason to refuse the program: it gets one that says ENOSYS.
 */
import { errno } from "../kernel/errno.ts";
import { archipelagoFunctions } from "./archipelago.ts";
import { Caller, type CurrentCaller } from "./caller.ts";
import { type WasiFunction, wasiFunctions } from "./functions.ts";
import { GuestMemory } from "./guest-memory.ts";
import { hostFunctions } from "./host-imports.ts";
import type { WasiProcess, WasiServices } from "./services.ts";
import { type StoppingPoint, type StoppingProcess, stoppingImports } from "./stopping-point.ts";
import { preview1, snapshot0 } from "./structs.ts";
import { wasixFunctions } from "./wasix.ts";

/** An import function as WebAssembly gets it. */
export type ImportFunction = (...values: never[]) => number;
export type ImportTable = Record<string, Record<string, ImportFunction>>;

/**
 * A function import of a program, with its type where the engine knows it ("i32", "f32", …). It is the type that
 * instrumentation gave it: 64-bit parameters have become two of 32.
 */
export interface WantedImport {
  readonly module: string;
  readonly name: string;
  readonly params?: readonly string[];
  readonly results?: readonly string[];
}

/** What there is beside WASI, by module. */
const extraFunctions: Readonly<Record<string, Readonly<Record<string, WasiFunction>>>> = {
  ...hostFunctions,
  wasix_32v1: wasixFunctions,
  archipelago_1: archipelagoFunctions,
};

/** Module names that `WasiCalls.imports` answers for. */
export const wasiModules: readonly string[] = [preview1.name, snapshot0.name, ...Object.keys(extraFunctions)];

/** The system calls of one process on its core. */
export interface ProcessCalls {
  /** The process runs from now on: system calls are its own until another one enters. */
  enter(): void;
  /** The process has ended. */
  leave(): void;
}

/** What the system calls of one process need; used again for later processes, as making it takes microseconds. */
class Callers implements ProcessCalls {
  private readonly calls: WasiCalls;
  private readonly memory: GuestMemory;
  private readonly preview1: Caller;
  private readonly snapshot0: Caller;

  constructor(calls: WasiCalls, services: WasiServices, process: WasiProcess) {
    this.calls = calls;
    this.memory = new GuestMemory(process);
    this.preview1 = new Caller(process, services, this.memory, preview1);
    this.snapshot0 = new Caller(process, services, this.memory, snapshot0);
  }

  /** Takes on a process. */
  serve(process: WasiProcess): void {
    this.memory.process = process;
    this.preview1.process = process;
    this.snapshot0.process = process;
  }

  enter(): void {
    this.calls.preview1.caller = this.preview1;
    this.calls.snapshot0.caller = this.snapshot0;
  }

  leave(): void {
    this.serve(nobody);
    this.memory.refresh();
    if (this.preview1.isReusable && this.snapshot0.isReusable) this.calls.unused.push(this);
  }
}

/** Stands in for a process between two. */
const nobody: WasiProcess = {
  slot: 0,
  thread: 0,
  pid: 0,
  clockOffset_ns: 0,
  parent: 0,
  bytes: new Uint8Array(0),
  arguments: [],
  environment: [],
  preopens: [],
  dying: () => true,
  exit: () => undefined,
  raise: () => undefined,
  yield: () => undefined,
  signal: () => -errno.SRCH,
  migrate: () => -errno.SRCH,
  childQueue: 0,
  fork: () => -errno.SRCH,
  join: () => -errno.CHILD,
  exec: () => undefined,
};

/** The system calls of the programs on one core. */
export class WasiCalls {
  /** Who calls, by version. */
  readonly preview1: CurrentCaller;
  readonly snapshot0: CurrentCaller;
  /** Callers of processes that have ended. */
  readonly unused: Callers[] = [];
  private readonly services: WasiServices;

  constructor(services: WasiServices) {
    this.services = services;
    const memory = new GuestMemory(nobody);
    this.preview1 = { caller: new Caller(nobody, services, memory, preview1) };
    this.snapshot0 = { caller: new Caller(nobody, services, memory, snapshot0) };
  }

  /** Prepares for a process of this core. */
  admit(process: WasiProcess): ProcessCalls {
    const callers = this.unused.pop();
    if (callers === undefined) return new Callers(this, this.services, process);
    callers.serve(process);
    return callers;
  }

  /**
   * Import functions by module and name, for those wanted imports that are in one of `wasiModules`. They serve
   * whichever process has entered last. The functions return an errno, `BLOCKED` or `DIED`, and never throw.
   *
   * Left out, so that the engine reports them as missing, are functions whose type rules out even an errno.
   */
  imports(wanted: readonly WantedImport[]): ImportTable {
    const table: ImportTable = {};
    for (const one of wanted) {
      if (!wasiModules.includes(one.module) || !canReturnErrno(one)) continue;
      table[one.module] ??= {};
      const known = findFunction(one);
      table[one.module][one.name] =
        known === undefined || !hasType(known, one)
          ? noSystemCall
          : known.make(one.module === snapshot0.name ? this.snapshot0 : this.preview1);
    }
    return table;
  }

  /** As `imports`, for one process that is to stop at a point. */
  stoppingImports(
    wanted: readonly WantedImport[],
    process: StoppingProcess,
    point: StoppingPoint,
  ): ImportTable {
    return stoppingImports(this.imports(wanted), wanted, process, point, this.services);
  }
}

function findFunction({ module, name }: WantedImport): WasiFunction | undefined {
  const functions = extraFunctions[module] ?? wasiFunctions;
  if (!Object.hasOwn(functions, name)) return undefined;
  const known = functions[name];
  return known.preview1Only && module === snapshot0.name ? undefined : known;
}

/** Whether a function has the type that is asked for, as far as that is known. */
function hasType(known: WasiFunction, { params, results }: WantedImport): boolean {
  if (params !== undefined) {
    if (params.length !== known.parameters.replaceAll("l", "ll").length) return false;
    if (params.some((type) => type !== "i32")) return false;
  }
  return results === undefined || results.length === (known.noResult ? 0 : 1);
}

/** Whether a plain function can be called with such parameters and answer with an errno (or nothing). */
function canReturnErrno({ params, results }: WantedImport): boolean {
  if (params?.includes("v128")) return false;
  return results === undefined || results.length === 0 || (results.length === 1 && results[0] === "i32");
}

function noSystemCall(): number {
  return errno.NOSYS;
}
