/** Time on the host machine: one monotonic clock for all threads, and the host's wall clock. */
import type { Clock } from "../machine.ts";
import type { TimerAccessor } from "./timer-page.ts";

/** Wall-clock steps smaller than this are taken as jitter of the millisecond clock, not as an adjustment. */
const adjustmentThreshold_ns = 2_000_000;
const adjustmentInterval_ns = 1_000_000_000;

/** When the machine started; the same for all its threads, so that their clocks agree. */
export interface ClockOrigin {
  /** On the host's monotonic clock, from `hostTime_ms`. */
  readonly origin_ms: number;
  /** Nanoseconds since 1970. */
  readonly originRealtime_ns: number;
}

export class HostClock implements Clock {
  readonly resolution_ns = 1;
  private readonly offset_ms: number;
  private realtimeOffset_ns: number;
  private nextAdjustment_ns: number;

  private readonly timer: TimerAccessor;

  constructor({ origin_ms, originRealtime_ns }: ClockOrigin, timer: TimerAccessor) {
    this.timer = timer;
    this.offset_ms = threadStart_ms() - origin_ms;
    this.realtimeOffset_ns = originRealtime_ns;
    this.nextAdjustment_ns = this.monotonic_ns() + adjustmentInterval_ns;
  }

  monotonic_ns(): number {
    return Math.round((performance.now() + this.offset_ms) * 1e6);
  }

  coarse_ns(): number {
    return this.timer.coarse_ns(0);
  }

  /** Brings the coarse time up to date: the timer's tick, and every core that stops idling. */
  tick(): void {
    this.timer.setCoarse_ns(0, this.realtime_ns());
  }

  realtime_ns(): number {
    const now_ns = this.monotonic_ns();
    if (now_ns > this.nextAdjustment_ns) {
      const offset_ns = Date.now() * 1e6 - now_ns;
      // If the host took the processor away between the two looks, they do not belong together.
      const belongTogether = this.monotonic_ns() - now_ns < adjustmentThreshold_ns / 2;
      if (belongTogether) {
        this.nextAdjustment_ns = now_ns + adjustmentInterval_ns;
        if (Math.abs(offset_ns - this.realtimeOffset_ns) > adjustmentThreshold_ns)
          this.realtimeOffset_ns = offset_ns;
      }
    }
    return now_ns + this.realtimeOffset_ns;
  }
}

/** How closely two clocks are looked at together, where the host allows it, and how often that is tried. */
const closeEnough_ms = 0.002;
const attemptsMax = 200;

/**
 * When this thread's `performance.now` began to count, on the clock that all threads share. The host may take
 * the processor away between the looks at the two clocks, for longer than a quantum, so the closest of several
 * pairs counts: threads whose clocks disagree preempt each other too late.
 */
function threadStart_ms(): number {
  let start_ms = 0;
  let closest_ms = Infinity;
  for (let attempt = 0; attempt < attemptsMax && closest_ms > closeEnough_ms; attempt++) {
    const before_ms = hostTime_ms();
    const now_ms = performance.now();
    const after_ms = hostTime_ms();
    if (after_ms - before_ms >= closest_ms) continue;
    closest_ms = after_ms - before_ms;
    start_ms = (before_ms + after_ms) / 2 - now_ms;
  }
  return start_ms;
}

/** Milliseconds on the clock that all threads of this process share. `performance.now` counts per thread. */
export function hostTime_ms(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
