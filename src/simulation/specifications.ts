/** Sequential specifications of the objects whose histories are checked: what each would answer if alone. */

/**
 * An object as a set of states and what leads from one to the next. States are never changed in place. All functions
 * are pure; where an object has a choice, several states are given.
 */
export interface Specification<State, Input, Output> {
  readonly name: string;
  readonly initial: State;
  /** The states in which the object may be when it has answered `output`; none when it cannot answer that. */
  after(state: State, input: Input, output: Output): readonly State[];
  /** The other states that a call which got no answer may have led to; none when it can only wait. */
  afterUnanswered(state: State, input: Input): readonly State[];
  /** Different for states that differ. */
  key(state: State): string;
  /** A call and its answer for people; `output` is undefined when there was none. */
  describe(input: Input, output: Output | undefined): string;
}

export type RegisterInput =
  | { readonly kind: "read" }
  | { readonly kind: "write"; readonly value: number }
  | { readonly kind: "compareExchange"; readonly expected: number; readonly value: number };

/** A word: reads and `compareExchange` answer what was there, writes answer 0. */
export function register(initial = 0): Specification<number, RegisterInput, number> {
  return deterministic("register", initial, (state, input) => {
    switch (input.kind) {
      case "read":
        return [state, state];
      case "write":
        return [input.value, 0];
      case "compareExchange":
        return [state === input.expected ? input.value : state, state];
    }
  });
}

export type CounterInput = { readonly kind: "read" } | { readonly kind: "add"; readonly amount: number };

/** Both operations answer what was there before. */
export function counter(initial = 0): Specification<number, CounterInput, number> {
  return deterministic("counter", initial, (state, input) => [
    input.kind === "add" ? state + input.amount : state,
    state,
  ]);
}

export type QueueInput = { readonly kind: "put"; readonly value: number } | { readonly kind: "take" };

/** First in, first out. `take` answers null when it is empty, `put` answers null. */
export function queue(): Specification<readonly number[], QueueInput, number | null> {
  return deterministic<readonly number[], QueueInput, number | null>("queue", [], (state, input) => {
    if (input.kind === "put") return [[...state, input.value], null];
    return state.length === 0 ? [state, null] : [state.slice(1), state[0]];
  });
}

export type LockInput = { readonly kind: "acquire" | "tryAcquire" | "release"; readonly owner: number };

/** A mutex; 0 owns a free one. `acquire` and `release` answer true when they return, `tryAcquire` whether it has it. */
export function lock(): Specification<number, LockInput, boolean> {
  return {
    name: "lock",
    initial: 0,
    after(owner, input, output) {
      if (input.kind === "release") return output && owner === input.owner ? [0] : [];
      if (input.kind === "tryAcquire" && !output) return owner === 0 ? [] : [owner];
      return output && owner === 0 ? [input.owner] : [];
    },
    afterUnanswered(owner, input) {
      if (input.kind === "release") return owner === input.owner ? [0] : [];
      return owner === 0 ? [input.owner] : [];
    },
    key: String,
    describe: describeCall,
  };
}

export type PipeInput =
  | { readonly kind: "write"; readonly text: string }
  | { readonly kind: "read"; readonly length: number }
  | { readonly kind: "closeReader" | "closeWriter" };

/**
 * What came of it: the number of bytes written, the text that was read ("" at the end), or why not. `again`: it would
 * have to wait. `pipe`: nobody can read. Closing answers 0.
 */
export type PipeOutput = number | string | { readonly refused: "again" | "pipe" };

interface PipeState {
  readonly content: string;
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * A pipe of bytes (one per character), with one reading and one writing end that many processes may hold. Writes of
 * up to `atomic_bytes` go in whole or not at all; longer ones, and all reads, may be cut short, but not to nothing.
 */
export function pipe(
  capacity_bytes: number,
  atomic_bytes: number,
): Specification<PipeState, PipeInput, PipeOutput> {
  const write = (state: PipeState, text: string, count: number): readonly PipeState[] => {
    const fits = state.content.length + count <= capacity_bytes;
    const allowed = count === text.length || (count > 0 && count < text.length && text.length > atomic_bytes);
    if (!state.readable || !fits || !allowed) return [];
    return [{ ...state, content: state.content + text.slice(0, count) }];
  };
  return {
    name: "pipe",
    initial: { content: "", readable: true, writable: true },
    after(state, input, output) {
      switch (input.kind) {
        case "write": {
          if (typeof output === "number") return write(state, input.text, output);
          if (typeof output === "string") return [];
          if (output.refused === "pipe") return state.readable ? [] : [state];
          const room = capacity_bytes - state.content.length;
          const needed = input.text.length <= atomic_bytes ? input.text.length : 1;
          return state.readable && room < needed ? [state] : [];
        }
        case "read": {
          if (typeof output === "string") {
            if (output === "" && input.length > 0)
              return state.content === "" && !state.writable ? [state] : [];
            if (output.length > input.length || !state.content.startsWith(output)) return [];
            return [{ ...state, content: state.content.slice(output.length) }];
          }
          if (typeof output === "number" || output.refused !== "again") return [];
          return state.content === "" && state.writable ? [state] : [];
        }
        case "closeReader":
          return output === 0 ? [{ ...state, readable: false }] : [];
        case "closeWriter":
          return output === 0 ? [{ ...state, writable: false }] : [];
      }
    },
    afterUnanswered(state, input) {
      switch (input.kind) {
        case "write": {
          const states: PipeState[] = [];
          for (let count = 1; count <= input.text.length; count++)
            states.push(...write(state, input.text, count));
          return states;
        }
        case "read": {
          const states: PipeState[] = [];
          for (let count = 1; count <= Math.min(input.length, state.content.length); count++) {
            states.push({ ...state, content: state.content.slice(count) });
          }
          return states;
        }
        case "closeReader":
          return [{ ...state, readable: false }];
        case "closeWriter":
          return [{ ...state, writable: false }];
      }
    },
    key: (state) => `${state.readable ? "r" : ""}${state.writable ? "w" : ""}:${state.content}`,
    describe: describeCall,
  };
}

export type FileInput =
  | { readonly kind: "append"; readonly text: string }
  | { readonly kind: "write"; readonly at: number; readonly text: string }
  | { readonly kind: "read"; readonly at: number; readonly length: number }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "size" };

/**
 * A file of bytes (one per character). `append` answers where it wrote, `read` the text, `size` the size, the others
 * 0. Holes are NUL characters.
 */
export function file(initial = ""): Specification<string, FileInput, number | string> {
  return deterministic<string, FileInput, number | string>("file", initial, (state, input) => {
    switch (input.kind) {
      case "append":
        return [state + input.text, state.length];
      case "write": {
        if (input.text === "") return [state, 0];
        const before = state.slice(0, input.at).padEnd(input.at, "\0");
        return [before + input.text + state.slice(input.at + input.text.length), 0];
      }
      case "read":
        return [state, state.slice(input.at, input.at + input.length)];
      case "truncate":
        return [state.slice(0, input.size).padEnd(input.size, "\0"), 0];
      case "size":
        return [state, state.length];
    }
  });
}

export type PidInput = { readonly kind: "allocate" } | { readonly kind: "free"; readonly pid: number };

/**
 * Gives out numbers, each to one holder at a time: `allocate` answers any that is free, or 0 when all of `most` are in
 * use; `free` answers 0.
 */
export function pidAllocator(most: number): Specification<readonly number[], PidInput, number> {
  const insert = (state: readonly number[], pid: number): number[] => [...state, pid].sort((a, b) => a - b);
  return {
    name: "pid allocator",
    initial: [],
    after(state, input, output) {
      if (input.kind === "free") {
        return output === 0 && state.includes(input.pid) ? [state.filter((pid) => pid !== input.pid)] : [];
      }
      if (output === 0) return state.length === most ? [state] : [];
      return output > 0 && state.length < most && !state.includes(output) ? [insert(state, output)] : [];
    },
    // A number that nobody was told of stays in use, whichever it is: it is noted as one below zero.
    afterUnanswered(state, input) {
      if (input.kind === "free") {
        return state.includes(input.pid) ? [state.filter((pid) => pid !== input.pid)] : [];
      }
      return state.length < most ? [insert(state, Math.min(0, ...state) - 1)] : [];
    },
    key: (state) => state.join(","),
    describe: describeCall,
  };
}

/** An object that has exactly one answer in each state. */
export function deterministic<State, Input extends { readonly kind: string }, Output>(
  name: string,
  initial: State,
  apply: (state: State, input: Input) => readonly [next: State, output: Output],
): Specification<State, Input, Output> {
  const key = (state: State): string => (typeof state === "string" ? state : JSON.stringify(state));
  return {
    name,
    initial,
    after(state, input, output) {
      const [next, expected] = apply(state, input);
      return Object.is(expected, output) ? [next] : [];
    },
    afterUnanswered: (state, input) => [apply(state, input)[0]],
    key,
    describe: describeCall,
  };
}

/** `append(text: "x") → 3`. */
function describeCall(input: { readonly kind: string }, output: unknown): string {
  const { kind, ...parameters } = input;
  const named = Object.entries(parameters).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return `${kind}(${named.join(", ")}) → ${output === undefined ? "?" : JSON.stringify(output)}`;
}
