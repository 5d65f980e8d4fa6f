/**
 * A core of the host machine: what one thread needs to act as one. Worker threads run kernels on it; the
 * main thread has one too, the console core, on which only asynchronous waiting is allowed.
 */
import { randomFillSync } from "node:crypto";
import { writeSync } from "node:fs";
import { threadWaiting } from "../../memory/index.ts";
import type { Core } from "../machine.ts";
import { corePower } from "../machine.ts";
import { type ClockOrigin, HostClock } from "./clock.ts";
import { type ControlAccessor, controlAccessor, raise } from "./control.ts";
import type { Mailboxes } from "./mailboxes.ts";
import { tick_ns } from "./timer.ts";
import { type TimerAccessor, timerPage } from "./timer-page.ts";

/** What every thread of the machine is given: shareable with `workerData`. */
export interface HostWiring extends ClockOrigin {
  /** The island's memory. */
  readonly ram: WebAssembly.Memory;
  /** One per core, the console core last. */
  readonly controls: readonly WebAssembly.Memory[];
  readonly timer: WebAssembly.Memory;
  /** How long an idle core spins before it parks; 0 where cores outnumber processors. */
  readonly idleSpin_ns: number;
}

/** How often an idle core lets the host runtime run its own pending work (weak references, code installation). */
const hostTurnInterval_ns = 50_000_000;
const entropyPool_bytes = 4_096;
/** A parked core looks around at least this often, whatever happens. */
const longestPark_ms = 1_000;

export class HostCore implements Core {
  readonly id: number;
  readonly clock: HostClock;
  readonly control: WebAssembly.Memory;
  readonly ram: WebAssembly.Memory;
  readonly soc = null;
  readonly waiting = threadWaiting;
  private readonly page: ControlAccessor;
  private readonly pages: readonly ControlAccessor[];
  private readonly timer: TimerAccessor;
  private readonly idleSpin_ns: number;
  private readonly entropy = new Uint8Array(entropyPool_bytes);
  private entropyUsed = entropyPool_bytes;
  private nextHostTurn_ns = 0;
  private readonly asynchronous: boolean;
  private readonly mailboxes: Mailboxes | null;

  /** @param mailboxes null for the console core, which is asynchronous and exchanges no objects. */
  constructor(id: number, wiring: HostWiring, mailboxes: Mailboxes | null) {
    this.id = id;
    this.mailboxes = mailboxes;
    this.timer = timerPage(wiring.timer);
    this.clock = new HostClock(wiring, this.timer);
    this.clock.tick();
    this.control = wiring.controls[id];
    this.ram = wiring.ram;
    this.pages = wiring.controls.map(controlAccessor);
    this.page = this.pages[id];
    this.idleSpin_ns = wiring.idleSpin_ns;
    this.asynchronous = mailboxes === null;
  }

  interrupt(core: number, lines: number): void {
    raise(this.pages[core], lines);
  }

  takeInterrupts(): number {
    if (this.page.pending(0) === 0) return 0;
    return this.page.exchangePending(0, 0);
  }

  interruptPending(): boolean {
    return this.page.pending(0) !== 0;
  }

  setTimer(deadline_ns: number): void {
    this.page.setTimerDeadline_ns(0, deadline_ns);
    // Either the timer's scan sees the deadline, or this look sees that it is scanning (`runTimer`).
    this.page.addTimerSettings(0, 1);
    if (deadline_ns < this.timer.nextWake_ns(0)) this.wakeTimer();
  }

  private wakeTimer(): void {
    this.timer.addChanges(0, 1);
    this.timer.notifyChanges(0, 1);
  }

  /** After a sleep the coarse time is old, and the timer may have stopped ticking. */
  private wakeUp(): void {
    this.page.setParked(0, 0);
    this.clock.tick();
    if (this.timer.nextWake_ns(0) > this.clock.monotonic_ns() + 2 * tick_ns) this.wakeTimer();
  }

  async idle(deadline_ns: number): Promise<void> {
    const page = this.page;
    if (this.asynchronous) return this.idleAsynchronously(deadline_ns);
    const start_ns = this.clock.monotonic_ns();
    const spinUntil_ns = Math.min(start_ns + this.idleSpin_ns, deadline_ns);
    if (this.idleSpin_ns > 0) {
      do {
        for (let n = 0; n < 32; n++) {
          if (page.pending(0) !== 0) return;
          Atomics.pause();
        }
      } while (this.clock.monotonic_ns() < spinUntil_ns);
    }
    if (start_ns > this.nextHostTurn_ns) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.nextHostTurn_ns = this.clock.monotonic_ns() + hostTurnInterval_ns;
    }
    page.setParked(0, 1);
    if (page.pending(0) === 0) {
      const wait_ms = Math.min((deadline_ns - this.clock.monotonic_ns()) / 1e6, longestPark_ms);
      if (wait_ms > 0) page.waitPending(0, 0, wait_ms);
    }
    this.wakeUp();
  }

  private async idleAsynchronously(deadline_ns: number): Promise<void> {
    const page = this.page;
    page.setParked(0, 1);
    if (page.pending(0) === 0) {
      const wait_ms = (deadline_ns - this.clock.monotonic_ns()) / 1e6;
      await page.waitAsyncPending(0, 0, Math.max(0, wait_ms));
    }
    this.wakeUp();
  }

  pause(): void {
    Atomics.pause();
  }

  random(target: Uint8Array): void {
    // Small requests are served from a pool: asking the host costs more than a microsecond.
    for (let at = 0; at < target.length; ) {
      if (this.entropyUsed === this.entropy.length) {
        randomFillSync(this.entropy);
        this.entropyUsed = 0;
      }
      const count = Math.min(target.length - at, this.entropy.length - this.entropyUsed);
      const piece = this.entropy.subarray(this.entropyUsed, this.entropyUsed + count);
      target.set(piece, at);
      // Handed-out bytes are not kept.
      piece.fill(0);
      this.entropyUsed += count;
      at += count;
    }
  }

  start(core: number, kernel: number): boolean {
    const page = this.pages[core];
    if (page.compareExchangePower(0, corePower.off, corePower.claimed) !== corePower.off) return false;
    page.setBootKernel(0, kernel);
    page.setBootedBy(0, this.id);
    page.setPower(0, corePower.starting);
    page.notifyPower(0);
    return true;
  }

  /** A line for the operator, on standard error, written at once: the core may be about to stop. */
  log(line: string): void {
    writeSync(2, `${line}\n`);
  }

  /** Says that the kernel on this core is up. */
  announce(): void {
    this.page.setPower(0, corePower.on);
    this.page.notifyPower(0);
  }

  power(core: number): number {
    return this.pages[core].power(0);
  }

  post(core: number, object: unknown): void {
    this.mailboxes?.post(core, object);
  }

  collect(from: number): unknown {
    return this.mailboxes?.collect(from);
  }

  /** Cores are threads: nobody has to make room for others. */
  mustRunOthers(): boolean {
    return false;
  }

  async runOthers(): Promise<void> {}

  attend(): void {}

  panic(error: unknown): void {
    setImmediate(() => {
      throw error;
    });
  }
}
