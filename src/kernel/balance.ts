/**
 * Balancing by pushing: a core that has more to do than others gives a process away. Off unless the system is booted
 * with it.
 *
 * A core looks when its timer rings, so only while threads take turns on it. Work is counted in threads that
 * run or could run. A process is pushed to the core with the least when that has at least two fewer, in two looks
 * one after the other: the move then leaves the target with no more than the source, so that it is not pushed
 * back, and what comes and goes in a moment moves nothing. Processes that have only just begun or arrived stay.
 */
import type { Clock } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { type CaptureService, captureKind } from "./capture.ts";
import { limits, migratability } from "./state.ts";

const interval_ns = 10_000_000;
/** A move is worth its price for a process that has shown that it computes. */
const leastUsed_ns = 10_000_000;
/** How long a process stays where it has arrived. */
const stay_ns = 100_000_000;
const leastDifference = 2;

export interface BalancerParts {
  readonly core: { readonly id: number; readonly clock: Clock };
  readonly areas: Areas;
  readonly captures: CaptureService;
  /** Number that names this core as a holder of locks. */
  readonly owner: number;
}

/** One core's policy. */
export class Balancer {
  private readonly parts: BalancerParts;
  private nextLook_ns = 0;
  /** The last look found an imbalance. */
  private seen = false;
  /** Slot of the process that was asked to move last. */
  private pushed = 0;

  constructor(parts: BalancerParts) {
    this.parts = parts;
  }

  /** The timer of this core has rung. */
  tick(): void {
    const { core, areas, captures } = this.parts;
    const now_ns = core.clock.monotonic_ns();
    if (now_ns < this.nextLook_ns) return;
    this.nextLook_ns = now_ns + interval_ns;
    const target = this.leastBusy();
    const imbalanced = this.workOf(core.id) - this.workOf(target) >= leastDifference;
    const again = this.seen;
    this.seen = imbalanced;
    if (!imbalanced || !again || this.isPushing()) return;
    const slot = this.choose(now_ns);
    if (slot === 0) return;
    // Nobody waits for the answer: when it is refused, the next look may find something else.
    if (captures.request(areas.processes.pid(slot), captureKind.migrate, target) >= 0) this.pushed = slot;
    this.seen = false;
  }

  /** Threads that run or could run on a core. */
  private workOf(core: number): number {
    const { cores } = this.parts.areas;
    return cores.readyCount(core) + (cores.current(core) === 0 ? 0 : 1);
  }

  private leastBusy(): number {
    const { core, areas } = this.parts;
    let best = core.id;
    for (let other = 0; other < limits.cores; other++) {
      if (areas.cores.online(other) === 0 || areas.cores.closing(other) !== 0) continue;
      if (this.workOf(other) < this.workOf(best)) best = other;
    }
    return best;
  }

  private isPushing(): boolean {
    const { processes } = this.parts.areas;
    return this.pushed !== 0 && (processes.captureClaims(this.pushed) & captureKind.migrate) !== 0;
  }

  /** The slot of a ready process that may move, the one that runs last if there are several; 0 if there is none. */
  private choose(now_ns: number): number {
    const { core, areas, owner } = this.parts;
    const { cores, processes } = areas;
    const threads = areas.threads.records;
    let chosen = 0;
    cores.acquireQueueMutex(core.id, owner);
    for (let priority = 0; priority < limits.priorities; priority++) {
      for (let thread = cores.readyHead(core.id, priority); thread !== 0; thread = threads.next(thread)) {
        const slot = threads.process(thread);
        if (
          processes.migratable(slot) === migratability.yes &&
          processes.cpuTime_ns(slot) >= leastUsed_ns &&
          now_ns - processes.arrivalTime_ns(slot) >= stay_ns
        )
          chosen = slot;
      }
    }
    cores.releaseQueueMutex(core.id, owner);
    return chosen;
  }
}
