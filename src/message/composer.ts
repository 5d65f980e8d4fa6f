/**
 * What an endpoint sends is put together here: one header, one payload buffer, and the codecs of all types.
 * They are used between two statements and never held, so one of each is enough.
 */
import { errno } from "../kernel/errno.ts";
import { type MessageHeader, type Priority, priority, type ReceivedMessage } from "./channel.ts";
import type { Codec } from "./codec.ts";
import type { MessageType } from "./protocol.ts";
import { type PayloadBuffer, Staging } from "./staging.ts";

/** Bytes of the caller's own up to this size are staged with the rest; longer ones are sent from where they lie. */
const stagedCopy_bytes_max = 256;
const noWords = new Int32Array(0);

export class Composer {
  /** The header that everything is sent with. */
  readonly header: MessageHeader;
  /** Buffers for received messages, one for each level of nesting. */
  readonly received: readonly ReceivedMessage[];
  /** What `encode` has put together. */
  payload: PayloadBuffer;
  readonly #staging: Staging;
  readonly #staged: PayloadBuffer;
  readonly #payloadAddress: number;
  readonly #payload_bytes_max: number;
  readonly #codecs = new Map<MessageType<unknown>, Codec<unknown>>();
  /** The type that was used last is mostly the one that is used next. */
  #lastType: MessageType<unknown> | undefined;
  #lastCodec: Codec<unknown> | undefined;

  constructor(address: number, payload_bytes_max: number, levels: number) {
    // Multiples of 8, because payloads are structs.
    const room = (payload_bytes_max + 7) & -8;
    this.#staging = new Staging((levels + 1) * room);
    this.#payload_bytes_max = payload_bytes_max;
    this.#payloadAddress = levels * room;
    this.#staged = this.#staging.part(this.#payloadAddress, room);
    this.payload = this.#staged;
    this.received = Array.from({ length: levels }, (_, level) => ({
      ...emptyHeader(address),
      ...this.#staging.part(level * room, room),
      size: 0,
    }));
    this.header = emptyHeader(address);
  }

  /** The codec of a type over this endpoint's buffers. */
  codec<T>(type: MessageType<T>): Codec<T> {
    if (type === this.#lastType) return this.#lastCodec as Codec<T>;
    let codec = this.#codecs.get(type);
    if (codec === undefined) {
      codec = type.bind(this.#staging) as Codec<unknown>;
      this.#codecs.set(type, codec);
    }
    this.#lastType = type;
    this.#lastCodec = codec;
    return codec as Codec<T>;
  }

  /** Puts the payload of a value together in `payload`. @returns its size, or −MSGSIZE. */
  encode<T>(type: MessageType<T>, value: T): number {
    const codec = this.codec(type);
    const bytes = codec.bytesOf?.(value);
    if (bytes !== undefined && bytes.length > stagedCopy_bytes_max) {
      this.payload = { bytes, words: noWords };
      return bytes.length > this.#payload_bytes_max ? -errno.MSGSIZE : bytes.length;
    }
    this.payload = this.#staged;
    const size = codec.write(this.#payloadAddress, value, this.#payload_bytes_max);
    return size < 0 ? -errno.MSGSIZE : size;
  }

  /** Reads the payload of a received message; undefined if it is none of that type. */
  decode<T>(codec: Codec<T>, message: ReceivedMessage): T | undefined {
    return codec.read(message.bytes.byteOffset, message.size);
  }

  /** Fills in the header, except for the incarnations. */
  describe(type: number, flags: number, correlation: number, level: Priority): void {
    const { header } = this;
    header.type = type;
    header.flags = flags;
    header.priority = level;
    header.correlation = correlation;
    header.status = 0;
  }
}

function emptyHeader(sender: number): MessageHeader {
  return {
    type: 0,
    flags: 0,
    priority: priority.normal,
    correlation: 0,
    status: 0,
    sender,
    toIncarnation: 0,
    fromIncarnation: 0,
  };
}
