/**
 * After the death of cores: survivors repair what these have left half done, and take over what kernels had that are
 * gone.
 *
 * Whoever does this may die as well; the next one goes on with it. Mutexes of other kernels are only tried: they may be
 * held by a core whose death nobody has noticed yet. What cannot be done for that reason is left for the next time.
 */
import type { Balloon } from "./balloon.ts";
import type { BlockTable } from "./block-table.ts";
import type { LocalAllocator } from "./local-allocator.ts";
import type { RedirectedFrees } from "./redirected-frees.ts";

export interface RecoveryParts {
  readonly table: BlockTable;
  /** The survivor's own. */
  readonly allocator: LocalAllocator;
  readonly frees: RedirectedFrees;
  /** Those of any kernel. */
  allocatorOf(kernel: number): LocalAllocator;
  balloonOf(kernel: number): Balloon;
}

export interface RecoveryOutcome {
  /** Something was half done. */
  readonly repaired: boolean;
  /** Page blocks of dead kernels may have another owner now. */
  readonly adopted: boolean;
}

export class Recovery {
  readonly #parts: RecoveryParts;
  #unfinished = false;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** True when something was left for the next time. */
  unfinished(): boolean {
    return this.#unfinished;
  }

  /**
   * Repairs and takes over.
   * @param deadOwner number of the dead core for locks; 0 to go on with what was left unfinished.
   * @param deadKernel the kernel that is gone with it; −1 for none.
   */
  run(deadOwner: number, deadKernel: number): RecoveryOutcome {
    const { table, allocator, frees } = this.#parts;
    let repaired = false;
    let adopted = false;
    this.#unfinished = true;
    table.recovering(deadOwner, (deadOwners) => {
      // First of all: should this core die too, whoever repairs behind it goes on with it.
      if (deadKernel >= 0 && deadKernel !== allocator.kernel) table.markDead(deadKernel);
      let complete = true;
      for (let kernel = 0; kernel < table.kernelCount; kernel++) {
        const outcome = this.#parts.balloonOf(kernel).repair(deadOwners);
        if (outcome === "repaired") repaired = true;
        if (outcome === "busy") complete = false;
      }
      if (!this.#addClaimed()) complete = false;
      const dead: number[] = [];
      for (let kernel = 0; kernel < table.kernelCount; kernel++) if (table.isDead(kernel)) dead.push(kernel);
      adopted = dead.length > 0;
      // Page blocks first: frees that one dead kernel has left may be for another one.
      for (const kernel of dead) if (!this.#adoptBlocks(kernel)) complete = false;
      for (const kernel of dead) if (complete && !this.#adoptFrees(kernel)) complete = false;
      this.#unfinished = !complete;
      return complete;
    });
    // The number of frees under way may be wrong after a repair; this counts them anew.
    if (repaired) frees.address();
    return { repaired, adopted };
  }

  /** Adds page blocks to living kernels' allocators that a core claimed before it died. @returns false if that must wait. */
  #addClaimed(): boolean {
    const { table } = this.#parts;
    let complete = true;
    for (let block = 0; block < table.blockCount; block++) {
      const kernel = table.kernelOf(block);
      if (kernel < 0 || table.isDead(kernel)) continue;
      const allocator = this.#parts.allocatorOf(kernel);
      if (allocator.ownsBlock(block)) continue;
      const done = allocator.tryLocked(() => {
        // It may have been given up meanwhile.
        if (table.kernelOf(block) === kernel) allocator.addBlockLocked(block);
      });
      if (!done) complete = false;
    }
    return complete;
  }

  /** Takes over the page blocks of a dead kernel. @returns false if that must wait. */
  #adoptBlocks(dead: number): boolean {
    const { table, allocator } = this.#parts;
    const dying = this.#parts.allocatorOf(dead);
    return dying.tryLocked(() => {
      for (let block = 0; block < table.blockCount; block++) {
        if (table.kernelOf(block) === dead) allocator.adoptBlock(block, dead);
      }
      dying.forgetLocked();
    });
  }

  /** Executes the frees that a dead kernel has left; then nothing is left of it. @returns false if that must wait. */
  #adoptFrees(dead: number): boolean {
    const { table, frees } = this.#parts;
    let complete = false;
    this.#parts.allocatorOf(dead).tryLocked(() => {
      complete = frees.takeOverLocked(dead);
    });
    if (complete) table.clearDead(dead);
    return complete;
  }
}
