/** What a system is booted with, and what a process is started with. */
import type { MachineProfile } from "../machine/profiles/profile.ts";
import type { CoherenceProtocol } from "../presets/configuration.ts";
import type { Simulation } from "./simulation.ts";

/** A host directory that programs see. */
export interface HostMount {
  /** Path of the directory on the host. */
  readonly directory: string;
  readonly readOnly?: boolean;
}

export interface BootOptions {
  /** How the cores are divided into kernels; see `presets/`. */
  readonly preset?: string;
  /** "host", or a machine to simulate, by name ("omap4", "haswell-4", …) or profile. The preset's unless given. */
  readonly machine?: string | MachineProfile;
  /** Simulated machines: everything that is left to chance follows from it. */
  readonly seed?: number | string;
  /** Placements of services that differ from the preset's, by service: see `presets/placements.ts`. */
  readonly placements?: Readonly<Record<string, string>>;
  /** How islands are kept in step, for machines with several. The preset's unless given. */
  readonly coherence?: CoherenceProtocol;
  /** Machines with several islands: an island that goes to sleep gives up its pages. K2 does not do that. */
  readonly releaseOnSleep?: boolean;
  /** @internal Told when a simulated machine cannot go on; otherwise that is an exception nobody handles. */
  readonly onMachineFailure?: (error: unknown) => void;
  /** @internal Told of the simulated machine before anything runs on it. */
  readonly onSimulation?: (simulation: Simulation) => void;
  /** Cores that run kernels: one per processor of this computer, and at least two, unless given; all of a simulated machine. */
  readonly cores?: number;
  /** Cores that each kernel spans. The preset's value, usually 1, unless given. */
  readonly coresPerKernel?: number;
  /** Path of an ext2 image used as the root file system and written back. A fresh ramdisk unless given. */
  readonly root?: string;
  /** Size of the ramdisk. */
  readonly rootSize_bytes?: number;
  /** Memory for pipes and arguments. */
  readonly pageMemory_bytes?: number;
  /** Most memory one program may use. */
  readonly processMemory_bytes?: number;
  /** Host directories by the absolute path where programs see them: `{ "/work": { directory: "." } }`. */
  readonly mounts?: Readonly<Record<string, HostMount | string>>;
  /** Programs by name, as paths of `.wasm` files, besides those of the catalogue. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Directory for instrumented programs; `false` keeps them in memory only. */
  readonly cacheDirectory?: string | false;
  /**
   * Enter long-running programs anew in place from time to time, so that loops which have run for a while go on in
   * code that the host has optimised meanwhile. On unless `false`.
   */
  readonly hotFrames?: boolean;
  /** Kernels push running processes to less loaded ones. Off unless `true`: processes stay where they were started. */
  readonly balance?: boolean;
  /** Kernels that NightWatch threads are pinned to. The preset's, or the last kernel that runs, unless given. */
  readonly weakKernels?: readonly number[];
  /** Receives lines about failures of kernels; standard error unless given. */
  readonly log?: (line: string) => void;
}

/** What standard input, output or error of a process is connected to. */
export type StandardStream =
  /** A pipe whose other end is a web stream of the `Process`. */
  | "pipe"
  /** The system's terminal, `/dev/tty`. */
  | "terminal"
  /** Nothing: `/dev/null`. */
  | "null"
  /**
   * One end of `Archipelago.pipe()`, to connect processes to each other. It is handed over: to one process, and
   * also when that cannot be started.
   */
  | PipeEnd;

/** An end of a pipe inside the system. */
export interface PipeEnd {
  /** Open file number in the system. */
  readonly file: number;
}

export interface SpawnOptions {
  /** The kernel to run on; the least loaded one unless given. */
  readonly kernel?: number;
  /** Run as a NightWatch thread: on a weak kernel (`BootOptions.weakKernels`), and never moved from it. Not with `kernel`. */
  readonly nightwatch?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Directories the program may use, by the name it sees: `{ "/": "/" }` (the whole tree) unless given. */
  readonly directories?: Readonly<Record<string, string>>;
  /** What relative paths of programs with older C libraries start from. */
  readonly workingDirectory?: string;
  readonly stdin?: StandardStream;
  readonly stdout?: StandardStream;
  readonly stderr?: StandardStream;
  /** 0 (most urgent) to 3. */
  readonly priority?: number;
  readonly memory_bytes?: number;
  /** @internal Where the program is to stop, for a snapshot. */
  readonly stoppingPoint?: string;
}
