/**
 * Runs workloads on a system: does one action after the other while jobs run, and checks what must hold after each, and
 * when all jobs have ended. Nothing here knows which machine the system runs on; what only a machine can do comes in
 * through `WorkloadHooks`.
 */

import type { ProcessStatus } from "../../kernel/processes.ts";
import { SystemError } from "../../system/errors.ts";
import type { SystemUsage } from "../../system/usage.ts";
import { checkExt2, describeFindings, seriousFindings } from "../fsck/fsck.ts";
import { programModule, programNames, programPath } from "../programs/programs.ts";
import {
  type Action,
  describeAction,
  type FileAction,
  isJob,
  type JobAction,
  paths,
  workDirectory,
} from "./actions.ts";
import { ConsoleFiles } from "./console-files.ts";
import { checkFiles, checkOutcome, type ExpectationOptions, nameOf } from "./expectations.ts";
import { type Job, startJob, type WorkloadSystem } from "./job.ts";
import type { Violation, ViolationKind } from "./violation.ts";

/** What the machine, or whoever drives it, adds. */
export interface WorkloadHooks {
  /** Kills a kernel at once, in the middle of whatever it does. */
  crashKernel?(kernel: number): Promise<void> | void;
  /** Does something that only the machine knows; see `WorkloadOptions.machineEvents`. */
  machineEvent?(event: string, value: number): Promise<void> | void;
  /** The root file system's bytes as they are now, with nothing under way. */
  rootImage?(): Uint8Array;
  /** Further conditions, looked at after each action: a text says what is wrong. */
  readonly conditions?: readonly (() => string | undefined)[];
}

export interface RunnerOptions extends Partial<ExpectationOptions> {
  /** How long jobs may take to end once nothing else happens, in time of the machine. Default 20 s. */
  readonly endTimeout_ms?: number;
}

export interface WorkloadReport {
  readonly violations: readonly Violation[];
  /** What was done, one line for each action, with results that depend on nothing but the workload. */
  readonly trace: readonly string[];
  readonly jobs: number;
}

const killSignal = 9;
const defaultEndTimeout_ms = 20_000;
/** Between two looks at things that nobody announces. */
const look_ms = 5;
const settling_ms = 50;
const longestLook_ms = 320;
/** Answers to a migration that are no errors: the process or the kernel is gone, or it cannot be moved now. */
const migrationRefusals: ReadonlySet<string> = new Set(["ESRCH", "ENODEV", "ENOLINK", "EBUSY", "ENOMEM"]);

/** Runs all actions of a workload. Violations are found, not thrown; the first ends the run. */
export async function runWorkload(
  actions: readonly Action[],
  system: WorkloadSystem,
  hooks: WorkloadHooks = {},
  options: RunnerOptions = {},
): Promise<WorkloadReport> {
  const runner = new WorkloadRunner(system, hooks, options);
  await runner.prepare();
  for (const action of actions) {
    await runner.step(action);
    if (runner.violations.length > 0) break;
  }
  return { violations: runner.violations, trace: runner.trace, jobs: runner.jobsStarted };
}

export class WorkloadRunner {
  readonly violations: Violation[] = [];
  readonly trace: string[] = [];
  jobsStarted = 0;

  readonly #system: WorkloadSystem;
  readonly #hooks: WorkloadHooks;
  readonly #options: RunnerOptions;
  readonly #console: ConsoleFiles;
  #jobs: Job[] = [];
  #steps = 0;
  /** Usage before anything ran; undefined once a kernel came or went, since what kernels hold changes with them. */
  #usage: SystemUsage | undefined;
  /** Kernels that are dead, or may die at any moment. */
  readonly #doomed = new Set<number>();
  /** Processes as they were after the latest action. */
  processes: readonly ProcessStatus[] = [];
  /** Migrations under way, by job. */
  readonly #moving = new Map<number, Promise<void>>();

  constructor(system: WorkloadSystem, hooks: WorkloadHooks, options: RunnerOptions = {}) {
    this.#system = system;
    this.#hooks = hooks;
    this.#options = options;
    system.files.makeDirectory(`/${workDirectory}`, { recursive: true });
    system.files.makeDirectory("/tmp", { recursive: true });
    this.#console = new ConsoleFiles(system.files);
  }

  /** Puts the programs into the system, and runs one on each kernel: what kernels keep from their first program is then there. */
  async prepare(): Promise<void> {
    for (const name of programNames) this.#system.files.write(programPath(name), programModule(name), 0o755);
    for (const { kernel, state } of this.#system.kernels()) {
      if (state !== "running") continue;
      const job = await startJob(this.#system, { ...firstJob, kernel });
      await job.ended;
    }
    // What was freed goes back in the background.
    await this.#system.delay(settling_ms);
    this.#usage = this.#system.usage();
  }

  /** Does one action, and checks what must hold at any time. What the system throws is a violation. */
  async step(action: Action): Promise<void> {
    const result = await this.#do(action).catch((error) =>
      this.#refused(`action ${this.#steps} failed`, error),
    );
    this.trace.push(`${this.#steps} ${describeAction(action)}${result === "" ? "" : `: ${result}`}`);
    this.#checkNow();
    this.#steps++;
  }

  /**
   * To be called when a kernel has died without an action saying so, or may die at any moment from now on: its processes
   * may end, and it keeps nothing.
   */
  kernelCrashed(kernel: number): void {
    this.#doomed.add(kernel);
    this.#disturbProcessesOf(kernel);
  }

  #disturbProcessesOf(kernel: number): void {
    this.#usage = undefined;
    for (const job of this.#jobs) {
      const moves =
        this.#moving.has(job.action.job) || (job.action.kind === "spawn" && job.action.program === "wander");
      // A dead kernel's processes are given another place before they end: where they are now says little.
      if (moves || job.processes.some((process) => process.kernel === kernel || process.kernel < 0))
        job.disturb(killSignal);
    }
  }

  async #do(action: Action): Promise<string> {
    switch (action.kind) {
      case "spawn":
      case "pipeline":
        return this.#start(action);
      case "file":
        this.#console.run(action satisfies FileAction, this.#complain);
        return "";
      case "kill": {
        const job = this.#find(action.job);
        if (job === undefined) return "no such job";
        job.disturb(action.signal);
        for (const process of job.processes) process.kill(action.signal);
        return "";
      }
      case "migrate":
        return this.#migrate(action.job, action.kernel, action.copy);
      case "wait":
        return this.#wait(action.job);
      case "pause":
        await this.#system.delay(action.duration_ms);
        return "";
      case "stopKernel":
        return this.#stop(action.kernel, action.processes);
      case "bootKernel":
        return this.#boot(action.kernel);
      case "crashKernel":
        if (this.#hooks.crashKernel === undefined || !this.#runs(action.kernel)) return "left out";
        this.kernelCrashed(action.kernel);
        await this.#hooks.crashKernel(action.kernel);
        return "";
      case "machine":
        if (this.#hooks.machineEvent === undefined) return "left out";
        await this.#hooks.machineEvent(action.event, action.value);
        return "";
      case "settle":
        await this.#settle();
        return "";
    }
  }

  async #start(action: JobAction): Promise<string> {
    if (action.kind === "spawn" && action.program === "tree")
      this.#system.files.makeDirectory(`/${paths.own(action.job)}`);
    try {
      const job = await startJob(this.#system, action);
      this.#jobs.push(job);
      const wanders = action.kind === "spawn" && action.program === "wander";
      // A process that has ended already is nowhere, and may have been on any kernel.
      const isDoomed =
        this.#doomed.size > 0 &&
        (wanders || job.processes.some(({ kernel }) => kernel < 0 || this.#doomed.has(kernel)));
      if (isDoomed) job.disturb(killSignal);
      this.jobsStarted++;
      return "";
    } catch (error) {
      return this.#refused(`job ${action.job} could not be started`, error);
    }
  }

  async #migrate(number: number, kernel: number, copy: "none" | "upfront" | "on-demand"): Promise<string> {
    const job = this.#find(number);
    const process = job?.processes[0];
    if (process === undefined) return "no such job";
    if (this.#doomed.has(kernel)) job?.disturb(killSignal);
    const move = this.#system.migrate(process.pid, kernel, { copy }).catch((error) => {
      if (error instanceof SystemError && migrationRefusals.has(error.code)) return;
      this.#refused(`job ${number} could not be moved to kernel ${kernel}`, error);
    });
    this.#moving.set(number, move);
    // It goes on while further actions are done; the next one of this job's waits for it.
    void move.finally(() => {
      if (this.#moving.get(number) === move) this.#moving.delete(number);
    });
    await Promise.race([move, this.#system.delay(look_ms)]);
    return "";
  }

  async #wait(number: number): Promise<string> {
    const job = this.#find(number);
    if (job === undefined) return "no such job";
    this.#endVictims([job]);
    await this.#untilEnded([job]);
    return "";
  }

  async #stop(kernel: number, processes: "move" | "end"): Promise<string> {
    if (!this.#runs(kernel)) return "does not run";
    this.#usage = undefined;
    // Those that are moved away in time are not ended; which ones depends on the schedule.
    this.#disturbProcessesOf(kernel);
    // Where they are moved to is the system's choice.
    if (this.#doomed.size > 0) for (const job of this.#jobs) job.disturb(killSignal);
    await this.#system.stopKernel(kernel, { processes });
    return "";
  }

  async #boot(kernel: number): Promise<string> {
    if (this.#runs(kernel)) return "runs";
    this.#usage = undefined;
    await this.#system.bootKernel(kernel);
    this.#doomed.delete(kernel);
    return "";
  }

  /** Waits for all jobs, checks everything they did, and removes what they made. */
  async #settle(): Promise<void> {
    this.#endVictims(this.#jobs);
    await this.#untilEnded(this.#jobs);
    await Promise.all(this.#moving.values());
    await this.#untilNoProcesses();
    if (this.violations.length > 0) return;
    const jobs = this.#jobs;
    for (const job of jobs) checkOutcome(job, jobs, this.#complain);
    checkFiles(jobs, this.#system.files, { realTime: this.#options.realTime ?? false }, this.#complain);
    this.#console.check(this.#complain);
    this.#checkImage();
    if (this.violations.length > 0) return;
    this.#removeAll();
    this.#jobs = [];
    await this.#checkUsage();
  }

  #endVictims(jobs: readonly Job[]): void {
    for (const job of jobs) {
      if (job.action.kind !== "spawn" || job.action.program !== "victim") continue;
      job.disturb(killSignal);
      for (const process of job.processes) process.kill(killSignal);
    }
  }

  async #untilEnded(jobs: readonly Job[]): Promise<void> {
    const all = Promise.all(jobs.map((job) => job.ended));
    const limit_ms = this.#options.endTimeout_ms ?? defaultEndTimeout_ms;
    // In steps, so that no long delay is left when they have ended.
    for (
      let waited_ms = 0, look = look_ms;
      waited_ms < limit_ms && jobs.some(({ end }) => end === undefined);
    ) {
      await Promise.race([all, this.#system.delay(look)]);
      waited_ms += look;
      look = Math.min(look * 2, longestLook_ms);
    }
    for (const job of jobs) {
      if (job.end !== undefined) continue;
      const pids = job.processes.map((process) => process.pid);
      const states = this.#system.processes().filter(({ pid }) => pids.includes(pid));
      const shown = states.map(({ pid, state, kernel }) => `process ${pid} is ${state} on kernel ${kernel}`);
      this.#complain(
        "stuck",
        `${nameOf(job)} does not end: ${shown.join(", ") || "all its processes have ended"}`,
      );
    }
  }

  /** Children that have lost their parent end by themselves. */
  async #untilNoProcesses(): Promise<void> {
    const timeout_ms = this.#options.endTimeout_ms ?? defaultEndTimeout_ms;
    for (let waited_ms = 0; this.#system.processes().length > 0; waited_ms += look_ms) {
      if (waited_ms > timeout_ms) {
        const shown = this.#system.processes().map(({ pid, name, state }) => `${pid} ${name} ${state}`);
        this.#complain("stuck", `processes are left: ${shown.join(", ")}`);
        return;
      }
      await this.#system.delay(look_ms);
    }
  }

  #checkImage(): void {
    if (this.#hooks.rootImage === undefined) return;
    const serious = seriousFindings(checkExt2(this.#hooks.rootImage(), { mounted: true }), "mounted");
    // After a kernel's death leaks are no wonder.
    const found =
      this.#usage === undefined ? serious.filter(({ severity }) => severity === "damage") : serious;
    if (found.length > 0) this.#complain("fileSystem", describeFindings(found));
  }

  #removeAll(): void {
    const { files } = this.#system;
    const remove = (path: string): void => {
      for (const { name, type } of files.list(path)) {
        const child = `${path}/${name}`;
        if (type === "directory") remove(child);
        files.remove(child);
      }
    };
    for (const { name, type } of files.list(`/${workDirectory}`)) {
      if (name === "console") continue;
      if (type === "directory") remove(`/${workDirectory}/${name}`);
      files.remove(`/${workDirectory}/${name}`);
    }
  }

  /** As much is in use as before. Ends are seen a moment before the last of what a process had is given back. */
  async #checkUsage(): Promise<void> {
    const before = this.#usage;
    if (before === undefined) return;
    const relevant = ({ freeBlocks: _blocks, freeInodes: _inodes, ...rest }: SystemUsage): string =>
      JSON.stringify(rest);
    for (let look = 0; look < 100 && relevant(this.#system.usage()) !== relevant(before); look++) {
      await this.#system.delay(look_ms);
    }
    const now = relevant(this.#system.usage());
    if (now !== relevant(before)) this.#complain("leak", `in use before: ${relevant(before)}, now: ${now}`);
  }

  #checkNow(): void {
    const processes = this.#system.processes();
    this.processes = processes;
    const pids = new Set(processes.map(({ pid }) => pid));
    if (pids.size !== processes.length || pids.has(0))
      this.#complain("process", `pids are not unique: ${processes.map(({ pid }) => pid).join(", ")}`);
    const alive = this.#jobs.filter(({ end }) => end === undefined);
    const own = alive.flatMap((job) => job.processes.map(({ pid }) => pid));
    if (new Set(own).size !== own.length)
      this.#complain("process", `two jobs have the same pid: ${own.join(", ")}`);
    for (const condition of this.#hooks.conditions ?? []) {
      const wrong = condition();
      if (wrong !== undefined) this.#complain("condition", wrong);
    }
  }

  /** A call of the system's was refused: a violation, unless a kernel is just going away. */
  #refused(what: string, error: unknown): string {
    if (!(error instanceof Error)) throw error;
    const notRunning = error.constructor === RangeError && /is not running/.test(error.message);
    const excused = this.#usage === undefined && (error instanceof SystemError || notRunning);
    if (!excused) this.#complain("refused", `${what}: ${error.message}`);
    return "refused";
  }

  #find(number: number): Job | undefined {
    return this.#jobs.find(({ action }) => action.job === number);
  }

  #runs(kernel: number): boolean {
    return this.#system.kernels().some((one) => one.kernel === kernel && one.state === "running");
  }

  readonly #complain = (kind: ViolationKind, text: string): void => {
    this.violations.push({ kind, text, action: this.#steps });
  };
}

const firstJob = { kind: "spawn", job: 0, program: "compute", numbers: [1, 1], shared: 0 } as const;

/** True for a report with a violation of this kind: what a shrunk workload must still show. */
export function hasViolation(report: WorkloadReport, kind: ViolationKind): boolean {
  return report.violations.some((violation) => violation.kind === kind);
}

/** The workload as it would be run again: without actions that refer to jobs that are left out. */
export function withoutDangling(actions: readonly Action[]): Action[] {
  const jobs = new Set(actions.flatMap((action) => (isJob(action) ? [action.job] : [])));
  return actions.filter((action) => !("job" in action) || jobs.has(action.job));
}
