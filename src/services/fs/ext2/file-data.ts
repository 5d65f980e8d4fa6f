/**
 * The bytes of regular files: reading, writing, truncating. The caller holds the inode's lock and has checked
 * offsets and lengths against its own arrays.
 */
import { errno } from "../../../kernel/errno.ts";
import type { BlockMap } from "./block-map.ts";
import type { Inodes } from "./inodes.ts";
import type { Volume } from "./volume.ts";

/** Sizes from here on need the superblock's `largeFile` feature. */
const largeFile_bytes = 2 ** 31;

export class FileData {
  readonly #volume: Volume;
  readonly #map: BlockMap;
  readonly #inodes: Inodes;
  /** Largest size of a file: what pointers can reach. */
  readonly #size_bytes_max: number;

  constructor(volume: Volume, map: BlockMap, inodes: Inodes) {
    this.#volume = volume;
    this.#map = map;
    this.#inodes = inodes;
    this.#size_bytes_max = map.blocks_max * volume.blockSize_bytes;
  }

  /** Bytes read; fewer than `length` only at the end of the file. Holes read as zeros. */
  read(address: number, target: Uint8Array, offset: number, length: number, position: number): number {
    // A damaged inode may claim any size; beyond the largest one there is nothing to look up.
    const size = Math.min(this.#inodes.size(address), this.#size_bytes_max);
    if (position >= size) return 0;
    const total = position + length > size ? size - position : length;
    const volume = this.#volume;
    const map = this.#map;
    const blockSize = volume.blockSize_bytes;
    for (let done = 0; done < total; ) {
      const at = position + done;
      const logical = (at * volume.blockSizeInverse) | 0;
      const inBlock = at - logical * blockSize;
      const left = total - done;
      map.find(address, logical, this.#blocksFor(inBlock + left));
      const run = map.length * blockSize - inBlock;
      const here = Math.min(run, left);
      if (map.physical === 0) {
        volume.zeroOut(target, offset + done, here);
      } else {
        const from = map.physical * blockSize + inBlock;
        if (!volume.resident) volume.load(from, here);
        volume.copyOut(from, here, target, offset + done);
      }
      done += here;
    }
    return total;
  }

  /**
   * Bytes written: all of them unless the device fills up or the file reaches its largest size; −ENOSPC or
   * −EFBIG if none could be. Sets size and times.
   */
  write(
    inode: number,
    address: number,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number {
    if (length === 0) return 0;
    const oldSize = this.#inodes.size(address);
    let total = length;
    if (position + length >= largeFile_bytes) {
      if (position >= this.#size_bytes_max) return -errno.FBIG;
      total = Math.min(length, this.#size_bytes_max - position);
      if (!this.#volume.noteLargeFile()) return -errno.FBIG;
    }
    if (position > oldSize) this.#zeroTail(address, oldSize, position);
    const done = this.#writeBlocks(inode, address, source, offset, total, position);
    if (position + done > oldSize && done > 0) this.#inodes.setSize(address, position + done);
    if (done < total) this.#map.truncate(address, this.#blocksFor(this.#inodes.size(address)));
    if (done === 0) return -errno.NOSPC;
    this.#inodes.modified(inode, address);
    return done;
  }

  /** As `write` at the end of the file, all or nothing; the new size, or −ENOSPC or −EFBIG. */
  append(inode: number, address: number, source: Uint8Array, offset: number, length: number): number {
    const oldSize = this.#inodes.size(address);
    const done = this.write(inode, address, source, offset, length, oldSize);
    if (done < 0) return done;
    if (done === length) return oldSize + length;
    this.#shrink(address, oldSize);
    return oldSize + done >= this.#size_bytes_max ? -errno.FBIG : -errno.NOSPC;
  }

  /** Sets the size; zero, or −EFBIG. */
  truncate(inode: number, address: number, size_bytes: number): number {
    if (size_bytes > this.#size_bytes_max) return -errno.FBIG;
    const oldSize = this.#inodes.size(address);
    if (size_bytes >= largeFile_bytes && !this.#volume.noteLargeFile()) return -errno.FBIG;
    if (size_bytes < oldSize) {
      this.#shrink(address, size_bytes);
    } else if (size_bytes > oldSize) {
      this.#zeroTail(address, oldSize, size_bytes);
      this.#inodes.setSize(address, size_bytes);
    }
    this.#inodes.modified(inode, address);
    return 0;
  }

  /** Puts bytes into a file, allocating blocks for holes; how many fitted. Leaves size and times. */
  #writeBlocks(
    inode: number,
    address: number,
    source: Uint8Array,
    offset: number,
    total: number,
    position: number,
  ): number {
    const volume = this.#volume;
    const map = this.#map;
    const blockSize = volume.blockSize_bytes;
    let done = 0;
    while (done < total) {
      const at = position + done;
      const logical = (at * volume.blockSizeInverse) | 0;
      const inBlock = at - logical * blockSize;
      const left = total - done;
      map.find(address, logical, this.#blocksFor(inBlock + left));
      const fresh = map.physical === 0;
      if (fresh && !map.reserve(address, inode, logical, map.length)) break;
      const run = map.length * blockSize - inBlock;
      const here = Math.min(run, left);
      const start = map.physical * blockSize;
      const to = start + inBlock;
      if (!volume.resident) volume.claim(fresh ? start : to, fresh ? map.length * blockSize : here);
      if (fresh) {
        // What the caller does not cover of the first and the last block must read as zeros.
        if (inBlock > 0) volume.zero(start, inBlock);
        if (here < run) volume.zero(to + here, run - here);
      }
      volume.copyIn(source, offset + done, here, to);
      if (!volume.resident) volume.changed(start, map.length * blockSize);
      if (fresh) map.commit(address);
      done += here;
    }
    return done;
  }

  /** Makes the size smaller: the size first, then the blocks behind it. */
  #shrink(address: number, size_bytes: number): void {
    this.#inodes.setSize(address, size_bytes);
    const blocks = this.#blocksFor(size_bytes);
    this.#map.truncate(address, blocks);
    this.#zeroTail(address, size_bytes, blocks * this.#volume.blockSize_bytes);
  }

  /** Zeros the bytes from the end of the file to `end`, as far as they lie in the end's own block. */
  #zeroTail(address: number, size_bytes: number, end: number): void {
    const volume = this.#volume;
    const blockSize = volume.blockSize_bytes;
    const logical = Math.floor(size_bytes * volume.blockSizeInverse);
    const inBlock = size_bytes - logical * blockSize;
    const length = Math.min(end - size_bytes, blockSize - inBlock);
    if (inBlock === 0 || length <= 0) return;
    this.#map.find(address, logical, 1);
    if (this.#map.physical === 0) return;
    const at = this.#map.physical * blockSize + inBlock;
    if (!volume.resident) volume.load(at, length);
    volume.zero(at, length);
    volume.changed(at, length);
  }

  /** Blocks needed for this many bytes. */
  #blocksFor(bytes: number): number {
    return Math.ceil(bytes * this.#volume.blockSizeInverse);
  }
}
