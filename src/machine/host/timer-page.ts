/** The page that the timer thread and all cores share. */
import { type Accessor, atomic, f64, overlay, struct, u32 } from "../../memory/index.ts";

export const TimerPage = struct("TimerPage", {
  /** Bumped by a core that wants the timer to look again before `nextWake_ns`. */
  changes: atomic(u32),
  /** Non-zero: the machine is being switched off. */
  stop: atomic(u32),
  /** Grows with every scan: orders the write of `nextWake_ns` before the looks at deadlines. */
  scans: atomic(u32),
  /** When the timer thread will look again by itself. */
  nextWake_ns: f64,
  /** Wall-clock time, kept up to date while any core is awake. */
  coarse_ns: f64,
});

export type TimerAccessor = Accessor<typeof TimerPage.fields>;

export function timerPage(memory: WebAssembly.Memory): TimerAccessor {
  return overlay(TimerPage, memory.buffer, { format: "ilp32", base: 0, count: 1 });
}
