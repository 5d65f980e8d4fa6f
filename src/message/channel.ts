/**
 * What the message layer asks of a transport: one-way channels to peers, and a source of the messages
 * that arrive. Nothing here says how messages travel. `shared-transport.ts` is the plug-in for cores that
 * share memory; others (sockets between hosts, hardware mailboxes) implement the same two interfaces.
 *
 * An *address* is the number of an endpoint. Usually it is the global number of the core that owns it: a
 * kernel that spans several cores has one endpoint on each, since a channel has a single producer.
 */

import type { PayloadBuffer } from "./staging.ts";

/** Messages of a smaller number are handled first. */
export const priority = { urgent: 0, normal: 1 } as const;
export type Priority = 0 | 1;
/** How many priorities there are; each has a channel of its own, so a full normal one holds up no urgent message. */
export const priorityCount = 2;

/** What a message is, as bits of its header. Neither bit: an asynchronous message. */
export const messageFlag = {
  /** The sender waits for exactly one reply of the same correlation. */
  request: 1,
  /** This is a reply; `status` says how it went. */
  reply: 2,
  /** The message came through a multicast group. */
  multicast: 4,
} as const;
/** All flags there are; a header with others is malformed. */
export const knownFlags = 7;

/** What a transport can do, as data. */
export interface ChannelCapabilities {
  /** Largest payload of one message. */
  readonly payload_bytes_max: number;
  /** Messages of one channel arrive in the order they were sent. */
  readonly ordered: boolean;
  /** A message accepted by `send` arrives exactly once unless a peer dies. */
  readonly reliable: boolean;
}

/** The header of one message, without what a channel adds by itself. */
export interface MessageHeader {
  /** Number of the message type, see `protocol.ts`. */
  type: number;
  flags: number;
  priority: Priority;
  /** Pairs a reply with its request; 0 in asynchronous messages. */
  correlation: number;
  /** In replies: zero or a result, or a negated error number. */
  status: number;
  /** Address of the sender. */
  sender: number;
  /** Incarnation of the addressee the message is meant for; a later one drops it. */
  toIncarnation: number;
  fromIncarnation: number;
}

/** A message taken from a channel: its checked header and a private copy of its payload. */
export interface ReceivedMessage extends MessageHeader, PayloadBuffer {
  /** Bytes of payload at the start of `bytes`, which is private memory with room for the largest payload. */
  size: number;
}

/** The sending side of a one-way channel to one peer. Used by one core only. */
export interface OutgoingChannel {
  readonly capabilities: ChannelCapabilities;
  /**
   * Sends one message whose payload is the first `size` bytes of `payload`.
   * @returns 0, or a negated error number and then nothing was sent: AGAIN (full), MSGSIZE, PROTO.
   */
  send(header: Readonly<MessageHeader>, payload: PayloadBuffer, size: number): number;
  /**
   * Asks for a doorbell as soon as there is room for `size` bytes of payload.
   * @returns true if there is room already; then no doorbell will come.
   */
  awaitRoom(size: number): boolean;
}

/** Where messages come from: a transport, or a group. Used by one core only. */
export interface MessageSource {
  /**
   * Takes the next message of this priority, fairly over all senders. Malformed ones are counted,
   * reported and dropped on the way.
   * @returns false when there is none.
   */
  receive(into: ReceivedMessage, priority: Priority): boolean;
  /** True if a message waits. Cheap; may be true for one that turns out to be malformed. */
  pending(): boolean;
  /**
   * Gives the room of received messages back to their senders: all of it at the end of a batch, otherwise as
   * much as they may need. The cheaper kind is for loops that poll.
   */
  release(all: boolean): void;
  /** Between batches: serves those who wait for room, if the source has such. */
  flush?(): void;
}

/** Endpoint states, in the low byte of a life word. */
export const life = { absent: 0, live: 1, dead: 2 } as const;

/** State part of a life word: one of `life`. */
export function lifeState(word: number): number {
  return word & 0xff;
}

/** Incarnation part of a life word: counts how often this address was opened. */
export function lifeIncarnation(word: number): number {
  return (word >>> 8) & 0xffff;
}

/** A life word: state and incarnation, stored together so that they are read together. */
export function lifeWord(state: number, incarnation: number): number {
  return ((incarnation & 0xffff) << 8) | state;
}

/** A plug-in that carries messages between endpoints, as seen from one of them. */
export interface Transport extends MessageSource {
  /** Address of the endpoint this transport belongs to. */
  readonly address: number;
  readonly capabilities: ChannelCapabilities;
  /** Every address this transport can name is below this. */
  readonly address_limit: number;
  /** True if this transport is the way to that address. */
  reaches(peer: number): boolean;
  /** The life word of an address; see `lifeState`. It changes when the peer is opened, dies or comes back. */
  life(peer: number): number;
  /** The channel to a peer, made on first use; or a negated error number. */
  connect(peer: number, priority: Priority): OutgoingChannel | number;
  /** Tells the peer that a message was sent to it, unless it is looking already. */
  notify(peer: number): void;
  /** Rings this endpoint's own doorbell: it comes back to what it left undone. */
  wake(): void;
  /** Adds one to a counter of this endpoint. */
  count(counter: "refused" | "malformed" | "dropped"): void;
  /** Senders need not notify from here on, this endpoint looks by itself. */
  mask(): void;
  /** Senders notify again. The caller must look at `pending()` once more afterwards. */
  unmask(): void;
}

/** The machine's way to interrupt the owner of an endpoint, for example by an inter-processor interrupt. */
export interface Doorbell {
  ring(target: number): void;
}

/** A message that was dropped or a handler that failed, for the operator and for tests. */
export interface MessageFault {
  readonly kind: "malformed" | "broken" | "stale" | "stray" | "unhandled" | "handler" | "reply";
  /** Address of the sender. */
  readonly peer: number;
  /** Type number as found in the header; not to be trusted. */
  readonly type: number;
  readonly detail: string;
}

export type FaultReport = (fault: MessageFault) => void;
