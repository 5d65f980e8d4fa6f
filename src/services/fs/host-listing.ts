/**
 * Listings of host directories with positions that stay good while names come and go: an entry's position is
 * a hash of its name, and entries are given in the order of their positions.
 */

/** Positions 0 and 1 are "." and "..". */
const firstPosition = 2;

interface Entry {
  readonly position: number;
  readonly name: Uint8Array;
}

/** Sorted entries of one directory. */
export class HostListing {
  private readonly entries: Entry[];

  constructor(names: readonly Uint8Array[]) {
    this.entries = names
      .map((name) => ({ position: firstPosition + hash(name), name }))
      .sort((a, b) => a.position - b.position || compare(a.name, b.name));
    // Two names with one hash: the second moves up by one, so that every entry has a position of its own.
    for (let index = 1; index < this.entries.length; index++) {
      const { position, name } = this.entries[index];
      const before = this.entries[index - 1].position;
      if (position <= before) this.entries[index] = { position: before + 1, name };
    }
  }

  /** Index of the first entry at `position` or behind it. */
  indexAt(position: number): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.entries[middle].position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Undefined behind the last one. */
  at(index: number): Entry | undefined {
    return this.entries[index];
  }
}

/** 45 bits: cookies are exact numbers, and collisions practically do not happen. */
function hash(name: Uint8Array): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (const byte of name) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x5bd1e995);
    high ^= high >>> 13;
  }
  return (high & 0x1fff) * 2 ** 32 + (low >>> 0);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let index = 0; index < shorter; index++) if (a[index] !== b[index]) return a[index] - b[index];
  return a.length - b.length;
}
