/** The simulated machine, made ready to boot a system on it. */
import type { MachineProfile } from "../machine/profiles/index.ts";
import { SimMachine } from "../machine/sim/sim-machine.ts";
import { makeDsm } from "../presets/coherence.ts";
import type { SystemConfiguration } from "../presets/configuration.ts";
import { memoryFor, uncachedMemoryFor } from "../presets/services.ts";
import type { BootOptions } from "./options.ts";
import { Simulation } from "./simulation.ts";

/** Time of the clock on the wall when a simulated machine is switched on: the same in every run. */
export const simulatedOrigin_ns = 1_700_000_000e9;

/**
 * A machine with its first `cores` cores, or all.
 * @throws RangeError when it has not so many.
 */
export function simulatedProfile(profile: MachineProfile, cores: number | undefined): MachineProfile {
  const all = profile.islands.reduce((sum, island) => sum + island.cores.length, 0);
  if (cores === undefined) return profile;
  if (!Number.isInteger(cores) || cores < 1 || cores > all)
    throw new RangeError(`cores: machine ${profile.name} has ${all}; ${cores} of them cannot be used`);
  let left = cores;
  const islands = profile.islands.map((island) => {
    const own = island.cores.slice(0, left);
    left -= own.length;
    // A part of a node is no node.
    return { ...island, cores: own, coresPerNode: 1 };
  });
  return { ...profile, islands: islands.filter((island) => island.cores.length > 0) };
}

/** Island of each core. */
export function islandsOf(profile: MachineProfile): number[] {
  return profile.islands.flatMap((island, index) => island.cores.map(() => index));
}

export async function simulatedMachine(
  profile: MachineProfile,
  configuration: SystemConfiguration,
  options: Pick<BootOptions, "seed" | "onSimulation" | "onMachineFailure"> & {
    readonly log: (line: string) => void;
    readonly onCoreLost: (core: number) => void;
    readonly freeHeldBy: (core: number) => Iterator<void>;
    readonly onCoreFailed: (core: number, reason: string) => void;
  },
): Promise<Simulation> {
  const memory_bytes = memoryFor(configuration);
  const dsm = makeDsm(profile, configuration, memory_bytes);
  // Kernels run in this thread here; on the host they are loaded by the cores' threads.
  const { bootKernel } = await import("../presets/general.ts");
  const machine = new SimMachine({
    profile,
    seed: options.seed ?? 1,
    memory_bytes,
    uncached_bytes: uncachedMemoryFor(configuration),
    bootKernel: (core, kernel, bootedBy) => bootKernel(core, kernel, bootedBy, configuration, dsm),
    log: options.log,
    onCoreLost: options.onCoreLost,
    freeHeldBy: options.freeHeldBy,
    onCoreFailed: options.onCoreFailed,
    onFailure:
      options.onMachineFailure ??
      ((error) => {
        throw error;
      }),
    hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
    originRealtime_ns: simulatedOrigin_ns,
  });
  const simulation = new Simulation(machine, dsm);
  options.onSimulation?.(simulation);
  return simulation;
}
