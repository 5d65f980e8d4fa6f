/**
 * Mutex words. A lock word holds its owner's number, and in the sign bit whether somebody sleeps on
 * it: 0 is free, `owner` is held, `owner | sign bit` is held with sleepers. The owner is any positive
 * number below 2^31 that names the thread of execution (a core id + 1, say); because the word says who
 * holds it, a survivor can release the locks of a core that died.
 *
 * Lock words are always in the byte order of the machine, whatever the area's format.
 *
 * The uncontended paths (one compare-and-swap to acquire, one load and one more to release) are
 * inlined in generated accessors; what lives here is everything else.
 */
import { LockError } from "./errors.ts";
import type { MemoryGuard } from "./guard.ts";
import type { Waiting } from "./waiting.ts";

type LockCells = Int32Array<ArrayBufferLike>;

const sleepersBit = -0x80000000;
const ownerMask = 0x7fffffff;
/** A sleeper looks for itself at least this often, so that a lost wake-up (a dead peer's) only costs time. */
const sleepSliceMs = 20;

/** The number of the holder, 0 when free. */
export function lockOwner(cells: LockCells, index: number): number {
  return Atomics.load(cells, index) & ownerMask;
}

/** Refuses an owner number that a lock word cannot hold. `where` names the lock. */
function requireOwner(owner: number, where: string): void {
  if (!Number.isInteger(owner) || owner < 1 || owner > ownerMask) {
    throw new LockError(
      `${where}: owner ${owner} must be a positive integer below 2^31, for example core id + 1`,
    );
  }
}

/**
 * Acquires a lock, waiting as long as it takes. The first attempt may already have been made, and the word has been
 * announced to the guard; since other cores run while this one waits, every later look at it is announced anew.
 */
export function acquireLock(
  cells: LockCells,
  index: number,
  owner: number,
  waiting: Waiting,
  where: string,
  guard?: MemoryGuard,
): void {
  requireOwner(owner, where);
  const offset = cells.byteOffset + 4 * index;
  if (lockOwner(cells, index) === owner) {
    throw new LockError(`${where}: owner ${owner} already holds this lock; a lock cannot be acquired twice`);
  }
  let attempt = 0;
  for (;;) {
    const word = Atomics.load(cells, index);
    if ((word & ownerMask) === 0 && Atomics.compareExchange(cells, index, word, word | owner) === word)
      return;
    if (!waiting.spin(attempt++)) break;
    guard?.access(offset, 4, true);
  }
  // From here on whoever gets the lock keeps the sleepers bit: others may still be asleep, and the
  // release that cleared it woke only one.
  for (;;) {
    guard?.access(offset, 4, true);
    const word = Atomics.load(cells, index);
    if ((word & ownerMask) === 0) {
      if (Atomics.compareExchange(cells, index, word, owner | sleepersBit) === word) return;
    } else if (word < 0 || Atomics.compareExchange(cells, index, word, word | sleepersBit) === word) {
      waiting.wait(cells, index, word | sleepersBit, sleepSliceMs);
    }
  }
}

/** Acquires a lock if it is free; false if somebody else holds it. */
export function tryAcquireLock(cells: LockCells, index: number, owner: number, where: string): boolean {
  requireOwner(owner, where);
  const word = Atomics.compareExchange(cells, index, 0, owner);
  if (word === 0) return true;
  if ((word & ownerMask) === owner) {
    throw new LockError(`${where}: owner ${owner} already holds this lock; a lock cannot be acquired twice`);
  }
  return false;
}

/**
 * Releases a lock and wakes one sleeper. `owner` must be its holder; a survivor passes a dead holder's number.
 * Of several survivors that do, one succeeds; the others get the LockError of a lock that `owner` does not hold.
 */
export function releaseLock(
  cells: LockCells,
  index: number,
  owner: number,
  waiting: Waiting,
  where: string,
): void {
  requireOwner(owner, where);
  for (;;) {
    const word = Atomics.load(cells, index);
    const holder = word & ownerMask;
    if (holder !== owner) {
      throw new LockError(
        holder === 0
          ? `${where}: released by owner ${owner}, but nobody holds it`
          : `${where}: released by owner ${owner}, but owner ${holder} holds it`,
      );
    }
    // Not an exchange: since the load another survivor may have released it, and somebody else acquired it.
    if (Atomics.compareExchange(cells, index, word, 0) !== word) continue;
    if (word < 0) waiting.notify(cells, index, 1);
    return;
  }
}
