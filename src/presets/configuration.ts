/** What every core of a system is told at boot. Plain data: it is handed to the cores' threads. */

/** How cores form kernels, and which image runs on them: the part of a preset that the machine needs. */
export interface Preset {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Cores that each kernel spans; 0 is one kernel for all cores. */
  readonly coresPerKernel: number;
}

export const presets: Readonly<Record<string, Preset>> = {
  multikernel: {
    name: "multikernel",
    description: "one kernel per core, all services shadowed in coherent shared memory",
    coresPerKernel: 1,
  },
  clustered: {
    name: "clustered",
    description: "one kernel per two cores, as Clustered Popcorn has one per NUMA node",
    coresPerKernel: 2,
  },
  smp: { name: "smp", description: "one kernel that spans all cores", coresPerKernel: 0 },
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
  readonly image: string;
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
}

/** The core that the primary kernel boots on. */
export const primaryCore = 0;

/** Core number of the console: the one after the last. */
export function consoleCoreOf(configuration: SystemConfiguration): number {
  return configuration.kernelOfCore.length;
}

/** Kernel of each core, `coresPerKernel` neighbours to a kernel. */
export function kernelsOf(cores: number, coresPerKernel: number): number[] {
  const span = coresPerKernel === 0 ? cores : coresPerKernel;
  return Array.from({ length: cores }, (_, core) => Math.floor(core / span));
}
