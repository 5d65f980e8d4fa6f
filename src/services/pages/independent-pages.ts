/**
 * The physical page allocator as an *independent* service (K2, ASPLOS 2014, section 6.2): an instance for each kernel,
 * over a region of page blocks that a meta-level manager passes between them.
 *
 * A kernel allocates from its own page blocks only and needs nobody else for it. A free goes to the kernel whose page
 * block it is, told by the address. When kernels die, the page blocks they had pass to a survivor until what is
 * allocated in them is freed.
 */
import { errno } from "../../kernel/errno.ts";
import type { Accessor, TypedMemory } from "../../memory/index.ts";
import { Balloon } from "./balloon.ts";
import { BlockTable } from "./block-table.ts";
import { PagesError, requireOrder, requireOwner, whyNotFree, wrongFree } from "./errors.ts";
import { type LocalPages, order_max, page_bytes, pageUser } from "./layout.ts";
import { LocalAllocator } from "./local-allocator.ts";
import { MetaLevelManager, type PageNetwork } from "./meta-level-manager.ts";
import { type Mover, Movers } from "./movers.ts";
import { attachPageAreas, createPageAreas, type PageAreas, type PageAreasOptions } from "./page-areas.ts";
import { orderFor, type PageService } from "./page-service.ts";
import { freesPerMessage, pageBlocksAdopted, pageFree } from "./protocol.ts";
import { Recovery } from "./recovery.ts";
import { type PageFaultReport, RedirectedFrees } from "./redirected-frees.ts";

export interface IndependentPagesOptions {
  /** Name of the areas. */
  readonly name: string;
  /** The kernel whose instance this is. */
  readonly kernel: number;
  /** Number of the caller for locks: positive and unique among all that use page allocators. */
  readonly owner: number;
  /** Where the table of page blocks is. Default: the same memory. */
  readonly shared?: TypedMemory;
  /** Free pages below which the kernel looks for more. Default: a sixteenth of a page block. */
  readonly lowWater_pages?: number;
  /** Called when there is work for `tick`. */
  readonly raise?: () => void;
  /** Told of frees that turned out to be wrong when their caller was gone. */
  readonly report?: PageFaultReport;
}

/** What a kernel has, for reports. */
export interface PageUsage {
  readonly kernel: number;
  readonly blocks: number;
  readonly free_pages: number;
  readonly used_pages: number;
}

export class IndependentPages implements PageService {
  readonly capacity: number;
  readonly base: number;
  readonly kernel: number;
  readonly table: BlockTable;
  readonly balloon: Balloon;
  readonly #name: string;
  readonly #areas: PageAreas;
  readonly #owner: number;
  readonly #local: Accessor<typeof LocalPages.fields>;
  readonly #allocator: LocalAllocator;
  readonly #allocators: (LocalAllocator | undefined)[];
  readonly #movers = new Movers();
  readonly #manager: MetaLevelManager;
  readonly #frees: RedirectedFrees;
  readonly #recovery: Recovery;
  readonly #raise: () => void;
  #network: PageNetwork | undefined;
  /** Frees that found no room in this kernel's records, because the kernels that are to execute them are dead. */
  #overflow: { page: number; order: number }[] = [];
  #freesToSend = false;
  /** By kernel: a message with frees is on its way. */
  readonly #underWay: boolean[];

  private constructor(areas: PageAreas, options: IndependentPagesOptions) {
    const { name, kernel, owner } = options;
    requireOwner(name, owner);
    const table = new BlockTable(areas, owner);
    if (!Number.isInteger(kernel) || kernel < 0 || kernel >= table.kernelCount) {
      throw new PagesError(`pages ${name}: kernel ${kernel} must be 0 to ${table.kernelCount - 1}`);
    }
    this.kernel = kernel;
    this.table = table;
    this.capacity = table.pageCount;
    this.base = table.base;
    this.#name = name;
    this.#areas = areas;
    this.#owner = owner;
    this.#local = areas.local;
    this.#raise = options.raise ?? (() => {});
    this.#allocators = new Array(table.kernelCount).fill(undefined);
    this.#underWay = new Array(table.kernelCount).fill(false);
    this.#allocator = this.#allocatorOf(kernel);
    this.balloon = new Balloon(areas, table, this.#allocator, this.#movers, owner);
    const lowWater_pages = options.lowWater_pages ?? 2 ** table.blockOrder / 16;
    const raise = () => this.#raise();
    this.#manager = new MetaLevelManager(
      this.#allocator,
      this.balloon,
      table.kernelCount,
      lowWater_pages,
      raise,
    );
    const allocatorOf = (which: number) => this.#allocatorOf(which);
    const report = options.report ?? (() => {});
    this.#frees = new RedirectedFrees(areas, table, allocatorOf, kernel, report);
    const balloonOf = (which: number) => this.#balloonOf(which);
    const own = { allocator: this.#allocator, frees: this.#frees };
    this.#recovery = new Recovery({ table, ...own, allocatorOf, balloonOf });
  }

  /**
   * Creates the areas of all kernels' allocators. No kernel has any pages before it is started.
   * @param shared where the table of page blocks is to be. Default: the same memory.
   * @throws PagesError for options out of range, AreaError when a name is taken or memory is short.
   */
  static create(memory: TypedMemory, options: PageAreasOptions, shared = memory): void {
    createPageAreas(memory, shared, options);
  }

  /**
   * A core's object for the allocator of its kernel (or of any kernel, for who has none of its own).
   * @throws AttachError when the areas were not created, PagesError for a kernel or owner out of range.
   */
  static attach(memory: TypedMemory, options: IndependentPagesOptions): IndependentPages {
    const areas = attachPageAreas(memory, options.shared ?? memory, options.name);
    return new IndependentPages(areas, options);
  }

  /**
   * Deflates the balloon by the kernel's first page blocks; called once when the kernel boots.
   * @returns how many there were.
   */
  start(blocks = 1): number {
    let given = 0;
    while (given < blocks && this.balloon.deflate() >= 0) given++;
    return given;
  }

  /**
   * Talks to the other kernels from now on. Without, this object redirects frees and asks for page blocks by no
   * message: it executes frees itself, in the other kernel's allocator.
   */
  connect(network: PageNetwork): void {
    this.#network = network;
    this.#manager.connect(network);
    network.endpoint.handle(pageBlocksAdopted, () => {
      if (this.redirectedFrees() > 0) this.#noteFrees();
    });
    network.endpoint.serve(pageFree, ({ kernel, count, pages, orders, sequences }, address) => {
      const isSender = network.kernelOf(address) === kernel;
      if (!isSender || kernel >= this.table.kernelCount || kernel === this.kernel) return -errno.INVAL;
      for (let one = 0; one < Math.min(count, freesPerMessage); one++) {
        const why = this.#executeFree(kernel, sequences[one], pages[one], orders[one]);
        if (why === undefined) break;
        if (why !== "") this.#frees.report(pages[one], orders[one], kernel, why);
      }
      return { executed: this.#local.executed(this.kernel, kernel) };
    });
  }

  registerMover(user: number, mover: Mover): void {
    this.#movers.register(user, mover);
  }

  allocate(order: number, user: number = pageUser.unmovable, index = 0): number {
    requireOrder(this.#name, order);
    let page = this.#allocator.take(order, user, index);
    // A page block has all orders up to its own, except the last one, which may be smaller.
    if (order <= this.table.blockOrder) {
      while (page < 0 && this.#manager.relieve()) page = this.#allocator.take(order, user, index);
    }
    this.#manager.probe();
    return page < 0 ? -1 : this.base + page * page_bytes;
  }

  allocateBytes(size: number): number {
    const order = orderFor(size);
    return order > order_max ? -1 : this.allocate(order);
  }

  free(offset: number, order: number): void {
    requireOrder(this.#name, order);
    const page = (offset - this.base) / page_bytes;
    if (!Number.isInteger(page) || page < 0 || page >= this.capacity) {
      throw new PagesError(`pages ${this.#name}: offset ${offset} is not a page of this allocator`);
    }
    const block = this.table.blockOf(page);
    if (!this.#allocator.ownsBlock(block)) this.#redirect(block, page, order);
    else {
      const why = this.#allocator.give(page, order);
      if (why !== "") throw wrongFree(this.#name, offset, order, why);
    }
  }

  holds(offset: number, order: number): boolean {
    const page = (offset - this.base) / page_bytes;
    if (!Number.isInteger(page) || page < 0 || page >= this.capacity || !(order <= order_max)) return false;
    const block = this.table.blockOf(page);
    // Frames of other kernels' page blocks are theirs alone.
    if (!this.#allocator.ownsBlock(block)) return this.table.kernelOf(block) >= 0;
    return whyNotFree(this.#areas.frames, page, order) === "";
  }

  used(): number {
    let used = 0;
    for (let kernel = 0; kernel < this.table.kernelCount; kernel++)
      used += this.#allocatorOf(kernel).usedPages();
    return used;
  }

  freeBlocks(order: number): number {
    requireOrder(this.#name, order);
    return this.#allocator.freeBlocks(order);
  }

  /** What this kernel has. */
  usage(): PageUsage {
    const allocator = this.#allocator;
    return {
      kernel: this.kernel,
      blocks: allocator.blocks().length,
      free_pages: allocator.freePages(),
      used_pages: allocator.usedPages(),
    };
  }

  /** Frees of this kernel that others have not executed yet. */
  redirectedFrees(): number {
    return this.#frees.count() + this.#overflow.length;
  }

  workPending(): boolean {
    return this.#freesToSend || this.#manager.workPending();
  }

  tick(): void {
    if (this.#recovery.unfinished()) this.recover(0);
    this.#manager.tick();
    this.#freesToSend = false;
    if (this.redirectedFrees() > 0) this.#sendFrees();
  }

  recover(deadOwner: number, deadKernel = -1): boolean {
    const { repaired, adopted } = this.#recovery.run(deadOwner, deadKernel);
    if (adopted) this.#tellOthers();
    return repaired || adopted;
  }

  /** After page blocks of a dead kernel have got another owner: frees on the way to it are to be addressed anew. */
  #tellOthers(): void {
    if (this.redirectedFrees() > 0) this.#noteFrees();
    const network = this.#network;
    if (network === undefined) return;
    for (let kernel = 0; kernel < this.table.kernelCount; kernel++) {
      const address = kernel === this.kernel ? -1 : network.addressOf(kernel);
      // Whoever cannot be told finds out when it frees something next.
      if (address >= 0) network.endpoint.send(address, pageBlocksAdopted, {});
    }
  }

  #executeFree(kernel: number, sequence: number, page: number, order: number): string | undefined {
    if (page >= this.capacity || order > order_max) return "there is no such block";
    if (!this.#frees.canBeAddressed(kernel, sequence)) return `there is no free number ${sequence}`;
    return this.#allocator.locked(() => this.#allocator.giveForLocked(kernel, sequence, page, order));
  }

  #redirect(block: number, page: number, order: number): void {
    if (this.table.kernelOf(block) < 0) {
      const offset = this.base + page * page_bytes;
      throw wrongFree(this.#name, offset, order, "nothing is allocated in its page block");
    }
    if (!this.#frees.push(page, order)) {
      this.#executeFrees();
      if (!this.#frees.push(page, order)) this.#overflow.push({ page, order });
    }
    if (this.#network === undefined) this.#executeFrees();
    else this.#noteFrees();
  }

  #noteFrees(): void {
    if (this.#freesToSend) return;
    this.#freesToSend = true;
    this.#raise();
  }

  #sendFrees(): void {
    this.#overflow = this.#overflow.filter(({ page, order }) => !this.#frees.push(page, order));
    const network = this.#network;
    if (network === undefined) {
      this.#executeFrees();
      return;
    }
    for (const to of this.#frees.address()) {
      if (to === this.kernel) this.#frees.execute(to);
      else if (!this.#underWay[to]) this.#sendFreesTo(network, to);
    }
  }

  #sendFreesTo(network: PageNetwork, to: number): void {
    const address = network.addressOf(to);
    // Who takes over from a dead kernel changes the table; the frees are addressed anew then.
    if (address < 0) return;
    this.#underWay[to] = true;
    const batch = this.#frees.batch(to);
    network.endpoint.ask(address, pageFree, { kernel: this.kernel, ...batch }, ({ status, value }) => {
      this.#underWay[to] = false;
      if (status === 0 && value !== undefined) {
        this.#frees.acknowledge(to, value.executed);
        if (this.#frees.count() > 0) this.#noteFrees();
      } else if (status === -errno.AGAIN) {
        const again = (settled: number) => {
          if (settled === 0) this.#noteFrees();
        };
        void network.endpoint.writable(address).then(again);
      }
    });
  }

  /** Executes all frees for other kernels here and now, but those for kernels that are dead. */
  #executeFrees(): void {
    for (const to of this.#frees.address()) {
      const network = this.#network;
      if (to === this.kernel || network === undefined || network.addressOf(to) >= 0) this.#frees.execute(to);
    }
  }

  #allocatorOf(kernel: number): LocalAllocator {
    const known = this.#allocators[kernel];
    if (known !== undefined) return known;
    const made = new LocalAllocator(this.#areas, this.table, kernel, this.#owner);
    this.#allocators[kernel] = made;
    return made;
  }

  #balloonOf(kernel: number): Balloon {
    if (kernel === this.kernel) return this.balloon;
    const allocator = this.#allocatorOf(kernel);
    return new Balloon(this.#areas, this.table, allocator, this.#movers, this.#owner);
  }
}
