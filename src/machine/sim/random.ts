/**
 * Chance on the simulated machine: xoshiro128** (Blackman and Vigna), seeded through a mixing function. Everything
 * that is random comes from one seed; parts take streams of their own by name (`fork`), so that one part that draws
 * more often does not change what another part sees.
 */

/** A step of a 32-bit mixer after Steele, Lea and Flood's SplitMix: spreads seeds that are close together. */
function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** FNV-1a over the UTF-16 units of a text. */
function hashText(text: string, start: number): number {
  let hash = start;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

export class Random {
  /** What this stream was made from; streams that are forked from it depend on this alone. */
  readonly seed: string;
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** @param seed A number or any text; equal texts give equal streams, and 7 is the same as "7". */
  constructor(seed: number | string) {
    this.seed = String(seed);
    // Four words from two hashes of the text: different texts of moderate length do not collide in all of them.
    const low = hashText(this.seed, 0x811c9dc5);
    const high = hashText(this.seed, 0x9e3779b9);
    this.a = mix(low + 0x9e3779b9);
    this.b = mix(high + 0x3c6ef372);
    this.c = mix((low ^ high) + 0xdaa66d2b);
    // The generator must not start with all words zero.
    this.d = mix(high - low + 0x78dde6e4) | 1;
  }

  /** An independent stream: depends on this stream's seed and the name, not on what was drawn. */
  fork(name: string): Random {
    return new Random(`${this.seed}/${name}`);
  }

  /** 32 random bits as a number from 0 to 2^32 − 1. */
  next(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.b, 5), 7), 9) >>> 0;
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = rotateLeft(this.d, 11);
    return result;
  }

  /** A number in [0, 1) with 53 random bits. */
  unit(): number {
    const high = this.next() >>> 5;
    const low = this.next() >>> 6;
    return (high * 0x4000000 + low) / 2 ** 53;
  }

  /**
   * An integer in [0, bound), each equally likely (above 2^32: nearly).
   * @throws RangeError when the bound is not a positive integer.
   */
  below(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1) throw new RangeError(`no integer is below ${bound}`);
    if (bound > 2 ** 32) return Math.floor(this.unit() * bound);
    const fair = 2 ** 32 - (2 ** 32 % bound);
    let value = this.next();
    while (value >= fair) value = this.next();
    return value % bound;
  }

  /** An integer from `low` to `high`, both possible. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with a probability; draws nothing when that is 0 or less, or 1 or more. */
  chance(probability: number): boolean {
    if (probability <= 0) return false;
    if (probability >= 1) return true;
    return this.unit() < probability;
  }

  /** One of the items. @throws RangeError when there is none. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)];
  }

  /** Puts items into a random order, in place. */
  shuffle<Item>(items: Item[]): void {
    for (let index = items.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      const item = items[index];
      items[index] = items[other];
      items[other] = item;
    }
  }

  fill(target: Uint8Array): void {
    for (let index = 0; index < target.length; ) {
      let bits = this.next();
      for (let count = 0; count < 4 && index < target.length; count++) {
        target[index++] = bits & 0xff;
        bits >>>= 8;
      }
    }
  }
}
