/**
 * The common part of file systems that are made up by the system (`/dev`, `/proc`, `/bin`): nothing in them
 * can be created, renamed or removed. What a program asks for in vain gets
 * the error that a read-only file system gives.
 */
import { errno } from "../../kernel/errno.ts";
import { type DirectoryVisitor, type FileSystem, type FileType, fileType, type Stat } from "./filesystem.ts";

/** One entry of a made-up directory. */
export interface SyntheticEntry {
  readonly name: string;
  readonly inode: number;
  readonly type: FileType;
}

const encoder = new TextEncoder();

export abstract class SyntheticFileSystem implements FileSystem {
  abstract readonly type: string;
  readonly readOnly = true;
  readonly rootInode = 1;

  abstract lookup(directory: number, name: string): number;
  abstract stat(inode: number, into: Stat): number;
  abstract open(inode: number, write: boolean): number;
  abstract close(handle: number): void;
  abstract read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number;
  abstract size(handle: number): number;
  /** Entries of a directory without "." and "..", in an order that stays; undefined if it is none. */
  protected abstract entries(directory: number): readonly SyntheticEntry[] | undefined;
  /** The directory above a directory; the root's is the root. */
  protected abstract parent(directory: number): number;

  /** Cookies count entries: 0 is ".", 1 "..", then the rest. */
  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    const entries = this.entries(directory);
    if (entries === undefined) return -errno.NOTDIR;
    if (cookie < 1 && !visit(1, directory, fileType.directory, encoder.encode("."))) return 0;
    if (cookie < 2 && !visit(2, this.parent(directory), fileType.directory, encoder.encode(".."))) return 0;
    for (let index = Math.max(0, cookie - 2); index < entries.length; index++) {
      const { name, inode, type } = entries[index];
      if (!visit(index + 3, inode, type, encoder.encode(name))) return 0;
    }
    return 0;
  }

  /** −EXIST for a name that is there, the file system's refusal otherwise. */
  private refuseName(directory: number, name: string): number {
    const found = this.lookup(directory, name);
    return found >= 0 ? -errno.EXIST : found === -errno.NOENT ? -errno.ROFS : found;
  }

  private refuseChange(directory: number, name: string): number {
    const found = this.lookup(directory, name);
    return found < 0 ? found : -errno.ROFS;
  }

  createFile(directory: number, name: string): number {
    return this.refuseName(directory, name);
  }

  makeDirectory(directory: number, name: string): number {
    return this.refuseName(directory, name);
  }

  makeSymbolicLink(directory: number, name: string): number {
    return this.refuseName(directory, name);
  }

  link(_inode: number, directory: number, name: string): number {
    return this.refuseName(directory, name);
  }

  unlink(directory: number, name: string): number {
    return this.refuseChange(directory, name);
  }

  removeDirectory(directory: number, name: string): number {
    return this.refuseChange(directory, name);
  }

  rename(fromDirectory: number, fromName: string): number {
    return this.refuseChange(fromDirectory, fromName);
  }

  readSymbolicLink(_inode: number): string | number {
    return -errno.INVAL;
  }

  setTimes(): number {
    return -errno.ROFS;
  }

  setMode(): number {
    return -errno.ROFS;
  }

  write(): number {
    return -errno.ROFS;
  }

  append(): number {
    return -errno.ROFS;
  }

  truncate(): number {
    return -errno.ROFS;
  }

  extend(): number {
    return -errno.ROFS;
  }

  sync(): number {
    return 0;
  }
}
