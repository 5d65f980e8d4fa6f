/**
 * Sleeping and waking: wait queues, and the two calls every blocking operation is made of.
 *
 * A blocking call never sleeps inside: it links its thread into the queues that can end its wait
 * (`waitOn`), *checks its condition once more*, and returns `BLOCKED`; the engine then suspends the context
 * and repeats the call when the thread was woken. `wake` may come from any core. A thread that is woken
 * before it got to sleep keeps a pending wake-up, so none is lost. The repeated call starts with
 * `waitDone`, which unlinks whatever is still linked.
 *
 * Lock order: an object's own lock, then a wait queue's `mutex`, then a core's `queueMutex`.
 */
import type { Accessor } from "../memory/index.ts";
import { limits, type Thread, type Waiter, type WaitQueue } from "./state.ts";

/** What a system call returns to the engine when its thread must sleep and the call be repeated. */
export const BLOCKED = -1;
/** What a system call returns when its process is ending: the engine traps the context. */
export const DIED = -2;

/** Puts a thread that became ready on its core's run queue. The scheduler's part of waking. */
export type MakeReady = (thread: number) => void;

export class WaitService {
  private readonly queues: Accessor<typeof WaitQueue.fields>;
  private readonly waiters: Accessor<typeof Waiter.fields>;
  private readonly threads: Accessor<typeof Thread.fields>;
  private readonly makeReady: MakeReady;
  private readonly owner: number;

  constructor(
    areas: {
      waitQueues: Accessor<typeof WaitQueue.fields>;
      waiters: Accessor<typeof Waiter.fields>;
      threads: Accessor<typeof Thread.fields>;
    },
    makeReady: MakeReady,
    owner: number,
  ) {
    this.queues = areas.waitQueues;
    this.waiters = areas.waiters;
    this.threads = areas.threads;
    this.makeReady = makeReady;
    this.owner = owner;
  }

  /**
   * Links `thread` into `queue`. False when the thread already waits on as many queues as it can: the caller
   * then sets a short deadline and checks again. Waiting twice on one queue is the same as once.
   */
  waitOn(thread: number, queue: number): boolean {
    const linked = this.threads.waitersLinked(thread);
    const first = thread * limits.waitersPerThread;
    let free = -1;
    for (let n = 0; n < limits.waitersPerThread; n++) {
      if ((linked & (1 << n)) === 0) {
        if (free < 0) free = n;
      } else if (this.waiters.queue(first + n) === queue) return true;
    }
    if (free < 0) return false;
    const waiter = first + free;
    this.queues.acquireMutex(queue, this.owner);
    const head = this.queues.head(queue);
    this.waiters.setQueue(waiter, queue);
    this.waiters.setPrevious(waiter, 0);
    this.waiters.setNext(waiter, head);
    if (head !== 0) this.waiters.setPrevious(head, waiter);
    this.queues.setHead(queue, waiter);
    this.queues.addWaiterCount(queue, 1);
    this.queues.releaseMutex(queue, this.owner);
    this.threads.setWaitersLinked(thread, linked | (1 << free));
    return true;
  }

  /** Whether `thread` is linked into `queue`. */
  isWaiting(thread: number, queue: number): boolean {
    const linked = this.threads.waitersLinked(thread);
    const first = thread * limits.waitersPerThread;
    for (let n = 0; n < limits.waitersPerThread; n++) {
      if ((linked & (1 << n)) !== 0 && this.waiters.queue(first + n) === queue) return true;
    }
    return false;
  }

  /** Unlinks `thread` from every queue it still waits on. Cheap when there is none. */
  waitDone(thread: number): void {
    let linked = this.threads.waitersLinked(thread);
    if (linked === 0) return;
    this.threads.setWaitersLinked(thread, 0);
    const first = thread * limits.waitersPerThread;
    for (let n = 0; linked !== 0; n++, linked >>>= 1) if (linked & 1) this.unlink(first + n);
  }

  private unlink(waiter: number): void {
    const queue = this.waiters.queue(waiter);
    this.queues.acquireMutex(queue, this.owner);
    const next = this.waiters.next(waiter);
    const previous = this.waiters.previous(waiter);
    if (next !== 0) this.waiters.setPrevious(next, previous);
    if (previous !== 0) this.waiters.setNext(previous, next);
    else this.queues.setHead(queue, next);
    this.queues.addWaiterCount(queue, -1);
    this.queues.releaseMutex(queue, this.owner);
  }

  /**
   * Wakes every thread that waits on `queue`. The threads stay linked until their own `waitDone`. The caller
   * has already changed the condition they wait for; testing `waiterCount` first keeps the common case,
   * nobody waiting, at one load.
   */
  wake(queue: number): void {
    if (this.queues.waiterCount(queue) === 0) return;
    this.queues.acquireMutex(queue, this.owner);
    for (let waiter = this.queues.head(queue); waiter !== 0; waiter = this.waiters.next(waiter)) {
      this.makeReady(Math.floor(waiter / limits.waitersPerThread));
    }
    this.queues.releaseMutex(queue, this.owner);
  }
}
