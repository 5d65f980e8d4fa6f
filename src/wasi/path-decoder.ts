/**
 * Paths and other text from a program: bounds, UTF-8 and length are checked, and a path that was seen lately
 * is recognised in place, so that opening the same file again costs no new string.
 */
import { errno } from "../kernel/errno.ts";
import type { GuestMemory } from "./guest-memory.ts";

/** Longest path taken, in bytes, as on other systems. */
export const mostPath_bytes = 4096;
/** Paths longer than this are decoded anew each time. */
const mostRemembered_bytes = 255;
/** Paths remembered; a power of two. */
const rememberedPaths = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class PathDecoder {
  private readonly memory: GuestMemory;
  /** Direct-mapped by a hash of the bytes. Only paths of ASCII characters, so that a byte is a character. */
  private readonly remembered: string[] = [];

  constructor(memory: GuestMemory) {
    this.memory = memory;
  }

  /**
   * The text of `length` bytes at `address`, or −EFAULT, −ENAMETOOLONG, −EILSEQ (not UTF-8) or −EINVAL (a NUL
   * inside). An empty path is for the file service to judge.
   */
  decode(address: number, length: number): string | number {
    if (!this.memory.holds(address, length)) return -errno.FAULT;
    if (length > mostPath_bytes) return -errno.NAMETOOLONG;
    if (length > mostRemembered_bytes) return this.decodeAnew(address, length, -1);
    const { bytes } = this.memory;
    let hash = length;
    let union = 0;
    for (let at = address, end = address + length; at < end; at++) {
      const byte = bytes[at];
      union |= byte;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    if (union > 127) return this.decodeAnew(address, length, -1);
    const place = (hash ^ (hash >>> 8)) & (rememberedPaths - 1);
    const known = this.remembered[place];
    if (known === undefined || known.length !== length) return this.decodeAnew(address, length, place);
    for (let n = 0; n < length; n++) {
      if (known.charCodeAt(n) !== bytes[address + n]) return this.decodeAnew(address, length, place);
    }
    return known;
  }

  /** Decodes from a copy, which the program cannot change meanwhile, and remembers at `place` unless −1. */
  private decodeAnew(address: number, length: number, place: number): string | number {
    const copy = new Uint8Array(length);
    copy.set(this.memory.bytes.subarray(address, address + length));
    if (copy.includes(0)) return -errno.INVAL;
    let text: string;
    try {
      text = utf8.decode(copy);
    } catch {
      return -errno.ILSEQ;
    }
    // One byte for each character says that all are ASCII, whatever the program did since it was looked at.
    if (place >= 0 && text.length === length) this.remembered[place] = text;
    return text;
  }
}
