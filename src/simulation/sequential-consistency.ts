/**
 * Is a trace of reads and writes sequentially consistent? That is: is there one order of all accesses that keeps each
 * processor's program order, and in which every read gives what was written last to its location?
 *
 * First all orderings that every such order must have are derived, until there are no more: program order; a read
 * comes after the write whose value it gives; a write to the same location lies before that write or after that read.
 * If they contradict each other there is none, and the cycle says why. Otherwise an order is looked for, with the
 * derived orderings as a guide, and it is the witness.
 *
 * Orderings are kept as one clock per access: how many accesses of each processor come before it. So traces of tens
 * of thousands of accesses can be checked.
 */
import { greedyOrder } from "./sequential-order.ts";

/** An access, in the program order of its processor. */
export interface Access {
  readonly processor: number;
  readonly location: string;
  /** What a read, or an atomic update, found. */
  readonly read?: number;
  /** What a write, or an atomic update, left. */
  readonly written?: number;
  /** For people: when, or where in the program. */
  readonly label?: string;
}

export interface ConsistencyOptions {
  /** What locations hold at first. Default 0; a write of this value makes reads of it ambiguous. */
  readonly initial?: number;
  /** Steps of the search for an order. */
  readonly steps_max?: number;
  /**
   * The order, as indices into the trace, in which memory took the writes of each location, where the machine knows
   * it. The trace is then also held to that.
   */
  readonly writeOrder?: ReadonlyMap<string, readonly number[]>;
}

export type ConsistencyVerdict =
  | { readonly result: "consistent"; readonly order: readonly number[] }
  | { readonly result: "violation"; readonly cycle: readonly Access[]; readonly text: string }
  | { readonly result: "undecided" };

/** An ordering between two accesses, and why. */
export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

const defaultSteps_max = 1_000_000;

/**
 * Checks a trace: the accesses of each processor in program order, processors mixed in any way.
 * @throws RangeError for an access that neither reads nor writes.
 */
export function checkSequentialConsistency(
  trace: readonly Access[],
  options: ConsistencyOptions = {},
): ConsistencyVerdict {
  const orderings = new Orderings(trace, options);
  const cycle = orderings.derive();
  if (cycle !== undefined)
    return { result: "violation", cycle: cycle.map(({ from }) => trace[from]), text: explain(trace, cycle) };
  const order = greedyOrder(trace, orderings, options.initial ?? 0, options.steps_max ?? defaultSteps_max);
  if (order === "undecided") return { result: "undecided" };
  if (order !== "none") return { result: "consistent", order };
  const text = "no order of all accesses explains all reads (no single cycle of forced orderings shows it)";
  return { result: "violation", cycle: [], text };
}

/** What a trace's accesses have to do with each other, and the orderings that follow. */
export class Orderings {
  /** Accesses of each processor, as indices into the trace, in program order. */
  readonly ofProcessor: readonly (readonly number[])[];
  /** Each access's processor, numbered from 0, and its place in that processor's program order. */
  readonly processorOf: Int32Array;
  readonly placeOf: Int32Array;
  /** Of each read the write whose value it gives: −1 the initial value, −2 none or ambiguous. */
  readonly sourceOf: Int32Array;
  /** `clocks[access * processors + p]`: how many accesses of p come before it, itself included. */
  clocks: Int32Array;

  readonly #trace: readonly Access[];
  readonly #processors: number;
  readonly #writers = new Map<string, number[][]>();
  readonly #incoming: Edge[][];
  readonly #outgoing: Edge[][];
  readonly #known = new Set<number>();
  #impossible: Edge[] | undefined;

  constructor(trace: readonly Access[], options: ConsistencyOptions) {
    this.#trace = trace;
    const names = [...new Set(trace.map((access) => access.processor))].sort((a, b) => a - b);
    const numbers = new Map(names.map((name, index) => [name, index]));
    this.#processors = names.length;
    this.processorOf = Int32Array.from(trace, (access) => numbers.get(access.processor) ?? 0);
    this.placeOf = new Int32Array(trace.length);
    this.sourceOf = new Int32Array(trace.length).fill(-2);
    this.clocks = new Int32Array(trace.length * names.length);
    this.#incoming = trace.map(() => []);
    this.#outgoing = trace.map(() => []);
    const ofProcessor: number[][] = names.map(() => []);
    for (const [index, access] of trace.entries()) {
      if (access.read === undefined && access.written === undefined)
        throw new RangeError(`access ${index} neither reads nor writes`);
      const processor = this.processorOf[index];
      this.placeOf[index] = ofProcessor[processor].push(index) - 1;
      if (access.written !== undefined) this.#writersOf(access.location)[processor].push(index);
      const { length } = ofProcessor[processor];
      if (length > 1) this.#add(ofProcessor[processor][length - 2], index, "program order");
    }
    this.ofProcessor = ofProcessor;
    this.#findSources(options.initial ?? 0);
    for (const writes of options.writeOrder?.values() ?? []) {
      for (let i = 1; i < writes.length; i++) this.#add(writes[i - 1], writes[i], "memory's order of writes");
    }
  }

  /** Adds what follows from what is known until nothing new follows. @returns a cycle, if there is one. */
  derive(): readonly Edge[] | undefined {
    for (;;) {
      if (this.#impossible !== undefined) return this.#impossible;
      const stuck = this.#computeClocks();
      if (stuck !== undefined) return this.#shortestCycle(stuck);
      if (!this.#addForced()) return undefined;
    }
  }

  /** True when `a` comes before `b` in every order, or is `b`. */
  precedes(a: number, b: number): boolean {
    return this.clocks[b * this.#processors + this.processorOf[a]] > this.placeOf[a];
  }

  #writersOf(location: string): number[][] {
    let writers = this.#writers.get(location);
    if (writers === undefined) {
      writers = Array.from({ length: this.#processors }, () => []);
      this.#writers.set(location, writers);
    }
    return writers;
  }

  #add(from: number, to: number, reason: string): boolean {
    const key = from * this.#trace.length + to;
    if (this.#known.has(key)) return false;
    this.#known.add(key);
    const edge = { from, to, reason };
    this.#incoming[to].push(edge);
    this.#outgoing[from].push(edge);
    return true;
  }

  #findSources(initial: number): void {
    const writers = new Map<string, number>();
    const keyOf = (location: string, value: number): string => `${value} ${location}`;
    for (const [index, { location, written }] of this.#trace.entries()) {
      if (written === undefined) continue;
      const key = keyOf(location, written);
      writers.set(key, writers.has(key) || written === initial ? -2 : index);
    }
    for (const [index, { location, read }] of this.#trace.entries()) {
      if (read === undefined) continue;
      const source = writers.get(keyOf(location, read)) ?? (read === initial ? -1 : undefined);
      if (source === undefined) {
        this.#impossible ??= [{ from: index, to: index, reason: `nobody ever wrote ${read} to ${location}` }];
        continue;
      }
      this.sourceOf[index] = source;
      if (source >= 0) this.#add(source, index, "reads what it wrote");
    }
  }

  /** Clocks in the order of the edges. @returns an access on a cycle, if there is one. */
  #computeClocks(): number | undefined {
    const { length } = this.#trace;
    const waiting = Int32Array.from(this.#incoming, (edges) => edges.length);
    const ready: number[] = [];
    for (let index = 0; index < length; index++) if (waiting[index] === 0) ready.push(index);
    const processors = this.#processors;
    const clocks = new Int32Array(length * processors);
    let finished = 0;
    for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
      finished++;
      const base = index * processors;
      for (const { from } of this.#incoming[index]) {
        const other = from * processors;
        for (let p = 0; p < processors; p++) {
          if (clocks[other + p] > clocks[base + p]) clocks[base + p] = clocks[other + p];
        }
      }
      clocks[base + this.processorOf[index]] = this.placeOf[index] + 1;
      for (const { to } of this.#outgoing[index]) if (--waiting[to] === 0) ready.push(to);
    }
    this.clocks = clocks;
    if (finished === length) return undefined;
    // What still waits lies on a cycle or behind one: going back from it leads onto it.
    let at = waiting.findIndex((count) => count > 0);
    for (let step = 0; step < length; step++) {
      const edge = this.#incoming[at].find(({ from }) => waiting[from] > 0);
      if (edge === undefined) break;
      at = edge.from;
    }
    return at;
  }

  /** Adds what each read's source forces upon the other writes of its location. False when nothing was new. */
  #addForced(): boolean {
    let added = false;
    for (const [read, source] of this.sourceOf.entries()) {
      if (source === -2) continue;
      const writers = this.#writers.get(this.#trace[read].location) ?? [];
      for (const [processor, writes] of writers.entries()) {
        const before = this.#lastBefore(read, processor, writes);
        if (before !== undefined && before !== source) {
          if (source === -1) {
            const reason = `reads the initial value although this write comes before`;
            this.#impossible = [
              { from: before, to: read, reason: "comes before" },
              { from: read, to: before, reason },
            ];
            return true;
          }
          if (
            this.#add(
              before,
              source,
              "comes before a read that does not give it, so before what the read gives",
            )
          )
            added = true;
        }
        const after = this.#firstAfter(source, writes, read);
        if (after !== undefined && this.#add(read, after, "reads an older value than this")) added = true;
      }
    }
    return added;
  }

  /** The last of a processor's writes that comes before a read, which may be an update and so one of them. */
  #lastBefore(read: number, processor: number, writes: readonly number[]): number | undefined {
    const limit = this.clocks[read * this.#processors + processor];
    let found = firstIndex(writes, (write) => this.placeOf[write] >= limit) - 1;
    if (writes[found] === read) found--;
    return writes[found];
  }

  /** The first of a processor's writes that comes after a write (−1: all do), and is not the read itself. */
  #firstAfter(source: number, writes: readonly number[], read: number): number | undefined {
    let found = source === -1 ? 0 : firstIndex(writes, (write) => this.precedes(source, write));
    while (writes[found] === source || writes[found] === read) found++;
    return writes[found];
  }

  /** The shortest cycle through an access. */
  #shortestCycle(start: number): Edge[] {
    const arrivedBy = new Map<number, Edge>();
    const queue = [start];
    for (const at of queue) {
      for (const edge of this.#outgoing[at]) {
        if (edge.to === start) return this.#pathTo(edge, start, arrivedBy);
        if (arrivedBy.has(edge.to)) continue;
        arrivedBy.set(edge.to, edge);
        queue.push(edge.to);
      }
    }
    return [];
  }

  #pathTo(last: Edge, start: number, arrivedBy: ReadonlyMap<number, Edge>): Edge[] {
    const path = [last];
    for (let at = last.from; at !== start; ) {
      const edge = arrivedBy.get(at);
      if (edge === undefined) break;
      path.unshift(edge);
      at = edge.from;
    }
    return path;
  }
}

/** The first index from which on `holds` is true; it is false before. */
function firstIndex(items: readonly number[], holds: (item: number) => boolean): number {
  let least = 0;
  let most = items.length;
  while (least < most) {
    const middle = (least + most) >>> 1;
    if (holds(items[middle])) most = middle;
    else least = middle + 1;
  }
  return least;
}

/** `processor 1: x = 3`. */
export function describeAccess({ processor, location, read, written, label }: Access): string {
  const parts = [
    ...(read === undefined ? [] : [`reads ${read} from ${location}`]),
    ...(written === undefined ? [] : [`writes ${written} to ${location}`]),
  ];
  return `processor ${processor} ${parts.join(" and ")}${label === undefined ? "" : ` (${label})`}`;
}

function explain(trace: readonly Access[], cycle: readonly Edge[]): string {
  const lines = cycle.map(({ from, to, reason }) => {
    const before = describeAccess(trace[from]);
    return from === to
      ? `  ${before}: ${reason}`
      : `  ${before}, before ${describeAccess(trace[to])}: ${reason}`;
  });
  return ["not sequentially consistent; each of these must come before the next:", ...lines].join("\n");
}
