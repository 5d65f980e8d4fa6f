/**
 * The timer chip of the host machine: a thread that sleeps until the earliest deadline of any core and then
 * raises that core's `timer` line. Cores that are busy inside a program cannot watch the time themselves.
 */
import { corePower, interruptLine } from "../machine.ts";
import type { HostClock } from "./clock.ts";
import { type ControlAccessor, raise } from "./control.ts";
import type { TimerAccessor } from "./timer-page.ts";

/** While any core is awake, the coarse time advances in steps of this. */
export const tick_ns = 4_000_000;

/** The thread's loop; returns when the machine is switched off. */
export function runTimer(timer: TimerAccessor, controls: readonly ControlAccessor[], clock: HostClock): void {
  // A deadline is raised once and left in place: clearing it could overwrite a new one the core just set.
  const raised_ns = controls.map(() => Infinity);
  while (timer.stop(0) === 0) {
    const seen = timer.changes(0);
    // Publish "awake" first: a core that sets a deadline while we scan must bump `changes`.
    timer.setNextWake_ns(0, Infinity);
    timer.addScans(0, 1);
    let next_ns = Infinity;
    clock.tick();
    const now_ns = clock.monotonic_ns();
    let awake = false;
    for (const [core, control] of controls.entries()) {
      if (control.power(0) === corePower.on && control.parked(0) === 0) awake = true;
      const deadline_ns = control.timerDeadline_ns(0);
      if (deadline_ns === raised_ns[core]) continue;
      if (deadline_ns <= now_ns) {
        raised_ns[core] = deadline_ns;
        raise(control, interruptLine.timer);
      } else if (deadline_ns < next_ns) next_ns = deadline_ns;
    }
    if (awake) next_ns = Math.min(next_ns, now_ns + tick_ns);
    timer.setNextWake_ns(0, next_ns);
    // A deadline set between the scan and this publication compared against Infinity and bumped `changes`.
    const wait_ms = (next_ns - clock.monotonic_ns()) / 1e6;
    if (wait_ms > 0) timer.waitChanges(0, seen, wait_ms === Infinity ? undefined : wait_ms);
  }
}
