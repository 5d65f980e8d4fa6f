/** `/bin`: the programs of a catalogue, as read-only executable files. */
import { errno } from "../../kernel/errno.ts";
import { fileType, type Stat } from "./filesystem.ts";
import { type SyntheticEntry, SyntheticFileSystem } from "./synthetic.ts";

/**
 * Where programs come from. Every kernel has its own source object; all must give the same names in the same
 * order, because the position of a name is its inode number.
 */
export interface ProgramSource {
  names(): readonly string[];
  /** Size in bytes, or a negated errno. */
  size(name: string): number;
  /** Bytes read at `position`, 0 at the end, or a negated errno. */
  read(name: string, target: Uint8Array, offset: number, length: number, position: number): number;
}

/** Program n is inode n + 2. */
const firstInode = 2;

export class ProgramFileSystem extends SyntheticFileSystem {
  override readonly type = "programs";
  private readonly source: ProgramSource;
  private readonly time_ns: number;
  private readonly inodes = new Map<string, number>();

  /** `time_ns` is what all files show as their times: when the system was booted. */
  constructor(source: ProgramSource, time_ns: number) {
    super();
    this.source = source;
    this.time_ns = time_ns;
  }

  override lookup(directory: number, name: string): number {
    if (directory !== this.rootInode) return -errno.NOTDIR;
    const known = this.inodes.get(name);
    if (known !== undefined) return known;
    this.source.names().forEach((one, index) => {
      this.inodes.set(one, index + firstInode);
    });
    return this.inodes.get(name) ?? -errno.NOENT;
  }

  override stat(inode: number, into: Stat): number {
    const isRoot = inode === this.rootInode;
    const size_bytes = isRoot ? 0 : this.size(inode);
    if (size_bytes < 0) return size_bytes;
    into.inode = inode;
    into.fileType = isRoot ? fileType.directory : fileType.regularFile;
    into.linkCount = isRoot ? 2 : 1;
    into.mode = 0o755;
    into.size_bytes = size_bytes;
    into.accessTime_ns = this.time_ns;
    into.modificationTime_ns = this.time_ns;
    into.changeTime_ns = this.time_ns;
    return 0;
  }

  /** The inode is its own handle: programs do not go away. */
  override open(inode: number): number {
    return inode === this.rootInode || this.programName(inode) !== undefined ? inode : -errno.NOENT;
  }

  override close(): void {}

  override read(
    handle: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number {
    if (handle === this.rootInode) return -errno.ISDIR;
    const name = this.programName(handle);
    return name === undefined ? -errno.NOENT : this.source.read(name, target, offset, length, position);
  }

  override size(handle: number): number {
    if (handle === this.rootInode) return 0;
    const name = this.programName(handle);
    return name === undefined ? -errno.NOENT : this.source.size(name);
  }

  protected override entries(directory: number): readonly SyntheticEntry[] | undefined {
    if (directory !== this.rootInode) return undefined;
    return this.source
      .names()
      .map((name, index) => ({ name, inode: index + firstInode, type: fileType.regularFile }));
  }

  protected override parent(): number {
    return this.rootInode;
  }

  private programName(inode: number): string | undefined {
    return this.source.names()[inode - firstInode];
  }
}
