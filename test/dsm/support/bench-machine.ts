/**
 * A small machine for the protocol's tests: domains with a copy of memory each, mails that arrive in the order of each
 * pair and otherwise by chance, caches that read ahead and write back when they like, and cores that may stop at any
 * of their accesses to hardware. All chance comes from a seed.
 *
 * Two ways to access memory: `spinning` calls the guard as kernel code does, and whatever else is to happen happens
 * while it spins; actors (`actors.ts`) have many faults under way at once, which the guard alone cannot.
 */
import {
  Dsm,
  type DsmGuard,
  type DsmOptions,
  type Mutation,
  type Protocol,
  type ServiceLevel,
} from "../../../src/dsm/index.ts";
import type { DsmCore, DsmSoc } from "../../../src/dsm/port.ts";
import { Random } from "../../../src/machine/sim/random.ts";
import { powerState } from "../../../src/machine/soc.ts";
import { TypedMemory } from "../../../src/memory/index.ts";

export const page_bytes = 4096;

/** Thrown by every access to hardware of a core that has stopped. */
export class CoreStopped extends Error {
  override readonly name = "CoreStopped";
}

export interface BenchOptions {
  readonly seed: number | string;
  /** Domain of each core. */
  readonly domainOfCore: readonly number[];
  readonly pageCount: number;
  readonly sectionPages: number;
  readonly protocol: Protocol;
  readonly serviceLevels?: readonly ServiceLevel[];
  readonly mutation?: Mutation;
  readonly deferral_ns?: number;
  /** Caches read ahead, and write back early. Default: they do. */
  readonly caches?: "restless" | "quiet";
  readonly lockCount?: number;
  readonly unresponsive?: DsmOptions["unresponsive"];
}

interface Event {
  readonly core: BenchCore;
  readonly run: () => void;
  readonly notBefore_ns: number;
}

export class BenchMachine {
  readonly random: Random;
  readonly options: BenchOptions;
  readonly dsm: Dsm;
  readonly domainCount: number;
  readonly dram: Uint8Array;
  readonly copies: Uint8Array[];
  /** Of each domain: pages that its cache holds. */
  readonly present: Uint8Array[];
  /** Memory as it would be with one copy only: what every access is compared with. */
  readonly flat: Uint8Array;
  readonly cores: BenchCore[] = [];
  readonly uncached: SharedArrayBuffer;
  readonly lockHolders: Int32Array;
  time_ns = 0;
  mails = 0;
  /** Runs now and then in the middle of a core's spinning; false when it did nothing. */
  interlude: (spinning: BenchCore) => boolean = () => false;
  private readonly dirty: Uint8Array[];
  /** Mails by sender and receiver, and deferred handlers by core: each queue is in order. */
  private readonly queues = new Map<string, Event[]>();

  constructor(options: BenchOptions) {
    const { domainOfCore, pageCount, sectionPages, ...settings } = options;
    const { protocol, serviceLevels, mutation, unresponsive, deferral_ns } = settings;
    this.options = options;
    this.random = new Random(options.seed);
    this.domainCount = Math.max(...domainOfCore) + 1;
    const domains = Array.from({ length: this.domainCount });
    this.dram = new Uint8Array(pageCount * page_bytes);
    this.flat = new Uint8Array(pageCount * page_bytes);
    this.copies = domains.map(() => new Uint8Array(pageCount * page_bytes).fill(0xee));
    this.present = domains.map(() => new Uint8Array(pageCount));
    this.dirty = domains.map(() => new Uint8Array(pageCount));
    this.uncached = new SharedArrayBuffer(65_536);
    this.lockHolders = new Int32Array(options.lockCount ?? 4).fill(-1);
    this.dsm = new Dsm({
      protocol,
      serviceLevels,
      mutation,
      unresponsive,
      deferral_ns,
      shape: { pageCount, sectionPages, domainCount: this.domainCount },
      locks: { first: 0, count: this.lockHolders.length },
      costs: () => ({ faultEntry_us: 3, protocol_us: 2, service_us: 7, faultExit_us: 18 }),
    });
    this.dsm.createTables(TypedMemory.format(this.uncached));
    for (const core of domainOfCore.keys()) this.cores.push(new BenchCore(this, core));
    for (const core of this.cores) core.boot();
  }

  // --- What the hardware does -------------------------------------------------------------------------------------

  enqueue(queue: string, core: BenchCore, run: () => void, notBefore_ns = 0): void {
    const events = this.queues.get(queue) ?? [];
    this.queues.set(queue, events);
    events.push({ core, run, notBefore_ns });
  }

  /** One thing happens, by chance, among those that may be next; false when nothing is under way. */
  advance(): boolean {
    const queues = [...this.queues.values()].filter((events) => events.length > 0);
    if (queues.length === 0) return false;
    const first_ns = Math.min(...queues.map(([{ notBefore_ns }]) => notBefore_ns));
    this.time_ns = Math.max(this.time_ns, first_ns);
    const ready = queues.filter(([{ notBefore_ns }]) => notBefore_ns <= this.time_ns);
    const [event] = ready[this.random.below(ready.length)].splice(0, 1);
    this.time_ns += 100;
    this.restlessCaches();
    if (!event.core.dead) withoutStops(event.run);
    return true;
  }

  /** Until nothing is under way. */
  drain(): void {
    while (this.advance()) {}
  }

  access(domain: number, offset: number, length: number, write: boolean): void {
    const last = Math.floor((offset + length - 1) / page_bytes);
    for (let page = Math.floor(offset / page_bytes); page <= last; page++) {
      if (this.present[domain][page] === 0) this.fill(domain, page);
      if (write) this.dirty[domain][page] = 1;
    }
  }

  private fill(domain: number, page: number): void {
    const start = page * page_bytes;
    this.copies[domain].set(this.dram.subarray(start, start + page_bytes), start);
    this.present[domain][page] = 1;
  }

  clean(domain: number, page: number): void {
    if (this.dirty[domain][page] === 0) return;
    const start = page * page_bytes;
    this.dram.set(this.copies[domain].subarray(start, start + page_bytes), start);
    this.dirty[domain][page] = 0;
  }

  invalidate(domain: number, page: number): void {
    this.present[domain][page] = 0;
    this.dirty[domain][page] = 0;
  }

  private restlessCaches(): void {
    if (this.options.caches === "quiet" || !this.random.chance(0.2)) return;
    const domain = this.random.below(this.domainCount);
    const page = this.random.below(this.options.pageCount);
    if (this.random.chance(0.5)) {
      this.clean(domain, page);
      this.invalidate(domain, page);
    } else if (this.present[domain][page] === 0) this.fill(domain, page);
  }

  // --- Losses -----------------------------------------------------------------------------------------------------

  /** A core stops. When it was its domain's last, the reset controller writes back the domain's caches. */
  lose(core: BenchCore): void {
    core.dead = true;
    if (this.cores.some((other) => other.domain === core.domain && !other.dead)) return;
    for (let page = 0; page < this.options.pageCount; page++) {
      this.clean(core.domain, page);
      this.invalidate(core.domain, page);
    }
  }

  /** Somebody who lives notices that a core is gone; if he stops in the middle, the next one does it again. */
  bury(core: BenchCore): void {
    const living = this.cores.filter((other) => !other.dead);
    const neighbour = living.find((other) => other.domain === core.domain);
    const survivor = neighbour ?? living[0];
    if (survivor === undefined) return;
    withoutStops(() => {
      if (neighbour !== undefined) neighbour.guard.recoverCore(core.id);
      else this.dsm.recover(survivor.guard, core.domain);
    });
    if (survivor.dead) this.bury(core);
  }

  /** A core that was buried begins a new life. */
  reboot(core: BenchCore): BenchCore {
    const fresh = new BenchCore(this, core.id);
    this.cores[core.id] = fresh;
    fresh.boot();
    return fresh;
  }

  // --- What must hold ---------------------------------------------------------------------------------------------

  /** What is wrong now: rights, tables, and every byte that somebody might read. */
  violations(): string[] {
    const found = this.dsm.check(TypedMemory.attach(this.uncached));
    for (let page = 0; page < this.options.pageCount; page++) {
      const start = page * page_bytes;
      const right = this.flat.subarray(start, start + page_bytes);
      let isHeld = false;
      for (let domain = 0; domain < this.domainCount; domain++) {
        const state = this.dsm.domain(domain)?.pages.state(page) ?? 0;
        if (state === 0) continue;
        isHeld = true;
        const bytes = this.present[domain][page] === 0 ? this.dram : this.copies[domain];
        if (!equal(right, bytes.subarray(start, start + page_bytes)))
          found.push(`page ${page}: domain ${domain} would read what is old`);
      }
      if (
        !isHeld &&
        !this.cores.some((core) => core.dead) &&
        !equal(right, this.dram.subarray(start, start + page_bytes))
      )
        found.push(`page ${page}: nobody has it, and memory is old`);
    }
    return found;
  }
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** A core that stops in the middle of its work stops, and nobody else. */
export function withoutStops(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CoreStopped)) throw error;
  }
}

/** One life of a core. */
export class BenchCore implements DsmCore {
  readonly id: number;
  readonly domain: number;
  readonly clock;
  readonly soc: DsmSoc;
  guard!: DsmGuard;
  dead = false;
  /** Accesses to hardware until the core stops. */
  stepsLeft = Infinity;
  private handler: (from: number, word: number) => void = () => undefined;
  private readonly machine: BenchMachine;

  constructor(machine: BenchMachine, id: number) {
    const { domainOfCore } = machine.options;
    this.machine = machine;
    this.id = id;
    this.domain = domainOfCore[id];
    const now_ns = () => machine.time_ns;
    this.clock = { monotonic_ns: now_ns, realtime_ns: now_ns, coarse_ns: now_ns, resolution_ns: 1 };
    this.soc = {
      islandOfCore: domainOfCore,
      coreKinds: domainOfCore.map(() => "test"),
      cache: {
        access: (offset, length, write) => {
          this.step();
          machine.access(this.domain, offset, length, write);
        },
        clean: (page) => {
          this.step();
          machine.clean(this.domain, page);
        },
        invalidate: (page) => {
          this.step();
          machine.invalidate(this.domain, page);
        },
      },
      mailbox: {
        send: (core, word) => {
          this.step();
          machine.mails++;
          machine.enqueue(`${this.id}>${core}`, machine.cores[core], () =>
            machine.cores[core].handler(this.id, word),
          );
        },
        receive: (handler) => {
          this.handler = handler;
        },
      },
      spinlocks: {
        count: machine.lockHolders.length,
        tryAcquire: (lock) => {
          this.step();
          if (machine.lockHolders[lock] >= 0) return false;
          machine.lockHolders[lock] = this.id;
          return true;
        },
        release: (lock) => {
          this.step();
          machine.lockHolders[lock] = -1;
        },
        holder: (lock) => machine.lockHolders[lock],
      },
      power: {
        state: (core) => (machine.cores[core].dead ? powerState.off : powerState.active),
      },
      spend_ns: (duration_ns) => {
        machine.time_ns += duration_ns;
      },
      spinUntil: (done, _deadline_ns) => {
        while (!done()) {
          if (!machine.interlude(this) && !machine.advance()) return done();
          if (this.dead) throw new CoreStopped(`core ${this.id}`);
        }
        return true;
      },
      defer: (handler, notBefore_ns = 0) => {
        this.step();
        const queue =
          notBefore_ns > machine.time_ns
            ? `deferred ${this.id} until ${notBefore_ns}`
            : `deferred ${this.id}`;
        machine.enqueue(queue, this, handler, notBefore_ns);
      },
    };
  }

  boot(): void {
    const uncached = TypedMemory.attach(this.machine.uncached, { guard: { access: () => this.step() } });
    this.guard = this.machine.dsm.attach(this, uncached);
  }

  /** The core does something that its environment can notice; or stops before it. */
  private step(): void {
    if (!this.dead && --this.stepsLeft < 0) this.machine.lose(this);
    if (this.dead) throw new CoreStopped(`core ${this.id}`);
  }

  /** Reads or writes one byte, as kernel code does, once it has the right to; compares with the flat memory. */
  touch(offset: number, write: boolean, value: number): number {
    const { machine } = this;
    this.guard.access(offset, 1, write);
    const bytes = machine.copies[this.domain];
    const before = bytes[offset];
    if (before !== machine.flat[offset])
      throw new Error(`core ${this.id} reads ${before} at ${offset}; it was ${machine.flat[offset]}`);
    if (write) {
      bytes[offset] = value;
      machine.flat[offset] = value;
    }
    return before;
  }
}
