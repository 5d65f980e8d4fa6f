/**
 * Pools: records of an area, allocated and freed one by one by any thread. The bookkeeping lies in two
 * areas beside the records: `NAME.pool` (a lock, the head of the free list, counts) and `NAME.slots`
 * (one word per record). A slot's word is the next free index, or for a record in use its owner's
 * number with the top bit set, so that a survivor can tell, and take back, what a dead owner had.
 *
 * Record 0 exists but is never handed out: 0 means "none" in every list and pointer.
 */
import type { Accessor, Area } from "./accessor.ts";
import { AttachError, PoolError } from "./errors.ts";
import { struct } from "./struct.ts";
import type { AttachOptions, CreateOptions, TypedMemory } from "./typed-memory.ts";
import { type Fields, lock, type StructType, u32 } from "./types.ts";

const PoolControl = struct("PoolControl", {
  mutex: lock(),
  /** First free index, 0 when all are in use. */
  head: u32,
  used: u32,
  capacity: u32,
});

const PoolSlot = struct("PoolSlot", { word: u32 });

const inUse = 0x80000000;
const ownerMask = 0x7fffffff;

export class Pool<F extends Fields> {
  /** Accessor of the records; index 0 is never handed out. */
  readonly records: Area<F>;
  /** How many records can be in use at once. */
  readonly capacity: number;
  readonly #name: string;
  readonly #control: Accessor<(typeof PoolControl)["fields"]>;
  readonly #slots: Accessor<(typeof PoolSlot)["fields"]>;

  private constructor(memory: TypedMemory, name: string, records: Area<F>) {
    this.#name = name;
    this.records = records;
    this.#control = memory.attachArea(`${name}.pool`, PoolControl, { checked: false });
    this.#slots = memory.attachArea(`${name}.slots`, PoolSlot, { checked: false });
    this.capacity = this.#control.capacity(0);
  }

  /** Use `memory.createPool`. */
  static create<F extends Fields>(
    memory: TypedMemory,
    name: string,
    struct: StructType<F>,
    options: CreateOptions,
  ): Pool<F> {
    const capacity = options.count;
    // The records come last: whoever finds them finds a pool that is complete.
    const records = createAll(memory, [`${name}.slots`, `${name}.pool`], () => {
      const slots = memory.create(`${name}.slots`, PoolSlot, { count: capacity + 1 });
      for (let index = 1; index < capacity; index++) slots.setWord(index, index + 1);
      const control = memory.create(`${name}.pool`, PoolControl, { count: 1 });
      control.setCapacity(0, capacity);
      control.setHead(0, 1);
      return memory.create(name, struct, { ...options, count: capacity + 1 });
    });
    return new Pool(memory, name, records);
  }

  /** Use `memory.attachPool`. */
  static attach<F extends Fields>(
    memory: TypedMemory,
    name: string,
    struct: StructType<F>,
    options: AttachOptions,
  ): Pool<F> {
    const records = memory.attachArea(name, struct, options);
    if (memory.lookup(`${name}.pool`) === undefined) {
      throw new AttachError(`area ${name} is not a pool; use attachArea`);
    }
    return new Pool(memory, name, records);
  }

  /** Use `memory.removePool`. */
  static remove(memory: TypedMemory, name: string): void {
    memory.remove(name);
    memory.remove(`${name}.pool`);
    memory.remove(`${name}.slots`);
  }

  /**
   * Takes a record for `owner` (a positive number below 2^31 that names the thread, unique among those
   * that use the pool at once) and returns its index, or -1 when all are in use. What the record holds
   * is what its last user left.
   */
  allocate(owner: number): number {
    const control = this.#control;
    control.acquireMutex(0, owner);
    const index = control.head(0);
    if (index === 0) {
      control.releaseMutex(0, owner);
      return -1;
    }
    const next = this.#slots.word(index);
    // The slot is marked before the head moves: whoever finds this half done can complete it.
    this.#slots.setWord(index, inUse | owner);
    control.setHead(0, next);
    control.setUsed(0, control.used(0) + 1);
    control.releaseMutex(0, owner);
    return index;
  }

  /**
   * Gives a record back. Anybody may free it, not only the owner it was allocated for.
   * @throws PoolError for an index that is not in use.
   */
  free(index: number, owner: number): void {
    if (!Number.isInteger(index) || index < 1 || index > this.capacity) {
      throw new PoolError(
        `pool ${this.#name}: ${index} is not an index that it hands out (1 to ${this.capacity})`,
      );
    }
    const control = this.#control;
    control.acquireMutex(0, owner);
    const inUseNow = this.#slots.word(index) >= inUse;
    if (inUseNow) {
      this.#slots.setWord(index, control.head(0));
      control.setHead(0, index);
      control.setUsed(0, control.used(0) - 1);
    }
    control.releaseMutex(0, owner);
    if (!inUseNow)
      throw new PoolError(`pool ${this.#name}: record ${index} is freed twice, it is not in use`);
  }

  /** How many records are in use. */
  used(): number {
    return this.#control.used(0);
  }

  /** The owner a record was allocated for, 0 when it is free. */
  ownerOf(index: number): number {
    if (!Number.isInteger(index) || index < 1 || index > this.capacity) return 0;
    const word = this.#slots.word(index);
    return word >= inUse ? word & ownerMask : 0;
  }

  /**
   * Cleans up behind an owner that died: completes or undoes what it was doing inside the pool and
   * frees its lock. Its records stay allocated; the indices are returned, so that the caller can close
   * what they stand for and free them.
   */
  recover(deadOwner: number): number[] {
    const control = this.#control;
    if (control.ownerOfMutex(0) === deadOwner) {
      // It died inside. The slots alone say what is in use: build the list and the count anew.
      let head = 0;
      let used = 0;
      for (let index = this.capacity; index >= 1; index--) {
        if (this.#slots.word(index) >= inUse) {
          used++;
        } else {
          this.#slots.setWord(index, head);
          head = index;
        }
      }
      control.setHead(0, head);
      control.setUsed(0, used);
      control.releaseMutex(0, deadOwner);
    }
    const held: number[] = [];
    for (let index = 1; index <= this.capacity; index++) {
      if (this.ownerOf(index) === deadOwner) held.push(index);
    }
    return held;
  }
}

/** Creates areas with `create`; when it fails half-way, those of `names` that did not exist before are removed. */
function createAll<Result>(memory: TypedMemory, names: readonly string[], create: () => Result): Result {
  const fresh = names.filter((name) => memory.lookup(name) === undefined);
  try {
    return create();
  } catch (error) {
    for (const name of fresh) if (memory.lookup(name) !== undefined) memory.remove(name);
    throw error;
  }
}
