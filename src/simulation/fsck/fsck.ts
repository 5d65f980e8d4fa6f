/**
 * A checker for ext2 file systems: reads an image's bytes, changes nothing, and says what is wrong with them. It
 * shares the declared layouts with the file system and no code, so that one's errors are not the other's.
 *
 * It covers what our file system writes: superblock and descriptors, every block claimed once, sizes, names, the
 * tree, link counts, bitmaps, counts, deleted inodes. It does not look at times, hash indexes, the content of extended
 * attributes, or the copies of the superblock.
 */
import { modeType } from "../../services/fs/ext2/layout.ts";
import { BlockClaims } from "./blocks.ts";
import { checkAllocation, checkLinks } from "./counts.ts";
import { checkDirectories } from "./directories.ts";
import { Image } from "./image.ts";
import { checkInodes } from "./inodes.ts";
import { type Finding, type FsckResult, Report } from "./report.ts";

export interface FsckOptions {
  /** The volume is mounted, and no call is under way: files that only open handles keep are in use. */
  readonly mounted?: boolean;
}

/** Checks an image. Never throws for what is in it. */
export function checkExt2(bytes: Uint8Array, { mounted = false }: FsckOptions = {}): FsckResult {
  const report = new Report();
  const image = Image.open(bytes, report);
  const found = { findings: report.found, unmounted: false, markedDamaged: false };
  if (image === undefined)
    return { ...found, omitted: report.omitted, directories: 0, files: 0, usedBlocks: 0 };
  const claims = new BlockClaims(image, report);
  const table = checkInodes(image, claims, report, mounted);
  const names = checkDirectories(image, table, report);
  checkLinks(image, table, names, report);
  checkAllocation(image, table, claims, report);
  let files = 0;
  for (let inode = image.firstInode; inode <= image.inodesCount; inode++) {
    if (table.used[inode] !== 0 && (table.modes[inode] & modeType.mask) !== modeType.directory) files++;
  }
  return {
    findings: report.found,
    omitted: report.omitted,
    unmounted: image.unmounted,
    markedDamaged: image.markedDamaged,
    directories: table.directories.length,
    files,
    usedBlocks: claims.used,
  };
}

/**
 * The findings that must not be there. After a crash (a kernel died in the middle of a call) leaks and counts that are
 * not up to date are no wonder. On a volume that is mounted and at rest the totals are old, and files without names
 * may be open.
 */
export function seriousFindings(
  result: FsckResult,
  when: "unmounted" | "mounted" | "crashed",
): readonly Finding[] {
  if (when === "unmounted") return result.findings;
  if (when === "crashed") return result.findings.filter(({ severity }) => severity === "damage");
  return result.findings.filter(({ kind }) => kind !== "totalCount" && kind !== "unfinishedInode");
}

/** All findings, one line each. */
export function describeFindings(findings: readonly Finding[]): string {
  return findings.map(({ kind, severity, text }) => `${severity}: ${text} [${kind}]`).join("\n");
}
