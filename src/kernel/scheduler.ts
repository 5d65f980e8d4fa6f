/**
 * The scheduler of one core: which thread runs, for how long, and the switch from one to the next.
 *
 * A switch goes straight from the context that stops to the one that goes on: the suspending import picks
 * the next thread and resolves the promise it waits on. Only when nobody is ready does control return to
 * `run`, which idles until an interrupt.
 */
import { interruptAnswer, resumption } from "../engine/index.ts";
import { type Core, interruptLine } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import type { RunQueue } from "./run-queue.ts";
import { nightwatchRole, threadState } from "./state.ts";

/** How long a thread runs while others of its priority wait. */
const quantum_ns = 5_000_000;
/** When the timer rang a little early by this core's clock, it is set anew this far ahead. */
const timerSlack_ns = 20_000;

export interface SchedulerHooks {
  /** Services interrupt lines: messages, devices, halt. */
  service(lines: number): void;
  /** No thread is ready: the core is about to idle. */
  nothingToRun(): void;
  /** Begins a fresh thread; the promise settles when the thread has ended and was cleaned up. */
  begin(thread: number): Promise<void>;
  /** A thread that has run before is dispatched. */
  enter(thread: number): void;
  /** The process of the running thread has a pending signal. */
  dying(): boolean;
  /** The running context is to be captured. */
  capturing(): boolean;
  /** Processor time of its process at which the running context is to be entered anew; Infinity for never. */
  reentry_ns(): number;
  /** When `alarm` wants to be called at the latest, also while the core idles; Infinity for never. */
  alarm_ns(): number;
  alarm(now_ns: number): void;
  /** A thread with a `nightwatchRole` was picked: whether to switch to it. If not, it was put aside. */
  admits(thread: number): boolean;
  /** It was switched to and would go on: whether it may, now. */
  lands(thread: number): boolean;
  /** It has stopped; `blocked` if it waits for something. */
  stops(thread: number, blocked: boolean): void;
}

export class Scheduler {
  /** The running thread, 0 when idle. */
  current = 0;
  private readonly core: Core;
  private readonly cores: Areas["cores"];
  private readonly threads: Areas["threads"]["records"];
  private readonly processes: Areas["processes"];
  private readonly queue: RunQueue;
  private readonly hooks: SchedulerHooks;
  /** Engine contexts that are suspended on this core: thread → resume. They belong to the core. */
  private readonly suspended = new Map<number, (answer: number) => void>();
  /** Cache of the blocked threads of this core that have a deadline. */
  private readonly sleepers = new Set<number>();
  private earliest_ns = Infinity;
  private dispatched_ns = 0;
  private timer_ns = Infinity;
  /** The timer has rung since it was set last. */
  private timerRang = false;
  private preempting = false;
  /** `nightwatchRole` of the running thread, or of the one that was just picked. */
  private role: number = nightwatchRole.none;
  private servicing = false;
  /** The running thread may not go on: see `stopAtPoll`. */
  private mustStop = false;
  private resumeLoop: (() => void) | undefined;
  private halting = false;

  constructor(core: Core, areas: Areas, queue: RunQueue, hooks: SchedulerHooks) {
    this.core = core;
    this.cores = areas.cores;
    this.threads = areas.threads.records;
    this.processes = areas.processes;
    this.queue = queue;
    this.hooks = hooks;
  }

  /** Runs threads until `halt`. */
  async run(): Promise<void> {
    while (!this.halting) {
      const thread = this.pick();
      if (thread !== 0) {
        await new Promise<void>((resolve) => {
          this.resumeLoop = resolve;
          this.dispatch(thread, this.core.clock.monotonic_ns());
        });
      } else if (!this.halting) {
        this.hooks.nothingToRun();
        const from_ns = this.core.clock.monotonic_ns();
        await this.core.idle(Math.min(this.earliest_ns, this.hooks.alarm_ns()));
        this.cores.setIdle_ns(
          this.core.id,
          this.cores.idle_ns(this.core.id) + this.core.clock.monotonic_ns() - from_ns,
        );
      }
    }
  }

  /** Ends `run` as soon as no thread is running. */
  halt(): void {
    this.halting = true;
  }

  /** Poll of a running program: an `interruptAnswer`. */
  interrupt(): number {
    const lines = this.serviceInterrupts();
    if (this.hooks.dying()) return interruptAnswer.die;
    if (this.hooks.capturing() || this.mustReenter()) return interruptAnswer.capture;
    if (this.halting || this.mustPreempt()) {
      this.preempting = true;
      return interruptAnswer.suspend;
    }
    if (lines !== 0) this.armTimer();
    return interruptAnswer.proceed;
  }

  /** The next `suspend` of the running thread keeps it ready: it only lets others go first. */
  yieldNext(): void {
    this.preempting = true;
  }

  /**
   * The running context stops: preempted (it stays ready) or blocked. Resolves to a `resumption` when it is
   * dispatched again. A wake-up that already came makes it go on at once, as does a request to capture it: its
   * thread then never stops, and the call that blocked is repeated after the capture.
   */
  suspend(): Promise<number> {
    const thread = this.current;
    if (this.hooks.capturing()) {
      this.preempting = false;
      this.threads.setDeadline_ns(thread, Infinity);
      return Promise.resolve(resumption.capture);
    }
    if (this.preempting) {
      this.preempting = false;
      this.threads.setState(thread, threadState.ready);
      this.queue.append(thread);
    } else {
      const deadline_ns = this.threads.deadline_ns(thread);
      this.threads.setState(thread, threadState.blocked);
      const woken =
        this.threads.exchangeWakePending(thread, 0) !== 0 ||
        (deadline_ns !== Infinity && deadline_ns <= this.core.clock.monotonic_ns());
      if (
        woken &&
        this.threads.compareExchangeState(thread, threadState.blocked, threadState.running) ===
          threadState.blocked
      ) {
        this.threads.setDeadline_ns(thread, Infinity);
        return Promise.resolve(this.resumption());
      }
      if (deadline_ns !== Infinity) {
        this.sleepers.add(thread);
        if (deadline_ns < this.earliest_ns) this.earliest_ns = deadline_ns;
      }
    }
    return new Promise((resolve) => {
      this.suspended.set(thread, resolve);
      if (this.role !== nightwatchRole.none)
        this.hooks.stops(thread, this.threads.state(thread) === threadState.blocked);
      this.leave();
    });
  }

  /** The `nightwatchRole` of the running thread has changed. */
  roleChanged(): void {
    this.role = this.threads.nightwatch(this.current);
  }

  /**
   * Whether the running program, if there is one, is at a poll: then it does nothing more before `interrupt` or
   * `afterOthers` have decided how it goes on. Not so in a system call that serves messages while it waits.
   */
  get isBetweenInstructions(): boolean {
    return this.servicing;
  }

  /**
   * Other cores have run while the running thread was at a poll: what they wanted of it is decided now. Not by a look
   * at memory, which takes time on the machines that do this: perhaps all of the time that the thread was given.
   */
  afterOthers(): Promise<number> {
    if (!this.mustStop) return Promise.resolve(resumption.proceed);
    this.preempting = true;
    return this.suspend();
  }

  /** The running thread is to stop at its next poll. */
  stopAtPoll(): void {
    this.mustStop = true;
  }

  /** Processor time of a thread so far. */
  cpuTime_ns(thread: number): number {
    const process = this.threads.process(thread);
    const now_ns = thread === this.current ? this.core.clock.monotonic_ns() - this.dispatched_ns : 0;
    const guest_ns = this.role < nightwatchRole.guest ? 0 : this.threads.cpuTime_ns(thread);
    return this.processes.cpuTime_ns(process) + guest_ns + now_ns;
  }

  /** How the running thread's context goes on. */
  private resumption(): number {
    return this.hooks.capturing() ? resumption.capture : resumption.proceed;
  }

  /** Credits the running thread with the time since its dispatch: it is about to end or to leave this core. */
  settle(): void {
    const now_ns = this.core.clock.monotonic_ns();
    const used_ns = now_ns - this.dispatched_ns;
    const thread = this.current;
    if (this.role < nightwatchRole.guest) {
      const process = this.threads.process(thread);
      this.processes.setCpuTime_ns(process, this.processes.cpuTime_ns(process) + used_ns);
    } else {
      // The process is credited by its normal thread, on another core, at any time.
      this.threads.setCpuTime_ns(thread, this.threads.cpuTime_ns(thread) + used_ns);
    }
    this.dispatched_ns = now_ns;
    this.cores.setDispatched_ns(this.core.id, now_ns);
  }

  /** Forgets a thread whose context will never be resumed. */
  forget(thread: number): void {
    this.suspended.delete(thread);
    this.sleepers.delete(thread);
  }

  private leave(): void {
    this.settle();
    this.switchToNext(this.dispatched_ns);
  }

  private switchToNext(now_ns: number): void {
    const next = this.halting ? 0 : this.pick();
    if (next !== 0) {
      this.dispatch(next, now_ns);
      return;
    }
    this.current = 0;
    this.cores.setCurrent(this.core.id, 0);
    this.resumeLoop?.();
  }

  private dispatch(thread: number, now_ns: number): void {
    const core = this.core.id;
    const fresh = this.threads.exchangeState(thread, threadState.running) === threadState.fresh;
    this.threads.setWakePending(thread, 0);
    this.threads.setDeadline_ns(thread, Infinity);
    this.sleepers.delete(thread);
    this.current = thread;
    this.mustStop = false;
    this.cores.setCurrent(core, thread);
    this.cores.setContextSwitches(core, this.cores.contextSwitches(core) + 1);
    this.dispatched_ns = now_ns;
    this.cores.setDispatched_ns(core, this.dispatched_ns);
    this.armTimer();
    if (fresh) {
      // On a stack of its own: this may be running on the stack of the context that is about to stop.
      Promise.resolve()
        .then(async () => {
          await this.hooks.begin(thread);
          this.switchToNext(this.core.clock.monotonic_ns());
        })
        .catch((error: unknown) => this.core.panic(error));
      return;
    }
    this.hooks.enter(thread);
    if (this.role !== nightwatchRole.none && !this.hooks.lands(thread)) {
      this.threads.setState(thread, threadState.held);
      this.leave();
      return;
    }
    // The line that came with the signal was taken while another thread was running.
    if (this.hooks.dying()) this.core.interrupt(core, interruptLine.signal);
    const resume = this.suspended.get(thread);
    if (resume === undefined)
      throw new Error(`thread ${thread} is ready on core ${core} but has no context there`);
    this.suspended.delete(thread);
    resume(this.resumption());
  }

  /** Serves what is pending while another core waits for it: see `Core.attend`. */
  attend(): void {
    this.serviceInterrupts();
  }

  /** The next thread to run, after interrupts and expired sleeps were looked at; 0 for none. */
  private pick(): number {
    this.serviceInterrupts();
    for (;;) {
      const thread = this.queue.dequeue();
      this.role = thread === 0 ? nightwatchRole.none : this.threads.nightwatch(thread);
      if (this.role === nightwatchRole.none || this.hooks.admits(thread)) return thread;
    }
  }

  /** Takes the pending lines and does what they ask; gives them. */
  private serviceInterrupts(): number {
    const lines = this.core.takeInterrupts();
    if (lines !== 0) {
      this.cores.setInterrupts(this.core.id, this.cores.interrupts(this.core.id) + 1);
      if (lines & interruptLine.timer) this.timerRang = true;
      this.servicing = true;
      this.hooks.service(lines);
      this.servicing = false;
    }
    if (this.earliest_ns !== Infinity) this.wakeSleepers();
    if (this.hooks.alarm_ns() !== Infinity) this.hooks.alarm(this.core.clock.monotonic_ns());
    return lines;
  }

  private wakeSleepers(): void {
    const now_ns = this.core.clock.monotonic_ns();
    if (now_ns < this.earliest_ns) return;
    let earliest_ns = Infinity;
    const due: number[] = [];
    for (const thread of this.sleepers) {
      const deadline_ns = this.threads.deadline_ns(thread);
      if (deadline_ns <= now_ns) due.push(thread);
      else if (deadline_ns < earliest_ns) earliest_ns = deadline_ns;
    }
    this.earliest_ns = earliest_ns;
    // However late we look, who was to wake first runs first.
    due.sort((a, b) => this.threads.deadline_ns(a) - this.threads.deadline_ns(b));
    for (const thread of due) {
      this.sleepers.delete(thread);
      this.queue.makeReady(thread);
    }
  }

  private mustPreempt(): boolean {
    if (this.mustStop) return true;
    const urgent = this.queue.mostUrgent();
    const mine = this.threads.priority(this.current);
    if (urgent !== mine) return urgent < mine;
    return this.core.clock.monotonic_ns() - this.dispatched_ns >= quantum_ns;
  }

  /** The running context has a new time to be entered anew. */
  reentryChanged(): void {
    this.armTimer();
  }

  private mustReenter(): boolean {
    const due_ns = this.hooks.reentry_ns();
    return due_ns !== Infinity && this.cpuTime_ns(this.current) >= due_ns;
  }

  /** The time at which the running context is to be entered anew if it runs until then; Infinity for never. */
  private reentryTime_ns(): number {
    const due_ns = this.hooks.reentry_ns();
    if (due_ns === Infinity) return Infinity;
    return this.dispatched_ns + due_ns - this.processes.cpuTime_ns(this.threads.process(this.current));
  }

  /**
   * The timer is needed while a program runs: for the end of its quantum and for sleepers. It does not ring
   * twice for one deadline, and clocks differ a little: one that has rung may still lie ahead by this core's.
   */
  private armTimer(): void {
    const shared = this.queue.mostUrgent() <= this.threads.priority(this.current);
    let deadline_ns = Math.min(
      this.earliest_ns,
      this.hooks.alarm_ns(),
      shared ? this.dispatched_ns + quantum_ns : Infinity,
    );
    const reentry_ns = this.reentryTime_ns();
    if (reentry_ns < deadline_ns) {
      // When that rings does not matter much. An earlier ring will do, and setting the timer has its price, which
      // threads that run for a moment at a time would pay each time.
      const isSet = !this.timerRang && this.timer_ns <= reentry_ns && this.timer_ns > this.dispatched_ns;
      deadline_ns = isSet ? this.timer_ns : Math.max(reentry_ns, this.dispatched_ns + quantum_ns);
    }
    const again = this.timerRang && deadline_ns === this.timer_ns && deadline_ns !== Infinity;
    if (again) deadline_ns = this.core.clock.monotonic_ns() + timerSlack_ns;
    if (deadline_ns === this.timer_ns) return;
    this.timerRang = false;
    this.timer_ns = deadline_ns;
    this.core.setTimer(deadline_ns);
  }
}
