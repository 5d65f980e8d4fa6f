/**
 * Makes a failing list small: delta debugging (Zeller's ddmin) on the list, then simpler forms of its items, until
 * nothing more can be left out or the budget is used up.
 */

export interface ShrinkOptions<T> {
  /** How often `fails` may be called. Default 500. */
  readonly attempts_max?: number;
  /** Simpler forms of one item, the simplest first. They must not go round in circles. */
  readonly simplify?: (item: T) => Iterable<T>;
}

export interface ShrinkResult<T> {
  /** A list that fails. */
  readonly items: readonly T[];
  readonly attempts: number;
  /** True when no item can be left out (nor made simpler) alone; false when the budget ended it before. */
  readonly minimal: boolean;
}

const defaultAttempts_max = 500;

/**
 * Finds a small part of `items`, in the same order, for which `fails` is true. `fails` must answer the same for the
 * same list, and be true for `items` (which is not tried again).
 */
export async function shrink<T>(
  items: readonly T[],
  fails: (items: readonly T[]) => boolean | Promise<boolean>,
  options: ShrinkOptions<T> = {},
): Promise<ShrinkResult<T>> {
  const attempts_max = options.attempts_max ?? defaultAttempts_max;
  let attempts = 0;
  let current = items;
  /** Takes a smaller list if it fails. */
  const take = async (candidate: readonly T[]): Promise<boolean> => {
    if (attempts >= attempts_max) return false;
    attempts++;
    if (!(await fails(candidate))) return false;
    current = candidate;
    return true;
  };
  for (let before: readonly T[] | undefined; before !== current && attempts < attempts_max; ) {
    before = current;
    await leaveOut(() => current, take);
    if (options.simplify !== undefined) await simplifyItems(() => current, take, options.simplify);
  }
  return { items: current, attempts, minimal: attempts < attempts_max };
}

/** Leaves out pieces, from halves down to single items; after a success it goes on behind what was left out. */
async function leaveOut<T>(
  current: () => readonly T[],
  take: (candidate: readonly T[]) => Promise<boolean>,
): Promise<void> {
  for (let size = Math.ceil(current().length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    // From the end: later items depend on earlier ones more often than the other way round.
    for (let end = current().length; end > 0; end -= size) {
      const items = current();
      const start = Math.max(0, end - size);
      await take([...items.slice(0, start), ...items.slice(end)]);
    }
  }
}

async function simplifyItems<T>(
  current: () => readonly T[],
  take: (candidate: readonly T[]) => Promise<boolean>,
  simplify: (item: T) => Iterable<T>,
): Promise<void> {
  for (let index = 0; index < current().length; index++) {
    for (const simpler of simplify(current()[index])) {
      if (await take(current().with(index, simpler))) break;
    }
  }
}
