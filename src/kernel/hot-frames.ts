/**
 * When to enter a long-running program anew in place. The host compiles functions quickly first and better once
 * they turn out to be hot; but a call that is running stays in the code it was entered with. A `main` that loops
 * for minutes would never see the better code. Capturing the context and resuming it at once enters every frame
 * again, in the best code there is by then.
 *
 * What is entered is code made for resuming, which is cold itself the first time. So re-entries come in pairs: the
 * second one, a little later, finds that code optimised. Pairs are repeated at growing intervals, as programs go
 * through phases with other frames that are hot.
 */

/** Processor time before the first re-entry: long enough that short programs never pay for one. */
const first_ns = 20_000_000;
/** From the first to the second of a pair: about what it takes to notice that code is hot, and to optimise it. */
const pair_ns = 25_000_000;
/** Interval between pairs at first; it doubles until it reaches the longest. */
const shortestInterval_ns = 200_000_000;
const longestInterval_ns = 5_000_000_000;
/** A deep stack is entered less often: an interval is at least so long for every byte of its frames. */
const perFrameByte_ns = 1_000;

/** One process's schedule, in processor time. */
export class HotFrames {
  /** Processor time of the process at which its context is to be entered anew; Infinity for never. */
  due_ns: number;
  private second = false;
  private interval_ns = shortestInterval_ns;

  /** @param from_ns processor time of the process now; Infinity for a process that is never entered anew. */
  constructor(from_ns: number) {
    this.due_ns = from_ns + first_ns;
  }

  /** The context was just captured, for whatever reason, and is being entered again with so many bytes of frames. */
  entered(cpuTime_ns: number, frames_bytes: number): void {
    if (this.due_ns === Infinity) return;
    const least_ns = frames_bytes * perFrameByte_ns;
    this.second = !this.second;
    if (this.second) this.due_ns = cpuTime_ns + Math.max(pair_ns, least_ns);
    else {
      this.due_ns = cpuTime_ns + Math.max(this.interval_ns, least_ns);
      this.interval_ns = Math.min(2 * this.interval_ns, longestInterval_ns);
    }
  }
}
