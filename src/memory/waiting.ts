/**
 * Waiting for a word of shared memory to change. Everything in this folder that waits does so through
 * this interface, so that a deterministic machine, on which all cores share one thread, can put its
 * own in place of the real one.
 */

/** Words that can be waited on. */
export type WaitCells = Int32Array<ArrayBufferLike>;

export type WaitResult = "ok" | "not-equal" | "timed-out";

export interface Waiting {
  /**
   * Called between two looks at a lock that is held. `attempt` counts from 0. True: look again at
   * once. False: spinning is no longer worth it, go to sleep.
   */
  spin(attempt: number): boolean;
  /** Sleeps until notified, while the word still has `value`; `timeoutMs` may be Infinity. */
  wait(cells: WaitCells, index: number, value: number, timeoutMs: number): WaitResult;
  /** As `wait`, without blocking the thread. */
  waitAsync(cells: WaitCells, index: number, value: number, timeoutMs: number): Promise<WaitResult>;
  /** Wakes up to `count` sleepers and returns how many there were. */
  notify(cells: WaitCells, index: number, count: number): number;
}

/** About one microsecond on current x86 processors (a pause is some 45 ns there). */
const spinAttemptsMax = 24;

/** Spins for about a microsecond, then parks the thread. */
export const threadWaiting: Waiting = Object.freeze({
  spin(attempt: number): boolean {
    Atomics.pause();
    return attempt < spinAttemptsMax;
  },
  wait(cells: WaitCells, index: number, value: number, timeoutMs: number): WaitResult {
    return Atomics.wait(cells, index, value, timeoutMs);
  },
  async waitAsync(cells: WaitCells, index: number, value: number, timeoutMs: number): Promise<WaitResult> {
    return Atomics.waitAsync(cells, index, value, timeoutMs).value;
  },
  notify(cells: WaitCells, index: number, count: number): number {
    return Atomics.notify(cells, index, count);
  },
});
