/** Runs a workload on a simulated machine of its own, and says what happened: to the byte. */
import { type Archipelago, type BootOptions, boot, type SystemUsage } from "../../../src/index.ts";
import { customProfile, type MachineProfile } from "../../../src/machine/profiles/index.ts";
import {
  type ProgramName,
  programModule,
  programNames,
  programPath,
} from "../../../src/simulation/programs/programs.ts";
import type { Simulation } from "../../../src/system/simulation.ts";

/** Four slow cores that are coherent. */
export const board4: MachineProfile = customProfile({
  name: "board-4",
  islands: [["strong", "strong", "strong", "strong"]],
});

/** Two islands, of two strong and two weak cores, which software keeps in step. */
export const board2and2: MachineProfile = customProfile({
  name: "board-2+2",
  islands: [
    ["strong", "strong"],
    ["weak", "weak"],
  ],
});

/** A simulated system with the programs of workloads. */
export interface SimulatedSystem extends AsyncDisposable {
  readonly system: Archipelago;
  readonly simulation: Simulation;
  /** Lines for the operator. */
  readonly log: string[];
}

export type Workload = (simulated: SimulatedSystem) => Promise<string>;

/** What a run leaves behind; two runs are the same when these are. */
export interface RunReport {
  /** What the workload says about its results. */
  readonly output: string;
  /** The machine's trace in short, with its digest. */
  readonly summary: string;
  readonly log: readonly string[];
  readonly usage: SystemUsage;
  readonly kernels: string;
}

const root_bytes = 8 * 1024 * 1024;
const pageMemory_bytes = 8 * 1024 * 1024;

export async function bootSimulated(options: BootOptions = {}): Promise<SimulatedSystem> {
  const log: string[] = [];
  const system = await boot({
    machine: board4,
    rootSize_bytes: root_bytes,
    pageMemory_bytes,
    cacheDirectory: false,
    log: (line) => log.push(line),
    ...options,
  });
  const { simulation } = system;
  if (simulation === null) throw new Error("this is no simulated machine");
  for (const name of programNames) system.files.write(programPath(name), programModule(name), 0o755);
  system.files.makeDirectory("/sim");
  return { system, simulation, log, [Symbol.asyncDispose]: () => system.shutdown() };
}

/** Boots, runs a workload, shuts down. */
export async function report(workload: Workload, options: BootOptions = {}): Promise<RunReport> {
  const simulated = await bootSimulated(options);
  const { system, simulation, log } = simulated;
  const output = await workload(simulated);
  const usage = system.usage();
  const kernels = JSON.stringify(system.kernels());
  await system.shutdown();
  return { output, summary: simulation.summary(), log, usage, kernels };
}

/** Runs a program of the workloads; its output and its end in a line. */
export async function runProgram(
  system: Archipelago,
  name: ProgramName,
  args: readonly (string | number)[],
  kernel?: number,
): Promise<string> {
  const result = await system.run(programPath(name), args.map(String), { kernel, directories: { "/": "/" } });
  return `${name} ${args.join(" ")}: ${result.exitCode} ${result.signal} ${JSON.stringify(result.stdout)}`;
}
