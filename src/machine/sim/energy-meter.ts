/**
 * Energy meters, one per power rail, as if a sampling resistor stood in each: the integral of power over time. A meter
 * keeps how long each core was in each state, and multiplies when it is read; so it is exact for constant powers, and
 * never runs backwards.
 */

import { powerState } from "../soc.ts";
import type { PoweredCore } from "./power.ts";

const stateCount = 4;

/** A change of state, for plots. */
export interface PowerChange {
  readonly time_ns: number;
  readonly core: number;
  readonly state: number;
  /** Power of the core from now on. */
  readonly power_mW: number;
}

interface Account {
  readonly rail: string;
  /** Power by state. */
  readonly power_mW: Float64Array;
  /** Time in each state until `since_ns`. */
  readonly residency_ns: Float64Array;
  state: number;
  since_ns: number;
}

export class EnergyMeter {
  /** The rails, in the order of their first cores. */
  readonly rails: readonly string[];
  /** All changes in the order in which they were told; null unless history is kept. */
  readonly history: PowerChange[] | null;
  private readonly accounts: readonly Account[];

  /** All cores are off, at time zero. */
  constructor(cores: readonly PoweredCore[], keepHistory = false) {
    this.accounts = cores.map(({ kind, rail }) => {
      const power_mW = new Float64Array(stateCount);
      power_mW[powerState.inactive] = kind.power_mW.inactive;
      power_mW[powerState.idle] = kind.power_mW.idle;
      power_mW[powerState.active] = kind.power_mW.active;
      const residency_ns = new Float64Array(stateCount);
      return { rail, power_mW, residency_ns, state: powerState.off, since_ns: 0 };
    });
    this.rails = [...new Set(cores.map((core) => core.rail))];
    this.history = keepHistory ? [] : null;
  }

  /**
   * A core is in another state from `time_ns` on. A time before the core's last change counts as that change's: a
   * core's time does not run backwards.
   */
  change(core: number, state: number, time_ns: number): void {
    const account = this.accounts[core];
    if (time_ns > account.since_ns) {
      account.residency_ns[account.state] += time_ns - account.since_ns;
      account.since_ns = time_ns;
    }
    account.state = state;
    this.history?.push({ time_ns: account.since_ns, core, state, power_mW: account.power_mW[state] });
  }

  /** Time that a core has spent in a state until `time_ns`, or until its last change if that was later. */
  residency_ns(core: number, state: number, time_ns: number): number {
    const account = this.accounts[core];
    const past_ns = account.residency_ns[state];
    return account.state === state ? past_ns + Math.max(0, time_ns - account.since_ns) : past_ns;
  }

  /**
   * Energy that a core has taken until `time_ns`. A core whose local clock is ahead counts until its last change, so
   * readings at later times are never smaller.
   */
  energyOfCore_mJ(core: number, time_ns: number): number {
    const { power_mW } = this.accounts[core];
    let energy_pJ = 0;
    for (let state = 0; state < stateCount; state++) {
      energy_pJ += this.residency_ns(core, state, time_ns) * power_mW[state];
    }
    return energy_pJ / 1e9;
  }

  /** Energy of a rail until `time_ns`. @throws RangeError for a rail that does not exist. */
  energy_mJ(rail: string, time_ns: number): number {
    if (!this.rails.includes(rail))
      throw new RangeError(`no power rail "${rail}"; there are ${this.rails.join(", ")}`);
    let energy_mJ = 0;
    for (let core = 0; core < this.accounts.length; core++) {
      if (this.accounts[core].rail === rail) energy_mJ += this.energyOfCore_mJ(core, time_ns);
    }
    return energy_mJ;
  }

  /** Power of a rail now. */
  power_mW(rail: string): number {
    let power_mW = 0;
    for (const account of this.accounts)
      if (account.rail === rail) power_mW += account.power_mW[account.state];
    return power_mW;
  }
}
