/**
 * Messages in cache lines: how one is written into a ring and read out of it. Shared by the rings of one
 * consumer (`ring.ts`) and the rings of groups (`group.ts`), which differ in who may free a line.
 *
 * A message takes whole consecutive lines, the header first, and may run over the end of the ring. It is
 * published by one atomic store: the *stamp* in its first line, which is made of its position, so that what
 * an earlier lap left behind is never taken for it. A consumer polls just that word, and the line that
 * brings the stamp brings a small payload too.
 *
 * The line after a message is where the consumer looks next. Old payload there could by chance (or by a
 * sender's malice) look like the stamp expected, so the producer checks that line before publishing; one
 * line of the ring therefore always stays free.
 */
import type { Accessor, MemoryGuard, TypedMemory } from "../memory/index.ts";
import { knownFlags, type MessageHeader, type Priority, type ReceivedMessage } from "./channel.ts";
import { advance, cacheLine_bytes, linesFor, RingLine, RingLinePeek, recordsAt, stampOf } from "./layout.ts";
import type { PayloadBuffer } from "./staging.ts";

/** Up to this size a loop over words beats a block copy, which has to make a view first. */
const wordCopy_bytes_max = 256;

export class MessageLines {
  readonly #lines: Accessor<typeof RingLine.fields>;
  readonly #peek: Accessor<typeof RingLinePeek.fields>;
  /** The ring, as bytes and as words. */
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #guard: MemoryGuard | undefined;
  readonly #mask: number;
  readonly #base: number;
  readonly #payload_bytes_max: number;
  /** Why the last `read` refused its message. */
  refusal = "";

  /** @param base byte offset of line 0 in the memory @param count lines in the ring, a power of two */
  constructor(memory: TypedMemory, base: number, count: number, payload_bytes_max: number) {
    this.#lines = recordsAt(RingLine, memory, base, count);
    this.#peek = recordsAt(RingLinePeek, memory, base, count);
    const size = count * cacheLine_bytes;
    this.#bytes = new Uint8Array(memory.buffer, base, size);
    this.#words = new Int32Array(memory.buffer, base, size / 4);
    this.#guard = memory.guard;
    this.#mask = count - 1;
    this.#base = base;
    this.#payload_bytes_max = payload_bytes_max;
  }

  /**
   * True if a complete message starts at `position`. Cheap when there is none. When it says no, there may be
   * one a moment later, or, in theory, one that this core has not seen yet; `publishedNow` is exact.
   */
  published(position: number): boolean {
    const line = position & this.#mask;
    const stamp = stampOf(position);
    return this.#peek.stamp(line) === stamp && this.#lines.stamp(line) === stamp;
  }

  /** As `published`, and in the one total order of atomic operations. */
  publishedNow(position: number): boolean {
    return this.#lines.stamp(position & this.#mask) === stampOf(position);
  }

  /**
   * Writes a message at `position` and publishes it. The lines it takes and the one after must be free,
   * and no other core may be writing to this ring.
   * @returns the position after the message.
   */
  write(position: number, header: Readonly<MessageHeader>, payload: PayloadBuffer, size: number): number {
    const line = position & this.#mask;
    const lines = this.#lines;
    lines.setType(line, header.type);
    lines.setSize(line, size);
    lines.setCorrelation(line, header.correlation);
    lines.setStatus(line, header.status);
    lines.setSender(line, header.sender);
    lines.setToIncarnation(line, header.toIncarnation);
    lines.setFromIncarnation(line, header.fromIncarnation);
    lines.setFlags(line, header.flags);
    lines.setPriority(line, header.priority);
    if (size > 0) this.#copyIn(lines.bodyOffset(line) - this.#base, payload, size);
    const next = advance(position, linesFor(size));
    if (this.published(next)) lines.setStamp(next & this.#mask, 0);
    lines.setStamp(line, stampOf(position));
    return next;
  }

  /**
   * Reads the message published at `position`: checks its header, each word of which is read only once,
   * and copies the payload, so that nothing the sender does later changes what was checked.
   * @returns the lines it takes, or 0 if it is malformed; `refusal` then says why.
   */
  read(position: number, into: ReceivedMessage, priority: Priority, sender: number): number {
    const line = position & this.#mask;
    const lines = this.#lines;
    const size = lines.size(line);
    const flags = lines.flags(line);
    const from = lines.sender(line);
    if (size > this.#payload_bytes_max)
      return this.#refuse(`size ${size} is above ${this.#payload_bytes_max}`);
    if ((flags & ~knownFlags) !== 0) return this.#refuse(`unknown flags ${flags}`);
    const level = lines.priority(line);
    if (level !== priority) return this.#refuse(`priority ${level} in the ring of ${priority}`);
    if (sender >= 0 && from !== sender) return this.#refuse(`sender ${from} in the ring of ${sender}`);
    into.type = lines.type(line);
    into.size = size;
    into.flags = flags;
    into.priority = priority;
    into.correlation = lines.correlation(line);
    into.status = lines.status(line);
    into.sender = from;
    into.toIncarnation = lines.toIncarnation(line);
    into.fromIncarnation = lines.fromIncarnation(line);
    if (size > 0) this.#copyOut(lines.bodyOffset(line) - this.#base, into, size);
    return linesFor(size);
  }

  /** The type number at a position, for reports about a message that was refused. */
  typeAt(position: number): number {
    return this.#lines.type(position & this.#mask);
  }

  /** The lines that the message at `position` claims to take; 1 if the claim cannot be true. */
  linesAt(position: number): number {
    const size = this.#lines.size(position & this.#mask);
    return size > this.#payload_bytes_max ? 1 : linesFor(size);
  }

  #refuse(why: string): number {
    this.refusal = why;
    return 0;
  }

  #copyIn(start: number, payload: PayloadBuffer, size: number): void {
    const untilEnd = this.#bytes.length - start;
    if (size <= untilEnd) this.#copyPartIn(start, payload, 0, size);
    else {
      this.#copyPartIn(start, payload, 0, untilEnd);
      this.#copyPartIn(0, payload, untilEnd, size - untilEnd);
    }
  }

  /** `from` is a multiple of 4, because the ring and its lines are. */
  #copyPartIn(start: number, payload: PayloadBuffer, from: number, size: number): void {
    const source = payload.words;
    this.#guard?.access(this.#base + start, wholeWords(size), true);
    if (size > wordCopy_bytes_max || source.length === 0) {
      const { bytes } = payload;
      this.#bytes.set(bytes.length === size ? bytes : bytes.subarray(from, from + size), start);
      return;
    }
    const words = this.#words;
    // Whole words: what is beyond the payload is room of the same message.
    const count = (size + 3) >>> 2;
    const to = start >>> 2;
    const first = from >>> 2;
    for (let i = 0; i < count; i++) words[to + i] = source[first + i];
  }

  #copyOut(start: number, target: PayloadBuffer, size: number): void {
    const untilEnd = this.#bytes.length - start;
    if (size <= untilEnd) this.#copyPartOut(start, target, 0, size);
    else {
      this.#copyPartOut(start, target, 0, untilEnd);
      this.#copyPartOut(0, target, untilEnd, size - untilEnd);
    }
  }

  #copyPartOut(start: number, target: PayloadBuffer, to: number, size: number): void {
    this.#guard?.access(this.#base + start, wholeWords(size), false);
    if (size > wordCopy_bytes_max) {
      target.bytes.set(this.#bytes.subarray(start, start + size), to);
      return;
    }
    const source = this.#words;
    const { words } = target;
    const count = (size + 3) >>> 2;
    const from = start >>> 2;
    const first = to >>> 2;
    for (let i = 0; i < count; i++) words[first + i] = source[from + i];
  }
}

/** Bytes of the words that so many bytes take. */
function wholeWords(size: number): number {
  return (size + 3) & -4;
}
