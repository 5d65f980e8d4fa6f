/**
 * The process table: one pid space over all kernels. A kernel creates and ends its own processes; any kernel
 * may look at, signal or wait for any process.
 *
 * Life of a slot: free → embryo (claimed by compare-exchange) → running → zombie (exit status readable) →
 * free (collected by the parent, or at once when detached).
 */
import type { Clock, Core } from "../machine/machine.ts";
import { interruptLine } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { refuseCaptures } from "./capture.ts";
import { orphanChildren } from "./children.ts";
import { errno } from "./errno.ts";
import { nightwatchCount, nightwatchThreadsOf } from "./nightwatch-state.ts";
import type { RunQueue } from "./run-queue.ts";
import { limits, migratability, nightwatchRole, processState, threadState } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** Signals that the kernel itself raises, with Unix numbers. */
export const signal = {
  ILL: 4,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  SEGV: 11,
  PIPE: 13,
  TERM: 15,
  SYS: 31,
} as const;

/** Signals are numbered from 0, "none", to this. */
const mostSignals = 64;

/** Exit codes of a program that could not be started, as shells use them. */
export const startFailure = { notExecutable: 126, notFound: 127 } as const;

export interface ProcessDescription {
  readonly kernel: number;
  readonly core: number;
  readonly parent: number;
  readonly priority: number;
  readonly detached: boolean;
  readonly name: string;
  readonly argumentOffset: number;
  readonly argumentOrder: number;
  readonly memoryLimitPages: number;
  /** See `Process.clockOffset_ns`; 0 unless given. */
  readonly clockOffset_ns?: number;
  /** The pid it is to have, if that is free; any for 0 or unless given. */
  readonly pid?: number;
  /** Its thread is a NightWatch thread: it is never moved. */
  readonly pinned?: boolean;
}

export interface ProcessStatus {
  readonly pid: number;
  readonly parent: number;
  readonly kernel: number;
  readonly core: number;
  readonly state: "embryo" | "ready" | "running" | "blocked" | "zombie";
  readonly name: string;
  readonly cpuTime_ns: number;
  readonly startTime_ns: number;
  readonly memory_bytes: number;
  /** How much of its memory has not come yet after a migration on demand; 0 once it runs at full speed. */
  readonly missing_bytes: number;
  /** Whether it can be captured and moved; undefined until its program is loaded. */
  readonly migratable: boolean | undefined;
  /** What keeps it from being captured; empty if nothing does. */
  readonly obstacle: string;
  /** NightWatch threads that it has besides its own thread. */
  readonly nightwatchThreads: number;
}

export class ProcessTable {
  private readonly areas: Areas;
  private readonly core: Core;
  private readonly clock: Clock;
  private readonly queue: RunQueue;
  private readonly waits: WaitService;
  private readonly owner: number;

  constructor(areas: Areas, core: Core, queue: RunQueue, waits: WaitService, owner: number) {
    this.areas = areas;
    this.core = core;
    this.clock = core.clock;
    this.queue = queue;
    this.waits = waits;
    this.owner = owner;
  }

  /** Claims a slot, a pid and a thread: the slot (state `embryo`), or −AGAIN when the table is full. */
  allocate(description: ProcessDescription): number {
    const { processes, threads, waitQueues } = this.areas;
    const thread = threads.allocate(this.owner);
    if (thread < 0) return -errno.AGAIN;
    const queue = waitQueues.allocate(this.owner);
    if (queue < 0) {
      threads.free(thread, this.owner);
      return -errno.AGAIN;
    }
    const pid = this.claimPid(description.pid ?? 0);
    if (pid === 0) {
      threads.free(thread, this.owner);
      waitQueues.free(queue, this.owner);
      return -errno.AGAIN;
    }
    const slot = pid % limits.processes;
    // First whose it is, and what `abandon` is to free: this core may stop between any two lines.
    processes.setCore(slot, description.core);
    processes.setThread(slot, thread);
    threads.records.setProcess(thread, slot);
    processes.setExitQueue(slot, queue);
    processes.setPid(slot, pid);
    processes.setParent(slot, description.parent);
    processes.setKernel(slot, description.kernel);
    processes.setHolder(slot, description.core + 1);
    processes.setCaptureRequests(slot, 0);
    processes.setCaptureClaims(slot, 0);
    processes.setMigratable(slot, migratability.unknown);
    processes.setStopped(slot, 0);
    processes.setClockOffset_ns(slot, description.clockOffset_ns ?? 0);
    processes.setPendingSignal(slot, 0);
    processes.setExitCode(slot, 0);
    processes.setEndSignal(slot, 0);
    processes.setDetached(slot, description.detached ? 1 : 0);
    processes.setChildren(slot, 0);
    processes.setLentTo(slot, 0);
    processes.setBorrows(slot, 0);
    processes.setPinned(slot, description.pinned === true ? 1 : 0);
    processes.setNightwatchAlive(slot, 0);
    processes.setNightwatchEnded(slot, 0);
    processes.setNightwatchTime_ns(slot, 0);
    processes.setPriority(slot, description.priority);
    processes.setName(slot, clip(description.name, 63));
    processes.setMessage(slot, new Uint8Array(0));
    processes.setArgumentOffset(slot, description.argumentOffset);
    processes.setArgumentOrder(slot, description.argumentOrder);
    processes.setMemoryPages(slot, 0);
    processes.setMissingPages(slot, 0);
    processes.setMemoryLimitPages(slot, description.memoryLimitPages);
    processes.setStartTime_ns(slot, this.clock.monotonic_ns());
    processes.setEndTime_ns(slot, 0);
    processes.setCpuTime_ns(slot, 0);
    processes.setArrivalTime_ns(slot, this.clock.monotonic_ns());
    threads.records.setCore(thread, description.core);
    threads.records.setPriority(thread, description.priority);
    threads.records.setNightwatch(thread, nightwatchRole.none);
    threads.records.setWakePending(thread, 0);
    threads.records.setDeadline_ns(thread, Infinity);
    threads.records.setCallDeadline_ns(thread, 0);
    threads.records.setWaitersLinked(thread, 0);
    threads.records.setState(thread, threadState.fresh);
    return slot;
  }

  /** A pid whose slot is now an embryo; 0 if there is none, or `wanted` is taken. */
  private claimPid(wanted: number): number {
    const { processes, system } = this.areas;
    if (wanted !== 0) {
      const slot = wanted % limits.processes;
      if (slot === 0) return 0;
      const before = processes.compareExchangeState(slot, processState.free, processState.embryo);
      return before === processState.free ? wanted : 0;
    }
    for (let attempt = 0; attempt < limits.processes; attempt++) {
      const pid = system.addNextPid(0, 1) + 1;
      if (pid === 0) continue;
      const slot = pid % limits.processes;
      if (slot === 0) continue;
      if (processes.compareExchangeState(slot, processState.free, processState.embryo) === processState.free)
        return pid;
    }
    return 0;
  }

  /** Undoes `allocate` for a process that was never launched. Whoever did so first may have died half-way. */
  abandon(slot: number): void {
    const { threads } = this.areas;
    const thread = this.threadOf(slot);
    if (thread !== 0) threads.free(thread, this.owner);
    this.free(slot);
  }

  /** The thread that belongs to a process; 0 when it has been freed, and may be another one's by now. */
  private threadOf(slot: number): number {
    const { processes, threads } = this.areas;
    const thread = processes.thread(slot);
    return threads.ownerOf(thread) !== 0 && threads.records.process(thread) === slot ? thread : 0;
  }

  /** The slot of an embryo can be used again. */
  private free(slot: number): void {
    const { processes, waitQueues } = this.areas;
    const queue = processes.exitQueue(slot);
    processes.setPid(slot, 0);
    // Forgotten before it is freed: it must not be freed twice.
    processes.setExitQueue(slot, 0);
    if (queue !== 0) waitQueues.free(queue, this.owner);
    processes.setState(slot, processState.free);
  }

  /** The process may run: its thread goes to its core. */
  launch(slot: number): void {
    const { processes, cores } = this.areas;
    processes.setState(slot, processState.running);
    cores.addLoad(processes.core(slot), 1);
    this.areas.kernels.addProcessesStarted(processes.kernel(slot), 1);
    this.queue.enqueue(processes.thread(slot));
  }

  /** Slot of a pid that is running or a zombie, or −SRCH. */
  find(pid: number): number {
    if (!Number.isSafeInteger(pid) || pid <= 0) return -errno.SRCH;
    const slot = pid % limits.processes;
    if (this.areas.processes.pid(slot) !== pid) return -errno.SRCH;
    return this.areas.processes.state(slot) >= processState.running ? slot : -errno.SRCH;
  }

  /** Marks a process for its end by a signal, wherever it runs. Zero, or −SRCH / −INVAL. */
  kill(pid: number, number: number): number {
    if (!Number.isInteger(number) || number < 0 || number > mostSignals) return -errno.INVAL;
    const slot = this.find(pid);
    if (slot < 0) return slot;
    const { processes } = this.areas;
    if (number === 0 || processes.state(slot) === processState.zombie) return 0;
    if (processes.compareExchangePendingSignal(slot, 0, number) === 0 || number === signal.KILL) {
      processes.setPendingSignal(slot, number);
    }
    this.queue.makeReady(processes.thread(slot));
    this.core.interrupt(processes.core(slot), interruptLine.signal);
    return 0;
  }

  /**
   * Ends a process: status readable, waiters woken. Its resources must already be released. If the core that does so
   * dies meanwhile, it can be done again.
   */
  end(slot: number, exitCode: number, endSignal: number, message: string): void {
    const { processes, threads, cores } = this.areas;
    const thread = this.threadOf(slot);
    if (thread !== 0) this.waits.waitDone(thread);
    processes.setExitCode(slot, exitCode);
    processes.setEndSignal(slot, endSignal);
    processes.setMessage(slot, clip(message, 255));
    processes.setEndTime_ns(slot, this.clock.monotonic_ns());
    processes.setMemoryPages(slot, 0);
    processes.setMissingPages(slot, 0);
    cores.addLoad(processes.core(slot), -1);
    if (thread !== 0) {
      threads.records.setState(thread, threadState.ended);
      threads.free(thread, this.owner);
    }
    orphanChildren(processes, slot, (child) => this.collect(child));
    processes.setBorrows(slot, 0);
    // Before anybody can collect the zombie: the requests found afterwards may be another process's.
    processes.setMigratable(slot, migratability.no);
    refuseCaptures(processes, slot, -errno.SRCH);
    // What is needed afterwards: somebody may collect the zombie at once.
    const parent = processes.parent(slot);
    const queue = processes.exitQueue(slot);
    processes.setState(slot, processState.zombie);
    this.announceEnd(slot, parent, queue);
  }

  /** Whoever waits for the end of a process learns of it. */
  announceEnd(slot: number, parent: number, queue: number): void {
    const { processes } = this.areas;
    this.waits.wake(queue);
    processes.notifyState(slot);
    this.wakeParent(parent);
    // Looked at only now: see `orphanChildren`.
    if (processes.detached(slot) !== 0) this.collect(slot);
  }

  /** A child has ended, or has left its parent's memory. */
  wakeParent(parent: number): void {
    const slot = this.find(parent);
    if (slot > 0) this.waits.wake(this.areas.processes.exitQueue(slot));
  }

  /** Frees a zombie's slot. False if somebody else collected it. */
  collect(slot: number): boolean {
    const { processes } = this.areas;
    if (
      processes.compareExchangeState(slot, processState.zombie, processState.embryo) !== processState.zombie
    )
      return false;
    this.free(slot);
    return true;
  }

  /** Every process of the system, by pid. */
  list(): ProcessStatus[] {
    const { processes } = this.areas;
    const found: ProcessStatus[] = [];
    const now_ns = this.clock.monotonic_ns();
    for (let slot = 1; slot < limits.processes; slot++) {
      const state = processes.state(slot);
      if (state === processState.free || processes.pid(slot) === 0) continue;
      found.push({
        pid: processes.pid(slot),
        parent: processes.parent(slot),
        kernel: processes.kernel(slot),
        core: processes.core(slot),
        state: this.stateName(slot, state),
        name: text(processes.name(slot)),
        cpuTime_ns: cpuTime_ns(this.areas, slot, now_ns),
        startTime_ns: processes.startTime_ns(slot),
        memory_bytes: processes.memoryPages(slot) * 65_536,
        missing_bytes: processes.missingPages(slot) * 4096,
        migratable:
          processes.migratable(slot) === migratability.unknown
            ? undefined
            : processes.migratable(slot) === migratability.yes,
        obstacle: processes.migratable(slot) === migratability.no ? text(processes.obstacle(slot)) : "",
        nightwatchThreads: nightwatchCount(processes, slot),
      });
    }
    return found.sort((a, b) => a.pid - b.pid);
  }

  private stateName(slot: number, state: number): ProcessStatus["state"] {
    if (state === processState.embryo) return "embryo";
    if (state === processState.zombie) return "zombie";
    const thread = this.areas.threads.records.state(this.areas.processes.thread(slot));
    if (thread === threadState.blocked) return "blocked";
    return thread === threadState.running ? "running" : "ready";
  }

  /** How a zombie ended. */
  outcome(slot: number): { exitCode: number; signal: number; message: string } {
    const { processes } = this.areas;
    return {
      exitCode: processes.exitCode(slot),
      signal: processes.endSignal(slot),
      message: text(processes.message(slot)),
    };
  }
}

/** Processor time of a process, with what it has used since it was given the core it has now. */
export function cpuTime_ns(
  { processes, cores, threads }: Pick<Areas, "processes" | "cores" | "threads">,
  slot: number,
  now_ns: number,
): number {
  const core = processes.core(slot);
  const isRunning =
    processes.state(slot) === processState.running && cores.current(core) === processes.thread(slot);
  const slice_ns = isRunning ? Math.max(0, now_ns - cores.dispatched_ns(core)) : 0;
  let nightwatch_ns = processes.nightwatchTime_ns(slot);
  for (const { thread } of nightwatchThreadsOf(processes, slot))
    nightwatch_ns += threads.records.cpuTime_ns(thread);
  return processes.cpuTime_ns(slot) + nightwatch_ns + slice_ns;
}

/** UTF-8 of a text, cut to at most `limit_bytes` without splitting a character. */
export function clip(value: string, limit_bytes: number): Uint8Array {
  const target = new Uint8Array(limit_bytes);
  return target.subarray(0, new TextEncoder().encodeInto(value, target).written);
}

/** Text of a NUL-padded byte string. */
export function text(value: Uint8Array): string {
  const end = value.indexOf(0);
  return new TextDecoder().decode(value.slice(0, end < 0 ? value.length : end));
}
