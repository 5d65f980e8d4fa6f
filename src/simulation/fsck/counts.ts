/** Last passes of the checker: names against link counts, bitmaps and counts against what was found. */
import { modeType } from "../../services/fs/ext2/layout.ts";
import type { BlockClaims } from "./blocks.ts";
import type { Names } from "./directories.ts";
import type { Image } from "./image.ts";
import type { InodeTable } from "./inodes.ts";
import type { Report } from "./report.ts";

/** Compares the link counts of inodes with the names they have. */
export function checkLinks(image: Image, table: InodeTable, names: Names, report: Report): void {
  for (let inode = 2; inode <= image.inodesCount; inode++) {
    if (table.used[inode] === 0 || (inode > 2 && inode < image.firstInode) || table.open.has(inode)) continue;
    const links = image.inodes.linksCount(image.inodeAddress(inode));
    const found = names.counts[inode];
    const isDirectory = (table.modes[inode] & modeType.mask) === modeType.directory;
    if (found === 0 || (isDirectory && found === 1 && links === 0))
      report.add("unattachedInode", `inode ${inode} has ${links} links and no name`, inode);
    else if (links < found)
      report.add("linkCountTooLow", `inode ${inode} counts ${links} links and has ${found}`, inode);
    else if (links > found)
      report.add("linkCountTooHigh", `inode ${inode} counts ${links} links and has ${found}`, inode);
  }
}

/** Compares bitmaps and counts, group by group, with what is in use. */
export function checkAllocation(image: Image, table: InodeTable, claims: BlockClaims, report: Report): void {
  let freeBlocks = 0;
  let freeInodes = 0;
  for (let group = 0; group < image.groupsCount; group++) {
    const descriptor = image.descriptorAddress(group);
    const { descriptors } = image;
    const first = image.firstBlockOfGroup(group);
    const blocks = compare(image, report, {
      what: "block",
      bitmap: descriptors.blockBitmap(descriptor),
      first,
      count: image.blocksOfGroup(group),
      isUsed: (block) => claims.isUsed(block),
    });
    const firstInode = group * image.inodesPerGroup + 1;
    const inodes = compare(image, report, {
      what: "inode",
      bitmap: descriptors.inodeBitmap(descriptor),
      first: firstInode,
      count: image.inodesPerGroup,
      isUsed: (inode) => table.used[inode] !== 0,
    });
    let directories = 0;
    for (let inode = firstInode; inode < firstInode + image.inodesPerGroup; inode++) {
      if (table.used[inode] !== 0 && (table.modes[inode] & modeType.mask) === modeType.directory)
        directories++;
    }
    const counts: [string, number, number][] = [
      ["free blocks", descriptors.freeBlocksCount(descriptor), blocks],
      ["free inodes", descriptors.freeInodesCount(descriptor), inodes],
      ["directories", descriptors.usedDirectoriesCount(descriptor), directories],
    ];
    for (const [what, said, counted] of counts) {
      if (said !== counted)
        report.add("groupCount", `group ${group} counts ${said} ${what} and has ${counted}`);
    }
    freeBlocks += blocks;
    freeInodes += inodes;
  }
  if (image.freeBlocksTotal !== freeBlocks)
    report.add("totalCount", `the volume counts ${image.freeBlocksTotal} free blocks and has ${freeBlocks}`);
  if (image.freeInodesTotal !== freeInodes)
    report.add("totalCount", `the volume counts ${image.freeInodesTotal} free inodes and has ${freeInodes}`);
}

interface Bitmap {
  readonly what: "block" | "inode";
  /** Block of the bitmap. */
  readonly bitmap: number;
  /** Number that the first bit stands for, and how many there are. */
  readonly first: number;
  readonly count: number;
  readonly isUsed: (item: number) => boolean;
}

/** Compares a bitmap with what is in use. @returns how many are free. */
function compare(image: Image, report: Report, { what, bitmap, first, count, isUsed }: Bitmap): number {
  const { bytes, blockSize_bytes } = image;
  const start = bitmap * blockSize_bytes;
  const isMarked = (bit: number): boolean => ((bytes[start + (bit >>> 3)] >>> (bit & 7)) & 1) !== 0;
  let free = 0;
  for (let bit = 0; bit < count; bit++) {
    const used = isUsed(first + bit);
    if (!used) free++;
    if (used === isMarked(bit)) continue;
    const kind = used
      ? what === "block"
        ? "usedBlockMarkedFree"
        : "usedInodeMarkedFree"
      : what === "block"
        ? "freeBlockMarkedUsed"
        : "freeInodeMarkedUsed";
    report.add(kind, `${what} ${first + bit} is ${used ? "used and marked free" : "free and marked used"}`);
  }
  for (let bit = count; bit < blockSize_bytes * 8; bit++) {
    if (isMarked(bit)) continue;
    report.add("bitmapPadding", `the ${what} bitmap at block ${bitmap} has free bits beyond its end`);
    break;
  }
  return free;
}
