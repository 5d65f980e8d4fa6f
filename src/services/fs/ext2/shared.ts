/**
 * The in-core state of a mounted volume that all kernels share: typed areas named `ext2.<volume>.*`.
 * Everything else that `Ext2` objects hold is constant while mounted, or scratch space of one call.
 *
 * Locks and what they guard:
 * - `Ext2InodeCore.mutex`, one per inode: the inode on the device, its blocks and block pointers, its
 *   directory entries, its attributes.
 * - `Ext2GroupCore.mutex`, one per block group: both bitmaps, the descriptor's counts, the hints here.
 * - `Ext2VolumeCore.superblock`: the superblock's changing fields, reference counts of attribute blocks.
 * - `Ext2VolumeCore.moves`: held while a directory is renamed, so that the tree's shape above a directory holds
 *   still during the loop check; and the record of that move.
 *
 * Order (a kernel waits for a lock only while all it holds come before it):
 * `moves`, then inodes by rising number, then one group or `superblock`, then the device's own locks.
 * Taking an inode lock out of order is only ever tried (`tryAcquire`), and on failure everything is released
 * and taken again in order.
 */
import {
  type Area,
  array,
  atomic,
  bytes,
  layoutOf,
  lock,
  type StructType,
  struct,
  type TypedMemory,
  u8,
  u32,
} from "../../../memory/index.ts";
import { nameLength_bytes_max } from "./layout.ts";

/** One record per volume. */
const VolumeCore = struct("Ext2VolumeCore", {
  superblock: lock(),
  moves: lock(),
  /** 1 from mount to unmount. */
  mounted: atomic(u32),
  /** 1 when nothing may be changed. */
  readOnly: u32,
  /** The superblock's `state` before this mount; put back by unmount. */
  stateAtMount: u32,
  /**
   * The directory that is being renamed, 0 for none; who holds `moves` writes it, and `recover` completes the
   * move if that kernel dies. What is replaced is in `moveTarget` as long as it has its name.
   */
  moving: u32,
  moveFrom: u32,
  moveTo: u32,
  moveTarget: u32,
  moveFromLength: u8,
  moveToLength: u8,
  moveFromName: bytes(nameLength_bytes_max),
  moveToName: bytes(nameLength_bytes_max),
});

/** One record per inode, indexed by inode number: a cache line each, because neighbours belong to different kernels. */
const InodeCore = struct("Ext2InodeCore", {
  mutex: lock(),
  /** Open handles on any kernel; the inode is not freed before it is zero. */
  references: u32,
  /** 1 while the access time is later than the last change, so that reads need not look at the clock. */
  accessFresh: u32,
  /** 1 while the inode is being deleted: a survivor must finish that. */
  deleting: u32,
  pad: array(u32, 12),
});

/** One record per block group. */
const GroupCore = struct("Ext2GroupCore", {
  mutex: lock(),
  /** No block below this bit is free. */
  firstFreeBlock: u32,
  /** Where the search for a free inode goes on, so that numbers are reused late. */
  inodeCursor: u32,
  pad: array(u32, 13),
});

/** Room for an area's description and alignment. */
const areaOverhead_bytes = 1024;

export type VolumeArea = Area<(typeof VolumeCore)["fields"]>;
export type InodeArea = Area<(typeof InodeCore)["fields"]>;
export type GroupArea = Area<(typeof GroupCore)["fields"]>;

export interface SharedState {
  readonly volume: VolumeArea;
  readonly inodes: InodeArea;
  readonly groups: GroupArea;
}

/** Creates the areas of a volume. @throws AreaError when the name is taken or the memory full. */
export function createSharedState(
  memory: TypedMemory,
  name: string,
  inodesCount: number,
  groupsCount: number,
): SharedState {
  const names = areaNames(name);
  // The first area is the claim on the name: if it is taken, nothing here is ours to remove.
  const volume = memory.create(names.volume, VolumeCore, { count: 1 });
  try {
    // Inode numbers start at 1.
    const inodes = memory.create(names.inodes, InodeCore, { count: inodesCount + 1 });
    const groups = memory.create(names.groups, GroupCore, { count: groupsCount });
    return { volume, inodes, groups };
  } catch (error) {
    removeSharedState(memory, name);
    throw error;
  }
}

/** Bytes of typed memory that the areas of a volume take, the directory's own records left out. */
export function sharedState_bytes(inodesCount: number, groupsCount: number): number {
  const size = (type: StructType, count: number): number =>
    layoutOf(type, "lp64").size * count + areaOverhead_bytes;
  return size(VolumeCore, 1) + size(InodeCore, inodesCount + 1) + size(GroupCore, groupsCount);
}

/** Joins the areas of a volume. @throws AttachError when there is none of that name. */
export function attachSharedState(memory: TypedMemory, name: string): SharedState {
  const names = areaNames(name);
  return {
    volume: memory.attachArea(names.volume, VolumeCore),
    inodes: memory.attachArea(names.inodes, InodeCore),
    groups: memory.attachArea(names.groups, GroupCore),
  };
}

/** Removes what there is of a volume's areas; the claim on the name goes last. */
export function removeSharedState(memory: TypedMemory, name: string): void {
  const { volume, inodes, groups } = areaNames(name);
  for (const area of [groups, inodes, volume]) if (memory.lookup(area) !== undefined) memory.remove(area);
}

function areaNames(name: string): {
  readonly volume: string;
  readonly inodes: string;
  readonly groups: string;
} {
  return { volume: `ext2.${name}.volume`, inodes: `ext2.${name}.inodes`, groups: `ext2.${name}.groups` };
}
