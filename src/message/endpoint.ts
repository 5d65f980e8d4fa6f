/**
 * An endpoint: how one core talks to all others. It sends messages and requests, and hands what arrives to
 * handlers.
 *
 * A request's way:
 * 1. `request` or `call` takes a correlation number (`requests.ts`), writes the payload (`composer.ts`) and puts
 *    it into the channel to the peer (`link.ts`); the peer is notified unless it is draining already.
 * 2. The peer's `drain` takes it (`inbox.ts`), checks header and payload, and runs the handler of its type
 *    (`dispatcher.ts`).
 * 3. What the handler returns goes back as exactly one reply: a status, a payload, or the error that there is
 *    no such handler (NOSYS), that the payload is no such payload (BADMSG), that the handler failed (IO). A
 *    reply that finds the channel full is queued and sent when there is room.
 * 4. The asker's `drain` settles the request. If the peer dies first, it settles with NOLINK.
 *
 * The owner calls `drain` when its doorbell rings; nothing happens by itself. Two endpoints that `call` each
 * other do not deadlock, because each handles requests while it waits.
 */
import { errno } from "../kernel/errno.ts";
import {
  type FaultReport,
  lifeIncarnation,
  type MessageHeader,
  type MessageSource,
  messageFlag,
  type Priority,
  priority,
  type Transport,
} from "./channel.ts";
import { Composer } from "./composer.ts";
import { Dispatcher } from "./dispatcher.ts";
import { MessageUsageError } from "./errors.ts";
import { Inbox, inboxLevels } from "./inbox.ts";
import { Links } from "./links.ts";
import type { MessageType, RequestType } from "./protocol.ts";
import { outstanding_max_limit, type PendingRequest, type Reply, RequestTable } from "./requests.ts";
import type { PayloadBuffer } from "./staging.ts";

/** A polling loop looks at the clock and at its peers' lives once in this many rounds. */
const roundsPerLook = 16;
/** And at its rings by atomic operations once in this many. */
const roundsPerExactLook = 1024;
/** Requests that wait for nested handlers are refused once in this many idle rounds. */
const roundsBeforeRefusal = 4096;

export interface EndpointOptions {
  /** The ways to peers; the first that reaches an address is used. */
  readonly transports: readonly Transport[];
  /** The machine's monotonic time. */
  readonly now_ns: () => number;
  /** A short pause in a polling loop. */
  readonly pause: () => void;
  /** Told about messages that are dropped and handlers that fail. */
  readonly report?: FaultReport;
  /** Requests that may be outstanding; at most 4096, which is the default. */
  readonly outstanding_max?: number;
}

/** Handles an asynchronous message. */
export type MessageHandler<T> = (value: T, from: number, level: Priority) => void;
/**
 * Handles a request. A number is a status without payload: 0, a result, or a negated error number; anything
 * else is the payload of a successful reply.
 */
export type RequestHandler<Q, R> = (
  value: Q,
  from: number,
  level: Priority,
) => R | number | Promise<R | number>;

/** Something that takes one message for all members of a group; see `group.ts`. */
export interface MulticastChannel extends MessageSource {
  send(header: MessageHeader, payload: PayloadBuffer, size: number): number;
  readonly priority: Priority;
}

export class Endpoint {
  readonly #links: Links;
  readonly #composer: Composer;
  readonly #requests: RequestTable;
  readonly #dispatcher: Dispatcher;
  readonly #inbox: Inbox;
  readonly #now_ns: () => number;
  readonly #pause: () => void;
  #maskDepth = 0;
  #idlePolls = 0;
  /** Idle rounds of synchronous calls, nested ones together, and drains that found nothing. */
  #idleRounds = 0;

  constructor(options: EndpointOptions) {
    const { transports } = options;
    if (transports.length === 0) throw new MessageUsageError("an endpoint needs at least one transport");
    const payload_bytes_max = Math.max(...transports.map((one) => one.capabilities.payload_bytes_max));
    this.#now_ns = options.now_ns;
    this.#pause = options.pause;
    this.#links = new Links(transports);
    this.#composer = new Composer(transports[0].address, payload_bytes_max, inboxLevels);
    this.#requests = new RequestTable(options.outstanding_max ?? outstanding_max_limit);
    const dispatcher = new Dispatcher({
      links: this.#links,
      composer: this.#composer,
      requests: this.#requests,
      report: options.report ?? (() => {}),
    });
    this.#dispatcher = dispatcher;
    this.#inbox = new Inbox({
      sources: transports,
      buffers: this.#composer.received,
      dispatch: (received) => dispatcher.dispatch(received),
      refuse: (received) => dispatcher.refuse(received),
    });
  }

  get address(): number {
    return this.#links.address;
  }

  /** Requests that have no reply yet. */
  get outstanding(): number {
    return this.#requests.outstanding;
  }

  /**
   * Handles messages of a type from now on, until the function that is returned is called.
   * @throws MessageUsageError when the type has a handler already.
   */
  handle<T>(type: MessageType<T>, handler: MessageHandler<T>): () => void {
    return this.#dispatcher.register(type, undefined, handler);
  }

  /**
   * Answers requests of a type from now on, until the function that is returned is called.
   * @throws MessageUsageError when the type has a handler already.
   */
  serve<Q, R>(type: RequestType<Q, R>, handler: RequestHandler<Q, R>): () => void {
    return this.#dispatcher.register(type.request, type.reply, handler);
  }

  /**
   * Sends an asynchronous message.
   * @returns 0, or a negated error number and nothing was sent: AGAIN (the ring is full), NOLINK (the peer
   * is dead), HOSTUNREACH (it never lived), MSGSIZE, NOMEM, PROTO.
   */
  send<T>(peer: number, type: MessageType<T>, value: T, level: Priority = priority.normal): number {
    return this.#send(peer, type, value, 0, 0, level);
  }

  /** Sends one message to all members of a group but this endpoint; results as `send`, and IDRM for a closed group. */
  multicast<T>(group: MulticastChannel, type: MessageType<T>, value: T): number {
    const size = this.#composer.encode(type, value);
    if (size < 0) return size;
    const { header, payload } = this.#composer;
    this.#composer.describe(type.number, messageFlag.multicast, 0, group.priority);
    header.toIncarnation = 0;
    header.fromIncarnation = lifeIncarnation(this.#links.life(this.address));
    return group.send(header, payload, size);
  }

  /**
   * Sends a request. The promise never rejects: whatever goes wrong is a status, see `send`, `serve`, `Reply`.
   * @throws what the payload's codec throws for a value that is none of the type; nothing was sent then.
   */
  request<Q, R>(
    peer: number,
    type: RequestType<Q, R>,
    value: Q,
    level: Priority = priority.normal,
  ): Promise<Reply<R>> {
    let resolve: (reply: Reply<R>) => void = () => {};
    const reply = new Promise<Reply<R>>((settled) => {
      resolve = settled;
    });
    this.ask(peer, type, value, resolve, level);
    return reply;
  }

  /**
   * As `request`, but `settled` is called as soon as the outcome is known: by `drain`, or before this returns when
   * nothing could be sent. For a core that must act on a reply while a program keeps it from running promises.
   */
  ask<Q, R>(
    peer: number,
    type: RequestType<Q, R>,
    value: Q,
    settled: (reply: Reply<R>) => void,
    level: Priority = priority.normal,
  ): void {
    const pending = this.#begin(peer, type.reply);
    if (pending === undefined) {
      settled({ status: -errno.AGAIN, value: undefined });
      return;
    }
    // Set before sending: a machine may run the peer inside the doorbell. The codec of the reply type makes
    // the value.
    pending.settled = settled as (reply: Reply<unknown>) => void;
    let status: number = -errno.IO;
    try {
      status = this.#send(peer, type.request, value, messageFlag.request, pending.correlation, level);
    } finally {
      if (status !== 0) this.#requests.end(pending);
    }
    if (status !== 0) settled({ status, value: undefined });
  }

  /**
   * Sends a request and waits for the reply, handling other messages meanwhile.
   * @returns the reply; statuses as `request`, and AGAIN when the ring stayed full for all of
   * `timeout_ns`, TIMEDOUT when it was sent but no reply came.
   */
  call<Q, R>(
    peer: number,
    type: RequestType<Q, R>,
    value: Q,
    timeout_ns: number,
    level: Priority = priority.normal,
  ): Reply<R> {
    const pending = this.#begin(peer, type.reply);
    if (pending === undefined) return { status: -errno.AGAIN, value: undefined };
    this.mask();
    try {
      let status = this.#send(peer, type.request, value, messageFlag.request, pending.correlation, level);
      // The clock is read only when there is something to wait for: most replies come sooner than it answers.
      const full = status === -errno.AGAIN;
      const fullUntil_ns = full ? this.#now_ns() + timeout_ns : 0;
      while (status === -errno.AGAIN && this.#now_ns() < fullUntil_ns) {
        // The peer may be waiting for us in the same way: only handling its requests makes room.
        if (!this.#inbox.step()) this.#idle();
        status = this.#send(peer, type.request, value, messageFlag.request, pending.correlation, level);
      }
      if (status === 0) status = this.#await(pending, full ? fullUntil_ns : undefined, timeout_ns);
      return { status, value: pending.done ? (pending.value as R) : undefined };
    } finally {
      this.#requests.end(pending);
      if (this.unmask()) this.#links.transports[0].wake();
    }
  }

  /**
   * Handles up to `limit` waiting messages, urgent ones first, with doorbells off. If more wait than
   * `limit`, this endpoint's own doorbell rings.
   * @returns how many were handled.
   */
  drain(limit = Number.POSITIVE_INFINITY): number {
    let handled = 0;
    for (;;) {
      const before = handled;
      this.mask();
      this.peersChanged();
      while (handled < limit && this.#inbox.step()) handled++;
      this.#endBatch(true);
      // On a machine that runs this drain while a call here waits further down the stack, nobody else counts.
      if (handled === 0) this.#countIdleRound();
      if (!this.unmask()) return handled;
      // Without progress, what waits needs the handlers below this call to finish first.
      if (handled >= limit || handled === before) {
        this.#links.transports[0].wake();
        return handled;
      }
    }
  }

  /**
   * Handles one waiting message, urgent ones first. For a core that polls between `mask` and `unmask`
   * instead of waiting for doorbells.
   * @returns false if there was none.
   */
  poll(): boolean {
    if (this.#inbox.step()) return true;
    this.#endBatch(false);
    if (++this.#idlePolls % roundsPerLook === 0) {
      this.peersChanged();
      // Looks exactly, which also finds out when a message lied about its size (see `reader.ts`).
      if (this.#idlePolls % roundsPerExactLook === 0) this.#inbox.pending();
    }
    return false;
  }

  /** Turns doorbells off while the owner polls. Nests. */
  mask(): void {
    if (this.#maskDepth++ > 0) return;
    for (const transport of this.#links.transports) transport.mask();
  }

  /** Undoes one `mask`. @returns true if doorbells are on again and messages wait that rang none: `drain` now. */
  unmask(): boolean {
    if (--this.#maskDepth > 0) return false;
    for (const transport of this.#links.transports) transport.unmask();
    return this.#inbox.pending();
  }

  /** True if `drain` would find something. */
  pending(): boolean {
    return this.#inbox.pending();
  }

  /**
   * Resolves to 0 when a message of `size` bytes of payload to a peer is likely to find room again, or to
   * the error that makes waiting pointless. Needs `drain` to be called when the doorbell rings.
   */
  writable(peer: number, level: Priority = priority.normal, size = 0): Promise<number> {
    const link = this.#links.to(peer);
    if (link === undefined) return Promise.resolve(-errno.HOSTUNREACH);
    const settled = link.writable(level, size);
    link.flush();
    return settled;
  }

  /** Fails requests whose peer died, or came back as another, since they were sent. `drain` does it too. */
  peersChanged(): void {
    if (!this.#links.lifeChanged()) return;
    const lost = (pending: PendingRequest) => this.#links.life(pending.peer) !== pending.life;
    this.#requests.settleLost(lost, -errno.NOLINK);
  }

  /** Adds a group to what `drain` looks at. */
  attach(source: MessageSource): void {
    this.#inbox.add(source);
  }

  /** Stops looking at a group. */
  detach(source: MessageSource): void {
    this.#inbox.remove(source);
  }

  #send<T>(
    peer: number,
    type: MessageType<T>,
    value: T,
    flags: number,
    correlation: number,
    level: Priority,
  ): number {
    const link = this.#links.to(peer);
    if (link === undefined) return -errno.HOSTUNREACH;
    const size = this.#composer.encode(type, value);
    if (size < 0) return size;
    const { header, payload } = this.#composer;
    this.#composer.describe(type.number, flags, correlation, level);
    header.fromIncarnation = this.#links.ownIncarnation(link);
    return link.send(header, payload, size);
  }

  #begin<R>(peer: number, reply: MessageType<R>): PendingRequest | undefined {
    const pending = this.#requests.begin();
    if (pending === undefined) return undefined;
    pending.peer = peer;
    pending.life = this.#links.life(peer);
    pending.replyType = reply.number;
    pending.codec = this.#composer.codec(reply);
    return pending;
  }

  /** Waits for a synchronous request until a deadline, or for a time from the first look at the clock on. */
  #await(pending: PendingRequest, until_ns: number | undefined, timeout_ns: number): number {
    let deadline_ns = until_ns;
    for (let rounds = 1; !pending.done; rounds++) {
      if (!this.#inbox.step()) this.#idle();
      if (rounds % roundsPerLook !== 0) continue;
      this.peersChanged();
      const now_ns = this.#now_ns();
      deadline_ns ??= now_ns + timeout_ns;
      if (!pending.done && now_ns >= deadline_ns) return -errno.TIMEDOUT;
    }
    return pending.status;
  }

  /** One idle round of a synchronous call. */
  #idle(): void {
    this.#countIdleRound();
    this.#endBatch(false);
    this.#pause();
  }

  #countIdleRound(): void {
    if (++this.#idleRounds % roundsBeforeRefusal === 0) this.#inbox.refuseDeferred();
  }

  /** Gives the room of what was received back, and sends what waited for room. */
  #endBatch(all: boolean): void {
    this.#inbox.endBatch(all);
    this.#links.flush();
  }
}
