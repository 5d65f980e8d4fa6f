/** What the worker and the concurrency tests agree on. */
import { atomic, i16, lock, struct, u16, u32, u64 } from "../../src/memory/index.ts";

/** Two plain counters that must stay equal, under a lock; and atomic ones of several widths. */
export const Counters = struct("Counters", {
  mutex: lock(),
  one: u32,
  other: u64,
  word: atomic(u32),
  half: atomic(u16),
  signed: atomic(i16),
  wide: atomic(u64),
});

/** A word handed to and fro between two threads. */
export const Turn = struct("Turn", { turn: atomic(u32), rounds: u32 });

/** A record of a pool, stamped by its owner while it is in use. */
export const Stamped = struct("Stamped", { owner: u32, serial: u32 });

export type Task = "lock" | "atomic" | "turn" | "pool" | "areas";

export interface Order {
  readonly buffer: SharedArrayBuffer;
  readonly task: Task;
  /** Lock owner number of this worker, from 1. */
  readonly owner: number;
  readonly rounds: number;
}
