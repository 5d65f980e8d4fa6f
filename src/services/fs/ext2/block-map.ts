/**
 * From a file's blocks to the device's: direct pointers, then single, double and triple indirect blocks.
 *
 * Pointers lie in the inode and in indirect blocks, as arrays; a *slot* is the address of one pointer. Lookups
 * leave their answers in fields of this object (`physical`, `length`), so that the hot paths allocate nothing.
 * The caller holds the inode's lock for everything here.
 *
 * Order of writes, so that a kernel that dies in between only leaks blocks: blocks are allocated, then filled,
 * then pointed to (`reserve`, the caller's copying, `commit`); and pointers are erased before blocks are freed.
 */
import { layoutOf } from "../../../memory/index.ts";
import type { Allocator } from "./allocator.ts";
import { directBlocks, Inode } from "./layout.ts";
import type { Volume } from "./volume.ts";

const inodeLayout = layoutOf(Inode, "ilp32");
/** Where the array of pointers starts in an inode. */
export const pointersOffset_bytes = inodeLayout.fields.find((field) => field.name === "block")?.offset ?? 0;
const pointer_bytes = 4;

/** A file is expected to grow by this many blocks when it is shorter, or longer, than `largeFile_blocks`. */
const expectedShort_blocks = 8;
const expectedLong_blocks = 32;
const largeFile_blocks = 64;

export class BlockMap {
  /** First device block of the run that `find` or `reserve` returned last; 0 for a hole. */
  physical = 0;
  /** Blocks in that run. */
  length = 0;

  /** Number of file blocks that pointers can reach. */
  readonly blocks_max: number;

  readonly #volume: Volume;
  readonly #allocator: Allocator;
  /** Pointers per indirect block, as a power of two. */
  readonly #shift: number;
  /** Answer of `#locate`: the slot of a pointer, or 0 where the indirect block is missing. */
  #slot = 0;
  /** File blocks from there on that the same array of pointers (or the same missing subtree) covers. */
  #slots = 0;
  /** Blocks collected by `truncate` that will be freed together. */
  #freeFirst = 0;
  #freeCount = 0;
  #freedTotal = 0;

  constructor(volume: Volume, allocator: Allocator) {
    this.#volume = volume;
    this.#allocator = allocator;
    this.#shift = 31 - Math.clz32(volume.blockSize_bytes / pointer_bytes);
    const pointers = 2 ** this.#shift;
    this.blocks_max = Math.min(directBlocks + pointers + pointers ** 2 + pointers ** 3, 2 ** 31 - 1);
  }

  /**
   * Finds the run of up to `wanted` blocks that starts at file block `logical`: contiguous on the device, or all
   * of it a hole. It may end early where an array of pointers ends.
   * @throws VolumeFailure for a pointer that cannot be.
   */
  find(inodeAddress: number, logical: number, wanted: number): void {
    this.#locate(inodeAddress, logical);
    const most = Math.min(this.#slots, wanted);
    const slot = this.#slot;
    if (slot === 0) {
      this.physical = 0;
      this.length = most;
      return;
    }
    const words = this.#volume.words;
    const first = words.value(slot);
    const step = first === 0 ? 0 : 1;
    let length = 1;
    while (length < most && words.value(slot + length * pointer_bytes) === first + length * step) length++;
    if (first !== 0 && !(this.#volume.isDataBlock(first) && this.#volume.isDataBlock(first + length - 1))) {
      this.#volume.damaged(`file block ${logical} is at block ${first}, which is out of range`);
    }
    this.physical = first;
    this.length = length;
  }

  /**
   * Allocates a run for up to `wanted` blocks of the hole at file block `logical`, with the indirect blocks to
   * reach it. The run is the caller's to fill; nothing points to it before `commit`.
   * @returns false when the device is full.
   */
  reserve(inodeAddress: number, inode: number, logical: number, wanted: number): boolean {
    const goal = this.#goal(inodeAddress, inode, logical);
    const dataGoal = this.#reach(inodeAddress, logical, goal);
    if (dataGoal < 0) return false;
    const words = this.#volume.words;
    const most = Math.min(this.#slots, wanted);
    let holes = 1;
    while (holes < most && words.value(this.#slot + holes * pointer_bytes) === 0) holes++;
    const usual = logical < largeFile_blocks ? expectedShort_blocks : expectedLong_blocks;
    const first = this.#allocator.allocateBlocks(dataGoal, holes, Math.max(holes, usual));
    if (first === 0) return false;
    this.physical = first;
    this.length = this.#allocator.runLength;
    return true;
  }

  /** Points the file at the run of the last `reserve`. */
  commit(inodeAddress: number): void {
    const words = this.#volume.words;
    for (let i = 0; i < this.length; i++) words.setValue(this.#slot + i * pointer_bytes, this.physical + i);
    this.#volume.changed(this.#slot, this.length * pointer_bytes);
    this.#addSectors(inodeAddress, this.length);
  }

  /**
   * Frees all blocks from file block `first` on, and the indirect blocks that only led to them.
   * The caller has made the size smaller, or is removing what a failed write left beyond the end.
   */
  truncate(inodeAddress: number, first: number): void {
    const words = this.#volume.words;
    const pointers = inodeAddress + pointersOffset_bytes;
    this.#freedTotal = 0;
    this.#freeCount = 0;
    for (let index = first; index < directBlocks; index++) {
      const block = words.value(pointers + index * pointer_bytes);
      if (block === 0) continue;
      words.setValue(pointers + index * pointer_bytes, 0);
      this.#volume.inodeChanged(inodeAddress);
      this.#collect(block);
    }
    let start = directBlocks;
    for (let level = 1; level <= 3; level++) {
      const slot = pointers + (directBlocks + level - 1) * pointer_bytes;
      const root = words.value(slot);
      const span = 2 ** (this.#shift * level);
      if (root !== 0 && first <= start) {
        words.setValue(slot, 0);
        this.#volume.inodeChanged(inodeAddress);
        this.#freeTree(root, level);
      } else if (root !== 0 && first < start + span) {
        this.#trimTree(root, level, first - start);
      }
      start += span;
    }
    this.#freeCollected();
    if (this.#freedTotal > 0) this.#addSectors(inodeAddress, -this.#freedTotal);
  }

  /** Finds the slot of a file block. */
  #locate(inodeAddress: number, logical: number): void {
    const pointers = inodeAddress + pointersOffset_bytes;
    if (logical < directBlocks) {
      this.#slot = pointers + logical * pointer_bytes;
      this.#slots = directBlocks - logical;
      return;
    }
    let rest = logical - directBlocks;
    let level = 1;
    let span = 2 ** this.#shift;
    while (rest >= span) {
      rest -= span;
      span *= 2 ** this.#shift;
      level++;
    }
    const words = this.#volume.words;
    let block = words.value(pointers + (directBlocks + level - 1) * pointer_bytes);
    for (;;) {
      if (block === 0) {
        this.#slot = 0;
        this.#slots = span - rest;
        return;
      }
      const table = this.#volume.blockAddress(block);
      const shift = this.#shift * (level - 1);
      const index = rest >>> shift;
      const slot = table + index * pointer_bytes;
      if (level === 1) {
        this.#slot = slot;
        this.#slots = span - rest;
        return;
      }
      block = words.value(slot);
      span = 1 << shift;
      rest -= index * span;
      level--;
    }
  }

  /**
   * As `#locate`, but allocates the indirect blocks that are missing on the way (all zeros, then linked).
   * @returns the goal for the data that follows, or −1 when the device is full.
   */
  #reach(inodeAddress: number, logical: number, goal: number): number {
    this.#locate(inodeAddress, logical);
    if (this.#slot !== 0) return goal;
    const words = this.#volume.words;
    let rest = logical - directBlocks;
    let level = 1;
    while (rest >= 2 ** (this.#shift * level)) rest -= 2 ** (this.#shift * level++);
    let slot = inodeAddress + pointersOffset_bytes + (directBlocks + level - 1) * pointer_bytes;
    let next = goal;
    for (; level >= 1; level--) {
      let block = words.value(slot);
      if (block === 0) {
        block = this.#allocator.allocateBlocks(next, 1, expectedShort_blocks);
        if (block === 0) return -1;
        next = block + 1;
        this.#clearBlock(block);
        words.setValue(slot, block);
        this.#volume.changed(slot, pointer_bytes);
        this.#addSectors(inodeAddress, 1);
      }
      const shift = this.#shift * (level - 1);
      const index = rest >>> shift;
      slot = this.#volume.blockAddress(block) + index * pointer_bytes;
      rest -= index * 2 ** shift;
    }
    this.#locate(inodeAddress, logical);
    return next;
  }

  #clearBlock(block: number): void {
    const { blockSize_bytes } = this.#volume;
    const address = block * blockSize_bytes;
    this.#volume.claim(address, blockSize_bytes);
    this.#volume.zero(address, blockSize_bytes);
    this.#volume.changed(address, blockSize_bytes);
  }

  /** Where the block should go: after the file's previous one, else into the group of its inode. */
  #goal(inodeAddress: number, inode: number, logical: number): number {
    if (logical > 0) {
      this.#locate(inodeAddress, logical - 1);
      const previous = this.#slot === 0 ? 0 : this.#volume.words.value(this.#slot);
      if (previous !== 0) return previous + 1;
    }
    return this.#allocator.firstGoal(inode);
  }

  #addSectors(inodeAddress: number, blocks: number): void {
    const { inodes, sectorsPerBlock } = this.#volume;
    inodes.setSectorsCount(inodeAddress, inodes.sectorsCount(inodeAddress) + blocks * sectorsPerBlock);
    this.#volume.inodeChanged(inodeAddress);
  }

  /** Frees an indirect block that nothing points to any more, and all below it. */
  #freeTree(block: number, level: number): void {
    const words = this.#volume.words;
    const table = this.#volume.blockAddress(block);
    const end = table + this.#volume.blockSize_bytes;
    for (let slot = table; slot < end; slot += pointer_bytes) {
      const child = words.value(slot);
      if (child === 0) continue;
      if (level === 1) this.#collect(child);
      else this.#freeTree(child, level - 1);
    }
    this.#collect(block);
  }

  /** Frees what an indirect block that stays leads to, from its `first`-th file block (more than 0) on. */
  #trimTree(block: number, level: number, first: number): void {
    const words = this.#volume.words;
    const table = this.#volume.blockAddress(block);
    const span = 2 ** (this.#shift * (level - 1));
    const inside = first % span;
    let slot = table + Math.floor(first / span) * pointer_bytes;
    if (inside !== 0) {
      const child = words.value(slot);
      if (child !== 0) this.#trimTree(child, level - 1, inside);
      slot += pointer_bytes;
    }
    const end = table + this.#volume.blockSize_bytes;
    for (; slot < end; slot += pointer_bytes) {
      const child = words.value(slot);
      if (child === 0) continue;
      words.setValue(slot, 0);
      this.#volume.changed(slot, pointer_bytes);
      if (level === 1) this.#collect(child);
      else this.#freeTree(child, level - 1);
    }
  }

  /** Adds a block to those to be freed; runs are freed in one go. */
  #collect(block: number): void {
    if (!this.#volume.isDataBlock(block)) this.#volume.damaged(`block ${block} to be freed is out of range`);
    this.#freedTotal++;
    if (this.#freeCount > 0 && block === this.#freeFirst + this.#freeCount) {
      this.#freeCount++;
      return;
    }
    this.#freeCollected();
    this.#freeFirst = block;
    this.#freeCount = 1;
  }

  #freeCollected(): void {
    if (this.#freeCount > 0) this.#allocator.freeBlocks(this.#freeFirst, this.#freeCount);
    this.#freeCount = 0;
  }
}
