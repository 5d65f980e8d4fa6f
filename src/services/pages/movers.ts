/**
 * Users of movable blocks. A block that its user knows under one number can be moved while it is in use, if the user
 * helps: only the user can keep others away from it, and knows where its address is written down.
 */
import { pageUser, pageUsers } from "./layout.ts";

export interface Mover {
  /**
   * Moves the block of 2^order pages that the user knows as `index` from one byte offset to another: locks it against
   * use, copies it, notes the new place, calls `moved`, unlocks it. It must not wait for a lock.
   * @returns false, and nothing has changed, if it is not at `from` (any more) or cannot be had right now.
   */
  move(index: number, from: number, to: number, order: number, moved: () => void): boolean;
  /** Whether the place noted for `index` is `offset`. Asked when a kernel has died inside `move`, under its lock. */
  isAt(index: number, offset: number): boolean;
}

/** The movers of one core, by user. */
export class Movers {
  readonly #movers: (Mover | undefined)[] = new Array(pageUsers).fill(undefined);

  register(user: number, mover: Mover): void {
    if (!Number.isInteger(user) || user <= pageUser.arriving || user >= pageUsers) {
      throw new RangeError(`page user ${user} has no blocks of its own to move`);
    }
    this.#movers[user] = mover;
  }

  of(user: number): Mover | undefined {
    return this.#movers[user];
  }
}
