/**
 * Directories: files whose blocks are filled exactly by entries. The caller holds the directory's lock.
 *
 * Every change of an entry becomes visible by one store (a record length or an inode number), after all it
 * exposes was written: a kernel that dies half-way leaves the directory as it was before or after.
 */
import { type FileType, fileType } from "../filesystem.ts";
import type { BlockMap } from "./block-map.ts";
import { fileTypeOfEntry, fileTypeOfMode, type Inodes } from "./inodes.ts";
import { entryHeader_bytes, entrySize_bytes, entryTypeOfMode, indexedFlag } from "./layout.ts";
import { type NameBuffer, parentName, selfName } from "./names.ts";
import type { Volume } from "./volume.ts";

export class Directories {
  /** Answer of `find`: the entry's address, and that of the entry before it in the block (0 if it is the first). */
  entry = 0;
  previous = 0;

  readonly #volume: Volume;
  readonly #map: BlockMap;
  readonly #inodes: Inodes;
  /** Answer of `find`: an entry with enough room for another one in or behind it, 0 if there is none. */
  #room = 0;

  constructor(volume: Volume, map: BlockMap, inodes: Inodes) {
    this.#volume = volume;
    this.#map = map;
    this.#inodes = inodes;
  }

  /**
   * Looks a name up: the inode number, or 0. Sets `entry` and `previous`, and remembers where an entry of this
   * name could be added.
   */
  find(address: number, name: NameBuffer): number {
    const { entries, blockSize_bytes } = this.#volume;
    const wantedLength = name.length;
    const needed = entrySize_bytes(wantedLength);
    const blocks = this.#blocks(address);
    this.#room = 0;
    for (let logical = 0; logical < blocks; ) {
      this.#findRun(address, logical, blocks - logical);
      logical += this.#map.length;
      let at = this.#map.physical * blockSize_bytes;
      const end = at + this.#map.length * blockSize_bytes;
      for (let blockEnd = at + blockSize_bytes; at < end; blockEnd += blockSize_bytes) {
        let previous = 0;
        while (at < blockEnd) {
          const recordLength = entries.recordLength(at);
          const nameLength = entries.nameLength(at);
          if (
            recordLength < entryHeader_bytes + nameLength ||
            (recordLength & 3) !== 0 ||
            at + recordLength > blockEnd
          ) {
            this.#damagedEntry(at);
          }
          const inode = entries.inode(at);
          if (inode !== 0) {
            if (nameLength === wantedLength && this.#isNamed(at, name)) {
              this.entry = at;
              this.previous = previous;
              if (!this.#volume.hasInode(inode))
                this.#volume.damaged(`a directory entry names inode ${inode}`);
              return inode;
            }
            if (this.#room === 0 && recordLength - entrySize_bytes(nameLength) >= needed) this.#room = at;
          } else if (this.#room === 0 && recordLength >= needed) {
            this.#room = at;
          }
          previous = at;
          at += recordLength;
        }
      }
    }
    this.entry = 0;
    return 0;
  }

  /**
   * Adds an entry for the name that was just looked up, and not found, with `find`.
   * @returns false when the directory must grow and the device is full.
   */
  add(directory: number, address: number, name: NameBuffer, inode: number, mode: number): boolean {
    this.#unindex(address);
    if (this.#room === 0) return this.#addBlock(directory, address, name, inode, mode);
    const { entries } = this.#volume;
    const room = this.#room;
    const length = entries.recordLength(room);
    if (entries.inode(room) === 0) {
      this.#writeEntry(room, length, name.bytes, name.length, mode);
      entries.setInode(room, inode);
      this.#volume.changed(room, length);
    } else {
      const used = entrySize_bytes(entries.nameLength(room));
      const added = room + used;
      this.#writeEntry(added, length - used, name.bytes, name.length, mode);
      entries.setInode(added, inode);
      // What was written above lies in the unused tail of `room` until now.
      entries.setRecordLength(room, used);
      this.#volume.changed(room, length);
    }
    return true;
  }

  /** Removes the entry that the last `find` found. */
  remove(address: number): void {
    this.#unindex(address);
    const { entries } = this.#volume;
    const length = entries.recordLength(this.entry);
    if (this.previous === 0) {
      entries.setInode(this.entry, 0);
    } else {
      entries.setRecordLength(this.previous, entries.recordLength(this.previous) + length);
      this.#volume.changed(this.previous, entryHeader_bytes);
    }
    this.#volume.changed(this.entry, entryHeader_bytes);
  }

  /** Makes the entry that the last `find` found name another inode. */
  replace(address: number, inode: number, mode: number): void {
    this.#unindex(address);
    this.#setEntryType(this.entry, mode);
    this.#volume.entries.setInode(this.entry, inode);
    this.#volume.changed(this.entry, entryHeader_bytes);
  }

  /**
   * Gives a new directory its first block, with "." and "..".
   * @returns false when the device is full.
   */
  makeEmpty(inode: number, address: number, parent: number): boolean {
    const { entries, blockSize_bytes } = this.#volume;
    const mode = this.#volume.inodes.mode(address);
    if (!this.#map.reserve(address, inode, 0, 1)) return false;
    const at = this.#claimBlock();
    const selfSize = entrySize_bytes(selfName.length);
    this.#writeEntry(at, selfSize, selfName, selfName.length, mode);
    entries.setInode(at, inode);
    this.#writeEntry(at + selfSize, blockSize_bytes - selfSize, parentName, parentName.length, mode);
    entries.setInode(at + selfSize, parent);
    this.#volume.changed(at, blockSize_bytes);
    this.#map.commit(address);
    this.#inodes.setSize(address, blockSize_bytes);
    return true;
  }

  /** True when nothing but "." and ".." is in the directory. */
  isEmpty(address: number): boolean {
    const { entries } = this.#volume;
    let empty = true;
    this.#forEach(address, (entry) => {
      const length = entries.nameLength(entry);
      if (length < 1 || length > 2 || !this.#isDots(entry, length)) empty = false;
    });
    return empty;
  }

  /** How many directories are named in this one, "." and ".." not counted. */
  countDirectories(address: number): number {
    let count = -2;
    this.#forEach(address, (entry, inode) => {
      const type = this.typeOfEntry(inode, this.#volume.entries.fileType(entry));
      if (type === fileType.directory) count++;
    });
    return count;
  }

  /** True when an entry names this inode. */
  hasName(address: number, wanted: number): boolean {
    let found = false;
    this.#forEach(address, (_entry, inode) => {
      if (inode === wanted) found = true;
    });
    return found;
  }

  /** The parent's inode number, from the entry "..". It only changes while the volume's `moves` lock is held. */
  parent(address: number): number {
    return this.#volume.entries.inode(this.#parentEntry(address));
  }

  setParent(address: number, parent: number): void {
    const entry = this.#parentEntry(address);
    this.#volume.entries.setInode(entry, parent);
    this.#volume.changed(entry, entryHeader_bytes);
  }

  /**
   * Copies the directory's block with byte `position` to `into`, from its start, and says how many bytes there
   * are: 0 at the end. Entries in the copy have been checked.
   */
  copyBlock(address: number, position: number, into: Uint8Array): number {
    const { blockSize_bytes, blockSizeInverse } = this.#volume;
    const logical = Math.floor(position * blockSizeInverse);
    if (logical >= this.#blocks(address)) return 0;
    this.#findRun(address, logical, 1);
    const start = this.#map.physical * blockSize_bytes;
    if (start === 0) return 0;
    for (let at = start; at < start + blockSize_bytes; ) at += this.#recordLength(at, start);
    this.#volume.copyOut(start, blockSize_bytes, into, 0);
    return blockSize_bytes;
  }

  /** The type that an entry tells: from the entry, or where the volume has no types there, from the inode. */
  typeOfEntry(inode: number, type: number): FileType {
    if (this.#volume.geometry.entryTypes) return fileTypeOfEntry(type);
    if (!this.#volume.hasInode(inode)) return fileTypeOfEntry(0);
    return fileTypeOfMode(this.#volume.inodes.mode(this.#volume.inodeAddress(inode)));
  }

  /** Adds a block without names. False when the device is full. */
  addEmptyBlock(directory: number, address: number): boolean {
    const at = this.#grow(directory, address);
    if (at < 0) return false;
    this.#volume.entries.setRecordLength(at, this.#volume.blockSize_bytes);
    this.#endGrow(address, at);
    return true;
  }

  /** Calls `visit` with the address and inode number of each used entry. Not for the hot paths. */
  #forEach(address: number, visit: (entry: number, inode: number) => void): void {
    const { entries, blockSize_bytes } = this.#volume;
    const blocks = this.#blocks(address);
    for (let logical = 0; logical < blocks; logical++) {
      this.#findRun(address, logical, 1);
      const start = this.#map.physical * blockSize_bytes;
      for (let at = start; at < start + blockSize_bytes; at += this.#recordLength(at, start)) {
        const inode = entries.inode(at);
        if (inode !== 0) visit(at, inode);
      }
    }
  }

  #parentEntry(address: number): number {
    const { entries, blockSize_bytes } = this.#volume;
    this.#findRun(address, 0, 1);
    const start = this.#map.physical * blockSize_bytes;
    if (start !== 0) {
      const at = start + this.#recordLength(start, start);
      if (
        at < start + blockSize_bytes &&
        entries.nameLength(at) === parentName.length &&
        this.#isDots(at, parentName.length) &&
        this.#volume.hasInode(entries.inode(at))
      ) {
        return at;
      }
    }
    return this.#volume.damaged('a directory has no entry ".."');
  }

  #addBlock(directory: number, address: number, name: NameBuffer, inode: number, mode: number): boolean {
    const at = this.#grow(directory, address);
    if (at < 0) return false;
    this.#writeEntry(at, this.#volume.blockSize_bytes, name.bytes, name.length, mode);
    this.#volume.entries.setInode(at, inode);
    this.#endGrow(address, at);
    return true;
  }

  /** Reserves one more block, all zeros; its address, or −1 when the device is full. */
  #grow(directory: number, address: number): number {
    const blocks = this.#blocks(address);
    this.#map.find(address, blocks, 1);
    // A kernel that died between pointing to a new block and counting it in the size left it here.
    if (this.#map.physical !== 0) this.#map.truncate(address, blocks);
    if (this.#map.reserve(address, directory, blocks, 1)) return this.#claimBlock();
    this.#map.truncate(address, blocks);
    return -1;
  }

  /** Makes the filled block of `#grow` part of the directory. */
  #endGrow(address: number, at: number): void {
    const { blockSize_bytes } = this.#volume;
    this.#volume.changed(at, blockSize_bytes);
    const blocks = this.#blocks(address);
    this.#map.commit(address);
    this.#inodes.setSize(address, (blocks + 1) * blockSize_bytes);
  }

  /** Zeros the one block that was just reserved. */
  #claimBlock(): number {
    const { blockSize_bytes } = this.#volume;
    const at = this.#map.physical * blockSize_bytes;
    this.#volume.claim(at, blockSize_bytes);
    this.#volume.zero(at, blockSize_bytes);
    return at;
  }

  /** Everything of an entry but its inode number. */
  #writeEntry(at: number, recordLength: number, name: Uint8Array, nameLength: number, mode: number): void {
    const { entries, bytes } = this.#volume;
    entries.setRecordLength(at, recordLength);
    entries.setNameLength(at, nameLength);
    this.#setEntryType(at, mode);
    this.#volume.touch(at + entryHeader_bytes, nameLength, true);
    for (let i = 0; i < nameLength; i++) bytes[at + entryHeader_bytes + i] = name[i];
  }

  /** True if the entry, whose name is as long, has this name. */
  #isNamed(at: number, name: NameBuffer): boolean {
    const { bytes } = this.#volume;
    const wanted = name.bytes;
    const start = at + entryHeader_bytes;
    this.#volume.touch(start, name.length, false);
    let i = 0;
    while (i < name.length && bytes[start + i] === wanted[i]) i++;
    return i === name.length;
  }

  /** True if the entry's name, of one or two bytes, is "." or "..". */
  #isDots(at: number, length: number): boolean {
    const { bytes } = this.#volume;
    const start = at + entryHeader_bytes;
    this.#volume.touch(start, length, false);
    return bytes[start] === selfName[0] && (length === 1 || bytes[start + 1] === selfName[0]);
  }

  #setEntryType(at: number, mode: number): void {
    this.#volume.entries.setFileType(at, this.#volume.geometry.entryTypes ? entryTypeOfMode(mode) : 0);
  }

  #blocks(address: number): number {
    return Math.floor(this.#volume.inodes.sizeLow(address) * this.#volume.blockSizeInverse);
  }

  /** `find` of the block map, with the blocks present. A directory has no holes. */
  #findRun(address: number, logical: number, wanted: number): void {
    this.#map.find(address, logical, wanted);
    const { physical, length } = this.#map;
    if (physical === 0) this.#volume.damaged("a directory has a hole");
    const { blockSize_bytes, resident } = this.#volume;
    if (!resident) this.#volume.load(physical * blockSize_bytes, length * blockSize_bytes);
  }

  /** Length of the entry at `at` in the block at `start`, checked. */
  #recordLength(at: number, start: number): number {
    const { entries, blockSize_bytes } = this.#volume;
    const length = entries.recordLength(at);
    if (
      length < entryHeader_bytes + entries.nameLength(at) ||
      (length & 3) !== 0 ||
      at + length > start + blockSize_bytes
    ) {
      this.#damagedEntry(at);
    }
    return length;
  }

  #damagedEntry(at: number): never {
    const block = Math.floor(at * this.#volume.blockSizeInverse);
    return this.#volume.damaged(`directory block ${block} has a malformed entry`);
  }

  /** Before a change, which would make a directory's hash index wrong: without the flag the index blocks are unused entries. */
  #unindex(address: number): void {
    const { inodes } = this.#volume;
    const flags = inodes.flags(address);
    if ((flags & indexedFlag) !== 0) inodes.setFlags(address, flags & ~indexedFlag);
    this.#volume.inodeChanged(address);
  }
}
