/** First pass of the checker: every inode for itself, and the blocks it has. */

import { overlay } from "../../memory/index.ts";
import {
  AttributesHeader,
  attributesMagic,
  fastLinkRoom_bytes,
  indexedFlag,
  inodeBaseSize_bytes,
  inodeNumber,
  modeType,
} from "../../services/fs/ext2/layout.ts";
import { type BlockClaims, type FileBlocks, pointersOffset_bytes } from "./blocks.ts";
import type { Image } from "./image.ts";
import type { Report } from "./report.ts";

const resizeInode = 7;
const sector_bytes = 512;
/** Flags that users set and that mean nothing to the structure: sync, immutable, no dump and so on. */
const harmlessFlags = 0x3c0fb;
const largeFile_bytes = 2 ** 31;
/** Sectors are counted in 32 bits. */
const countedFile_bytes_max = 2 ** 32 * sector_bytes;

/** A directory in use, and its blocks by their place in it (0 for one that is missing). */
export interface DirectoryBlocks {
  readonly inode: number;
  readonly blocks: readonly number[];
}

/** What the first pass leaves for the others. */
export interface InodeTable {
  /** By inode number: 1 when it is in use (it has names, or is reserved). */
  readonly used: Uint8Array;
  /** Mode of each inode in use. */
  readonly modes: Uint16Array;
  readonly directories: readonly DirectoryBlocks[];
  /** Inodes in use without names, on a mounted volume. */
  readonly open: ReadonlySet<number>;
}

/**
 * Checks all inodes. With `mounted`, inodes without names that the bitmap calls used are files that are still open:
 * in use, but for their names.
 */
export function checkInodes(image: Image, claims: BlockClaims, report: Report, mounted: boolean): InodeTable {
  const used = new Uint8Array(image.inodesCount + 1);
  const modes = new Uint16Array(image.inodesCount + 1);
  const directories: DirectoryBlocks[] = [];
  const open = new Set<number>();
  const pass = new InodePass(image, claims, report);
  for (let inode = 1; inode <= image.inodesCount; inode++) {
    const address = image.inodeAddress(inode);
    const mode = image.inodes.mode(address);
    const reserved = inode < image.firstInode;
    if (reserved && inode !== inodeNumber.root) {
      used[inode] = 1;
      modes[inode] = mode;
      pass.checkReserved(inode, address);
      continue;
    }
    if (image.inodes.linksCount(address) === 0 && !reserved) {
      // A free inode keeps its mode and the time of its deletion.
      if (mode !== 0 && image.inodes.deletionTime(address) === 0)
        report.add("unfinishedInode", `inode ${inode} has neither names nor a deletion time`, inode);
      if (!mounted || mode === 0 || !image.isInodeMarked(inode)) continue;
      open.add(inode);
    }
    used[inode] = 1;
    modes[inode] = mode;
    const blocks = pass.check(inode, address);
    if (blocks !== undefined) directories.push({ inode, blocks });
  }
  if (image.inodes.linksCount(image.inodeAddress(inodeNumber.root)) === 0)
    report.add("reservedInode", "the root directory has no links", inodeNumber.root);
  if ((modes[inodeNumber.root] & modeType.mask) !== modeType.directory)
    report.add("reservedInode", "the root is not a directory", inodeNumber.root);
  return { used, modes, directories, open };
}

class InodePass {
  readonly #image: Image;
  readonly #claims: BlockClaims;
  readonly #report: Report;

  constructor(image: Image, claims: BlockClaims, report: Report) {
    this.#image = image;
    this.#claims = claims;
    this.#report = report;
  }

  /** The reserved inodes other than the root: empty, bad blocks, or the one that holds room for descriptors. */
  checkReserved(inode: number, address: number): void {
    const { inodes, resizable } = this.#image;
    const type = inodes.mode(address) & modeType.mask;
    if (inode === resizeInode && resizable) {
      // The blocks it leads to are room for descriptors, and counted as such.
      this.#claims.claim(inodes.block(address, 13), inode);
      return;
    }
    if (inode === inodeNumber.badBlocks) {
      this.#claims.walk(inode, () => undefined);
      return;
    }
    if (inodes.mode(address) !== 0 && type !== modeType.regular)
      this.#report.add(
        "reservedInode",
        `reserved inode ${inode} has mode ${inodes.mode(address).toString(8)}`,
        inode,
      );
    const { count } = this.#claims.walk(inode, () => undefined);
    if (count > 0) this.#report.add("reservedInode", `reserved inode ${inode} has ${count} blocks`, inode);
    this.#checkSectors(inode, address, count);
  }

  /** Checks an inode in use. For a directory the blocks are returned. */
  check(inode: number, address: number): number[] | undefined {
    const { inodes } = this.#image;
    const type = inodes.mode(address) & modeType.mask;
    if (inodes.deletionTime(address) !== 0)
      this.#report.add("deletionTimeOfUsedInode", `inode ${inode} is in use and has a deletion time`, inode);
    this.#checkFields(inode, address, type);
    const attributes = this.#checkAttributes(inode, address);
    switch (type) {
      case modeType.directory:
        return this.#checkDirectory(inode, address, attributes);
      case modeType.regular:
        this.#checkFile(inode, address, attributes);
        return undefined;
      case modeType.symbolicLink:
        this.#checkLink(inode, address, attributes);
        return undefined;
      case modeType.fifo:
      case modeType.socket:
      case modeType.characterDevice:
      case modeType.blockDevice:
        if (inodes.sizeLow(address) !== 0)
          this.#report.add("inodeField", `inode ${inode}, a device, has a size`, inode);
        this.#checkSectors(inode, address, attributes);
        return undefined;
      default:
        this.#report.add("inodeType", `inode ${inode} has mode ${inodes.mode(address).toString(8)}`, inode);
        return undefined;
    }
  }

  #checkFields(inode: number, address: number, type: number): void {
    const { inodes, extras, inodeSize_bytes, indexedDirectories } = this.#image;
    const wrong = (text: string): void => this.#report.add("inodeField", `inode ${inode} has ${text}`, inode);
    const flags = inodes.flags(address);
    const mayIndex = type === modeType.directory && indexedDirectories;
    const strange = (flags & ~harmlessFlags & ~(mayIndex ? indexedFlag : 0)) >>> 0;
    if (strange !== 0) wrong(`flags 0x${strange.toString(16)}`);
    if (inodes.fragmentAddress(address) !== 0) wrong("a fragment");
    if (type === modeType.directory && inodes.sizeHigh(address) !== 0)
      wrong("an upper half of a directory's size");
    // Upper halves of the number of sectors and of the attributes' block, which ext2 does not have.
    if (
      inodes
        .systemReserved2(address)
        .subarray(0, 4)
        .some((byte) => byte !== 0)
    )
      wrong("upper halves of block numbers");
    if (inodeSize_bytes === inodeBaseSize_bytes) return;
    const extraSize = extras.extraSize(address + inodeBaseSize_bytes);
    const room = inodeSize_bytes - inodeBaseSize_bytes;
    if (extraSize !== 0 && (extraSize < 4 || extraSize > room || extraSize % 4 !== 0))
      wrong(`an extra part of ${extraSize} bytes`);
  }

  /** Claims the block of extended attributes. @returns how many blocks that is. */
  #checkAttributes(inode: number, address: number): number {
    const block = this.#image.inodes.attributesBlock(address);
    if (block === 0) return 0;
    if (!this.#claims.share(block, inode)) return 0;
    const { bytes, blockSize_bytes } = this.#image;
    const header = overlay(AttributesHeader, bytes.buffer, {
      format: "ilp32",
      base: bytes.byteOffset,
      addressing: "address",
    });
    if (header.magic(block * blockSize_bytes) !== attributesMagic)
      this.#report.add("inodeField", `inode ${inode} has no attributes at block ${block}`, inode);
    return 1;
  }

  #checkDirectory(inode: number, address: number, attributes: number): number[] {
    const { inodes, blockSize_bytes } = this.#image;
    const blocks: number[] = [];
    const size_blocks = inodes.sizeLow(address) / blockSize_bytes;
    const found = this.#claims.walk(inode, (logical, block) => {
      // Far beyond its end it is no part of the directory; the size is reported below.
      if (logical < size_blocks) blocks[logical] = block;
    });
    // It has not got its first block yet, and no name: whoever was making it has died, or is still at it.
    const isUnfinished = found.last < 0 && size_blocks === 0 && inodes.linksCount(address) === 0;
    if (isUnfinished) return blocks;
    if (!Number.isInteger(size_blocks) || size_blocks > found.last + 1 || found.last < 0) {
      const size = inodes.sizeLow(address);
      this.#report.add(
        "sizeWithoutBlocks",
        `directory ${inode} has ${size} bytes in ${found.last + 1} blocks`,
        inode,
      );
    } else if (found.last >= size_blocks) {
      this.#report.add("blockBeyondSize", `directory ${inode} has block ${found.last} beyond its end`, inode);
    }
    this.#checkSectors(inode, address, found.count + attributes);
    const present: number[] = [];
    for (let logical = 0; logical <= Math.min(found.last, size_blocks - 1); logical++) {
      if (blocks[logical] === undefined)
        this.#report.add("directoryBlock", `directory ${inode} has a hole at its block ${logical}`, inode);
      present.push(blocks[logical] ?? 0);
    }
    return present;
  }

  #checkFile(inode: number, address: number, attributes: number): void {
    const found = this.#claims.walk(inode, () => undefined);
    this.#checkSize(inode, address, found);
    this.#checkSectors(inode, address, found.count + attributes);
    const { inodes, largeFiles, blockSize_bytes } = this.#image;
    const size = inodes.sizeHigh(address) * 2 ** 32 + inodes.sizeLow(address);
    const pointers = blockSize_bytes / 4;
    const reach = (12 + pointers + pointers ** 2 + pointers ** 3) * blockSize_bytes;
    if (size > Math.min(reach, countedFile_bytes_max))
      this.#report.add(
        "sizeWithoutBlocks",
        `inode ${inode} has ${size} bytes, more than a file can have`,
        inode,
      );
    if (size >= largeFile_bytes && !largeFiles)
      this.#report.add(
        "superblock",
        `inode ${inode} is large, and the volume does not say that there are such files`,
        inode,
      );
  }

  #checkLink(inode: number, address: number, attributes: number): void {
    const { inodes, bytes, blockSize_bytes } = this.#image;
    const size = inodes.sizeLow(address);
    const wrong = (text: string): void =>
      this.#report.add("symbolicLink", `symbolic link ${inode} ${text}`, inode);
    if (inodes.sizeHigh(address) !== 0 || size === 0) wrong(`has ${size} bytes`);
    if (size < fastLinkRoom_bytes) {
      const start = address + pointersOffset_bytes;
      if (textLength(bytes, start, fastLinkRoom_bytes) !== size) wrong("is not as long as its size says");
      this.#checkSectors(inode, address, attributes);
      return;
    }
    const targets: number[] = [];
    const found = this.#claims.walk(inode, (logical, block) => {
      if (logical === 0) targets.push(block);
    });
    this.#checkSectors(inode, address, found.count + attributes);
    if (size >= blockSize_bytes || targets.length === 0 || found.last > 0)
      wrong("has not just the one block it needs");
    else if (textLength(bytes, targets[0] * blockSize_bytes, blockSize_bytes) !== size)
      wrong("is not as long as its size says");
  }

  /** One block beyond the end is where a write was about to go. */
  #checkSize(inode: number, address: number, { last }: FileBlocks): void {
    const { inodes, blockSize_bytes } = this.#image;
    const size = inodes.sizeHigh(address) * 2 ** 32 + inodes.sizeLow(address);
    if (last >= 0 && size < last * blockSize_bytes)
      this.#report.add("blockBeyondSize", `inode ${inode} has ${size} bytes and yet a block ${last}`, inode);
  }

  #checkSectors(inode: number, address: number, blocks: number): void {
    const expected = (blocks * this.#image.blockSize_bytes) / sector_bytes;
    const actual = this.#image.inodes.sectorsCount(address);
    if (actual !== expected)
      this.#report.add("sectorCount", `inode ${inode} counts ${actual} sectors and has ${expected}`, inode);
  }
}

/** Bytes before the first NUL. */
function textLength(bytes: Uint8Array, start: number, room: number): number {
  const end = bytes.subarray(start, start + room).indexOf(0);
  return end < 0 ? room : end;
}
