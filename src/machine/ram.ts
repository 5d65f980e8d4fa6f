/**
 * The island's memory as kernel code moves bytes in and out of it: between the island and a caller's buffer, which
 * is most often in the memory of the program that runs.
 *
 * Copies between two shared buffers are slow in JavaScript, and slower by far when they are not equally aligned.
 * A program brings functions that copy between its memory and the island's at full speed, so buffers in the
 * memory of the running program go through these, and only what others hand in is copied here.
 */
import { inPages, type MemoryGuard } from "../memory/index.ts";

/** A program's memory with its own way to copy. */
export interface UserMemory {
  /** All of it; replaced when it grows. */
  readonly bytes: Uint8Array;
  /** Null when there is no memory. */
  readonly copies: {
    copyIn(ramOffset: number, address: number, length: number): void;
    copyOut(address: number, ramOffset: number, length: number): void;
  } | null;
}

const noUser: UserMemory = { bytes: new Uint8Array(0), copies: null };

/** One for each core. All ranges must have been checked. */
export class Ram {
  /** All of the island's memory. What is read or written here must have been announced with `touch`. */
  readonly bytes: Uint8Array;
  private readonly guard: MemoryGuard | undefined;
  private user = noUser;

  /** @param guard is told of every access beforehand. Default: none. */
  constructor(buffer: SharedArrayBuffer, guard?: MemoryGuard) {
    this.bytes = new Uint8Array(buffer);
    this.guard = guard;
  }

  /** The program that runs from now on; nothing when none does. */
  setUser(user: UserMemory | undefined): void {
    this.user = user ?? noUser;
  }

  /**
   * Announces an access through `bytes`, as `TypedMemory.touch` does. Ranges of several pages are better announced
   * and moved page by page.
   */
  touch(offset: number, length: number, write: boolean): void {
    this.guard?.access(offset, length, write);
  }

  /** Copies bytes of a caller to the island's memory. */
  copyIn(source: Uint8Array, offset: number, length: number, to: number): void {
    if (this.guard === undefined) this.moveIn(source, offset, length, to);
    else {
      inPages(to, length, (start, piece) => {
        this.touch(start, piece, true);
        this.moveIn(source, offset + start - to, piece, start);
      });
    }
  }

  /** Copies bytes of the island's memory to a caller. */
  copyOut(from: number, length: number, target: Uint8Array, offset: number): void {
    if (this.guard === undefined) this.moveOut(from, length, target, offset);
    else {
      inPages(from, length, (start, piece) => {
        this.touch(start, piece, false);
        this.moveOut(start, piece, target, offset + start - from);
      });
    }
  }

  private moveIn(source: Uint8Array, offset: number, length: number, to: number): void {
    const { bytes, copies } = this.user;
    if (source === bytes && copies !== null) copies.copyIn(to, offset, length);
    else this.bytes.set(source.subarray(offset, offset + length), to);
  }

  private moveOut(from: number, length: number, target: Uint8Array, offset: number): void {
    const { bytes, copies } = this.user;
    if (target === bytes && copies !== null) copies.copyOut(offset, from, length);
    else target.set(this.bytes.subarray(from, from + length), offset);
  }
}
