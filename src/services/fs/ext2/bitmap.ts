/**
 * Bitmaps on the device: bit n of a bitmap is bit n % 32 of its word n / 32 (little-endian), 1 for used.
 * Plain functions on an address; the caller holds the group's lock and has the block present.
 */
import type { Volume } from "./volume.ts";

type Words = Volume["words"];

/** True when the bit is set. */
export function testBit(words: Words, bitmap: number, bit: number): boolean {
  return (words.value(bitmap + (bit >>> 5) * 4) & (1 << (bit & 31))) !== 0;
}

/**
 * The first bit in `[from, limit)` where `minimum` free bits start: 1, or 8 on a byte boundary, or 32 on a word
 * boundary. −1 if there are none.
 */
export function findFree(words: Words, bitmap: number, from: number, limit: number, minimum: number): number {
  const aligned = (from + minimum - 1) & ~(minimum - 1);
  const lastStart = limit - minimum;
  for (let bit = aligned; bit <= lastStart; bit = (bit | 31) + 1) {
    // Bits before `bit` in its word count as used.
    const word = words.value(bitmap + (bit >>> 5) * 4) | ((1 << (bit & 31)) - 1);
    if (word === -1) continue;
    const found = freeInWord(word, minimum);
    if (found < 0) continue;
    const start = (bit & ~31) + found;
    return start <= lastStart ? start : -1;
  }
  return -1;
}

/** Position in one word of the first `minimum` free bits (aligned), or −1. */
function freeInWord(word: number, minimum: number): number {
  if (minimum === 1) return trailingZeros(~word);
  if (minimum === 32) return word === 0 ? 0 : -1;
  for (let shift = 0; shift < 32; shift += 8) {
    if ((word & (0xff << shift)) === 0) return shift;
  }
  return -1;
}

/** How many bits from `from` on are free, up to `most` and not beyond `limit`. */
export function countFreeRun(
  words: Words,
  bitmap: number,
  from: number,
  limit: number,
  most: number,
): number {
  const end = Math.min(limit, from + most);
  for (let bit = from; bit < end; bit = (bit | 31) + 1) {
    const used = words.value(bitmap + (bit >>> 5) * 4) & ~((1 << (bit & 31)) - 1);
    if (used !== 0) return Math.min((bit & ~31) + trailingZeros(used), end) - from;
  }
  return end - from;
}

/** Sets `count` bits from `from` on. */
export function setBits(words: Words, bitmap: number, from: number, count: number): void {
  const end = from + count;
  for (let bit = from; bit < end; bit = (bit | 31) + 1) {
    const address = bitmap + (bit >>> 5) * 4;
    words.setValue(address, words.value(address) | maskFrom(bit, end));
  }
}

/** Clears `count` bits from `from` on; returns how many of them were set. */
export function clearBits(words: Words, bitmap: number, from: number, count: number): number {
  const end = from + count;
  let cleared = 0;
  for (let bit = from; bit < end; bit = (bit | 31) + 1) {
    const address = bitmap + (bit >>> 5) * 4;
    const mask = maskFrom(bit, end);
    const word = words.value(address);
    cleared += countOnes(word & mask);
    words.setValue(address, word & ~mask);
  }
  return cleared;
}

/** How many of the first `count` bits are free. */
export function countFree(words: Words, bitmap: number, count: number): number {
  let used = 0;
  for (let bit = 0; bit < count; bit += 32) {
    used += countOnes(words.value(bitmap + (bit >>> 5) * 4) & maskFrom(bit, count));
  }
  return count - used;
}

/** The bits of `bit`'s word from `bit` up to (not including) `end`. */
function maskFrom(bit: number, end: number): number {
  const upTo = end - (bit & ~31) >= 32 ? -1 : (1 << (end & 31)) - 1;
  return upTo & ~((1 << (bit & 31)) - 1);
}

/** Position of the lowest set bit of a word that is not 0. */
function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function countOnes(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
