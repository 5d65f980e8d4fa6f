/**
 * Allocation of blocks and inodes: bitmaps and counts, one block group at a time under that group's lock.
 *
 * Blocks are given out as runs. A run starts at the goal (the block after the file's previous one) when that
 * is free; otherwise where 32, or 8, or at last single blocks are free in a row, so that files that grow side
 * by side interleave in chunks and not block by block, without any reservation that could leak.
 *
 * A kernel that dies here has set or cleared bits without (or before) adjusting a count: blocks leak at worst,
 * because pointers are written after allocation and erased before freeing. `recount` puts counts right.
 */
import { clearBits, countFree, countFreeRun, findFree, setBits, testBit } from "./bitmap.ts";
import type { Volume } from "./volume.ts";

export class Allocator {
  /** Length of the run that `allocateBlocks` returned last. */
  runLength = 0;

  readonly #volume: Volume;
  readonly #inodeTableBlocks: number;

  constructor(volume: Volume) {
    this.#volume = volume;
    const { inodesPerGroup, inodeSize_bytes, blockSize_bytes } = volume.geometry;
    this.#inodeTableBlocks = Math.ceil((inodesPerGroup * inodeSize_bytes) / blockSize_bytes);
  }

  /**
   * Allocates 1 to `wanted` contiguous blocks, their number in `runLength`. `expected` says how far the file is
   * likely to grow at this place (it steers the search, nothing more).
   * @returns the first block, or 0 when the device is full.
   */
  allocateBlocks(goal: number, wanted: number, expected: number): number {
    const { groupsCount, firstDataBlock, blocksPerGroup } = this.#volume.geometry;
    const start = this.#volume.isDataBlock(goal) ? goal - firstDataBlock : 0;
    const startGroup = Math.floor(start / blocksPerGroup);
    const startBit = start - startGroup * blocksPerGroup;
    for (let minimum = expected >= 32 ? 32 : expected >= 8 ? 8 : 1; ; minimum = minimum === 32 ? 8 : 1) {
      for (let step = 0; step <= groupsCount; step++) {
        // The last step comes back to what lies before the goal in the first group.
        const group = (startGroup + step) % groupsCount;
        if (this.#volume.descriptors.freeBlocksCount(group) === 0) continue;
        const block = this.#allocateIn(group, step === 0 ? startBit : 0, minimum, wanted, step === 0);
        if (block !== 0) return block;
      }
      if (minimum === 1) return 0;
    }
  }

  /** Frees blocks that nothing points to any more. */
  freeBlocks(first: number, count: number): void {
    const { firstDataBlock, blocksPerGroup } = this.#volume.geometry;
    let block = first;
    while (block < first + count) {
      const group = Math.floor((block - firstDataBlock) / blocksPerGroup);
      const bit = block - firstDataBlock - group * blocksPerGroup;
      const here = Math.min(first + count - block, blocksPerGroup - bit);
      this.#freeIn(group, bit, here);
      block += here;
    }
  }

  /**
   * Allocates an inode, near its directory; for a directory, in the emptiest group.
   * @returns its number, or 0 when there is none.
   */
  allocateInode(parent: number, directory: boolean): number {
    const { groupsCount } = this.#volume.geometry;
    const startGroup = directory ? this.#groupForDirectory() : this.#volume.groupOfInode(parent);
    for (let step = 0; step < groupsCount; step++) {
      const group = (startGroup + step) % groupsCount;
      if (this.#volume.descriptors.freeInodesCount(group) === 0) continue;
      const inode = this.#allocateInodeIn(group, directory);
      if (inode !== 0) return inode;
    }
    return 0;
  }

  /** Frees an inode. The last step of deleting it: from here on another kernel may have it. */
  freeInode(inode: number, directory: boolean): void {
    const { groupCores, descriptors, words, owner, geometry } = this.#volume;
    const group = this.#volume.groupOfInode(inode);
    groupCores.acquireMutex(group, owner);
    try {
      const bitmap = this.#volume.blockAddress(descriptors.inodeBitmap(group));
      // While the flag is set the inode is certainly not somebody else's yet.
      this.#volume.inodeCores.setDeleting(inode, 0);
      if (clearBits(words, bitmap, (inode - 1) % geometry.inodesPerGroup, 1) !== 1) {
        this.#volume.noteDamage(`inode ${inode} was freed twice`);
        return;
      }
      this.#volume.changed(bitmap, this.#volume.blockSize_bytes);
      descriptors.setFreeInodesCount(group, descriptors.freeInodesCount(group) + 1);
      if (directory) {
        descriptors.setUsedDirectoriesCount(group, descriptors.usedDirectoriesCount(group) - 1);
      }
      this.#descriptorChanged(group);
    } finally {
      groupCores.releaseMutex(group, owner);
    }
  }

  /** True when the inode is marked used. Takes the group's lock. */
  isInodeUsed(inode: number): boolean {
    const { groupCores, descriptors, words, owner, geometry } = this.#volume;
    const group = this.#volume.groupOfInode(inode);
    groupCores.acquireMutex(group, owner);
    try {
      const bitmap = this.#volume.blockAddress(descriptors.inodeBitmap(group));
      return testBit(words, bitmap, (inode - 1) % geometry.inodesPerGroup);
    } finally {
      groupCores.releaseMutex(group, owner);
    }
  }

  /** Makes a group's counts agree with its bitmaps. The caller holds the group's lock, or is alone. */
  recount(group: number): void {
    const { descriptors, words, geometry, groupCores } = this.#volume;
    const blockBitmap = this.#volume.blockAddress(descriptors.blockBitmap(group));
    const inodeBitmap = this.#volume.blockAddress(descriptors.inodeBitmap(group));
    descriptors.setFreeBlocksCount(group, countFree(words, blockBitmap, this.#blocksIn(group)));
    descriptors.setFreeInodesCount(group, countFree(words, inodeBitmap, geometry.inodesPerGroup));
    groupCores.setFirstFreeBlock(group, 0);
    this.#descriptorChanged(group);
  }

  /** The first block of an inode's group: where a new file's blocks are looked for. */
  firstGoal(inode: number): number {
    const { firstDataBlock, blocksPerGroup } = this.#volume.geometry;
    return Math.max(firstDataBlock + this.#volume.groupOfInode(inode) * blocksPerGroup, firstDataBlock + 1);
  }

  #allocateIn(group: number, startBit: number, minimum: number, wanted: number, exact: boolean): number {
    const { groupCores, descriptors, words, owner, geometry } = this.#volume;
    const limit = this.#blocksIn(group);
    groupCores.acquireMutex(group, owner);
    try {
      const bitmap = this.#volume.blockAddress(descriptors.blockBitmap(group));
      const firstFree = groupCores.firstFreeBlock(group);
      const from = Math.max(startBit, firstFree);
      let bit = from;
      if (!(exact && startBit < limit && !testBit(words, bitmap, startBit))) {
        bit = findFree(words, bitmap, from, limit, minimum);
        if (bit < 0) {
          // From the first possibly free bit on nothing is free: the next search may start at the end.
          if (minimum === 1 && from === firstFree) groupCores.setFirstFreeBlock(group, limit);
          return 0;
        }
      }
      const count = countFreeRun(words, bitmap, bit, limit, wanted);
      const block = geometry.firstDataBlock + group * geometry.blocksPerGroup + bit;
      this.#refuseMetadata(group, block, count);
      setBits(words, bitmap, bit, count);
      if (bit === firstFree || (minimum === 1 && from === firstFree)) {
        groupCores.setFirstFreeBlock(group, bit + count);
      }
      descriptors.setFreeBlocksCount(group, descriptors.freeBlocksCount(group) - count);
      this.#descriptorChanged(group);
      this.#volume.changed(bitmap, this.#volume.blockSize_bytes);
      this.runLength = count;
      return block;
    } finally {
      groupCores.releaseMutex(group, owner);
    }
  }

  #freeIn(group: number, bit: number, count: number): void {
    const { groupCores, descriptors, words, owner, geometry } = this.#volume;
    this.#refuseMetadata(group, geometry.firstDataBlock + group * geometry.blocksPerGroup + bit, count);
    groupCores.acquireMutex(group, owner);
    try {
      const bitmap = this.#volume.blockAddress(descriptors.blockBitmap(group));
      const cleared = clearBits(words, bitmap, bit, count);
      if (bit < groupCores.firstFreeBlock(group)) groupCores.setFirstFreeBlock(group, bit);
      descriptors.setFreeBlocksCount(group, descriptors.freeBlocksCount(group) + cleared);
      this.#descriptorChanged(group);
      this.#volume.changed(bitmap, this.#volume.blockSize_bytes);
      // Giving up here also ends the walk through indirect blocks that point at themselves.
      if (cleared !== count)
        this.#volume.damaged(`${count - cleared} blocks of group ${group} were freed twice`);
    } finally {
      groupCores.releaseMutex(group, owner);
    }
  }

  #allocateInodeIn(group: number, directory: boolean): number {
    const { groupCores, descriptors, words, owner, geometry } = this.#volume;
    const limit = geometry.inodesPerGroup;
    const firstUsable = Math.max(geometry.firstInode - 1 - group * geometry.inodesPerGroup, 0);
    groupCores.acquireMutex(group, owner);
    try {
      const bitmap = this.#volume.blockAddress(descriptors.inodeBitmap(group));
      const cursor = Math.max(groupCores.inodeCursor(group), firstUsable);
      let bit = findFree(words, bitmap, cursor, limit, 1);
      if (bit < 0) bit = findFree(words, bitmap, firstUsable, limit, 1);
      if (bit < 0) return 0;
      setBits(words, bitmap, bit, 1);
      groupCores.setInodeCursor(group, bit + 1);
      descriptors.setFreeInodesCount(group, descriptors.freeInodesCount(group) - 1);
      if (directory) descriptors.setUsedDirectoriesCount(group, descriptors.usedDirectoriesCount(group) + 1);
      this.#descriptorChanged(group);
      this.#volume.changed(bitmap, this.#volume.blockSize_bytes);
      return group * geometry.inodesPerGroup + bit + 1;
    } finally {
      groupCores.releaseMutex(group, owner);
    }
  }

  /** Of the groups with at least the average of free inodes, the one with most free blocks. */
  #groupForDirectory(): number {
    const { groupsCount } = this.#volume.geometry;
    const { descriptors } = this.#volume;
    let freeInodes = 0;
    for (let group = 0; group < groupsCount; group++) freeInodes += descriptors.freeInodesCount(group);
    let best = 0;
    let bestBlocks = -1;
    for (let group = 0; group < groupsCount; group++) {
      if (descriptors.freeInodesCount(group) * groupsCount < freeInodes) continue;
      const blocks = descriptors.freeBlocksCount(group);
      if (blocks > bestBlocks) {
        best = group;
        bestBlocks = blocks;
      }
    }
    return best;
  }

  /** A damaged bitmap or pointer must not make us overwrite or free the group's own structures. */
  #refuseMetadata(group: number, first: number, count: number): void {
    const { descriptors } = this.#volume;
    const end = first + count;
    const hits = (start: number, length: number): boolean => first < start + length && start < end;
    const table = descriptors.inodeTable(group);
    if (
      hits(descriptors.blockBitmap(group), 1) ||
      hits(descriptors.inodeBitmap(group), 1) ||
      hits(table, this.#inodeTableBlocks)
    ) {
      this.#volume.damaged(`blocks ${first} to ${end - 1} hold structures of group ${group}`);
    }
  }

  #blocksIn(group: number): number {
    const { blocksPerGroup, blocksCount, firstDataBlock } = this.#volume.geometry;
    return Math.min(blocksPerGroup, blocksCount - firstDataBlock - group * blocksPerGroup);
  }

  #descriptorChanged(group: number): void {
    const { geometry, resident } = this.#volume;
    if (!resident) this.#volume.changed(geometry.descriptorsOffset_bytes + group * 32, 32);
  }
}
