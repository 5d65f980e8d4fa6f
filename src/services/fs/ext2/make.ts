/**
 * Formatting: writes an empty ext2 file system to a device. Revision 1, with the features `fileType`,
 * `sparseSuper` and `largeFile`; a root directory and lost+found. Nobody may use the device meanwhile.
 */
import { type Accessor, overlay, readBytes, writeBytes } from "../../../memory/index.ts";
import type { BlockDevice } from "../../block/block-device.ts";
import { setBits } from "./bitmap.ts";
import { MountError } from "./errors.ts";
import type { Geometry } from "./geometry.ts";
import {
  extraSize_bytes,
  GroupDescriptor,
  hasSuperblockCopy,
  incompatibleFeature,
  inodeBaseSize_bytes,
  inodeNumber,
  magicNumber,
  readOnlyFeature,
  Superblock,
  superblockOffset_bytes,
  volumeState,
  Word,
} from "./layout.ts";
import { seconds } from "./volume.ts";

export interface MakeOptions {
  /** 1024, 2048 or 4096 (default). */
  readonly blockSize_bytes?: number;
  /** 128 or 256 (default); the larger ones hold times to the nanosecond and beyond 2038. */
  readonly inodeSize_bytes?: number;
  /** At least this many inodes. Default: one per 16 KiB, or per 4 KiB on devices below 64 MiB. */
  readonly inodes?: number;
  /** Up to 16 bytes. */
  readonly volumeName?: string;
  /** 16 bytes. Default: derived from the time and size, unique enough for one machine. */
  readonly uuid?: Uint8Array;
}

/** Groups smaller than their own structures and this many blocks are left off the device's end. */
const smallGroup_blocks = 50;
const creatorLinux = 0;
const bytesPerDescriptor = 32;

/** Where everything goes. */
interface Plan {
  readonly geometry: Geometry;
  readonly descriptorBlocks: number;
  readonly tableBlocks: number;
}

/**
 * Writes the structures of an empty file system; the root directory is made by `Ext2.create` with the ordinary
 * code. Returns its geometry.
 * @throws MountError when the device is too small, read-only or fails, or for options that cannot be.
 */
export function writeEmptyFileSystem(device: BlockDevice, options: MakeOptions, now_ns: number): Geometry {
  if (device.readOnly) throw new MountError("readOnlyDevice", "a read-only device cannot be formatted");
  const plan = makePlan(device, options);
  const { geometry } = plan;
  const zeros = new Uint8Array(geometry.blockSize_bytes);
  const clear = (block: number, count: number): void => {
    const address = block * geometry.blockSize_bytes;
    claim(device, address, count * geometry.blockSize_bytes);
    for (let i = 0; i < count; i++) {
      writeBytes(device.buffer, device.guard, device.base + address + i * geometry.blockSize_bytes, zeros);
    }
  };
  // The boot block, the superblock and descriptors of group 0.
  clear(0, geometry.firstDataBlock + 1 + plan.descriptorBlocks);
  writeSuperblock(device, plan, options, now_ns);
  let freeBlocks = 0;
  for (let group = 0; group < geometry.groupsCount; group++) {
    const structures = groupOverhead_blocks(plan, group);
    const first = geometry.firstDataBlock + group * geometry.blocksPerGroup;
    const inodeTable = first + structures - plan.tableBlocks;
    clear(first + structures - plan.tableBlocks - 2, plan.tableBlocks + 2);
    freeBlocks += writeGroup(device, plan, group, structures, inodeTable);
    device.changed(
      inodeTable * geometry.blockSize_bytes - 2 * geometry.blockSize_bytes,
      (plan.tableBlocks + 2) * geometry.blockSize_bytes,
    );
  }
  const superblock = superblockOf(device);
  superblock.setFreeBlocksCount(superblockOffset_bytes, freeBlocks);
  superblock.setFreeInodesCount(superblockOffset_bytes, geometry.inodesCount - inodeNumber.firstFree + 1);
  device.changed(0, (geometry.firstDataBlock + 1 + plan.descriptorBlocks) * geometry.blockSize_bytes);
  return geometry;
}

/** The geometry that formatting with these options would give. @throws MountError as formatting would. */
export function planGeometry(device: BlockDevice, options: MakeOptions): Geometry {
  return makePlan(device, options).geometry;
}

/**
 * Copies the superblock and the descriptors to the groups that keep copies, for e2fsck to fall back on. To be
 * called when the file system is complete.
 */
export function writeCopies(device: BlockDevice, geometry: Geometry): void {
  const { blockSize_bytes, firstDataBlock } = geometry;
  const descriptorBytes =
    Math.ceil((geometry.groupsCount * bytesPerDescriptor) / blockSize_bytes) * blockSize_bytes;
  const superblock = superblockOf(device);
  for (let group = 1; group < geometry.groupsCount; group++) {
    if (!hasSuperblockCopy(group)) continue;
    const address = (firstDataBlock + group * geometry.blocksPerGroup) * blockSize_bytes;
    claim(device, address, blockSize_bytes + descriptorBytes);
    copyBytes(device, superblockOffset_bytes, 1024, address);
    superblock.setGroupNumber(address, group);
    copyBytes(device, geometry.descriptorsOffset_bytes, descriptorBytes, address + blockSize_bytes);
    device.changed(address, blockSize_bytes + descriptorBytes);
  }
}

function copyBytes({ buffer, guard, base }: BlockDevice, from: number, length: number, to: number): void {
  writeBytes(buffer, guard, base + to, readBytes(buffer, guard, base + from, length));
}

function makePlan(device: BlockDevice, options: MakeOptions): Plan {
  const blockSize_bytes = options.blockSize_bytes ?? 4096;
  if (blockSize_bytes !== 1024 && blockSize_bytes !== 2048 && blockSize_bytes !== 4096) {
    throw new MountError(
      "unsupportedBlockSize",
      `blocks of ${blockSize_bytes} bytes; 1024, 2048 and 4096 are supported`,
    );
  }
  const inodeSize_bytes = options.inodeSize_bytes ?? 256;
  if (inodeSize_bytes !== 128 && inodeSize_bytes !== 256) {
    throw new MountError(
      "unsupportedInodeSize",
      `inodes of ${inodeSize_bytes} bytes; 128 and 256 are supported`,
    );
  }
  const bytesPerInode = device.size_bytes < 64 * 2 ** 20 ? 4096 : 16384;
  const wantedInodes = Math.max(options.inodes ?? Math.floor(device.size_bytes / bytesPerInode), 16);
  const firstDataBlock = blockSize_bytes === 1024 ? 1 : 0;
  const blocksPerGroup = blockSize_bytes * 8;
  let blocksCount = Math.min(Math.floor(device.size_bytes / blockSize_bytes), 2 ** 32 - 1);
  // Leaving off a last group that is too small changes the number of groups, and so everything else.
  for (;;) {
    const groupsCount = Math.ceil((blocksCount - firstDataBlock) / blocksPerGroup);
    if (groupsCount < 1)
      throw new MountError("tooSmall", `a device of ${device.size_bytes} bytes is too small`);
    const plan = planFor(
      { blocksCount, firstDataBlock, blocksPerGroup, groupsCount, blockSize_bytes, inodeSize_bytes },
      wantedInodes,
    );
    const lastBlocks = blocksCount - firstDataBlock - (groupsCount - 1) * blocksPerGroup;
    const overhead = groupOverhead_blocks(plan, groupsCount - 1);
    if (groupsCount === 1) {
      // Room for the root directory and lost+found at least.
      if (lastBlocks < overhead + 8) {
        throw new MountError(
          "tooSmall",
          `a device of ${device.size_bytes} bytes is too small for ${plan.geometry.inodesCount} inodes`,
        );
      }
      return plan;
    }
    if (lastBlocks >= overhead + smallGroup_blocks) return plan;
    blocksCount -= lastBlocks;
  }
}

type Shape = Pick<
  Geometry,
  "blocksCount" | "firstDataBlock" | "blocksPerGroup" | "groupsCount" | "blockSize_bytes" | "inodeSize_bytes"
>;

function planFor(shape: Shape, wantedInodes: number): Plan {
  const { blockSize_bytes, inodeSize_bytes, groupsCount } = shape;
  // Whole blocks of inodes, and whole bytes of the bitmap.
  const inodesPerBlock = blockSize_bytes / inodeSize_bytes;
  const unit = Math.max(inodesPerBlock, 8);
  // The first group holds all reserved inodes, and lost+found's.
  const least = Math.max(wantedInodes / groupsCount, inodeNumber.firstFree);
  const perGroup = Math.ceil(least / unit) * unit;
  const inodesPerGroup = Math.min(perGroup, blockSize_bytes * 8);
  const geometry: Geometry = {
    ...shape,
    inodesPerGroup,
    inodesCount: inodesPerGroup * groupsCount,
    firstInode: inodeNumber.firstFree,
    revision: 1,
    entryTypes: true,
    descriptorsOffset_bytes: (shape.firstDataBlock + 1) * blockSize_bytes,
    readOnlyReason: undefined,
  };
  return {
    geometry,
    descriptorBlocks: Math.ceil((groupsCount * bytesPerDescriptor) / blockSize_bytes),
    tableBlocks: inodesPerGroup / inodesPerBlock,
  };
}

/** Blocks at the start of a group that hold its structures: copies, two bitmaps, the inode table. */
function groupOverhead_blocks(plan: Plan, group: number): number {
  return (hasSuperblockCopy(group) ? 1 + plan.descriptorBlocks : 0) + 2 + plan.tableBlocks;
}

/** Writes a group's bitmaps and descriptor; returns its free blocks. */
function writeGroup(
  device: BlockDevice,
  plan: Plan,
  group: number,
  structures: number,
  inodeTable: number,
): number {
  const { geometry } = plan;
  const { blockSize_bytes, blocksPerGroup, inodesPerGroup } = geometry;
  const { buffer, base, guard } = device;
  const words = overlay(Word, buffer, {
    format: "ilp32",
    base,
    addressing: "address",
    checked: false,
    guard,
  });
  const blocks = Math.min(
    blocksPerGroup,
    geometry.blocksCount - geometry.firstDataBlock - group * blocksPerGroup,
  );
  const usedInodes = group === 0 ? inodeNumber.firstFree - 1 : 0;
  const blockBitmap = inodeTable - 2;
  const inodeBitmap = inodeTable - 1;
  setBits(words, blockBitmap * blockSize_bytes, 0, structures);
  // Bits beyond the end count as used.
  setBits(words, blockBitmap * blockSize_bytes, blocks, blockSize_bytes * 8 - blocks);
  setBits(words, inodeBitmap * blockSize_bytes, 0, usedInodes);
  setBits(words, inodeBitmap * blockSize_bytes, inodesPerGroup, blockSize_bytes * 8 - inodesPerGroup);
  const descriptors = overlay(GroupDescriptor, buffer, {
    format: "ilp32",
    base: base + geometry.descriptorsOffset_bytes,
    count: geometry.groupsCount,
    guard,
  });
  descriptors.setBlockBitmap(group, blockBitmap);
  descriptors.setInodeBitmap(group, inodeBitmap);
  descriptors.setInodeTable(group, inodeTable);
  descriptors.setFreeBlocksCount(group, blocks - structures);
  descriptors.setFreeInodesCount(group, inodesPerGroup - usedInodes);
  return blocks - structures;
}

function writeSuperblock(device: BlockDevice, plan: Plan, options: MakeOptions, now_ns: number): void {
  const { geometry } = plan;
  const superblock = superblockOf(device);
  const at = superblockOffset_bytes;
  const now = seconds(now_ns);
  const logBlockSize = Math.log2(geometry.blockSize_bytes / 1024);
  superblock.setInodesCount(at, geometry.inodesCount);
  superblock.setBlocksCount(at, geometry.blocksCount);
  superblock.setFirstDataBlock(at, geometry.firstDataBlock);
  superblock.setLogBlockSize(at, logBlockSize);
  superblock.setLogFragmentSize(at, logBlockSize);
  superblock.setBlocksPerGroup(at, geometry.blocksPerGroup);
  superblock.setFragmentsPerGroup(at, geometry.blocksPerGroup);
  superblock.setInodesPerGroup(at, geometry.inodesPerGroup);
  superblock.setWriteTime(at, now);
  superblock.setMountCountMax(at, 0xffff);
  superblock.setMagic(at, magicNumber);
  superblock.setState(at, volumeState.clean);
  superblock.setErrorBehaviour(at, 1);
  superblock.setLastCheckTime(at, now);
  superblock.setCreatorSystem(at, creatorLinux);
  superblock.setRevision(at, 1);
  superblock.setFirstInode(at, geometry.firstInode);
  superblock.setInodeSize(at, geometry.inodeSize_bytes);
  superblock.setIncompatibleFeatures(at, incompatibleFeature.fileType);
  superblock.setReadOnlyFeatures(at, readOnlyFeature.sparseSuper | readOnlyFeature.largeFile);
  superblock.setUuid(at, options.uuid ?? deriveUuid(now_ns, device.size_bytes));
  const name = new TextEncoder().encode(options.volumeName ?? "");
  superblock.setVolumeName(at, name.subarray(0, 16));
  superblock.setMakeTime(at, now);
  if (geometry.inodeSize_bytes > inodeBaseSize_bytes) {
    superblock.setExtraSizeMin(at, extraSize_bytes);
    superblock.setExtraSizeWanted(at, extraSize_bytes);
  }
}

function superblockOf(device: BlockDevice): Accessor<(typeof Superblock)["fields"]> {
  return overlay(Superblock, device.buffer, {
    format: "ilp32",
    base: device.base,
    addressing: "address",
    checked: false,
    guard: device.guard,
  });
}

function claim(device: BlockDevice, address: number, length: number): void {
  const result = device.claim(address, length);
  if (result < 0) throw new MountError("diskError", "reading from the disk failed");
}

/** A version 4 (random) UUID's shape around a hash of what differs between volumes. */
function deriveUuid(now_ns: number, size_bytes: number): Uint8Array {
  const uuid = new Uint8Array(16);
  let hash = 0x811c9dc5;
  const seed = `${now_ns} ${size_bytes}`;
  for (let i = 0; i < uuid.length; i++) {
    for (let k = 0; k < seed.length; k++) hash = Math.imul(hash ^ (seed.charCodeAt(k) + i), 0x01000193);
    uuid[i] = hash >>> 13;
  }
  uuid[6] = (uuid[6] & 0x0f) | 0x40;
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
  return uuid;
}
