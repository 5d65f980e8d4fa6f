/**
 * A directory of this computer as a device of the machine (see `HostDirectory`).
 *
 * What keeps programs inside: directories are reached without following links (`host-parents.ts`), and the last
 * name is only ever given to calls that do not follow it. Files are opened in two steps, first without access
 * to find out what they are, so that a device or FIFO is never really opened.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { errno } from "../../kernel/errno.ts";
import type { HostDirectory, HostStatus } from "../devices.ts";
import { hostErrno } from "./host-error.ts";
import { type HostParents, hostParents, openPathOnly } from "./host-parents.ts";
import { leadsOut } from "./link-target.ts";

const typeMask = 0o170000;
const regularFile = 0o100000;
const directoryFile = 0o040000;
const symbolicLinkFile = 0o120000;
/** Programs set permissions, never set-user-id, set-group-id or sticky bits on the host. */
const permissionMask = 0o777;
const word = 2 ** 32;
/** Node.js refuses longer transfers. */
const transfer_bytes_max = 2 ** 30;

const { O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY, O_APPEND } = constants;
/** Absent on Windows, where they are not needed. */
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0;
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;
const O_NOCTTY = constants.O_NOCTTY ?? 0;

export class NodeHostDirectory implements HostDirectory {
  readonly readOnly: boolean;
  private readonly parents: HostParents;

  /** @throws Error with the host's reason when `path` is no directory that can be opened. */
  constructor(path: string, readOnly: boolean) {
    this.readOnly = readOnly;
    this.parents = hostParents(path);
  }

  dispose(): void {
    this.parents.dispose();
  }

  /** Runs `action` with a path that names the place without a link before its last part. */
  private at(directory: string, name: string, action: (path: string) => number): number {
    if (name === "." || name === ".." || name.includes("/")) return -errno.INVAL;
    const prefix = this.parents.prefix(directory);
    if (typeof prefix === "number") return prefix;
    try {
      return action(`${prefix}/${name === "" ? "." : name}`);
    } catch (error) {
      return hostErrno(error);
    }
  }

  private changeAt(directory: string, name: string, action: (path: string) => void): number {
    if (this.readOnly) return -errno.ROFS;
    if (name === "") return -errno.BUSY;
    return this.at(directory, name, (path) => {
      action(path);
      return 0;
    });
  }

  // What is there.

  status(directory: string, name: string, into: HostStatus): number {
    return this.at(directory, name, (path) => {
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats === undefined) return -errno.NOENT;
      fill(into, stats);
      if (!Number.isSafeInteger(stats.ino)) fillInode(into, lstatSync(path, { bigint: true }).ino);
      return 0;
    });
  }

  statusOfFile(file: number, into: HostStatus): number {
    return attempt(() => {
      const stats = fstatSync(file);
      fill(into, stats);
      if (!Number.isSafeInteger(stats.ino)) fillInode(into, fstatSync(file, { bigint: true }).ino);
      return 0;
    });
  }

  list(directory: string): Uint8Array[] | number {
    const prefix = this.parents.prefix(directory);
    if (typeof prefix === "number") return prefix;
    try {
      return readdirSync(`${prefix}/.`, { encoding: "buffer" });
    } catch (error) {
      return hostErrno(error);
    }
  }

  readSymbolicLink(directory: string, name: string): string | number {
    let target = "";
    const result = this.at(directory, name, (path) => {
      target = readlinkSync(path);
      return 0;
    });
    return result < 0 ? result : target;
  }

  // Names.

  createFile(directory: string, name: string, mode: number): number {
    return this.changeAt(directory, name, (path) => {
      closeSync(openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & permissionMask));
    });
  }

  makeDirectory(directory: string, name: string, mode: number): number {
    return this.changeAt(directory, name, (path) => void mkdirSync(path, mode & permissionMask));
  }

  makeSymbolicLink(directory: string, name: string, target: string): number {
    if (leadsOut(directory, target)) return this.readOnly ? -errno.ROFS : -errno.PERM;
    return this.changeAt(directory, name, (path) => symlinkSync(target, path));
  }

  link(fromDirectory: string, fromName: string, toDirectory: string, toName: string): number {
    return this.fromTo(fromDirectory, fromName, toDirectory, toName, linkSync);
  }

  rename(fromDirectory: string, fromName: string, toDirectory: string, toName: string): number {
    return this.fromTo(fromDirectory, fromName, toDirectory, toName, renameSync);
  }

  unlink(directory: string, name: string): number {
    return this.changeAt(directory, name, unlinkSync);
  }

  removeDirectory(directory: string, name: string): number {
    return this.changeAt(directory, name, rmdirSync);
  }

  private fromTo(
    fromDirectory: string,
    fromName: string,
    toDirectory: string,
    toName: string,
    action: (from: string, to: string) => void,
  ): number {
    if (this.readOnly) return -errno.ROFS;
    if (fromName === "" || toName === "") return -errno.BUSY;
    if (fromDirectory !== toDirectory && this.wouldLeadOut(fromDirectory, fromName, toDirectory)) {
      return -errno.PERM;
    }
    return this.at(fromDirectory, fromName, (from) =>
      this.at(toDirectory, toName, (to) => {
        action(from, to);
        return 0;
      }),
    );
  }

  /**
   * A link that stays inside where it is and would lead out where it is going. (A directory that moves nearer
   * to the root takes the links in it along unseen; our own path walk never lets the host follow any.)
   */
  private wouldLeadOut(fromDirectory: string, fromName: string, toDirectory: string): boolean {
    const target = this.readSymbolicLink(fromDirectory, fromName);
    return typeof target === "string" && !leadsOut(fromDirectory, target) && leadsOut(toDirectory, target);
  }

  // Attributes.

  setMode(directory: string, name: string, mode: number): number {
    if (this.readOnly) return -errno.ROFS;
    return this.at(directory, name, (path) => {
      const file = this.openAsItIs(path);
      try {
        if (!isPlain(fstatSync(file).mode)) return -errno.ACCES;
        const itself = this.parents.pathOfFile(file);
        if (itself === undefined) fchmodSync(file, mode & permissionMask);
        else chmodSync(itself, mode & permissionMask);
        return 0;
      } finally {
        closeSync(file);
      }
    });
  }

  setModeOfFile(file: number, mode: number): number {
    if (this.readOnly) return -errno.ROFS;
    return attempt(() => {
      fchmodSync(file, mode & permissionMask);
      return 0;
    });
  }

  setTimes(directory: string, name: string, accessTime_ns: number, modificationTime_ns: number): number {
    if (this.readOnly) return -errno.ROFS;
    return this.at(directory, name, (path) => {
      const { atimeMs, mtimeMs } = lstatSync(path);
      lutimesSync(path, seconds(accessTime_ns, atimeMs), seconds(modificationTime_ns, mtimeMs));
      return 0;
    });
  }

  setTimesOfFile(file: number, accessTime_ns: number, modificationTime_ns: number): number {
    if (this.readOnly) return -errno.ROFS;
    return attempt(() => {
      const { atimeMs, mtimeMs } = fstatSync(file);
      futimesSync(file, seconds(accessTime_ns, atimeMs), seconds(modificationTime_ns, mtimeMs));
      return 0;
    });
  }

  // Open files.

  open(directory: string, name: string, write: boolean): number {
    if (write && this.readOnly) return -errno.ROFS;
    return this.at(directory, name, (path) => {
      const found = this.openAsItIs(path);
      const itself = this.parents.pathOfFile(found);
      try {
        const { mode } = fstatSync(found);
        const type = mode & typeMask;
        if (type === symbolicLinkFile) return -errno.LOOP;
        if (!isPlain(mode)) return -errno.ACCES;
        if (write && type === directoryFile) return -errno.ISDIR;
        const flags = type === directoryFile ? O_RDONLY | O_DIRECTORY : write ? O_RDWR : O_RDONLY;
        return openSync(
          itself ?? path,
          flags | O_NONBLOCK | O_NOCTTY | (itself === undefined ? O_NOFOLLOW : 0),
        );
      } finally {
        closeSync(found);
      }
    });
  }

  /** Opens what a path names without following it, and where the host can, without access to it. */
  private openAsItIs(path: string): number {
    if (this.parents.pathOfFile(0) !== undefined) return openSync(path, openPathOnly | O_NOFOLLOW);
    const { mode } = lstatSync(path);
    if (!isPlain(mode)) throw Object.assign(new Error("not a plain file"), { code: "EACCES" });
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  }

  openForAppend(file: number): number {
    if (this.readOnly) return -errno.ROFS;
    const itself = this.parents.pathOfFile(file);
    if (itself === undefined) return -errno.NOTSUP;
    return attempt(() => openSync(itself, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY));
  }

  close(file: number): void {
    closeSync(file);
  }

  read(file: number, target: Uint8Array, offset: number, length: number, position: number): number {
    if (length === 0) return 0;
    return attempt(() => readSync(file, target, offset, Math.min(length, transfer_bytes_max), position));
  }

  write(file: number, source: Uint8Array, offset: number, length: number, position: number): number {
    return this.transfer(file, source, offset, length, position);
  }

  writeAtEnd(file: number, source: Uint8Array, offset: number, length: number): number {
    return this.transfer(file, source, offset, length, null);
  }

  /** Writes everything, or what fitted before an error, or nothing: then the error. */
  private transfer(
    file: number,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): number {
    if (this.readOnly) return -errno.ROFS;
    let done = 0;
    while (done < length) {
      const part = Math.min(length - done, transfer_bytes_max);
      const at = position === null ? null : position + done;
      const written = attempt(() => writeSync(file, source, offset + done, part, at));
      if (written < 0) return done > 0 ? done : written;
      done += written;
    }
    return done;
  }

  size(file: number): number {
    return attempt(() => fstatSync(file).size);
  }

  setSize(file: number, size_bytes: number): number {
    if (this.readOnly) return -errno.ROFS;
    return attempt(() => {
      ftruncateSync(file, size_bytes);
      return 0;
    });
  }

  flush(file: number): number {
    return attempt(() => {
      fsyncSync(file);
      return 0;
    });
  }
}

function attempt(action: () => number): number {
  try {
    return action();
  } catch (error) {
    return hostErrno(error);
  }
}

function isPlain(mode: number): boolean {
  const type = mode & typeMask;
  return type === regularFile || type === directoryFile;
}

function fill(into: HostStatus, stats: Stats): void {
  into.device = stats.dev;
  into.inodeLow = stats.ino % word;
  into.inodeHigh = Math.floor(stats.ino / word);
  into.mode = stats.mode;
  into.linkCount = stats.nlink;
  into.size_bytes = stats.size;
  into.accessTime_ns = stats.atimeMs * 1e6;
  into.modificationTime_ns = stats.mtimeMs * 1e6;
  into.changeTime_ns = stats.ctimeMs * 1e6;
}

/** Some file systems use all 64 bits, of which a number would lose the last. */
function fillInode(into: HostStatus, inode: bigint): void {
  into.inodeLow = Number(inode & 0xffffffffn);
  into.inodeHigh = Number(inode >> 32n);
}

function seconds(time_ns: number, current_ms: number): number {
  return time_ns < 0 ? current_ms / 1e3 : time_ns / 1e9;
}
