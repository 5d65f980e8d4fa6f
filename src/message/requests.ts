/**
 * The requests an endpoint waits for. Each has a slot; the correlation number on the wire is the slot's
 * number and how often it was used, so a late reply to a request that was given up matches nothing.
 */
import type { Codec } from "./codec.ts";

/** What came of a request: a status, and a payload if the reply had one. */
export interface Reply<T> {
  /** Zero or a result; a negated error number if the request failed, see `errors.ts`. */
  readonly status: number;
  readonly value: T | undefined;
}

const slotBits = 12;
const slotMask = (1 << slotBits) - 1;
/** Correlation numbers stay below 2^30, which is what engines handle as small integers. */
const usesLimit = 1 << (30 - slotBits);

/** Requests one endpoint can have outstanding at a time. */
export const outstanding_max_limit = 1 << slotBits;

/** A request that has no reply yet. */
export class PendingRequest {
  correlation = 0;
  /** Who owes the reply, and its life word when it was asked. */
  peer = 0;
  life = 0;
  replyType = 0;
  codec: Codec<unknown> | undefined;
  /** Asynchronous requests are told; synchronous ones look at `done`. */
  settled: ((reply: Reply<unknown>) => void) | undefined;
  done = false;
  status = 0;
  value: unknown;
}

export class RequestTable {
  readonly #slots: PendingRequest[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];
  readonly #outstanding_max: number;
  outstanding = 0;

  constructor(outstanding_max: number) {
    this.#outstanding_max = Math.min(outstanding_max, outstanding_max_limit);
  }

  /** A slot for a new request, or undefined if too many are outstanding. */
  begin(): PendingRequest | undefined {
    let slot = this.#free.pop();
    if (slot === undefined) {
      if (this.#slots.length >= this.#outstanding_max) return undefined;
      slot = this.#slots.length;
      this.#slots.push(new PendingRequest());
      this.#uses.push(0);
    }
    const uses = this.#uses[slot] + 1 < usesLimit ? this.#uses[slot] + 1 : 1;
    this.#uses[slot] = uses;
    const pending = this.#slots[slot];
    pending.correlation = uses * (slotMask + 1) + slot;
    pending.done = false;
    pending.status = 0;
    pending.value = undefined;
    pending.settled = undefined;
    this.outstanding++;
    return pending;
  }

  /** The request a correlation number belongs to, if it still waits. */
  find(correlation: number): PendingRequest | undefined {
    const pending = this.#slots[correlation & slotMask];
    return pending !== undefined && pending.correlation === correlation && !pending.done
      ? pending
      : undefined;
  }

  /** Ends a request. Asynchronous ones give their slot back at once, synchronous ones when their caller has looked. */
  settle(pending: PendingRequest, status: number, value: unknown): void {
    pending.done = true;
    pending.status = status;
    pending.value = value;
    const { settled } = pending;
    if (settled === undefined) return;
    this.end(pending);
    settled({ status, value });
  }

  /** Gives a slot back. */
  end(pending: PendingRequest): void {
    const slot = pending.correlation & slotMask;
    pending.correlation = 0;
    pending.done = true;
    pending.settled = undefined;
    pending.value = undefined;
    this.#free.push(slot);
    this.outstanding--;
  }

  /** Settles every waiting request of which `lost` says that no reply can come. */
  settleLost(lost: (pending: PendingRequest) => boolean, status: number): void {
    if (this.outstanding === 0) return;
    for (const pending of this.#slots) {
      if (pending.correlation !== 0 && !pending.done && lost(pending))
        this.settle(pending, status, undefined);
    }
  }
}
