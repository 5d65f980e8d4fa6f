/**
 * Histories of concurrent operations: who called what when, and what came back when. Written by whatever runs a
 * workload, read by the linearisability checker.
 */

/** One call on one object. Inputs and outputs are plain data of the object's specification. */
export interface Operation<Input, Output> {
  /** Who called. The operations of one process follow each other. */
  readonly process: number;
  readonly object: string;
  readonly input: Input;
  /** Undefined when the call never returned. */
  readonly output: Output | undefined;
  /** Any clock, the same for all processes. */
  readonly calledAt: number;
  /** Infinity when the call never returned (its process was killed, its kernel died): it may have had its effect. */
  readonly returnedAt: number;
}

/** True for operations that never returned. */
export function isPending(operation: Operation<unknown, unknown>): boolean {
  return operation.returnedAt === Number.POSITIVE_INFINITY;
}

interface Entry<Input, Output> {
  readonly process: number;
  readonly object: string;
  readonly input: Input;
  readonly calledAt: number;
  output: Output | undefined;
  returnedAt: number;
}

/** Collects operations as they happen. */
export class History<Input, Output> {
  readonly #entries: Entry<Input, Output>[] = [];

  /** Notes a call; the number is to be given to `end`. */
  begin(process: number, object: string, input: Input, calledAt: number): number {
    const returnedAt = Number.POSITIVE_INFINITY;
    return this.#entries.push({ process, object, input, calledAt, output: undefined, returnedAt }) - 1;
  }

  /** Notes the answer. @throws RangeError for a call that does not exist, has returned, or returns before it began. */
  end(call: number, output: Output, returnedAt: number): void {
    const entry = this.#entries[call];
    if (entry === undefined || entry.returnedAt !== Number.POSITIVE_INFINITY) {
      throw new RangeError(`call ${call} is not under way`);
    }
    if (!(returnedAt >= entry.calledAt)) throw new RangeError(`call ${call} returns before it began`);
    entry.output = output;
    entry.returnedAt = returnedAt;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** All operations in the order in which they were called. */
  operations(): Operation<Input, Output>[] {
    const operations: Operation<Input, Output>[] = this.#entries.map((entry) => ({ ...entry }));
    // Sorting keeps the order of what is equal.
    return operations.sort((a, b) => a.calledAt - b.calledAt);
  }
}

/** Operations by object: each object can be checked on its own. */
export function byObject<Input, Output>(
  operations: readonly Operation<Input, Output>[],
): Map<string, Operation<Input, Output>[]> {
  const found = new Map<string, Operation<Input, Output>[]>();
  for (const operation of operations) {
    const own = found.get(operation.object);
    if (own === undefined) found.set(operation.object, [operation]);
    else own.push(operation);
  }
  return found;
}
