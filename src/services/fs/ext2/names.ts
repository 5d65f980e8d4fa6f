/** File names and link targets: from strings to the UTF-8 bytes on the device and back. */
import { errno } from "../../../kernel/errno.ts";
import { nameLength_bytes_max } from "./layout.ts";

const slash = 0x2f;
const dot = 0x2e;

/** A name as bytes, reused from call to call. */
export class NameBuffer {
  readonly bytes: Uint8Array = new Uint8Array(nameLength_bytes_max + 3);
  length = 0;

  readonly #encoder = new TextEncoder();

  /**
   * Encodes one path component. Zero, or −EINVAL (empty, or holds "/" or NUL), −ENAMETOOLONG, −EILSEQ (half of
   * a surrogate pair).
   */
  set(name: string): number {
    const length = name.length;
    if (length === 0) return -errno.INVAL;
    if (length > nameLength_bytes_max) return -errno.NAMETOOLONG;
    const bytes = this.bytes;
    for (let i = 0; i < length; i++) {
      const code = name.charCodeAt(i);
      if (code >= 0x80) return this.#setUnicode(name);
      if (code === slash || code === 0) return -errno.INVAL;
      bytes[i] = code;
    }
    this.length = length;
    return 0;
  }

  /** Takes a name as it lies on a device. */
  setBytes(bytes: Uint8Array, length: number): void {
    for (let i = 0; i < length; i++) this.bytes[i] = bytes[i];
    this.length = length;
  }

  /** True for "." and "..", which no call may create, remove or rename. */
  isDots(): boolean {
    const { bytes, length } = this;
    return bytes[0] === dot && (length === 1 || (length === 2 && bytes[1] === dot));
  }

  #setUnicode(name: string): number {
    if (!name.isWellFormed()) return -errno.ILSEQ;
    if (name.includes("/") || name.includes("\0")) return -errno.INVAL;
    const { read, written } = this.#encoder.encodeInto(name, this.bytes);
    if (read < name.length || written > nameLength_bytes_max) return -errno.NAMETOOLONG;
    this.length = written;
    return 0;
  }
}

/** The names every directory starts with. */
export const selfName = Uint8Array.of(dot);
export const parentName = Uint8Array.of(dot, dot);

/** A link target as bytes; undefined if it cannot be one (empty, with a NUL, not well-formed). */
export function encodeTarget(target: string): Uint8Array | undefined {
  if (target === "" || target.includes("\0") || !target.isWellFormed()) return undefined;
  return new TextEncoder().encode(target);
}

export function decodeTarget(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
