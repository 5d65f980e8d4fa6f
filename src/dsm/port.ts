/** One core's way to the protocol's hardware: mails, spinlocks, caches, the owner tables, and time. */
import type { Core } from "../machine/machine.ts";
import type { CoherenceCosts } from "../machine/profiles/profile.ts";
import type { PowerController, Soc } from "../machine/soc.ts";
import type { TypedMemory } from "../memory/index.ts";
import { DsmError } from "./errors.ts";
import { type MailType, packMail, sequenceLimit } from "./mail.ts";
import type { DsmOptions } from "./settings.ts";
import type { DsmStatistics } from "./statistics.ts";
import { DsmTables } from "./tables.ts";

/** What the protocol uses of the chip. */
export interface DsmSoc
  extends Pick<
    Soc,
    "islandOfCore" | "coreKinds" | "cache" | "mailbox" | "spinlocks" | "spend_ns" | "spinUntil" | "defer"
  > {
  readonly power: Pick<PowerController, "state">;
}

/** What the protocol uses of a core. */
export interface DsmCore extends Pick<Core, "id" | "clock"> {
  readonly soc: DsmSoc | null;
}

export class DsmPort {
  readonly core: number;
  readonly domain: number;
  readonly soc: DsmSoc;
  readonly tables: DsmTables;
  readonly costs: CoherenceCosts;
  /** Handlers of the protocol that run on this core now: code at interrupt level must not fault. */
  handlersRunning = 0;
  private readonly clock: Core["clock"];
  private readonly options: DsmOptions;
  private readonly statistics: DsmStatistics;
  private sequence = 0;

  /** @throws DsmError on a machine without the hardware. */
  constructor(core: DsmCore, uncached: TypedMemory, options: DsmOptions, statistics: DsmStatistics) {
    const { soc } = core;
    if (soc === null) throw new DsmError(`core ${core.id} has no chip around it`);
    this.core = core.id;
    this.soc = soc;
    this.domain = soc.islandOfCore[core.id];
    this.tables = DsmTables.attach(uncached);
    this.costs = options.costs(soc.coreKinds[core.id]);
    this.clock = core.clock;
    this.options = options;
    this.statistics = statistics;
  }

  now_ns(): number {
    return this.clock.monotonic_ns();
  }

  spend_us(duration_us: number): void {
    if (duration_us > 0) this.soc.spend_ns(duration_us * 1000);
  }

  /** A number for a new request; answers carry it. */
  nextSequence(): number {
    this.sequence = (this.sequence + 1) % sequenceLimit;
    return this.sequence;
  }

  send(core: number, type: MailType, page: number, sequence: number): void {
    this.statistics.mailsSent++;
    this.soc.mailbox.send(core, packMail(type, page, sequence));
  }

  /** Writes the island's copy of a page back to memory. */
  clean(page: number): void {
    if (this.options.mutation !== "skip-clean") this.soc.cache.clean(page);
  }

  /** Forgets the island's copy of a page. */
  dropCopy(page: number): void {
    if (this.options.mutation !== "skip-invalidate") this.soc.cache.invalidate(page);
  }

  /** The spinlock under which the entry with this number may be taken. */
  lockOf(entry: number): number {
    const { first, count } = this.options.locks;
    return first + (entry % count);
  }

  /** Takes a spinlock, from the dead if need be. Never waits. */
  tryAcquire(lock: number): boolean {
    const { spinlocks, islandOfCore } = this.soc;
    if (spinlocks.tryAcquire(lock)) return true;
    const holder = spinlocks.holder(lock);
    if (holder >= 0 && this.tables.serviceCore(islandOfCore[holder]) >= 0) return false;
    if (holder >= 0) spinlocks.release(lock);
    return spinlocks.tryAcquire(lock);
  }

  release(lock: number): void {
    this.soc.spinlocks.release(lock);
  }

  /** Frees the protocol's spinlocks that cores which are gone have held. */
  freeLocksOf(isGone: (core: number) => boolean): void {
    const { spinlocks } = this.soc;
    const { first, count } = this.options.locks;
    for (let lock = first; lock < first + count; lock++) {
      const holder = spinlocks.holder(lock);
      if (holder >= 0 && isGone(holder)) spinlocks.release(lock);
    }
  }
}
