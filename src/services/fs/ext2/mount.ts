/**
 * The beginning and the end of a mount, and what is done about one that did not reach its end.
 *
 * Handshake with e2fsck, as ext2 has always done it: while mounted for writing, the superblock is not marked
 * clean; unmount marks it as it was before. A volume that was not clean at mount is usable, but its counts are
 * corrected first, and it stays marked until e2fsck has looked at it.
 */
import { MountError } from "./errors.ts";
import { inodeNumber, modeType, superblockOffset_bytes, volumeState } from "./layout.ts";
import { NameBuffer } from "./names.ts";
import type { Parts } from "./parts.ts";
import { seconds } from "./volume.ts";

const lostFound = "lost+found";
/** e2fsck can put this much into lost+found without allocating blocks. */
const lostFound_bytes = 16384;

/** Marks the volume as mounted. The caller is the only one to know of it yet. */
export function beginMount(parts: Parts): void {
  const { volume } = parts;
  const { superblock, core } = volume;
  const at = superblockOffset_bytes;
  const state = superblock.state(at);
  core.setStateAtMount(0, state);
  if (!volume.readOnly) {
    if ((state & volumeState.clean) === 0) repair(parts);
    superblock.setState(at, state & ~volumeState.clean);
    superblock.setMountCount(at, superblock.mountCount(at) + 1);
    superblock.setMountTime(at, seconds(volume.now_ns()));
    volume.changed(at, 1024);
  }
  core.setMounted(0, 1);
}

/**
 * Puts right what a volume that was not unmounted may safely be helped with: counts, and files that had lost
 * their last name or not yet got their first.
 */
function repair(parts: Parts): void {
  const { volume, allocator, inodes } = parts;
  const { groupsCount, inodesPerGroup, firstInode } = volume.geometry;
  for (let group = 0; group < groupsCount; group++) {
    allocator.recount(group);
    let directories = 0;
    for (let inode = group * inodesPerGroup + 1; inode <= (group + 1) * inodesPerGroup; inode++) {
      if (!allocator.isInodeUsed(inode)) continue;
      const address = volume.inodeAddress(inode);
      if (inodes.isDirectory(address)) directories++;
      const unnamed = inode >= firstInode && volume.inodes.linksCount(address) === 0;
      // Its last name went when its block map was whole, so that its blocks are its own.
      if (unnamed) volume.inodeCores.setDeleting(inode, 1);
    }
    volume.descriptors.setUsedDirectoriesCount(group, directories);
  }
  for (let inode = firstInode; inode <= volume.inodesCount; inode++) {
    if (volume.inodeCores.deleting(inode) !== 0) inodes.delete(inode, volume.inodeAddress(inode));
  }
  volume.writeTotals();
}

/** Everything back to the device. Zero, or a negated errno of the disk. */
export function endMount(parts: Parts): number {
  const { volume } = parts;
  volume.core.setMounted(0, 0);
  if (volume.readOnly) return 0;
  deleteOrphans(parts);
  volume.writeTotals();
  // What is on the disk must be complete before it is called clean.
  const written = volume.device.flush();
  if (written < 0) return written;
  const { superblock, core } = volume;
  const at = superblockOffset_bytes;
  const errors = superblock.state(at) & volumeState.errors;
  superblock.setState(at, errors | (core.stateAtMount(0) & (errors === 0 ? 0xffff : ~volumeState.clean)));
  volume.changed(at, 1024);
  return volume.device.flush();
}

/** Makes the root directory and lost+found on a new file system. */
export function makeRoot(parts: Parts): void {
  const { volume, inodes, directories, allocator } = parts;
  const root = inodeNumber.root;
  const rootAddress = inodes.initialise(root, modeType.directory | 0o755);
  const found = allocator.allocateInode(root, true);
  const foundAddress = inodes.initialise(found, modeType.directory | 0o700);
  volume.inodes.setLinksCount(rootAddress, 3);
  volume.inodes.setLinksCount(foundAddress, 2);
  const name = new NameBuffer();
  name.set(lostFound);
  const made =
    directories.makeEmpty(root, rootAddress, root) &&
    directories.makeEmpty(found, foundAddress, root) &&
    directories.find(rootAddress, name) === 0 &&
    directories.add(root, rootAddress, name, found, modeType.directory);
  if (!made) throw new MountError("tooSmall", "the device has no room for a root directory");
  // The root's inode is reserved: nobody counted it when it was made.
  volume.descriptors.setUsedDirectoriesCount(0, volume.descriptors.usedDirectoriesCount(0) + 1);
  const wanted_blocks = Math.min(lostFound_bytes / volume.blockSize_bytes, 12);
  for (let blocks = 1; blocks < wanted_blocks && volume.countFree().blocks > wanted_blocks; blocks++) {
    if (!directories.addEmptyBlock(found, foundAddress)) break;
  }
  volume.writeTotals();
}

/** Deletes inodes that only open handles kept. */
function deleteOrphans(parts: Parts): void {
  const { volume, inodes } = parts;
  for (let inode = 1; inode <= volume.inodesCount; inode++) {
    if (volume.inodeCores.references(inode) === 0) continue;
    volume.inodeCores.setReferences(inode, 0);
    const address = volume.inodeAddress(inode);
    if (volume.inodes.linksCount(address) === 0) inodes.delete(inode, address);
  }
}
