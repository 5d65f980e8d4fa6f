/**
 * Taking messages from an endpoint's sources, urgent ones first, and handing them on one at a time.
 *
 * A handler may make a synchronous call and so take further messages while it runs. Each level of nesting has
 * a buffer of its own. At the deepest level only replies are handed on; everything else waits in a short list
 * until a handler has finished, and when that is full, in the rings.
 *
 * Two endpoints whose handlers call each other could both get that deep, and each wait for a reply whose
 * request waits in the other's list. So requests that have waited there for long are refused with DEADLK.
 */
import { type MessageSource, messageFlag, priority, type ReceivedMessage } from "./channel.ts";
import { copyPayload } from "./staging.ts";

/** How deep handlers that call may nest. */
const depth_max = 16;
/** Messages that may wait for nested handlers to finish; after that they stay in their rings. */
const deferred_max = 256;

/** Buffers an inbox needs for received messages. */
export const inboxLevels = depth_max + 1;

export interface InboxOptions {
  readonly sources: readonly MessageSource[];
  readonly buffers: readonly ReceivedMessage[];
  readonly dispatch: (message: ReceivedMessage) => void;
  /** Answers a request that will not be handled. */
  readonly refuse: (message: ReceivedMessage) => void;
}

export class Inbox {
  readonly #sources: MessageSource[];
  readonly #buffers: readonly ReceivedMessage[];
  readonly #dispatch: (message: ReceivedMessage) => void;
  readonly #refuse: (message: ReceivedMessage) => void;
  readonly #deferred: ReceivedMessage[] = [];
  /** Handlers running now, one inside the other. */
  #depth = 0;
  #unreleased = false;

  constructor(options: InboxOptions) {
    this.#sources = [...options.sources];
    this.#buffers = options.buffers;
    this.#dispatch = options.dispatch;
    this.#refuse = options.refuse;
  }

  add(source: MessageSource): void {
    if (!this.#sources.includes(source)) this.#sources.push(source);
  }

  remove(source: MessageSource): void {
    const place = this.#sources.indexOf(source);
    if (place >= 0) this.#sources.splice(place, 1);
  }

  /** True if `step` would find something. */
  pending(): boolean {
    if (this.#deferred.length > 0 && this.#depth < depth_max) return true;
    for (let i = 0; i < this.#sources.length; i++) if (this.#sources[i].pending()) return true;
    return false;
  }

  /** Handles one message. @returns false if there was none that can be handled now. */
  step(): boolean {
    const depth = this.#depth;
    const into = this.#buffers[depth];
    if (this.#deferred.length > 0) {
      if (depth < depth_max) {
        this.#takeDeferred(into);
        this.#handOn(into);
        return true;
      }
      if (this.#deferred.length >= deferred_max) return false;
    }
    if (!this.#receive(into)) return false;
    this.#unreleased = true;
    if (depth < depth_max || (into.flags & messageFlag.reply) !== 0) this.#handOn(into);
    else this.#deferred.push({ ...into, ...copyPayload(into, into.size) });
    return true;
  }

  /** Gives the room of what was received back, all of it or what is needed, and serves those who wait for room. */
  endBatch(all: boolean): void {
    const sources = this.#sources;
    if (this.#unreleased) {
      this.#unreleased = !all;
      for (let i = 0; i < sources.length; i++) sources[i].release(all);
    }
    for (let i = 0; i < sources.length; i++) sources[i].flush?.();
  }

  /** Refuses the requests that wait for handlers to finish; called when none has finished for long. */
  refuseDeferred(): void {
    if (this.#deferred.length === 0) return;
    const waiting = this.#deferred.splice(0);
    for (const message of waiting) {
      if ((message.flags & messageFlag.request) === 0) this.#deferred.push(message);
      else this.#refuse(message);
    }
  }

  #receive(into: ReceivedMessage): boolean {
    const sources = this.#sources;
    for (let i = 0; i < sources.length; i++) if (sources[i].receive(into, priority.urgent)) return true;
    for (let i = 0; i < sources.length; i++) if (sources[i].receive(into, priority.normal)) return true;
    return false;
  }

  #handOn(message: ReceivedMessage): void {
    this.#depth++;
    try {
      this.#dispatch(message);
    } finally {
      this.#depth--;
    }
  }

  #takeDeferred(into: ReceivedMessage): void {
    const waiting = this.#deferred.shift();
    if (waiting === undefined) return;
    const { bytes, words } = into;
    bytes.set(waiting.bytes);
    Object.assign(into, waiting, { bytes, words });
  }
}
