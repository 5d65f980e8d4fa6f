/** Random workloads: the same seed and options give the same actions. */
import type { Random } from "../../machine/sim/random.ts";
import { pickWeighted } from "../random.ts";
import type { Action, JobProgram } from "./actions.ts";

export interface WorkloadOptions {
  /** Number of actions, before the last settling. */
  readonly length: number;
  readonly kernels: number;
  /** Kernels that may be stopped and booted again, or die. Not the one that owns the terminal. */
  readonly stoppable?: readonly number[];
  /** Kernels may die. */
  readonly crashes?: boolean;
  /** Processes are moved, by others and by themselves. */
  readonly migrations?: boolean;
  /** Events that the machine understands. */
  readonly machineEvents?: readonly string[];
  /** How large jobs are; 1 gives a few milliseconds of computation each at most. */
  readonly scale?: number;
  /** Jobs at a time. Default 6. */
  readonly jobs_max?: number;
}

type Kind = Action["kind"];

const defaultJobs_max = 6;
const sharedFiles = 2;
const consoleNames = 5;
const locations = 3;

/** Makes a list of actions; the last one settles. */
export function generateWorkload(random: Random, options: WorkloadOptions): Action[] {
  const generator = new Generator(random, options);
  const actions: Action[] = [];
  while (actions.length < options.length) actions.push(generator.next());
  actions.push({ kind: "settle" });
  return actions;
}

class Generator {
  readonly #random: Random;
  readonly #options: WorkloadOptions;
  readonly #scale: number;
  /** Jobs that may still be there. */
  #open: number[] = [];
  #jobs = 0;
  readonly #stopped = new Set<number>();

  constructor(random: Random, options: WorkloadOptions) {
    this.#random = random;
    this.#options = options;
    this.#scale = options.scale ?? 1;
  }

  next(): Action {
    const random = this.#random;
    if (this.#open.length >= (this.#options.jobs_max ?? defaultJobs_max)) return this.#wait();
    const kind = pickWeighted(random, this.#weights());
    switch (kind) {
      case "spawn":
        return this.#spawn();
      case "pipeline": {
        const stages = random.between(2, 4);
        return {
          kind,
          job: this.#newJob(),
          seed: random.next(),
          length: this.#size(30_000),
          piece: random.between(1, 6000),
          kernels: Array.from({ length: stages }, () => this.#kernel()),
        };
      }
      case "file":
        return this.#file();
      case "kill":
        return { kind, job: random.pick(this.#open), signal: random.pick([9, 15, 2]) };
      case "migrate": {
        const copy = random.pick(["none", "none", "upfront", "on-demand"] as const);
        return { kind, job: random.pick(this.#open), kernel: random.below(this.#options.kernels), copy };
      }
      case "wait":
        return this.#wait();
      case "pause":
        return { kind, duration_ms: random.between(1, 20) };
      case "stopKernel": {
        const kernel = random.pick(this.#running());
        this.#stopped.add(kernel);
        return { kind, kernel, processes: random.pick(["move", "end"] as const) };
      }
      case "crashKernel": {
        const kernel = random.pick(this.#running());
        this.#stopped.add(kernel);
        return { kind, kernel };
      }
      case "bootKernel": {
        const kernel = random.pick([...this.#stopped]);
        this.#stopped.delete(kernel);
        return { kind, kernel };
      }
      case "machine":
        return { kind, event: random.pick(this.#options.machineEvents ?? []), value: random.next() };
      case "settle":
        this.#open = [];
        return { kind };
    }
  }

  #weights(): Record<Kind, number> {
    const { migrations = true, crashes = false, machineEvents = [] } = this.#options;
    const some = this.#open.length > 0 ? 1 : 0;
    const running = this.#running().length > 0 ? 1 : 0;
    return {
      spawn: 20,
      pipeline: 5,
      file: 6,
      kill: 2 * some,
      migrate: migrations ? 6 * some : 0,
      wait: 3 * some,
      pause: 4,
      stopKernel: running,
      crashKernel: crashes ? running : 0,
      bootKernel: this.#stopped.size > 0 ? 3 : 0,
      machine: machineEvents.length > 0 ? 4 : 0,
      settle: 1,
    };
  }

  #spawn(): Action {
    const random = this.#random;
    const wander = this.#options.migrations === false ? 0 : 3;
    const program = pickWeighted<JobProgram>(random, {
      compute: 3,
      write: 3,
      append: 4,
      sleep: 2,
      fork: 3,
      counter: 3,
      wander,
      victim: 2,
      hoard: 2,
      register: 3,
      tree: 4,
    });
    return {
      kind: "spawn",
      job: this.#newJob(),
      program,
      numbers: this.#numbers(program),
      shared: random.below(sharedFiles),
      kernel: this.#kernel(),
    };
  }

  #numbers(program: JobProgram): number[] {
    const random = this.#random;
    switch (program) {
      case "compute":
        return [random.next(), this.#size(100_000)];
      case "write":
        return [random.next(), this.#size(60_000), random.between(1, 8000)];
      case "append":
        return [this.#size(80)];
      case "sleep":
        return [random.between(1, 8), random.between(1, 4)];
      case "fork":
        return [random.between(1, 5), this.#size(20_000)];
      case "counter":
        return [random.between(1, 12)];
      case "wander":
        return [random.next(), random.between(1, 6), this.#size(20_000), this.#options.kernels];
      case "victim":
        return [random.below(3)];
      case "hoard":
        return [random.between(1, 12), random.between(1, 16_000), random.between(1, 10)];
      case "register":
        return [locations, random.between(1, 40), random.next()];
      case "tree":
        return [random.next(), this.#size(40)];
    }
  }

  #file(): Action {
    const random = this.#random;
    const operation = random.pick(["write", "write", "read", "remove", "makeDirectory", "rename"] as const);
    const name = random.below(consoleNames);
    switch (operation) {
      case "write":
        return { kind: "file", operation, name, seed: random.next(), length: random.below(20_000) };
      case "rename":
        return { kind: "file", operation, name, to: random.below(consoleNames) };
      default:
        return { kind: "file", operation, name };
    }
  }

  #wait(): Action {
    const job = this.#random.pick(this.#open);
    this.#open = this.#open.filter((other) => other !== job);
    return { kind: "wait", job };
  }

  #newJob(): number {
    this.#open.push(++this.#jobs);
    return this.#jobs;
  }

  #kernel(): number | null {
    return this.#random.chance(0.25) ? null : this.#random.below(this.#options.kernels);
  }

  #running(): number[] {
    return (this.#options.stoppable ?? []).filter((kernel) => !this.#stopped.has(kernel));
  }

  #size(most: number): number {
    return this.#random.between(1, Math.max(1, Math.floor(most * this.#scale)));
  }
}
