/** The simulated machine under a system, for whoever measures it or makes it fail. */
import type { Dsm } from "../dsm/index.ts";
import { consoleRail, type SimMachine } from "../machine/sim/sim-machine.ts";
import { powerState } from "../machine/soc.ts";
import { TypedMemory } from "../memory/index.ts";

/** Energy and power states of the cores on one power rail since the machine was switched on. */
export interface RailUsage {
  readonly rail: string;
  readonly energy_mJ: number;
  /** Sums over the cores of the rail. */
  readonly active_ns: number;
  readonly idle_ns: number;
  readonly inactive_ns: number;
}

/** What software coherence has done for an island. */
export interface CoherenceUsage {
  readonly island: string;
  /** Faults that another island had to answer, and those that it did not. */
  readonly remoteFaults: number;
  readonly localFaults: number;
  /** Time that cores have spent in faults. */
  readonly faultTime_ns: number;
}

export class Simulation {
  /** @internal */
  readonly machine: SimMachine;
  /** @internal Software coherence; null on machines of one island. */
  readonly dsm: Dsm | null;

  /** @internal */
  constructor(machine: SimMachine, dsm: Dsm | null) {
    this.machine = machine;
    this.dsm = dsm;
  }

  /** Time of the machine since it was switched on. */
  get time_ns(): number {
    return this.machine.time_ns;
  }

  rails(): RailUsage[] {
    const { profile, power, islandOfCore, coreCount } = this.machine;
    const names = [...new Set(profile.islands.map(({ rail }) => rail))].filter(
      (rail) => rail !== consoleRail,
    );
    return names.map((rail) => {
      const cores = islandOfCore.flatMap((island, core) =>
        core < coreCount && profile.islands[island].rail === rail ? [core] : [],
      );
      // Nothing happens any more before the next event: until then the state of every core is known.
      const known_ns = Math.min(this.time_ns, this.machine.queue.next()?.time_ns ?? Infinity);
      const untilNow_ns = (core: number) => Math.max(known_ns, this.machine.core(core).seen_ns());
      const residency_ns = (state: number) =>
        cores.reduce((sum, core) => sum + power.meter.residency_ns(core, state, untilNow_ns(core)), 0);
      return {
        rail,
        energy_mJ: cores.reduce((sum, core) => sum + power.meter.energyOfCore_mJ(core, untilNow_ns(core)), 0),
        active_ns: residency_ns(powerState.active),
        idle_ns: residency_ns(powerState.idle),
        inactive_ns: residency_ns(powerState.inactive),
      };
    });
  }

  coherence(): CoherenceUsage[] {
    const { dsm } = this;
    if (dsm === null) return [];
    return this.machine.profile.islands.flatMap(({ name }, island) => {
      const statistics = dsm.domain(island)?.statistics;
      if (statistics === undefined) return [];
      const { remote, local } = statistics;
      const faultTime_ns = [remote, local].reduce(
        (sum, { entry_ns, protocol_ns, waiting_ns, exit_ns }) =>
          sum + entry_ns + protocol_ns + waiting_ns + exit_ns,
        0,
      );
      return [{ island: name, remoteFaults: remote.faults, localFaults: local.faults, faultTime_ns }];
    });
  }

  /** What is wrong with software coherence's own state, one line each; nothing if all is well. */
  coherenceViolations(): string[] {
    return this.dsm?.check(TypedMemory.attach(this.machine.uncached)) ?? [];
  }

  /** What has happened, as text: the same for the same seed and use. */
  summary(): string {
    return this.machine.trace.summary();
  }

  /** A core stops dead. The system finds out by itself. */
  crash(core: number): void {
    this.machine.crash(core);
  }
}
