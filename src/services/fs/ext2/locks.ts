/**
 * The locks that one call holds. A call acquires through this object and releases everything at once when it
 * ends, whatever happened; a kernel makes one call at a time. The order is told in `shared.ts`.
 */
import type { Volume } from "./volume.ts";

/** Rename is the call that holds most: two directories, the moved inode and the replaced one. */
const held_max = 4;

export class InodeLocks {
  readonly #volume: Volume;
  readonly #held = new Int32Array(held_max);
  #count = 0;
  #moves = false;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  holds(inode: number): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#held[i] === inode) return true;
    return false;
  }

  /** Waits for an inode's lock; all inodes held must have lower numbers. Holding it already is fine. */
  acquire(inode: number): void {
    if (this.holds(inode)) return;
    this.#volume.inodeCores.acquireMutex(inode, this.#volume.owner);
    this.#held[this.#count++] = inode;
  }

  /** Takes an inode's lock if nobody has it: allowed in any order. */
  tryAcquire(inode: number): boolean {
    if (this.holds(inode)) return true;
    if (!this.#volume.inodeCores.tryAcquireMutex(inode, this.#volume.owner)) return false;
    this.#held[this.#count++] = inode;
    return true;
  }

  /** Acquires when the order allows waiting, else tries. */
  acquireOrTry(inode: number): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#held[i] >= inode) return this.tryAcquire(inode);
    this.acquire(inode);
    return true;
  }

  /** Waits for the inodes' locks in order; nothing may be held. Zeros are left out. */
  acquireAll(a: number, b: number, c: number, d: number): void {
    let last = 0;
    for (;;) {
      let next = Number.POSITIVE_INFINITY;
      if (a > last && a < next) next = a;
      if (b > last && b < next) next = b;
      if (c > last && c < next) next = c;
      if (d > last && d < next) next = d;
      if (next === Number.POSITIVE_INFINITY) return;
      this.acquire(next);
      last = next;
    }
  }

  /** Waits for the lock on directories' moves; nothing else may be held. */
  acquireMoves(): void {
    this.#volume.core.acquireMoves(0, this.#volume.owner);
    this.#moves = true;
  }

  get holdsMoves(): boolean {
    return this.#moves;
  }

  /** Releases the inodes' locks, and keeps the one on moves. */
  releaseInodes(): void {
    while (this.#count > 0)
      this.#volume.inodeCores.releaseMutex(this.#held[--this.#count], this.#volume.owner);
  }

  releaseAll(): void {
    this.releaseInodes();
    if (this.#moves) {
      this.#moves = false;
      this.#volume.core.releaseMoves(0, this.#volume.owner);
    }
  }
}
