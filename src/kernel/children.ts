/**
 * Parents and children. A child is a process that another one has forked; its status waits for the parent, which
 * collects it with `joinChild`. When the parent ends first, its children have nobody who asks: they go on detached,
 * with the console as their parent, and those that have ended already are collected for it.
 *
 * A parent waits for any of its children on its own `exitQueue`: every child that ends wakes it.
 */
import type { Accessor } from "../memory/index.ts";
import { errno } from "./errno.ts";
import { limits, type Process, processState } from "./state.ts";

type Processes = Accessor<typeof Process.fields>;

/** How a child ended. One record is reused: the caller owns it. */
export interface ChildEnd {
  pid: number;
  /** 128 + signal when a signal ended it. */
  exitCode: number;
  /** 0 for none. */
  signal: number;
}

/**
 * Collects a child that has ended. One, and `into` says which; zero when none has; −CHILD when there is no such
 * child. Only for the parent itself, on its core.
 * @param pid of the child, 0 for any.
 * @param collect frees the slot of a zombie.
 */
export function joinChild(
  processes: Processes,
  parent: number,
  pid: number,
  collect: (slot: number) => boolean,
  into: ChildEnd,
): number {
  if (processes.children(parent) === 0) return -errno.CHILD;
  const child = pid === 0 ? endedChild(processes, parent) : childWith(processes, parent, pid);
  if (child < 0) return child;
  if (child === 0 || processes.state(child) !== processState.zombie) return 0;
  into.pid = processes.pid(child);
  into.exitCode = processes.exitCode(child);
  into.signal = processes.endSignal(child);
  collect(child);
  processes.setChildren(parent, processes.children(parent) - 1);
  return 1;
}

function childWith(processes: Processes, parent: number, pid: number): number {
  const slot = pid % limits.processes;
  const isChild = processes.pid(slot) === pid && processes.parent(slot) === processes.pid(parent);
  return slot !== 0 && isChild && processes.state(slot) >= processState.running ? slot : -errno.CHILD;
}

/** Slot of a child that is a zombie, or 0. */
function endedChild(processes: Processes, parent: number): number {
  const pid = processes.pid(parent);
  for (let slot = 1; slot < limits.processes; slot++) {
    if (processes.parent(slot) === pid && processes.state(slot) === processState.zombie) return slot;
  }
  return 0;
}

/**
 * The children of a process that ends lose their parent. A child may be ending at this moment on another core:
 * it becomes a zombie and then looks whether it is detached; here it is detached and then looked at, whether it is
 * a zombie. So one of the two collects it, and `collect` sees to it that only one does.
 */
export function orphanChildren(
  processes: Processes,
  parent: number,
  collect: (slot: number) => boolean,
): void {
  if (processes.children(parent) === 0) return;
  const pid = processes.pid(parent);
  for (let slot = 1; slot < limits.processes; slot++) {
    if (processes.parent(slot) !== pid || processes.state(slot) < processState.running) continue;
    processes.setParent(slot, 0);
    processes.setDetached(slot, 1);
    collect(slot);
  }
  processes.setChildren(parent, 0);
}

/** Whether the child that a process has lent its memory to still uses it: see `fork.ts`. */
export function isLent(processes: Processes, slot: number): boolean {
  const pid = processes.lentTo(slot);
  const child = pid % limits.processes;
  return pid !== 0 && processes.pid(child) === pid && processes.borrows(child) !== 0;
}
