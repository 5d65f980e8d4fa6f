/**
 * What a kernel does when cores go to sleep and wake up, on machines that say so. Each core has one of these.
 *
 * Shared interrupts (K2, ASPLOS 2014, section 7). Every island's private controller could take the interrupt of a device;
 * exactly one kernel must:
 * 1. a shared interrupt never wakes the strong domain: while that is inactive, the shadow kernel takes them all;
 * 2. while the strong domain is awake, the main kernel takes them all.
 * This is done by masking in the private controllers. A controller masks everything when its island boots.
 *
 * All of this runs at interrupt level: it touches hardware only.
 */
import type { Core } from "../machine/machine.ts";
import { powerState, type Soc, sharedInterruptCount } from "../machine/soc.ts";

export interface PowerPolicy {
  /** The island whose kernels take shared interrupts while it is awake. */
  readonly mainIsland: number;
  /** The island that takes them while the main one sleeps; null if nobody does, and they wake the main one. */
  readonly standIn: number | null;
  /** The core's island is about to sleep, this core being the last: gives up what others may need meanwhile. */
  readonly beforeSleep: (() => void) | null;
}

export class PowerManagement {
  private readonly core: Core;
  private readonly soc: Soc;
  private readonly island: number;
  private readonly policy: PowerPolicy;

  constructor(core: Core, soc: Soc, policy: PowerPolicy) {
    this.core = core;
    this.soc = soc;
    this.island = soc.islandOfCore[core.id];
    this.policy = policy;
    const { mainIsland, standIn } = policy;
    // A core of the main island watches itself only: being told wakes a core, and two that watch each other never sleep.
    const watchesMain = this.island !== mainIsland && this.island === standIn;
    const watched = soc.islandOfCore.flatMap((island, id) =>
      id === core.id || (watchesMain && island === mainIsland) ? [id] : [],
    );
    this.route(this.isAsleep(mainIsland));
    soc.power.onChange((changed, state) => this.changed(changed, state), watched);
  }

  private changed(core: number, state: number): void {
    const { islandOfCore } = this.soc;
    const { beforeSleep, mainIsland } = this.policy;
    const sleeps = state === powerState.inactive || state === powerState.off;
    if (core === this.core.id && sleeps && beforeSleep !== null && this.isAsleep(this.island, core))
      beforeSleep();
    // A core is told of its own sleep beforehand, while its state is still another.
    if (islandOfCore[core] === mainIsland) this.route(sleeps && this.isAsleep(mainIsland, core));
  }

  /** Whether all cores of an island sleep, leaving one out of account. */
  private isAsleep(island: number, except = -1): boolean {
    const { islandOfCore, power } = this.soc;
    return islandOfCore.every(
      (of, core) => of !== island || core === except || power.state(core) <= powerState.inactive,
    );
  }

  private route(mainSleeps: boolean): void {
    const { mainIsland, standIn } = this.policy;
    const taker = mainSleeps && standIn !== null ? standIn : mainIsland;
    for (let source = 0; source < sharedInterruptCount; source++) {
      this.soc.interrupts.setMasked(source, this.island !== taker);
    }
  }
}
