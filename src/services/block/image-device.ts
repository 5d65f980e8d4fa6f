/**
 * A block device that caches an image file (a `Disk`) in the island's memory.
 *
 * The memory range is as large as the disk. A page of 4 KiB is read on the first touch of any kernel and then
 * stays; changed pages are written back by `flush`. Which pages are valid and which are changed is kept in a
 * typed area that all kernels share, one record per *cluster* of 32 pages: two words of bits and a lock that
 * serialises filling. Filling reads a whole cluster, so a first sequential read makes one disk request per
 * 128 KiB.
 *
 * Why `changed` must follow the change: `flush` clears the bit, then writes the page. A change that lands
 * between those two steps is either in what is written or sets the bit again; were the bit set before the
 * change, `flush` could write the old bytes and the bit would be gone. A kernel that dies between a change
 * and its `changed` only leaves the page's older content on the disk.
 */
import { errno } from "../../kernel/errno.ts";
import type { Disk } from "../../machine/devices.ts";
import {
  type Area,
  atomic,
  guardedPage_bytes,
  lock,
  type MemoryGuard,
  struct,
  type TypedMemory,
  u32,
} from "../../memory/index.ts";
import type { BlockDevice } from "./block-device.ts";
import { requireRange } from "./ramdisk.ts";

/** State of 32 consecutive pages: bit n of a word is page n of the cluster. */
const DiskCluster = struct("DiskCluster", {
  fill: lock(),
  valid: atomic(u32),
  changed: atomic(u32),
});

const pageSize_bytes = 4096;
const pagesPerCluster = 32;
/** One request to the disk writes at most this much, so that a huge flush stays interruptible by errors. */
const writeMax_pages = 1024;

export interface ImageDeviceOptions {
  /** Where the shared page state lives, under the name `disk.<name>`. */
  readonly memory: TypedMemory;
  readonly name: string;
  /** The memory that holds the cached bytes, and where in it; `disk.size_bytes` long. */
  readonly buffer: SharedArrayBuffer;
  readonly base: number;
  /** The guard of that memory, if it has one. */
  readonly guard?: MemoryGuard;
  readonly disk: Disk;
  /** This kernel's lock owner number. */
  readonly owner: number;
}

export class ImageDevice implements BlockDevice {
  readonly buffer: SharedArrayBuffer;
  readonly base: number;
  readonly guard: MemoryGuard | undefined;
  readonly size_bytes: number;
  readonly readOnly: boolean;
  readonly resident = false;

  readonly #disk: Disk;
  readonly #clusters: Area<(typeof DiskCluster)["fields"]>;
  readonly #owner: number;
  /** The device's bytes. */
  readonly #bytes: Uint8Array;
  readonly #pageCount: number;

  private constructor(options: ImageDeviceOptions, clusters: Area<(typeof DiskCluster)["fields"]>) {
    requireRange(`disk ${options.name}`, options.buffer, options.base, options.disk.size_bytes);
    this.buffer = options.buffer;
    this.base = options.base;
    this.guard = options.guard;
    this.size_bytes = options.disk.size_bytes;
    this.readOnly = options.disk.readOnly;
    this.#disk = options.disk;
    this.#clusters = clusters;
    this.#owner = options.owner;
    this.#bytes = new Uint8Array(options.buffer, options.base, this.size_bytes);
    this.#pageCount = Math.ceil(this.size_bytes / pageSize_bytes);
  }

  /** Sets up the shared page state; no page is present yet. The first kernel calls this. */
  static create(options: ImageDeviceOptions): ImageDevice {
    const count = Math.ceil(options.disk.size_bytes / (pageSize_bytes * pagesPerCluster));
    return new ImageDevice(options, options.memory.create(areaName(options.name), DiskCluster, { count }));
  }

  /** Joins a device that another kernel created; all options but `owner` and the `disk` object are the same. */
  static attach(options: ImageDeviceOptions): ImageDevice {
    return new ImageDevice(options, options.memory.attachArea(areaName(options.name), DiskCluster));
  }

  /** Gives the shared page state back. Nobody may use the device any more; changes not flushed are lost. */
  static remove(memory: TypedMemory, name: string): void {
    memory.remove(areaName(name));
  }

  load(offset: number, length: number): number {
    if (length <= 0) return 0;
    const lastPage = pageOf(offset + length - 1);
    for (let page = pageOf(offset); page <= lastPage; page = nextCluster(page)) {
      const cluster = page >>> 5;
      const wanted = bitsBetween(page & 31, lastPage - (page & ~31));
      if ((this.#clusters.valid(cluster) & wanted) >>> 0 === wanted) continue;
      const result = this.#fill(cluster, 0);
      if (result < 0) return result;
    }
    return 0;
  }

  claim(offset: number, length: number): number {
    if (length <= 0) return 0;
    const end = offset + length;
    const lastPage = pageOf(end - 1);
    for (let page = pageOf(offset); page <= lastPage; page = nextCluster(page)) {
      const cluster = page >>> 5;
      const clusterPage = page & ~31;
      const wanted = bitsBetween(page & 31, lastPage - clusterPage);
      if ((this.#clusters.valid(cluster) & wanted) >>> 0 === wanted) continue;
      // Pages that are overwritten only in part must be read; they can only be the first and the last one.
      let whole = wanted;
      if (offset > page * pageSize_bytes) whole &= ~bit(page & 31);
      const endsInside =
        lastPage >>> 5 === cluster && end < Math.min((lastPage + 1) * pageSize_bytes, this.size_bytes);
      if (endsInside) whole &= ~bit(lastPage & 31);
      const result = this.#fill(cluster, whole >>> 0, wanted);
      if (result < 0) return result;
    }
    return 0;
  }

  changed(offset: number, length: number): void {
    if (length <= 0) return;
    const lastPage = pageOf(offset + length - 1);
    for (let page = pageOf(offset); page <= lastPage; page = nextCluster(page)) {
      const bits = bitsBetween(page & 31, lastPage - (page & ~31));
      // Reading first keeps the cache line shared while a page is changed again and again.
      if ((this.#clusters.changed(page >>> 5) & bits) >>> 0 !== bits)
        this.#clusters.orChanged(page >>> 5, bits);
    }
  }

  flush(): number {
    if (this.readOnly) return 0;
    let result = 0;
    const clusterCount = Math.ceil(this.#pageCount / pagesPerCluster);
    let runStart = 0;
    let runPages = 0;
    for (let cluster = 0; cluster < clusterCount; cluster++) {
      if (this.#clusters.changed(cluster) === 0) continue;
      const bits = this.#clusters.exchangeChanged(cluster, 0);
      for (let index = 0; index < pagesPerCluster; index++) {
        if ((bits & bit(index)) === 0) continue;
        const page = cluster * pagesPerCluster + index;
        if (page !== runStart + runPages || runPages === writeMax_pages) {
          result = Math.min(result, this.#writeBack(runStart, runPages));
          runStart = page;
          runPages = 0;
        }
        runPages++;
      }
    }
    result = Math.min(result, this.#writeBack(runStart, runPages));
    const durable = this.#disk.flush();
    return result < 0 ? result : durable;
  }

  /** Pages that wait to be written back; for statistics and tests. */
  changedPages(): number {
    let pages = 0;
    for (let cluster = 0; cluster * pagesPerCluster < this.#pageCount; cluster++) {
      for (let bits = this.#clusters.changed(cluster); bits !== 0; bits &= bits - 1) pages++;
    }
    return pages;
  }

  /**
   * Makes pages of a cluster valid under its fill lock. Pages in `claimed` become valid without being read,
   * and then only the other pages in `wanted` are read; with nothing claimed the whole cluster is.
   */
  #fill(cluster: number, claimed: number, wanted = 0xffffffff): number {
    const clusters = this.#clusters;
    clusters.acquireFill(cluster, this.#owner);
    try {
      const clusterPages = Math.min(pagesPerCluster, this.#pageCount - cluster * pagesPerCluster);
      const present = clusters.valid(cluster);
      const missing = wanted & ~claimed & ~present & bitsBetween(0, clusterPages - 1);
      for (let index = 0; index < clusterPages; ) {
        if ((missing & bit(index)) === 0) {
          index++;
          continue;
        }
        let end = index + 1;
        while (end < clusterPages && (missing & bit(end)) !== 0) end++;
        const result = this.#read(cluster * pagesPerCluster + index, end - index);
        if (result < 0) return result;
        index = end;
      }
      clusters.orValid(cluster, (missing | claimed) >>> 0);
      return 0;
    } finally {
      clusters.releaseFill(cluster, this.#owner);
    }
  }

  /** Announces that bytes will be moved; how many of them may be at once: with a guard, those in the first page. */
  #announce(offset: number, length: number, write: boolean): number {
    if (this.guard === undefined) return length;
    const start = this.base + offset;
    const piece = Math.min(length, guardedPage_bytes - (start % guardedPage_bytes));
    this.guard.access(start, piece, write);
    return piece;
  }

  #read(page: number, pages: number): number {
    const position = page * pageSize_bytes;
    const end = Math.min(position + pages * pageSize_bytes, this.size_bytes);
    for (let at = position; at < end; ) {
      const count = this.#disk.read(this.#bytes, at, this.#announce(at, end - at, true), at);
      if (count < 0) return count;
      // A disk that became shorter than it said it was.
      if (count === 0) return -errno.IO;
      at += count;
    }
    return 0;
  }

  #writeBack(page: number, pages: number): number {
    const position = page * pageSize_bytes;
    const end = Math.min(position + pages * pageSize_bytes, this.size_bytes);
    for (let at = position; at < end; ) {
      const count = this.#disk.write(this.#bytes, at, this.#announce(at, end - at, false), at);
      if (count <= 0) {
        this.changed(at, end - at);
        return count === 0 ? -errno.IO : count;
      }
      at += count;
    }
    return 0;
  }
}

function areaName(name: string): string {
  return `disk.${name}`;
}

/** The page that holds a byte. No shift: offsets may exceed 32 bits. */
function pageOf(offset: number): number {
  return Math.floor(offset / pageSize_bytes);
}

/** The first page of the cluster after the one that holds `page`. */
function nextCluster(page: number): number {
  return ((page >>> 5) + 1) * pagesPerCluster;
}

function bit(index: number): number {
  return (1 << index) >>> 0;
}

/** Bits `first` to `last`, both included; `last` may lie beyond the word. */
function bitsBetween(first: number, last: number): number {
  const upTo = last >= 31 ? 0xffffffff : (1 << (last + 1)) - 1;
  return (upTo & ~((1 << first) - 1)) >>> 0;
}
