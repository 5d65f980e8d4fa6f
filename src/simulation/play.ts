/**
 * Plays a scenario: boots its machine and system, injects its faults, runs its workload, and watches what must hold
 * at all times. The same scenario always gives the same result, to the byte.
 */
import type { ProcessStatus } from "../kernel/processes.ts";
import { Random } from "../machine/sim/random.ts";
import { StalenessOracle } from "../machine/sim/staleness.ts";
import type { Archipelago } from "../system/archipelago.ts";
import { boot } from "../system/boot.ts";
import type { Simulation } from "../system/simulation.ts";
import { crashReasons, FaultInjector } from "./fault-injector.ts";
import { everySecond } from "./host/watchdog.ts";
import { describeScenario, kernelCount, machineOf, type Scenario } from "./scenario.ts";
import { describeAction } from "./workload/actions.ts";
import { WorkloadRunner } from "./workload/runner.ts";

/** What can be looked at between two actions without changing what happens afterwards. */
export interface PlayView {
  readonly step: number;
  /** The action that comes next. */
  readonly action: string;
  readonly simulation: Simulation;
  /** As they were after the action before. */
  readonly processes: readonly ProcessStatus[];
}

export interface PlayOptions {
  /** Directory for instrumented programs; `false` keeps them in memory only. */
  readonly cacheDirectory?: string | false;
  /** Before each action, for stepping through: virtual time stands still until it resolves. */
  readonly onAction?: (view: PlayView) => Promise<void>;
  /** Something done to the system once it is up, for tests of the tests. */
  readonly onReady?: (system: Archipelago, simulation: Simulation) => void;
}

export interface PlayResult {
  /** What went wrong, each with its kind in front (`condition: coherence: …`); empty if nothing did. */
  readonly violations: readonly string[];
  /** Hash of everything that happened. */
  readonly digest: string;
  /** The scenario, what was done, and what happened, for people. The same bytes for the same scenario. */
  readonly summary: string;
  readonly events: number;
  readonly time_ns: number;
  /** The last things that happened before the end, oldest first. */
  readonly lastLines: readonly string[];
}

/** The simulation waits for something that will not happen. */
class StuckError extends Error {}

/** A host that is busy may need a second or two for what the simulation waits for. */
const quietLooks_min = 3;
const rootSize_bytes = 4 * 1024 * 1024;
const pageBlock_bytes = 16 * 1024 * 1024;
const pageBlocks_min = 4;
/** Many times more than any scenario of that many actions takes: booting, and each action. */
const bootEvents_max = 100_000;
const actionEvents_max = 20_000;
/** Longer than any wait for a job, or for an answer of somebody who died. */
const actionTime_ns_max = 100e9;

export async function play(scenario: Scenario, options: PlayOptions = {}): Promise<PlayResult> {
  const run = new Run(scenario, options);
  try {
    await run.start();
  } catch (error) {
    run.failed(error);
  }
  return run.result();
}

/** Each kernel and the console can have a page block of their own: none is refused memory while others hold theirs. */
function pageMemoryOf({ islands, coresPerKernel }: Scenario): number {
  return Math.max(pageBlocks_min, kernelCount(islands, coresPerKernel) + 1) * pageBlock_bytes;
}

class Run {
  private readonly scenario: Scenario;
  private readonly options: PlayOptions;
  private readonly log: string[] = [];
  private readonly violations: string[] = [];
  private simulation: Simulation | undefined;
  private runner: WorkloadRunner | undefined;
  private oracle: StalenessOracle | undefined;
  private latest_ns = Infinity;
  private eventsSeen = -1;
  private quietLooks = 0;
  private readonly energies_mJ = new Map<string, number>();

  constructor(scenario: Scenario, options: PlayOptions) {
    this.scenario = scenario;
    this.options = options;
  }

  async start(): Promise<void> {
    let stop: (error: unknown) => void = () => undefined;
    // A machine that cannot go on ends the run, whatever is waited for.
    const broken = new Promise<never>((_resolve, reject) => {
      stop = reject;
    });
    broken.catch(() => undefined);
    const endWatch = everySecond(() => {
      if (this.isQuiet()) stop(new StuckError("nothing is left to happen, and something is waited for"));
    });
    try {
      await Promise.race([broken, this.playOn(stop)]);
    } finally {
      endWatch();
    }
  }

  /** Nothing has happened for some looks, and nothing will. */
  private isQuiet(): boolean {
    const { queue } = this.simulation?.machine ?? { queue: undefined };
    if (queue === undefined) return false;
    const isQuiet = queue.size === 0 && queue.takenCount === this.eventsSeen;
    this.eventsSeen = queue.takenCount;
    this.quietLooks = isQuiet ? this.quietLooks + 1 : 0;
    return this.quietLooks >= quietLooks_min;
  }

  private async playOn(onMachineFailure: (error: unknown) => void): Promise<void> {
    const { scenario, options, log } = this;
    const system = await boot({
      preset: "multikernel",
      machine: machineOf(scenario),
      seed: scenario.seed,
      coresPerKernel: scenario.coresPerKernel,
      coherence: scenario.coherence,
      placements: scenario.placements,
      releaseOnSleep: scenario.releaseOnSleep,
      rootSize_bytes,
      pageMemory_bytes: pageMemoryOf(scenario),
      cacheDirectory: options.cacheDirectory,
      log: (line) => log.push(line),
      onMachineFailure,
      onSimulation: (simulation) => this.watch(simulation),
    });
    const { simulation } = system;
    if (simulation === null) throw new Error("the system does not run on a simulated machine");
    const runner = new WorkloadRunner(system, {
      crashKernel: (kernel) => injector.crashKernel(kernel),
      machineEvent: (event, value) => injector.event(event, value),
      rootImage: () => system.rootImage(),
      conditions: [() => this.condition(simulation)],
    });
    const random = new Random(scenario.seed).fork("faults");
    const injector = new FaultInjector(system, simulation, random, (kernel) => runner.kernelCrashed(kernel));
    this.runner = runner;
    await runner.prepare();
    injector.disturb(scenario.faults);
    if (simulation.dsm !== null) simulation.dsm.options.mutation = scenario.mutation;
    options.onReady?.(system, simulation);
    for (const [step, action] of scenario.actions.entries()) {
      await this.show(step, describeAction(action), simulation, runner);
      await runner.step(action);
      if (runner.violations.length > 0) break;
    }
    injector.calm();
    await system.shutdown();
  }

  /** From before the first event on. */
  private watch(simulation: Simulation): void {
    this.simulation = simulation;
    const { machine } = simulation;
    machine.queue.taken_max = bootEvents_max + actionEvents_max * this.scenario.actions.length;
    if (machine.islandCount === 1) return;
    this.oracle = new StalenessOracle(machine.islandCount, machine.caches.pageCount, () => machine.time_ns);
    machine.caches.observer = this.oracle;
  }

  private async show(
    step: number,
    action: string,
    simulation: Simulation,
    { processes }: WorkloadRunner,
  ): Promise<void> {
    if (this.options.onAction === undefined) return;
    const release = simulation.machine.driver.hold();
    try {
      await this.options.onAction({ step, action, simulation, processes });
    } finally {
      release();
    }
  }

  /** What must hold between any two actions; a text says what does not. */
  private condition(simulation: Simulation): string | undefined {
    const { oracle } = this;
    if (oracle !== undefined && oracle.stale > 0)
      return `coherence: ${oracle.stale} accesses found old copies; ${oracle.descriptions[0]}`;
    const [wrong] = simulation.coherenceViolations();
    if (wrong !== undefined) return `coherence: ${wrong}`;
    const { time_ns } = simulation;
    if (time_ns - this.latest_ns > actionTime_ns_max)
      return `time: an action took ${((time_ns - this.latest_ns) / 1e9).toFixed(0)} s`;
    this.latest_ns = time_ns;
    for (const { rail, energy_mJ } of simulation.rails()) {
      const before_mJ = this.energies_mJ.get(rail) ?? 0;
      if (!(energy_mJ >= before_mJ)) return `energy: rail ${rail} fell from ${before_mJ} to ${energy_mJ} mJ`;
      this.energies_mJ.set(rail, energy_mJ);
    }
    return undefined;
  }

  failed(error: unknown): void {
    if (error instanceof StuckError) this.violations.push(`stuck: ${error.message}`);
    else {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.violations.push(`exception: ${text}`);
    }
    this.simulation?.machine.abandon();
  }

  result(): PlayResult {
    const { violations, oracle, runner } = this;
    const { machine } = this.simulation ?? { machine: undefined };
    for (const { kind, text } of runner?.violations ?? []) violations.push(`${kind}: ${text}`);
    const stale = oracle?.descriptions ?? [];
    // Also what was found after the last action, or before a failure that may be its consequence.
    const isReported = violations.some((text) => text.startsWith("condition: coherence"));
    if (stale.length > 0 && !isReported) violations.push(`condition: coherence: ${stale[0]}`);
    // Kernels that were made to crash say so; anything else is a kernel's own complaint.
    const complaints = this.log.filter((line) => !isOrdered(line));
    if (violations.length === 0 && complaints.length > 0) violations.push(`log: ${complaints[0]}`);
    const lines = [
      describeScenario(this.scenario),
      ...(runner?.trace ?? []),
      ...violations.map((violation) => `violation: ${withoutPlaces(violation)}`),
      machine?.trace.summary() ?? "it did not boot",
    ];
    return {
      violations,
      digest: machine?.trace.digest() ?? "",
      summary: lines.join("\n"),
      events: machine?.queue.takenCount ?? 0,
      time_ns: machine?.time_ns ?? 0,
      lastLines: machine?.trace.lastLines() ?? [],
    };
  }
}

/**
 * What kind of violation this is: what a shrunk scenario must still show. The names in front of its text; of an
 * exception its class.
 */
export function violationKind(violation: string): string {
  const [kind = "", detail = ""] = violation.split(": ", 2);
  if (kind === "condition" || kind === "exception") return `${kind}: ${/^\w*/.exec(detail)?.[0] ?? ""}`;
  return kind;
}

/** Where in the code an exception happened is for people who debug: the same run on another computer differs there. */
function withoutPlaces(violation: string): string {
  return violation
    .split("\n")
    .filter((line) => !/^\s+at /.test(line))
    .join("\n");
}

function isOrdered(line: string): boolean {
  const [, reason] = /^core \d+ failed: (.*)$/s.exec(line) ?? [];
  return reason !== undefined && crashReasons.includes(reason);
}
