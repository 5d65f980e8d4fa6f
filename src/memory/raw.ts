/**
 * Bytes of a memory moved without an accessor. With a guard each page is announced and moved before the next one:
 * waiting for that may take the first away again.
 */
import { inPages, type MemoryGuard } from "./guard.ts";

/** A copy of `length` bytes at `offset` of the buffer. */
export function readBytes(
  buffer: ArrayBufferLike,
  guard: MemoryGuard | undefined,
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  if (guard === undefined) return new Uint8Array(buffer, offset, length).slice();
  const memory = new Uint8Array(buffer);
  const copy = new Uint8Array(length);
  inPages(offset, length, (start, piece) => {
    guard.access(start, piece, false);
    copy.set(memory.subarray(start, start + piece), start - offset);
  });
  return copy;
}

/** Copies bytes that lie elsewhere to `offset` of the buffer. */
export function writeBytes(
  buffer: ArrayBufferLike,
  guard: MemoryGuard | undefined,
  offset: number,
  bytes: Uint8Array,
): void {
  const memory = new Uint8Array(buffer);
  if (guard === undefined) memory.set(bytes, offset);
  else {
    inPages(offset, bytes.length, (start, piece) => {
      guard.access(start, piece, true);
      memory.set(bytes.subarray(start - offset, start - offset + piece), start);
    });
  }
}

/** Fills `length` bytes at `offset` of the buffer with zeros. */
export function zeroBytes(
  buffer: ArrayBufferLike,
  guard: MemoryGuard | undefined,
  offset: number,
  length: number,
): void {
  const memory = new Uint8Array(buffer);
  if (guard === undefined) memory.fill(0, offset, offset + length);
  else {
    inPages(offset, length, (start, piece) => {
      guard.access(start, piece, true);
      memory.fill(0, start, start + piece);
    });
  }
}
