/**
 * Power states of the cores: active while executing, idle while waiting for an interrupt, inactive (caches off, slow
 * to wake) when idle for long, off. The machine says when a core starts and stops executing; the change to inactive
 * comes by itself.
 *
 * Handlers are told when a core goes to sleep or wakes up, that is when it becomes inactive or off, or leaves these
 * states. They are not told of changes between active and idle, which happen with every interrupt. To be told wakes a
 * core as any interrupt does, so kernels ask for the cores that concern them alone: two cores that each tell the other
 * when they fall asleep never sleep.
 */
import type { CoreKind } from "../profiles/profile.ts";
import { type PowerController, powerState } from "../soc.ts";
import { EnergyMeter } from "./energy-meter.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { SimWiring } from "./wiring.ts";

export type PowerHandler = (core: number, state: number) => void;

/** A core's handler, and the cores whose changes it is told of; all of them if missing. */
interface Observer {
  readonly handler: PowerHandler;
  readonly cores: readonly number[] | undefined;
}

/** What power control needs to know of a core. */
export interface PoweredCore {
  readonly kind: CoreKind;
  /** Name of the rail that feeds it. */
  readonly rail: string;
}

/** One core's state, and its way to sleep. */
interface Sleeper {
  state: number;
  /** When it can execute after its last waking. */
  ready_ns: number;
  /** When it becomes inactive unless something happens. */
  timeout: SimulatedEvent | undefined;
  readonly inactiveAfter_ns: number;
  readonly wakeUp_ns: number;
  /** It is telling its own handler that it goes to sleep: see `fallAsleep`. */
  closing: boolean;
}

export class PowerControl {
  readonly meter: EnergyMeter;
  private readonly wiring: SimWiring;
  private readonly sleepers: readonly Sleeper[];
  private readonly observers: (Observer | undefined)[];

  /** All cores are off. @param cores One for each core of the machine. */
  constructor(wiring: SimWiring, cores: readonly PoweredCore[], keepHistory = false) {
    this.wiring = wiring;
    this.meter = new EnergyMeter(cores, keepHistory);
    this.observers = cores.map(() => undefined);
    this.sleepers = cores.map(({ kind }) => ({
      state: powerState.off,
      ready_ns: 0,
      timeout: undefined,
      inactiveAfter_ns: kind.inactiveTimeout_ms * 1e6,
      wakeUp_ns: kind.wakeUp_us * 1000,
      closing: false,
    }));
  }

  /** The power controller as one core's kernel sees it. */
  of(core: number) {
    return {
      state: (other: number) => this.state(other),
      onChange: (handler: PowerHandler, cores?: readonly number[]) => this.onChange(core, handler, cores),
    } satisfies PowerController;
  }

  /**
   * Sets a core's handler: see `PowerController.onChange`. It is forgotten when the core is switched off.
   * @param cores The cores that concern it; all if missing.
   */
  onChange(core: number, handler: PowerHandler, cores?: readonly number[]): void {
    this.observers[core] = { handler, cores };
  }

  state(core: number): number {
    return this.sleepers[core].state;
  }

  /** Energy of a rail since the machine was switched on, in millijoules: see `EnergyMeter.energy_mJ`. */
  energy_mJ(rail: string, time_ns: number): number {
    return this.meter.energy_mJ(rail, time_ns);
  }

  /**
   * A core executes from `time_ns` on.
   * @returns when it really can: later when it has to wake up first.
   * @throws Error when it is off.
   */
  activate(core: number, time_ns: number): number {
    const sleeper = this.sleepers[core];
    if (sleeper.closing) return time_ns;
    if (sleeper.state === powerState.off) throw new Error(`core ${core} is off and cannot execute`);
    this.cancelTimeout(sleeper);
    const slept = sleeper.state === powerState.inactive;
    if (sleeper.state !== powerState.active) this.change(core, powerState.active, time_ns);
    if (slept) {
      sleeper.ready_ns = time_ns + sleeper.wakeUp_ns;
      this.tellAll(core, powerState.active, sleeper.ready_ns);
    }
    return Math.max(time_ns, sleeper.ready_ns);
  }

  /** A core waits for an interrupt from `time_ns` on; after its timeout it becomes inactive. */
  idle(core: number, time_ns: number): void {
    const sleeper = this.sleepers[core];
    if (sleeper.closing || sleeper.state !== powerState.active) return;
    this.change(core, powerState.idle, time_ns);
    if (sleeper.inactiveAfter_ns === Number.POSITIVE_INFINITY) return;
    const at_ns = time_ns + sleeper.inactiveAfter_ns;
    sleeper.timeout = this.wiring.queue.push(at_ns, true, () => this.fallAsleep(core, at_ns), "inactive");
  }

  /** A core that is off gets power. @returns when it can execute. */
  switchOn(core: number, time_ns: number): number {
    const sleeper = this.sleepers[core];
    if (sleeper.state !== powerState.off) throw new Error(`core ${core} is on already`);
    this.change(core, powerState.active, time_ns);
    sleeper.ready_ns = time_ns + sleeper.wakeUp_ns;
    this.tellAll(core, powerState.active, sleeper.ready_ns);
    return sleeper.ready_ns;
  }

  /** A core loses power, whatever it does: it was halted or has crashed. Its handler is forgotten. */
  switchOff(core: number, time_ns: number): void {
    const sleeper = this.sleepers[core];
    this.observers[core] = undefined;
    this.cancelTimeout(sleeper);
    sleeper.closing = false;
    if (sleeper.state === powerState.off) return;
    this.change(core, powerState.off, time_ns);
    this.tellAll(core, powerState.off, time_ns);
  }

  /** For fault injection: an idle core becomes inactive now instead of after its timeout. False if it is not idle. */
  sleepNow(core: number, time_ns: number): boolean {
    const sleeper = this.sleepers[core];
    if (sleeper.state !== powerState.idle || sleeper.closing) return false;
    this.cancelTimeout(sleeper);
    sleeper.timeout = this.wiring.queue.push(time_ns, true, () => this.fallAsleep(core, time_ns), "inactive");
    return true;
  }

  /** An idle core's timeout: its own handler first, while its caches still work; then the change, then the others. */
  private fallAsleep(core: number, time_ns: number): void {
    const sleeper = this.sleepers[core];
    sleeper.timeout = undefined;
    const handler = this.handlerFor(core, core);
    let now_ns = time_ns;
    if (handler !== undefined) {
      // While it closes, what `runHandler` does to wake the core and to put it to rest has no effect. An interrupt
      // that comes now wakes the core as soon as it is inactive.
      sleeper.closing = true;
      this.meter.change(core, powerState.active, time_ns);
      now_ns = this.wiring.runHandler(core, time_ns, () => handler(core, powerState.inactive));
      // It may have crashed in there.
      if (!sleeper.closing) return;
      sleeper.closing = false;
      this.meter.change(core, powerState.idle, now_ns);
    }
    this.change(core, powerState.inactive, now_ns);
    this.tellOthers(core, powerState.inactive, now_ns);
  }

  /** The handler of a core if it wants to be told of another one. */
  private handlerFor(observer: number, core: number): PowerHandler | undefined {
    const registered = this.observers[observer];
    if (registered?.cores !== undefined && !registered.cores.includes(core)) return undefined;
    return registered?.handler;
  }

  private change(core: number, state: number, time_ns: number): void {
    this.sleepers[core].state = state;
    this.meter.change(core, state, time_ns);
    this.wiring.trace("power", core, state, time_ns);
  }

  private cancelTimeout(sleeper: Sleeper): void {
    if (sleeper.timeout !== undefined) this.wiring.queue.cancel(sleeper.timeout);
    sleeper.timeout = undefined;
  }

  private tellAll(core: number, state: number, time_ns: number): void {
    this.tell(core, core, state, time_ns);
    this.tellOthers(core, state, time_ns);
  }

  private tellOthers(core: number, state: number, time_ns: number): void {
    for (let other = 0; other < this.observers.length; other++) {
      if (other !== core) this.tell(other, core, state, time_ns);
    }
  }

  /** Handlers run as events of their own: the change may come from the middle of some core's kernel code. */
  private tell(observer: number, core: number, state: number, time_ns: number): void {
    if (this.handlerFor(observer, core) === undefined) return;
    const run = () => {
      const handler = this.handlerFor(observer, core);
      if (handler === undefined || !this.wiring.isOn(observer)) return;
      this.wiring.runHandler(observer, time_ns, () => handler(core, state));
    };
    this.wiring.queue.push(time_ns, true, run, "power");
  }
}
