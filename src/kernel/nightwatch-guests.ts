/**
 * The weak kernel's part: the NightWatch threads that are pinned to this core, of processes whose normal threads may
 * be anywhere.
 *
 * A thread that must not run is flagged, and the scheduler of this core passes it over: when its turn comes, it is put
 * aside, `held`, on no ready list. One that is blocked stays blocked until it is woken. When the flags go, the held ones
 * become ready again.
 *
 * The flags are kept here, beside the contexts, which are this core's as well. They follow the gate of the process
 * (`processes.nightwatchGate`), which is in shared memory, by messages; and serving these messages takes no access to
 * shared memory. Where kernels keep their memory in step by software, one access may take ten times as long as a message.
 */
import type { Program } from "../engine/index.ts";
import { type Core, interruptLine } from "../machine/machine.ts";
import type { Endpoint } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { errno } from "./errno.ts";
import {
  endNightwatch,
  resumeNightwatch,
  spawnNightwatch,
  suspendNightwatch,
} from "./nightwatch-protocol.ts";
import { isOrphan } from "./nightwatch-recovery.ts";
import { bitOf, nightwatchThreadsOf, recordEnd } from "./nightwatch-state.ts";
import type { RunQueue } from "./run-queue.ts";
import type { Scheduler } from "./scheduler.ts";
import { limits, threadState } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** What a NightWatch thread is started with, besides what is in its thread record. It is posted to the weak core. */
export interface NightwatchStart {
  readonly ticket: number;
  readonly slot: number;
  readonly pid: number;
  readonly thread: number;
  /** Its number in the process: the thread id that its program knows. */
  readonly number: number;
  /** What the program handed over for it. */
  readonly argument: number;
  readonly program: Program;
  readonly path: string;
  readonly memory: WebAssembly.Memory;
  readonly memoryPages: number;
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  readonly preopens: readonly string[];
}

export interface GuestParts {
  readonly core: Core;
  readonly areas: Areas;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  readonly waits: WaitService;
  readonly owner: number;
  /** Ends a process that has no threads any more. */
  readonly endProcess: (slot: number) => void;
}

/** A NightWatch thread of this core. */
interface Guest {
  readonly start: NightwatchStart;
  /** It must not run: the normal thread of its process does. */
  flagged: boolean;
  /** Its turn came while it was flagged. */
  held: boolean;
  /** It has a context here. */
  begun: boolean;
  isEnding: boolean;
  /** WebAssembly pages of its memory, as of the last time it was allowed to run. */
  memoryPages: number;
  /** Answers that are due as soon as it has stopped. */
  readonly owed: (() => void)[];
}

export class NightwatchGuests {
  private readonly parts: GuestParts;
  private readonly scheduler: () => Scheduler;
  /** By thread. */
  private readonly guests = new Map<number, Guest>();

  constructor(parts: GuestParts, scheduler: () => Scheduler) {
    this.parts = parts;
    this.scheduler = scheduler;
    const { endpoint } = parts;
    endpoint.serve(spawnNightwatch, ({ ticket, thread, runnable }, from) =>
      this.receive(this.collect(from, ticket), thread, runnable !== 0),
    );
    endpoint.serve(suspendNightwatch, ({ pid }) => this.suspend(pid));
    endpoint.handle(resumeNightwatch, ({ pid, memoryPages }) => this.resume(pid, memoryPages));
    endpoint.serve(endNightwatch, ({ pid }) => {
      this.end(pid);
      this.endOrphan(pid);
      return 0;
    });
  }

  /** Takes a new thread. Zero, or a negated errno: it has not been taken. */
  receive(start: NightwatchStart | undefined, thread: number, runnable: boolean): number {
    const { core, areas } = this.parts;
    const { cores } = areas;
    if (start === undefined || start.thread !== thread) return -errno.BADMSG;
    if (cores.online(core.id) === 0) return -errno.NODEV;
    const guest: Guest = {
      start,
      flagged: !runnable,
      held: true,
      begun: false,
      isEnding: false,
      memoryPages: start.memoryPages,
      owed: [],
    };
    this.guests.set(thread, guest);
    cores.addLoad(core.id, 1);
    if (runnable) this.release(thread, guest);
    return 0;
  }

  /** Whether a thread is a NightWatch thread of this core. */
  has(thread: number): boolean {
    return this.guests.has(thread);
  }

  /** WebAssembly pages that the memory of a NightWatch thread's process has now. */
  memoryPages(thread: number): number {
    return this.guests.get(thread)?.memoryPages ?? 0;
  }

  /** Whether a NightWatch thread is to end. */
  isEnding(thread: number): boolean {
    return this.guests.get(thread)?.isEnding === true;
  }

  /** What a fresh thread is to run; undefined for a thread that is no NightWatch thread of this core. */
  begin(thread: number): NightwatchStart | undefined {
    const guest = this.guests.get(thread);
    if (guest !== undefined) guest.begun = true;
    return guest?.start;
  }

  /** The scheduler has picked a NightWatch thread: whether it may run. */
  admits(thread: number): boolean {
    const guest = this.guests.get(thread);
    if (guest === undefined || !guest.flagged) return true;
    guest.held = true;
    this.parts.areas.threads.records.setState(thread, threadState.held);
    return false;
  }

  /**
   * Flags the NightWatch threads of a process (SuspendNW). Zero as soon as none of them is in its program; the promise
   * is for one that is in a system call, which has made this kernel wait for a message.
   */
  suspend(pid: number): number | Promise<number> {
    const { core } = this.parts;
    const scheduler = this.scheduler();
    let running: Guest | undefined;
    for (const [thread, guest] of this.guests) {
      if (guest.start.pid !== pid || guest.isEnding) continue;
      guest.flagged = true;
      if (thread === scheduler.current) running = guest;
    }
    if (running === undefined) return 0;
    // Also if it may run again by then: the process's memory may have grown, and it is entered anew.
    scheduler.stopAtPoll();
    core.interrupt(core.id, interruptLine.reschedule);
    if (scheduler.isBetweenInstructions) return 0;
    const { owed } = running;
    return new Promise((resolve) => owed.push(() => resolve(0)));
  }

  /** A NightWatch thread has stopped running. */
  stopped(thread: number): void {
    const guest = this.guests.get(thread);
    if (guest === undefined) return;
    for (const answer of guest.owed.splice(0)) answer();
  }

  /** Removes the flags (ResumeNW). */
  resume(pid: number, memoryPages: number): void {
    for (const [thread, guest] of this.guests) {
      if (guest.start.pid !== pid) continue;
      guest.memoryPages = Math.max(guest.memoryPages, memoryPages);
      this.free(thread, guest);
    }
  }

  /** A NightWatch thread of a process has made its memory grow. */
  grown(pid: number, memoryPages: number): void {
    for (const guest of this.guests.values()) if (guest.start.pid === pid) guest.memoryPages = memoryPages;
  }

  private free(thread: number, guest: Guest): void {
    guest.flagged = false;
    if (guest.held) this.release(thread, guest);
  }

  /** The NightWatch threads of a process end, wherever they are. */
  end(pid: number): void {
    const { core, queue } = this.parts;
    for (const [thread, guest] of this.guests) {
      if (guest.start.pid !== pid || guest.isEnding) continue;
      guest.isEnding = true;
      this.free(thread, guest);
      queue.makeReady(thread);
      if (thread === this.scheduler().current) core.interrupt(core.id, interruptLine.reschedule);
    }
  }

  /**
   * If the process has lost its normal thread: those of its threads that were never taken here will not come any more;
   * and if that were all, it ends.
   */
  private endOrphan(pid: number): void {
    const { core, areas } = this.parts;
    const { processes } = areas;
    const slot = pid % limits.processes;
    if (processes.pid(slot) !== pid || !isOrphan(areas, slot, core.id)) return;
    for (const { number, thread } of nightwatchThreadsOf(processes, slot))
      if (!this.guests.has(thread)) recordEnd(this.parts, slot, number, true);
    if (processes.nightwatchAlive(slot) === 0) this.parts.endProcess(slot);
  }

  /** A NightWatch thread has ended. */
  ended(thread: number): void {
    const { core, areas } = this.parts;
    const guest = this.guests.get(thread);
    if (guest === undefined) return;
    this.stopped(thread);
    this.guests.delete(thread);
    areas.cores.addLoad(core.id, -1);
    const { slot, number } = guest.start;
    const isLast = areas.processes.nightwatchAlive(slot) === bitOf(number);
    // Looked at first, as the normal thread, if there is one, may find its process over right afterwards.
    const endsProcess = isLast && isOrphan(areas, slot, core.id);
    recordEnd(this.parts, slot, number, false);
    if (endsProcess) this.parts.endProcess(slot);
  }

  /** This kernel has stopped: the threads that are left never run again. */
  abandon(): void {
    for (const [thread, { start }] of this.guests) {
      this.stopped(thread);
      recordEnd(this.parts, start.slot, start.number, true);
    }
    this.guests.clear();
  }

  /** A thread that was put aside goes back to the ready list. */
  private release(thread: number, guest: Guest): void {
    const { areas, queue } = this.parts;
    guest.held = false;
    areas.threads.records.setState(thread, guest.begun ? threadState.ready : threadState.fresh);
    queue.enqueue(thread);
  }

  /** The object that belongs to a request; those of requests that failed before are dropped. */
  private collect(from: number, ticket: number): NightwatchStart | undefined {
    for (;;) {
      const object = this.parts.core.collect(from);
      if (object === undefined) return undefined;
      // Kernels post processes that move, which have a ticket as well, and these.
      const start = object as NightwatchStart;
      if (start.ticket === ticket) return start;
    }
  }
}

/** Tickets of NightWatch threads begin here: those of processes that move are below. */
export const firstTicket = 0x1_0000;
/** And repeat after so many. */
export const ticketCount = 0x1000_0000;
