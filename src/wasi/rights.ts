/**
 * WASI rights: the bits of a descriptor that say which calls it may be used for, and which of them apply to
 * which type of file. Both versions of the interface number them alike; all fit in 30 bits.
 */
import { fileType } from "../services/fs/filesystem.ts";

/** One bit for each call (or use of `path_open`) that a descriptor may permit. */
export const right = {
  FD_DATASYNC: 1 << 0,
  FD_READ: 1 << 1,
  FD_SEEK: 1 << 2,
  FD_FDSTAT_SET_FLAGS: 1 << 3,
  FD_SYNC: 1 << 4,
  FD_TELL: 1 << 5,
  FD_WRITE: 1 << 6,
  FD_ADVISE: 1 << 7,
  FD_ALLOCATE: 1 << 8,
  PATH_CREATE_DIRECTORY: 1 << 9,
  PATH_CREATE_FILE: 1 << 10,
  PATH_LINK_SOURCE: 1 << 11,
  PATH_LINK_TARGET: 1 << 12,
  PATH_OPEN: 1 << 13,
  FD_READDIR: 1 << 14,
  PATH_READLINK: 1 << 15,
  PATH_RENAME_SOURCE: 1 << 16,
  PATH_RENAME_TARGET: 1 << 17,
  PATH_FILESTAT_GET: 1 << 18,
  PATH_FILESTAT_SET_SIZE: 1 << 19,
  PATH_FILESTAT_SET_TIMES: 1 << 20,
  FD_FILESTAT_GET: 1 << 21,
  FD_FILESTAT_SET_SIZE: 1 << 22,
  FD_FILESTAT_SET_TIMES: 1 << 23,
  PATH_SYMLINK: 1 << 24,
  PATH_REMOVE_DIRECTORY: 1 << 25,
  PATH_UNLINK_FILE: 1 << 26,
  POLL_FD_READWRITE: 1 << 27,
  SOCK_SHUTDOWN: 1 << 28,
  SOCK_ACCEPT: 1 << 29,
} as const;

/** Every right there is. Bits beyond it mean nothing and are dropped where a program passes them. */
export const allRights = (1 << 30) - 1;

const regularFileRights =
  right.FD_DATASYNC |
  right.FD_READ |
  right.FD_SEEK |
  right.FD_FDSTAT_SET_FLAGS |
  right.FD_SYNC |
  right.FD_TELL |
  right.FD_WRITE |
  right.FD_ADVISE |
  right.FD_ALLOCATE |
  right.FD_FILESTAT_GET |
  right.FD_FILESTAT_SET_SIZE |
  right.FD_FILESTAT_SET_TIMES |
  right.POLL_FD_READWRITE;

const directoryRights =
  right.FD_FDSTAT_SET_FLAGS |
  right.FD_SYNC |
  right.FD_DATASYNC |
  right.FD_ADVISE |
  right.PATH_CREATE_DIRECTORY |
  right.PATH_CREATE_FILE |
  right.PATH_LINK_SOURCE |
  right.PATH_LINK_TARGET |
  right.PATH_OPEN |
  right.FD_READDIR |
  right.PATH_READLINK |
  right.PATH_RENAME_SOURCE |
  right.PATH_RENAME_TARGET |
  right.PATH_FILESTAT_GET |
  right.PATH_FILESTAT_SET_SIZE |
  right.PATH_FILESTAT_SET_TIMES |
  right.FD_FILESTAT_GET |
  right.FD_FILESTAT_SET_TIMES |
  right.PATH_SYMLINK |
  right.PATH_REMOVE_DIRECTORY |
  right.PATH_UNLINK_FILE |
  right.POLL_FD_READWRITE;

/** What a byte stream permits: a pipe, a terminal, a socket. C's `isatty` asks that a terminal cannot seek. */
const streamRights =
  right.FD_READ |
  right.FD_WRITE |
  right.FD_FDSTAT_SET_FLAGS |
  right.FD_FILESTAT_GET |
  right.POLL_FD_READWRITE;

const deviceRights =
  streamRights |
  right.FD_SEEK |
  right.FD_TELL |
  right.FD_SYNC |
  right.FD_DATASYNC |
  right.FD_ADVISE |
  right.FD_FILESTAT_SET_TIMES;

/**
 * The rights that mean something on a file of this type; a new descriptor gets no others.
 * `terminal` says that a character device is one.
 */
export function applicableRights(type: number, terminal: boolean): number {
  switch (type) {
    case fileType.regularFile:
      return regularFileRights;
    case fileType.directory:
      return directoryRights;
    case fileType.characterDevice:
      return terminal ? streamRights : deviceRights;
    case fileType.blockDevice:
      return regularFileRights;
    case fileType.socketDatagram:
    case fileType.socketStream:
      return streamRights | right.SOCK_SHUTDOWN | right.SOCK_ACCEPT;
    default:
      return streamRights;
  }
}

/** The rights that descriptors opened through one of this type may get: only directories hand any on. */
export function applicableInheriting(type: number): number {
  return type === fileType.directory ? directoryRights | regularFileRights | deviceRights : 0;
}

/** What a process's preopened directory starts with. `readOnly` leaves out everything that changes files. */
export function preopenRights(readOnly: boolean): { rights: number; inheriting: number } {
  const changing = readOnly ? changingRights : 0;
  return {
    rights: directoryRights & ~changing,
    inheriting: applicableInheriting(fileType.directory) & ~changing,
  };
}

const changingRights =
  right.FD_WRITE |
  right.FD_ALLOCATE |
  right.PATH_CREATE_DIRECTORY |
  right.PATH_CREATE_FILE |
  right.PATH_LINK_TARGET |
  right.PATH_RENAME_SOURCE |
  right.PATH_RENAME_TARGET |
  right.PATH_FILESTAT_SET_SIZE |
  right.PATH_FILESTAT_SET_TIMES |
  right.FD_FILESTAT_SET_SIZE |
  right.FD_FILESTAT_SET_TIMES |
  right.PATH_SYMLINK |
  right.PATH_REMOVE_DIRECTORY |
  right.PATH_UNLINK_FILE;
