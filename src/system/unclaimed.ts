/**
 * Processes that nobody knows of: their kernel started them for the code that booted the system, and died before it
 * could say so.
 */
import { limits, processState } from "../kernel/state.ts";
import type { Services } from "../presets/services.ts";

/** Pids of ended processes of a core that only the console could wait for. Whoever waits has collected them soon. */
export function endedProcesses({ areas: { processes } }: Services, core: number): number[] {
  const pids: number[] = [];
  for (let slot = 1; slot < limits.processes; slot++) {
    const isEnded = processes.state(slot) === processState.zombie && processes.core(slot) === core;
    if (isEnded && processes.parent(slot) === 0) pids.push(processes.pid(slot));
  }
  return pids;
}

/** Collects those of the processes that are still there. */
export function collectUnclaimed({ table }: Services, pids: readonly number[]): void {
  for (const pid of pids) {
    const slot = table.find(pid);
    if (slot > 0) table.collect(slot);
  }
}
