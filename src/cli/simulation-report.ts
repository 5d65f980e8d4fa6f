/** What a program has cost on a simulated machine, for people: time, energy, faults. */
import type { Simulation } from "../system/simulation.ts";

const ms = (time_ns: number): string => `${(time_ns / 1e6).toFixed(3)} ms`;

/** Some lines: how long, by rail how much energy and where the time went, by island what coherence took. */
export function simulationReport(simulation: Simulation): string {
  const rails = simulation
    .rails()
    .map(
      ({ rail, energy_mJ, active_ns, idle_ns, inactive_ns }) =>
        `  ${rail.padEnd(8)} ${energy_mJ.toFixed(3).padStart(10)} mJ   active ${ms(active_ns)}, idle ${ms(idle_ns)}, inactive ${ms(inactive_ns)}`,
    );
  const coherence = simulation
    .coherence()
    .map(
      ({ island, remoteFaults, localFaults, faultTime_ns }) =>
        `  ${island.padEnd(8)} ${remoteFaults} coherence faults answered by others, ${localFaults} alone, ${ms(faultTime_ns)}`,
    );
  return [
    `simulated ${ms(simulation.time_ns)} on ${simulation.machine.profile.name}`,
    ...rails,
    ...coherence,
  ].join("\n");
}
