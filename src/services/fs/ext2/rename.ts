/**
 * Renaming. The one call that locks several inodes whose numbers it only learns on the way, so it works in
 * attempts: lock the two directories, look both names up, try to lock what they name; when that fails, release
 * everything, lock the same inodes in order and look again. Nothing is changed before all locks are held.
 *
 * A directory that moves to another parent changes the tree's shape. Whoever renames a directory holds the
 * volume's `moves` lock, so that the way from the target directory up to the root, walked without locks, stays as
 * it is. (A directory on that way cannot be removed: it is not empty.)
 *
 * Steps of the change, so that a kernel that dies in between leaves no name without an inode: the moved inode's
 * link count goes up, the new name appears, the old name disappears, the count goes down. For a file any moment
 * of that is a valid state. A directory would have two names in the middle; so its move is written down, and
 * `recovery.ts` completes it.
 */
import { errno } from "../../../kernel/errno.ts";
import { linkCount_max } from "./layout.ts";
import { NameBuffer } from "./names.ts";
import type { Parts } from "./parts.ts";
import { changeLinks, directoryAddress, dropLink } from "./tree.ts";

/** What one attempt says when it must be made again with other locks. */
const again = 1;

export class Renames {
  readonly #parts: Parts;
  readonly #fromName = new NameBuffer();
  readonly #toName = new NameBuffer();
  /** What the names stood for when an attempt last looked: locked from the start by the next one. */
  #moved = 0;
  #target = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    const { volume, locks } = this.#parts;
    if (volume.readOnly) return -errno.ROFS;
    if (!volume.hasInode(fromDirectory) || !volume.hasInode(toDirectory)) return -errno.NOENT;
    const fromStatus = this.#fromName.set(fromName);
    if (fromStatus < 0) return fromStatus;
    const toStatus = this.#toName.set(toName);
    if (toStatus < 0) return toStatus;
    if (this.#fromName.isDots() || this.#toName.isDots()) return -errno.INVAL;
    this.#moved = 0;
    this.#target = 0;
    try {
      for (;;) {
        const result = this.#attempt(fromDirectory, toDirectory);
        if (result !== again) return result;
        locks.releaseInodes();
      }
    } finally {
      locks.releaseAll();
    }
  }

  #attempt(fromDirectory: number, toDirectory: number): number {
    const { volume, inodes, directories, locks } = this.#parts;
    locks.acquireAll(fromDirectory, toDirectory, this.#moved, this.#target);
    const from = directoryAddress(this.#parts, fromDirectory);
    if (from < 0) return from;
    const to = directoryAddress(this.#parts, toDirectory);
    if (to < 0) return to;
    const moved = directories.find(from, this.#fromName);
    if (moved === 0) return -errno.NOENT;
    const target = directories.find(to, this.#toName);
    if (moved === target) return 0;
    const expected = this.#moved === 0 || (moved === this.#moved && target === this.#target);
    this.#moved = moved;
    this.#target = target;
    if (!expected) return again;
    if (!locks.acquireOrTry(moved)) return again;
    if (target !== 0 && !locks.acquireOrTry(target)) return again;
    if (inodes.isDirectory(volume.inodeAddress(moved))) {
      if (!locks.holdsMoves) {
        locks.releaseInodes();
        locks.acquireMoves();
        return again;
      }
      if (fromDirectory !== toDirectory && this.#isAtOrAbove(moved, toDirectory)) return -errno.INVAL;
    }
    for (const inode of [moved, target]) {
      if (inode !== 0 && volume.inodes.linksCount(volume.inodeAddress(inode)) === 0) {
        volume.damaged(`a directory names inode ${inode}, which is deleted`);
      }
    }
    const refusal = this.#refuse(fromDirectory, toDirectory, to);
    if (refusal < 0) return refusal;
    if (!locks.holdsMoves) return this.#move(fromDirectory, from, toDirectory, to);
    this.#record(fromDirectory, toDirectory);
    const result = this.#move(fromDirectory, from, toDirectory, to);
    volume.core.setMoving(0, 0);
    return result;
  }

  /** Writes down which directory moves: half a move would leave it with two names. `moving` comes last. */
  #record(fromDirectory: number, toDirectory: number): void {
    const { core } = this.#parts.volume;
    core.setMoveFrom(0, fromDirectory);
    core.setMoveTo(0, toDirectory);
    core.setMoveTarget(0, this.#target);
    core.setMoveFromLength(0, this.#fromName.length);
    core.setMoveToLength(0, this.#toName.length);
    core.setMoveFromName(0, this.#fromName.bytes.subarray(0, this.#fromName.length));
    core.setMoveToName(0, this.#toName.bytes.subarray(0, this.#toName.length));
    core.setMoving(0, this.#moved);
  }

  /** What POSIX forbids, as a negated errno. */
  #refuse(fromDirectory: number, toDirectory: number, to: number): number {
    const { volume, inodes, directories } = this.#parts;
    const movesDirectory = inodes.isDirectory(volume.inodeAddress(this.#moved));
    if (this.#target !== 0) {
      const target = volume.inodeAddress(this.#target);
      if (inodes.isDirectory(target)) {
        if (!movesDirectory) return -errno.ISDIR;
        if (!directories.isEmpty(target)) return -errno.NOTEMPTY;
      } else if (movesDirectory) {
        return -errno.NOTDIR;
      }
    } else if (
      movesDirectory &&
      fromDirectory !== toDirectory &&
      volume.inodes.linksCount(to) >= linkCount_max
    ) {
      return -errno.MLINK;
    }
    return 0;
  }

  #move(fromDirectory: number, from: number, toDirectory: number, to: number): number {
    const { volume, inodes, directories } = this.#parts;
    const address = volume.inodeAddress(this.#moved);
    const mode = volume.inodes.mode(address);
    const movesDirectory = inodes.isDirectory(address);
    changeLinks(this.#parts, address, 1);
    if (directories.find(to, this.#toName) !== 0) {
      directories.replace(to, this.#moved, mode);
    } else if (!directories.add(toDirectory, to, this.#toName, this.#moved, mode)) {
      changeLinks(this.#parts, address, -1);
      return -errno.NOSPC;
    }
    // The new name may have taken room right before the old one: look again.
    if (directories.find(from, this.#fromName) !== this.#moved) volume.damaged("a directory entry vanished");
    directories.remove(from);
    changeLinks(this.#parts, address, -1);
    inodes.setChangeTime(address, volume.now_ns());
    if (movesDirectory && fromDirectory !== toDirectory) {
      changeLinks(this.#parts, to, 1);
      directories.setParent(address, toDirectory);
      changeLinks(this.#parts, from, -1);
    }
    if (this.#target !== 0) {
      const target = volume.inodeAddress(this.#target);
      const wasDirectory = inodes.isDirectory(target);
      dropLink(this.#parts, this.#target, target);
      if (wasDirectory) changeLinks(this.#parts, to, -1);
    }
    inodes.modified(fromDirectory, from);
    if (toDirectory !== fromDirectory) inodes.modified(toDirectory, to);
    return 0;
  }

  /** True when `directory` is `ancestor` or lies below it. */
  #isAtOrAbove(ancestor: number, directory: number): boolean {
    const { volume, directories } = this.#parts;
    let at = directory;
    for (let steps = 0; at !== ancestor; steps++) {
      const parent = directories.parent(volume.inodeAddress(at));
      // The root is its own parent.
      if (parent === at) return false;
      if (steps > volume.inodesCount) volume.damaged("directories form a circle");
      at = parent;
    }
    return true;
  }
}
