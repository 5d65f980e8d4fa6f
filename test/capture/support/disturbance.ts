/**
 * What befalls a running program in these tests: which polls capture it, which system calls block first, and
 * where it goes on afterwards. A disturbance decides; the harness in `drive.ts` does it.
 */
import { interruptAnswer, resumption } from "../../../src/engine/index.ts";
import { randomNumbers } from "../../engine/support/random-program.ts";

/** How a captured program goes on: see `drive.ts`. */
export type Move = "in place" | "fresh instance" | "copied memory" | "pages on demand";

export const moves: readonly Move[] = ["in place", "fresh instance", "copied memory", "pages on demand"];

export interface Disturbance {
  /** What a poll is told: an `interruptAnswer`. */
  poll(): number;
  /** Whether the system call that was just called must wait first. */
  blocks(): boolean;
  /** How a suspended context goes on: a `resumption`. */
  resumption(): number;
  move(): Move;
}

/** Everything is looked at, nothing happens. */
export function undisturbed(): Disturbance {
  return {
    poll: () => interruptAnswer.proceed,
    blocks: () => false,
    resumption: () => resumption.proceed,
    move: () => "in place",
  };
}

export interface RandomDisturbanceOptions {
  readonly seed: number;
  /** Polls between two events, on average. */
  readonly spacing_polls: number;
  /** Events after which the program is left alone. */
  readonly events_max?: number;
  /** The moves to choose from. */
  readonly moves?: readonly Move[];
}

/** Captures and suspends at random polls and system calls, and moves in random ways. The same seed, the same story. */
export function randomDisturbance(options: RandomDisturbanceOptions): Disturbance {
  const random = randomNumbers(options.seed);
  const choices = options.moves ?? moves;
  const pause = (): number => 1 + random(2 * options.spacing_polls);
  let left = options.events_max ?? Number.POSITIVE_INFINITY;
  let polls = pause();
  // A call that blocked is called again; it must not block for ever.
  let blockedLast = false;
  return {
    poll() {
      if (left <= 0 || --polls > 0) return interruptAnswer.proceed;
      left--;
      polls = pause();
      return random(4) === 0 ? interruptAnswer.suspend : interruptAnswer.capture;
    },
    blocks() {
      blockedLast = !(blockedLast && random(3) > 0) && left > 0 && random(2) === 0;
      if (blockedLast) left--;
      return blockedLast;
    },
    resumption: () => (random(3) === 0 ? resumption.proceed : resumption.capture),
    move: () => choices[random(choices.length)],
  };
}

/** Captures at one poll only, the `at`-th (from 1). */
export function captureOnceAt(at: number, move: Move): Disturbance {
  let polls = 0;
  return {
    ...undisturbed(),
    poll: () => (++polls === at ? interruptAnswer.capture : interruptAnswer.proceed),
    move: () => move,
  };
}

/** Captures at every single poll, and at every system call once. */
export function captureAlways(move: Move): Disturbance {
  let blocked = false;
  // A poll that captured the context asks again when the context is back.
  let captured = false;
  return {
    poll() {
      captured = !captured;
      return captured ? interruptAnswer.capture : interruptAnswer.proceed;
    },
    blocks() {
      blocked = !blocked;
      return blocked;
    },
    resumption: () => resumption.capture,
    move: () => move,
  };
}
