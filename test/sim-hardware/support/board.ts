/** A board to test single parts on: runs events in the order of time, and lets handlers take the time they say. */
import { EventQueue } from "../../../src/machine/sim/event-queue.ts";
import { Trace } from "../../../src/machine/sim/trace.ts";
import type { SimWiring } from "../../../src/machine/sim/wiring.ts";

export interface HandlerRun {
  readonly core: number;
  readonly time_ns: number;
}

export class Board implements SimWiring {
  readonly queue = new EventQueue();
  readonly record = new Trace({ kept: 64 });
  /** Every handler that ran. */
  readonly runs: HandlerRun[] = [];
  readonly off = new Set<number>();
  time_ns = 0;
  /** What each handler takes. */
  handler_ns = 0;

  now_ns(): number {
    return this.time_ns;
  }

  trace(kind: string, core: number, first?: number, second?: number, third?: number): void {
    this.record.record(kind, this.time_ns, core, first, second, third);
  }

  isOn(core: number): boolean {
    return !this.off.has(core);
  }

  runHandler(core: number, time_ns: number, handler: () => void): number {
    this.runs.push({ core, time_ns });
    handler();
    return time_ns + this.handler_ns;
  }

  /** Runs everything up to a time, which then is the present. */
  runUntil(until_ns: number): void {
    for (;;) {
      const event = this.queue.popDue(until_ns);
      if (event === undefined) break;
      this.time_ns = Math.max(this.time_ns, event.time_ns);
      event.run();
    }
    this.time_ns = until_ns;
  }

  /** Runs everything that there is; the present is then the last event's time. */
  runAll(): void {
    for (;;) {
      const event = this.queue.pop();
      if (event === undefined) return;
      this.time_ns = Math.max(this.time_ns, event.time_ns);
      event.run();
    }
  }
}
