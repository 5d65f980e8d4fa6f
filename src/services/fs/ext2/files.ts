/**
 * Open files. A handle is the inode's number and whether it may write, so it means the same on every kernel;
 * what is shared is the count of handles per inode, which keeps an unlinked file until the last one is closed.
 *
 * A handle may come from another kernel and prove nothing: whatever its number, only open regular files of a writable
 * volume are written.
 */
import { errno } from "../../../kernel/errno.ts";
import type { FileData } from "./file-data.ts";
import type { Inodes } from "./inodes.ts";
import { modeType } from "./layout.ts";
import type { Parts } from "./parts.ts";
import type { Volume } from "./volume.ts";

/** A read holds the inode's lock for at most this many bytes at a time. A write holds it throughout: it is atomic. */
const readStep_bytes = 1 << 20;

export class Files {
  readonly #volume: Volume;
  readonly #inodes: Inodes;
  readonly #data: FileData;

  constructor(parts: Parts) {
    this.#volume = parts.volume;
    this.#inodes = parts.inodes;
    this.#data = parts.data;
  }

  open(inode: number, write: boolean): number {
    if (!this.#volume.hasInode(inode)) return -errno.NOENT;
    if (write && this.#volume.readOnly) return -errno.ROFS;
    const { inodeCores, inodes, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = this.#volume.inodeAddress(inode);
      if (inodes.linksCount(address) === 0 && inodeCores.references(inode) === 0) return -errno.NOENT;
      const type = inodes.mode(address) & modeType.mask;
      if (type === modeType.directory) {
        if (write) return -errno.ISDIR;
      } else if (type === modeType.symbolicLink) {
        return -errno.LOOP;
      } else if (type !== modeType.regular) {
        return -errno.NXIO;
      }
      inodeCores.setReferences(inode, inodeCores.references(inode) + 1);
      return inode * 2 + (write ? 1 : 0);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  /** Closing what is not open does nothing. */
  close(handle: number): void {
    const inode = this.#inodeOf(handle);
    if (inode < 0) return;
    const { inodeCores, inodes, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const before = inodeCores.references(inode);
      if (before === 0) return;
      inodeCores.setReferences(inode, before - 1);
      if (before !== 1 || this.#volume.readOnly) return;
      const address = this.#volume.inodeAddress(inode);
      if (inodes.linksCount(address) === 0) this.#inodes.delete(inode, address);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const inode = this.#inodeOf(handle);
    if (inode < 0) return inode;
    const refusal = refuseRange(target, offset, length, position);
    if (refusal < 0) return refusal;
    if (length <= readStep_bytes) return this.#readStep(inode, target, offset, length, position);
    let done = 0;
    while (done < length) {
      const step = Math.min(length - done, readStep_bytes);
      const count = this.#readStep(inode, target, offset + done, step, position + done);
      if (count < 0) return done > 0 ? done : count;
      done += count;
      if (count < step) break;
    }
    return done;
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    const inode = this.#writableInodeOf(handle);
    if (inode < 0) return inode;
    const refusal = refuseRange(source, offset, length, position);
    if (refusal < 0) return refusal;
    const { inodeCores, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = this.#volume.inodeAddress(inode);
      if (!this.#inodes.isRegular(address)) return -errno.BADF;
      return this.#data.write(inode, address, source, offset, length, position);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    const inode = this.#writableInodeOf(handle);
    if (inode < 0) return inode;
    const refusal = refuseRange(source, offset, length, 0);
    if (refusal < 0) return refusal;
    const { inodeCores, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = this.#volume.inodeAddress(inode);
      if (!this.#inodes.isRegular(address)) return -errno.BADF;
      if (length === 0) return this.#inodes.size(address);
      return this.#data.append(inode, address, source, offset, length);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  size(handle: number): number {
    const inode = this.#inodeOf(handle);
    if (inode < 0) return inode;
    const { inodeCores, owner } = this.#volume;
    // The two halves of a size must be read together.
    inodeCores.acquireMutex(inode, owner);
    try {
      return this.#inodes.size(this.#volume.inodeAddress(inode));
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  truncate(handle: number, size_bytes: number): number {
    return this.#setSize(handle, size_bytes, true);
  }

  extend(handle: number, size_bytes: number): number {
    return this.#setSize(handle, size_bytes, false);
  }

  #setSize(handle: number, size_bytes: number, shrinks: boolean): number {
    const inode = this.#writableInodeOf(handle);
    if (inode < 0) return inode;
    if (!Number.isSafeInteger(size_bytes) || size_bytes < 0) return -errno.INVAL;
    const { inodeCores, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = this.#volume.inodeAddress(inode);
      if (!this.#inodes.isRegular(address)) return -errno.BADF;
      if (!shrinks && size_bytes <= this.#inodes.size(address)) return 0;
      return this.#data.truncate(inode, address, size_bytes);
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  /** Zero when the handle is open, else −EBADF. */
  check(handle: number): number {
    return this.#inodeOf(handle) < 0 ? -errno.BADF : 0;
  }

  #readStep(inode: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const { inodeCores, owner } = this.#volume;
    inodeCores.acquireMutex(inode, owner);
    try {
      const address = this.#volume.inodeAddress(inode);
      if (!this.#inodes.isRegular(address)) return -errno.ISDIR;
      const count = this.#data.read(address, target, offset, length, position);
      this.#inodes.accessed(inode, address);
      return count;
    } finally {
      inodeCores.releaseMutex(inode, owner);
    }
  }

  /** The inode that an open handle stands for, or −EBADF. */
  #inodeOf(handle: number): number {
    const inode = handle >> 1;
    // What is no 32-bit number must not stand for another handle.
    if ((handle | 0) !== handle) return -errno.BADF;
    if (!this.#volume.hasInode(inode) || this.#volume.inodeCores.references(inode) === 0) return -errno.BADF;
    return inode;
  }

  #writableInodeOf(handle: number): number {
    return (handle & 1) === 1 && !this.#volume.readOnly ? this.#inodeOf(handle) : -errno.BADF;
  }
}

function refuseRange(array: Uint8Array, offset: number, length: number, position: number): number {
  if (!(offset >= 0 && length >= 0 && offset + length <= array.length)) return -errno.FAULT;
  return Number.isSafeInteger(position) && position >= 0 ? 0 : -errno.INVAL;
}
