/** Makes a simulated machine misbehave, as a scenario asks for it and within what hardware may do. */
import type { Random } from "../machine/sim/random.ts";
import { powerState } from "../machine/soc.ts";
import type { Archipelago } from "../system/archipelago.ts";
import type { Simulation } from "../system/simulation.ts";
import type { FaultName } from "./scenario.ts";

/** Most extra latency of a message or an interrupt. */
const longestDelay_ns = 200_000;
/** A core that is made to crash does so within so many accesses to memory. */
const accesses_max = 4000;
const pagesAtOnce = 64;
const crashReason = "it was made to crash";
/** What the machine says of cores that crashed because it was made to: here, at an access, or with their island. */
export const crashReasons: readonly string[] = [crashReason, "it crashed", "its island was lost"];

export class FaultInjector {
  private readonly system: Archipelago;
  private readonly simulation: Simulation;
  private readonly random: Random;
  private readonly onCrash: (kernel: number) => void;

  /** @param onCrash told of a kernel that is about to die, or may be. */
  constructor(
    system: Archipelago,
    simulation: Simulation,
    random: Random,
    onCrash: (kernel: number) => void,
  ) {
    this.system = system;
    this.simulation = simulation;
    this.random = random;
    this.onCrash = onCrash;
  }

  /** What goes on all the time. */
  disturb(faults: readonly FaultName[]): void {
    if (!faults.includes("delays")) return;
    const { machine } = this.simulation;
    const { random } = this;
    const delay_ns = () => (random.chance(0.2) ? random.below(longestDelay_ns) : 0);
    machine.mailboxes.extraDelay_ns = delay_ns;
    machine.extraInterruptDelay_ns = delay_ns;
  }

  /** The machine behaves from now on. */
  calm(): void {
    const { machine } = this.simulation;
    machine.mailboxes.extraDelay_ns = undefined;
    machine.extraInterruptDelay_ns = undefined;
    for (let core = 0; core < machine.coreCount; core++) machine.core(core).accessesUntilCrash = Infinity;
  }

  crashKernel(kernel: number): void {
    for (const core of this.coresOf(kernel)) this.simulation.machine.crash(core, crashReason);
  }

  event(event: string, value: number): void {
    const { machine } = this.simulation;
    switch (event) {
      case "sleep": {
        const core = value % machine.coreCount;
        machine.power.sleepNow(core, machine.core(core).now_ns());
        return;
      }
      case "evict":
        this.onSomePages(value, (island, page) => machine.caches.evict(island, page));
        return;
      case "prefetch":
        this.onSomePages(value, (island, page) => machine.caches.prefetch(island, page));
        return;
      case "crashLater": {
        const core = value % machine.coreCount;
        const kernel = this.system.kernels().find(({ cores }) => cores.includes(core));
        // The primary kernel owns the terminal: nobody else could speak for it.
        if (kernel === undefined || kernel.kernel === 0 || kernel.state !== "running") return;
        this.onCrash(kernel.kernel);
        machine.core(core).accessesUntilCrash = value % accesses_max;
        return;
      }
      case "loseIsland": {
        const island = value % machine.profile.islands.length;
        if (island === machine.islandOfCore[0]) return;
        for (const { kernel, cores } of this.system.kernels()) {
          if (cores.some((core) => machine.islandOfCore[core] === island)) this.onCrash(kernel);
        }
        machine.loseIsland(island);
        return;
      }
      default:
        throw new RangeError(`no event of the machine is called ${event}`);
    }
  }

  /** Pages that islands hold, or that they could hold. Cores that are off hold nothing. */
  private onSomePages(value: number, act: (island: number, page: number) => void): void {
    const { machine } = this.simulation;
    const island = value % machine.islandCount;
    const isOn = machine.islandOfCore.some(
      (of, core) => of === island && machine.power.state(core) !== powerState.off,
    );
    if (!isOn) return;
    for (let n = 0; n < pagesAtOnce; n++) {
      const known = machine.caches.presentPages(this.random.below(machine.islandCount));
      if (known.length > 0) act(island, this.random.pick(known));
    }
  }

  private coresOf(kernel: number): readonly number[] {
    return this.system.kernels().find((one) => one.kernel === kernel)?.cores ?? [];
  }
}
