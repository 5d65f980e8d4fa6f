/**
 * One kernel's view of a mounted volume: geometry, the device's bytes, accessors for every structure on the
 * device and in core. No logic beyond finding a structure's place and keeping the superblock.
 *
 * Structures on the device are used in place; "address" everywhere in this folder means a byte offset from
 * the start of the device.
 */
import { errnoName } from "../../../kernel/errno.ts";
import type { Ram } from "../../../machine/ram.ts";
import { type Accessor, inPages, overlay } from "../../../memory/index.ts";
import type { BlockDevice } from "../../block/block-device.ts";
import { VolumeFailure } from "./errors.ts";
import type { Geometry } from "./geometry.ts";
import {
  DirectoryEntry,
  GroupDescriptor,
  Inode,
  InodeExtra,
  inodeBaseSize_bytes,
  inodeNumber,
  readOnlyFeature,
  Superblock,
  superblockOffset_bytes,
  volumeState,
  Word,
} from "./layout.ts";
import type { GroupArea, InodeArea, SharedState, VolumeArea } from "./shared.ts";

export interface VolumeOptions {
  readonly device: BlockDevice;
  readonly ram: Ram;
  readonly geometry: Geometry;
  readonly shared: SharedState;
  readonly readOnly: boolean;
  readonly owner: number;
  readonly now_ns: () => number;
  readonly log: (line: string) => void;
}

/** Everything below this length is copied byte by byte: a view costs about as much as 16 bytes do. */
const byteLoop_bytes_max = 16;

export class Volume {
  readonly device: BlockDevice;
  readonly geometry: Geometry;
  readonly readOnly: boolean;
  /** This kernel's number as an owner of locks. */
  readonly owner: number;
  readonly now_ns: () => number;

  // In core, shared by all kernels.
  readonly core: VolumeArea;
  readonly inodeCores: InodeArea;
  readonly groupCores: GroupArea;

  // On the device.
  /** What is read or written here must have been announced with `touch`. */
  readonly bytes: Uint8Array;
  readonly superblock: Accessor<(typeof Superblock)["fields"]>;
  readonly descriptors: Accessor<(typeof GroupDescriptor)["fields"]>;
  readonly inodes: Accessor<(typeof Inode)["fields"]>;
  readonly extras: Accessor<(typeof InodeExtra)["fields"]>;
  readonly entries: Accessor<(typeof DirectoryEntry)["fields"]>;
  readonly words: Accessor<(typeof Word)["fields"]>;

  // Geometry, close at hand.
  readonly blockSize_bytes: number;
  /** 1 / block size: exact, since it is a power of two; divides positions beyond 32 bits cheaply. */
  readonly blockSizeInverse: number;
  readonly sectorsPerBlock: number;
  readonly blocksCount: number;
  readonly inodesCount: number;
  readonly resident: boolean;

  readonly #ram: Ram;
  readonly #base: number;
  readonly #log: (line: string) => void;
  readonly #firstInode: number;
  readonly #inodesPerGroup: number;
  readonly #inodeSize_bytes: number;
  /** Address of each group's inode table. */
  readonly #inodeTables: Float64Array;
  /** Ordinary memory: copying from it is far quicker than `fill` on shared memory. */
  readonly #zeros: Uint8Array;

  constructor(options: VolumeOptions) {
    const { device, geometry } = options;
    this.device = device;
    this.geometry = geometry;
    this.readOnly = options.readOnly;
    this.owner = options.owner;
    this.now_ns = options.now_ns;
    this.#ram = options.ram;
    this.#base = device.base;
    this.#log = options.log;
    this.core = options.shared.volume;
    this.inodeCores = options.shared.inodes;
    this.groupCores = options.shared.groups;

    const { buffer, base, guard } = device;
    const inPlace = { format: "ilp32", base, addressing: "address", checked: false, guard } as const;
    this.bytes = new Uint8Array(buffer, base, device.size_bytes);
    this.superblock = overlay(Superblock, buffer, inPlace);
    this.descriptors = overlay(GroupDescriptor, buffer, {
      format: "ilp32",
      base: base + geometry.descriptorsOffset_bytes,
      count: geometry.groupsCount,
      guard,
    });
    this.inodes = overlay(Inode, buffer, inPlace);
    this.extras = overlay(InodeExtra, buffer, inPlace);
    this.entries = overlay(DirectoryEntry, buffer, inPlace);
    this.words = overlay(Word, buffer, inPlace);

    this.blockSize_bytes = geometry.blockSize_bytes;
    this.blockSizeInverse = 1 / geometry.blockSize_bytes;
    this.sectorsPerBlock = geometry.blockSize_bytes / 512;
    this.blocksCount = geometry.blocksCount;
    this.inodesCount = geometry.inodesCount;
    this.resident = device.resident;
    this.#firstInode = geometry.firstInode;
    this.#inodesPerGroup = geometry.inodesPerGroup;
    this.#inodeSize_bytes = geometry.inodeSize_bytes;
    this.#inodeTables = Float64Array.from(
      { length: geometry.groupsCount },
      (_, group) => this.descriptors.inodeTable(group) * geometry.blockSize_bytes,
    );
    this.#zeros = new Uint8Array(65536);
  }

  /** The inode's place on the device, present. `inode` must be a valid number: see `hasInode`. */
  inodeAddress(inode: number): number {
    const index = inode - 1;
    const group = (index / this.#inodesPerGroup) | 0;
    const address = this.#inodeTables[group] + (index - group * this.#inodesPerGroup) * this.#inodeSize_bytes;
    if (!this.resident) this.load(address, this.#inodeSize_bytes);
    return address;
  }

  /** True for numbers that can name a file of this volume, allocated or not: the root, and those not reserved. */
  hasInode(inode: number): boolean {
    const isFile = inode >= this.#firstInode || inode === inodeNumber.root;
    return isFile && inode <= this.inodesCount && (inode | 0) === inode;
  }

  groupOfInode(inode: number): number {
    return ((inode - 1) / this.#inodesPerGroup) | 0;
  }

  /** Where the inode's extra part starts if it reaches as far as the access time, else 0. */
  extraAddress(inodeAddress: number): number {
    if (this.#inodeSize_bytes === inodeBaseSize_bytes) return 0;
    const address = inodeAddress + inodeBaseSize_bytes;
    return this.extras.extraSize(address) >= 16 ? address : 0;
  }

  /** Notes a change to an inode. */
  inodeChanged(inodeAddress: number): void {
    if (!this.resident) this.device.changed(inodeAddress, this.#inodeSize_bytes);
  }

  /** True when a block number found on the device can be followed. */
  isDataBlock(block: number): boolean {
    return block > this.geometry.firstDataBlock && block < this.blocksCount;
  }

  /**
   * A metadata block's place on the device, present.
   * @throws VolumeFailure when the number is no block's.
   */
  blockAddress(block: number): number {
    if (!this.isDataBlock(block)) this.damaged(`block number ${block} is out of range`);
    const address = block * this.blockSize_bytes;
    if (!this.resident) this.load(address, this.blockSize_bytes);
    return address;
  }

  /** Makes bytes of the device present. @throws VolumeFailure when the disk fails. */
  load(address: number, length: number): void {
    const result = this.device.load(address, length);
    if (result < 0) throw new VolumeFailure(`reading from the disk failed: ${errnoName(result)}`, -result);
  }

  /** As `load`, for bytes about to be overwritten. @throws VolumeFailure when the disk fails. */
  claim(address: number, length: number): void {
    if (this.resident) return;
    const result = this.device.claim(address, length);
    if (result < 0) throw new VolumeFailure(`reading from the disk failed: ${errnoName(result)}`, -result);
  }

  changed(address: number, length: number): void {
    if (!this.resident) this.device.changed(address, length);
  }

  /** Announces an access through `bytes`, as `TypedMemory.touch` does. */
  touch(address: number, length: number, write: boolean): void {
    this.device.guard?.access(this.#base + address, length, write);
  }

  /** Fills bytes of the device with zeros; the caller claims them before and notes the change after. */
  zero(address: number, length: number): void {
    if (this.device.guard === undefined) fillZeros(this.bytes, address, length, this.#zeros);
    else {
      inPages(this.#base + address, length, (start, piece) => {
        this.touch(start - this.#base, piece, true);
        fillZeros(this.bytes, start - this.#base, piece, this.#zeros);
      });
    }
  }

  /** Fills part of a caller's memory with zeros (a hole is being read). */
  zeroOut(target: Uint8Array, offset: number, length: number): void {
    fillZeros(target, offset, length, this.#zeros);
  }

  /** Copies bytes of the device to a caller's memory. */
  copyOut(address: number, length: number, target: Uint8Array, offset: number): void {
    this.#ram.copyOut(this.#base + address, length, target, offset);
  }

  /** Copies a caller's bytes to the device. */
  copyIn(source: Uint8Array, offset: number, length: number, address: number): void {
    this.#ram.copyIn(source, offset, length, this.#base + address);
  }

  /**
   * A structure on the device makes no sense. Marks the volume so that e2fsck will check it.
   * @throws VolumeFailure always.
   */
  damaged(what: string): never {
    this.noteDamage(what);
    throw new VolumeFailure(what);
  }

  /** As `damaged`, where the call can still go on. */
  noteDamage(what: string): void {
    this.#log(`ext2: damaged file system: ${what}`);
    if (this.readOnly) return;
    this.superblock.setState(
      superblockOffset_bytes,
      this.superblock.state(superblockOffset_bytes) | volumeState.errors,
    );
    this.changed(superblockOffset_bytes, 1024);
  }

  /** Says in the superblock that files beyond 2 GiB exist. Revision 0 has no place for that. */
  noteLargeFile(): boolean {
    const features = this.superblock.readOnlyFeatures(superblockOffset_bytes);
    if ((features & readOnlyFeature.largeFile) !== 0) return true;
    if (this.geometry.revision === 0) return false;
    this.core.acquireSuperblock(0, this.owner);
    this.superblock.setReadOnlyFeatures(
      superblockOffset_bytes,
      this.superblock.readOnlyFeatures(superblockOffset_bytes) | readOnlyFeature.largeFile,
    );
    this.changed(superblockOffset_bytes, 1024);
    this.core.releaseSuperblock(0, this.owner);
    return true;
  }

  /** Free blocks and inodes, summed over the groups. Without locks: exact while nothing changes. */
  countFree(): { blocks: number; inodes: number } {
    let blocks = 0;
    let inodes = 0;
    for (let group = 0; group < this.geometry.groupsCount; group++) {
      blocks += this.descriptors.freeBlocksCount(group);
      inodes += this.descriptors.freeInodesCount(group);
    }
    return { blocks, inodes };
  }

  /** Brings the superblock's totals and write time up to date. */
  writeTotals(): void {
    this.core.acquireSuperblock(0, this.owner);
    const free = this.countFree();
    this.superblock.setFreeBlocksCount(superblockOffset_bytes, free.blocks);
    this.superblock.setFreeInodesCount(superblockOffset_bytes, free.inodes);
    this.superblock.setWriteTime(superblockOffset_bytes, seconds(this.now_ns()));
    this.changed(superblockOffset_bytes, 1024);
    this.core.releaseSuperblock(0, this.owner);
  }
}

/** Whole seconds of a time. */
export function seconds(time_ns: number): number {
  return Math.floor(time_ns / 1e9);
}

function fillZeros(target: Uint8Array, offset: number, length: number, zeros: Uint8Array): void {
  if (length <= byteLoop_bytes_max) {
    for (let i = 0; i < length; i++) target[offset + i] = 0;
    return;
  }
  for (let done = 0; done < length; done += zeros.length) {
    target.set(length - done < zeros.length ? zeros.subarray(0, length - done) : zeros, offset + done);
  }
}
