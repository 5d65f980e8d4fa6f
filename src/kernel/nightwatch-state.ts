/**
 * What the process table says about NightWatch threads, and the changes to it that more than one kernel makes: the
 * weak kernel when a thread ends, a survivor when the weak kernel or the main one is gone.
 *
 * A NightWatch thread has a number in its process, from 1 on, which its program knows as its thread id. The process
 * record says which numbers are in use.
 */
import type { Accessor } from "../memory/index.ts";
import type { Areas } from "./areas.ts";
import { errno } from "./errno.ts";
import { limits, migratability, nightwatchRole, type Process, threadState } from "./state.ts";
import type { WaitService } from "./wait.ts";

type Processes = Accessor<typeof Process.fields>;

if (limits.nightwatchThreads > 31) throw new Error("a word has not enough bits for the NightWatch threads");

/** Why a process with NightWatch threads cannot be captured. */
export const nightwatchObstacle = "it has NightWatch threads";
/** The same for one whose own thread is a NightWatch thread. */
export const pinnedObstacle = "it is a NightWatch thread, which is pinned to its kernel";

/** Set in `processes.pendingSignal`: not a signal, but a NightWatch thread that has called exit with the low 8 bits. */
const exitRequest = 0x100;

/** What `pendingSignal` becomes when a NightWatch thread ends its process. */
export function requestedExit(code: number): number {
  return exitRequest | code;
}

/** The exit code in a pending signal that is none; undefined for a real signal. */
export function exitCodeOf(pendingSignal: number): number | undefined {
  return pendingSignal >= exitRequest ? pendingSignal & 0xff : undefined;
}

/** NightWatch threads of a process that have not ended. */
export function nightwatchCount(processes: Processes, slot: number): number {
  let count = 0;
  for (let alive = processes.nightwatchAlive(slot); alive !== 0; alive &= alive - 1) count++;
  return count;
}

/** Numbers and threads of the NightWatch threads of a process that have not ended. */
export function nightwatchThreadsOf(
  processes: Processes,
  slot: number,
): { number: number; thread: number }[] {
  const found: { number: number; thread: number }[] = [];
  const alive = processes.nightwatchAlive(slot);
  for (let number = 1; number <= limits.nightwatchThreads; number++) {
    if ((alive & bitOf(number)) !== 0)
      found.push({ number, thread: processes.nightwatchThreads(slot, number - 1) });
  }
  return found;
}

/** The bit of a number in the masks of a process. */
export function bitOf(number: number): number {
  return 1 << (number - 1);
}

/** A number that no NightWatch thread of the process has, or −AGAIN. */
export function freeNumber(processes: Processes, slot: number): number {
  const used = processes.nightwatchAlive(slot) | processes.nightwatchEnded(slot);
  for (let number = 1; number <= limits.nightwatchThreads; number++) {
    if ((used & bitOf(number)) === 0) return number;
  }
  return -errno.AGAIN;
}

export interface EndParts {
  readonly areas: Pick<Areas, "processes" | "threads">;
  readonly waits: WaitService;
  /** Number that names this core as a holder of locks. */
  readonly owner: number;
}

/**
 * Records that a NightWatch thread has ended, or is `lost` because its kernel is gone, and wakes who waits for it. Only
 * the first of several calls for one thread has an effect. What a kernel that dies in the middle leaves undone,
 * `loseNightwatchThreads` does.
 */
export function recordEnd(parts: EndParts, slot: number, number: number, lost: boolean): void {
  const { processes, threads } = parts.areas;
  const bit = bitOf(number);
  if ((processes.nightwatchAlive(slot) & bit) === 0) return;
  const thread = processes.nightwatchThreads(slot, number - 1);
  threads.records.setState(thread, threadState.ended);
  if (lost) processes.orNightwatchLost(slot, bit);
  else processes.andNightwatchLost(slot, ~bit >>> 0);
  processes.orNightwatchEnded(slot, bit);
  const before = processes.andNightwatchAlive(slot, ~bit >>> 0);
  if ((before & bit) === 0) return;
  freeThread(parts, thread);
  endWatch(parts, slot);
}

/**
 * Frees what a NightWatch thread had that has ended, unless somebody else does. Who dies in the last step leaves its
 * record in use for good: that is better than a record that is freed when it is another thread's already.
 */
export function freeThread({ areas, waits, owner }: EndParts, thread: number): void {
  const { processes, threads } = areas;
  const { records } = threads;
  const { guest, none } = nightwatchRole;
  if (records.nightwatch(thread) !== guest) return;
  waits.waitDone(thread);
  const slot = records.process(thread);
  processes.setNightwatchTime_ns(slot, processes.nightwatchTime_ns(slot) + records.cpuTime_ns(thread));
  records.setCpuTime_ns(thread, 0);
  if (records.compareExchangeNightwatch(thread, guest, none) === guest) threads.free(thread, owner);
}

/** Some NightWatch thread of a process has ended: wakes who waits for that; after the last one, it can be captured again. */
export function endWatch({ areas: { processes }, waits }: EndParts, slot: number): void {
  if (processes.nightwatchAlive(slot) === 0 && processes.pinned(slot) === 0) {
    processes.setObstacle(slot, new Uint8Array(0));
    processes.setMigratable(slot, migratability.yes);
  }
  waits.wake(processes.exitQueue(slot));
}
