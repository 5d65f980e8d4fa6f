/** What the checker of ext2 images has to say. */

/**
 * How bad a finding is. "damage": data is lost or will be. "leak": something is allocated that nothing leads to, or a
 * change was not finished; nothing is lost. "count": a number beside the structures is not up to date.
 */
export type Severity = "damage" | "leak" | "count";

/** Kinds of findings, in the order in which they are looked for, each with its severity. */
export const findings = {
  superblock: "damage",
  unsupportedFeature: "damage",
  groupDescriptor: "damage",
  reservedInode: "damage",
  inodeType: "damage",
  inodeField: "damage",
  deletionTimeOfUsedInode: "damage",
  /** Deletion had begun, or creation had not ended: an inode without names and without a deletion time. */
  unfinishedInode: "leak",
  blockOutOfRange: "damage",
  blockClaimedTwice: "damage",
  blockBeyondSize: "leak",
  sizeWithoutBlocks: "damage",
  sectorCount: "count",
  symbolicLink: "damage",
  directoryBlock: "damage",
  directoryEntry: "damage",
  entryOfUnusedInode: "damage",
  duplicateName: "damage",
  directoryNamedTwice: "damage",
  parentEntry: "damage",
  unconnectedDirectory: "leak",
  unattachedInode: "leak",
  linkCountTooLow: "damage",
  linkCountTooHigh: "leak",
  usedBlockMarkedFree: "damage",
  freeBlockMarkedUsed: "leak",
  usedInodeMarkedFree: "damage",
  freeInodeMarkedUsed: "leak",
  bitmapPadding: "damage",
  groupCount: "count",
  totalCount: "count",
} as const satisfies Readonly<Record<string, Severity>>;

export type FindingKind = keyof typeof findings;

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: Severity;
  /** For people, with numbers. */
  readonly text: string;
  /** The inode that it is about, 0 for none. */
  readonly inode: number;
}

export interface FsckResult {
  readonly findings: readonly Finding[];
  /** Findings that were not kept because there were too many. */
  readonly omitted: number;
  /** The superblock says that the volume was unmounted in order. */
  readonly unmounted: boolean;
  /** The superblock says that the file system itself came upon damage. */
  readonly markedDamaged: boolean;
  readonly directories: number;
  /** Inodes in use that are no directories, reserved ones left out. */
  readonly files: number;
  readonly usedBlocks: number;
}

const findings_max = 100;

/** Collects findings. */
export class Report {
  readonly found: Finding[] = [];
  omitted = 0;

  add(kind: FindingKind, text: string, inode = 0): void {
    if (this.found.length >= findings_max) this.omitted++;
    else this.found.push({ kind, severity: findings[kind], text, inode });
  }
}
