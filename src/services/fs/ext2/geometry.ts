/**
 * A volume's geometry: what its superblock and group descriptors say that never changes while it is mounted,
 * checked. Anything here may come from a foreign or damaged image.
 */
import { errnoName } from "../../../kernel/errno.ts";
import { overlay } from "../../../memory/index.ts";
import type { BlockDevice } from "../../block/block-device.ts";
import { MountError } from "./errors.ts";
import {
  compatibleFeature,
  GroupDescriptor,
  incompatibleFeature,
  inodeBaseSize_bytes,
  inodeNumber,
  magicNumber,
  readOnlyFeature,
  Superblock,
  superblockOffset_bytes,
  volumeState,
} from "./layout.ts";

export interface Geometry {
  readonly blockSize_bytes: number;
  readonly blocksCount: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly groupsCount: number;
  readonly inodesCount: number;
  readonly inodesPerGroup: number;
  readonly inodeSize_bytes: number;
  /** The first inode that is not reserved. */
  readonly firstInode: number;
  readonly revision: number;
  /** Directory entries hold file types. */
  readonly entryTypes: boolean;
  /** Device offset of the group descriptor table. */
  readonly descriptorsOffset_bytes: number;
  /** Why the volume may only be read, if so. */
  readonly readOnlyReason: string | undefined;
}

const supportedReadOnlyFeatures =
  readOnlyFeature.sparseSuper | readOnlyFeature.largeFile | readOnlyFeature.treeDirectories;

/**
 * Reads and checks the geometry.
 * @throws MountError naming what is unsupported or damaged.
 */
export function readGeometry(device: BlockDevice): Geometry {
  load(device, superblockOffset_bytes, 1024, "the superblock");
  const superblock = overlay(Superblock, device.buffer, {
    format: "ilp32",
    base: device.base,
    addressing: "address",
    guard: device.guard,
  });
  const at = superblockOffset_bytes;
  if (superblock.magic(at) !== magicNumber) {
    throw new MountError(
      "notExt2",
      "no ext2 file system on the device (wrong magic number in the superblock)",
    );
  }
  const revision = superblock.revision(at);
  if (revision > 1)
    throw new MountError("unsupportedRevision", `revision ${revision} of the format is not known`);
  const logBlockSize = superblock.logBlockSize(at);
  if (logBlockSize > 2) {
    throw new MountError(
      "unsupportedBlockSize",
      `blocks of 2^${10 + logBlockSize} bytes; 1, 2 and 4 KiB are supported`,
    );
  }
  const blockSize_bytes = 1024 << logBlockSize;
  const inodeSize_bytes = revision === 0 ? inodeBaseSize_bytes : superblock.inodeSize(at);
  if (inodeSize_bytes !== 128 && inodeSize_bytes !== 256) {
    throw new MountError(
      "unsupportedInodeSize",
      `inodes of ${inodeSize_bytes} bytes; 128 and 256 are supported`,
    );
  }
  const incompatible = revision === 0 ? 0 : superblock.incompatibleFeatures(at);
  refuseFeatures(incompatible);
  const geometry: Geometry = {
    blockSize_bytes,
    blocksCount: superblock.blocksCount(at),
    firstDataBlock: superblock.firstDataBlock(at),
    blocksPerGroup: superblock.blocksPerGroup(at),
    groupsCount: Math.ceil(
      (superblock.blocksCount(at) - superblock.firstDataBlock(at)) / superblock.blocksPerGroup(at),
    ),
    inodesCount: superblock.inodesCount(at),
    inodesPerGroup: superblock.inodesPerGroup(at),
    inodeSize_bytes,
    firstInode: revision === 0 ? inodeNumber.firstFree : superblock.firstInode(at),
    revision,
    entryTypes: (incompatible & incompatibleFeature.fileType) !== 0,
    descriptorsOffset_bytes: (superblock.firstDataBlock(at) + 1) * blockSize_bytes,
    readOnlyReason: readOnlyReason(
      device,
      revision === 0 ? 0 : superblock.readOnlyFeatures(at),
      revision === 0 ? 0 : superblock.compatibleFeatures(at),
      superblock.state(at),
    ),
  };
  checkGeometry(geometry, device);
  checkDescriptors(geometry, device);
  return geometry;
}

function load(device: BlockDevice, offset: number, length: number, what: string): void {
  if (offset + length > device.size_bytes) throw new MountError("damaged", `the device ends before ${what}`);
  const result = device.load(offset, length);
  if (result < 0) throw new MountError("diskError", `reading ${what} failed: ${errnoName(result)}`);
}

/** Refuses features without which the structures cannot be understood, by name. */
function refuseFeatures(incompatible: number): void {
  if ((incompatible & incompatibleFeature.recover) !== 0) {
    throw new MountError(
      "journalNeedsRecovery",
      "the journal must be replayed first (run e2fsck on the image)",
    );
  }
  const unknown = incompatible & ~incompatibleFeature.fileType;
  if (unknown === 0) return;
  const names = Object.entries(incompatibleFeature)
    .filter(([, bits]) => (unknown & bits) !== 0)
    .map(([name]) => name);
  const listed = names.length > 0 ? names.join(", ") : `0x${(unknown >>> 0).toString(16)}`;
  throw new MountError(
    "unsupportedFeature",
    `the file system uses features that ext2 does not have: ${listed}`,
  );
}

function readOnlyReason(
  device: BlockDevice,
  readOnlyFeatures: number,
  compatible: number,
  state: number,
): string | undefined {
  if (device.readOnly) return "the device is read-only";
  const unknown = readOnlyFeatures & ~supportedReadOnlyFeatures;
  if (unknown !== 0) return `unknown features that forbid writing: 0x${(unknown >>> 0).toString(16)}`;
  if ((compatible & compatibleFeature.hasJournal) !== 0) return "the file system has a journal (ext3)";
  if ((state & volumeState.errors) !== 0) return "errors were found earlier (run e2fsck on the image)";
  return undefined;
}

/** Every number that other code multiplies, divides or loops by must make sense. */
function checkGeometry(geometry: Geometry, device: BlockDevice): void {
  const { blockSize_bytes, blocksPerGroup, inodesPerGroup, blocksCount, firstDataBlock } = geometry;
  const damaged = (what: string): MountError =>
    new MountError("damaged", `the superblock makes no sense: ${what}`);
  if (firstDataBlock !== (blockSize_bytes === 1024 ? 1 : 0))
    throw damaged(`first data block ${firstDataBlock}`);
  if (blocksPerGroup < 8 || blocksPerGroup > blockSize_bytes * 8)
    throw damaged(`${blocksPerGroup} blocks per group`);
  if (inodesPerGroup < 1 || inodesPerGroup > blockSize_bytes * 8)
    throw damaged(`${inodesPerGroup} inodes per group`);
  if (blocksCount <= firstDataBlock + 1) throw damaged(`${blocksCount} blocks`);
  if (blocksCount * blockSize_bytes > device.size_bytes) {
    throw damaged(
      `${blocksCount} blocks of ${blockSize_bytes} bytes do not fit the device's ${device.size_bytes} bytes`,
    );
  }
  if (geometry.inodesCount !== geometry.groupsCount * inodesPerGroup)
    throw damaged(`${geometry.inodesCount} inodes`);
  if (geometry.firstInode < inodeNumber.firstFree - 1 || geometry.firstInode > geometry.inodesCount) {
    throw damaged(`first inode ${geometry.firstInode}`);
  }
}

/** Each group's bitmaps and inode table must lie inside the group (ext2 has no flexible groups). */
function checkDescriptors(geometry: Geometry, device: BlockDevice): void {
  const { groupsCount, blockSize_bytes, blocksPerGroup, firstDataBlock, blocksCount } = geometry;
  load(device, geometry.descriptorsOffset_bytes, groupsCount * 32, "the group descriptors");
  const descriptors = overlay(GroupDescriptor, device.buffer, {
    format: "ilp32",
    base: device.base + geometry.descriptorsOffset_bytes,
    count: groupsCount,
    guard: device.guard,
  });
  const tableBlocks = Math.ceil((geometry.inodesPerGroup * geometry.inodeSize_bytes) / blockSize_bytes);
  for (let group = 0; group < groupsCount; group++) {
    const first = firstDataBlock + group * blocksPerGroup;
    const end = Math.min(first + blocksPerGroup, blocksCount);
    const inside = (block: number, count: number): boolean =>
      block > firstDataBlock && block >= first && block + count <= end;
    if (
      !inside(descriptors.blockBitmap(group), 1) ||
      !inside(descriptors.inodeBitmap(group), 1) ||
      !inside(descriptors.inodeTable(group), tableBlocks)
    ) {
      throw new MountError("damaged", `the descriptor of block group ${group} points outside the group`);
    }
  }
}
