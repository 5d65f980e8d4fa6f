/**
 * The search for an order of all accesses that explains every read, after the orderings that must hold are known.
 * A read that can be next is always taken at once: it changes nothing, so it never stands in the way. Only writes are
 * choices, and what was tried is remembered by how far each processor has come and what each location holds.
 */
import type { Access, Orderings } from "./sequential-consistency.ts";

/** Writes still to be taken at a point, and how many accesses had been taken there. */
interface Choice {
  readonly taken: number;
  readonly candidates: readonly number[];
  next: number;
}

/** An order as indices into the trace; "none" when there is none, "undecided" after `steps_max` steps. */
export function greedyOrder(
  trace: readonly Access[],
  orderings: Orderings,
  initial: number,
  steps_max: number,
): readonly number[] | "none" | "undecided" {
  const search = new OrderSearch(trace, orderings, initial);
  return search.run(steps_max);
}

class OrderSearch {
  readonly #trace: readonly Access[];
  readonly #orderings: Orderings;
  readonly #initial: number;
  readonly #processors: number;
  /** How many accesses of each processor were taken. */
  readonly #taken: Int32Array;
  readonly #values = new Map<string, number>();
  readonly #order: number[] = [];
  /** What each access's location held before it. */
  readonly #replaced: number[] = [];

  constructor(trace: readonly Access[], orderings: Orderings, initial: number) {
    this.#trace = trace;
    this.#orderings = orderings;
    this.#initial = initial;
    this.#processors = orderings.ofProcessor.length;
    this.#taken = new Int32Array(this.#processors);
  }

  run(steps_max: number): readonly number[] | "none" | "undecided" {
    const seen = new Set<string>();
    const choices: Choice[] = [];
    for (let step = 0; step < steps_max; step++) {
      const candidates = this.#takeReads();
      if (this.#order.length === this.#trace.length) return this.#order;
      const key = this.#key();
      if (!seen.has(key)) {
        seen.add(key);
        choices.push({ taken: this.#order.length, candidates, next: 0 });
      }
      let choice = choices.at(-1);
      while (choice !== undefined && choice.next === choice.candidates.length) {
        choices.pop();
        choice = choices.at(-1);
      }
      if (choice === undefined) return "none";
      while (this.#order.length > choice.taken) this.#undo();
      this.#take(choice.candidates[choice.next++]);
    }
    return "undecided";
  }

  /** Takes all reads that can be next. @returns the writes that can. */
  #takeReads(): number[] {
    for (;;) {
      const writes: number[] = [];
      let progress = false;
      for (let processor = 0; processor < this.#processors; processor++) {
        const index = this.#orderings.ofProcessor[processor][this.#taken[processor]];
        if (index === undefined || !this.#isNext(index)) continue;
        if (this.#trace[index].written !== undefined) writes.push(index);
        else {
          this.#take(index);
          progress = true;
        }
      }
      if (!progress) return writes;
    }
  }

  /** All that must come before it was taken, and it reads what is there. */
  #isNext(index: number): boolean {
    const { clocks, processorOf } = this.#orderings;
    const base = index * this.#processors;
    for (let processor = 0; processor < this.#processors; processor++) {
      const needed = clocks[base + processor] - (processor === processorOf[index] ? 1 : 0);
      if (this.#taken[processor] < needed) return false;
    }
    const { read, location } = this.#trace[index];
    return read === undefined || read === (this.#values.get(location) ?? this.#initial);
  }

  #take(index: number): void {
    const { location, written } = this.#trace[index];
    const before = this.#values.get(location) ?? this.#initial;
    this.#order.push(index);
    this.#replaced.push(before);
    this.#taken[this.#orderings.processorOf[index]]++;
    if (written !== undefined) this.#values.set(location, written);
  }

  #undo(): void {
    const index = this.#order.pop();
    const before = this.#replaced.pop();
    if (index === undefined || before === undefined) return;
    this.#taken[this.#orderings.processorOf[index]]--;
    this.#values.set(this.#trace[index].location, before);
  }

  /** How far all are, and what is where. Of writes to one location that are unordered the last one counts. */
  #key(): string {
    return `${this.#taken.join(",")}|${[...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)).join(";")}`;
  }
}

/**
 * The first access, along an order of execution that is known, that does not read what the accesses before it left;
 * undefined when all do: then that order is a witness, and no search is needed. `order` holds indices into the trace
 * and must keep each processor's accesses in theirs; unless given, the trace is in the order of execution.
 */
export function firstUnexplained(
  trace: readonly Access[],
  order: Iterable<number> = trace.keys(),
  initial = 0,
): number | undefined {
  const memory = new Map<string, number>();
  const latest = new Map<number, number>();
  for (const index of order) {
    const { processor, location, read, written } = trace[index];
    if ((latest.get(processor) ?? -1) > index) return index;
    latest.set(processor, index);
    if (read !== undefined && read !== (memory.get(location) ?? initial)) return index;
    if (written !== undefined) memory.set(location, written);
  }
  return undefined;
}
