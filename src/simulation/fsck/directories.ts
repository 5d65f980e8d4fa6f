/** Second and third pass of the checker: what directories say, and whether they form one tree. */
import { entryHeader_bytes, entryTypeOfMode, inodeNumber, modeType } from "../../services/fs/ext2/layout.ts";
import type { Image } from "./image.ts";
import type { DirectoryBlocks, InodeTable } from "./inodes.ts";
import type { Report } from "./report.ts";

const dot = 0x2e;
const slash = 0x2f;
const smallestEntry_bytes = 12;

/** What the directories say about each inode. */
export interface Names {
  /** How many entries name an inode, "." and ".." included. */
  readonly counts: Uint32Array;
}

/** Checks all directories and the tree that they form. */
export function checkDirectories(image: Image, table: InodeTable, report: Report): Names {
  const pass = new DirectoryPass(image, table, report);
  // One that was removed while it was open still names its parent, which does not count it any more.
  for (const directory of table.directories) if (!table.open.has(directory.inode)) pass.check(directory);
  pass.checkTree();
  return { counts: pass.counts };
}

class DirectoryPass {
  readonly counts: Uint32Array;
  readonly #image: Image;
  readonly #table: InodeTable;
  readonly #report: Report;
  /** Of each directory the one that names it, and the one that its ".." names. */
  readonly #namedBy = new Map<number, number>();
  readonly #parents = new Map<number, number>();

  constructor(image: Image, table: InodeTable, report: Report) {
    this.#image = image;
    this.#table = table;
    this.#report = report;
    this.counts = new Uint32Array(image.inodesCount + 1);
  }

  check({ inode, blocks }: DirectoryBlocks): void {
    const names = new Set<string>();
    for (const [logical, block] of blocks.entries()) {
      if (block !== 0) this.#checkBlock(inode, logical, block, names);
    }
  }

  /** Every directory has exactly one name, in the directory that its ".." names, and hangs on the root. */
  checkTree(): void {
    const connected = new Set<number>([inodeNumber.root]);
    for (const { inode } of this.#table.directories) {
      if (this.#table.open.has(inode)) continue;
      const parent = this.#parents.get(inode);
      const namedBy = inode === inodeNumber.root ? inode : this.#namedBy.get(inode);
      if (namedBy !== undefined && parent !== undefined && parent !== namedBy) {
        this.#report.add(
          "parentEntry",
          `".." of directory ${inode} names ${parent}, and it is in ${namedBy}`,
          inode,
        );
      }
      const path: number[] = [];
      let at: number | undefined = inode;
      while (at !== undefined && !connected.has(at) && !path.includes(at)) {
        path.push(at);
        at = this.#namedBy.get(at);
      }
      if (at === undefined || path.includes(at))
        this.#report.add("unconnectedDirectory", `directory ${inode} cannot be reached from the root`, inode);
      else for (const one of path) connected.add(one);
    }
  }

  #checkBlock(directory: number, logical: number, block: number, names: Set<string>): void {
    const { entries, blockSize_bytes } = this.#image;
    const start = block * blockSize_bytes;
    const end = start + blockSize_bytes;
    for (let at = start, place = 0; at < end; at += entries.recordLength(at), place++) {
      const length = entries.recordLength(at);
      const nameLength = entries.nameLength(at);
      const fits = length >= smallestEntry_bytes && length % 4 === 0 && at + length <= end;
      if (!fits || entryHeader_bytes + nameLength > length) {
        const where = `directory ${directory}, block ${logical}, byte ${at - start}`;
        this.#report.add("directoryEntry", `${where}: an entry of ${length} bytes`, directory);
        return;
      }
      if (logical === 0 && place < 2) this.#checkDots(directory, at, place);
      else if (entries.inode(at) !== 0) this.#checkEntry(directory, at, names);
    }
  }

  /** The first two entries: "." and "..". */
  #checkDots(directory: number, at: number, place: number): void {
    const { entries, bytes } = this.#image;
    const inode = entries.inode(at);
    const dots = place + 1;
    const name = bytes.subarray(at + entryHeader_bytes, at + entryHeader_bytes + dots + 1);
    const isRight = entries.nameLength(at) === dots && name.subarray(0, dots).every((byte) => byte === dot);
    if (!isRight || name[dots] !== 0) {
      this.#report.add(
        "directoryEntry",
        `entry ${place} of directory ${directory} is not "${".".repeat(dots)}"`,
        directory,
      );
      if (!isRight) return;
    }
    if (place === 0 && inode !== directory)
      this.#report.add("directoryEntry", `"." of directory ${directory} names ${inode}`, directory);
    if (place === 0 && entries.recordLength(at) > smallestEntry_bytes)
      this.#report.add("directoryEntry", `"." of directory ${directory} is too long`, directory);
    if (!this.#isInode(inode)) {
      this.#report.add(
        "directoryEntry",
        `"${".".repeat(dots)}" of directory ${directory} names ${inode}`,
        directory,
      );
      return;
    }
    if (place === 1) this.#parents.set(directory, inode);
    if (this.#table.used[inode] === 0) {
      this.#report.add(
        "entryOfUnusedInode",
        `".." of directory ${directory} names ${inode}, which is unused`,
        directory,
      );
      return;
    }
    this.#checkType(directory, at, inode);
    this.counts[inode]++;
  }

  #checkEntry(directory: number, at: number, names: Set<string>): void {
    const { entries, bytes } = this.#image;
    const inode = entries.inode(at);
    const raw = bytes.subarray(at + entryHeader_bytes, at + entryHeader_bytes + entries.nameLength(at));
    const name = String.fromCharCode(...raw);
    const shown = `${JSON.stringify(name)} in directory ${directory}`;
    if (name === "" || name === "." || name === ".." || raw.includes(slash) || raw.includes(0))
      this.#report.add("directoryEntry", `${shown} is no name`, directory);
    if (names.has(name)) this.#report.add("duplicateName", `${shown} is there twice`, directory);
    names.add(name);
    if (!this.#isInode(inode) || inode < this.#image.firstInode) {
      this.#report.add("directoryEntry", `${shown} names inode ${inode}`, directory);
      return;
    }
    if (this.#table.used[inode] === 0) {
      this.#report.add("entryOfUnusedInode", `${shown} names inode ${inode}, which is unused`, directory);
      return;
    }
    this.#checkType(directory, at, inode);
    if ((this.#table.modes[inode] & modeType.mask) === modeType.directory) {
      const other = this.#namedBy.get(inode);
      if (other === undefined) this.#namedBy.set(inode, directory);
      else
        this.#report.add("directoryNamedTwice", `${shown} is a second name of directory ${inode}`, directory);
    }
    this.counts[inode]++;
  }

  #isInode(inode: number): boolean {
    return inode >= 1 && inode <= this.#image.inodesCount;
  }

  #checkType(directory: number, at: number, inode: number): void {
    const { entries, entryTypes } = this.#image;
    const type = entries.fileType(at);
    const expected = entryTypes ? entryTypeOfMode(this.#table.modes[inode]) : 0;
    if (type === expected) return;
    this.#report.add(
      "directoryEntry",
      `directory ${directory} says that inode ${inode} is of type ${type}`,
      directory,
    );
  }
}
