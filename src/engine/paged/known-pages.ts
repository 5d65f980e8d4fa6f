/**
 * Which addresses are known to lie in pages that are present, at a place in a function. Pages do not become absent
 * again: what is known before a block is known inside and behind it, as long as the local keeps its value.
 */
import { mapPage_bytes, mapPageShift } from "./abi.ts";

/** What is known of one local, or of constants: places from which on a page's length is present. */
type Known = Map<number, readonly number[]>;

/** Stands for constants among the locals. */
export const constants = -1;
/** More than this is not worth remembering: each block starts with a copy. */
const known_max = 64;
const places_max = 16;

/**
 * Where to check for an access at a local's value plus `offset`. A check covers two pages that follow each other, so
 * that all accesses up to a page's length from where it was are covered, too: most are near the local's value.
 */
export function checkedOffset(offset: number, size_bytes: number): number {
  return offset + size_bytes <= mapPage_bytes ? 0 : offset - (offset % (mapPage_bytes / 2));
}

interface Construct {
  readonly before: Known;
  readonly assigned: ReadonlySet<number>;
}

export class KnownPages {
  private known: Known = new Map();
  private readonly constructs: Construct[] = [];

  /** Whether an access of `size_bytes` at the local's value plus `offset` needs no check. */
  covers(local: number, offset: number, size_bytes: number): boolean {
    for (const from of this.known.get(local) ?? []) {
      if (from <= offset && offset + size_bytes <= from + mapPage_bytes) return true;
    }
    return false;
  }

  /** The local's value plus `offset` was checked; for a constant it is the start of its page that counts. */
  add(local: number, offset: number): void {
    const before = this.known.get(local) ?? [];
    if (this.known.size < known_max && before.length < places_max) this.known.set(local, [...before, offset]);
  }

  /** The local has got another value. */
  forget(local: number): void {
    this.known.delete(local);
  }

  /** A block, if or try starts. @param assigned which locals it assigns. */
  enter(assigned: ReadonlySet<number>, isLoop: boolean): void {
    this.constructs.push({ before: new Map(this.known), assigned });
    // Its start is reached again from its end.
    if (isLoop) this.forgetAll(assigned);
  }

  /** `else`: what was known before the `if`. */
  otherwise(): void {
    const construct = this.constructs[this.constructs.length - 1];
    this.known = new Map(construct.before);
  }

  /** `catch`: an exception may come from anywhere in the `try`. */
  caught(): void {
    const construct = this.constructs[this.constructs.length - 1];
    this.known = new Map(construct.before);
    this.forgetAll(construct.assigned);
  }

  /** The construct ends; branches to its end may come from anywhere in it. */
  leave(): void {
    const construct = this.constructs.pop();
    // The end of the function.
    if (construct === undefined) return;
    this.known = construct.before;
    this.forgetAll(construct.assigned);
  }

  private forgetAll(locals: ReadonlySet<number>): void {
    for (const local of locals) this.known.delete(local);
  }
}

/** The page of a constant address. */
export function pageOfConstant(address: number): number {
  return Math.floor(address / 2 ** mapPageShift);
}
