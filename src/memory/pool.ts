/**
 * Pools: records of an area, allocated and freed one by one by any thread. The bookkeeping lies in two
 * areas beside the records: `NAME.pool` (a lock, the head of the free list, counts) and `NAME.slots`
 * (one word per record). A slot's word is the next free index, or for a record in use its owner's
 * number with the top bit set, so that a survivor can tell, and take back, what a dead owner had.
 *
 * Record 0 exists but is never handed out: 0 means "none" in every list and pointer.
 *
 * A pool may be split into groups (`PoolOptions`): then each group has a lock, a free list and a count of its own, in a
 * record of `NAME.pool` that has a page to itself.
 */
import type { Accessor, Area } from "./accessor.ts";
import { describe } from "./binding.ts";
import { AreaError, AttachError, PoolError } from "./errors.ts";
import { guardedPage_bytes } from "./guard.ts";
import { layoutOf } from "./layout.ts";
import { groupedStride, PoolGroups } from "./pool-groups.ts";
import { struct } from "./struct.ts";
import type { AttachOptions, CreateOptions, PoolOptions, TypedMemory } from "./typed-memory.ts";
import { type Fields, lock, type StructType, u32 } from "./types.ts";

const PoolControl = struct("PoolControl", {
  mutex: lock(),
  /** First free index, 0 when all are in use. */
  head: u32,
  used: u32,
  /** Of the whole pool. */
  capacity: u32,
});

const PoolSlot = struct("PoolSlot", { word: u32 });

const inUse = 0x80000000;
const ownerMask = 0x7fffffff;
const groups_max = 1024;

export class Pool<F extends Fields> {
  /** Accessor of the records; index 0 is never handed out. */
  readonly records: Area<F>;
  /** How many records can be in use at once. */
  readonly capacity: number;
  readonly #name: string;
  readonly #groups: PoolGroups;
  /** Where this user allocates first. */
  readonly #group: number;
  readonly #control: Accessor<(typeof PoolControl)["fields"]>;
  readonly #slots: Accessor<(typeof PoolSlot)["fields"]>;

  private constructor(memory: TypedMemory, name: string, records: Area<F>) {
    this.#name = name;
    this.records = records;
    this.#control = memory.attachArea(`${name}.pool`, PoolControl, { checked: false });
    this.#slots = memory.attachArea(`${name}.slots`, PoolSlot, { checked: false });
    this.capacity = this.#control.capacity(0);
    this.#groups = new PoolGroups(this.capacity, records.area.stride, this.#control.area.count);
    this.#group = memory.poolGroup % this.#groups.count;
  }

  /** Use `memory.createPool`. */
  static create<F extends Fields>(
    memory: TypedMemory,
    name: string,
    struct: StructType<F>,
    options: PoolOptions,
  ): Pool<F> {
    const plan = planOf(name, struct, options);
    const { groups } = plan;
    // The records come last: whoever finds them finds a pool that is complete.
    const records = createAll(memory, [`${name}.slots`, `${name}.pool`], () => {
      const slots = memory.create(`${name}.slots`, PoolSlot, plan.slots);
      const control = memory.create(`${name}.pool`, PoolControl, plan.control);
      for (let group = 0; group < groups.count; group++) {
        const [first, last] = [groups.first(group), groups.last(group)];
        for (let index = first; index < last; index++) slots.setWord(groups.slotOf(index), index + 1);
        control.setCapacity(group, options.count);
        control.setHead(group, first > last ? 0 : first);
      }
      return memory.create(name, struct, plan.records);
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
   * is what its last user left. In a pool with groups, it is one of `group` unless all of those are in use.
   */
  allocate(owner: number, group = this.#group): number {
    const { count } = this.#groups;
    for (let step = 0; step < count; step++) {
      const index = this.#allocateIn((group + step) % count, owner);
      if (index > 0) return index;
    }
    return -1;
  }

  /** As `allocate`, of one group; 0 when all of it is in use. */
  #allocateIn(group: number, owner: number): number {
    const control = this.#control;
    control.acquireMutex(group, owner);
    const index = control.head(group);
    if (index === 0) {
      control.releaseMutex(group, owner);
      return 0;
    }
    const slot = this.#groups.slotOf(index);
    const next = this.#slots.word(slot);
    // The slot is marked before the head moves: whoever finds this half done can complete it.
    this.#slots.setWord(slot, inUse | owner);
    control.setHead(group, next);
    control.setUsed(group, control.used(group) + 1);
    control.releaseMutex(group, owner);
    return index;
  }

  /**
   * Gives a record back, to its group. Anybody may free it, not only the owner it was allocated for.
   * @throws PoolError for an index that is not in use.
   */
  free(index: number, owner: number): void {
    if (!Number.isInteger(index) || index < 1 || index > this.capacity) {
      throw new PoolError(
        `pool ${this.#name}: ${index} is not an index that it hands out (1 to ${this.capacity})`,
      );
    }
    const control = this.#control;
    const group = this.#groups.groupOf(index);
    const slot = this.#groups.slotOf(index);
    control.acquireMutex(group, owner);
    const inUseNow = this.#slots.word(slot) >= inUse;
    if (inUseNow) {
      this.#slots.setWord(slot, control.head(group));
      control.setHead(group, index);
      control.setUsed(group, control.used(group) - 1);
    }
    control.releaseMutex(group, owner);
    if (!inUseNow)
      throw new PoolError(`pool ${this.#name}: record ${index} is freed twice, it is not in use`);
  }

  /** Group that a record belongs to; 0 in a pool without groups. */
  groupOf(index: number): number {
    return this.#groups.groupOf(index);
  }

  /** How many records are in use. */
  used(): number {
    let used = 0;
    for (let group = 0; group < this.#groups.count; group++) used += this.#control.used(group);
    return used;
  }

  /** The owner a record was allocated for, 0 when it is free. */
  ownerOf(index: number): number {
    if (!Number.isInteger(index) || index < 1 || index > this.capacity) return 0;
    const word = this.#slots.word(this.#groups.slotOf(index));
    return word >= inUse ? word & ownerMask : 0;
  }

  /**
   * Cleans up behind an owner that died: completes or undoes what it was doing inside the pool and
   * frees its lock. Its records stay allocated; the indices are returned, so that the caller can close
   * what they stand for and free them.
   */
  recover(deadOwner: number): number[] {
    for (let group = 0; group < this.#groups.count; group++) {
      if (this.#control.ownerOfMutex(group) !== deadOwner) continue;
      this.#rebuild(group);
      this.#control.releaseMutex(group, deadOwner);
    }
    const held: number[] = [];
    for (let index = 1; index <= this.capacity; index++) {
      if (this.ownerOf(index) === deadOwner) held.push(index);
    }
    return held;
  }

  /** Somebody died inside a group. The slots alone say what is in use: makes the list and the count anew. */
  #rebuild(group: number): void {
    const groups = this.#groups;
    let head = 0;
    let used = 0;
    for (let index = groups.last(group); index >= groups.first(group); index--) {
      const slot = groups.slotOf(index);
      if (this.#slots.word(slot) >= inUse) {
        used++;
      } else {
        this.#slots.setWord(slot, head);
        head = index;
      }
    }
    this.#control.setHead(group, head);
    this.#control.setUsed(group, used);
  }
}

/** The three areas of a new pool, and its groups. */
interface Plan {
  readonly groups: PoolGroups;
  readonly records: CreateOptions;
  readonly slots: CreateOptions;
  readonly control: CreateOptions;
}

/** @throws AreaError for a number of groups that is none. */
function planOf(name: string, struct: StructType, options: PoolOptions): Plan {
  const { count: capacity, groups: groupCount } = options;
  const size = options.stride ?? layoutOf(struct, options.format ?? "lp64").size;
  if (groupCount === undefined) {
    const records = { ...options, count: capacity + 1 };
    const groups = new PoolGroups(capacity, size, 1);
    return { groups, records, slots: { count: capacity + 1 }, control: { count: 1 } };
  }
  if (!Number.isInteger(groupCount) || groupCount < 1 || groupCount > groups_max) {
    throw new AreaError(
      `${describe({ name, struct: struct.name })}: ${groupCount} groups; there can be 1 to ${groups_max}`,
    );
  }
  const stride = groupedStride(size, capacity, groupCount);
  const groups = new PoolGroups(capacity, stride, groupCount);
  const recordsPerPage = Math.max(1, guardedPage_bytes / stride);
  // Whole pages of each: what the directory puts behind an area must not share its last one.
  const count = Math.ceil((capacity + 1) / recordsPerPage) * recordsPerPage;
  const align = Math.max(options.align ?? 0, guardedPage_bytes);
  return {
    groups,
    records: { ...options, count, stride, align },
    slots: { count: groups.slots, align: guardedPage_bytes },
    control: { count: groupCount, stride: guardedPage_bytes, align: guardedPage_bytes },
  };
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
