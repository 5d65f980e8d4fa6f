/**
 * After the death of a core: somebody else completes or undoes what its kernel was in the middle of, ends its
 * processes, and tells those who wait for it. Everything needed is in shared memory; locks and pool records
 * name their owners.
 */
import { coreOfHolder, heldBy } from "../kernel/migration.ts";
import {
  freeUnknownThreads,
  leaveToNightwatch,
  loseNightwatchThreads,
} from "../kernel/nightwatch-recovery.ts";
import { signal } from "../kernel/processes.ts";
import { kernelState, limits, processState, threadState } from "../kernel/state.ts";
import { type Core, interruptLine } from "../machine/machine.ts";
import { powerState } from "../machine/soc.ts";
import { EndpointTable } from "../message/index.ts";
import type { Services } from "./services.ts";

/**
 * Frees what a core holds that is gone for good, piece by piece: it goes on each time it is resumed, and whoever waits
 * for something may look in between. Locks that are taken under others come first: a piece takes only such as are
 * free by then, so it can be done in the middle of the code of somebody who waits for one. To be called once,
 * by one survivor, on its own core; `recoverFrom` does the rest.
 */
export function* freeHeldBy(services: Services, survivor: Core, core: number): Generator<void> {
  const { memory, messages, areas, pages, endpoint } = services;
  const deadOwner = core + 1;
  // First of all, as looking areas up needs the directory's lock.
  memory.recover(deadOwner);
  messages.recover(deadOwner);
  areas.cores.setOnline(core, 0);
  releaseLocks(services, deadOwner);
  for (const pool of [areas.threads, areas.waitQueues, areas.openFiles, areas.pipes, areas.snapshots]) {
    pool.recover(deadOwner);
  }
  yield;
  const kernel = areas.cores.kernel(core);
  pages.recover(deadOwner, isLastOf(services, core) ? kernel : undefined);
  yield;
  services.recoverRoot(deadOwner);
  yield;
  services.files.recover(deadOwner);
  yield;
  services.dma?.recover(deadOwner);
  yield;
  new EndpointTable(messages).markDead(core);
  endpoint.peersChanged();
  // Requests to the dead core fail as soon as their senders look; and it may have died between putting a thread on
  // another core's list and telling that core.
  const lines = interruptLine.message | interruptLine.reschedule;
  for (let other = 0; other < limits.cores; other++) {
    if (areas.cores.online(other) !== 0) survivor.interrupt(other, lines);
  }
  survivor.interrupt(survivor.id, lines);
}

/** Whether its kernel has no other core. It may have died before it was its kernel's, or after. */
function isLastOf({ areas: { cores, kernels } }: Services, core: number): boolean {
  return cores.counted(core) !== 0 && kernels.coreCount(cores.kernel(core)) === 1;
}

/**
 * Cleans up behind a core for which `freeHeldBy` has come to its end: ends its processes and tells those who wait for
 * it. It takes locks, so no other kernel code may be under way in its thread.
 */
export function recoverFrom(services: Services, survivor: Core, core: number): void {
  const { areas } = services;
  const deadOwner = core + 1;
  const kernel = areas.cores.kernel(core);
  const wasCounted = areas.cores.counted(core) !== 0;
  giveUpWaitingFor(services, core);
  loseNightwatchThreads(services, core);
  endProcesses(services, core, survivor);
  freeUnknownThreads(services, deadOwner);
  emptyRunQueue(services, core);
  releaseKeptFile(services, core);
  areas.cores.setCounted(core, 0);
  if (wasCounted && areas.kernels.addCoreCount(kernel, -1) === 1) {
    areas.kernels.setState(kernel, kernelState.dead);
    areas.kernels.notifyState(kernel);
    areas.system.addKernelCount(0, -1);
  }
}

/** Pages of a dead core's island can be had again: before anything shared is touched. May run at interrupt level. */
export function recoverCoherence({ coherence, dsm }: Services, { soc }: Core, core: number): void {
  if (coherence === null || dsm === null || soc === null) return;
  const island = soc.islandOfCore[core];
  const isAlive = soc.islandOfCore.some(
    (of, other) => of === island && soc.power.state(other) !== powerState.off,
  );
  if (isAlive) dsm.loseCore(island, core);
  else dsm.recover(coherence, island);
}

/**
 * Locks of the scheduler and of wait queues. Each guards a few stores, whose order leaves the record usable; of ready
 * lists, the links.
 */
function releaseLocks({ areas }: Services, deadOwner: number): void {
  const { cores } = areas;
  const queues = areas.waitQueues.records;
  for (let core = 0; core <= limits.cores; core++) {
    if (cores.ownerOfQueueMutex(core) !== deadOwner) continue;
    repairReadyLists(areas, core);
    cores.releaseQueueMutex(core, deadOwner);
  }
  for (let queue = 1; queue <= limits.waitQueues; queue++) {
    if (queues.ownerOfMutex(queue) === deadOwner) queues.releaseMutex(queue, deadOwner);
  }
}

/** Tails and count of a core's ready lists, as they follow from heads and links. */
function repairReadyLists({ cores, threads: { records: threads } }: Services["areas"], core: number): void {
  let count = 0;
  for (let priority = 0; priority < limits.priorities; priority++) {
    let last = 0;
    for (
      let thread = cores.readyHead(core, priority);
      thread !== 0 && count < limits.threads;
      thread = threads.next(thread)
    ) {
      last = thread;
      count++;
    }
    cores.setReadyTail(core, priority, last);
  }
  cores.setReadyCount(core, count);
}

/** What the kernel itself had open. */
function releaseKeptFile({ areas: { cores }, files }: Services, core: number): void {
  const file = cores.keptFile(core);
  cores.setKeptFile(core, 0);
  if (file !== 0) files.release(file);
}

/** Who has waited for the core to listen again finds out that it is gone. */
function giveUpWaitingFor({ areas, waits, owner }: Services, core: number): void {
  const queue = areas.cores.deafQueue(core);
  areas.cores.setDeaf(core, 0);
  areas.cores.setDeafQueue(core, 0);
  if (queue === 0) return;
  waits.wake(queue);
  areas.waitQueues.free(queue, owner);
}

/**
 * Whether a running process was the dead core's, and now is the survivor's to end. One that was offered to another
 * core may be taken by that core until this moment: see `kernel/migration.ts`.
 */
function takeFrom({ areas: { processes } }: Services, slot: number, core: number, survivor: number): boolean {
  for (;;) {
    const holder = processes.holder(slot);
    if (coreOfHolder(holder) !== core) return false;
    if (processes.compareExchangeHolder(slot, holder, heldBy(survivor)) === holder) break;
  }
  // It may have died right after it took the process over.
  processes.setCore(slot, core);
  return true;
}

function endProcesses(services: Services, core: number, survivor: Core): void {
  const { areas, files, table, pages } = services;
  const { processes } = areas;
  for (let slot = 1; slot < limits.processes; slot++) {
    const state = processes.state(slot);
    // It may have died before it told anybody.
    if (state === processState.zombie && processes.core(slot) === core)
      table.announceEnd(slot, processes.parent(slot), processes.exitQueue(slot));
    if (state === processState.embryo ? processes.core(slot) !== core : state !== processState.running)
      continue;
    if (state === processState.running) {
      if (!takeFrom(services, slot, core, survivor.id)) continue;
      if (leaveToNightwatch({ ...services, core: survivor }, slot, signal.KILL)) continue;
    }
    files.closeAll(slot);
    const offset = processes.argumentOffset(slot);
    if (offset !== 0) pages.free(offset, processes.argumentOrder(slot));
    if (state === processState.embryo) table.abandon(slot);
    else table.end(slot, 128 + signal.KILL, signal.KILL, `the kernel on core ${core} died`);
  }
}

function emptyRunQueue({ areas }: Services, core: number): void {
  const { cores } = areas;
  for (let priority = 0; priority < limits.priorities; priority++) {
    cores.setReadyHead(core, priority, 0);
    cores.setReadyTail(core, priority, 0);
  }
  cores.setReadyCount(core, 0);
  cores.setCurrent(core, 0);
  cores.setLoad(core, 0);
}

/**
 * Threads that are ready but on no core's list. A core puts a thread on a list right after making it ready, so
 * one that stays in between was being woken by a core that died.
 */
export function unlistedThreads({ areas, owner }: Services): Set<number> {
  const { cores } = areas;
  const threads = areas.threads.records;
  const unlisted = new Set<number>();
  for (let thread = 1; thread <= limits.threads; thread++) {
    if (threads.state(thread) === threadState.ready) unlisted.add(thread);
  }
  for (let core = 0; core <= limits.cores; core++) {
    cores.acquireQueueMutex(core, owner);
    for (let priority = 0; priority < limits.priorities; priority++) {
      let thread = cores.readyHead(core, priority);
      // A damaged list could lead in circles.
      for (let steps = 0; thread !== 0 && steps < limits.threads; steps++) {
        unlisted.delete(thread);
        thread = threads.next(thread);
      }
    }
    cores.releaseQueueMutex(core, owner);
  }
  return unlisted;
}
