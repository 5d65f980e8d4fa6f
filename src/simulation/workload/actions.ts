/**
 * What a workload consists of: actions, as plain data. A list of them can be written down, replayed and shrunk; an
 * action that refers to a job which was left out does nothing.
 */
import type { ProgramName } from "../programs/programs.ts";

/** Programs that a job may consist of alone. Pipelines are made of `source`, `pump` and `sink`. */
export type JobProgram = Exclude<ProgramName, "read" | "source" | "pump" | "sink">;

/** Starts a program. What `numbers` mean is in `commandLine`. */
export interface SpawnAction {
  readonly kind: "spawn";
  /** Number of the job, unique in the workload. */
  readonly job: number;
  readonly program: JobProgram;
  readonly numbers: readonly number[];
  /** Jobs of the same number use the same file, where the program's is one to be shared. */
  readonly shared: number;
  /** Null: wherever the system likes. */
  readonly kernel: number | null;
}

/** Starts `source | pump | ... | sink`; the kernels say where each runs, so there are at least two. */
export interface PipelineAction {
  readonly kind: "pipeline";
  readonly job: number;
  readonly seed: number;
  readonly length: number;
  readonly piece: number;
  readonly kernels: readonly (number | null)[];
}

export type JobAction = SpawnAction | PipelineAction;

/** Something that the code which booted the system does with files, in a directory of its own. */
export type FileAction =
  | {
      readonly kind: "file";
      readonly operation: "write";
      readonly name: number;
      readonly seed: number;
      readonly length: number;
    }
  | { readonly kind: "file"; readonly operation: "read" | "remove" | "makeDirectory"; readonly name: number }
  | { readonly kind: "file"; readonly operation: "rename"; readonly name: number; readonly to: number };

export type Action =
  | JobAction
  | FileAction
  | { readonly kind: "kill"; readonly job: number; readonly signal: number }
  | {
      readonly kind: "migrate";
      readonly job: number;
      readonly kernel: number;
      readonly copy: "none" | "upfront" | "on-demand";
    }
  | { readonly kind: "wait"; readonly job: number }
  | { readonly kind: "pause"; readonly duration_ms: number }
  | { readonly kind: "stopKernel"; readonly kernel: number; readonly processes: "move" | "end" }
  | { readonly kind: "bootKernel"; readonly kernel: number }
  | { readonly kind: "crashKernel"; readonly kernel: number }
  /** Something that only the machine knows: power, faults. */
  | { readonly kind: "machine"; readonly event: string; readonly value: number }
  /** Waits until all jobs have ended, and checks everything. */
  | { readonly kind: "settle" };

/** Directory, below the root, of everything that workloads make. */
export const workDirectory = "sim";

/** A job's own file or directory, and the files that jobs share; below the root, without a slash in front. */
export const paths = {
  own: (job: number): string => `${workDirectory}/own${job}`,
  log: (shared: number): string => `${workDirectory}/log${shared}`,
  counter: (shared: number): string => `${workDirectory}/counter${shared}`,
  lock: (shared: number): string => `${workDirectory}/lock${shared}`,
  register: (shared: number): string => `${workDirectory}/register${shared}`,
  console: (name: number): string => `${workDirectory}/console/n${name}`,
} as const;

/** A job's arguments. */
export function commandLine({ program, job, numbers, shared }: SpawnAction): string[] {
  const rest = numbers.map(String);
  switch (program) {
    case "write":
    case "tree":
      return [paths.own(job), ...rest];
    case "append":
      return [paths.log(shared), String(job), ...rest];
    case "counter":
      return [paths.counter(shared), paths.lock(shared), ...rest];
    case "register":
      return [paths.register(shared), String(job), ...rest];
    case "compute":
    case "sleep":
    case "fork":
    case "wander":
    case "victim":
    case "hoard":
      return rest;
  }
}

/** An action for people, on one line. */
export function describeAction(action: Action): string {
  const { kind, ...rest } = action;
  const parts = Object.entries(rest).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return [kind, parts.join(", ")].join(" ").trim();
}

/** True for actions that start something. */
export function isJob(action: Action): action is JobAction {
  return action.kind === "spawn" || action.kind === "pipeline";
}

/** Simpler forms of an action, for the shrinker. */
export function* simplerActions(action: Action): Iterable<Action> {
  if (action.kind === "spawn") {
    if (action.kernel !== null) yield { ...action, kernel: null };
    for (const [index, number] of action.numbers.entries()) {
      if (number > 4) yield { ...action, numbers: action.numbers.with(index, Math.floor(number / 2)) };
    }
  }
  if (action.kind === "pipeline") {
    if (action.kernels.length > 2) yield { ...action, kernels: action.kernels.slice(1) };
    if (action.length > 16) yield { ...action, length: Math.floor(action.length / 2) };
  }
  if (action.kind === "migrate" && action.copy !== "none") yield { ...action, copy: "none" };
  if (action.kind === "pause" && action.duration_ms > 1)
    yield { ...action, duration_ms: action.duration_ms >> 1 };
}
