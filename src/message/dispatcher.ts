/**
 * What happens to a message that has arrived: its handler runs, its request is answered, or the request it
 * replies to is settled. Whatever is wrong with it, nothing is thrown: requests get an error reply, the rest
 * is counted and reported.
 */
import { errno } from "../kernel/errno.ts";
import {
  type FaultReport,
  life,
  lifeIncarnation,
  lifeState,
  type MessageFault,
  messageFlag,
  type Priority,
  type ReceivedMessage,
} from "./channel.ts";
import type { Codec } from "./codec.ts";
import type { Composer } from "./composer.ts";
import { MessageUsageError } from "./errors.ts";
import type { Links } from "./links.ts";
import type { MessageType } from "./protocol.ts";
import type { RequestTable } from "./requests.ts";

type Handler = (value: unknown, from: number, level: Priority) => unknown;

interface HandlerEntry {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly handler: Handler;
  /** Type of the reply; undefined for asynchronous messages. */
  readonly reply: MessageType<unknown> | undefined;
}

/** What a reply needs to know about its request. */
interface Asked {
  readonly sender: number;
  readonly correlation: number;
  readonly fromIncarnation: number;
  readonly priority: Priority;
}

export interface DispatcherOptions {
  readonly links: Links;
  readonly composer: Composer;
  readonly requests: RequestTable;
  readonly report: FaultReport;
}

export class Dispatcher {
  readonly #links: Links;
  readonly #composer: Composer;
  readonly #requests: RequestTable;
  readonly #report: FaultReport;
  readonly #handlers = new Map<number, HandlerEntry>();

  constructor(options: DispatcherOptions) {
    this.#links = options.links;
    this.#composer = options.composer;
    this.#requests = options.requests;
    this.#report = options.report;
  }

  /**
   * Runs `handler` for messages of a type, or for requests if there is a reply type, until the function that
   * is returned is called.
   * @throws MessageUsageError when the type has a handler already.
   */
  register<T>(
    type: MessageType<T>,
    reply: MessageType<unknown> | undefined,
    handler: (value: T, from: number, level: Priority) => unknown,
  ): () => void {
    const other = this.#handlers.get(type.number);
    if (other !== undefined) {
      throw new MessageUsageError(
        other.name === type.name
          ? `message ${type.name} has a handler already`
          : `messages ${type.name} and ${other.name} have the same number; rename one of them`,
      );
    }
    const entry: HandlerEntry = {
      name: type.name,
      codec: this.#composer.codec(type),
      // The codec of the same type makes every value this handler is given.
      handler: handler as Handler,
      reply,
    };
    this.#handlers.set(type.number, entry);
    return () => {
      if (this.#handlers.get(type.number) === entry) this.#handlers.delete(type.number);
    };
  }

  dispatch(message: ReceivedMessage): void {
    const { flags } = message;
    const multicast = (flags & messageFlag.multicast) !== 0;
    if (!multicast && !this.#isForUs(message)) {
      // Its sender has been told that whoever owned this endpoint before died.
      this.#drop("stale", message, "meant for an earlier incarnation");
    } else if ((flags & messageFlag.reply) !== 0) this.#settle(message);
    else this.#handle(message, (flags & messageFlag.request) !== 0 && !multicast);
  }

  /** Answers a request without handling it, because handlers here are nested too deep to run another. */
  refuse(message: ReceivedMessage): void {
    if (this.#isForUs(message)) this.#reply(message, undefined, -errno.DEADLK, undefined);
  }

  #isForUs(message: ReceivedMessage): boolean {
    const link = this.#links.to(message.sender);
    return link !== undefined && message.toIncarnation === this.#links.ownIncarnation(link);
  }

  #handle(message: ReceivedMessage, asked: boolean): void {
    const entry = this.#handlers.get(message.type);
    if (entry === undefined || (entry.reply !== undefined) !== asked) {
      if (asked) this.#reply(message, undefined, -errno.NOSYS, undefined);
      this.#drop("unhandled", message, "no handler for this type");
      return;
    }
    const value = this.#composer.decode(entry.codec, message);
    if (value === undefined) {
      this.#malformed(message, `${message.size} bytes are no ${entry.name}`);
      if (asked) this.#reply(message, entry.reply, -errno.BADMSG, undefined);
    } else if (asked) this.#answer(message, entry, value);
    else this.#deliver(message, entry, value);
  }

  #deliver(message: ReceivedMessage, entry: HandlerEntry, value: unknown): void {
    const { sender, type } = message;
    try {
      entry.handler(value, sender, message.priority);
    } catch (error) {
      this.#report({ kind: "handler", peer: sender, type, detail: `${entry.name}: ${describeError(error)}` });
    }
  }

  #answer(message: ReceivedMessage, entry: HandlerEntry, value: unknown): void {
    // The handler may finish when the message's buffer holds another: what a reply needs is taken out now.
    const { sender, correlation, fromIncarnation } = message;
    const asked: Asked = { sender, correlation, fromIncarnation, priority: message.priority };
    let result: unknown;
    try {
      result = entry.handler(value, sender, asked.priority);
    } catch (error) {
      this.#fail(asked, entry, error);
      return;
    }
    if (!(result instanceof Promise)) this.#finish(asked, entry, result);
    else {
      result.then(
        (late) => this.#finish(asked, entry, late),
        (error) => this.#fail(asked, entry, error),
      );
    }
  }

  #finish(asked: Asked, entry: HandlerEntry, result: unknown): void {
    if (typeof result === "number") this.#reply(asked, entry.reply, result, undefined);
    else this.#reply(asked, entry.reply, 0, result);
  }

  #fail(asked: Asked, entry: HandlerEntry, error: unknown): void {
    const type = entry.reply?.number ?? 0;
    this.#report({
      kind: "handler",
      peer: asked.sender,
      type,
      detail: `${entry.name}: ${describeError(error)}`,
    });
    this.#reply(asked, entry.reply, -errno.IO, undefined);
  }

  /** Sends the one reply of a request. */
  #reply(asked: Asked, type: MessageType<unknown> | undefined, status: number, value: unknown): void {
    const link = this.#links.to(asked.sender);
    if (link === undefined) return;
    const encoded = this.#encodeReply(type, value);
    const { header, payload } = this.#composer;
    const size = Math.max(encoded, 0);
    this.#composer.describe(type?.number ?? 0, messageFlag.reply, asked.correlation, asked.priority);
    header.status = encoded < 0 ? encoded : status;
    header.toIncarnation = asked.fromIncarnation;
    header.fromIncarnation = this.#links.ownIncarnation(link);
    const failure = link.reply(header, payload, size);
    if (encoded >= 0 && failure === 0) return;
    const detail = `its payload cannot be sent (${failure === 0 ? encoded : failure})`;
    this.#report({ kind: "reply", peer: asked.sender, type: header.type, detail });
    if (failure === 0 || size === 0) return;
    // The channel does not take this payload: at least the asker learns why.
    header.status = failure;
    link.reply(header, payload, 0);
  }

  /** @returns the size of the payload, 0 without one, or a negated error number. */
  #encodeReply(type: MessageType<unknown> | undefined, value: unknown): number {
    if (type === undefined || value === undefined) return 0;
    try {
      return this.#composer.encode(type, value);
    } catch (error) {
      this.#report({
        kind: "handler",
        peer: this.#links.address,
        type: type.number,
        detail: describeError(error),
      });
      return -errno.IO;
    }
  }

  #settle(message: ReceivedMessage): void {
    const { status } = message;
    const pending = this.#requests.find(message.correlation);
    // A peer that does not know a request cannot know the type of its reply.
    const rightType = pending?.replyType === message.type || (status < 0 && message.type === 0);
    if (pending === undefined || pending.peer !== message.sender || !rightType) {
      // Who asked has been told that the peer died, which it did after it had answered.
      if (this.#isFromDead(message)) this.#drop("stale", message, "from an earlier incarnation");
      else this.#drop("stray", message, "nobody waits for this reply");
      return;
    }
    if (status < 0 || (status > 0 && message.size === 0)) {
      this.#requests.settle(pending, status, undefined);
      return;
    }
    const value = pending.codec === undefined ? undefined : this.#composer.decode(pending.codec, message);
    if (value === undefined && message.size > 0) {
      this.#malformed(message, `${message.size} bytes are not the reply's payload`);
      this.#requests.settle(pending, -errno.BADMSG, undefined);
      return;
    }
    this.#requests.settle(pending, status, value);
  }

  #isFromDead({ sender, fromIncarnation }: ReceivedMessage): boolean {
    const word = this.#links.life(sender);
    return lifeState(word) !== life.live || lifeIncarnation(word) !== fromIncarnation;
  }

  #drop(kind: MessageFault["kind"], message: ReceivedMessage, detail: string): void {
    this.#links.transports[0].count("dropped");
    this.#report({ kind, peer: message.sender, type: message.type, detail });
  }

  #malformed(message: ReceivedMessage, detail: string): void {
    this.#links.transports[0].count("malformed");
    this.#report({ kind: "malformed", peer: message.sender, type: message.type, detail });
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
