/** What becomes of NightWatch threads, and of their processes, when a kernel is gone: weak or main, dead or stopped. */
import type { Areas } from "./areas.ts";
import { coreOfHolder, heldBy } from "./migration.ts";
import { deliver, type Sender } from "./nightwatch-gate.ts";
import { endNightwatch } from "./nightwatch-protocol.ts";
import { type EndParts, endWatch, freeThread, nightwatchThreadsOf, recordEnd } from "./nightwatch-state.ts";
import { limits, processState, threadState } from "./state.ts";

/**
 * A core has died, and with it the NightWatch threads that were pinned to it. Ends that it was just recording are
 * completed.
 */
export function loseNightwatchThreads(parts: EndParts, core: number): void {
  const { processes, threads } = parts.areas;
  for (let slot = 1; slot < limits.processes; slot++) {
    if (processes.state(slot) !== processState.running || processes.nightwatchCore(slot) !== core) continue;
    const left = nightwatchThreadsOf(processes, slot);
    for (const { number } of left) recordEnd(parts, slot, number, true);
    if (left.length === 0 && processes.nightwatchEnded(slot) !== 0) endWatch(parts, slot);
  }
  for (let thread = 1; thread <= limits.threads; thread++) {
    if (threads.ownerOf(thread) === 0 || threads.records.core(thread) !== core) continue;
    if (threads.records.state(thread) === threadState.ended) freeThread(parts, thread);
  }
}

/** Frees threads that a dead kernel was just making for processes that do not know of them yet. */
export function freeUnknownThreads(parts: EndParts, deadOwner: number): void {
  const { processes, threads } = parts.areas;
  for (let thread = 1; thread <= limits.threads; thread++) {
    if (threads.ownerOf(thread) !== deadOwner) continue;
    const known = nightwatchThreadsOf(processes, threads.records.process(thread));
    if (known.some((one) => one.thread === thread)) continue;
    freeThread(parts, thread);
  }
}

type OrphanParts = Sender & { readonly areas: Pick<Areas, "processes" | "threads" | "cores"> };

/**
 * The kernel of a process's normal thread is gone, and the process must end; but its NightWatch threads still use its
 * memory and its files. Their kernel gets the process, is told to end them, and ends the process after the last one. To
 * be called by whoever has the process now. False if there are none: then the caller ends it.
 */
export function leaveToNightwatch(parts: OrphanParts, slot: number, signal: number): boolean {
  const { processes, cores, threads } = parts.areas;
  const target = processes.nightwatchCore(slot);
  if (processes.nightwatchAlive(slot) === 0 || cores.online(target) === 0) return false;
  threads.records.setState(processes.thread(slot), threadState.ended);
  processes.setPendingSignal(slot, signal);
  cores.addLoad(target, 1);
  processes.setCore(slot, target);
  processes.setKernel(slot, cores.kernel(target));
  processes.setHolder(slot, heldBy(target));
  deliver(parts, target, endNightwatch, { pid: processes.pid(slot) }, () => undefined);
  return true;
}

/** Whether a core has a process that has lost its normal thread. */
export function isOrphan(
  { processes, threads }: Pick<Areas, "processes" | "threads">,
  slot: number,
  core: number,
): boolean {
  const isHere =
    processes.state(slot) === processState.running && coreOfHolder(processes.holder(slot)) === core;
  return isHere && threads.records.state(processes.thread(slot)) === threadState.ended;
}
