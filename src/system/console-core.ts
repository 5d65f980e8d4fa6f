/**
 * The console core: the main thread of the process that booted the system, taking part in it. It attaches to
 * the shared areas like a kernel and may use shadowed services directly, but runs no programs, and it waits
 * only asynchronously.
 */
import type { Areas } from "../kernel/areas.ts";
import type { RunQueue } from "../kernel/run-queue.ts";
import { threadState } from "../kernel/state.ts";
import type { WaitService } from "../kernel/wait.ts";
import { type Core, interruptLine } from "../machine/machine.ts";

/** Largest piece that moves between a pipe and a web stream at once. */
const scratch_bytes = 65_536;

export class ConsoleCore {
  /** For data on its way through one call that does not wait. */
  readonly scratch = new Uint8Array(scratch_bytes);
  private readonly core: Core;
  private readonly areas: Areas;
  private readonly queue: RunQueue;
  private readonly waits: WaitService;
  private readonly owner: number;
  private readonly serve: () => void;
  /** Threads that stand for asynchronous operations of this process: thread → go on. */
  private readonly sleeping = new Map<number, () => void>();
  private stopped = false;

  constructor(
    core: Core,
    areas: Areas,
    queue: RunQueue,
    waits: WaitService,
    owner: number,
    serve: () => void,
  ) {
    this.core = core;
    this.areas = areas;
    this.queue = queue;
    this.waits = waits;
    this.owner = owner;
    this.serve = serve;
  }

  /** Serves interrupts until `stop`; rests afterwards, for good. */
  async run(): Promise<never> {
    this.core.attend(this.serve);
    while (!this.stopped) {
      const lines = this.core.takeInterrupts();
      if (lines & (interruptLine.message | interruptLine.background)) this.serve();
      for (let thread = this.queue.dequeue(); thread !== 0; thread = this.queue.dequeue()) {
        const goOn = this.sleeping.get(thread);
        this.sleeping.delete(thread);
        goOn?.();
      }
      await this.core.idle(Infinity);
    }
    // The machine may have to go on without it, until its other cores have stopped.
    for (;;) {
      this.core.takeInterrupts();
      await this.core.idle(Infinity);
    }
  }

  stop(): void {
    this.stopped = true;
    for (const goOn of this.sleeping.values()) goOn();
    this.sleeping.clear();
    this.core.interrupt(this.core.id, interruptLine.halt);
  }

  /**
   * Repeats `attempt` until it gives a result other than `undefined`, sleeping on `queue` in between.
   * @throws Error when the system is shut down meanwhile.
   */
  async until<T>(queue: number, attempt: () => T | undefined): Promise<T> {
    const immediate = attempt();
    if (immediate !== undefined) return immediate;
    const { records } = this.areas.threads;
    const thread = this.areas.threads.allocate(this.owner);
    if (thread < 0)
      throw new Error("too many threads: no thread record is left for an asynchronous operation");
    records.setCore(thread, this.core.id);
    records.setPriority(thread, 0);
    records.setWaitersLinked(thread, 0);
    records.setState(thread, threadState.running);
    try {
      for (;;) {
        records.setWakePending(thread, 0);
        this.waits.waitOn(thread, queue);
        const result = attempt();
        if (result !== undefined) return result;
        // What happened just before the end is still an answer.
        if (this.stopped) throw new Error("the system was shut down");
        await this.sleep(thread);
      }
    } finally {
      this.waits.waitDone(thread);
      records.setState(thread, threadState.ended);
      this.areas.threads.free(thread, this.owner);
    }
  }

  /** Has operations that wait on a queue look again. */
  wake(queue: number): void {
    this.waits.wake(queue);
  }

  private async sleep(thread: number): Promise<void> {
    const { records } = this.areas.threads;
    const woken = new Promise<void>((resolve) => this.sleeping.set(thread, resolve));
    records.setState(thread, threadState.blocked);
    if (
      records.exchangeWakePending(thread, 0) !== 0 &&
      records.compareExchangeState(thread, threadState.blocked, threadState.running) === threadState.blocked
    ) {
      this.sleeping.delete(thread);
      return;
    }
    await woken;
    records.setState(thread, threadState.running);
  }
}
