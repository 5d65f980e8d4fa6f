/**
 * The file service as a kernel uses it: descriptors, open files, pipes and paths behind one object. There is
 * one `Files` per core; everything it knows is in shared memory, so all of them see the same.
 *
 * Results: zero or more is success, below zero is a negated errno. Nothing sleeps: what cannot go on now gives
 * −AGAIN, and the caller waits on `readQueue` or `writeQueue` and repeats. Open files are numbers; a number
 * that a call returns carries one reference, which `install` takes over or `release` gives up.
 *
 * The parts: `descriptors.ts`, `open-files.ts`, `file-data.ts`, `names.ts` and `name-changes.ts` (paths),
 * `socket-files.ts`, `mounts.ts`, `../pipe/pipes.ts`, `../device/devices.ts`, `../network/network.ts`.
 */
import { errno } from "../../kernel/errno.ts";
import { type DescriptorTable, type OpenFile, openFileKind } from "../../kernel/state.ts";
import type { WaitService } from "../../kernel/wait.ts";
import type { Ram } from "../../machine/ram.ts";
import type { Accessor, Pool } from "../../memory/index.ts";
import type { Devices } from "../device/devices.ts";
import type { NetworkService } from "../network/network.ts";
import { type PageSource, type PipeAreas, Pipes } from "../pipe/pipes.ts";
import { Descriptors } from "./descriptors.ts";
import { FileData } from "./file-data.ts";
import { type DirectoryVisitor, type FileType, fileType, type Stat } from "./filesystem.ts";
import type { Mounts } from "./mounts.ts";
import { NameChanges } from "./name-changes.ts";
import { Names, type OpenOptions } from "./names.ts";
import { OpenFiles } from "./open-files.ts";
import { SocketFiles } from "./socket-files.ts";

export { whence } from "./file-data.ts";
export type { OpenOptions } from "./names.ts";
export { fileFlag } from "./open-files.ts";

/** A stat record that also takes the number of the mount, as inode numbers repeat from one to the next. */
export interface DeviceStat extends Stat {
  device?: number;
}

/** What the service works on and with. */
export interface FileServiceParts {
  readonly areas: PipeAreas & {
    readonly openFiles: Pool<typeof OpenFile.fields>;
    readonly descriptors: Accessor<typeof DescriptorTable.fields>;
  };
  readonly mounts: Mounts;
  readonly devices: Devices;
  readonly ram: Ram;
  readonly pages: PageSource;
  readonly waits: WaitService;
  /** Left out where there are no sockets. */
  readonly network?: NetworkService;
  /** Owner number of this core for locks and pools. */
  readonly owner: number;
}

export class Files {
  readonly mounts: Mounts;
  /** What only sockets can do; undefined where there are none. */
  readonly sockets: SocketFiles | undefined;
  private readonly table: Descriptors;
  private readonly openFiles: OpenFiles;
  private readonly data: FileData;
  private readonly pipes: Pipes;
  private readonly network: NetworkService | undefined;
  private readonly names: Names;
  private readonly changes: NameChanges;

  constructor({ areas, ram, mounts, devices, pages, waits, network, owner }: FileServiceParts) {
    this.mounts = mounts;
    this.pipes = new Pipes(areas, ram, pages, waits, owner);
    this.network = network;
    this.openFiles = new OpenFiles(areas.openFiles, mounts, this.pipes, devices, owner, network);
    this.data = new FileData(this.openFiles, mounts, this.pipes, devices, owner, network);
    this.sockets = network === undefined ? undefined : new SocketFiles(this.openFiles, network);
    this.table = new Descriptors(areas.descriptors, this.openFiles);
    this.names = new Names(mounts, this.openFiles);
    this.changes = new NameChanges(mounts, this.openFiles);
  }

  // Descriptors: see `descriptors.ts`.

  lookup(slot: number, fd: number, rights: number): number {
    return this.table.lookup(slot, fd, rights);
  }

  install(slot: number, file: number, rights: number, inheriting: number, preopen?: number): number {
    return this.table.install(slot, file, rights, inheriting, preopen);
  }

  installAt(
    slot: number,
    fd: number,
    file: number,
    rights: number,
    inheriting: number,
    preopen?: number,
  ): number {
    return this.table.installAt(slot, fd, file, rights, inheriting, preopen);
  }

  closeDescriptor(slot: number, fd: number): number {
    return this.table.close(slot, fd);
  }

  renumber(slot: number, from: number, to: number): number {
    return this.table.renumber(slot, from, to);
  }

  closeAll(slot: number): void {
    this.table.closeAll(slot);
  }

  /** Gives a new process all descriptors of another one; they refer to the same open files. */
  copyDescriptors(from: number, to: number): void {
    this.table.copyAll(from, to);
  }

  rights(slot: number, fd: number): number {
    return this.table.rights(slot, fd);
  }

  inheriting(slot: number, fd: number): number {
    return this.table.inheriting(slot, fd);
  }

  setRights(slot: number, fd: number, rights: number, inheriting: number): number {
    return this.table.setRights(slot, fd, rights, inheriting);
  }

  preopenIndex(slot: number, fd: number): number {
    return this.table.preopenIndex(slot, fd);
  }

  descriptorCount(slot: number): number {
    return this.table.count(slot);
  }

  // Open files: see `open-files.ts` and `file-data.ts`.

  /** One of `openFileKind`. */
  kind(file: number): number {
    return this.openFiles.kind(file);
  }

  fileType(file: number): FileType {
    return this.openFiles.fileType(file);
  }

  isTerminal(file: number): boolean {
    return this.openFiles.isTerminal(file);
  }

  flags(file: number): number {
    return this.openFiles.flags(file);
  }

  setFlags(file: number, flags: number): number {
    return this.openFiles.setFlags(file, flags);
  }

  /** Whether a number, which may be any, is that of an open file. */
  isOpen(file: number): boolean {
    return this.openFiles.isOpen(file);
  }

  retain(file: number): void {
    this.openFiles.retain(file);
  }

  release(file: number): void {
    this.openFiles.release(file);
  }

  /** Both ends of a new pipe, each with one reference, or a negated errno. */
  makePipe(): { reader: number; writer: number } | number {
    return this.openFiles.makePipe();
  }

  /** What the pipe behind one of its ends holds, which stays in it. */
  pipeContent(file: number): Uint8Array {
    return this.openFiles.pipeContent(file);
  }

  /** Opens a device by number, without a name: for standard streams. */
  openDevice(device: number, flags = 0): number {
    return this.openFiles.makeForDevice(device, 0, 0, flags);
  }

  read(file: number, target: Uint8Array, offset: number, length: number, thread?: number): number {
    return this.data.read(file, target, offset, length, thread);
  }

  write(file: number, source: Uint8Array, offset: number, length: number, thread?: number): number {
    return this.data.write(file, source, offset, length, thread);
  }

  transfer(file: number, length: number, thread: number): number {
    return this.data.transfer(file, length, thread);
  }

  readAt(file: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.data.readAt(file, target, offset, length, position);
  }

  writeAt(file: number, source: Uint8Array, offset: number, length: number, position: number): number {
    return this.data.writeAt(file, source, offset, length, position);
  }

  seek(file: number, delta: number, from: number): number {
    return this.data.seek(file, delta, from);
  }

  tell(file: number): number {
    return this.data.tell(file);
  }

  truncate(file: number, size_bytes: number): number {
    return this.data.truncate(file, size_bytes);
  }

  allocate(file: number, offset: number, length: number): number {
    return this.data.allocate(file, offset, length);
  }

  sync(file: number): number {
    return this.data.sync(file);
  }

  pollRead(file: number): number {
    return this.data.pollRead(file);
  }

  pollWrite(file: number): number {
    return this.data.pollWrite(file);
  }

  hangup(file: number): boolean {
    return this.data.hangup(file);
  }

  readQueue(file: number): number {
    return this.data.readQueue(file);
  }

  writeQueue(file: number): number {
    return this.data.writeQueue(file);
  }

  /**
   * Cleans up behind a core that died, once its thread is gone: frees its locks and ends its changes. Its
   * processes' descriptors are closed with `closeAll` afterwards.
   */
  recover(deadOwner: number): void {
    this.openFiles.recover(deadOwner);
    this.pipes.recover(deadOwner);
    this.network?.recover(deadOwner);
    this.mounts.recover(deadOwner);
  }

  // Attributes of open files.

  /** Fills `into`, with the mount's number in `device` where the record has one. Zero, or a negated errno. */
  stat(file: number, into: DeviceStat): number {
    const mount = this.openFiles.mount(file);
    if (into.device !== undefined) into.device = mount;
    if (mount !== 0) return this.mounts.fileSystem(mount).stat(this.openFiles.inode(file), into);
    if (this.openFiles.kind(file) === openFileKind.none) return -errno.BADF;
    into.inode = file;
    into.fileType = this.openFiles.fileType(file);
    into.linkCount = 1;
    into.mode = 0o600;
    into.size_bytes = this.openFiles.pipeFilled(file);
    into.accessTime_ns = 0;
    into.modificationTime_ns = 0;
    into.changeTime_ns = 0;
    return 0;
  }

  /** Each time: nanoseconds since 1970, or −1 to leave it. Pipes and devices take it and forget it. */
  setTimes(file: number, accessTime_ns: number, modificationTime_ns: number): number {
    if (!this.isOnFileSystem(file)) return 0;
    const fileSystem = this.mounts.fileSystem(this.openFiles.mount(file));
    if (fileSystem.readOnly) return -errno.ROFS;
    return fileSystem.setTimes(this.openFiles.inode(file), accessTime_ns, modificationTime_ns);
  }

  setMode(file: number, mode: number): number {
    if (!this.isOnFileSystem(file)) return -errno.INVAL;
    const fileSystem = this.mounts.fileSystem(this.openFiles.mount(file));
    return fileSystem.readOnly ? -errno.ROFS : fileSystem.setMode(this.openFiles.inode(file), mode & 0o7777);
  }

  private isOnFileSystem(file: number): boolean {
    const kind = this.openFiles.kind(file);
    return kind === openFileKind.file || kind === openFileKind.directory;
  }

  // Directories and paths: see `names.ts` and `name-changes.ts`.

  /** Opens a directory by mount and inode: the root of a name space that a program is given. */
  openDirectory(mount: number, inode: number): number {
    if (!this.mounts.enter(mount)) return -errno.NOENT;
    const fileSystem = this.mounts.fileSystem(mount);
    const handle = fileSystem.open(inode, false);
    let file = handle;
    if (handle >= 0) {
      file = this.openFiles.makeForHandle(
        openFileKind.directory,
        fileType.directory,
        mount,
        inode,
        handle,
        0,
      );
      if (file < 0) fileSystem.close(handle);
    }
    if (file < 0) this.mounts.leave(mount);
    return file;
  }

  /** Opens "/", or −NOENT while nothing is mounted there. */
  openRoot(): number {
    const mount = this.mounts.root();
    return mount === 0 ? -errno.NOENT : this.openDirectory(mount, this.mounts.fileSystem(mount).rootInode);
  }

  openPath(directory: number, path: string, options: OpenOptions): number {
    return this.names.openPath(directory, path, options);
  }

  /** As `stat`, for what a path leads to. */
  statPath(directory: number, path: string, follow: boolean, into: DeviceStat): number {
    const mount = this.names.statPath(directory, path, follow, into);
    if (mount < 0) return mount;
    if (into.device !== undefined) into.device = mount;
    return 0;
  }

  setTimesPath(
    directory: number,
    path: string,
    follow: boolean,
    accessTime_ns: number,
    modificationTime_ns: number,
  ): number {
    return this.names.setTimesPath(directory, path, follow, accessTime_ns, modificationTime_ns);
  }

  setModePath(directory: number, path: string, follow: boolean, mode: number): number {
    return this.names.setModePath(directory, path, follow, mode);
  }

  readSymbolicLink(directory: number, path: string): string | number {
    return this.names.readSymbolicLink(directory, path);
  }

  makeDirectory(directory: number, path: string, mode: number): number {
    return this.changes.makeDirectory(directory, path, mode);
  }

  makeSymbolicLink(target: string, directory: number, path: string): number {
    return this.changes.makeSymbolicLink(target, directory, path);
  }

  link(
    fromDirectory: number,
    fromPath: string,
    follow: boolean,
    toDirectory: number,
    toPath: string,
  ): number {
    return this.changes.link(fromDirectory, fromPath, follow, toDirectory, toPath);
  }

  unlink(directory: number, path: string): number {
    return this.changes.unlink(directory, path);
  }

  removeDirectory(directory: number, path: string): number {
    return this.changes.removeDirectory(directory, path);
  }

  rename(fromDirectory: number, fromPath: string, toDirectory: number, toPath: string): number {
    return this.changes.rename(fromDirectory, fromPath, toDirectory, toPath);
  }

  /** Calls `visit` for each entry from `cookie` on. Zero, or −NOTDIR. */
  readDirectory(file: number, cookie: number, visit: DirectoryVisitor): number {
    if (this.openFiles.kind(file) !== openFileKind.directory) return -errno.NOTDIR;
    const fileSystem = this.mounts.fileSystem(this.openFiles.mount(file));
    return fileSystem.readDirectory(this.openFiles.inode(file), cookie, visit);
  }
}
