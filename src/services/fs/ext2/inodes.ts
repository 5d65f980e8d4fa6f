/**
 * Inodes on the device: sizes, times, types; making new ones and deleting them. The caller holds the inode's
 * lock, except for a new inode that no directory names yet.
 */

import { type Accessor, overlay } from "../../../memory/index.ts";
import { type FileType, fileType, type Stat } from "../filesystem.ts";
import type { Allocator } from "./allocator.ts";
import type { BlockMap } from "./block-map.ts";
import {
  AttributesHeader,
  attributesMagic,
  entryType,
  extraSize_bytes,
  inodeBaseSize_bytes,
  modePermissions,
  modeType,
} from "./layout.ts";
import { seconds, type Volume } from "./volume.ts";

export class Inodes {
  readonly #volume: Volume;
  readonly #allocator: Allocator;
  readonly #map: BlockMap;
  readonly #attributes: Accessor<(typeof AttributesHeader)["fields"]>;
  /** What `#split` was given last, and its answer. */
  #time_ns = 0;
  #seconds = 0;
  #extra = 0;

  constructor(volume: Volume, allocator: Allocator, map: BlockMap) {
    this.#volume = volume;
    this.#allocator = allocator;
    this.#map = map;
    this.#attributes = overlay(AttributesHeader, volume.device.buffer, {
      format: "ilp32",
      base: volume.device.base,
      addressing: "address",
      checked: false,
      guard: volume.device.guard,
    });
  }

  isDirectory(address: number): boolean {
    return (this.#volume.inodes.mode(address) & modeType.mask) === modeType.directory;
  }

  isRegular(address: number): boolean {
    return (this.#volume.inodes.mode(address) & modeType.mask) === modeType.regular;
  }

  isSymbolicLink(address: number): boolean {
    return (this.#volume.inodes.mode(address) & modeType.mask) === modeType.symbolicLink;
  }

  /** True for a symbolic link whose target lies in the inode itself: it has no blocks but its attributes'. */
  isFastLink(address: number): boolean {
    const { inodes, sectorsPerBlock } = this.#volume;
    const attributes = inodes.attributesBlock(address) === 0 ? 0 : sectorsPerBlock;
    return this.isSymbolicLink(address) && inodes.sectorsCount(address) === attributes;
  }

  /** Size in bytes. Only regular files have an upper half. */
  size(address: number): number {
    const inodes = this.#volume.inodes;
    const low = inodes.sizeLow(address);
    const high = inodes.sizeHigh(address);
    // In other inodes the field is the (unused) block of a directory's access list.
    return high !== 0 && this.isRegular(address) ? high * 0x100000000 + low : low;
  }

  setSize(address: number, size_bytes: number): void {
    const inodes = this.#volume.inodes;
    if (size_bytes < 0x80000000) {
      inodes.setSizeLow(address, size_bytes);
      if (inodes.sizeHigh(address) !== 0 && this.isRegular(address)) inodes.setSizeHigh(address, 0);
    } else {
      inodes.setSizeLow(address, size_bytes % 0x100000000);
      inodes.setSizeHigh(address, Math.floor(size_bytes / 0x100000000));
    }
    this.#volume.inodeChanged(address);
  }

  setAccessTime(address: number, time_ns: number): void {
    this.#split(time_ns);
    this.#volume.inodes.setAccessTime(address, this.#seconds);
    const extra = this.#volume.extraAddress(address);
    if (extra !== 0) this.#volume.extras.setAccessTimeExtra(extra, this.#extra);
    this.#volume.inodeChanged(address);
  }

  setModificationTime(address: number, time_ns: number): void {
    this.#split(time_ns);
    this.#volume.inodes.setModificationTime(address, this.#seconds);
    const extra = this.#volume.extraAddress(address);
    if (extra !== 0) this.#volume.extras.setModificationTimeExtra(extra, this.#extra);
    this.#volume.inodeChanged(address);
  }

  setChangeTime(address: number, time_ns: number): void {
    this.#split(time_ns);
    this.#volume.inodes.setChangeTime(address, this.#seconds);
    const extra = this.#volume.extraAddress(address);
    if (extra !== 0) this.#volume.extras.setChangeTimeExtra(extra, this.#extra);
    this.#volume.inodeChanged(address);
  }

  /** Content was changed now: modification and change time. */
  modified(inode: number, address: number): void {
    const { inodes, extras, inodeCores } = this.#volume;
    this.#split(this.#volume.now_ns());
    inodes.setModificationTime(address, this.#seconds);
    inodes.setChangeTime(address, this.#seconds);
    const extra = this.#volume.extraAddress(address);
    if (extra !== 0) {
      extras.setModificationTimeExtra(extra, this.#extra);
      extras.setChangeTimeExtra(extra, this.#extra);
    }
    if (inodeCores.accessFresh(inode) !== 0) inodeCores.setAccessFresh(inode, 0);
    this.#volume.inodeChanged(address);
  }

  /**
   * Content was read: sets the access time if it is not later than the last change ("relatime" without its
   * daily update), so that reading again and again costs one look at a shared word.
   */
  accessed(inode: number, address: number): void {
    if (this.#volume.inodeCores.accessFresh(inode) !== 0 || this.#volume.readOnly) return;
    const last = Math.max(this.modificationTime_ns(address), this.changeTime_ns(address));
    if (this.accessTime_ns(address) <= last) this.setAccessTime(address, this.#volume.now_ns());
    this.#volume.inodeCores.setAccessFresh(inode, 1);
  }

  accessTime_ns(address: number): number {
    const extra = this.#volume.extraAddress(address);
    return joinTime(
      this.#volume.inodes.accessTime(address),
      extra === 0 ? 0 : this.#volume.extras.accessTimeExtra(extra),
    );
  }

  modificationTime_ns(address: number): number {
    const extra = this.#volume.extraAddress(address);
    return joinTime(
      this.#volume.inodes.modificationTime(address),
      extra === 0 ? 0 : this.#volume.extras.modificationTimeExtra(extra),
    );
  }

  changeTime_ns(address: number): number {
    const extra = this.#volume.extraAddress(address);
    return joinTime(
      this.#volume.inodes.changeTime(address),
      extra === 0 ? 0 : this.#volume.extras.changeTimeExtra(extra),
    );
  }

  /** Sets the permission bits and leaves the type. */
  setPermissions(address: number, mode: number): void {
    const inodes = this.#volume.inodes;
    inodes.setMode(address, (inodes.mode(address) & modeType.mask) | (mode & modePermissions));
    this.#volume.inodeChanged(address);
  }

  /** Fills the caller's stat record. */
  stat(inode: number, address: number, into: Stat): void {
    const inodes = this.#volume.inodes;
    const mode = inodes.mode(address);
    into.inode = inode;
    into.fileType = fileTypeOfMode(mode);
    into.linkCount = inodes.linksCount(address);
    into.mode = mode & 0o777;
    into.size_bytes = this.size(address);
    into.accessTime_ns = this.accessTime_ns(address);
    into.modificationTime_ns = this.modificationTime_ns(address);
    into.changeTime_ns = this.changeTime_ns(address);
  }

  /** Makes a freshly allocated inode an empty one, without links: it counts as deleted until it gets some. */
  initialise(inode: number, mode: number): number {
    const { inodes, extras, geometry, inodeCores } = this.#volume;
    const address = this.#volume.inodeAddress(inode);
    const generation = inodes.generation(address);
    const now_ns = this.#volume.now_ns();
    this.#volume.zero(address, geometry.inodeSize_bytes);
    inodes.setMode(address, mode);
    // Whoever keeps an inode number beyond the file's life (a network file system) can tell the two apart.
    inodes.setGeneration(address, generation + 1);
    if (geometry.inodeSize_bytes > inodeBaseSize_bytes) {
      const extra = address + inodeBaseSize_bytes;
      extras.setExtraSize(extra, extraSize_bytes);
      this.#split(now_ns);
      extras.setCreationTime(extra, this.#seconds);
      extras.setCreationTimeExtra(extra, this.#extra);
    }
    this.setAccessTime(address, now_ns);
    this.setModificationTime(address, now_ns);
    this.setChangeTime(address, now_ns);
    inodeCores.setAccessFresh(inode, 0);
    this.#volume.inodeChanged(address);
    return address;
  }

  /**
   * Deletes an inode that no directory names and nobody has open: its blocks, then itself. The caller still
   * holds its lock and must not touch the inode afterwards. Can be done again if it was not finished.
   */
  delete(inode: number, address: number): void {
    const { inodes, inodeCores } = this.#volume;
    inodeCores.setDeleting(inode, 1);
    const directory = this.isDirectory(address);
    const hasBlocks =
      directory || this.isRegular(address) || (this.isSymbolicLink(address) && !this.isFastLink(address));
    inodes.setLinksCount(address, 0);
    inodes.setDeletionTime(address, seconds(this.#volume.now_ns()));
    this.setSize(address, 0);
    if (hasBlocks && inodes.sectorsCount(address) !== 0) this.#map.truncate(address, 0);
    this.#dropAttributes(address);
    this.#volume.inodeChanged(address);
    this.#allocator.freeInode(inode, directory);
  }

  /** An inode's block of extended attributes may be shared with others; it counts its users. */
  #dropAttributes(address: number): void {
    const { inodes, core, owner, sectorsPerBlock, blockSize_bytes } = this.#volume;
    const block = inodes.attributesBlock(address);
    if (block === 0) return;
    inodes.setAttributesBlock(address, 0);
    inodes.setSectorsCount(address, Math.max(0, inodes.sectorsCount(address) - sectorsPerBlock));
    const header = this.#volume.blockAddress(block);
    if (this.#attributes.magic(header) !== attributesMagic) {
      this.#volume.noteDamage(`inode has no attributes at block ${block}`);
      return;
    }
    core.acquireSuperblock(0, owner);
    const users = this.#attributes.referenceCount(header);
    if (users > 1) {
      this.#attributes.setReferenceCount(header, users - 1);
      this.#volume.changed(header, blockSize_bytes);
    }
    core.releaseSuperblock(0, owner);
    if (users <= 1) this.#allocator.freeBlocks(block, 1);
  }

  /** Splits a time into what the device holds: seconds mod 2^32, and nanoseconds with two more bits of seconds. */
  #split(time_ns: number): void {
    // Coarse time stands still for many calls.
    if (time_ns === this.#time_ns) return;
    this.#time_ns = time_ns;
    let seconds = Math.floor(time_ns / 1e9);
    let nanoseconds = time_ns - seconds * 1e9;
    // The division rounds; near a whole second the quotient may be one off.
    if (nanoseconds < 0) {
      seconds--;
      nanoseconds += 1e9;
    } else if (nanoseconds >= 1e9) {
      seconds++;
      nanoseconds -= 1e9;
    }
    const low = seconds | 0;
    const epoch = Math.round((seconds - low) / 0x100000000) & 3;
    this.#seconds = low;
    this.#extra = (Math.floor(nanoseconds) << 2) | epoch;
  }
}

function joinTime(seconds: number, extra: number): number {
  return (seconds + (extra & 3) * 0x100000000) * 1e9 + (extra >>> 2);
}

/** The stat file type of a mode. */
export function fileTypeOfMode(mode: number): FileType {
  switch (mode & modeType.mask) {
    case modeType.regular:
      return fileType.regularFile;
    case modeType.directory:
      return fileType.directory;
    case modeType.symbolicLink:
      return fileType.symbolicLink;
    case modeType.characterDevice:
      return fileType.characterDevice;
    case modeType.blockDevice:
      return fileType.blockDevice;
    case modeType.socket:
      return fileType.socketStream;
    default:
      return fileType.unknown;
  }
}

/** The stat file type of a directory entry's type. */
export function fileTypeOfEntry(type: number): FileType {
  switch (type) {
    case entryType.regular:
      return fileType.regularFile;
    case entryType.directory:
      return fileType.directory;
    case entryType.symbolicLink:
      return fileType.symbolicLink;
    case entryType.characterDevice:
      return fileType.characterDevice;
    case entryType.blockDevice:
      return fileType.blockDevice;
    case entryType.socket:
      return fileType.socketStream;
    default:
      return fileType.unknown;
  }
}
