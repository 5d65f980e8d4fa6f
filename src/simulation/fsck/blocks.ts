/** Who has which block: claims, and the walk over a file's blocks. */
import { layoutOf } from "../../memory/index.ts";
import { directBlocks, Inode } from "../../services/fs/ext2/layout.ts";
import type { Image } from "./image.ts";
import type { Report } from "./report.ts";

/** Owner of blocks that hold the volume's own structures. */
const structures = -1;
const pointer_bytes = 4;
/** Where the pointers start in an inode. */
export const pointersOffset_bytes =
  layoutOf(Inode, "ilp32").fields.find((field) => field.name === "block")?.offset ?? 0;

/** What the walk over a file's blocks found. */
export interface FileBlocks {
  /** Blocks in use, indirect ones included. */
  readonly count: number;
  /** The last file block that there is, −1 for none. */
  readonly last: number;
}

export class BlockClaims {
  /** Owner of each block: an inode, −1 for the volume, 0 for nobody. */
  readonly #owners: Int32Array;
  readonly #image: Image;
  readonly #report: Report;
  used = 0;

  constructor(image: Image, report: Report) {
    this.#image = image;
    this.#report = report;
    this.#owners = new Int32Array(image.blocksCount);
    for (let group = 0; group < image.groupsCount; group++) this.#claimStructures(group);
  }

  isUsed(block: number): boolean {
    return this.#owners[block] !== 0;
  }

  /** Claims a block. False, with a finding, when it cannot be had. */
  claim(block: number, inode: number): boolean {
    if (!this.#image.isBlock(block)) {
      this.#report.add("blockOutOfRange", `inode ${inode} has block ${block}, which does not exist`, inode);
      return false;
    }
    const owner = this.#owners[block];
    if (owner !== 0) {
      const who = owner === structures ? "the volume's own structures" : `inode ${owner}`;
      this.#report.add("blockClaimedTwice", `block ${block} of inode ${inode} belongs to ${who}`, inode);
      return false;
    }
    this.#owners[block] = inode;
    this.used++;
    return true;
  }

  /** As `claim`, for blocks that several inodes may share: extended attributes. */
  share(block: number, inode: number): boolean {
    const owner = this.#image.isBlock(block) ? this.#owners[block] : 0;
    if (owner <= 0 || !this.#shared.has(block)) {
      if (!this.claim(block, inode)) return false;
      this.#shared.add(block);
    }
    return true;
  }

  /**
   * Claims all blocks of an inode. `visit` is called for each file block that there is, in their order. What lies
   * below an indirect block that cannot be had is left out.
   */
  walk(inode: number, visit: (logical: number, block: number) => void): FileBlocks {
    const pointers = this.#image.inodeAddress(inode) + pointersOffset_bytes;
    const span = this.#image.blockSize_bytes / pointer_bytes;
    const found = { count: 0, last: -1 };
    this.#walkArray(pointers, directBlocks, 0, 0, inode, visit, found);
    let first = directBlocks;
    for (let level = 1; level <= 3; level++) {
      const slot = pointers + (directBlocks + level - 1) * pointer_bytes;
      this.#walkArray(slot, 1, level, first, inode, visit, found);
      first += span ** level;
    }
    return found;
  }

  readonly #shared = new Set<number>();

  /** Follows `length` pointers to what is `level` levels above data. */
  #walkArray(
    address: number,
    length: number,
    level: number,
    first: number,
    inode: number,
    visit: (logical: number, block: number) => void,
    found: { count: number; last: number },
  ): void {
    const { words, blockSize_bytes } = this.#image;
    const perBlock = blockSize_bytes / pointer_bytes;
    for (let index = 0; index < length; index++) {
      const block = words.value(address + index * pointer_bytes);
      if (block === 0) continue;
      const logical = first + index * perBlock ** level;
      if (!this.claim(block, inode)) continue;
      found.count++;
      if (level > 0) {
        this.#walkArray(block * blockSize_bytes, perBlock, level - 1, logical, inode, visit, found);
        continue;
      }
      found.last = Math.max(found.last, logical);
      visit(logical, block);
    }
  }

  #claimStructures(group: number): void {
    const { descriptors, inodeTable_blocks } = this.#image;
    const descriptor = this.#image.descriptorAddress(group);
    const claimAll = (what: string, first: number, count: number): void => {
      for (let block = first; block < Math.min(first + count, this.#image.blocksCount); block++) {
        if (this.#owners[block] !== 0) {
          this.#report.add(
            "groupDescriptor",
            `the ${what} of group ${group} lies on other structures, block ${block}`,
          );
          return;
        }
        this.#owners[block] = structures;
        this.used++;
      }
    };
    claimAll("superblock's copy", this.#image.firstBlockOfGroup(group), this.#image.copies_blocks(group));
    claimAll("block bitmap", descriptors.blockBitmap(descriptor), 1);
    claimAll("inode bitmap", descriptors.inodeBitmap(descriptor), 1);
    claimAll("inode table", descriptors.inodeTable(descriptor), inodeTable_blocks);
  }
}
