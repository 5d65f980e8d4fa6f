/** What every core of a system is told at boot. Plain data: it is handed to the cores' threads. */

import { type Placements, usualPlacements } from "./placements.ts";

/** How cores form kernels, and which image runs on them: the part of a preset that the machine needs. */
export interface Preset {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** "host", or the name of a machine profile to simulate. */
  readonly machine: string;
  /** Cores that each kernel spans; 0 is one kernel for all cores. No kernel spans two islands. */
  readonly coresPerKernel: number;
  readonly placements: Placements;
  /** Islands whose kernels run NightWatch threads. */
  readonly weakIslands: readonly number[];
  /** How shadowed services are kept in step between islands. */
  readonly coherence: CoherenceProtocol;
}

/** Software coherence: K2's protocol of two states, or one with read sharing. */
export type CoherenceProtocol = "two-state" | "three-state";

const coherentHost = {
  machine: "host",
  placements: usualPlacements,
  weakIslands: [],
  coherence: "two-state",
} as const;

export const presets: Readonly<Record<string, Preset>> = {
  multikernel: {
    ...coherentHost,
    name: "multikernel",
    description: "one kernel per core, all services shadowed in coherent shared memory",
    coresPerKernel: 1,
  },
  clustered: {
    ...coherentHost,
    name: "clustered",
    description: "one kernel per two cores, as Clustered Popcorn has one per NUMA node",
    coresPerKernel: 2,
  },
  smp: { ...coherentHost, name: "smp", description: "one kernel that spans all cores", coresPerKernel: 0 },
  k2: {
    name: "k2",
    description:
      "K2 on a simulated OMAP4: a main kernel on the strong domain, a shadow kernel on the weak one",
    machine: "omap4",
    coresPerKernel: 1,
    placements: {
      processes: "shadowed",
      scheduler: "independent",
      interrupts: "independent",
      pages: "independent",
      pipes: "shadowed",
      files: "shadowed",
      terminal: "proxied",
      dma: "shadowed",
      network: "shadowed",
    },
    weakIslands: [1],
    coherence: "two-state",
  },
};

export interface HostMountConfiguration {
  /** Where programs see it. */
  readonly path: string;
  /** Absolute path on the host. */
  readonly directory: string;
  readonly readOnly: boolean;
}

export interface SystemConfiguration {
  /** Version of Archipelago. */
  readonly version: string;
  /** When the system was booted, nanoseconds since 1970: the time of files that are nowhere stored. */
  readonly bootTime_ns: number;
  readonly preset: string;
  /** "host", or a machine profile. */
  readonly machine: string;
  readonly image: string;
  readonly placements: Placements;
  readonly coherence: CoherenceProtocol;
  /** Islands without coherence between them; 1 on the host. */
  readonly islandCount: number;
  readonly islandOfCore: readonly number[];
  readonly weakIslands: readonly number[];
  /** An island that goes to sleep gives up its pages, so that nobody has to wake it for them. */
  readonly releaseOnSleep: boolean;
  /** Kernel of each core. */
  readonly kernelOfCore: readonly number[];
  /** Root file system: an image file, or a fresh ramdisk of this size. */
  readonly rootImage: string | null;
  readonly rootSize_bytes: number;
  readonly pageMemory_bytes: number;
  readonly mounts: readonly HostMountConfiguration[];
  /** Program files on the host, shown in `/bin`. */
  readonly programs: readonly { readonly name: string; readonly path: string }[];
  readonly cacheDirectory: string | null;
  /** Long-running programs are entered anew in place, in code that was optimised meanwhile. */
  readonly hotFrames: boolean;
  /** Kernels with much to do push processes to those with less. */
  readonly balance: boolean;
  /** Kernels that NightWatch threads are pinned to, those first that come first; without any, the last that runs. */
  readonly weakKernels: readonly number[];
}

/** The core that the primary kernel boots on. */
export const primaryCore = 0;

/** Core number of the console: the one after the last. */
export function consoleCoreOf(configuration: SystemConfiguration): number {
  return configuration.kernelOfCore.length;
}

/** The kernels on some islands. */
export function kernelsOn(
  islands: readonly number[],
  { kernelOfCore, islandOfCore }: Pick<SystemConfiguration, "kernelOfCore" | "islandOfCore">,
): number[] {
  const kernels = kernelOfCore.filter((_, core) => islands.includes(islandOfCore[core]));
  return [...new Set(kernels)];
}

/** Kernel of each core, `coresPerKernel` neighbours of one island to a kernel; 0 for all of an island. */
export function kernelsOf(islandOfCore: readonly number[], coresPerKernel: number): number[] {
  const kernels: number[] = [];
  let kernel = -1;
  let span = 0;
  for (const [core, island] of islandOfCore.entries()) {
    const isFull = coresPerKernel !== 0 && span === coresPerKernel;
    if (core === 0 || isFull || island !== islandOfCore[core - 1]) {
      kernel++;
      span = 0;
    }
    span++;
    kernels.push(kernel);
  }
  return kernels;
}
