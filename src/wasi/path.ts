/**
 * `path_*` calls that change or read the name space. Paths are relative to a directory descriptor; the file
 * service's path walk sees to it that none leads out of it.
 */
import { errno } from "../kernel/errno.ts";
import { type Caller, errnoOf } from "./caller.ts";
import { right } from "./rights.ts";
import { followSymbolicLink } from "./structs.ts";

/** Programs cannot say what permissions a new directory has. */
const newDirectoryMode = 0o755;

/** `path_create_directory` */
export function pathCreateDirectory(caller: Caller, fd: number, address: number, length: number): number {
  caller.memory.refresh();
  const directory = caller.lookup(fd, right.PATH_CREATE_DIRECTORY);
  if (directory < 0) return caller.directoryError(fd, directory);
  const path = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof path === "number") return -path;
  return errnoOf(caller.files.makeDirectory(directory, path, newDirectoryMode));
}

/** `path_unlink_file` */
export function pathUnlink(caller: Caller, fd: number, address: number, length: number): number {
  caller.memory.refresh();
  const directory = caller.lookup(fd, right.PATH_UNLINK_FILE);
  if (directory < 0) return caller.directoryError(fd, directory);
  const path = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof path === "number") return -path;
  return errnoOf(caller.files.unlink(directory, path));
}

/** `path_remove_directory` */
export function pathRemoveDirectory(caller: Caller, fd: number, address: number, length: number): number {
  caller.memory.refresh();
  const directory = caller.lookup(fd, right.PATH_REMOVE_DIRECTORY);
  if (directory < 0) return caller.directoryError(fd, directory);
  const path = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof path === "number") return -path;
  return errnoOf(caller.files.removeDirectory(directory, path));
}

/** `path_rename` */
export function pathRename(
  caller: Caller,
  fromFd: number,
  fromAddress: number,
  fromLength: number,
  toFd: number,
  toAddress: number,
  toLength: number,
): number {
  caller.memory.refresh();
  const fromDirectory = caller.lookup(fromFd, right.PATH_RENAME_SOURCE);
  if (fromDirectory < 0) return caller.directoryError(fromFd, fromDirectory);
  const toDirectory = caller.lookup(toFd, right.PATH_RENAME_TARGET);
  if (toDirectory < 0) return caller.directoryError(toFd, toDirectory);
  const from = caller.paths.decode(fromAddress >>> 0, fromLength >>> 0);
  if (typeof from === "number") return -from;
  const to = caller.paths.decode(toAddress >>> 0, toLength >>> 0);
  if (typeof to === "number") return -to;
  return errnoOf(caller.files.rename(fromDirectory, from, toDirectory, to));
}

/** `path_link`: another name for a file. */
export function pathLink(
  caller: Caller,
  fromFd: number,
  lookupFlags: number,
  fromAddress: number,
  fromLength: number,
  toFd: number,
  toAddress: number,
  toLength: number,
): number {
  caller.memory.refresh();
  const fromDirectory = caller.lookup(fromFd, right.PATH_LINK_SOURCE);
  if (fromDirectory < 0) return caller.directoryError(fromFd, fromDirectory);
  const toDirectory = caller.lookup(toFd, right.PATH_LINK_TARGET);
  if (toDirectory < 0) return caller.directoryError(toFd, toDirectory);
  if ((lookupFlags & ~followSymbolicLink) !== 0) return errno.INVAL;
  const from = caller.paths.decode(fromAddress >>> 0, fromLength >>> 0);
  if (typeof from === "number") return -from;
  const to = caller.paths.decode(toAddress >>> 0, toLength >>> 0);
  if (typeof to === "number") return -to;
  return errnoOf(caller.files.link(fromDirectory, from, lookupFlags !== 0, toDirectory, to));
}

/** `path_symlink`: what the link says is any text; where it may lead is checked when it is followed. */
export function pathSymbolicLink(
  caller: Caller,
  targetAddress: number,
  targetLength: number,
  fd: number,
  address: number,
  length: number,
): number {
  caller.memory.refresh();
  const directory = caller.lookup(fd, right.PATH_SYMLINK);
  if (directory < 0) return caller.directoryError(fd, directory);
  const target = caller.paths.decode(targetAddress >>> 0, targetLength >>> 0);
  if (typeof target === "number") return -target;
  const path = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof path === "number") return -path;
  if (target === "") return errno.NOENT;
  // Paths of programs are relative to their directories: an absolute link could never be followed.
  if (target.startsWith("/")) return errno.NOTCAPABLE;
  return errnoOf(caller.files.makeSymbolicLink(target, directory, path));
}

/** `path_readlink`: as much of the target as there is room for. */
export function pathReadLink(
  caller: Caller,
  fd: number,
  address: number,
  length: number,
  bufferAddress: number,
  bufferLength: number,
  resultAddress: number,
): number {
  const { memory } = caller;
  const buffer = bufferAddress >>> 0;
  const room = bufferLength >>> 0;
  const result = resultAddress >>> 0;
  memory.refresh();
  const directory = caller.lookup(fd, right.PATH_READLINK);
  if (directory < 0) return caller.directoryError(fd, directory);
  if (!memory.holds(buffer, room) || !memory.holdsWord(result)) return errno.FAULT;
  const path = caller.paths.decode(address >>> 0, length >>> 0);
  if (typeof path === "number") return -path;
  const target = caller.files.readSymbolicLink(directory, path);
  if (typeof target === "number") return -target;
  const text = new TextEncoder().encode(target);
  const used = Math.min(text.length, room);
  memory.put(buffer, text.subarray(0, used));
  memory.words.setValue(result, used);
  return errno.SUCCESS;
}
