/**
 * The tree of names: looking up, making, linking and removing. (Renaming is in `rename.ts`.) Each call locks
 * the inodes it needs in the order told in `shared.ts` and releases them before it returns.
 */
import { errno } from "../../../kernel/errno.ts";
import { overlay } from "../../../memory/index.ts";
import type { DirectoryVisitor } from "../filesystem.ts";
import { pointersOffset_bytes } from "./block-map.ts";
import {
  DirectoryEntry,
  entryHeader_bytes,
  fastLink_bytes_max,
  linkCount_max,
  linkTarget_bytes_max,
  modePermissions,
  modeType,
} from "./layout.ts";
import { decodeTarget, encodeTarget, NameBuffer } from "./names.ts";
import type { Parts } from "./parts.ts";

/** A copy of one directory block and accessors over it. */
interface BlockCopy {
  readonly bytes: Uint8Array;
  readonly entries: Parts["volume"]["entries"];
}

export class Tree {
  readonly #parts: Parts;
  readonly #name = new NameBuffer();
  /** Reused by `readDirectory`; taken out while in use, since a visitor may read another directory. */
  #spareCopy: BlockCopy | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  lookup(directory: number, name: string): number {
    const { volume, directories } = this.#parts;
    if (!volume.hasInode(directory)) return -errno.NOENT;
    const status = this.#name.set(name);
    if (status < 0) return status === -errno.NAMETOOLONG ? status : -errno.NOENT;
    const { inodeCores, owner } = volume;
    inodeCores.acquireMutex(directory, owner);
    try {
      const address = directoryAddress(this.#parts, directory);
      if (address < 0) return address;
      const inode = directories.find(address, this.#name);
      return inode === 0 ? -errno.NOENT : inode;
    } finally {
      inodeCores.releaseMutex(directory, owner);
    }
  }

  createFile(directory: number, name: string, mode: number): number {
    return this.#make(directory, name, modeType.regular | (mode & modePermissions), undefined);
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    return this.#make(directory, name, modeType.directory | (mode & modePermissions), undefined);
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    const bytes = encodeTarget(target);
    if (bytes === undefined) return -errno.INVAL;
    const bytes_max = Math.min(linkTarget_bytes_max, this.#parts.volume.blockSize_bytes - 1);
    if (bytes.length > bytes_max) return -errno.NAMETOOLONG;
    return this.#make(directory, name, modeType.symbolicLink | 0o777, bytes);
  }

  readSymbolicLink(inode: number): string | number {
    const { volume, inodes, map } = this.#parts;
    if (!volume.hasInode(inode)) return -errno.NOENT;
    const { inodeCores, owner } = volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = volume.inodeAddress(inode);
      if (!isLive(this.#parts, inode, address)) return -errno.NOENT;
      if (!inodes.isSymbolicLink(address)) return -errno.INVAL;
      const length = inodes.size(address);
      let from = address + pointersOffset_bytes;
      if (!inodes.isFastLink(address)) {
        map.find(address, 0, 1);
        if (map.physical === 0 || length >= volume.blockSize_bytes)
          volume.damaged(`symbolic link ${inode} has no target`);
        from = volume.blockAddress(map.physical);
      } else if (length > fastLink_bytes_max) {
        volume.damaged(`symbolic link ${inode} is ${length} bytes long`);
      }
      const target = new Uint8Array(length);
      volume.copyOut(from, length, target, 0);
      inodes.accessed(inode, address);
      return decodeTarget(target);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  link(inode: number, directory: number, name: string): number {
    const { volume, inodes, directories, locks } = this.#parts;
    if (volume.readOnly) return -errno.ROFS;
    if (!volume.hasInode(directory) || !volume.hasInode(inode)) return -errno.NOENT;
    const status = this.#name.set(name);
    if (status < 0) return status;
    try {
      locks.acquireAll(directory, inode, 0, 0);
      const parent = directoryAddress(this.#parts, directory);
      if (parent < 0) return parent;
      const address = volume.inodeAddress(inode);
      const links = volume.inodes.linksCount(address);
      if (links === 0) return -errno.NOENT;
      if (inodes.isDirectory(address)) return -errno.PERM;
      if (directories.find(parent, this.#name) !== 0) return -errno.EXIST;
      if (links >= linkCount_max) return -errno.MLINK;
      // Counted before it is named: a count too high only leaks.
      volume.inodes.setLinksCount(address, links + 1);
      if (!directories.add(directory, parent, this.#name, inode, volume.inodes.mode(address))) {
        volume.inodes.setLinksCount(address, links);
        volume.inodeChanged(address);
        return -errno.NOSPC;
      }
      inodes.setChangeTime(address, volume.now_ns());
      inodes.modified(directory, parent);
      return 0;
    } finally {
      locks.releaseAll();
    }
  }

  unlink(directory: number, name: string): number {
    const { volume, inodes, directories, locks } = this.#parts;
    if (volume.readOnly) return -errno.ROFS;
    const status = this.#name.set(name);
    if (status < 0) return status;
    if (this.#name.isDots()) return -errno.ISDIR;
    try {
      const inode = this.#lockEntry(directory);
      if (inode < 0) return inode;
      const address = volume.inodeAddress(inode);
      if (inodes.isDirectory(address)) return -errno.ISDIR;
      const parent = volume.inodeAddress(directory);
      directories.remove(parent);
      inodes.modified(directory, parent);
      dropLink(this.#parts, inode, address);
      return 0;
    } finally {
      locks.releaseAll();
    }
  }

  removeDirectory(directory: number, name: string): number {
    const { volume, inodes, directories, locks } = this.#parts;
    if (volume.readOnly) return -errno.ROFS;
    const status = this.#name.set(name);
    if (status < 0) return status;
    if (this.#name.isDots()) return this.#name.length === 1 ? -errno.INVAL : -errno.NOTEMPTY;
    try {
      const inode = this.#lockEntry(directory);
      if (inode < 0) return inode;
      const address = volume.inodeAddress(inode);
      if (!inodes.isDirectory(address)) return -errno.NOTDIR;
      if (!directories.isEmpty(address)) return -errno.NOTEMPTY;
      const parent = volume.inodeAddress(directory);
      directories.remove(parent);
      dropLink(this.#parts, inode, address);
      // Last, since the directory's ".." counts until it is deleted.
      changeLinks(this.#parts, parent, -1);
      inodes.modified(directory, parent);
      return 0;
    } finally {
      locks.releaseAll();
    }
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    const { volume, directories } = this.#parts;
    if (!volume.hasInode(directory)) return -errno.NOENT;
    if (!Number.isSafeInteger(cookie) || cookie < 0) return -errno.INVAL;
    const copy = this.#takeCopy();
    try {
      for (let position = cookie; ; ) {
        const length = this.#copyBlock(directory, position, copy.bytes);
        if (length <= 0) return length;
        // Entries may have changed since the cookie was given out: start at the block's first one and leave
        // out those before the cookie.
        const start = position - (position % length);
        for (let at = 0; at < length; ) {
          const recordLength = copy.entries.recordLength(at);
          const inode = copy.entries.inode(at);
          if (inode !== 0 && start + at >= position) {
            const name = at + entryHeader_bytes;
            const type = directories.typeOfEntry(inode, copy.entries.fileType(at));
            const nameBytes = copy.bytes.slice(name, name + copy.entries.nameLength(at));
            if (!visit(start + at + recordLength, inode, type, nameBytes)) return 0;
          }
          at += recordLength;
        }
        position = start + length;
      }
    } finally {
      this.#spareCopy = copy;
    }
  }

  /** Makes a file, directory or symbolic link; its inode number. */
  #make(directory: number, name: string, mode: number, target: Uint8Array | undefined): number {
    const { volume, inodes, directories, allocator, locks } = this.#parts;
    if (volume.readOnly) return -errno.ROFS;
    if (!volume.hasInode(directory)) return -errno.NOENT;
    const status = this.#name.set(name);
    if (status < 0) return status;
    const isDirectory = (mode & modeType.mask) === modeType.directory;
    try {
      locks.acquire(directory);
      const parent = directoryAddress(this.#parts, directory);
      if (parent < 0) return parent;
      if (directories.find(parent, this.#name) !== 0) return -errno.EXIST;
      if (isDirectory && volume.inodes.linksCount(parent) >= linkCount_max) return -errno.MLINK;
      const inode = allocator.allocateInode(directory, isDirectory);
      if (inode === 0) return -errno.NOSPC;
      const address = inodes.initialise(inode, mode);
      let room = true;
      if (isDirectory) room = directories.makeEmpty(inode, address, directory);
      else if (target !== undefined) room = this.#writeTarget(inode, address, target);
      // A directory counts as its parent's link from before it is one: a count too high only leaks.
      if (room && isDirectory) changeLinks(this.#parts, parent, 1);
      if (room) changeLinks(this.#parts, address, isDirectory ? 2 : 1);
      if (!room || !directories.add(directory, parent, this.#name, inode, mode)) {
        if (room && isDirectory) changeLinks(this.#parts, parent, -1);
        inodes.delete(inode, address);
        return -errno.NOSPC;
      }
      inodes.modified(directory, parent);
      return inode;
    } finally {
      locks.releaseAll();
    }
  }

  /** Stores a link's target: short ones in the inode, others in a block. False when the device is full. */
  #writeTarget(inode: number, address: number, target: Uint8Array): boolean {
    const { volume, inodes, map } = this.#parts;
    if (target.length <= fastLink_bytes_max) {
      volume.copyIn(target, 0, target.length, address + pointersOffset_bytes);
    } else {
      if (!map.reserve(address, inode, 0, 1)) return false;
      const at = map.physical * volume.blockSize_bytes;
      volume.claim(at, volume.blockSize_bytes);
      volume.zero(at, volume.blockSize_bytes);
      volume.copyIn(target, 0, target.length, at);
      volume.changed(at, volume.blockSize_bytes);
      map.commit(address);
    }
    inodes.setSize(address, target.length);
    return true;
  }

  /**
   * Locks a directory and the inode that the name in `#name` stands for there; the inode's number, or a negated
   * errno. The entry is the one that `directories.find` found last.
   */
  #lockEntry(directory: number): number {
    const { volume, directories, locks } = this.#parts;
    if (!volume.hasInode(directory)) return -errno.NOENT;
    let expected = 0;
    for (;;) {
      locks.acquireAll(directory, expected, 0, 0);
      const address = directoryAddress(this.#parts, directory);
      if (address < 0) return address;
      const inode = directories.find(address, this.#name);
      if (inode === 0) return -errno.NOENT;
      if (locks.acquireOrTry(inode)) {
        if (volume.inodes.linksCount(volume.inodeAddress(inode)) === 0) this.#damagedEntry(directory, inode);
        return inode;
      }
      // Its number is lower and somebody has it: take both in order, and look whether it is still the one.
      locks.releaseInodes();
      expected = inode;
    }
  }

  /** Going on would free the inode's blocks a second time. */
  #damagedEntry(directory: number, inode: number): never {
    return this.#parts.volume.damaged(`directory ${directory} names inode ${inode}, which is deleted`);
  }

  #copyBlock(directory: number, position: number, into: Uint8Array): number {
    const { volume, inodes, directories } = this.#parts;
    const { inodeCores, owner } = volume;
    inodeCores.acquireMutex(directory, owner);
    try {
      const address = volume.inodeAddress(directory);
      if (!isLive(this.#parts, directory, address)) return -errno.NOENT;
      if (!inodes.isDirectory(address)) return -errno.NOTDIR;
      // A directory that was removed but is still open reads as empty.
      if (volume.inodes.linksCount(address) === 0) return 0;
      if (position === 0) inodes.accessed(directory, address);
      return directories.copyBlock(address, position, into);
    } finally {
      inodeCores.releaseMutex(directory, owner);
    }
  }

  #takeCopy(): BlockCopy {
    const spare = this.#spareCopy;
    this.#spareCopy = undefined;
    if (spare !== undefined) return spare;
    const bytes = new Uint8Array(this.#parts.volume.blockSize_bytes);
    const entries = overlay(DirectoryEntry, bytes.buffer, {
      format: "ilp32",
      addressing: "address",
      checked: false,
    });
    return { bytes, entries };
  }
}

/** The address of a locked inode that must be a directory with a name: else −ENOENT or −ENOTDIR. */
export function directoryAddress(parts: Parts, directory: number): number {
  const address = parts.volume.inodeAddress(directory);
  if (parts.volume.inodes.linksCount(address) === 0) return -errno.NOENT;
  return parts.inodes.isDirectory(address) ? address : -errno.NOTDIR;
}

/** True when a locked inode exists: it has a name, or somebody has it open. */
export function isLive(parts: Parts, inode: number, address: number): boolean {
  return parts.volume.inodes.linksCount(address) !== 0 || parts.volume.inodeCores.references(inode) !== 0;
}

/** Changes a locked inode's link count. */
export function changeLinks(parts: Parts, address: number, by: number): void {
  const { inodes } = parts.volume;
  inodes.setLinksCount(address, inodes.linksCount(address) + by);
  parts.volume.inodeChanged(address);
}

/**
 * A locked inode has lost a name (a directory its only one). Deletes it if that was the last and nobody has it
 * open; then the caller must not touch it any more.
 */
export function dropLink(parts: Parts, inode: number, address: number): void {
  const { volume, inodes } = parts;
  const links = inodes.isDirectory(address) ? 0 : Math.max(volume.inodes.linksCount(address) - 1, 0);
  volume.inodes.setLinksCount(address, links);
  inodes.setChangeTime(address, volume.now_ns());
  // From here on nobody but this kernel can know of it, or `deleting` tells.
  if (volume.core.moveTarget(0) === inode) volume.core.setMoveTarget(0, 0);
  if (links === 0 && volume.inodeCores.references(inode) === 0) inodes.delete(inode, address);
}
