/**
 * A booted system on a simulated machine, with what a measurement needs: how long cores were in which power state,
 * what software coherence and the DMA engine did, between two moments of the machine's time.
 */
import { fileURLToPath } from "node:url";
import type { DsmStatistics } from "../../src/dsm/index.ts";
import { statisticsSince } from "../../src/dsm/index.ts";
import { type Archipelago, boot } from "../../src/index.ts";
import type { CoreKind } from "../../src/machine/profiles/profile.ts";
import { powerState } from "../../src/machine/soc.ts";
import type { BootOptions, SpawnOptions } from "../../src/system/options.ts";
import type { Simulation } from "../../src/system/simulation.ts";

export const lightProgram = fileURLToPath(new URL("./light.wasm", import.meta.url));

/** The same source, three ways to run it. */
export interface Setting {
  readonly name: string;
  readonly boot: BootOptions;
  /** Where light tasks run. */
  readonly light: SpawnOptions;
}

/** K2: light tasks run in NightWatch threads on the weak domain. */
export const k2Setting: Setting = { name: "K2", boot: { preset: "k2" }, light: { nightwatch: true } };

/** What the paper calls Linux: one kernel, on the strong core alone. */
export const strongSetting: Setting = {
  name: "strong core alone",
  boot: { preset: "k2", cores: 1 },
  light: { kernel: 0 },
};

/** Residency of one core in a time. */
export interface CoreUsage {
  readonly kind: CoreKind;
  readonly active_ns: number;
  readonly idle_ns: number;
}

/** State of all counters at one moment. */
export interface Reading {
  readonly time_ns: number;
  readonly cores: readonly CoreUsage[];
  readonly allInactive: boolean;
  /** By island. */
  readonly coherence: readonly DsmStatistics[];
}

export class MeasuredSystem implements AsyncDisposable {
  readonly system: Archipelago;
  private readonly simulation: Simulation;

  private constructor(system: Archipelago, simulation: Simulation) {
    this.system = system;
    this.simulation = simulation;
  }

  static async boot(options: BootOptions): Promise<MeasuredSystem> {
    let simulation: Simulation | undefined;
    const system = await boot({
      ...options,
      programs: { light: lightProgram },
      onSimulation: (made) => {
        simulation = made;
      },
    });
    if (simulation === undefined)
      throw new Error(`preset ${options.preset} does not run on a simulated machine`);
    return new MeasuredSystem(system, simulation);
  }

  get time_ns(): number {
    return this.simulation.time_ns;
  }

  /** Events of the machine so far. */
  get eventCount(): number {
    return this.simulation.machine.queue.takenCount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system.shutdown();
  }

  /** Reads the counters at a time of the machine. The console that does it takes no time and no energy. */
  async readAt(time_ns: number): Promise<Reading> {
    const { machine } = this.simulation;
    await machine.delay((time_ns - machine.console.now_ns()) / 1e6);
    return this.read();
  }

  read(): Reading {
    const { machine, dsm } = this.simulation;
    const { power, profile, coreCount, islandOfCore } = machine;
    const time_ns = machine.time_ns;
    const ids = Array.from({ length: coreCount }, (_, core) => core);
    const cores = ids.map((core) => ({
      kind: kindNamed(profile.kinds, machine.coreKinds[core]),
      active_ns: power.meter.residency_ns(core, powerState.active, time_ns),
      idle_ns: power.meter.residency_ns(core, powerState.idle, time_ns),
    }));
    const coherence = [...new Set(islandOfCore)].flatMap((island) => {
      const statistics = dsm?.domain(island)?.statistics;
      return statistics === undefined ? [] : [structuredClone(statistics)];
    });
    return {
      time_ns,
      cores,
      allInactive: ids.every((core) => power.state(core) === powerState.inactive),
      coherence,
    };
  }

  /** Runs the light program to its end: what it printed, line by line. @throws Error when it fails. */
  async runLight(words: readonly (string | number)[], where: SpawnOptions): Promise<string[]> {
    const { exitCode, stdout, stderr, message } = await this.system.run("light", words.map(String), where);
    if (exitCode !== 0)
      throw new Error(`light ${words.join(" ")}: exit code ${exitCode} ${message}${stderr}`);
    return stdout.trim().split("\n");
  }
}

function kindNamed(kinds: readonly CoreKind[], name: string): CoreKind {
  const kind = kinds.find((one) => one.name === name);
  if (kind === undefined) throw new Error(`no kind of core is called ${name}`);
  return kind;
}

/** What happened between two readings. */
export function between(before: Reading, after: Reading): Omit<Reading, "allInactive"> {
  return {
    time_ns: after.time_ns - before.time_ns,
    cores: after.cores.map(({ kind, active_ns, idle_ns }, core) => ({
      kind,
      active_ns: active_ns - before.cores[core].active_ns,
      idle_ns: idle_ns - before.cores[core].idle_ns,
    })),
    coherence: after.coherence.map((statistics, island) =>
      statisticsSince(before.coherence[island], statistics),
    ),
  };
}

/** Energy of cores while they were active or idle: from wake-up to inactive. */
export function energy_mJ(cores: readonly CoreUsage[]): number {
  return cores.reduce(
    (sum, { kind, active_ns, idle_ns }) =>
      sum + (active_ns * kind.power_mW.active + idle_ns * kind.power_mW.idle) / 1e9,
    0,
  );
}
