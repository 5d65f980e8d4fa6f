/** `path_open`: from a path to a descriptor, and the rights that it gets. */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";
import { applicableInheriting, applicableRights, right } from "./rights.ts";
import { allDescriptorFlags, allOpenFlags, descriptorFlag, followSymbolicLink, openFlag } from "./structs.ts";

/** Programs cannot say what permissions a new file has. */
const newFileMode = 0o644;

/** Rights that only a file opened for reading or writing can exercise. */
const readingRights = right.FD_READ | right.FD_READDIR;
const writingRights = right.FD_WRITE | right.FD_ALLOCATE | right.FD_FILESTAT_SET_SIZE;

/**
 * `path_open`. The rights asked for must be among those that the directory hands on; those that mean nothing
 * for the type of file that is found are left out. Rights that do not exist were dropped by the caller.
 */
export function pathOpen(
  caller: Caller,
  fd: number,
  lookupFlags: number,
  pathAddress: number,
  pathLength: number,
  openFlags: number,
  rights: number,
  inheriting: number,
  flags: number,
  resultAddress: number,
): number {
  const { memory, files } = caller;
  const { slot } = caller.process;
  const result = resultAddress >>> 0;
  memory.refresh();
  const directory = caller.lookup(fd, neededRights(openFlags));
  if (directory < 0) return caller.directoryError(fd, directory);
  if (
    (lookupFlags & ~followSymbolicLink) !== 0 ||
    (openFlags & ~allOpenFlags) !== 0 ||
    (flags & ~allDescriptorFlags) !== 0 ||
    isContradictory(openFlags)
  ) {
    return errno.INVAL;
  }
  if (!memory.holdsWord(result)) return errno.FAULT;
  if (((rights | inheriting | syncRights(flags)) & ~files.inheriting(slot, fd)) !== 0)
    return errno.NOTCAPABLE;
  const path = caller.paths.decode(pathAddress >>> 0, pathLength >>> 0);
  if (typeof path === "number") return -path;

  const { openOptions } = caller;
  openOptions.followLast = lookupFlags !== 0;
  openOptions.create = (openFlags & openFlag.create) !== 0;
  openOptions.exclusive = openOptions.create && (openFlags & openFlag.exclusive) !== 0;
  openOptions.directory = (openFlags & openFlag.directory) !== 0;
  openOptions.truncate = (openFlags & openFlag.truncate) !== 0;
  openOptions.read = (rights & readingRights) !== 0;
  // Some libraries ask for every right when they open a directory: it is not opened for writing.
  openOptions.write = !openOptions.directory && (rights & writingRights) !== 0;
  openOptions.flags = flags;
  openOptions.mode = newFileMode;
  const file = files.openPath(directory, path, openOptions);
  if (file < 0) return -file;

  const type = files.fileType(file);
  const applicable = applicableRights(type, files.isTerminal(file));
  const installed = files.install(slot, file, rights & applicable, inheriting & applicableInheriting(type));
  if (installed < 0) {
    files.release(file);
    return -installed;
  }
  memory.words.setValue(result, installed);
  return errno.SUCCESS;
}

/** What the directory itself must permit. */
function neededRights(openFlags: number): number {
  let needed: number = right.PATH_OPEN;
  if ((openFlags & openFlag.create) !== 0) needed |= right.PATH_CREATE_FILE;
  if ((openFlags & openFlag.truncate) !== 0) needed |= right.PATH_FILESTAT_SET_SIZE;
  return needed;
}

/** Opening with synchronised writes takes the rights to synchronise. */
function syncRights(flags: number): number {
  let needed = 0;
  if ((flags & descriptorFlag.dsync) !== 0) needed |= right.FD_DATASYNC;
  if ((flags & (descriptorFlag.rsync | descriptorFlag.sync)) !== 0) needed |= right.FD_SYNC;
  return needed;
}

/** Directories are neither created nor truncated by opening them. */
function isContradictory(openFlags: number): boolean {
  return (openFlags & openFlag.directory) !== 0 && (openFlags & (openFlag.create | openFlag.truncate)) !== 0;
}
