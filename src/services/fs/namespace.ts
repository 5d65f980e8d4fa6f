/**
 * Changes of names, as seen by those who read names at the same time.
 *
 * Looking up a path takes several steps, and between two steps another kernel may rename, remove and reuse
 * what was found: an inode number that a walk holds may by then belong to a file the program must not see.
 * Readers therefore look first and check afterwards, as with a sequence lock: `stamp` before the walk,
 * `unchanged` when the result is pinned by an open handle. Writers never wait for readers.
 *
 * A change that can alter the meaning of an existing name (unlink, rmdir, rename, mount, unmount) is made
 * between `beginChange` and `endChange`. Creating a name needs neither: no reader keeps the fact that a name
 * was missing, and an inode number is reused only after such a change has freed it.
 */

import { limits, type SystemBlock } from "../../kernel/state.ts";
import type { Accessor } from "../../memory/index.ts";

const wordCount = limits.namespaceChangerWords;

export class Namespace {
  private readonly system: Accessor<typeof SystemBlock.fields>;
  private readonly word: number;
  private readonly bit: number;

  /**
   * @param owner the core's number for locks; each core makes one change at a time.
   * @throws RangeError when there is no bit for this owner.
   */
  constructor(system: Accessor<typeof SystemBlock.fields>, owner: number) {
    this.system = system;
    this.word = owner >>> 5;
    this.bit = (1 << (owner & 31)) >>> 0;
    if (this.word >= wordCount)
      throw new RangeError(`owner ${owner} is beyond ${wordCount * 32} changers of names`);
  }

  /** A number that stands for the names as they are now, or −1 while somebody changes them. */
  stamp(): number {
    const generation = this.system.namespaceGeneration(0);
    return this.isChanging() ? -1 : generation;
  }

  /** True when no change was made, or is being made, since `stamp` returned this number. */
  unchanged(stamp: number): boolean {
    // Whoever began after the stamp has bumped the generation before touching anything.
    return this.system.namespaceGeneration(0) === stamp;
  }

  beginChange(): void {
    this.system.orNamespaceChangers(0, this.word, this.bit);
    this.system.addNamespaceGeneration(0, 1);
  }

  endChange(): void {
    this.system.addNamespaceGeneration(0, 1);
    this.system.andNamespaceChangers(0, this.word, ~this.bit >>> 0);
  }

  /** Whether somebody is changing names right now. */
  isChanging(): boolean {
    for (let word = 0; word < wordCount; word++)
      if (this.system.namespaceChangers(0, word) !== 0) return true;
    return false;
  }

  /** Ends the change that a dead core may have been making. What it had done of it stands. */
  recover(deadOwner: number): void {
    this.system.addNamespaceGeneration(0, 1);
    this.system.andNamespaceChangers(0, deadOwner >>> 5, ~(1 << (deadOwner & 31)) >>> 0);
  }
}
