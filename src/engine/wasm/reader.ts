/**
 * Reads the primitive values of the binary format. Every read is checked against the end of the range given,
 * and every count against the bytes that remain, so that no input makes the decoder run away or allocate more
 * than a small multiple of its own size.
 */
import { MalformedModuleError } from "../errors.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;
  /** One past the last byte that may be read. */
  end: number;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** Stops decoding at the current position, or at `at`. */
  fail(expected: string, found?: string, at = this.position): never {
    throw new MalformedModuleError(at, expected, found);
  }

  u8(expected = "a byte"): number {
    if (this.position >= this.end) this.fail(expected, "the end of the section");
    return this.bytes[this.position++];
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32(expected = "a 32-bit unsigned integer"): number {
    const start = this.position;
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.position >= this.end) this.fail(expected, "the end of the section", start);
      const byte = this.bytes[this.position++];
      if (shift === 28 && byte > 0x0f) this.fail(expected, "more than 32 bits", start);
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return result >>> 0;
    }
    return this.fail(expected, "more than 5 bytes", start);
  }

  /** An unsigned LEB128 of at most 64 bits, as a number: exact to 2^53, approximate above. */
  u64(expected = "a 64-bit unsigned integer"): number {
    const start = this.position;
    let result = 0;
    let scale = 1;
    for (let index = 0; index < 10; index++) {
      if (this.position >= this.end) this.fail(expected, "the end of the section", start);
      const byte = this.bytes[this.position++];
      if (index === 9 && byte > 1) this.fail(expected, "more than 64 bits", start);
      result += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return result;
    }
    return this.fail(expected, "more than 10 bytes", start);
  }

  /** A signed LEB128 of at most 33 bits: heap types and block types. */
  s33(expected = "a 33-bit signed integer"): number {
    const start = this.position;
    let result = 0;
    let scale = 1;
    for (let index = 0; index < 5; index++) {
      if (this.position >= this.end) this.fail(expected, "the end of the section", start);
      const byte = this.bytes[this.position++];
      result += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return byte & 0x40 ? result - scale : result;
    }
    return this.fail(expected, "more than 5 bytes", start);
  }

  /** Passes over a LEB128 of at most `bytes_max` bytes. */
  skipLeb(bytes_max: number): void {
    const start = this.position;
    for (let index = 0; index < bytes_max; index++) {
      if (this.position >= this.end) this.fail("an integer", "the end of the section", start);
      if (this.bytes[this.position++] < 0x80) return;
    }
    this.fail(`an integer of at most ${bytes_max} bytes`, "a longer one", start);
  }

  skip(bytes: number, expected = `${bytes} bytes`): void {
    if (bytes > this.remaining) this.fail(expected, `${this.remaining} bytes until the end of the section`);
    this.position += bytes;
  }

  /** The length of a vector whose items take at least `itemBytes_min` bytes each. */
  count(expected: string, itemBytes_min = 1): number {
    const start = this.position;
    const count = this.u32(`the number of ${expected}`);
    if (count * itemBytes_min > this.remaining) {
      this.fail(`the number of ${expected}`, `${count}, more than fit in the section`, start);
    }
    return count;
  }

  name(expected = "a name"): string {
    const start = this.position;
    const length = this.count(`bytes of ${expected}`);
    const bytes = this.bytes.subarray(this.position, this.position + length);
    this.position += length;
    try {
      // A view of shared memory cannot be decoded directly.
      return utf8.decode(bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice());
    } catch {
      return this.fail(expected, "bytes that are not UTF-8", start);
    }
  }

  /** A part of the input with its length in front, as a reader of its own. */
  part(expected: string): ByteReader {
    const length = this.count(`bytes of ${expected}`);
    const part = new ByteReader(this.bytes, this.position, this.position + length);
    this.position += length;
    return part;
  }
}
