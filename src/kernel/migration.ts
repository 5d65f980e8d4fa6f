/**
 * Moving processes between cores of an island, while they run. Nothing of the process's memory is copied: it is
 * shared memory, and the other core gets a handle to it. It is copied if that is asked for, as kernels would that do
 * not share memory: see `paging.ts`.
 *
 * The source captures the process, offers it, and goes on with other work; the target takes it and lets it go
 * on (the messages: `protocol.ts`). What may fail fails before the process changes hands: the target makes
 * the context first.
 *
 * The word that decides is `processes.holder`. It names the core that has the process, and may say that this core
 * offers it away: only then can it change hands, by one compare-exchange:
 * - of the target, from "offered by the source, ticket t" to "target": from this moment on the process is at the
 *   target, whatever happens to the source or to the reply;
 * - or of the source, from the same to "source": when the target refuses, dies, or stops;
 * - or of the survivor that cleans up behind a dead source (`presets/recovery.ts`), which ends the process.
 * Of these exactly one succeeds, as all expect the same value and write another; a ticket is used once. Nobody runs
 * the process while it is offered: the source's context is gone, and the target queues the thread after its
 * exchange. So the process runs at most once. It is never lost: as long as it is offered, the source keeps
 * all of it and waits for the reply; and the endpoint answers for a target that died.
 */
import type { ContextState } from "../engine/index.ts";
import type { Core, OperatorLog } from "../machine/machine.ts";
import type { Endpoint } from "../message/index.ts";
import type { Areas } from "./areas.ts";
import { type CaptureVerdict, captureKind } from "./capture.ts";
import type { CapturedProcess } from "./captured-process.ts";
import { errno } from "./errno.ts";
import { decodeMigration } from "./paging.ts";
import type { ProgramRunner } from "./program-runner.ts";
import { closeCore, migrate } from "./protocol.ts";
import type { RunQueue } from "./run-queue.ts";
import type { RunningProcess } from "./running-process.ts";
import { limits, threadState } from "./state.ts";

/** What is posted to the target. */
interface Parcel {
  readonly ticket: number;
  readonly captured: CapturedProcess;
}

/** A process that this core would give away. */
interface Offer {
  readonly slot: number;
  /** Ends the offer, with the status of the reply. */
  settle(status: number): void;
}

const offeredBit = 0x8000_0000;
const ticketShift = 16;
const ticketMask = 0x7fff;
const coreMask = 0xffff;

/** `processes.holder` of a process that a core has and keeps. */
export function heldBy(core: number): number {
  return core + 1;
}

/** `processes.holder` of a process that a core offers to another one. */
function offeredBy(core: number, ticket: number): number {
  return (offeredBit | ((ticket & ticketMask) << ticketShift) | (core + 1)) >>> 0;
}

/** The core that has a process, also while it offers it. */
export function coreOfHolder(holder: number): number {
  return (holder & coreMask) - 1;
}

/** The least loaded core of a kernel that runs, or −NODEV. */
export function leastLoadedCore({ cores }: Pick<Areas, "cores">, kernel: number): number {
  let best: number = -errno.NODEV;
  for (let core = 0; core < limits.cores; core++) {
    if (cores.online(core) === 0 || cores.closing(core) !== 0 || cores.kernel(core) !== kernel) continue;
    if (best < 0 || cores.load(core) < cores.load(best)) best = core;
  }
  return best;
}

export interface MigrationParts {
  readonly core: Core;
  readonly areas: Areas;
  readonly queue: RunQueue;
  readonly endpoint: Endpoint;
  readonly runner: ProgramRunner;
  readonly log: OperatorLog;
}

/** One core's part in moving processes. */
export class Migration {
  private readonly parts: MigrationParts;
  private ticket = 0;
  /** Offers that are open, by ticket. */
  private readonly offers = new Map<number, Offer>();

  constructor(parts: MigrationParts) {
    this.parts = parts;
    parts.runner.handlers.register(captureKind.migrate, (process, state, target) =>
      this.offer(process, state, target),
    );
    parts.endpoint.serve(closeCore, () => {
      parts.areas.cores.setClosing(parts.core.id, 1);
      return 0;
    });
    parts.endpoint.serve(migrate, ({ slot, ticket }, from) => this.receive(slot, ticket, from));
  }

  /** The source's part: gives a captured process away. */
  private offer(process: RunningProcess, state: ContextState, argument: number): CaptureVerdict {
    const { core, areas, endpoint, runner } = this.parts;
    const { slot, thread } = process;
    const { target, mode } = decodeMigration(argument);
    if (target === core.id || target >= limits.cores || areas.cores.online(target) === 0) {
      runner.handlers.answer(process, captureKind.migrate, target === core.id ? 0 : -errno.NODEV);
      return "resume";
    }
    const whole = process.captured(state);
    const transfer = runner.paging.transfer(whole, mode);
    if (typeof transfer === "number") {
      runner.handlers.answer(process, captureKind.migrate, transfer);
      return "resume";
    }
    this.ticket = (this.ticket + 1) & ticketMask;
    const { ticket } = this;
    const captured: CapturedProcess = transfer === undefined ? whole : { ...whole, transfer };
    // From here on the target may change what is credited to the process.
    process.settle();
    areas.threads.records.setState(thread, threadState.moving);
    areas.processes.setHolder(slot, offeredBy(core.id, ticket));
    core.post(target, { ticket, captured } satisfies Parcel);
    const settle = (status: number) => {
      if (this.offers.delete(ticket)) this.settle(process, state, ticket, status);
    };
    this.offers.set(ticket, { slot, settle });
    endpoint.ask(target, migrate, { slot, ticket }, ({ status }) => settle(status));
    // A kernel that stops refuses what it finds before it goes off line; what comes later it never reads.
    if (areas.cores.online(target) === 0) settle(-errno.NODEV);
    return "gone";
  }

  /** A process was killed. One that is offered need not wait for a target that may be busy with something else. */
  takeBackKilled(): void {
    for (const { slot, settle } of this.offers.values()) {
      if (this.parts.areas.processes.pendingSignal(slot) !== 0) settle(-errno.SRCH);
    }
  }

  /** The target has answered, or cannot answer any more. */
  private settle(process: RunningProcess, state: ContextState, ticket: number, status: number): void {
    const { core, areas, queue, runner } = this.parts;
    const { slot, thread } = process;
    const offered = offeredBy(core.id, ticket);
    if (status === 0 || areas.processes.compareExchangeHolder(slot, offered, heldBy(core.id)) !== offered) {
      areas.cores.addLoad(core.id, -1);
      return;
    }
    runner.handlers.answer(process, captureKind.migrate, status);
    runner.readmit(process, state);
    areas.threads.records.setState(thread, threadState.fresh);
    queue.enqueue(thread);
  }

  /** The target's part: takes a process over. Zero, or a negated errno when the source is to keep it. */
  private receive(slot: number, ticket: number, from: number): number {
    const { core, areas, queue, runner, log } = this.parts;
    const { processes, cores } = areas;
    if (slot >= limits.processes) return -errno.INVAL;
    const parcel = this.collect(from, ticket);
    if (parcel === undefined) return -errno.BADMSG;
    if (cores.online(core.id) === 0 || cores.closing(core.id) !== 0) return -errno.NODEV;
    const offered = offeredBy(from, ticket);
    // Taken back meanwhile, it may have ended, and its thread may be that of another process here that has not run.
    if (processes.holder(slot) !== offered) return -errno.CANCELED;
    const { captured } = parcel;
    const { call, thread } = captured;
    const answered = call?.kind === captureKind.migrate ? { ...call, result: 0 } : call;
    try {
      runner.adopt({ ...captured, call: answered });
    } catch (error) {
      log(`kernel: process ${captured.pid} cannot move to core ${core.id}: ${error}`);
      return -errno.NOMEM;
    }
    if (processes.compareExchangeHolder(slot, offered, heldBy(core.id)) !== offered) {
      runner.dropArrival(thread);
      return -errno.CANCELED;
    }
    processes.setCore(slot, core.id);
    processes.setKernel(slot, cores.kernel(core.id));
    processes.setArrivalTime_ns(slot, core.clock.monotonic_ns());
    areas.threads.records.setCore(thread, core.id);
    cores.addLoad(core.id, 1);
    runner.watchArrival(thread);
    runner.handlers.answerRequest(slot, captureKind.migrate, 0);
    areas.threads.records.setState(thread, threadState.fresh);
    queue.enqueue(thread);
    return 0;
  }

  /** The object that belongs to a request; those of requests that failed before are dropped. */
  private collect(from: number, ticket: number): Parcel | undefined {
    for (;;) {
      const object = this.parts.core.collect(from);
      // Only kernels of this system post, and only parcels.
      if (object === undefined) return undefined;
      const parcel = object as Parcel;
      if (parcel.ticket === ticket) return parcel;
    }
  }
}
