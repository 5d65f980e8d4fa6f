/**
 * The simulated machine: cores, islands and a chip from a profile, all in one thread, under a virtual clock. Same
 * profile, seed and use: same trace.
 *
 * The console, where the code that boots a system lives, is one more core. On a machine of several islands it has an
 * island of its own, takes no time and no energy: looking at the system does not change what is measured.
 */
import { corePower, interruptLine, type Machine, type OperatorLog } from "../machine.ts";
import { type CoreKind, type MachineProfile, noCoherenceCosts } from "../profiles/profile.ts";
import { sharedInterrupt } from "../soc.ts";
import { Caches } from "./caches.ts";
import { DmaEngines } from "./dma-engine.ts";
import { Driver } from "./driver.ts";
import { InterruptControllers } from "./interrupt-controllers.ts";
import { LostCores } from "./lost-cores.ts";
import { Mailboxes } from "./mailboxes.ts";
import { NetworkControllers } from "./network-controller.ts";
import { PowerControl } from "./power.ts";
import { Random } from "./random.ts";
import { SimCore } from "./sim-core.ts";
import { Waiters } from "./sim-waiting.ts";
import { Spinlocks } from "./spinlocks.ts";
import { Trace, type TraceOptions } from "./trace.ts";
import type { SimWiring } from "./wiring.ts";

export interface SimMachineOptions {
  readonly profile: MachineProfile;
  /** Everything that is left to chance follows from it. */
  readonly seed: number | string;
  readonly memory_bytes: number;
  /** Memory that no cache holds. */
  readonly uncached_bytes: number;
  /** Runs kernel `kernel` on a core until it halts. */
  readonly bootKernel: (core: SimCore, kernel: number, bootedBy: number) => Promise<void>;
  readonly log: OperatorLog;
  /** A core was found to be lost; at interrupt level. */
  readonly onCoreLost: (core: number) => void;
  /**
   * Frees what a lost core has held, a piece each time it is resumed. Pieces may be done while a core waits for a lock, in
   * the middle of its code. Default: there is nothing to free.
   */
  readonly freeHeldBy?: (core: number) => Iterator<void>;
  /** Everything is free that a lost core has held, and no kernel code is under way: the rest can be cleaned up. */
  readonly onCoreFailed: (core: number, reason: string) => void;
  /** The simulation itself cannot go on. */
  readonly onFailure: (error: unknown) => void;
  /** Resolves when the host has nothing left to do, for example at its event loop's next turn. */
  readonly hostTurn: () => Promise<void>;
  /** Time of the clock on the wall at the start; the same in every run unless given. */
  readonly originRealtime_ns?: number;
  readonly trace?: TraceOptions;
}

/** Fault injection: extra latency of an interrupt between two cores. */
export type InterruptDelay = (from: number, to: number) => number;

const defaultOrigin_ns = 1_700_000_000e9;
/** Slices of programs last so long, and a little more by chance, while other cores wait for their turn. */
const slice_ns = 20_000;
const sliceJitter_ns = 10_000;
/** A spinning core for which nothing happens looks again after this time. */
const longestPause_ns = 1e6;
/** From a crash until the others know of it. */
const crashDetection_ns = 2e6;
const haltTimeout_ms = 2_000;

const consoleKind: CoreKind = {
  name: "console",
  frequency_MHz: 1000,
  cyclesPerInstruction: 0,
  cyclesPerAccess: 0,
  cyclesPerUncachedAccess: 0,
  cyclesPerByte: 0,
  interruptEntry_cycles: 0,
  pageFill_us: 0,
  cache_bytes: 0,
  power_mW: { active: 0, idle: 0, inactive: 0 },
  inactiveTimeout_ms: Infinity,
  wakeUp_us: 0,
  coherence: noCoherenceCosts,
};
export const consoleRail = "console";

export class SimMachine implements Machine {
  readonly profile: MachineProfile;
  readonly coreCount: number;
  /** Island and kind of each core, the console's last. */
  readonly islandOfCore: readonly number[];
  readonly islandCount: number;
  readonly coreKinds: readonly string[];
  readonly originRealtime_ns: number;
  readonly driver: Driver;
  readonly queue: Driver["queue"];
  readonly random: Random;
  readonly trace: Trace;
  readonly caches: Caches;
  readonly uncached: SharedArrayBuffer;
  readonly power: PowerControl;
  readonly mailboxes: Mailboxes;
  readonly spinlocks: Spinlocks;
  readonly interrupts: InterruptControllers;
  readonly dma: DmaEngines;
  readonly network: NetworkControllers;
  readonly waiters: Waiters;
  /** Extra latency of interrupts; none unless a simulation sets it. */
  extraInterruptDelay_ns: InterruptDelay | undefined;
  private readonly options: SimMachineOptions;
  private readonly kinds: readonly CoreKind[];
  private readonly cores: SimCore[] = [];
  private readonly controls: WebAssembly.Memory[];
  private readonly powers: number[];
  private readonly slices: Random;
  /** Recoveries behind cores that have crashed, in the order of noticing. */
  private readonly lost = new LostCores();
  private readonly objects = new Map<string, unknown[]>();
  /** Where the code that calls a device is in time. */
  private device_ns = 0;

  constructor(options: SimMachineOptions) {
    const { profile } = options;
    this.options = options;
    this.profile = profile;
    const kindOf = (name: string): CoreKind => {
      const found = profile.kinds.find((kind) => kind.name === name);
      if (found === undefined)
        throw new RangeError(`profile ${profile.name}: no kind of core is called ${name}`);
      return found;
    };
    const own = profile.islands.flatMap((island, index) =>
      island.cores.map((kind) => ({ island: index, kind: kindOf(kind) })),
    );
    this.coreCount = own.length;
    const consoleIsland = profile.islands.length === 1 ? 0 : profile.islands.length;
    const all = [...own, { island: consoleIsland, kind: consoleKind }];
    this.islandOfCore = all.map(({ island }) => island);
    this.islandCount = consoleIsland === 0 ? 1 : consoleIsland + 1;
    this.kinds = all.map(({ kind }) => kind);
    this.coreKinds = this.kinds.map(({ name }) => name);
    this.originRealtime_ns = options.originRealtime_ns ?? defaultOrigin_ns;
    this.random = new Random(options.seed);
    this.slices = this.random.fork("slices");
    this.trace = new Trace(options.trace);
    this.driver = new Driver(options.hostTurn, options.onFailure, (time_ns) => {
      this.device_ns = time_ns;
    });
    this.queue = this.driver.queue;
    this.waiters = new Waiters(this);
    const wiring: SimWiring = {
      queue: this.queue,
      now_ns: () => this.device_ns,
      trace: (kind, core, first, second, third) =>
        this.trace.record(kind, wiring.now_ns(), core, first, second, third),
      isOn: (core) => this.cores[core].activity !== "off",
      runHandler: (core, time_ns, handler) => {
        this.cores[core].atInterruptLevel(time_ns, handler);
        return this.cores[core].reached_ns();
      },
    };
    this.caches = new Caches(roundUp(options.memory_bytes, 65_536), this.islandCount);
    this.uncached = new SharedArrayBuffer(options.uncached_bytes);
    this.power = new PowerControl(
      wiring,
      all.map(({ island, kind }) => ({
        kind,
        rail: kind === consoleKind ? consoleRail : profile.islands[island].rail,
      })),
    );
    this.mailboxes = new Mailboxes(wiring, all.length, profile.mailboxLatency_us * 1000);
    this.spinlocks = new Spinlocks(wiring, profile.spinlockCount);
    this.interrupts = new InterruptControllers(wiring, this.islandCount, (island) =>
      this.raiseDeviceLine(island),
    );
    this.dma = new DmaEngines(wiring, profile.dma, this.caches, () =>
      this.interrupts.raise(sharedInterrupt.dma),
    );
    this.network = new NetworkControllers(wiring, profile.network, () =>
      this.interrupts.raise(sharedInterrupt.network),
    );
    this.controls = all.map(() => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }));
    this.powers = all.map(({ kind }) => (kind === consoleKind ? corePower.on : corePower.off));
    for (const core of all.keys()) this.cores.push(this.makeCore(core));
    this.power.switchOn(this.coreCount, 0);
    this.driver.run();
  }

  /** @param from_ns where its time begins at the earliest. */
  private makeCore(core: number, from_ns = 0): SimCore {
    const island = this.islandOfCore[core];
    return new SimCore(this, core, island, this.kinds[core], {
      control: this.controls[core],
      ram: this.caches.memory(island),
      random: this.random.fork(`core ${core}`),
      from_ns,
    });
  }

  get console(): SimCore {
    return this.cores[this.coreCount];
  }

  /** Time of the latest event. */
  get time_ns(): number {
    return this.driver.time_ns;
  }

  core(core: number): SimCore {
    return this.cores[core];
  }

  /** A core calls a device: it does so at its own local time. */
  actAs(core: SimCore): void {
    core.requireAlive();
    this.device_ns = core.now_ns();
  }

  // --- Booting and stopping -------------------------------------------------------------------------------------

  async whenReady(): Promise<void> {}

  async whenOn(core: number, timeout_ms: number): Promise<void> {
    if (!(await this.untilPower(core, corePower.on, timeout_ms)))
      throw new Error(`core ${core} did not boot within ${timeout_ms} ms`);
  }

  corePower(core: number): number {
    return this.powers[core];
  }

  setCorePower(core: number, power: number): void {
    this.powers[core] = power;
    this.waiters.notify(powerAddress(core), Infinity);
  }

  /** False when time ran out first. */
  private async untilPower(core: number, power: number, timeout_ms: number): Promise<boolean> {
    const deadline_ns = this.driver.time_ns + timeout_ms * 1e6;
    while (this.powers[core] !== power) {
      const left_ms = (deadline_ns - this.driver.time_ns) / 1e6;
      if (left_ms <= 0) return false;
      await this.waiters.add(this.console, powerAddress(core), left_ms);
    }
    return true;
  }

  startCore(core: number, kernel: number, by: SimCore): boolean {
    if (this.powers[core] !== corePower.off) return false;
    this.setCorePower(core, corePower.starting);
    const time_ns = by.now_ns() + this.profile.interruptLatency_us * 1000;
    this.queue.push(time_ns, false, () => this.boot(core, kernel, by.id, time_ns), "boot");
    return true;
  }

  private boot(core: number, kernel: number, bootedBy: number, time_ns: number): void {
    const booting = this.cores[core];
    this.driver.runStep(booting, () => {
      booting.boot(time_ns, () => this.options.bootKernel(booting, kernel, bootedBy));
      this.interrupts.retry();
    });
  }

  /** The kernel on a core has halted by itself; the core can be started again. */
  kernelHalted(core: SimCore): void {
    this.trace.record("halt", core.now_ns(), core.id);
    this.switchOff(core);
    this.setCorePower(core.id, corePower.off);
  }

  private switchOff(core: SimCore): void {
    core.stop();
    this.power.switchOff(core.id, core.now_ns());
    this.mailboxes.reset(core.id);
    this.cores[core.id] = this.makeCore(core.id, core.now_ns());
    const island = this.islandOfCore[core.id];
    const isDark = this.islandOfCore.every((of, id) => of !== island || this.cores[id].activity === "off");
    if (!isDark) return;
    // What a reset controller does before it takes the power from an island.
    this.caches.writeBackAll(island);
    this.interrupts.reset(island);
  }

  async halt(cores: readonly number[]): Promise<boolean> {
    for (const core of cores) this.sendInterrupt(this.console, core, interruptLine.halt);
    const halted = await Promise.all(
      cores.map((core) => this.untilPower(core, corePower.off, haltTimeout_ms)),
    );
    return halted.every(Boolean);
  }

  async stop(): Promise<void> {
    const running = this.powers.flatMap((power, core) =>
      power === corePower.on && core < this.coreCount ? [core] : [],
    );
    await this.halt(running);
    this.driver.stop();
  }

  /** Ends the simulation as it is: nothing of it goes on. */
  abandon(): void {
    this.driver.stop();
  }

  delay(duration_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const time_ns = this.console.now_ns() + duration_ms * 1e6;
      this.queue.push(
        time_ns,
        true,
        () => {
          this.driver.outsideCodeRuns();
          resolve();
        },
        "delay",
      );
    });
  }

  // --- Faults ---------------------------------------------------------------------------------------------------

  /** A core stops at once, wherever it is, and all it had in its own memory is gone. The others notice later. */
  crash(core: number, reason = "it crashed"): void {
    const lost = this.cores[core];
    if (lost.dead || lost.activity === "off" || core === this.coreCount) return;
    const crash_ns = lost.now_ns();
    this.trace.record("crash", crash_ns, core);
    this.setCorePower(core, corePower.failed);
    this.switchOff(lost);
    const time_ns = crash_ns + crashDetection_ns;
    this.queue.push(time_ns, true, () => this.noticeCrash(core, reason, time_ns), "crash-noticed");
    this.driver.rested(lost);
  }

  /**
   * At interrupt level what memory needs; then, at once if somebody waits for it (`spin`), what the core has held; then,
   * when no kernel code is under way that may hold locks, the rest.
   */
  private noticeCrash(core: number, reason: string, time_ns: number): void {
    this.options.onCoreLost(core);
    const lost = this.lost.add(time_ns, this.options.freeHeldBy?.(core));
    const rest = () => {
      this.lost.remove(lost);
      this.driver.outsideCodeRuns();
      this.options.onCoreFailed(core, reason);
      this.setCorePower(core, corePower.off);
    };
    this.queue.push(time_ns, false, rest, "recovery");
  }

  /** Pieces of what dead cores have held that were freed so far. */
  get piecesFreed(): number {
    return this.lost.piecesFreed;
  }

  /** Frees a piece of what somebody dead has held; false when there is none left that could be freed now. */
  private freeForWaiting(core: SimCore): boolean {
    const [lost] = this.lost.holding();
    if (lost === undefined) return false;
    core.advanceTo(lost.known_ns);
    this.driver.takeAt(lost.known_ns, () => this.lost.freePiece(lost));
    return true;
  }

  /** All cores of an island at once. */
  loseIsland(island: number): void {
    for (const [core, of] of this.islandOfCore.entries())
      if (of === island) this.crash(core, "its island was lost");
  }

  panicked(core: SimCore, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.crash(core.id, text);
  }

  log(line: string): void {
    this.trace.note("log", this.driver.time_ns, -1, line);
    this.options.log(line);
  }

  // --- What cores do to each other ------------------------------------------------------------------------------

  sendInterrupt(from: SimCore, to: number, lines: number): void {
    const isNear = from.island === this.islandOfCore[to];
    const latency_us = isNear ? this.profile.interruptLatency_us : this.profile.mailboxLatency_us;
    const extra_ns = Math.max(0, this.extraInterruptDelay_ns?.(from.id, to) ?? 0);
    const time_ns = from.now_ns() + latency_us * 1000 + extra_ns;
    this.queue.push(
      time_ns,
      true,
      () => {
        this.trace.record("interrupt", time_ns, to, from.id, lines);
        this.cores[to].raise(lines, time_ns);
      },
      "interrupt",
    );
  }

  private raiseDeviceLine(island: number): boolean {
    const core = this.islandOfCore.findIndex(
      (of, id) => of === island && this.cores[id].activity !== "off" && id < this.coreCount,
    );
    if (core < 0) return false;
    this.cores[core].raise(interruptLine.device, this.device_ns);
    return true;
  }

  postObject(from: number, to: number, object: unknown): void {
    const key = `${from} ${to}`;
    const waiting = this.objects.get(key) ?? [];
    this.objects.set(key, waiting);
    waiting.push(object);
  }

  collectObject(from: number, to: number): unknown {
    return this.objects.get(`${from} ${to}`)?.shift();
  }

  // --- Time -----------------------------------------------------------------------------------------------------

  /**
   * When a slice that begins now ends at the latest: when hardware does something next. Other cores that are to run
   * before wait a little, as two cores that both compute would otherwise take turns after each instruction.
   */
  sliceEnd_ns(now_ns: number): number {
    const end_ns = now_ns + slice_ns + this.slices.below(sliceJitter_ns);
    return Math.max(now_ns, Math.min(end_ns, this.queue.nextTime_ns(true)));
  }

  /** One round of a spin loop of a core: hardware goes on, and other cores serve what it asked of them. */
  spin(core: SimCore): void {
    const now_ns = core.now_ns();
    let progress = false;
    for (;;) {
      const event = this.queue.popDue(now_ns, true);
      if (event === undefined) break;
      this.driver.take(event);
      progress = true;
    }
    for (const other of this.cores) if (other !== core && other.serveFor(now_ns)) progress = true;
    if (progress) return;
    // Whoever spins may wait for a lock that somebody dead has held.
    if (this.freeForWaiting(core)) return;
    const next = this.queue.next(true);
    core.advanceTo(Math.min(next?.time_ns ?? Infinity, now_ns + longestPause_ns));
  }

  /** Interrupt-level handlers run until `done`; see `Soc.spinUntil`. */
  spinUntil(core: SimCore, done: () => boolean, deadline_ns: number): boolean {
    while (!done()) {
      core.requireAlive();
      const event = this.queue.popDue(deadline_ns, true);
      if (event === undefined) {
        if (deadline_ns === Infinity)
          throw new Error(`core ${core.id} waits for hardware that will do nothing`);
        core.advanceTo(deadline_ns);
        return done();
      }
      this.driver.take(event);
      core.advanceTo(event.time_ns);
    }
    core.requireAlive();
    return true;
  }
}

/** Words that `Waiters` waits for and that are in no memory: negative addresses. */
function powerAddress(core: number): number {
  return -1 - core;
}

function roundUp(size_bytes: number, unit_bytes: number): number {
  return Math.ceil(size_bytes / unit_bytes) * unit_bytes;
}
