/**
 * Private memory in which payloads are put together and taken apart. Payloads pass between it and the rings in
 * one copy, so that nothing a peer does later changes what has been checked.
 */

/** A payload to send, or the room for one to receive. */
export interface PayloadBuffer {
  readonly bytes: Uint8Array;
  /** The same memory in words, so that short payloads are copied word by word; empty if it is not aligned. */
  readonly words: Int32Array;
}

/** Copies up to this size are allocated singly; longer ones share slabs, because small buffers of their own are slow to make. */
const singleCopy_bytes_max = 64;
const slab_bytes = 65536;

export class Staging {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  #slab: ArrayBuffer | undefined;
  #slabUsed = 0;

  constructor(size: number) {
    this.buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(this.buffer);
  }

  /** A part of the staging memory as a payload buffer; both numbers are multiples of 8. */
  part(address: number, size: number): PayloadBuffer {
    return {
      bytes: new Uint8Array(this.buffer, address, size),
      words: new Int32Array(this.buffer, address, size / 4),
    };
  }

  /** A copy of some bytes that outlives the next message. */
  copy(address: number, size: number): Uint8Array {
    if (size <= singleCopy_bytes_max || size > slab_bytes) return this.bytes.slice(address, address + size);
    if (this.#slab === undefined || this.#slabUsed + size > slab_bytes) {
      this.#slab = new ArrayBuffer(slab_bytes);
      this.#slabUsed = 0;
    }
    const copy = new Uint8Array(this.#slab, this.#slabUsed, size);
    this.#slabUsed += (size + 7) & -8;
    copy.set(this.bytes.subarray(address, address + size));
    return copy;
  }
}

/** A payload buffer of its own, filled with the start of another; for messages that have to wait. */
export function copyPayload(from: PayloadBuffer, size: number): PayloadBuffer {
  const buffer = new ArrayBuffer((size + 7) & -8);
  const bytes = new Uint8Array(buffer);
  bytes.set(from.bytes.subarray(0, size));
  return { bytes, words: new Int32Array(buffer) };
}
