/**
 * A kernel on one core: it boots, serves messages and interrupts, starts processes and ends them. A kernel
 * that spans several cores is one of these objects on each, all with the same control block.
 */

import { type Core, interruptLine, type OperatorLog } from "../machine/machine.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Endpoint } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { Balancer } from "./balance.ts";
import type { CaptureService } from "./capture.ts";
import { errno } from "./errno.ts";
import { coreOfHolder, heldBy, Migration } from "./migration.ts";
import type { Nightwatch } from "./nightwatch.ts";
import { leaveToNightwatch } from "./nightwatch-recovery.ts";
import type { PageAllocator } from "./page-allocator.ts";
import type { Personality } from "./personality.ts";
import { ProcessTable, signal } from "./processes.ts";
import type { ProgramRunner } from "./program-runner.ts";
import { bootKernel, mostInitialFiles, spawn } from "./protocol.ts";
import type { RunQueue } from "./run-queue.ts";
import { Scheduler } from "./scheduler.ts";
import { kernelState, limits, processState } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** The parts that every image puts together before it makes a kernel. */
export interface KernelFoundation {
  readonly core: Core;
  readonly memory: TypedMemory;
  readonly areas: Areas;
  readonly pages: PageAllocator;
  readonly endpoint: Endpoint;
  readonly queue: RunQueue;
  readonly waits: WaitService;
  readonly captures: CaptureService;
  /** Number that names this core as a holder of locks: core id + 1. */
  readonly owner: number;
  readonly log: OperatorLog;
  /** Whether this core pushes processes to others that have less to do. */
  readonly balance: boolean;
  /** Kernels that NightWatch threads are pinned to; see `nightwatchCoreFrom`. */
  readonly weakKernels: readonly number[];
  /** Serves the devices that have raised interrupts for this core's island. */
  serveDevices(): void;
}

/** What a new process is made from, besides the kernel and core it runs on. */
export interface SpawnSpecification {
  readonly parent: number;
  readonly priority: number;
  readonly detached: boolean;
  /** Its thread is a NightWatch thread, which stays on this kernel. */
  readonly nightwatch: boolean;
  readonly memoryLimitPages: number;
  readonly name: string;
  /** Pages that hold the argument block. */
  readonly argumentOffset: number;
  readonly argumentOrder: number;
  /** Open files for descriptors 0, 1, …; from 3 on preopened directories. */
  readonly files: readonly number[];
}

/** So long background work waits for the core to be idle. */
const patience_ns = 20_000_000;

export class Kernel {
  readonly id: number;
  readonly table: ProcessTable;
  private readonly parts: KernelFoundation;
  private readonly personality: Personality;
  private readonly scheduler: Scheduler;
  private readonly migration: Migration;
  private readonly nightwatch: Nightwatch;
  private readonly balancer: Balancer | undefined;
  /** Since when there is background work; Infinity when there is none. */
  private backgroundSince_ns = Infinity;

  constructor(
    id: number,
    parts: KernelFoundation,
    personality: Personality,
    makeRunner: (table: ProcessTable, scheduler: () => Scheduler) => ProgramRunner,
  ) {
    this.id = id;
    this.parts = parts;
    this.personality = personality;
    this.table = new ProcessTable(parts.areas, parts.core, parts.queue, parts.waits, parts.owner);
    const runner = makeRunner(this.table, () => this.scheduler);
    this.scheduler = new Scheduler(parts.core, parts.areas, parts.queue, {
      service: (lines) => this.service(lines),
      nothingToRun: () => this.serveBackground(),
      begin: (thread) => runner.run(thread),
      enter: (thread) => runner.enter(thread),
      dying: () => runner.dying(),
      capturing: () => runner.capturing(),
      reentry_ns: () => runner.reentry_ns(),
      alarm_ns: () => runner.paging.alarm_ns,
      alarm: (now_ns) => runner.paging.alarm(now_ns),
      admits: (thread) => this.nightwatch.admits(thread),
      lands: (thread) => runner.lands(thread),
      stops: (thread, blocked) => this.nightwatch.stops(thread, blocked),
    });
    this.nightwatch = runner.nightwatch;
    this.migration = new Migration({ ...parts, runner });
    this.balancer = parts.balance ? new Balancer(parts) : undefined;
    this.serveMessages();
  }

  /** Joins the system and runs until the core is told to halt. */
  async run(bootedBy: number, started_ns: number): Promise<void> {
    const { core, areas } = this.parts;
    const { kernels, cores, system } = areas;
    cores.setKernel(core.id, this.id);
    cores.setDeaf(core.id, 0);
    cores.setClosing(core.id, 0);
    cores.setDeafQueue(core.id, this.allocateQueue());
    if (kernels.addCoreCount(this.id, 1) === 0) {
      kernels.setFirstCore(this.id, core.id);
      kernels.setBootedBy(this.id, bootedBy);
      system.addKernelCount(0, 1);
    }
    cores.setCounted(core.id, 1);
    const now_ns = core.clock.monotonic_ns();
    kernels.setBootTime_ns(this.id, now_ns);
    kernels.setBootDuration_ns(this.id, now_ns - started_ns);
    kernels.setState(this.id, kernelState.running);
    cores.setOnline(core.id, 1);
    kernels.notifyState(this.id);
    cores.notifyOnline(core.id);
    core.attend(() => this.scheduler.attend());
    await this.scheduler.run();
    cores.setOnline(core.id, 0);
    // Whoever asked before is answered; who asks later sees that this core is off line.
    this.parts.endpoint.drain();
    this.nightwatch.guests.abandon();
    this.endLeftovers();
    const deafQueue = cores.deafQueue(core.id);
    // Forgotten first: whoever cleans up behind this core must not free it again.
    cores.setDeafQueue(core.id, 0);
    areas.waitQueues.free(deafQueue, this.parts.owner);
    cores.setCounted(core.id, 0);
    if (kernels.addCoreCount(this.id, -1) === 1) {
      kernels.setState(this.id, kernelState.stopped);
      system.addKernelCount(0, -1);
    }
  }

  /** Starts a process on this core: its pid, or a negated errno. Takes over block and files in any case. */
  spawn(specification: SpawnSpecification): number {
    const { nightwatch: pinned } = specification;
    const slot = this.table.allocate({ ...specification, pinned, kernel: this.id, core: this.parts.core.id });
    if (slot < 0) {
      this.parts.pages.free(specification.argumentOffset, specification.argumentOrder);
      this.personality.dropFiles(specification.files);
      return slot;
    }
    const adopted = this.personality.adoptFiles(slot, specification.files);
    if (adopted < 0) {
      this.parts.pages.free(specification.argumentOffset, specification.argumentOrder);
      this.table.abandon(slot);
      return adopted;
    }
    this.table.launch(slot);
    return this.parts.areas.processes.pid(slot);
  }

  /** Processor time that a thread of this core has used so far. */
  cpuTime_ns(thread: number): number {
    return this.scheduler.cpuTime_ns(thread);
  }

  /** Whatever came too late to be moved or ended before this kernel was asked to stop. */
  private endLeftovers(): void {
    const { areas, core, pages } = this.parts;
    const { processes } = areas;
    for (let slot = 1; slot < limits.processes; slot++) {
      const holder = processes.holder(slot);
      if (processes.state(slot) !== processState.running || coreOfHolder(holder) !== core.id) continue;
      // One that is offered to another core may just be taken.
      if (processes.compareExchangeHolder(slot, holder, heldBy(core.id)) !== holder) continue;
      if (leaveToNightwatch(this.parts, slot, signal.KILL)) continue;
      const offset = processes.argumentOffset(slot);
      if (offset !== 0) pages.free(offset, processes.argumentOrder(slot));
      this.personality.releaseFiles(slot);
      this.table.end(slot, 128 + signal.KILL, signal.KILL, `kernel ${this.id} stopped`);
    }
    for (let thread = 1; thread !== 0; ) thread = this.parts.queue.dequeue();
    // Answers of targets that come later find nobody who counts.
    areas.cores.setLoad(core.id, 0);
  }

  private allocateQueue(): number {
    const queue = this.parts.areas.waitQueues.allocate(this.parts.owner);
    if (queue < 0) throw new Error(`kernel ${this.id}: no wait queue is left to boot with`);
    return queue;
  }

  private serveMessages(): void {
    const { endpoint, core, areas } = this.parts;
    endpoint.serve(spawn, (wanted) => {
      const { nameLength, fileCount, priority, argumentOffset, argumentOrder } = wanted;
      const files = wanted.files.slice(0, fileCount);
      const makesSense =
        nameLength <= wanted.name.length &&
        fileCount <= mostInitialFiles &&
        priority < limits.priorities &&
        this.parts.pages.holds(argumentOffset, argumentOrder) &&
        this.personality.areOpen(files);
      if (!makesSense) return -errno.BADMSG;
      const name = new TextDecoder().decode(wanted.name.subarray(0, nameLength));
      const flags = { detached: wanted.detached !== 0, nightwatch: wanted.nightwatch !== 0 };
      return this.spawn({ ...wanted, ...flags, name, files });
    });
    endpoint.serve(bootKernel, (wanted) => {
      const coreCount = areas.system.coreCount(0);
      if (wanted.core >= coreCount || wanted.kernel >= coreCount) return -errno.INVAL;
      return core.start(wanted.core, wanted.kernel) ? 0 : -errno.BUSY;
    });
  }

  /** Does what could wait until now. */
  private serveBackground(): void {
    const { pages } = this.parts;
    if (this.backgroundSince_ns === Infinity && !pages.workPending()) return;
    this.backgroundSince_ns = Infinity;
    pages.tick();
  }

  private service(lines: number): void {
    if (lines & interruptLine.message) this.parts.endpoint.drain();
    if (lines & interruptLine.signal) this.migration.takeBackKilled();
    if (lines & interruptLine.device) this.parts.serveDevices();
    if (lines & interruptLine.background && this.backgroundSince_ns === Infinity)
      this.backgroundSince_ns = this.parts.core.clock.monotonic_ns();
    if (lines & interruptLine.timer) {
      this.balancer?.tick();
      // A core that is never idle does it all the same, later.
      if (this.parts.core.clock.monotonic_ns() - this.backgroundSince_ns >= patience_ns)
        this.serveBackground();
    }
    if (lines & interruptLine.halt) this.scheduler.halt();
  }
}
