/** What the parts of the simulated machine are given by the machine that is made of them. */
import type { EventQueue } from "./event-queue.ts";

/** The machine, as its parts see it. */
export interface SimWiring {
  readonly queue: EventQueue;
  /** Where the code that runs now is in time: the core's local clock inside a step, else the event's time. */
  now_ns(): number;
  /** Adds a record to the machine's trace, at the present time. `core` is −1 where none is concerned. */
  trace(kind: string, core: number, first?: number, second?: number, third?: number): void;
  /** True when a core has power; mails to others are lost. */
  isOn(core: number): boolean;
  /**
   * Runs a handler of a core at interrupt level now, as of `time_ns`: the machine wakes the core if it sleeps,
   * accounts the time that the handler takes, and answers the core's local time when the handler has returned.
   * Parts call it from hardware events only, and only for cores that are on.
   */
  runHandler(core: number, time_ns: number, handler: () => void): number;
}
