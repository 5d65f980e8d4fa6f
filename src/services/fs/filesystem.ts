/**
 * What every file system offers to the virtual file system above it (`vfs.ts`).
 *
 * Names are looked up by inode number; data is read and written through a handle from `open`, which keeps an
 * unlinked file's data until the last `close`, whichever kernel opened it. All state is shared: the same
 * object may be built over it on every kernel, and a call on one kernel is at once seen on another. All
 * calls are synchronous, take the file system's own locks (per object) and release them before returning.
 *
 * Results: zero or more is success; below zero is a negated errno of `kernel/errno.ts`.
 */

/** WASI preview 1 file types. */
export const fileType = {
  unknown: 0,
  blockDevice: 1,
  characterDevice: 2,
  directory: 3,
  regularFile: 4,
  socketDatagram: 5,
  socketStream: 6,
  symbolicLink: 7,
} as const;
export type FileType = (typeof fileType)[keyof typeof fileType];

/** A mutable stat record that the caller owns and a file system fills. Times are nanoseconds since 1970. */
export interface Stat {
  inode: number;
  fileType: FileType;
  linkCount: number;
  /** Permission bits as in POSIX (0o777 and below). */
  mode: number;
  size_bytes: number;
  accessTime_ns: number;
  modificationTime_ns: number;
  changeTime_ns: number;
}

export function emptyStat(): Stat {
  return {
    inode: 0,
    fileType: fileType.unknown,
    linkCount: 0,
    mode: 0,
    size_bytes: 0,
    accessTime_ns: 0,
    modificationTime_ns: 0,
    changeTime_ns: 0,
  };
}

/** Called for each directory entry; return false to stop. `next` is the cookie of the entry after this one. */
export type DirectoryVisitor = (next: number, inode: number, type: FileType, name: Uint8Array) => boolean;

export interface FileSystem {
  /** Short name for messages and `/proc/mounts`: "ext2", "host", "dev", "proc". */
  readonly type: string;
  /** Nothing may be changed (EROFS). */
  readonly readOnly: boolean;
  readonly rootInode: number;

  // Names. `name` is one path component, never "", "." or "..", without "/".
  /**
   * Where a file is, below the root and without a "/" at the start, or −NOENT when it has no name any more. Left out
   * where only looking through all directories would tell.
   */
  findPath?(inode: number): string | number;
  /** Inode number of `name` in `directory`, or −ENOENT, −ENOTDIR. */
  lookup(directory: number, name: string): number;
  /** Creates an empty regular file; its inode number, or −EEXIST, −ENOSPC, … */
  createFile(directory: number, name: string, mode: number): number;
  makeDirectory(directory: number, name: string, mode: number): number;
  makeSymbolicLink(directory: number, name: string, target: string): number;
  /** Another name for a file that is not a directory. */
  link(inode: number, directory: number, name: string): number;
  /** Removes a name of something that is not a directory. */
  unlink(directory: number, name: string): number;
  removeDirectory(directory: number, name: string): number;
  /** POSIX rename: atomic, replaces a compatible target, refuses to move a directory below itself. */
  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number;
  /** The target of a symbolic link, or a negated errno. */
  readSymbolicLink(inode: number): string | number;
  /** Calls `visit` from cookie on (0 is the start; "." and ".." included). Zero, or a negated errno. */
  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number;

  // Attributes.
  stat(inode: number, into: Stat): number;
  /** Each time: nanoseconds since 1970, or −1 to leave it. */
  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number;
  setMode(inode: number, mode: number): number;

  // Data.
  /**
   * A handle (zero or more) that keeps the inode alive until `close`. `write` says that data will be written
   * (host directories open the host's file accordingly). Directories can be opened too.
   */
  open(inode: number, write: boolean): number;
  close(handle: number): void;
  /** Bytes read at `position` into `target[offset, offset+length)`; 0 at the end of the file. */
  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** Bytes written, all of them unless the device is full; −ENOSPC if none could be. */
  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes at the end of the file as one step; the position after it (new size), or a negated errno. */
  append(handle: number, source: Uint8Array, offset: number, length: number): number;
  /** Current size in bytes of an open file. */
  size(handle: number): number;
  /** Sets the size; growing leaves a hole that reads as zeros. */
  truncate(handle: number, size_bytes: number): number;
  /** Makes the file at least this long, as one step: it never gets shorter, whoever writes at the same time. */
  extend(handle: number, size_bytes: number): number;
  /** Makes data and metadata of this file durable on its device. */
  sync(handle: number): number;

  /** Frees the locks of a core that died, where the file system has any. */
  recover?(deadOwner: number): void;
}
