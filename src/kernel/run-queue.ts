/**
 * The ready lists of all cores. Any core may put a thread on any core's list; only the core itself takes
 * from its own. Lists live in `cores[]`, one per priority, linked through `threads[].next`.
 */

import type { Core } from "../machine/machine.ts";
import { interruptLine } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { limits, threadState } from "./state.ts";

/** For schedulers that are independent (`presets/placements.ts`). A thread's island is its group in the pool of threads. */
export interface HandOver {
  /** This kernel's island. */
  readonly island: number;
  /** Hands a thread that is to become ready to the kernels of another island; false when they cannot be reached. */
  send(thread: number, island: number): boolean;
}

export class RunQueue {
  private readonly cores: Areas["cores"];
  private readonly threads: Areas["threads"]["records"];
  private readonly pool: Areas["threads"];
  private readonly core: Core;
  private readonly owner: number;
  private readonly handOver: HandOver | undefined;

  constructor(areas: Areas, core: Core, owner: number, handOver?: HandOver) {
    this.cores = areas.cores;
    this.pool = areas.threads;
    this.threads = areas.threads.records;
    this.handOver = handOver;
    this.core = core;
    this.owner = owner;
  }

  /**
   * Wakes a thread: if it sleeps it becomes ready on its core; if it is on its way to sleep it will find the
   * pending wake-up. Of several wakers exactly one queues it.
   */
  readonly makeReady = (thread: number): void => {
    const { handOver } = this;
    const island = handOver === undefined ? 0 : this.pool.groupOf(thread);
    if (handOver === undefined || island === handOver.island || !handOver.send(thread, island))
      this.makeReadyHere(thread);
  };

  /** Another island's kernel has handed a thread over. Numbers of threads that are not of this island are dropped. */
  takeOver(thread: number): void {
    const isThread = thread >= 1 && thread <= this.pool.capacity;
    if (isThread && this.pool.groupOf(thread) === this.handOver?.island) this.makeReadyHere(thread);
  }

  /** As `makeReady`, on this core whatever island the thread belongs to. */
  makeReadyHere(thread: number): void {
    this.threads.setWakePending(thread, 1);
    if (
      this.threads.compareExchangeState(thread, threadState.blocked, threadState.ready) ===
      threadState.blocked
    ) {
      this.enqueue(thread);
    }
  }

  /**
   * Appends a thread whose state is `ready` or `fresh` to its core's list and interrupts that core. This one too:
   * its running program may have to make way, now or at the end of its quantum; and the console waits while its
   * own code runs.
   */
  enqueue(thread: number): void {
    this.append(thread);
    this.core.interrupt(this.threads.core(thread), interruptLine.reschedule);
  }

  /** As `enqueue`, for a scheduler that is about to pick a thread of its own core anyway. */
  append(thread: number): void {
    const core = this.threads.core(thread);
    const priority = this.threads.priority(thread);
    this.threads.setNext(thread, 0);
    this.cores.acquireQueueMutex(core, this.owner);
    const tail = this.cores.readyTail(core, priority);
    if (tail === 0) this.cores.setReadyHead(core, priority, thread);
    else this.threads.setNext(tail, thread);
    this.cores.setReadyTail(core, priority, thread);
    this.cores.setReadyCount(core, this.cores.readyCount(core) + 1);
    this.cores.releaseQueueMutex(core, this.owner);
  }

  /** Takes the first thread of the most urgent list of this core, or 0. */
  dequeue(): number {
    const core = this.core.id;
    const priority = this.mostUrgent();
    if (priority === limits.priorities) return 0;
    this.cores.acquireQueueMutex(core, this.owner);
    const thread = this.cores.readyHead(core, priority);
    const next = this.threads.next(thread);
    this.cores.setReadyHead(core, priority, next);
    if (next === 0) this.cores.setReadyTail(core, priority, 0);
    this.cores.setReadyCount(core, this.cores.readyCount(core) - 1);
    this.cores.releaseQueueMutex(core, this.owner);
    return thread;
  }

  /** Most urgent priority with a ready thread on this core (0 is the most urgent), or `limits.priorities`. */
  mostUrgent(): number {
    const core = this.core.id;
    for (let priority = 0; priority < limits.priorities; priority++) {
      if (this.cores.readyHead(core, priority) !== 0) return priority;
    }
    return limits.priorities;
  }
}
