/**
 * Fields of a section's payload, one after the other: little-endian numbers, and bytes, texts and lists with their
 * lengths in front.
 */
import { DamagedCheckpointError } from "./errors.ts";

const halfRange = 2 ** 32;

/** Writes fields into one growing buffer. */
export class FieldWriter {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  u8(value: number): void {
    // The buffer may be another one afterwards.
    const at = this.advance(1);
    this.view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.advance(4);
    this.view.setUint32(at, value, true);
  }

  /** A whole number from 0 to 2^53. */
  u64(value: number): void {
    this.u32(value % halfRange);
    this.u32(Math.floor(value / halfRange));
  }

  block(value: Uint8Array): void {
    this.u32(value.length);
    this.raw(value);
  }

  /** Bytes without a length: the reader knows how many there are. */
  raw(value: Uint8Array): void {
    const at = this.advance(value.length);
    this.bytes.set(value, at);
  }

  text(value: string): void {
    this.block(new TextEncoder().encode(value));
  }

  list<T>(values: readonly T[], write: (value: T) => void): void {
    this.u32(values.length);
    for (const value of values) write(value);
  }

  /** What was written. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  private advance(size_bytes: number): number {
    const at = this.length;
    this.length += size_bytes;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Reads what a `FieldWriter` wrote; nothing it is given can make it read outside or allocate more than that. */
export class FieldReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly section: string;
  private at = 0;

  /** @param section its name, for errors. */
  constructor(bytes: Uint8Array, section: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.section = section;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  u64(what: string): number {
    const low = this.u32();
    const value = low + this.u32() * halfRange;
    if (!Number.isSafeInteger(value)) this.fail(`${what} is out of range`);
    return value;
  }

  block(): Uint8Array {
    return this.raw(this.u32());
  }

  raw(length: number): Uint8Array {
    const at = this.advance(length);
    return this.bytes.subarray(at, at + length);
  }

  text(what: string): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.block());
    } catch (error) {
      if (error instanceof DamagedCheckpointError) throw error;
      return this.fail(`${what} is not text`);
    }
  }

  /** @param least_bytes that an item takes: the count is checked with it before anything is read. */
  list<T>(what: string, least_bytes: number, read: () => T): T[] {
    const count = this.u32();
    if (count * least_bytes > this.bytes.length - this.at) {
      return this.fail(`it says that there are ${count} ${what}, for which it is too short`);
    }
    return Array.from({ length: count }, read);
  }

  /** A number that must be one of some. */
  oneOf<T extends number>(what: string, value: number, allowed: readonly T[]): T {
    const found = allowed.find((one) => one === value);
    return found ?? this.fail(`${what} is ${value}, which means nothing`);
  }

  /** The payload must end here. */
  end(): void {
    const rest = this.bytes.length - this.at;
    if (rest !== 0) this.fail(`${rest} bytes are left over at its end`);
  }

  fail(problem: string): never {
    throw new DamagedCheckpointError(`in its section "${this.section}", ${problem}`);
  }

  private advance(size_bytes: number): number {
    const { at } = this;
    if (size_bytes > this.bytes.length - at) this.fail("a field goes beyond its end");
    this.at += size_bytes;
    return at;
  }
}
