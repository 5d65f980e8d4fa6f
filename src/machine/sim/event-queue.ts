/**
 * The event queue of the simulated machine: what happens next, in virtual time.
 *
 * Events are ordered by time, and by the order of scheduling where times are equal; so the order is total and
 * depends on nothing else. There are two kinds. *Hardware* events (a mail arrives, a transfer is done) may run at any
 * moment, also while kernel code of some core waits inside a memory access; *steps* of cores may not. They stand in
 * two heaps, so that hardware can go on while steps stay where they are.
 */

/** Something that will happen. Made by `EventQueue.push`. */
export interface SimulatedEvent {
  readonly time_ns: number;
  /** Rank among events of the same time: the order of scheduling. */
  readonly sequence: number;
  /** What it is, for people who read a trace. */
  readonly kind: string;
  /** True when it may run while a core waits inside kernel code. */
  readonly hardware: boolean;
  readonly run: () => void;
  /** Where it stands in its heap; −1 when it has been taken or cancelled. */
  position: number;
}

/** True when `left` comes before `right`. */
function isBefore(left: SimulatedEvent, right: SimulatedEvent): boolean {
  return left.time_ns < right.time_ns || (left.time_ns === right.time_ns && left.sequence < right.sequence);
}

/** A binary heap whose events know their positions, so that one in the middle can be taken out. */
class EventHeap {
  private readonly events: SimulatedEvent[] = [];

  get size(): number {
    return this.events.length;
  }

  first(): SimulatedEvent | undefined {
    return this.events.length === 0 ? undefined : this.events[0];
  }

  add(event: SimulatedEvent): void {
    this.events.push(event);
    this.siftUp(event, this.events.length - 1);
  }

  remove(event: SimulatedEvent): void {
    const { events } = this;
    const position = event.position;
    const last = events.pop();
    event.position = -1;
    if (last === undefined || last === event) return;
    // The last event fills the gap, and may belong above or below it.
    if (position > 0 && isBefore(last, events[(position - 1) >> 1])) this.siftUp(last, position);
    else this.siftDown(last, position);
  }

  private siftUp(event: SimulatedEvent, from: number): void {
    const { events } = this;
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = events[above];
      if (!isBefore(event, parent)) break;
      events[position] = parent;
      parent.position = position;
      position = above;
    }
    events[position] = event;
    event.position = position;
  }

  private siftDown(event: SimulatedEvent, from: number): void {
    const { events } = this;
    const count = events.length;
    let position = from;
    for (;;) {
      let below = 2 * position + 1;
      if (below >= count) break;
      if (below + 1 < count && isBefore(events[below + 1], events[below])) below++;
      const child = events[below];
      if (!isBefore(child, event)) break;
      events[position] = child;
      child.position = position;
      position = below;
    }
    events[position] = event;
    event.position = position;
  }
}

/** More events have happened than were allowed: whatever runs does not come to an end. */
export class EventLimitError extends Error {
  override readonly name: string = "EventLimitError";
}

export class EventQueue {
  /** So many events may be taken; every further attempt throws. For simulations of what may run for ever. */
  taken_max = Number.POSITIVE_INFINITY;
  private readonly hardware = new EventHeap();
  private readonly steps = new EventHeap();
  private pushed = 0;
  private taken = 0;

  /** Events that wait. */
  get size(): number {
    return this.hardware.size + this.steps.size;
  }

  /** Events taken so far: what the simulator's speed is counted in. */
  get takenCount(): number {
    return this.taken;
  }

  /**
   * Schedules an event. A time in the past of other events is allowed: local clocks of cores run apart.
   * @throws RangeError for a time that is not finite.
   */
  push(time_ns: number, hardware: boolean, run: () => void, kind = "step"): SimulatedEvent {
    if (!Number.isFinite(time_ns)) throw new RangeError(`event "${kind}" at ${time_ns} ns`);
    const event: SimulatedEvent = { time_ns, sequence: this.pushed++, kind, hardware, run, position: -1 };
    (hardware ? this.hardware : this.steps).add(event);
    return event;
  }

  /** The earliest event, or the earliest hardware event; it stays in the queue. */
  next(hardwareOnly = false): SimulatedEvent | undefined {
    const hardware = this.hardware.first();
    if (hardwareOnly) return hardware;
    const step = this.steps.first();
    if (step === undefined) return hardware;
    return hardware === undefined || isBefore(step, hardware) ? step : hardware;
  }

  /** Time of the earliest event (or hardware event); Infinity when there is none. */
  nextTime_ns(hardwareOnly = false): number {
    return this.next(hardwareOnly)?.time_ns ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Takes the earliest event (or hardware event) if its time has come.
   * @throws EventLimitError after `taken_max` events.
   */
  popDue(until_ns: number, hardwareOnly = false): SimulatedEvent | undefined {
    const event = this.next(hardwareOnly);
    if (event === undefined || event.time_ns > until_ns) return undefined;
    if (this.taken >= this.taken_max) throw new EventLimitError(`${this.taken} events and no end`);
    this.remove(event);
    this.taken++;
    return event;
  }

  /** Takes the earliest event (or hardware event), whatever its time. */
  pop(hardwareOnly = false): SimulatedEvent | undefined {
    return this.popDue(Number.POSITIVE_INFINITY, hardwareOnly);
  }

  /** True while an event has been neither taken nor cancelled. */
  isPending(event: SimulatedEvent): boolean {
    return event.position >= 0;
  }

  /** Takes an event out unrun. False when it has run or was cancelled before. */
  cancel(event: SimulatedEvent): boolean {
    if (event.position < 0) return false;
    this.remove(event);
    return true;
  }

  private remove(event: SimulatedEvent): void {
    (event.hardware ? this.hardware : this.steps).remove(event);
  }
}
