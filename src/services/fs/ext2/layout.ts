/**
 * The on-disk structures of ext2 (little-endian, laid out as `ilp32`), and the numbers that go with them.
 * Sizes are asserted when this module loads; nothing else in this folder knows an offset.
 */
import { array, bytes, i32, layoutOf, type StructType, struct, u8, u16, u32 } from "../../../memory/index.ts";

/** The superblock: 1024 bytes at byte 1024 of the device; copies start some of the block groups. */
export const Superblock = struct("Superblock", {
  inodesCount: u32,
  blocksCount: u32,
  reservedBlocksCount: u32,
  freeBlocksCount: u32,
  freeInodesCount: u32,
  /** Block that holds the superblock: 1 with blocks of 1 KiB, else 0. Group 0 starts there. */
  firstDataBlock: u32,
  /** Block size is 1024 << this. */
  logBlockSize: u32,
  logFragmentSize: i32,
  blocksPerGroup: u32,
  fragmentsPerGroup: u32,
  inodesPerGroup: u32,
  mountTime: u32,
  writeTime: u32,
  mountCount: u16,
  mountCountMax: u16,
  magic: u16,
  state: u16,
  errorBehaviour: u16,
  minorRevision: u16,
  lastCheckTime: u32,
  checkInterval: u32,
  creatorSystem: u32,
  revision: u32,
  reservedUser: u16,
  reservedGroup: u16,
  // From here on only in revision 1.
  firstInode: u32,
  inodeSize: u16,
  /** Which group's copy this is. */
  groupNumber: u16,
  compatibleFeatures: u32,
  incompatibleFeatures: u32,
  readOnlyFeatures: u32,
  uuid: bytes(16),
  volumeName: bytes(16),
  lastMounted: bytes(64),
  algorithms: u32,
  preallocateBlocks: u8,
  preallocateDirectoryBlocks: u8,
  reservedDescriptorBlocks: u16,
  journalUuid: bytes(16),
  journalInode: u32,
  journalDevice: u32,
  lastOrphan: u32,
  hashSeed: array(u32, 4),
  defaultHashVersion: u8,
  journalBackupType: u8,
  descriptorSize: u16,
  defaultMountOptions: u32,
  firstMetaGroup: u32,
  makeTime: u32,
  journalBlocks: array(u32, 17),
  blocksCountHigh: u32,
  reservedBlocksCountHigh: u32,
  freeBlocksCountHigh: u32,
  /** Bytes of the inode's extra part that every inode has, and that new inodes should have. */
  extraSizeMin: u16,
  extraSizeWanted: u16,
  rest: bytes(672),
});

export const GroupDescriptor = struct("GroupDescriptor", {
  blockBitmap: u32,
  inodeBitmap: u32,
  inodeTable: u32,
  freeBlocksCount: u16,
  freeInodesCount: u16,
  usedDirectoriesCount: u16,
  pad: u16,
  reserved: array(u32, 3),
});

export const Inode = struct("Inode", {
  mode: u16,
  user: u16,
  sizeLow: u32,
  accessTime: i32,
  changeTime: i32,
  modificationTime: i32,
  deletionTime: u32,
  group: u16,
  linksCount: u16,
  /** Units of 512 bytes, indirect blocks included. */
  sectorsCount: u32,
  flags: u32,
  systemReserved: u32,
  /** 12 direct blocks, then the single, double and triple indirect ones; or a fast symbolic link's target. */
  block: array(u32, 15),
  generation: u32,
  /** Block of extended attributes, 0 for none. */
  attributesBlock: u32,
  /** Upper half of a regular file's size. */
  sizeHigh: u32,
  fragmentAddress: u32,
  systemReserved2: bytes(12),
});

/** What follows the first 128 bytes in larger inodes. Valid up to `extraSize` bytes. */
export const InodeExtra = struct("InodeExtra", {
  extraSize: u16,
  checksumHigh: u16,
  // Each: nanoseconds << 2, the two low bits extend the seconds.
  changeTimeExtra: u32,
  modificationTimeExtra: u32,
  accessTimeExtra: u32,
  creationTime: i32,
  creationTimeExtra: u32,
  versionHigh: u32,
  projectId: u32,
});

/** Directory entry: this header, then the name, padded to a multiple of 4 bytes. Entries fill a block exactly. */
export const DirectoryEntry = struct("DirectoryEntry", {
  /** 0 for an unused entry. */
  inode: u32,
  recordLength: u16,
  nameLength: u8,
  /** 0 where the file system has no `fileType` feature. */
  fileType: u8,
});

/** Starts a block of extended attributes, which inodes with equal attributes share. */
export const AttributesHeader = struct("AttributesHeader", { magic: u32, referenceCount: u32, blocks: u32 });
export const attributesMagic = 0xea020000;

/** One word of a bitmap or of an indirect block. */
export const Word = struct("Word", { value: u32 });

export const superblockOffset_bytes = 1024;
export const inodeBaseSize_bytes = 128;
export const extraSize_bytes = 32;
export const entryHeader_bytes = 8;
export const nameLength_bytes_max = 255;

export const magicNumber = 0xef53;
export const linkCount_max = 32000;
export const directBlocks = 12;
/** Bytes of a fast symbolic link's target, which lies in the inode's block array. */
export const fastLink_bytes_max = 59;
export const fastLinkRoom_bytes = 60;
/** POSIX's PATH_MAX, less the terminating NUL. */
export const linkTarget_bytes_max = 4095;

export const inodeNumber = { badBlocks: 1, root: 2, firstFree: 11 } as const;

export const volumeState = { clean: 1, errors: 2 } as const;

export const compatibleFeature = { hasJournal: 0x4 } as const;
export const incompatibleFeature = {
  compression: 0x1,
  fileType: 0x2,
  recover: 0x4,
  journalDevice: 0x8,
  metaGroups: 0x10,
  extents: 0x40,
  wide: 0x80,
  multipleMount: 0x100,
  flexibleGroups: 0x200,
  attributesInInodes: 0x400,
  directoryData: 0x1000,
  checksumSeed: 0x2000,
  largeDirectories: 0x4000,
  inlineData: 0x8000,
  encryption: 0x10000,
  caseFolding: 0x20000,
} as const;
export const readOnlyFeature = { sparseSuper: 0x1, largeFile: 0x2, treeDirectories: 0x4 } as const;

/** Type bits of an inode's mode. */
export const modeType = {
  mask: 0xf000,
  fifo: 0x1000,
  characterDevice: 0x2000,
  directory: 0x4000,
  blockDevice: 0x6000,
  regular: 0x8000,
  symbolicLink: 0xa000,
  socket: 0xc000,
} as const;
export const modePermissions = 0o7777;

/** Inode flag: the directory has a hash index, which we do not keep up: cleared by the first change. */
export const indexedFlag = 0x1000;

/** File types as directory entries hold them. */
export const entryType = {
  unknown: 0,
  regular: 1,
  directory: 2,
  characterDevice: 3,
  blockDevice: 4,
  fifo: 5,
  socket: 6,
  symbolicLink: 7,
} as const;

/** Bytes that an entry with a name of `nameLength` bytes needs. */
export function entrySize_bytes(nameLength: number): number {
  return (entryHeader_bytes + nameLength + 3) & ~3;
}

/** The directory entry type of an inode with this mode. */
export function entryTypeOfMode(mode: number): number {
  switch (mode & modeType.mask) {
    case modeType.regular:
      return entryType.regular;
    case modeType.directory:
      return entryType.directory;
    case modeType.characterDevice:
      return entryType.characterDevice;
    case modeType.blockDevice:
      return entryType.blockDevice;
    case modeType.fifo:
      return entryType.fifo;
    case modeType.socket:
      return entryType.socket;
    case modeType.symbolicLink:
      return entryType.symbolicLink;
    default:
      return entryType.unknown;
  }
}

/** Groups that hold copies of the superblock and the descriptors under `sparseSuper`: 0, 1, powers of 3, 5 and 7. */
export function hasSuperblockCopy(group: number): boolean {
  if (group <= 1) return true;
  for (const base of [3, 5, 7]) {
    let power = base;
    while (power < group) power *= base;
    if (power === group) return true;
  }
  return false;
}

function assertSize(type: StructType, size_bytes: number): void {
  const actual = layoutOf(type, "ilp32").size;
  if (actual !== size_bytes)
    throw new Error(`ext2: struct ${type.name} is ${actual} bytes, must be ${size_bytes}`);
}
assertSize(Superblock, 1024);
assertSize(GroupDescriptor, 32);
assertSize(Inode, inodeBaseSize_bytes);
assertSize(InodeExtra, extraSize_bytes);
assertSize(DirectoryEntry, entryHeader_bytes);
