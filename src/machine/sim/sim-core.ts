/**
 * A core of the simulated machine, as the kernel on it sees it. All cores share one thread; a core's local time runs
 * ahead while it executes, and everything that takes time says so here.
 *
 * A core is *executing* during its step: from the event that lets it go on until it idles, lets others run, or stops.
 * One object is one incarnation: when the core crashes, its object stays dead whatever its code still tries, and a new
 * one takes its place.
 */
import { type Accessor, overlay, type Waiting } from "../../memory/index.ts";
import { type Clock, ControlPage, type Core, corePower, interruptLine } from "../machine.ts";
import type { CoreKind } from "../profiles/profile.ts";
import type { CacheController, Soc } from "../soc.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { Random } from "./random.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimulatedSoc } from "./sim-soc.ts";
import { SimulatedWaiting } from "./sim-waiting.ts";

/** Thrown at the next access of a core that has crashed or was switched off: nothing of its code may go on. */
export class CoreStopped extends Error {
  override readonly name: string = "CoreStopped";
}

/** What a look at the clock takes: nothing that waits by looking at it waits for ever. */
const clockRead_cycles = 20;
/** One round of a spin loop. */
const pause_cycles = 40;
/** A slice is never so short that a program makes no progress. */
const shortestSlice_ns = 500;
const mostFuel = 2 ** 30;
/** How deep in an object that is posted to another core memories are looked for. */
const parcelDepth = 3;
/** A step ends after this time even if no other core wants to run: the host has things to do, too. */
const longestStep_ns = 200_000;

export type CoreActivity = "off" | "idle" | "waiting" | "executing";

export class SimCore implements Core {
  readonly id: number;
  readonly island: number;
  readonly kind: CoreKind;
  readonly control: WebAssembly.Memory;
  readonly ram: WebAssembly.Memory;
  readonly clock: Clock;
  readonly soc: Soc;
  readonly waiting: Waiting;
  /** Local time; what the running program has executed since `grant` is not in it yet. */
  private local_ns: number;
  private readonly machine: SimMachine;
  /** The code that booted the system acts as this core. */
  readonly isConsole: boolean;
  private readonly page: Accessor<typeof ControlPage.fields>;
  private readonly entropy: Random;
  private readonly cycle_ns: number;
  private readonly instruction_ns: number;
  private pending = 0;
  /** Those of the pending lines that were served while another core was spinning. */
  private served = 0;
  private granted = 0;
  private sliceEnd_ns = 0;
  private stepEnd_ns = 0;
  /** While a handler runs: how far what it has interrupted has got. */
  private presentEnd_ns = 0;
  /** What ends the present rest of the core. */
  private goOn: (() => void) | undefined;
  private step: SimulatedEvent | undefined;
  private timer: SimulatedEvent | undefined;
  private serve: (() => void) | undefined;
  private attended = false;
  private spinning = false;
  /** Handlers under way, each in the middle of the one before. */
  private handlers = 0;
  /** A handler runs that was to wait until a time: the core's own code may not have got so far yet. */
  isPostponed = false;
  activity: CoreActivity = "off";
  dead = false;
  /** Accesses to memory until a crash that was ordered; Infinity for none. */
  accessesUntilCrash = Infinity;

  constructor(machine: SimMachine, id: number, island: number, kind: CoreKind, memories: CoreMemories) {
    this.machine = machine;
    this.id = id;
    this.island = island;
    this.kind = kind;
    this.control = memories.control;
    this.ram = memories.ram;
    this.page = overlay(ControlPage, this.control.buffer, { format: "ilp32", base: 0, count: 1 });
    this.page.setFuel(0, 0);
    this.entropy = memories.random;
    this.cycle_ns = 1000 / kind.frequency_MHz;
    this.instruction_ns = this.cycle_ns * kind.cyclesPerInstruction;
    this.local_ns = Math.max(machine.driver.time_ns, memories.from_ns);
    this.isConsole = id === machine.coreCount;
    if (this.isConsole) this.activity = "executing";
    this.waiting = new SimulatedWaiting(this, machine.waiters);
    this.soc = new SimulatedSoc(this, machine);
    const now_ns = () => this.readClock();
    this.clock = {
      monotonic_ns: now_ns,
      realtime_ns: () => machine.originRealtime_ns + now_ns(),
      coarse_ns: () => machine.originRealtime_ns + now_ns(),
      resolution_ns: 1,
    };
  }

  /**
   * Local time with everything that was executed. A core that does nothing by itself has lived as long as the machine:
   * what others do to it, or in its name, they do now.
   */
  now_ns(): number {
    const { driver } = this.machine;
    const rests = this.isConsole ? driver.executing !== this : this.activity === "idle";
    // A handler is where it was called.
    if (rests && this.handlers === 0 && driver.time_ns > this.local_ns) this.local_ns = driver.time_ns;
    return this.reached_ns();
  }

  /** As `reached_ns`, for whoever only looks: nothing that happens later depends on it, not even by a rounding. */
  seen_ns(): number {
    return this.local_ns + (this.granted - this.page.fuel(0)) * this.instruction_ns;
  }

  /** How far the core has got by what it has done itself. */
  reached_ns(): number {
    const left = this.page.fuel(0);
    if (left !== this.granted) {
      this.local_ns += (this.granted - left) * this.instruction_ns;
      this.granted = left;
    }
    return this.local_ns;
  }

  private readClock(): number {
    this.requireAlive();
    this.spend(clockRead_cycles);
    return this.now_ns();
  }

  /** @throws CoreStopped when this core is not to do anything any more. */
  requireAlive(): void {
    if (this.dead) throw new CoreStopped(`core ${this.id} has stopped`);
  }

  spend(cycles: number): void {
    this.spend_ns(cycles * this.cycle_ns);
  }

  spend_ns(duration_ns: number): void {
    this.local_ns += duration_ns;
    if (this.granted >= 0 && this.local_ns >= this.sliceEnd_ns) this.stopSlice();
  }

  /** An access to the island's memory by this core's code: see `CacheController`. */
  readonly access: CacheController["access"] = (offset, length, write) => {
    this.requireAlive();
    if (--this.accessesUntilCrash < 0) {
      this.machine.crash(this.id);
      this.requireAlive();
    }
    const { kind } = this;
    const filled = this.machine.caches.access(this.island, offset, length, write);
    const bytes_cycles = length > 8 ? length * kind.cyclesPerByte : 0;
    this.spend_ns((kind.cyclesPerAccess + bytes_cycles) * this.cycle_ns + filled * kind.pageFill_us * 1000);
  };

  /** The running program polls at its next opportunity. */
  private stopSlice(): void {
    this.now_ns();
    if (this.granted < 0) return;
    this.page.setFuel(0, -1);
    this.granted = -1;
  }

  /** Gives the running program what is left of the slice. */
  private grant(): void {
    this.now_ns();
    const left_ns = Math.max(this.sliceEnd_ns - this.local_ns, shortestSlice_ns);
    const fuel = this.pending !== 0 ? -1 : Math.min(Math.floor(left_ns / this.instruction_ns), mostFuel);
    this.page.setFuel(0, fuel);
    this.granted = fuel;
  }

  // --- Interrupts -----------------------------------------------------------------------------------------------

  interrupt(core: number, lines: number): void {
    this.requireAlive();
    if (core === this.id) this.raise(lines, this.now_ns());
    else this.machine.sendInterrupt(this, core, lines);
  }

  /** Lines arrive, at a time of the machine. */
  raise(lines: number, time_ns: number): void {
    if (this.dead || this.activity === "off") return;
    this.pending |= lines;
    this.served &= ~lines;
    if (this.activity === "idle") this.scheduleStep(Math.max(time_ns, this.local_ns));
    else this.stopSlice();
  }

  takeInterrupts(): number {
    this.requireAlive();
    this.ringTimer();
    const lines = this.pending;
    if (lines === 0) return 0;
    this.pending = 0;
    this.spend(this.kind.interruptEntry_cycles);
    return lines;
  }

  interruptPending(): boolean {
    return this.pending !== 0;
  }

  setTimer(deadline_ns: number): void {
    this.requireAlive();
    if (this.timer !== undefined) this.machine.queue.cancel(this.timer);
    this.timer = undefined;
    if (deadline_ns === Infinity) return;
    const at_ns = Math.max(deadline_ns, this.now_ns());
    this.timer = this.machine.queue.push(at_ns, true, () => this.timerRings(at_ns), "timer");
  }

  private timerRings(at_ns: number): void {
    this.timer = undefined;
    this.machine.trace.record("timer", at_ns, this.id);
    this.raise(interruptLine.timer, at_ns);
  }

  /** The timer is the core's own: when its time has come on this core, it has rung, whatever others have still to do. */
  private ringTimer(): void {
    const { timer } = this;
    if (timer === undefined || timer.time_ns > this.now_ns()) return;
    this.machine.queue.cancel(timer);
    this.timerRings(timer.time_ns);
  }

  // --- Steps ----------------------------------------------------------------------------------------------------

  async idle(deadline_ns: number): Promise<void> {
    this.requireAlive();
    if (this.pending !== 0) return;
    const now_ns = this.now_ns();
    if (deadline_ns <= now_ns) return;
    const asleep = this.rest("idle");
    if (deadline_ns !== Infinity) this.scheduleStep(deadline_ns);
    this.machine.power.idle(this.id, now_ns);
    await asleep;
  }

  mustRunOthers(): boolean {
    this.requireAlive();
    const now_ns = this.now_ns();
    if (now_ns >= this.sliceEnd_ns) {
      const next = this.machine.queue.next();
      const othersWait = next !== undefined && next.time_ns <= now_ns;
      if (othersWait || now_ns >= this.stepEnd_ns) return true;
      this.beginSlice();
    }
    this.grant();
    return false;
  }

  runOthers(): Promise<void> {
    this.requireAlive();
    const resting = this.rest("waiting");
    this.scheduleStep(this.local_ns);
    return resting;
  }

  private beginSlice(): void {
    this.sliceEnd_ns = this.machine.sliceEnd_ns(this.local_ns);
  }

  private rest(activity: CoreActivity): Promise<void> {
    this.activity = activity;
    return new Promise<void>((resolve) => {
      this.goOn = resolve;
      this.machine.driver.rested(this);
    });
  }

  /** The core's next step is at this time, or earlier if one was to be earlier. */
  private scheduleStep(time_ns: number): void {
    if (this.step !== undefined) {
      if (this.step.time_ns <= time_ns) return;
      this.machine.queue.cancel(this.step);
    }
    this.step = this.machine.queue.push(time_ns, false, () => {
      this.step = undefined;
      this.machine.driver.runStep(this, () => this.execute(time_ns));
    });
  }

  /** The machine lets the core execute from now on, until it rests. */
  private execute(time_ns: number): void {
    const { power, trace } = this.machine;
    if (time_ns > this.local_ns) this.local_ns = time_ns;
    if (this.activity !== "waiting") this.local_ns = power.activate(this.id, this.local_ns);
    trace.record("step", this.local_ns, this.id, this.pending);
    this.activity = "executing";
    this.stepEnd_ns = this.local_ns + longestStep_ns;
    this.beginSlice();
    this.grant();
    const { goOn } = this;
    this.goOn = undefined;
    goOn?.();
  }

  /** The kernel that is to run on the core begins. */
  boot(time_ns: number, kernel: () => Promise<void>): void {
    this.machine.trace.record("boot", time_ns, this.id);
    this.activity = "executing";
    this.local_ns = this.machine.power.switchOn(this.id, Math.max(time_ns, this.local_ns));
    this.beginSlice();
    kernel().then(
      () => this.halted(),
      (error: unknown) => this.panic(error),
    );
  }

  private halted(): void {
    if (this.dead) return;
    this.stop();
    this.machine.kernelHalted(this);
    this.machine.driver.rested(this);
  }

  /** Nothing of this incarnation goes on any more. */
  stop(): void {
    this.dead = true;
    this.activity = "off";
    this.goOn = undefined;
    for (const event of [this.step, this.timer]) if (event !== undefined) this.machine.queue.cancel(event);
  }

  panic(error: unknown): void {
    if (this.dead) return;
    this.machine.panicked(this, error);
  }

  // --- While kernel code waits ----------------------------------------------------------------------------------

  attend(serve: () => void): void {
    this.serve = serve;
  }

  /** Serves pending interrupts of this core while another one spins; false if there are none, or it cannot. */
  serveFor(time_ns: number): boolean {
    // Code outside the machine may wait itself, while the console's core counts as idle.
    const canServe = (this.activity === "idle" || this.activity === "waiting") && !this.spinning;
    if ((this.pending & ~this.served) === 0 || !canServe || this.attended || this.serve === undefined)
      return false;
    const lines = this.pending;
    this.attended = true;
    this.atInterruptLevel(time_ns, this.serve);
    this.attended = false;
    // It looks again when it goes on by itself: what was asked of it may concern the program that it runs.
    this.raise(lines, this.local_ns);
    this.served |= lines;
    return true;
  }

  /**
   * Runs a handler of this core at a time. What the handler takes delays what the core was doing, if it was doing
   * something. A core that idles by now may have been busy then, and one whose next step is due before has not done that
   * yet: the handler is served at its time all the same.
   */
  atInterruptLevel(time_ns: number, handler: () => void): void {
    if (this.dead) return;
    const ahead_ns = this.reached_ns();
    const { power } = this.machine;
    const wasIdle = this.activity === "idle";
    const due_ns = this.step === undefined ? Infinity : Math.max(ahead_ns, this.step.time_ns);
    const free_ns = Math.max(ahead_ns, Math.min(due_ns, time_ns));
    const awake_ns = wasIdle ? power.activate(this.id, free_ns) : time_ns;
    const start_ns = time_ns < ahead_ns ? time_ns : Math.max(time_ns, awake_ns);
    this.local_ns = start_ns;
    const outer_ns = this.presentEnd_ns;
    this.presentEnd_ns = Math.max(ahead_ns, outer_ns);
    this.handlers++;
    try {
      handler();
    } catch (error) {
      // What ends this core must not end the code of another one that it has interrupted.
      if (!this.dead) this.panic(error);
    }
    this.handlers--;
    this.presentEnd_ns = outer_ns;
    if (this.dead) return;
    const taken_ns = this.local_ns - start_ns;
    this.local_ns = Math.max(ahead_ns, Math.min(due_ns, start_ns)) + taken_ns;
    if (wasIdle && this.activity === "idle") power.idle(this.id, this.local_ns);
  }

  /** See `Soc.defer`. */
  defer(handler: () => void, notBefore_ns = 0): void {
    const now_ns = this.now_ns();
    const free_ns = this.activity === "waiting" ? Math.max(now_ns, this.presentEnd_ns) : now_ns;
    const time_ns = Math.max(free_ns, notBefore_ns);
    const postponed = () => {
      this.isPostponed = true;
      try {
        handler();
      } finally {
        this.isPostponed = false;
      }
    };
    const run = time_ns > free_ns ? postponed : handler;
    this.machine.queue.push(time_ns, true, () => this.atInterruptLevel(time_ns, run), "deferred");
  }

  pause(): void {
    this.requireAlive();
    this.spend(pause_cycles);
    const outer = this.spinning;
    this.spinning = true;
    try {
      this.machine.spin(this);
    } finally {
      this.spinning = outer;
    }
    this.requireAlive();
  }

  /** Waits, at least until a time. */
  advanceTo(time_ns: number): void {
    this.now_ns();
    if (time_ns > this.local_ns) this.spend_ns(time_ns - this.local_ns);
  }

  // --- The rest -------------------------------------------------------------------------------------------------

  random(target: Uint8Array): void {
    this.entropy.fill(target);
  }

  start(core: number, kernel: number): boolean {
    this.requireAlive();
    return this.machine.startCore(core, kernel, this);
  }

  announce(): void {
    this.requireAlive();
    this.machine.setCorePower(this.id, corePower.on);
  }

  power(core: number): number {
    return this.machine.corePower(core);
  }

  post(core: number, object: unknown): void {
    this.requireAlive();
    if (this.machine.islandOfCore[core] !== this.island) this.spendOnCaches(object);
    this.machine.postObject(this.id, core, object);
  }

  collect(from: number): unknown {
    const object = this.machine.collectObject(from, this.id);
    if (this.machine.islandOfCore[from] !== this.island) this.spendOnCaches(object);
    return object;
  }

  /** A program's memory changes islands: as much of it as the cache holds is written back here, or fetched. */
  private spendOnCaches(object: unknown, depth = 0): void {
    if (object instanceof WebAssembly.Memory) {
      this.spend(Math.min(object.buffer.byteLength, this.kind.cache_bytes) * this.kind.cyclesPerByte);
    } else if (
      typeof object === "object" &&
      object !== null &&
      !ArrayBuffer.isView(object) &&
      depth < parcelDepth
    ) {
      for (const part of Object.values(object)) this.spendOnCaches(part, depth + 1);
    }
  }

  log(line: string): void {
    // Whoever stops in the middle of something has nothing to say about it.
    if (!this.dead) this.machine.log(line);
  }
}

export interface CoreMemories {
  readonly control: WebAssembly.Memory;
  /** The island's copy of memory. */
  readonly ram: WebAssembly.Memory;
  readonly random: Random;
  /** Where its time begins at the earliest: the core's last incarnation may have been ahead. */
  readonly from_ns: number;
}
