/** The simulated chip as one core reaches it: see `soc.ts` for what each part promises. */
import type {
  CacheController,
  DmaEngine,
  HardwareSpinlocks,
  InterruptController,
  Mailbox,
  NetworkController,
  PowerController,
  Soc,
} from "../soc.ts";
import type { SimCore } from "./sim-core.ts";
import type { SimMachine } from "./sim-machine.ts";

export class SimulatedSoc implements Soc {
  readonly islandOfCore: readonly number[];
  readonly islandCount: number;
  readonly coreKinds: readonly string[];
  readonly cache: CacheController;
  readonly uncached: SharedArrayBuffer;
  readonly uncachedGuard: Soc["uncachedGuard"];
  readonly mailbox: Mailbox;
  readonly spinlocks: HardwareSpinlocks;
  readonly interrupts: InterruptController;
  readonly power: PowerController;
  readonly dma: DmaEngine;
  readonly network: NetworkController;
  private readonly core: SimCore;
  private readonly machine: SimMachine;

  constructor(core: SimCore, machine: SimMachine) {
    this.core = core;
    this.machine = machine;
    const { islandOfCore, islandCount, coreKinds, caches } = machine;
    this.islandOfCore = islandOfCore;
    this.islandCount = islandCount;
    this.coreKinds = coreKinds;
    this.cache = {
      access: core.access,
      clean: (page) => caches.clean(core.island, page),
      invalidate: (page) => caches.invalidate(core.island, page),
    };
    this.uncached = machine.uncached;
    this.uncachedGuard = {
      access: (_offset, length) => {
        core.requireAlive();
        core.spend(core.kind.cyclesPerUncachedAccess * Math.max(1, Math.ceil(length / 8)));
      },
    };
    const { mailboxes } = machine;
    const mailbox = mailboxes.of(core.id);
    this.mailbox = {
      send: (to, word) => {
        machine.actAs(core);
        mailboxes.send(core.id, to, word, core.isPostponed);
      },
      receive: (handler) => mailbox.receive(handler),
    };
    const spinlocks = machine.spinlocks.of(core.id);
    this.spinlocks = {
      count: spinlocks.count,
      tryAcquire: (lock) => {
        this.reachOut();
        return spinlocks.tryAcquire(lock);
      },
      release: (lock) => {
        this.reachOut();
        spinlocks.release(lock);
      },
      holder: (lock) => spinlocks.holder(lock),
    };
    const interrupts = machine.interrupts.of(core.island);
    this.interrupts = {
      setMasked: (source, masked) => {
        this.reachOut();
        interrupts.setMasked(source, masked);
      },
      isMasked: (source) => interrupts.isMasked(source),
      take: () => {
        this.reachOut();
        return interrupts.take();
      },
    };
    this.power = machine.power.of(core.id);
    this.dma = machine.dma.of(() => this.reachOut());
    this.network = machine.network.of(() => this.reachOut());
  }

  /** An access to a device's registers: what it starts begins at this core's time. */
  reachOut(): void {
    this.machine.actAs(this.core);
    this.core.spend(this.core.kind.cyclesPerUncachedAccess);
  }

  defer(handler: () => void, notBefore_ns?: number): void {
    this.core.defer(handler, notBefore_ns);
  }

  spend(cycles: number): void {
    this.core.spend(cycles);
  }

  spend_ns(duration_ns: number): void {
    this.core.spend_ns(duration_ns);
  }

  spinUntil(done: () => boolean, deadline_ns: number): boolean {
    return this.machine.spinUntil(this.core, done, deadline_ns);
  }
}
