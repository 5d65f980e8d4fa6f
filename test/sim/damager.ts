/** Damages ext2 images, for tests of the checker. */
import { Random } from "../../src/machine/sim/random.ts";
import { overlay } from "../../src/memory/index.ts";
import {
  DirectoryEntry,
  GroupDescriptor,
  Inode,
  Superblock,
  superblockOffset_bytes,
  Word,
} from "../../src/services/fs/ext2/layout.ts";
import { pickWeighted } from "../../src/simulation/random.ts";

/**
 * Changes one structure of an image, and says what. The image has blocks of 1 KiB, inodes of 256 bytes, and two groups
 * of 32 inodes.
 */
export class Damager {
  readonly image: Uint8Array;
  readonly random: Random;

  constructor(sample: Uint8Array, seed: number) {
    this.image = sample.slice();
    this.random = new Random(seed);
  }

  damage(): string {
    const { random } = this;
    const what = pickWeighted(random, {
      superblock: 1,
      descriptor: 2,
      bitmap: 3,
      inode: 8,
      entry: 6,
      pointer: 3,
    });
    return `${what}: ${this[what]()}`;
  }

  private superblock(): string {
    const at = superblockOffset_bytes;
    const found = overlay(Superblock, this.image.buffer, { format: "ilp32", addressing: "address" });
    const [value, field] = [this.value(), this.random.below(10)];
    const set = [
      () => found.setMagic(at, value),
      () => found.setInodesCount(at, value),
      () => found.setBlocksCount(at, found.blocksCount(at) + 1 + (value % 1000)),
      () => found.setFreeBlocksCount(at, value),
      () => found.setFreeInodesCount(at, value),
      () => found.setFirstDataBlock(at, value),
      () => found.setLogBlockSize(at, value),
      () => found.setBlocksPerGroup(at, value),
      () => found.setInodesPerGroup(at, value),
      () => found.setReservedBlocksCount(at, value),
    ];
    set[field]();
    return `field ${field} to ${value}`;
  }

  private descriptor(): string {
    const found = overlay(GroupDescriptor, this.image.buffer, { format: "ilp32", base: 2048, count: 2 });
    const [group, field, value] = [this.random.below(2), this.random.below(6), this.value()];
    const set = [
      () => found.setBlockBitmap(group, value),
      () => found.setInodeBitmap(group, value),
      () => found.setInodeTable(group, value),
      () => found.setFreeBlocksCount(group, value),
      () => found.setFreeInodesCount(group, value),
      () => found.setUsedDirectoriesCount(group, value),
    ];
    set[field]();
    return `field ${field} of ${group} to ${value}`;
  }

  private bitmap(): string {
    const found = this.descriptors();
    const group = this.random.below(2);
    const block = this.random.chance(0.5) ? found.blockBitmap(group) : found.inodeBitmap(group);
    const byte = this.random.chance(0.5) ? this.random.below(40) : this.random.below(1024);
    const bit = this.random.below(8);
    this.image[block * 1024 + byte] ^= 1 << bit;
    return `bit ${byte * 8 + bit} of block ${block}`;
  }

  private inode(): string {
    const found = overlay(Inode, this.image.buffer, { format: "ilp32", addressing: "address" });
    const inode = this.random.chance(0.8) ? this.usedInode() : this.random.between(1, 64);
    const address = this.inodeAddress(inode);
    const [field, value, index] = [this.random.below(12), this.value(), this.random.below(15)];
    const set = [
      () =>
        found.setMode(
          address,
          this.random.chance(0.5) ? value : found.mode(address) ^ (1 << this.random.between(12, 15)),
        ),
      () => found.setSizeLow(address, value),
      () => found.setDeletionTime(address, value * 1_000_000),
      () => found.setLinksCount(address, this.random.below(6)),
      () => found.setSectorsCount(address, value),
      () => found.setFlags(address, 1 << this.random.below(32)),
      () => found.setBlock(address, index, value),
      () => found.setBlock(address, this.random.below(4), value),
      () => found.setAttributesBlock(address, value),
      () => found.setSizeHigh(address, value),
      () => found.setFragmentAddress(address, value),
      () => found.setBlock(address, index, 0),
    ];
    set[field]();
    return `field ${field} of ${inode} to ${value} (${index})`;
  }

  private entry(): string {
    const found = overlay(DirectoryEntry, this.image.buffer, { format: "ilp32", addressing: "address" });
    const at = this.random.pick(this.entries());
    const [field, value] = [this.random.below(5), this.value()];
    const set = [
      () => found.setInode(at, this.random.chance(0.5) ? this.usedInode() : value),
      () => found.setRecordLength(at, this.random.chance(0.5) ? found.recordLength(at) + 4 : value),
      () => found.setNameLength(at, this.random.below(20)),
      () => found.setFileType(at, this.random.below(9)),
      () => {
        this.image[at + 8 + this.random.below(3)] = this.random.pick([0, 46, 47, 65]);
      },
    ];
    set[field]();
    return `field ${field} at ${at} to ${value}`;
  }

  /** A word of an indirect block. */
  private pointer(): string {
    const inodes = overlay(Inode, this.image.buffer, { format: "ilp32", addressing: "address" });
    const words = overlay(Word, this.image.buffer, { format: "ilp32", addressing: "address" });
    const indirect: number[] = [];
    for (let inode = 11; inode <= 64; inode++) {
      const address = this.inodeAddress(inode);
      if ((inodes.mode(address) & 0xf000) !== 0x8000 || inodes.linksCount(address) === 0) continue;
      for (const index of [12, 13, 14])
        if (inodes.block(address, index) !== 0) indirect.push(inodes.block(address, index));
    }
    const used: number[] = [];
    for (const block of indirect) {
      for (let at = block * 1024; at < (block + 1) * 1024; at += 4) if (words.value(at) !== 0) used.push(at);
    }
    const at = this.random.pick(used);
    const value = this.random.chance(0.3) ? 0 : this.value();
    words.setValue(at, value);
    return `word at ${at} to ${value}`;
  }

  /** Small numbers mostly, with edges. */
  private value(): number {
    const { random } = this;
    return random.pick([
      random.below(20),
      random.below(200),
      random.below(9300),
      random.next(),
      0,
      0xffffffff,
      9216,
    ]);
  }

  private descriptors() {
    return overlay(GroupDescriptor, this.image.buffer, { format: "ilp32", base: 2048, count: 2 });
  }

  private inodeAddress(inode: number): number {
    const group = Math.floor((inode - 1) / 32);
    const perGroup = 32;
    return this.descriptors().inodeTable(group) * 1024 + ((inode - 1) % perGroup) * 256;
  }

  private usedInode(): number {
    const found = overlay(Inode, this.image.buffer, { format: "ilp32", addressing: "address" });
    const used: number[] = [];
    for (let inode = 2; inode <= 64; inode++) {
      if (found.linksCount(this.inodeAddress(inode)) > 0) used.push(inode);
    }
    return this.random.pick(used);
  }

  /** Addresses of all entries, unused ones too. */
  private entries(): number[] {
    const inodes = overlay(Inode, this.image.buffer, { format: "ilp32", addressing: "address" });
    const entries = overlay(DirectoryEntry, this.image.buffer, { format: "ilp32", addressing: "address" });
    const found: number[] = [];
    for (let inode = 2; inode <= 64; inode++) {
      const address = this.inodeAddress(inode);
      if ((inodes.mode(address) & 0xf000) !== 0x4000 || inodes.linksCount(address) === 0) continue;
      for (let index = 0; index < 12; index++) {
        const block = inodes.block(address, index);
        if (block === 0) break;
        for (let at = block * 1024; at < (block + 1) * 1024; at += entries.recordLength(at)) found.push(at);
      }
    }
    return found;
  }
}
