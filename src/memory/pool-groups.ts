/**
 * How the records of a pool are split into groups: each has whole pages of records and whole pages of slots to itself.
 * An ordinary pool is one group, and its records lie as close as those of any area.
 */
import { guardedPage_bytes } from "./guard.ts";

const slot_bytes = 4;

export class PoolGroups {
  readonly count: number;
  /** First record of each group, and behind them one past the last record. Record 0 is counted but never handed out. */
  readonly #firsts: readonly number[];
  /** Slots from the first of one group to the first of the next. */
  readonly #slotSpan: number;

  /** @param capacity records that are handed out @param stride bytes between records */
  constructor(capacity: number, stride: number, count: number) {
    this.count = count;
    const recordsPerPage = Math.max(1, Math.floor(guardedPage_bytes / stride));
    const pages = Math.ceil((capacity + 1) / recordsPerPage);
    const firsts = Array.from({ length: count + 1 }, (_, group) =>
      Math.min(Math.floor((pages * group) / count) * recordsPerPage, capacity + 1),
    );
    firsts[count] = capacity + 1;
    this.#firsts = firsts;
    const longest = Math.max(...firsts.slice(1).map((end, group) => end - firsts[group]));
    this.#slotSpan = roundUp(longest, guardedPage_bytes / slot_bytes);
  }

  /** Slots that there must be room for, those between groups included. */
  get slots(): number {
    return this.count * this.#slotSpan;
  }

  /** The group that a record belongs to. */
  groupOf(index: number): number {
    let group = 0;
    while (index >= this.#firsts[group + 1]) group++;
    return group;
  }

  /** The slot of a record. */
  slotOf(index: number): number {
    if (this.count === 1) return index;
    const group = this.groupOf(index);
    return group * this.#slotSpan + index - this.#firsts[group];
  }

  /** First record of a group that is handed out. It is behind the group's last one if the group is empty. */
  first(group: number): number {
    return Math.max(this.#firsts[group], 1);
  }

  /** Last record of a group. */
  last(group: number): number {
    return this.#firsts[group + 1] - 1;
  }
}

/**
 * Bytes between the records of a pool with groups: no record crosses a page, and there are pages for all groups if there
 * are records for them.
 */
export function groupedStride(size: number, capacity: number, groups: number): number {
  if (size > guardedPage_bytes) return roundUp(size, guardedPage_bytes);
  let stride = 2 ** Math.ceil(Math.log2(size));
  while (stride < guardedPage_bytes && (capacity + 1) * stride <= (groups - 1) * guardedPage_bytes)
    stride *= 2;
  return stride;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
