/** Writes the primitive values of the binary format into one growing buffer. */

export class ByteWriter {
  bytes: Uint8Array;
  position = 0;

  constructor(capacity_bytes = 256) {
    this.bytes = new Uint8Array(capacity_bytes);
  }

  /** Makes room for `bytes` more; the writes of this class call it themselves. */
  reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.position));
    this.bytes = larger;
  }

  u8(value: number): void {
    if (this.position >= this.bytes.length) this.reserve(1);
    this.bytes[this.position++] = value;
  }

  u32(value: number): void {
    this.reserve(5);
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.bytes[this.position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.position++] = rest;
  }

  u64(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.position++] = rest;
  }

  s32(value: number): void {
    this.reserve(5);
    let rest = value | 0;
    for (;;) {
      const byte = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(byte & 0x40)) || (rest === -1 && byte & 0x40)) {
        this.bytes[this.position++] = byte;
        return;
      }
      this.bytes[this.position++] = byte | 0x80;
    }
  }

  raw(bytes: ArrayLike<number>): void {
    const length = bytes.length;
    this.reserve(length);
    if (length > 48) this.bytes.set(bytes, this.position);
    else for (let index = 0; index < length; index++) this.bytes[this.position + index] = bytes[index];
    this.position += length;
  }

  /** Copies `source[start, end)`. Short ranges, which are the rule between edits, go byte by byte. */
  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.reserve(length);
    if (length > 48) {
      this.bytes.set(source.subarray(start, end), this.position);
      this.position += length;
      return;
    }
    const target = this.bytes;
    let position = this.position;
    for (let index = start; index < end; index++) target[position++] = source[index];
    this.position = position;
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** Leaves room for a length that is not known yet; `endLength` fills it in. */
  beginLength(): number {
    this.reserve(5);
    this.position += 5;
    return this.position;
  }

  /** Fills in the length begun at `start`, in as few bytes as it takes, moving what was written up to it. */
  endLength(start: number): void {
    const length = this.position - start;
    let rest = length;
    let width = 1;
    while (rest >= 0x80) {
      rest >>>= 7;
      width++;
    }
    const lengthAt = start - 5;
    if (width < 5) this.bytes.copyWithin(lengthAt + width, start, this.position);
    this.position = lengthAt;
    this.u32(length);
    this.position += length;
  }

  /** What was written, as a view of the buffer. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }
}
