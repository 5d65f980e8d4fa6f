/**
 * Frees of blocks that another kernel has allocated. They wait in this kernel's records until that kernel says that
 * it has executed them; then they are forgotten.
 *
 * Exactly once, whoever dies: each free that is addressed to a kernel has the next number of the sequence to it, and
 * that kernel keeps the number of the last one that it executed, in the same critical section as the free. What is not
 * known to be executed is sent again. A dead kernel's page blocks pass to another one (`LocalAllocator.adoptBlock`);
 * then its own note says what it had executed, and the rest is addressed to the new owner.
 */
import type { Accessor } from "../../memory/index.ts";
import type { BlockTable } from "./block-table.ts";
import {
  freeState,
  type LocalPages,
  page_bytes,
  type RedirectedFree,
  redirectedFrees_max,
} from "./layout.ts";
import type { LocalAllocator } from "./local-allocator.ts";
import type { PageAreas } from "./page-areas.ts";
import { freesPerMessage } from "./protocol.ts";

/** Told what is wrong with frees that were found to be wrong when their caller was gone. */
export type PageFaultReport = (fault: string) => void;

export interface FreeBatch {
  readonly count: number;
  readonly pages: readonly number[];
  readonly orders: readonly number[];
  readonly sequences: readonly number[];
}

interface AddressedFree {
  readonly sequence: number;
  readonly page: number;
  readonly order: number;
}

export class RedirectedFrees {
  readonly #table: BlockTable;
  readonly #allocatorOf: (kernel: number) => LocalAllocator;
  readonly #local: Accessor<typeof LocalPages.fields>;
  readonly #frees: Accessor<typeof RedirectedFree.fields>;
  readonly #kernel: number;
  readonly #report: PageFaultReport;

  /** @param allocatorOf the allocator of any kernel. */
  constructor(
    areas: PageAreas,
    table: BlockTable,
    allocatorOf: (kernel: number) => LocalAllocator,
    kernel: number,
    report: PageFaultReport,
  ) {
    this.#table = table;
    this.#allocatorOf = allocatorOf;
    this.#local = areas.local;
    this.#frees = areas.frees;
    this.#kernel = kernel;
    this.#report = report;
  }

  /** Frees that are under way. */
  count(): number {
    return this.#local.redirected(this.#kernel);
  }

  /** Notes a free. @returns false if there is no room. */
  push(page: number, order: number): boolean {
    const frees = this.#frees;
    return this.#locked(() => {
      const first = this.#kernel * redirectedFrees_max;
      for (let record = first; record < first + redirectedFrees_max; record++) {
        if (frees.state(record) !== freeState.empty) continue;
        frees.setPage(record, page);
        frees.setOrder(record, order);
        // The state last: from here on the free is not lost, even if this kernel dies before it returns.
        frees.setState(record, freeState.waiting);
        this.#count(this.#kernel, 1);
        return true;
      }
      return false;
    });
  }

  /** Addresses all frees. @returns the kernels that have some to execute, in ascending order; this one among them. */
  address(): number[] {
    return this.#locked(() => this.#addressLocked(this.#kernel)).sort((a, b) => a - b);
  }

  /** The oldest frees that are addressed to a kernel, as many as a message holds. */
  batch(to: number): FreeBatch {
    const frees = this.#locked(() => this.#addressedToLocked(this.#kernel, to)).slice(0, freesPerMessage);
    const padded = (values: number[]): number[] => {
      while (values.length < freesPerMessage) values.push(0);
      return values;
    };
    return {
      count: frees.length,
      pages: padded(frees.map((free) => free.page)),
      orders: padded(frees.map((free) => free.order)),
      sequences: padded(frees.map((free) => free.sequence)),
    };
  }

  /**
   * Whether another kernel may have given a free of this kernel a number. Numbers that leap are looked up in what that
   * kernel says of itself: taking a wrong one would make this kernel pass over all that come later.
   */
  canBeAddressed(kernel: number, sequence: number): boolean {
    if (!Number.isSafeInteger(sequence)) return false;
    const isNext = sequence <= this.#local.executed(this.#kernel, kernel) + redirectedFrees_max;
    return isNext || sequence <= this.#local.addressed(kernel, this.#kernel);
  }

  /**
   * Forgets the frees that a kernel has executed: those addressed to it up to this number, which it has said. A number
   * that was never given is no answer, and nothing is forgotten.
   */
  acknowledge(to: number, executed: number): void {
    if (!(executed <= this.#local.addressed(this.#kernel, to))) return;
    this.#locked(() => this.#forgetLocked(this.#kernel, to, executed));
  }

  /** Executes this kernel's frees that are addressed to one in its allocator, unless that one's mutex is held. */
  execute(to: number): void {
    const frees = this.#locked(() => this.#addressedToLocked(this.#kernel, to));
    this.#executeFor(this.#kernel, to, frees);
    this.acknowledge(to, this.#local.executed(to, this.#kernel));
  }

  /**
   * Executes the frees that a dead kernel has left, whose mutex the caller holds and whose page blocks have been taken
   * over before.
   * @returns false if some are left, because the mutex of their kernel is held, or because it died meanwhile.
   */
  takeOverLocked(dead: number): boolean {
    let complete = true;
    for (const to of this.#addressLocked(dead)) {
      const frees = this.#addressedToLocked(dead, to);
      if (!this.#executeFor(dead, to, frees)) complete = false;
      this.#forgetLocked(dead, to, this.#local.executed(to, dead));
    }
    return complete;
  }

  /** @returns false if not all could be executed now. */
  #executeFor(kernel: number, to: number, frees: readonly AddressedFree[]): boolean {
    const allocator = this.#allocatorOf(to);
    let complete = false;
    allocator.tryLocked(() => {
      complete = frees.every(({ sequence, page, order }) => {
        const why = allocator.giveForLocked(kernel, sequence, page, order);
        if (why !== undefined && why !== "") this.report(page, order, kernel, why);
        return why !== undefined;
      });
    });
    return complete;
  }

  /** Says that a free was wrong. */
  report(page: number, order: number, kernel: number, why: string): void {
    const offset = this.#table.base + page * page_bytes;
    this.#report(`kernel ${kernel} cannot free order ${order} at offset ${offset}: ${why}`);
  }

  /** Sees to it that the frees of a kernel are addressed to who owns their page blocks now. @returns these kernels. */
  #addressLocked(kernel: number): number[] {
    const frees = this.#frees;
    const local = this.#local;
    const kernels = new Set<number>();
    let count = 0;
    const first = kernel * redirectedFrees_max;
    for (let record = first; record < first + redirectedFrees_max; record++) {
      if (frees.state(record) === freeState.empty) continue;
      const page = frees.page(record);
      const to = this.#table.kernelOf(this.#table.blockOf(page));
      if (frees.state(record) === freeState.addressed && frees.to(record) !== to) {
        const executed = local.executed(frees.to(record), kernel);
        frees.setState(record, frees.sequence(record) <= executed ? freeState.empty : freeState.waiting);
      }
      if (frees.state(record) === freeState.waiting && to < 0) {
        this.report(page, frees.order(record), kernel, "nothing is allocated in its page block");
        frees.setState(record, freeState.empty);
      }
      if (frees.state(record) === freeState.waiting) {
        const sequence = local.addressed(kernel, to) + 1;
        local.setAddressed(kernel, to, sequence);
        frees.setTo(record, to);
        frees.setSequence(record, sequence);
        frees.setState(record, freeState.addressed);
      }
      if (frees.state(record) !== freeState.addressed) continue;
      kernels.add(to);
      count++;
    }
    local.setRedirected(kernel, count);
    return [...kernels];
  }

  /**
   * A kernel's frees that are addressed to another, oldest first. They are taken out under the mutex, all of them:
   * another core may forget some and address others while they are executed, and none may be passed over.
   */
  #addressedToLocked(kernel: number, to: number): AddressedFree[] {
    const frees = this.#frees;
    const found: AddressedFree[] = [];
    const first = kernel * redirectedFrees_max;
    for (let record = first; record < first + redirectedFrees_max; record++) {
      if (frees.state(record) !== freeState.addressed || frees.to(record) !== to) continue;
      const [page, order] = [frees.page(record), frees.order(record)];
      found.push({ sequence: frees.sequence(record), page, order });
    }
    return found.sort((a, b) => a.sequence - b.sequence);
  }

  #forgetLocked(kernel: number, to: number, executed: number): void {
    const frees = this.#frees;
    const first = kernel * redirectedFrees_max;
    for (let record = first; record < first + redirectedFrees_max; record++) {
      if (frees.state(record) !== freeState.addressed || frees.to(record) !== to) continue;
      if (frees.sequence(record) > executed) continue;
      frees.setState(record, freeState.empty);
      this.#count(kernel, -1);
    }
  }

  #count(kernel: number, change: number): void {
    this.#local.setRedirected(kernel, this.#local.redirected(kernel) + change);
  }

  #locked<Result>(action: () => Result): Result {
    return this.#allocatorOf(this.#kernel).locked(action);
  }
}
