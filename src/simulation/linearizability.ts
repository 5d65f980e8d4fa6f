/**
 * Is a history linearisable? That is: can all its operations be put into one order, each somewhere between its call
 * and its return, so that a sequential object would have answered the same?
 *
 * The search is Wing and Gong's with Lowe's memory: operations are tried in the order of their calls; a set of
 * operations done, together with the state they led to, is looked at only once. Operations that never returned may be
 * put anywhere after their call, or left out. Objects are independent of each other, so each is checked alone.
 *
 * What a violation is blamed on is found by weakening: the history is cut at the earliest return that cannot be, and
 * each operation is then replaced by one that never returned. Whatever can be weakened so without making the history
 * linearisable does not matter; what is left is the explanation.
 */
import { byObject, isPending, type Operation } from "./history.ts";
import type { Specification } from "./specifications.ts";

export interface CheckOptions {
  /** Steps of the search, for each object, after which it gives up. */
  readonly steps_max?: number;
  /** Steps for finding the explanation of a violation. */
  readonly explanationSteps_max?: number;
}

export interface Explanation<Input, Output> {
  readonly object: string;
  /** The operations without whose answers, at just these times, the history would be linearisable. */
  readonly essential: readonly Operation<Input, Output>[];
  /** How many other operations had begun by then. */
  readonly others: number;
  /** The longest order that was found before every continuation failed, and the state it leads to. */
  readonly longestOrder: readonly Operation<Input, Output>[];
  readonly stateAfter: string;
  /** All this for people. */
  readonly text: string;
}

export type Verdict<Input, Output> =
  | { readonly result: "linearizable"; readonly steps: number }
  | { readonly result: "violation"; readonly steps: number; readonly explanation: Explanation<Input, Output> }
  /** The search was given up: nothing is known. */
  | { readonly result: "undecided"; readonly steps: number; readonly object: string };

const defaultSteps_max = 2_000_000;
const defaultExplanationSteps_max = 2_000_000;
/** Steps after which an operation counts as essential: without the times of calls that change something, orders abound. */
const weakeningSteps_max = 20_000;

/** Checks all objects of a history against one specification. The first violation ends it. */
export function checkLinearizability<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  specification: Specification<State, Input, Output>,
  options: CheckOptions = {},
): Verdict<Input, Output> {
  const steps_max = options.steps_max ?? defaultSteps_max;
  let steps = 0;
  let undecided: string | undefined;
  for (const [object, own] of byObject(operations)) {
    const search = new Search(own, specification);
    const outcome = search.run(steps_max);
    steps += search.steps;
    if (outcome === "undecided") undecided ??= object;
    if (outcome !== "violation") continue;
    const budget = options.explanationSteps_max ?? defaultExplanationSteps_max;
    return { result: "violation", steps, explanation: explain(own, specification, budget) };
  }
  if (undecided !== undefined) return { result: "undecided", steps, object: undecided };
  return { result: "linearizable", steps };
}

/** A call or a return, in a doubly linked list in the order of time. */
interface Event {
  readonly index: number;
  readonly isCall: boolean;
  previous: Event | undefined;
  next: Event | undefined;
}

/** An operation that was put into the order, and what else could have come of it. */
interface Frame<State> {
  readonly index: number;
  readonly before: State;
  readonly alternatives: readonly State[];
  alternative: number;
}

type Outcome = "linearizable" | "violation" | "undecided";

/** The search for one object. */
class Search<State, Input, Output> {
  steps = 0;
  /** The longest order that was reached, and where it led. */
  longest: number[] = [];
  longestState: State;

  readonly #operations: readonly Operation<Input, Output>[];
  readonly #specification: Specification<State, Input, Output>;
  readonly #head: Event = { index: -1, isCall: false, previous: undefined, next: undefined };
  readonly #calls: Event[] = [];
  readonly #returns: (Event | undefined)[] = [];
  readonly #done: Uint8Array;
  /** Of each operation, the one before it by the same process, or −1. */
  readonly #predecessor: Int32Array;
  /** Greatest index among the operations in the order, ever: bounds the window of a memory's key. */
  #greatest = -1;

  constructor(
    operations: readonly Operation<Input, Output>[],
    specification: Specification<State, Input, Output>,
  ) {
    this.#operations = [...operations].sort((a, b) => a.calledAt - b.calledAt);
    this.#specification = specification;
    this.longestState = specification.initial;
    this.#done = new Uint8Array(operations.length);
    this.#predecessor = new Int32Array(operations.length).fill(-1);
    this.#link();
  }

  run(steps_max: number): Outcome {
    const seen = new Set<string>();
    const frames: Frame<State>[] = [];
    let state = this.#specification.initial;
    let missing = this.#operations.filter((operation) => !isPending(operation)).length;
    let event = this.#head.next;
    while (missing > 0) {
      if (++this.steps > steps_max) return "undecided";
      let frame: Frame<State> | undefined;
      if (event?.isCall) {
        const { index } = event;
        event = event.next;
        if (!this.#mayBeNext(index)) continue;
        frame = { index, before: state, alternatives: this.#after(state, index), alternative: -1 };
      } else {
        // An operation that has returned by now is not in the order: what was put into it last was wrong.
        frame = frames.pop();
        if (frame === undefined) return "violation";
        this.#putBack(frame.index);
        if (!isPending(this.#operations[frame.index])) missing++;
        state = frame.before;
        event = this.#calls[frame.index].next;
      }
      const { index } = frame;
      this.#take(index);
      if (!this.#advance(frame, seen)) {
        this.#putBack(index);
        continue;
      }
      frames.push(frame);
      state = frame.alternatives[frame.alternative];
      if (!isPending(this.#operations[index])) missing--;
      if (frames.length > this.longest.length) {
        this.longest = frames.map((one) => one.index);
        this.longestState = state;
      }
      event = this.#head.next;
    }
    return "linearizable";
  }

  /** The operations of the longest order that was reached. */
  longestOrder(): Operation<Input, Output>[] {
    return this.longest.map((index) => this.#operations[index]);
  }

  /** Goes to the next state of the frame that was not seen with the same operations done. */
  #advance(frame: Frame<State>, seen: Set<string>): boolean {
    const prefix = this.#doneKey();
    for (;;) {
      frame.alternative++;
      if (frame.alternative >= frame.alternatives.length) return false;
      const key = `${prefix}|${this.#specification.key(frame.alternatives[frame.alternative])}`;
      if (seen.has(key)) continue;
      seen.add(key);
      return true;
    }
  }

  #after(state: State, index: number): readonly State[] {
    const { input, output, returnedAt } = this.#operations[index];
    if (returnedAt === Number.POSITIVE_INFINITY) {
      // It may as well be left out: what changes nothing need not be tried.
      const key = this.#specification.key(state);
      const states = this.#specification.afterUnanswered(state, input);
      return states.filter((next) => this.#specification.key(next) !== key);
    }
    return this.#specification.after(state, input, output as Output);
  }

  /** A process's operations keep their order even where one returns at the very time at which the next is called. */
  #mayBeNext(index: number): boolean {
    const predecessor = this.#predecessor[index];
    return predecessor < 0 || this.#done[predecessor] !== 0 || isPending(this.#operations[predecessor]);
  }

  /** Which operations are done, as a text: the first that is not, and the later ones that are. */
  #doneKey(): string {
    const first = this.#head.next?.index ?? this.#operations.length;
    let key = `${first}`;
    for (let index = first + 1; index <= this.#greatest; index++) {
      if (this.#done[index] !== 0) key += `,${index}`;
    }
    return key;
  }

  #take(index: number): void {
    this.#done[index] = 1;
    if (index > this.#greatest) this.#greatest = index;
    unlink(this.#calls[index]);
    const end = this.#returns[index];
    if (end !== undefined) unlink(end);
  }

  /** Undoes `#take`. In the opposite order: then the neighbours are what they were. */
  #putBack(index: number): void {
    this.#done[index] = 0;
    const end = this.#returns[index];
    if (end !== undefined) relink(end);
    relink(this.#calls[index]);
  }

  /** Makes the list of events. Of calls and returns at one moment the calls come first: they overlap. */
  #link(): void {
    const events: { time: number; event: Event }[] = [];
    const latest = new Map<number, number>();
    for (const [index, operation] of this.#operations.entries()) {
      const make = (isCall: boolean, time: number): Event => {
        const event: Event = { index, isCall, previous: undefined, next: undefined };
        events.push({ time, event });
        return event;
      };
      this.#calls.push(make(true, operation.calledAt));
      this.#returns.push(isPending(operation) ? undefined : make(false, operation.returnedAt));
      this.#predecessor[index] = latest.get(operation.process) ?? -1;
      latest.set(operation.process, index);
    }
    events.sort((a, b) => a.time - b.time || Number(b.event.isCall) - Number(a.event.isCall));
    let last = this.#head;
    for (const { event } of events) {
      last.next = event;
      event.previous = last;
      last = event;
    }
  }
}

function unlink(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event.next;
  if (event.next !== undefined) event.next.previous = event.previous;
}

function relink(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event;
  if (event.next !== undefined) event.next.previous = event;
}

/** Finds out what a violation consists of. The history of this one object is known not to be linearisable. */
function explain<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  specification: Specification<State, Input, Output>,
  steps_max: number,
): Explanation<Input, Output> {
  let rest = steps_max;
  let limit = steps_max;
  const violates = (candidate: readonly Operation<Input, Output>[]): boolean => {
    if (rest <= 0) return false;
    const search = new Search(candidate, specification);
    const outcome = search.run(Math.min(rest, limit));
    rest -= search.steps;
    return outcome === "violation";
  };
  let current = cutEarliest(operations, violates);
  limit = weakeningSteps_max;
  for (let index = current.length - 1; index >= 0; index--) {
    if (isPending(current[index])) continue;
    const weaker = current.with(index, weakened(current[index]));
    if (violates(weaker)) current = weaker;
  }
  const essential = current.filter((operation) => !isPending(operation));
  const search = new Search(current, specification);
  search.run(defaultSteps_max);
  const longestOrder = search.longestOrder();
  const stateAfter = specification.key(search.longestState);
  const object = operations[0].object;
  const others = current.length - essential.length;
  const line = (operation: Operation<Input, Output>): string => {
    const call = specification.describe(operation.input, operation.output);
    const end = isPending(operation) ? "no answer" : `${operation.returnedAt}`;
    return `  process ${operation.process}, ${operation.calledAt} to ${end}: ${call}`;
  };
  const text = [
    `${specification.name} ${JSON.stringify(object)} is not linearisable:`,
    ...essential.map(line),
    ...(others === 0 ? [] : [`  whatever ${others} other operations that had begun by then did`]),
    `in the longest order that works, ${longestOrder.length} operations lead to the state ${stateAfter}`,
  ].join("\n");
  return { object, essential, others, longestOrder, stateAfter, text };
}

/** The history as far as the first return that makes it impossible: a prefix of a linearisable one is linearisable. */
function cutEarliest<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  violates: (candidate: readonly Operation<Input, Output>[]) => boolean,
): readonly Operation<Input, Output>[] {
  const times = [...new Set(operations.map((operation) => operation.returnedAt))].sort((a, b) => a - b);
  const upTo = (time: number): Operation<Input, Output>[] =>
    operations
      .filter((operation) => operation.calledAt <= time)
      .map((operation) => (operation.returnedAt <= time ? operation : weakened(operation)));
  let least = 0;
  let most = times.length - 1;
  while (least < most) {
    const middle = (least + most) >>> 1;
    if (violates(upTo(times[middle]))) most = middle;
    else least = middle + 1;
  }
  return upTo(times[most]);
}

function weakened<Input, Output>(operation: Operation<Input, Output>): Operation<Input, Output> {
  return { ...operation, output: undefined, returnedAt: Number.POSITIVE_INFINITY };
}
