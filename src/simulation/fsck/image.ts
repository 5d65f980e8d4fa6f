/**
 * An ext2 image as the checker sees it: its own reading of superblock and descriptors, through the layouts that the
 * file system uses too, and nothing else of its code. Checked as far as is needed to read on safely.
 */
import { type Accessor, overlay } from "../../memory/index.ts";
import {
  compatibleFeature,
  DirectoryEntry,
  GroupDescriptor,
  hasSuperblockCopy,
  Inode,
  InodeExtra,
  incompatibleFeature,
  inodeBaseSize_bytes,
  magicNumber,
  readOnlyFeature,
  Superblock,
  superblockOffset_bytes,
  volumeState,
  Word,
} from "../../services/fs/ext2/layout.ts";
import type { Report } from "./report.ts";

const descriptor_bytes = 32;
/** Reserved descriptor blocks belong to inode 7 under this feature. */
const resizeFeature = 0x10;
const at = superblockOffset_bytes;

export class Image {
  readonly bytes: Uint8Array;
  readonly superblock: Accessor<(typeof Superblock)["fields"]>;
  readonly inodes: Accessor<(typeof Inode)["fields"]>;
  readonly extras: Accessor<(typeof InodeExtra)["fields"]>;
  readonly entries: Accessor<(typeof DirectoryEntry)["fields"]>;
  readonly words: Accessor<(typeof Word)["fields"]>;
  readonly descriptors: Accessor<(typeof GroupDescriptor)["fields"]>;

  readonly blockSize_bytes: number;
  readonly blocksCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly groupsCount: number;
  readonly inodesCount: number;
  readonly inodesPerGroup: number;
  readonly inodeSize_bytes: number;
  readonly firstInode: number;
  readonly entryTypes: boolean;
  readonly sparseSuper: boolean;
  readonly largeFiles: boolean;
  readonly indexedDirectories: boolean;
  readonly resizable: boolean;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    const inPlace = { format: "ilp32", base: bytes.byteOffset, addressing: "address" } as const;
    this.superblock = overlay(Superblock, bytes.buffer, inPlace);
    this.inodes = overlay(Inode, bytes.buffer, inPlace);
    this.extras = overlay(InodeExtra, bytes.buffer, inPlace);
    this.entries = overlay(DirectoryEntry, bytes.buffer, inPlace);
    this.words = overlay(Word, bytes.buffer, inPlace);
    this.descriptors = overlay(GroupDescriptor, bytes.buffer, inPlace);
    const { superblock } = this;
    const dynamic = superblock.revision(at) > 0;
    this.blockSize_bytes = 1024 << (superblock.logBlockSize(at) & 7);
    this.blocksCount = superblock.blocksCount(at);
    this.firstDataBlock = superblock.firstDataBlock(at);
    this.blocksPerGroup = superblock.blocksPerGroup(at);
    this.groupsCount = Math.ceil((this.blocksCount - this.firstDataBlock) / this.blocksPerGroup);
    this.inodesCount = superblock.inodesCount(at);
    this.inodesPerGroup = superblock.inodesPerGroup(at);
    this.inodeSize_bytes = dynamic ? superblock.inodeSize(at) : inodeBaseSize_bytes;
    this.firstInode = dynamic ? superblock.firstInode(at) : 11;
    this.entryTypes = dynamic && (superblock.incompatibleFeatures(at) & incompatibleFeature.fileType) !== 0;
    const readOnly = dynamic ? superblock.readOnlyFeatures(at) : 0;
    const compatible = dynamic ? superblock.compatibleFeatures(at) : 0;
    this.sparseSuper = (readOnly & readOnlyFeature.sparseSuper) !== 0;
    this.largeFiles = (readOnly & readOnlyFeature.largeFile) !== 0;
    this.indexedDirectories = (compatible & 0x20) !== 0;
    this.resizable = (compatible & resizeFeature) !== 0;
  }

  /** Reads an image; undefined, with findings, when it cannot be read on. */
  static open(bytes: Uint8Array, report: Report): Image | undefined {
    if (bytes.length < at + 1024) {
      report.add("superblock", `${bytes.length} bytes are too few for a superblock`);
      return undefined;
    }
    const image = new Image(bytes);
    return image.#checkSuperblock(report) && image.#checkDescriptors(report) ? image : undefined;
  }

  get unmounted(): boolean {
    return (this.superblock.state(at) & volumeState.clean) !== 0;
  }

  get markedDamaged(): boolean {
    return (this.superblock.state(at) & volumeState.errors) !== 0;
  }

  get freeBlocksTotal(): number {
    return this.superblock.freeBlocksCount(at);
  }

  get freeInodesTotal(): number {
    return this.superblock.freeInodesCount(at);
  }

  /** Address of a group's descriptor, for `descriptors`. */
  descriptorAddress(group: number): number {
    return (this.firstDataBlock + 1) * this.blockSize_bytes + group * descriptor_bytes;
  }

  /** Address of an inode, for `inodes`. */
  inodeAddress(inode: number): number {
    const group = Math.floor((inode - 1) / this.inodesPerGroup);
    const table = this.descriptors.inodeTable(this.descriptorAddress(group)) * this.blockSize_bytes;
    return table + ((inode - 1) % this.inodesPerGroup) * this.inodeSize_bytes;
  }

  get inodeTable_blocks(): number {
    return Math.ceil((this.inodesPerGroup * this.inodeSize_bytes) / this.blockSize_bytes);
  }

  firstBlockOfGroup(group: number): number {
    return this.firstDataBlock + group * this.blocksPerGroup;
  }

  blocksOfGroup(group: number): number {
    return Math.min(this.blocksPerGroup, this.blocksCount - this.firstBlockOfGroup(group));
  }

  /** Blocks at the start of a group that hold the superblock's and the descriptors' copies, and room for more of them. */
  copies_blocks(group: number): number {
    if (this.sparseSuper && !hasSuperblockCopy(group)) return 0;
    const descriptors = Math.ceil((this.groupsCount * descriptor_bytes) / this.blockSize_bytes);
    return 1 + descriptors + (this.resizable ? this.superblock.reservedDescriptorBlocks(at) : 0);
  }

  /** True for numbers of blocks that a file's pointer may hold, as far as the device goes. */
  isBlock(block: number): boolean {
    return block >= this.firstDataBlock && block < this.blocksCount;
  }

  /** True when the bitmap calls an inode used. */
  isInodeMarked(inode: number): boolean {
    const group = Math.floor((inode - 1) / this.inodesPerGroup);
    const bitmap = this.descriptors.inodeBitmap(this.descriptorAddress(group)) * this.blockSize_bytes;
    const bit = (inode - 1) % this.inodesPerGroup;
    return ((this.bytes[bitmap + (bit >>> 3)] >>> (bit & 7)) & 1) !== 0;
  }

  #checkSuperblock(report: Report): boolean {
    const { superblock, blockSize_bytes } = this;
    const before = report.found.length;
    const wrong = (text: string): void => report.add("superblock", text);
    if (superblock.magic(at) !== magicNumber) {
      wrong(`wrong magic number ${superblock.magic(at)}`);
      return false;
    }
    this.#checkFeatures(report);
    if (superblock.revision(at) > 1) wrong(`unknown revision ${superblock.revision(at)}`);
    if (superblock.logBlockSize(at) > 2) wrong(`blocks of 2^${10 + superblock.logBlockSize(at)} bytes`);
    if (superblock.logFragmentSize(at) !== superblock.logBlockSize(at)) wrong("fragments are not blocks");
    if (superblock.fragmentsPerGroup(at) !== this.blocksPerGroup)
      wrong("fragments per group are not blocks per group");
    if (this.firstDataBlock !== (blockSize_bytes === 1024 ? 1 : 0))
      wrong(`first data block ${this.firstDataBlock}`);
    if (
      this.blocksPerGroup < 256 ||
      this.blocksPerGroup > blockSize_bytes * 8 ||
      this.blocksPerGroup % 8 !== 0
    )
      wrong(`${this.blocksPerGroup} blocks per group`);
    if (this.inodeSize_bytes !== 128 && this.inodeSize_bytes !== 256)
      wrong(`inodes of ${this.inodeSize_bytes} bytes`);
    const perBlock = blockSize_bytes / this.inodeSize_bytes;
    if (
      this.inodesPerGroup < perBlock ||
      this.inodesPerGroup > blockSize_bytes * 8 ||
      this.inodesPerGroup % perBlock !== 0
    )
      wrong(`${this.inodesPerGroup} inodes per group`);
    if (this.blocksCount <= this.firstDataBlock || this.blocksCount * blockSize_bytes > this.bytes.length)
      wrong(`${this.blocksCount} blocks on a device of ${this.bytes.length} bytes`);
    if (this.inodesCount !== this.groupsCount * this.inodesPerGroup) wrong(`${this.inodesCount} inodes`);
    if (this.firstInode < 11 || this.firstInode > this.inodesCount) wrong(`first inode ${this.firstInode}`);
    if (superblock.reservedBlocksCount(at) > this.blocksCount / 2)
      wrong(`${superblock.reservedBlocksCount(at)} reserved blocks`);
    if (superblock.lastOrphan(at) !== 0) wrong(`a list of orphans, from inode ${superblock.lastOrphan(at)}`);
    return report.found.length === before;
  }

  #checkFeatures(report: Report): void {
    if (this.superblock.revision(at) === 0) return;
    const incompatible = this.superblock.incompatibleFeatures(at) & ~incompatibleFeature.fileType;
    const known = readOnlyFeature.sparseSuper | readOnlyFeature.largeFile | readOnlyFeature.treeDirectories;
    const readOnly = this.superblock.readOnlyFeatures(at) & ~known;
    const compatible = this.superblock.compatibleFeatures(at) & compatibleFeature.hasJournal;
    if ((incompatible | readOnly | compatible) === 0) return;
    const bits = [incompatible, readOnly, compatible].map((one) => `0x${(one >>> 0).toString(16)}`);
    report.add("unsupportedFeature", `features that this checker does not know: ${bits.join(", ")}`);
  }

  #checkDescriptors(report: Report): boolean {
    const before = report.found.length;
    const last = this.descriptorAddress(this.groupsCount);
    if (last > this.bytes.length) {
      report.add("groupDescriptor", "the device ends before the group descriptors do");
      return false;
    }
    for (let group = 0; group < this.groupsCount; group++) {
      const descriptor = this.descriptorAddress(group);
      const first = this.firstBlockOfGroup(group);
      const end = first + this.blocksOfGroup(group);
      const parts: [string, number, number][] = [
        ["block bitmap", this.descriptors.blockBitmap(descriptor), 1],
        ["inode bitmap", this.descriptors.inodeBitmap(descriptor), 1],
        ["inode table", this.descriptors.inodeTable(descriptor), this.inodeTable_blocks],
      ];
      for (const [what, block, count] of parts) {
        if (block >= first && block + count <= end) continue;
        report.add(
          "groupDescriptor",
          `the ${what} of group ${group} is at block ${block}, outside the group`,
        );
      }
    }
    return report.found.length === before;
  }
}
