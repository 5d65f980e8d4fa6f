/**
 * Two kernels with nothing but page allocators and one shared record on a simulated OMAP4, for microbenchmarks inside
 * the kernel: each runs what it is given at its own core's speed, and serves messages of the other while it waits.
 */
import { Dsm, type DsmGuard, type DsmStatistics, type Protocol, tablesBytes } from "../../src/dsm/index.ts";
import { interruptLine } from "../../src/machine/machine.ts";
import { omap4 } from "../../src/machine/profiles/omap4.ts";
import { noCoherenceCosts } from "../../src/machine/profiles/profile.ts";
import { Ram } from "../../src/machine/ram.ts";
import type { SimCore } from "../../src/machine/sim/sim-core.ts";
import { SimMachine } from "../../src/machine/sim/sim-machine.ts";
import { type Area, struct, TypedMemory, u32 } from "../../src/memory/index.ts";
import { Endpoint, formatMessages, SharedTransport } from "../../src/message/index.ts";
import { IndependentPages, Pages, page_bytes, pageUser, UserPages } from "../../src/services/pages/index.ts";

const mebi = 1 << 20;
const areas_bytes = 16 * mebi;
/** Page blocks of 16 MiB that the region has. */
const pageBlocks = 10;
const pageCount = (pageBlocks * 16 * mebi) / page_bytes;
const memory_bytes = areas_bytes + pageCount * page_bytes;
const sectionPages = 256;
const spinlocks = 16;
/** Blocks of movable pages that may be held at once. */
const userBlocks = 8192;
/** Page blocks that a kernel starts with. */
const startBlocks = 2;

/** Something that both kernels read and write. */
const SharedWord = struct("SharedWord", { value: u32 });

/** What measuring code of a kernel works with. */
export interface RigKernel {
  readonly kernel: number;
  readonly core: SimCore;
  readonly coherence: DsmGuard;
  /** An allocator of this kernel's own, and the one that both share. */
  readonly independent: IndependentPages;
  readonly shadowed: Pages;
  readonly user: UserPages;
  readonly shared: Area<typeof SharedWord.fields>;
}

type Job = (kernel: RigKernel) => Promise<void>;

export class AllocatorRig {
  private readonly machine: SimMachine;
  private readonly dsm: Dsm;
  private readonly jobs: Job[][] = [[], []];
  private failure: ((error: unknown) => void) | undefined;
  private readonly failed: Promise<never>;

  private constructor(protocol: Protocol) {
    this.failed = new Promise((_resolve, reject) => {
      this.failure = reject;
    });
    this.failed.catch(() => undefined);
    const islandCount = omap4.islands.length;
    const shape = { pageCount: memory_bytes / page_bytes, sectionPages, domainCount: islandCount + 1 };
    this.dsm = new Dsm({
      protocol,
      shape,
      serviceLevels: ["bottom-half", "at-once", "at-once"],
      locks: { first: 0, count: spinlocks },
      costs: (name) => omap4.kinds.find((kind) => kind.name === name)?.coherence ?? noCoherenceCosts,
    });
    this.machine = new SimMachine({
      profile: omap4,
      seed: 1,
      memory_bytes,
      uncached_bytes: 2 * mebi + tablesBytes(shape),
      bootKernel: (core, kernel) => this.runKernel(core, kernel),
      log: (line) => process.stderr.write(`${line}\n`),
      onCoreLost: () => undefined,
      onCoreFailed: (core, reason) => this.failure?.(new Error(`core ${core} failed: ${reason}`)),
      onFailure: (error) => this.failure?.(error),
      hostTurn: () => new Promise((resolve) => setImmediate(resolve)),
    });
  }

  static async boot(protocol: Protocol): Promise<AllocatorRig> {
    const rig = new AllocatorRig(protocol);
    rig.machine.console.start(0, 0);
    await Promise.race([rig.machine.whenOn(1, 1000), rig.failed]);
    return rig;
  }

  /** Runs code on a kernel, between its other steps. Of each kernel, one job after the other. */
  run<Result>(kernel: number, job: (kernel: RigKernel) => Result | Promise<Result>): Promise<Result> {
    const result = new Promise<Result>((resolve, reject) => {
      this.jobs[kernel].push(async (parts) => {
        try {
          resolve(await job(parts));
        } catch (error) {
          reject(error);
        }
        this.machine.driver.outsideCodeRuns();
      });
      this.machine.console.interrupt(kernel, interruptLine.reschedule);
    });
    return Promise.race([result, this.failed]);
  }

  /** What coherence has done so far, by kernel. */
  coherence(): DsmStatistics[] {
    return [0, 1].flatMap((domain) => structuredClone(this.dsm.domain(domain)?.statistics) ?? []);
  }

  /** DSM faults so far that another domain had to answer. */
  faults(): number {
    return this.coherence().reduce((sum, { remote }) => sum + remote.faults, 0);
  }

  stop(): void {
    this.machine.driver.stop();
  }

  private async runKernel(core: SimCore, kernel: number): Promise<void> {
    const isFirst = kernel === 0;
    const { soc } = core;
    const uncached = { guard: soc.uncachedGuard, waiting: core.waiting };
    const messages = isFirst
      ? TypedMemory.format(soc.uncached, uncached)
      : TypedMemory.attach(soc.uncached, uncached);
    if (isFirst) {
      this.dsm.createTables(messages);
      formatMessages(messages, { endpoints_max: 3 });
    }
    const coherence = this.dsm.attach(core, messages);
    const options = { guard: coherence, waiting: core.waiting, poolGroups: 2, poolGroup: kernel };
    const memory = isFirst
      ? TypedMemory.format(core.ram.buffer, { ...options, byteLength: areas_bytes })
      : TypedMemory.attach(core.ram.buffer, options);
    if (isFirst) createAreas(memory);
    const owner = kernel + 1;
    const transport = new SharedTransport({
      memory: messages,
      address: kernel,
      doorbell: { ring: (target) => core.interrupt(target, interruptLine.message) },
    });
    const endpoint = new Endpoint({
      transports: [transport],
      now_ns: () => core.clock.monotonic_ns(),
      pause: () => core.pause(),
      report: (fault) => this.failure?.(new Error(JSON.stringify(fault))),
    });
    const independent = IndependentPages.attach(memory, { name: "independent", kernel, owner });
    const ram = new Ram(core.ram.buffer, coherence);
    const user = UserPages.attach(memory, { name: "user", owner, ram, pages: independent });
    independent.registerMover(pageUser.userPages, user.mover);
    independent.connect({
      endpoint,
      addressOf: (other) => (other < 2 ? other : -1),
      kernelOf: (address) => address,
    });
    independent.start(startBlocks);
    const shadowed = Pages.attach(memory, "shadowed", owner);
    const shared = memory.attachArea("shared", SharedWord);
    const parts: RigKernel = { kernel, core, coherence, independent, shadowed, user, shared };
    core.attend(() => void endpoint.drain());
    if (isFirst) core.start(1, 1);
    core.announce();
    for (;;) {
      core.takeInterrupts();
      endpoint.drain();
      if (independent.workPending()) independent.tick();
      const job = this.jobs[kernel].shift();
      if (job === undefined) await core.idle(Infinity);
      else await job(parts);
    }
  }
}

/** Half of the pages are for each kind of allocator. */
function createAreas(memory: TypedMemory): void {
  const half = pageCount / 2;
  const base = areas_bytes;
  IndependentPages.create(memory, { name: "independent", base, count: half, kernels: 2 });
  Pages.create(memory, { name: "shadowed", base: base + half * page_bytes, count: half, owner: 1 });
  UserPages.create(memory, "user", userBlocks);
  memory.create("shared", SharedWord, { count: 1, align: page_bytes });
}
