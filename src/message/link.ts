/**
 * One endpoint's way to one peer: the channels of each priority, the replies that found them full, and
 * those who wait for room.
 */

import { errno } from "../kernel/errno.ts";
import {
  life,
  lifeIncarnation,
  lifeState,
  type MessageHeader,
  type OutgoingChannel,
  type Priority,
  priority,
  priorityCount,
  type Transport,
} from "./channel.ts";
import { copyPayload, type PayloadBuffer } from "./staging.ts";

/** A reply that waits for room. Requests are never queued: their sender is told that the ring is full. */
interface QueuedMessage {
  readonly header: MessageHeader;
  readonly payload: PayloadBuffer;
  readonly size: number;
}

interface RoomWaiter {
  readonly size: number;
  readonly settled: (status: number) => void;
}

export class Link {
  readonly peer: number;
  readonly transport: Transport;
  readonly #channels: (OutgoingChannel | undefined)[] = [];
  readonly #queues: QueuedMessage[][] = [];
  readonly #waiters: RoomWaiter[][] = [];
  #lifeSeen = 0;

  constructor(peer: number, transport: Transport) {
    this.peer = peer;
    this.transport = transport;
    for (let i = 0; i < priorityCount; i++) {
      this.#channels.push(undefined);
      this.#queues.push([]);
      this.#waiters.push([]);
    }
  }

  /** True once after each change of the peer's life word. */
  lifeChanged(): boolean {
    const word = this.transport.life(this.peer);
    if (word === this.#lifeSeen) return false;
    this.#lifeSeen = word;
    return true;
  }

  /** 0 if the peer lives, otherwise the error to answer with. */
  status(): number {
    const state = lifeState(this.transport.life(this.peer));
    if (state === life.live) return 0;
    return state === life.absent ? -errno.HOSTUNREACH : -errno.NOLINK;
  }

  /**
   * Sends to the peer's present incarnation, or for a reply to the one that asked.
   * @returns 0, or a negated error number and nothing was sent.
   */
  send(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    const word = this.transport.life(this.peer);
    if (lifeState(word) !== life.live) return this.status();
    header.toIncarnation = lifeIncarnation(word);
    // Queued replies go first, so that the channel stays in order and replies are not starved.
    if (this.#queues[header.priority].length > 0) return this.#refused(-errno.AGAIN);
    const status = this.#transmit(header, payload, size);
    return status === 0 ? 0 : this.#refused(status);
  }

  /**
   * Sends a reply, now or as soon as there is room. A reply to somebody who is gone is dropped.
   * @returns 0, or a negated error number if this reply can never be sent.
   */
  reply(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    const word = this.transport.life(this.peer);
    if (lifeState(word) !== life.live || lifeIncarnation(word) !== header.toIncarnation) return 0;
    const queue = this.#queues[header.priority];
    if (queue.length === 0) {
      const status = this.#transmit(header, payload, size);
      if (status !== -errno.AGAIN) return status;
    }
    queue.push({ header: { ...header }, payload: copyPayload(payload, size), size });
    return 0;
  }

  /** Resolves to 0 when a payload of `size` bytes is likely to find room, or to an error if the peer dies. */
  writable(level: Priority, size: number): Promise<number> {
    const status = this.status();
    if (status !== 0) return Promise.resolve(status);
    return new Promise((settled) => this.#waiters[level].push({ size, settled }));
  }

  /** True if something waits for room. */
  clogged(): boolean {
    for (let level = 0; level < priorityCount; level++) {
      if (this.#queues[level].length > 0 || this.#waiters[level].length > 0) return true;
    }
    return false;
  }

  /** Sends what was queued and tells those who wait, as far as there is room. */
  flush(): void {
    const dead = this.status();
    for (const level of [priority.urgent, priority.normal]) {
      if (dead !== 0) this.#queues[level].length = 0;
      else if (!this.#flushQueue(level)) continue;
      this.#flushWaiters(level, dead);
    }
  }

  #flushQueue(level: Priority): boolean {
    const queue = this.#queues[level];
    while (queue.length > 0) {
      const { header, payload, size } = queue[0];
      const stale = lifeIncarnation(this.transport.life(this.peer)) !== header.toIncarnation;
      const status = stale ? 0 : this.#put(header, payload, size);
      if (status === -errno.AGAIN) {
        // Asking for the doorbell looks again; room that appeared just now will ring nobody.
        if (this.#channels[level]?.awaitRoom(size) === true) continue;
        return false;
      }
      // Off the queue before the doorbell rings, inside which a machine may run the peer and come back here.
      queue.shift();
      if (!stale && status === 0) this.transport.notify(this.peer);
    }
    return true;
  }

  #flushWaiters(level: Priority, dead: number): void {
    const waiters = this.#waiters[level];
    while (waiters.length > 0) {
      const channel = dead === 0 ? this.#channels[level] : undefined;
      if (channel !== undefined && !channel.awaitRoom(waiters[0].size)) return;
      waiters.shift()?.settled(dead);
    }
  }

  #transmit(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    const status = this.#put(header, payload, size);
    if (status === 0) this.transport.notify(this.peer);
    return status;
  }

  #put(header: MessageHeader, payload: PayloadBuffer, size: number): number {
    const channel = this.#channels[header.priority] ?? this.#connect(header.priority);
    return typeof channel === "number" ? channel : channel.send(header, payload, size);
  }

  #connect(level: Priority): OutgoingChannel | number {
    const channel = this.transport.connect(this.peer, level);
    if (typeof channel !== "number") this.#channels[level] = channel;
    return channel;
  }

  #refused(status: number): number {
    this.transport.count("refused");
    return status;
  }
}
