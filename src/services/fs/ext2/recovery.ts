/**
 * After a kernel's death: frees the locks it held, and completes what it was doing where that is known. The
 * objects behind its locks are in a state between two writes of one call, which every file of this folder keeps
 * harmless; here half-done deletions and moves of directories are completed. What is left over are leaks: blocks or an inode that were allocated and lead nowhere, a file's link
 * count that is too high. e2fsck finds those.
 */
import { NameBuffer } from "./names.ts";
import type { Parts } from "./parts.ts";
import { changeLinks, dropLink } from "./tree.ts";

/** Frees the locks of an owner that is gone, for good; how many there were. Other kernels may go on meanwhile. */
export function releaseLocksOf(parts: Parts, deadOwner: number): number {
  const { volume, allocator } = parts;
  const { inodeCores, groupCores, core } = volume;
  let released = 0;
  // The innermost locks first: what follows allocates and frees.
  for (let group = 0; group < volume.geometry.groupsCount; group++) {
    if (groupCores.ownerOfMutex(group) !== deadOwner) continue;
    allocator.recount(group);
    groupCores.releaseMutex(group, deadOwner);
    released++;
  }
  if (core.ownerOfSuperblock(0) === deadOwner) {
    core.releaseSuperblock(0, deadOwner);
    released++;
  }
  const heldMoves = core.ownerOfMoves(0) === deadOwner;
  if (heldMoves && core.moving(0) !== 0) completeMove(parts);
  // Complete all before any is released: an inode is judged by its directory, which the dead kernel held as well.
  for (let inode = 1; inode <= volume.inodesCount; inode++) {
    if (inodeCores.ownerOfMutex(inode) === deadOwner) completeRemoval(parts, inode, deadOwner);
  }
  for (let inode = 1; inode <= volume.inodesCount; inode++) {
    if (inodeCores.ownerOfMutex(inode) !== deadOwner) continue;
    inodeCores.releaseMutex(inode, deadOwner);
    released++;
  }
  if (heldMoves) {
    core.releaseMoves(0, deadOwner);
    released++;
  }
  return released;
}

/** Finishes a deletion, or the removal of a directory whose name is gone already. */
function completeRemoval(parts: Parts, inode: number, deadOwner: number): void {
  const { volume, inodes, directories } = parts;
  const address = volume.inodeAddress(inode);
  if (volume.inodeCores.deleting(inode) !== 0) {
    inodes.delete(inode, address);
    return;
  }
  if (!inodes.isDirectory(address) || volume.inodes.linksCount(address) === 0) return;
  const parent = directories.parent(address);
  if (parent === inode || volume.inodeCores.ownerOfMutex(parent) !== deadOwner) return;
  const parentAddress = volume.inodeAddress(parent);
  if (volume.inodes.linksCount(parentAddress) === 0 || directories.hasName(parentAddress, inode)) return;
  dropLink(parts, inode, address);
  changeLinks(parts, parentAddress, -1);
}

/**
 * Completes the move of a directory, or finds that it had not begun, and counts links anew. The dead kernel held
 * the locks of all inodes concerned.
 */
function completeMove(parts: Parts): void {
  const { volume, directories } = parts;
  const { core } = volume;
  const moved = core.moving(0);
  const [fromDirectory, toDirectory, target] = [core.moveFrom(0), core.moveTo(0), core.moveTarget(0)];
  const from = volume.inodeAddress(fromDirectory);
  const to = volume.inodeAddress(toDirectory);
  const fromName = new NameBuffer();
  const toName = new NameBuffer();
  const [fromLength, toLength] = [core.moveFromLength(0), core.moveToLength(0)];
  fromName.setBytes(core.moveFromName(0), fromLength);
  toName.setBytes(core.moveToName(0), toLength);
  if (directories.find(to, toName) === moved) {
    if (directories.find(from, fromName) === moved) directories.remove(from);
    directories.setParent(volume.inodeAddress(moved), toDirectory);
    if (target !== 0) dropLink(parts, target, volume.inodeAddress(target));
  }
  for (const inode of [fromDirectory, toDirectory, moved]) {
    const address = volume.inodeAddress(inode);
    volume.inodes.setLinksCount(address, 2 + directories.countDirectories(address));
    volume.inodeChanged(address);
  }
  core.setMoving(0, 0);
}
