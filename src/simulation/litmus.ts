/**
 * Litmus tests: the smallest programs that tell memory models apart. Data, with what is to be looked for; the
 * outcomes that sequential consistency allows are computed by running all interleavings.
 */
import type { Access } from "./sequential-consistency.ts";

/** One access of a litmus program. Values are written at most once per location, and never 0, which is there first. */
export type LitmusStep =
  | { readonly kind: "store"; readonly location: string; readonly value: number }
  | { readonly kind: "load"; readonly location: string; readonly register: string };

export interface LitmusTest {
  readonly name: string;
  readonly description: string;
  /** One program per processor. */
  readonly programs: readonly (readonly LitmusStep[])[];
  /** What weaker memories show and sequential consistency forbids: registers, or final values of locations. */
  readonly forbidden: readonly Readonly<Record<string, number>>[];
  /** Locations whose final values belong to the outcome. */
  readonly observed: readonly string[];
}

const store = (location: string, value: number): LitmusStep => ({ kind: "store", location, value });
const load = (location: string, register: string): LitmusStep => ({ kind: "load", location, register });

export const litmusTests: readonly LitmusTest[] = [
  {
    name: "store buffering",
    description: "two processors each store, then look at the other's location",
    programs: [
      [store("x", 1), load("y", "a")],
      [store("y", 1), load("x", "b")],
    ],
    forbidden: [{ a: 0, b: 0 }],
    observed: [],
  },
  {
    name: "message passing",
    description: "data, then a flag; who sees the flag sees the data",
    programs: [
      [store("x", 1), store("y", 1)],
      [load("y", "a"), load("x", "b")],
    ],
    forbidden: [{ a: 1, b: 0 }],
    observed: [],
  },
  {
    name: "load buffering",
    description: "loads before stores that the other's load would have to see",
    programs: [
      [load("x", "a"), store("y", 1)],
      [load("y", "b"), store("x", 1)],
    ],
    forbidden: [{ a: 1, b: 1 }],
    observed: [],
  },
  {
    name: "IRIW",
    description: "independent reads of independent writes: two readers agree on the order of two writes",
    programs: [
      [store("x", 1)],
      [store("y", 1)],
      [load("x", "a"), load("y", "b")],
      [load("y", "c"), load("x", "d")],
    ],
    forbidden: [{ a: 1, b: 0, c: 1, d: 0 }],
    observed: [],
  },
  {
    name: "coherence of reads",
    description: "a location does not go back to an older value",
    programs: [
      [store("x", 1), store("x", 2)],
      [load("x", "a"), load("x", "b")],
    ],
    forbidden: [
      { a: 2, b: 1 },
      { a: 2, b: 0 },
      { a: 1, b: 0 },
    ],
    observed: [],
  },
  {
    name: "coherence of writes",
    description: "all agree on the order of two writes to one location",
    programs: [
      [store("x", 1)],
      [store("x", 2)],
      [load("x", "a"), load("x", "b")],
      [load("x", "c"), load("x", "d")],
    ],
    forbidden: [{ a: 1, b: 2, c: 2, d: 1 }],
    observed: [],
  },
  {
    name: "2+2W",
    description: "two processors write two locations in opposite orders; not both first writes are left",
    programs: [
      [store("x", 1), store("y", 2)],
      [store("y", 1), store("x", 2)],
    ],
    forbidden: [{ x: 1, y: 1 }],
    observed: ["x", "y"],
  },
  {
    name: "write to read causality",
    description: "what was seen through a third processor has happened",
    programs: [[store("x", 1)], [load("x", "a"), store("y", 1)], [load("y", "b"), load("x", "c")]],
    forbidden: [{ a: 1, b: 1, c: 0 }],
    observed: [],
  },
  {
    name: "S",
    description: "a store after a load that saw a later store is itself later",
    programs: [
      [store("x", 2), store("y", 1)],
      [load("y", "a"), store("x", 1)],
    ],
    forbidden: [{ a: 1, x: 2 }],
    observed: ["x"],
  },
  {
    name: "R",
    description: "a store that lost against another's does not hide it from the load after",
    programs: [
      [store("x", 1), store("y", 1)],
      [store("y", 2), load("x", "a")],
    ],
    forbidden: [{ a: 0, y: 2 }],
    observed: ["y"],
  },
];

/** Registers and observed locations after a run. */
export type LitmusOutcome = Readonly<Record<string, number>>;

/** The outcome as a text, names in the order of the alphabet: `a=0 b=1`. */
export function outcomeText(outcome: LitmusOutcome): string {
  return Object.keys(outcome)
    .sort()
    .map((name) => `${name}=${outcome[name]}`)
    .join(" ");
}

/** The texts of all outcomes that some interleaving of the programs has. */
export function allowedOutcomes(test: LitmusTest): Set<string> {
  const outcomes = new Set<string>();
  const places = test.programs.map(() => 0);
  const memory = new Map<string, number>();
  const registers: Record<string, number> = {};
  const run = (): void => {
    let ended = true;
    for (const [processor, program] of test.programs.entries()) {
      const step = program[places[processor]];
      if (step === undefined) continue;
      ended = false;
      places[processor]++;
      const before = memory.get(step.location) ?? 0;
      if (step.kind === "load") registers[step.register] = before;
      else memory.set(step.location, step.value);
      run();
      memory.set(step.location, before);
      places[processor]--;
    }
    if (!ended) return;
    const observed = test.observed.map((location) => [location, memory.get(location) ?? 0]);
    outcomes.add(outcomeText({ ...registers, ...Object.fromEntries(observed) }));
  };
  run();
  return outcomes;
}

/** A run of a litmus test as a trace for the checker; final values are read by a processor that comes last. */
export function litmusTrace(test: LitmusTest, outcome: LitmusOutcome): Access[] {
  const trace = test.programs.flatMap((program, processor) =>
    program.map(
      (step): Access =>
        step.kind === "store"
          ? { processor, location: step.location, written: step.value }
          : { processor, location: step.location, read: outcome[step.register] },
    ),
  );
  // The observer waits for a word that each processor writes at its end.
  const observer = test.programs.length;
  if (test.observed.length === 0) return trace;
  for (const processor of test.programs.keys())
    trace.push({ processor, location: `end of ${processor}`, written: 1 });
  for (const processor of test.programs.keys()) {
    trace.push({ processor: observer, location: `end of ${processor}`, read: 1 });
  }
  for (const location of test.observed)
    trace.push({ processor: observer, location, read: outcome[location] });
  return trace;
}
