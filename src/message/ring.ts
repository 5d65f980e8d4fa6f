/**
 * A ring: the shared-memory channel from one core to another. One producer, one consumer, one priority;
 * see `lines.ts` for what a message looks like in it.
 *
 * Everything that outlives a kernel is in the ring itself, so that either end can be taken over by the next
 * kernel on its core:
 * - the producer stores `tail` after publishing. One that dies in between leaves a published message at
 *   `tail`, which its successor steps over; one that dies earlier leaves nothing that can be seen.
 * - the consumer stores `cursor` before a message is handled, so a message is never handled twice, and
 *   `head` at the end of a batch, which frees the lines.
 *
 * Waiting for room loses no wake-up. The producer stores `roomWanted`, then loads `head` again; the
 * consumer stores `head`, then loads `roomWanted`. Atomic operations have one total order, so whichever
 * store comes second in it, the load after it sees the other store: either the producer sees the room or
 * the consumer sees the wish.
 */

import { errno } from "../kernel/errno.ts";
import type { Accessor, TypedMemory } from "../memory/index.ts";
import type {
  ChannelCapabilities,
  FaultReport,
  MessageHeader,
  OutgoingChannel,
  Priority,
  ReceivedMessage,
} from "./channel.ts";
import { advance, distance, linesFor, RingControl, RingRoomPeek, recordsAt } from "./layout.ts";
import { MessageLines } from "./lines.ts";
import { MessageReader } from "./reader.ts";
import type { PayloadBuffer } from "./staging.ts";

/** One part in this many of a ring may be read and not yet freed. */
const heldBackShare = 4;

type Control = Accessor<typeof RingControl.fields>;

/** Where a ring lies: byte offsets of its control record and its lines. */
export interface RingPlace {
  readonly memory: TypedMemory;
  readonly control: number;
  readonly lines: number;
  /** A power of two. */
  readonly lineCount: number;
  readonly payload_bytes_max: number;
  readonly priority: Priority;
}

/** Writes the constant line of a new ring. The rest of a ring starts as zeros. */
export function formatRing(place: RingPlace, sender: number, receiver: number): void {
  const control = recordsAt(RingControl, place.memory, place.control, 1);
  control.setLineCount(0, place.lineCount);
  control.setSender(0, sender);
  control.setReceiver(0, receiver);
}

export class RingProducer implements OutgoingChannel {
  readonly capabilities: ChannelCapabilities;
  readonly #control: Control;
  readonly #lines: MessageLines;
  readonly #lineCount: number;
  #tail: number;
  /** The consumer's `head` when last looked at. It only ever advances, so this is a safe estimate. */
  #head: number;

  /** Continues where the previous producer of this ring stopped. */
  constructor(place: RingPlace) {
    this.capabilities = { payload_bytes_max: place.payload_bytes_max, ordered: true, reliable: true };
    this.#control = recordsAt(RingControl, place.memory, place.control, 1);
    this.#lines = new MessageLines(place.memory, place.lines, place.lineCount, place.payload_bytes_max);
    this.#lineCount = place.lineCount;
    this.#tail = this.#control.tail(0);
    this.#head = this.#control.head(0);
    if (this.#lines.publishedNow(this.#tail)) {
      this.#tail = advance(this.#tail, this.#lines.linesAt(this.#tail));
      this.#control.setTail(0, this.#tail);
    }
  }

  send(header: Readonly<MessageHeader>, payload: PayloadBuffer, size: number): number {
    if (size > this.capabilities.payload_bytes_max) return -errno.MSGSIZE;
    const lines = linesFor(size);
    if (this.#free() <= lines) {
      this.#head = this.#control.head(0);
      const free = this.#free();
      if (free < 0) return -errno.PROTO;
      if (free <= lines) return -errno.AGAIN;
    }
    this.#tail = this.#lines.write(this.#tail, header, payload, size);
    this.#control.setTail(0, this.#tail);
    return 0;
  }

  awaitRoom(size: number): boolean {
    this.#control.setRoomWanted(0, 1);
    this.#head = this.#control.head(0);
    if (this.#free() <= linesFor(size)) return false;
    this.#control.setRoomWanted(0, 0);
    return true;
  }

  /** Lines not in use; one of them must stay free, see `lines.ts`. Negative if `head` is nonsense. */
  #free(): number {
    return this.#lineCount - distance(this.#head, this.#tail);
  }
}

export class RingConsumer {
  /** Address of the producer. */
  readonly sender: number;
  readonly priority: Priority;
  readonly #control: Control;
  readonly #reader: MessageReader;
  readonly #roomPeek: Accessor<typeof RingRoomPeek.fields>;
  readonly #lineCount: number;
  #head: number;

  /** Continues where the previous consumer of this ring stopped. */
  constructor(place: RingPlace, sender: number, report: FaultReport) {
    this.sender = sender;
    this.priority = place.priority;
    const control = recordsAt(RingControl, place.memory, place.control, 1);
    this.#control = control;
    this.#roomPeek = recordsAt(RingRoomPeek, place.memory, place.control, 1);
    this.#lineCount = place.lineCount;
    this.#head = control.head(0);
    this.#reader = new MessageReader({
      lines: new MessageLines(place.memory, place.lines, place.lineCount, place.payload_bytes_max),
      lineCount: place.lineCount,
      priority: place.priority,
      sender,
      positions: { tail: () => control.tail(0), storeCursor: (position) => control.setCursor(0, position) },
      cursor: control.cursor(0),
      report,
    });
  }

  /** Malformed messages so far. */
  get malformed(): number {
    return this.#reader.malformed;
  }

  /** True if a message, or what claims to be one, waits. */
  pending(): boolean {
    return this.#reader.pending();
  }

  /** Takes the next message; see `MessageSource.receive`. */
  receive(into: ReceivedMessage): boolean {
    return this.#reader.receive(into);
  }

  /**
   * Frees the lines of the messages taken so far; unless `all` is asked for, only if that is worth it: a small
   * part of the ring may stay unfreed, because its producer never needs that part while the rest is free. (A message takes at most half
   * the ring; a quarter is held back. Should the producer look for room just now and find too little, then
   * messages are waiting here, and freeing them brings us back.)
   * @returns true if the producer wants to know.
   */
  release(all: boolean): boolean {
    if (this.#head === this.#reader.cursor) return false;
    if (!all && !this.shouldRelease() && this.#roomPeek.roomWanted(0) === 0) return false;
    this.#head = this.#reader.cursor;
    this.#control.setHead(0, this.#head);
    return this.#control.roomWanted(0) !== 0 && this.#control.exchangeRoomWanted(0, 0) !== 0;
  }

  /** True if so much is unfreed that freeing it should not wait for the end of the batch. */
  shouldRelease(): boolean {
    return distance(this.#head, this.#reader.cursor) * heldBackShare > this.#lineCount;
  }
}
