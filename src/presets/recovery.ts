/**
 * After the death of a core: somebody else completes or undoes what its kernel was in the middle of, ends its
 * processes, and tells those who wait for it. Everything needed is in shared memory; locks and pool records
 * name their owners.
 */
import { coreOfHolder, heldBy } from "../kernel/migration.ts";
import { signal } from "../kernel/processes.ts";
import { kernelState, limits, processState, threadState } from "../kernel/state.ts";
import { type Core, interruptLine } from "../machine/machine.ts";
import { EndpointTable } from "../message/index.ts";
import type { Services } from "./services.ts";

/** Cleans up behind a core whose thread is gone for good. To be called once, by one survivor, on its own core. */
export function recoverFrom(services: Services, survivor: Core, core: number): void {
  const { memory, areas, pages, endpoint } = services;
  const deadOwner = core + 1;
  // First of all, as looking areas up needs the directory's lock.
  memory.recover(areas.cores.memoryUser(core));
  areas.cores.setOnline(core, 0);
  for (const pool of [areas.threads, areas.waitQueues, areas.openFiles, areas.pipes, areas.snapshots]) {
    pool.recover(deadOwner);
  }
  pages.recover(deadOwner);
  releaseLocks(services, deadOwner);
  services.files.recover(deadOwner);
  services.recoverRoot(deadOwner);
  new EndpointTable(memory).markDead(core);
  endpoint.peersChanged();
  // Requests to the dead core fail as soon as their senders look.
  for (let other = 0; other < limits.cores; other++) {
    if (areas.cores.online(other) !== 0) survivor.interrupt(other, interruptLine.message);
  }
  giveUpWaitingFor(services, core);
  endProcesses(services, core, survivor.id);
  emptyRunQueue(services, core);
  const kernel = areas.cores.kernel(core);
  if (areas.kernels.addCoreCount(kernel, -1) === 1) {
    areas.kernels.setState(kernel, kernelState.dead);
    areas.kernels.notifyState(kernel);
    areas.system.addKernelCount(0, -1);
  }
}

/** Locks of the scheduler and of wait queues. Each guards a few stores, whose order leaves the record usable. */
function releaseLocks({ areas }: Services, deadOwner: number): void {
  const { cores } = areas;
  const queues = areas.waitQueues.records;
  for (let core = 0; core <= limits.cores; core++) {
    if (cores.ownerOfQueueMutex(core) === deadOwner) cores.releaseQueueMutex(core, deadOwner);
  }
  for (let queue = 1; queue <= limits.waitQueues; queue++) {
    if (queues.ownerOfMutex(queue) === deadOwner) queues.releaseMutex(queue, deadOwner);
  }
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

function endProcesses(services: Services, core: number, survivor: number): void {
  const { areas, files, table, pages } = services;
  const { processes } = areas;
  for (let slot = 1; slot < limits.processes; slot++) {
    const state = processes.state(slot);
    if (state === processState.embryo ? processes.core(slot) !== core : state !== processState.running)
      continue;
    if (state === processState.running && !takeFrom(services, slot, core, survivor)) continue;
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
