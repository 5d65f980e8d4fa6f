/**
 * What makes the simulated machine go: takes event after event and lets the core concerned execute until it rests.
 * Everything happens in one thread; between two steps nothing of any core is on the stack.
 *
 * Code outside the machine (whoever booted the system) takes part as the console core. It runs in promise callbacks
 * that the machine does not see, so after anything that may have let it go on, the driver steps aside until the host
 * has nothing left to do.
 */
import { EventQueue, type SimulatedEvent } from "./event-queue.ts";
import type { SimCore } from "./sim-core.ts";

/** So many events pass before the host gets a turn for its own work. */
const eventsPerTurn = 256;

/** A queue that says when something is put into it. */
export class WakingQueue extends EventQueue {
  onPush: () => void = () => undefined;

  override push(time_ns: number, hardware: boolean, run: () => void, kind?: string): SimulatedEvent {
    const event = super.push(time_ns, hardware, run, kind);
    this.onPush();
    return event;
  }
}

export class Driver {
  readonly queue = new WakingQueue();
  /** The time of the latest event. */
  time_ns = 0;
  /** Resolves after everything that promises had to do. */
  private readonly hostTurn: () => Promise<void>;
  private readonly failed: (error: unknown) => void;
  private readonly onEvent: (time_ns: number) => void;
  private stepping: SimCore | undefined;
  private stepEnded: (() => void) | undefined;
  private step: Promise<void> | undefined;
  private watching = false;
  private outsideRuns = false;
  private wake: (() => void) | undefined;
  private stopped = false;
  private held: Promise<void> | undefined;

  /** @param onEvent told of each event's time before it runs. */
  constructor(
    hostTurn: () => Promise<void>,
    failed: (error: unknown) => void,
    onEvent: (time_ns: number) => void,
  ) {
    this.onEvent = onEvent;
    this.hostTurn = hostTurn;
    this.failed = failed;
    this.queue.onPush = () => {
      const { wake } = this;
      this.wake = undefined;
      wake?.();
    };
  }

  /** The core whose step is under way. */
  get executing(): SimCore | undefined {
    return this.stepping;
  }

  /** Runs events until `stop`; waits while there are none. */
  async run(): Promise<void> {
    try {
      for (let taken = 0; !this.stopped; taken++) {
        if (this.outsideRuns || taken % eventsPerTurn === 0) {
          this.outsideRuns = false;
          await this.hostTurn();
          if (this.stopped) return;
        }
        while (this.held !== undefined) {
          await this.held;
          await this.hostTurn();
          if (this.stopped) return;
        }
        const event = this.queue.pop();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
          this.outsideRuns = true;
          continue;
        }
        this.take(event);
        if (this.step !== undefined) await this.step;
      }
    } catch (error) {
      this.failed(error);
    }
  }

  /**
   * Nothing happens until the returned function is called. For people who look at the machine in the middle of a run:
   * called by code that acts as the console, it changes nothing of what happens.
   */
  hold(): () => void {
    let release: () => void = () => undefined;
    this.held = new Promise((resolve) => {
      release = () => {
        this.held = undefined;
        resolve();
      };
    });
    return release;
  }

  stop(): void {
    this.stopped = true;
    this.queue.onPush();
  }

  /** Runs an event that was taken from the queue. */
  take(event: SimulatedEvent): void {
    this.takeAt(event.time_ns, event.run);
  }

  /** Runs something as if it were an event. */
  takeAt(time_ns: number, run: () => void): void {
    if (time_ns > this.time_ns) this.time_ns = time_ns;
    this.onEvent(time_ns);
    run();
  }

  /** From an event: the core executes until `rested`. */
  runStep(core: SimCore, execute: () => void): void {
    this.stepping = core;
    // Whoever waited for what the console now learns goes on in callbacks after its step.
    if (core.isConsole) this.outsideRuns = true;
    this.step = new Promise<void>((resolve) => {
      this.stepEnded = resolve;
    });
    this.watch();
    execute();
  }

  /** The core that executed rests, or will never execute again. */
  rested(core: SimCore): void {
    if (this.stepping !== core) return;
    const { stepEnded } = this;
    this.stepping = undefined;
    this.step = undefined;
    this.stepEnded = undefined;
    stepEnded?.();
  }

  /** Code outside the machine may go on: it is given time before the next event. */
  outsideCodeRuns(): void {
    this.outsideRuns = true;
  }

  /**
   * A step consists of nothing but promise callbacks, so it has ended when the host gets a turn. One that has not
   * never will: its core waits for something that is not the machine's.
   */
  private watch(): void {
    if (this.watching) return;
    this.watching = true;
    void this.hostTurn().then(() => {
      this.watching = false;
      if (this.stopped || this.stepping === undefined) return;
      this.failed(new Error(`core ${this.stepping.id} neither rests nor executes`));
    });
  }
}
