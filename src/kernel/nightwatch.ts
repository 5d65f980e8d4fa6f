/**
 * NightWatch threads (K2, ASPLOS 2014, section 8): threads of a process for light tasks. They are pinned to a weak
 * kernel, share memory, descriptors and identity with the process's normal thread, and run only while that one is
 * blocked. So a process never runs on both at once.
 *
 * A program makes one by `nightwatch_spawn` (see `wasi/archipelago.ts`). It gets an instance of the program of its own
 * over the same memory, as threads of WASI programs do.
 * - `nightwatch-gate.ts`: when they may run, on the core of the normal thread;
 * - `nightwatch-guests.ts`: the threads themselves, on the weak core;
 * - `nightwatch-state.ts`, `nightwatch-recovery.ts`: what the process table says of them, and what becomes of them when
 *   a kernel is gone;
 * - here: making them, waiting for them, ending them.
 *
 * Limits. A process with NightWatch threads is neither captured nor moved, and cannot fork (`nightwatchObstacle`). It
 * ends when its normal thread does, or when any thread calls exit or fails; its NightWatch threads end first. When the
 * normal thread runs another program, they end, too; they cannot do that themselves.
 */
import { type Core, interruptLine } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import type { CaptureService } from "./capture.ts";
import { isLent } from "./children.ts";
import { errno } from "./errno.ts";
import { leastLoadedCore } from "./migration.ts";
import { deliver, type GateParts, NightwatchGate } from "./nightwatch-gate.ts";
import {
  firstTicket,
  type GuestParts,
  NightwatchGuests,
  type NightwatchStart,
  ticketCount,
} from "./nightwatch-guests.ts";
import { endNightwatch, spawnNightwatch } from "./nightwatch-protocol.ts";
import { bitOf, freeNumber, nightwatchObstacle, recordEnd, requestedExit } from "./nightwatch-state.ts";
import type { Outcome } from "./outcome.ts";
import { clip } from "./processes.ts";
import type { RunningProcess } from "./running-process.ts";
import type { Scheduler } from "./scheduler.ts";
import { limits, migratability, nightwatchGate, nightwatchRole, threadState } from "./state.ts";

/** Longest text that says why a process ended. */
const message_bytes_max = 255;
const obstacle_bytes_max = 127;

/**
 * Where NightWatch threads run: the least loaded core of the first weak kernel that runs, or −NODEV. Without weak
 * kernels, the last kernel that runs counts as one.
 */
export function nightwatchCoreFrom(areas: Pick<Areas, "cores">, weakKernels: readonly number[]): number {
  for (const kernel of weakKernels) {
    const core = leastLoadedCore(areas, kernel);
    if (core >= 0) return core;
  }
  if (weakKernels.length > 0) return -errno.NODEV;
  for (let kernel = limits.cores - 1; kernel >= 0; kernel--) {
    const core = leastLoadedCore(areas, kernel);
    if (core >= 0) return core;
  }
  return -errno.NODEV;
}

export interface NightwatchParts extends GuestParts, Omit<GateParts, "guests"> {
  readonly core: Core;
  readonly areas: Areas;
  readonly captures: CaptureService;
  /** Kernels that NightWatch threads are pinned to; see `nightwatchCoreFrom`. */
  readonly weakKernels: readonly number[];
}

/** One core's part in all of it. */
export class Nightwatch {
  readonly guests: NightwatchGuests;
  private readonly gate: NightwatchGate;
  private readonly parts: NightwatchParts;
  private readonly scheduler: () => Scheduler;
  private tickets = 0;

  constructor(parts: NightwatchParts, scheduler: () => Scheduler) {
    this.parts = parts;
    this.scheduler = scheduler;
    this.guests = new NightwatchGuests(parts, scheduler);
    this.gate = new NightwatchGate({ ...parts, guests: this.guests });
  }

  // What the scheduler asks about threads that have a `nightwatchRole`.

  /** It has picked the thread: whether to switch to it. If not, the thread was put aside. */
  admits(thread: number): boolean {
    if (this.guests.has(thread)) return this.guests.admits(thread);
    this.gate.admits(thread);
    return true;
  }

  /** It has switched to the thread, which is about to go on: whether it may. */
  lands(thread: number): boolean {
    return this.guests.has(thread) || this.gate.lands(thread);
  }

  /** WebAssembly pages that the memory of a thread's process has now, as far as is known on this core. */
  memoryPages(process: RunningProcess): number {
    if (process.nightwatchNumber !== 0) return this.guests.memoryPages(process.thread);
    return this.parts.areas.processes.memoryPages(process.slot);
  }

  /** The thread has stopped; `blocked` if it waits for something. */
  stops(thread: number, blocked: boolean): void {
    if (this.guests.has(thread)) this.guests.stopped(thread);
    else if (blocked) this.gate.blocked(thread);
  }

  /**
   * Makes a NightWatch thread of a process of this core that is in a system call: its number, or a negated errno:
   * −NOEXEC (the program exports no `wasi_thread_start`), −NOTSUP (it cannot be run twice over one memory), −BUSY (it
   * runs in its parent's memory), −AGAIN (too many), −NODEV (no weak kernel runs).
   */
  spawn(process: RunningProcess, argument: number): number {
    const { areas, core, weakKernels, owner } = this.parts;
    const { processes, threads } = areas;
    const { slot, pid, program } = process;
    if (program?.startsThreads !== true) return -errno.NOEXEC;
    const memory = process.wholeMemory();
    // Other programs write their data to memory as they are instantiated.
    if (!program.migratable || memory === null) return -errno.NOTSUP;
    if (processes.borrows(slot) !== 0 || isLent(processes, slot)) return -errno.BUSY;
    const isFirst = processes.nightwatchAlive(slot) === 0;
    const target = isFirst ? nightwatchCoreFrom(areas, weakKernels) : processes.nightwatchCore(slot);
    if (target < 0) return target;
    const number = freeNumber(processes, slot);
    if (number < 0) return number;
    // Its record is used by the weak kernel; and the island of a record says whose scheduler wakes the thread.
    const thread = threads.allocate(owner, core.soc?.islandOfCore[target] ?? 0);
    if (thread < 0) return -errno.AGAIN;
    this.prepareThread(thread, slot, target);
    processes.setNightwatchThreads(slot, number - 1, thread);
    if (isFirst) this.beginWatch(process, target);
    processes.orNightwatchAlive(slot, bitOf(number));
    this.tickets = (this.tickets + 1) % ticketCount;
    const start: NightwatchStart = {
      ticket: firstTicket + this.tickets,
      slot,
      pid,
      thread,
      number,
      argument,
      program,
      path: process.path,
      memory,
      memoryPages: processes.memoryPages(slot),
      arguments: process.arguments,
      environment: process.environment,
      preopens: process.preopens,
    };
    // What makes threads is running: the normal thread, or another NightWatch thread.
    const runnable = process.nightwatchNumber !== 0 || processes.pinned(slot) !== 0;
    if (target === core.id) this.guests.receive(start, thread, runnable);
    else if (!this.send(target, start, runnable)) return -errno.AGAIN;
    return number;
  }

  private prepareThread(thread: number, slot: number, core: number): void {
    const { areas } = this.parts;
    const threads = areas.threads.records;
    threads.setProcess(thread, slot);
    // From here on it is freed if this kernel dies: see `freeUnknownThreads`.
    threads.setNightwatch(thread, nightwatchRole.guest);
    threads.setCore(thread, core);
    threads.setPriority(thread, areas.processes.priority(slot));
    threads.setWakePending(thread, 0);
    threads.setDeadline_ns(thread, Infinity);
    threads.setCallDeadline_ns(thread, 0);
    threads.setWaitersLinked(thread, 0);
    threads.setCpuTime_ns(thread, 0);
    threads.setState(thread, threadState.held);
  }

  /** A process is about to get its first NightWatch thread. */
  private beginWatch(process: RunningProcess, target: number): void {
    const { areas, captures } = this.parts;
    const { processes, threads } = areas;
    const { slot, thread } = process;
    processes.setNightwatchCore(slot, target);
    processes.setNightwatchGate(slot, nightwatchGate.closed);
    if (processes.pinned(slot) !== 0) return;
    processes.setObstacle(slot, clip(nightwatchObstacle, obstacle_bytes_max));
    processes.setMigratable(slot, migratability.no);
    captures.refuseAll(slot, -errno.NOTSUP);
    threads.records.setNightwatch(thread, nightwatchRole.normal);
    this.scheduler().roleChanged();
  }

  /**
   * Hands a thread over to the weak kernel. False when the channel has no room; it is not kept for later, as the request
   * to end the threads of the process would overtake it.
   */
  private send(target: number, start: NightwatchStart, runnable: boolean): boolean {
    const { core, areas, endpoint } = this.parts;
    const { processes } = areas;
    const { ticket, slot, thread, number } = start;
    let isFull = false;
    const lose = () => {
      if (processes.nightwatchThreads(slot, number - 1) === thread) recordEnd(this.parts, slot, number, true);
    };
    core.post(target, start);
    endpoint.ask(target, spawnNightwatch, { ticket, thread, runnable: runnable ? 1 : 0 }, ({ status }) => {
      if (status < 0) lose();
      isFull = status === -errno.AGAIN;
    });
    if (isFull) processes.andNightwatchEnded(slot, ~bitOf(number) >>> 0);
    else if (areas.cores.online(target) === 0) lose();
    return !isFull;
  }

  /**
   * Waits for a NightWatch thread of the process: undefined as long as it has not ended (`RunningProcess.childQueue`
   * wakes); then zero, or −OWNERDEAD when its kernel has died or stopped. −SRCH: there is no such thread, or it was
   * joined before. −DEADLK: the thread would wait for itself.
   */
  join(process: RunningProcess, number: number): number | undefined {
    const { processes } = this.parts.areas;
    const { slot } = process;
    if (number < 1 || number > limits.nightwatchThreads) return -errno.SRCH;
    if (number === process.nightwatchNumber) return -errno.DEADLK;
    const bit = bitOf(number);
    if ((processes.nightwatchAlive(slot) & bit) !== 0) return undefined;
    if ((processes.andNightwatchEnded(slot, ~bit >>> 0) & bit) === 0) return -errno.SRCH;
    return (processes.nightwatchLost(slot) & bit) !== 0 ? -errno.OWNERDEAD : 0;
  }

  /**
   * Ends the NightWatch threads of a process of this core whose normal thread has left its program; settles when there
   * are none any more.
   */
  async endThreads(process: RunningProcess): Promise<void> {
    const { core, areas, waits } = this.parts;
    const { processes, threads } = areas;
    const { slot, pid, thread } = process;
    const scheduler = this.scheduler();
    threads.records.setNightwatch(thread, nightwatchRole.none);
    scheduler.roleChanged();
    const target = processes.nightwatchCore(slot);
    if (target === core.id) this.guests.end(pid);
    else if (areas.cores.online(target) !== 0)
      deliver(this.parts, target, endNightwatch, { pid }, () => undefined);
    const queue = processes.exitQueue(slot);
    for (;;) {
      waits.waitOn(thread, queue);
      if (processes.nightwatchAlive(slot) === 0) break;
      threads.records.setDeadline_ns(thread, Infinity);
      await scheduler.suspend();
      waits.waitDone(thread);
    }
    waits.waitDone(thread);
    // The next program of the process has not started them.
    processes.setNightwatchEnded(slot, 0);
  }

  /**
   * A NightWatch thread of this core has left its program: with an outcome for the whole process, or `undefined` if it
   * has just returned. The process hears of it first.
   */
  leave(process: RunningProcess, outcome: Outcome | undefined): void {
    const { areas, core, queue } = this.parts;
    const { processes } = areas;
    const { slot, thread } = process;
    if (outcome !== undefined && processes.pendingSignal(slot) === 0) {
      const { signal, exitCode, message } = outcome;
      processes.setMessage(slot, clip(message, message_bytes_max));
      processes.compareExchangePendingSignal(slot, 0, signal === 0 ? requestedExit(exitCode) : signal);
    }
    if (processes.pendingSignal(slot) !== 0) {
      queue.makeReady(processes.thread(slot));
      core.interrupt(processes.core(slot), interruptLine.signal);
    }
    this.guests.ended(thread);
  }
}
