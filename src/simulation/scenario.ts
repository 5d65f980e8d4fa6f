/**
 * Scenarios: everything that one simulated run is made of, as plain data. A seed makes one; a failing one can be
 * written down, shrunk and replayed.
 */
import type { Mutation } from "../dsm/index.ts";
import { customProfile, type MachineProfile, strongKind, weakKind } from "../machine/profiles/index.ts";
import { Random } from "../machine/sim/random.ts";
import type { CoherenceProtocol } from "../presets/configuration.ts";
import type { Action } from "./workload/actions.ts";
import { generateWorkload } from "./workload/generate.ts";

/** Kinds of faults that can be asked for by name. */
export const faultNames = ["delays", "power", "caches", "crashes", "islands"] as const;
export type FaultName = (typeof faultNames)[number];

export interface Scenario {
  readonly seed: number;
  /** Kinds of the cores of each island: "strong" or "weak". */
  readonly islands: readonly (readonly string[])[];
  readonly coresPerKernel: number;
  readonly coherence: CoherenceProtocol;
  readonly placements: Readonly<Record<string, string>>;
  readonly releaseOnSleep: boolean;
  /** Cores fall asleep this soon. */
  readonly inactiveTimeout_ms: number;
  readonly faults: readonly FaultName[];
  readonly actions: readonly Action[];
  /** Breaks software coherence in one place, once the system is up: then a violation must be found. */
  readonly mutation?: Mutation;
}

export interface ScenarioOptions {
  /** Which faults are injected; chosen by the seed unless given. */
  readonly faults?: readonly FaultName[];
  /** Actions of the workload. */
  readonly length?: number;
}

const defaultLength = 24;
/** Jobs are small: what is wanted is many interleavings, not much work. */
const scale = 0.15;

/** The scenario of a seed. */
export function makeScenario(seed: number, options: ScenarioOptions = {}): Scenario {
  const random = new Random(seed).fork("scenario");
  const islandCount = random.pick([1, 2, 2, 2, 3, 4]);
  const islands = Array.from({ length: islandCount }, (_, island) => {
    const kind = island === 0 ? "strong" : random.pick(["weak", "weak", "strong"]);
    return Array.from({ length: random.pick([1, 1, 2, 3]) }, () => kind);
  });
  const coresPerKernel = random.pick([1, 1, 0]);
  const kernels = kernelCount(islands, coresPerKernel);
  const faults = options.faults ?? faultNames.filter(() => random.chance(0.35));
  const actions = generateWorkload(random.fork("workload"), {
    length: options.length ?? defaultLength,
    kernels,
    stoppable: Array.from({ length: kernels - 1 }, (_, index) => index + 1),
    crashes: faults.includes("crashes"),
    machineEvents: machineEvents(faults, islandCount),
    scale,
  });
  return {
    seed,
    islands,
    coresPerKernel,
    coherence: random.pick(["two-state", "three-state"]),
    placements: {
      scheduler: random.pick(["shadowed", "independent"]),
      pages: random.pick(["shadowed", "independent"]),
      interrupts: random.pick(["private", "independent"]),
    },
    releaseOnSleep: random.chance(0.5),
    inactiveTimeout_ms: random.pick([2, 20, 5000]),
    faults,
    actions,
  };
}

/** The machine that a scenario is played on. */
export function machineOf({ islands, inactiveTimeout_ms }: Scenario): MachineProfile {
  const kinds = [strongKind, weakKind].map((kind) => ({ ...kind, inactiveTimeout_ms }));
  return customProfile({ islands, kinds });
}

/** A scenario in a few lines, for people. */
export function describeScenario(scenario: Scenario): string {
  const { seed, islands, coresPerKernel, coherence, placements, releaseOnSleep, faults, actions, mutation } =
    scenario;
  const cores = islands.map((kinds) => `${kinds.length} ${kinds[0]}`).join(" + ");
  const places = Object.entries(placements).map(([service, placement]) => `${service} ${placement}`);
  return [
    `seed ${seed}: ${cores} cores, ${coresPerKernel === 0 ? "one kernel per island" : "one kernel per core"}`,
    `${coherence}${releaseOnSleep ? ", pages given up on sleep" : ""}; ${places.join(", ")}`,
    `faults: ${faults.join(", ") || "none"}; ${actions.length} actions`,
    ...(mutation === undefined ? [] : [`broken on purpose: ${mutation}`]),
  ].join("\n");
}

/** How many kernels a scenario boots. */
export function kernelCount(islands: readonly (readonly string[])[], coresPerKernel: number): number {
  return coresPerKernel === 0 ? islands.length : islands.reduce((sum, cores) => sum + cores.length, 0);
}

function machineEvents(faults: readonly FaultName[], islands: number): string[] {
  const events: string[] = [];
  if (faults.includes("power")) events.push("sleep");
  if (faults.includes("caches") && islands > 1) events.push("evict", "prefetch");
  if (faults.includes("crashes")) events.push("crashLater");
  if (faults.includes("islands") && islands > 1) events.push("loseIsland");
  return events;
}
