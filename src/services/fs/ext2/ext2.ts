/**
 * ext2: the file system of the island's root, on the real on-disk format, used in place on a block device that
 * lies in memory. Every kernel has its own `Ext2` object over the same device: the first one creates or mounts,
 * the others attach. Start reading at `shared.ts` (state and locks) and `layout.ts` (the format).
 *
 * If a kernel dies inside a call, the device is left with leaked blocks or inodes or with counts too high at
 * worst, never with a name without a file or a block used twice; each file says how its writes are ordered. The
 * locks it held are freed by `recover`.
 */
import { errno } from "../../../kernel/errno.ts";
import { Ram } from "../../../machine/ram.ts";
import type { TypedMemory } from "../../../memory/index.ts";
import type { BlockDevice } from "../../block/block-device.ts";
import type { DirectoryVisitor, FileSystem, Stat } from "../filesystem.ts";
import { MountError, VolumeFailure } from "./errors.ts";
import { Files } from "./files.ts";
import { type Geometry, readGeometry } from "./geometry.ts";
import { inodeNumber } from "./layout.ts";
import { type MakeOptions, planGeometry, writeCopies, writeEmptyFileSystem } from "./make.ts";
import { beginMount, endMount, makeRoot } from "./mount.ts";
import { makeParts, type Parts } from "./parts.ts";
import { releaseLocksOf } from "./recovery.ts";
import { Renames } from "./rename.ts";
import {
  attachSharedState,
  createSharedState,
  removeSharedState,
  type SharedState,
  sharedState_bytes,
} from "./shared.ts";
import { isLive, Tree } from "./tree.ts";
import { Volume } from "./volume.ts";

export interface Ext2Options {
  /** Where the shared in-core state lives. */
  readonly memory: TypedMemory;
  /** Tells the areas of several volumes apart. Default "root". */
  readonly name?: string;
  /** This kernel's object for the device. */
  readonly device: BlockDevice;
  /** How bytes are copied to and from the memory that holds the device. Default: plainly. */
  readonly ram?: Ram;
  /** This kernel's number as an owner of locks: core id + 1. */
  readonly owner: number;
  /** Nanoseconds since 1970; may be coarse. */
  readonly now_ns: () => number;
  /** Told about damage found on the device. */
  readonly log?: (line: string) => void;
}

export interface MountOptions extends Ext2Options {
  readonly readOnly?: boolean;
}

export interface Ext2Statistics {
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly inodes: number;
  readonly freeInodes: number;
  readonly blockSize: number;
}

export class Ext2 implements FileSystem {
  readonly type = "ext2";
  readonly readOnly: boolean;
  /** Why nothing may be changed, for people; undefined when writable. */
  readonly readOnlyReason: string | undefined;
  readonly rootInode = inodeNumber.root;

  readonly #options: Ext2Options;
  readonly #parts: Parts;
  readonly #files: Files;
  readonly #tree: Tree;
  readonly #renames: Renames;

  private constructor(options: Ext2Options, geometry: Geometry, shared: SharedState) {
    this.readOnly = shared.volume.readOnly(0) !== 0;
    this.readOnlyReason = this.readOnly ? (geometry.readOnlyReason ?? "it was mounted read-only") : undefined;
    this.#options = options;
    const volume = new Volume({
      device: options.device,
      ram: options.ram ?? new Ram(options.device.buffer, options.device.guard),
      geometry,
      shared,
      readOnly: this.readOnly,
      owner: options.owner,
      now_ns: options.now_ns,
      log: options.log ?? (() => {}),
    });
    this.#parts = makeParts(volume);
    this.#files = new Files(this.#parts);
    this.#tree = new Tree(this.#parts);
    this.#renames = new Renames(this.#parts);
  }

  /**
   * Formats the device and mounts it.
   * @throws MountError when the device cannot hold a file system.
   */
  static create(options: Ext2Options & MakeOptions): Ext2 {
    const geometry = planGeometry(options.device, options);
    // Nothing is written before the volume's name is ours: a mounted one must not be formatted.
    return Ext2.#begin(
      options,
      geometry,
      false,
      () => {
        writeEmptyFileSystem(options.device, options, options.now_ns());
      },
      (made) => {
        makeRoot(made.#parts);
        writeCopies(options.device, geometry);
      },
    );
  }

  /**
   * Mounts a device that holds a file system.
   * @throws MountError with the reason when it cannot be mounted.
   */
  static mount(options: MountOptions): Ext2 {
    const geometry = readGeometry(options.device);
    return Ext2.#begin(options, geometry, options.readOnly === true || geometry.readOnlyReason !== undefined);
  }

  /**
   * Bytes of typed memory that a volume's shared state takes: of the file system on the device, or with `format`
   * of one that would be made there.
   * @throws MountError when it cannot be mounted or made.
   */
  static sharedState_bytes(device: BlockDevice, format?: MakeOptions): number {
    const geometry = format === undefined ? readGeometry(device) : planGeometry(device, format);
    return sharedState_bytes(geometry.inodesCount, geometry.groupsCount);
  }

  /**
   * Joins a volume that another kernel mounted.
   * @throws MountError when the device is not what was mounted.
   */
  static attach(options: Ext2Options): Ext2 {
    const shared = attachSharedState(options.memory, options.name ?? "root");
    if (shared.volume.mounted(0) === 0) throw new MountError("notExt2", "the volume is not mounted");
    return new Ext2(options, readGeometry(options.device), shared);
  }

  static #begin(
    options: Ext2Options,
    geometry: Geometry,
    readOnly: boolean,
    before: () => void = () => {},
    after: (mounted: Ext2) => void = () => {},
  ): Ext2 {
    const { memory, name = "root" } = options;
    const shared = createSharedState(memory, name, geometry.inodesCount, geometry.groupsCount);
    try {
      before();
      shared.volume.setReadOnly(0, readOnly ? 1 : 0);
      const mounted = new Ext2(options, geometry, shared);
      beginMount(mounted.#parts);
      after(mounted);
      return mounted;
    } catch (error) {
      removeSharedState(memory, name);
      if (error instanceof VolumeFailure) throw new MountError("diskError", error.message);
      throw error;
    }
  }

  /**
   * Frees files that are unlinked but still open, brings the superblock up to date, marks the volume clean and
   * writes everything back. The last thing any kernel does with the volume: all handles and all other `Ext2`
   * objects over it are dead afterwards. Zero, or a negated errno of the disk.
   */
  unmount(): number {
    const result = endMount(this.#parts);
    removeSharedState(this.#options.memory, this.#options.name ?? "root");
    return result;
  }

  /** Writes everything that changed back to the device. Zero, or a negated errno. */
  syncAll(): number {
    const { volume } = this.#parts;
    if (volume.readOnly) return 0;
    volume.writeTotals();
    return volume.device.flush();
  }

  statistics(): Ext2Statistics {
    const { volume } = this.#parts;
    const free = volume.countFree();
    return {
      blocks: volume.blocksCount,
      freeBlocks: free.blocks,
      inodes: volume.inodesCount,
      freeInodes: free.inodes,
      blockSize: volume.blockSize_bytes,
    };
  }

  /**
   * Frees the locks that a dead kernel held and completes what it was doing. Its open handles are for others to
   * close. The number of locks freed.
   * @throws VolumeFailure when the device fails or is damaged.
   */
  recover(deadOwner: number): number {
    return releaseLocksOf(this.#parts, deadOwner);
  }

  lookup(directory: number, name: string): number {
    try {
      return this.#tree.lookup(directory, name);
    } catch (error) {
      return this.#failure(error);
    }
  }

  createFile(directory: number, name: string, mode: number): number {
    try {
      return this.#tree.createFile(directory, name, mode);
    } catch (error) {
      return this.#failure(error);
    }
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    try {
      return this.#tree.makeDirectory(directory, name, mode);
    } catch (error) {
      return this.#failure(error);
    }
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    try {
      return this.#tree.makeSymbolicLink(directory, name, target);
    } catch (error) {
      return this.#failure(error);
    }
  }

  link(inode: number, directory: number, name: string): number {
    try {
      return this.#tree.link(inode, directory, name);
    } catch (error) {
      return this.#failure(error);
    }
  }

  unlink(directory: number, name: string): number {
    try {
      return this.#tree.unlink(directory, name);
    } catch (error) {
      return this.#failure(error);
    }
  }

  removeDirectory(directory: number, name: string): number {
    try {
      return this.#tree.removeDirectory(directory, name);
    } catch (error) {
      return this.#failure(error);
    }
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    try {
      return this.#renames.rename(fromDirectory, fromName, toDirectory, toName);
    } catch (error) {
      return this.#failure(error);
    }
  }

  readSymbolicLink(inode: number): string | number {
    try {
      return this.#tree.readSymbolicLink(inode);
    } catch (error) {
      return this.#failure(error);
    }
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    try {
      return this.#tree.readDirectory(directory, cookie, visit);
    } catch (error) {
      return this.#failure(error);
    }
  }

  stat(inode: number, into: Stat): number {
    return this.#withInode(inode, (address) => this.#parts.inodes.stat(inode, address, into));
  }

  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number {
    if (this.readOnly) return -errno.ROFS;
    const { inodes, volume } = this.#parts;
    return this.#withInode(inode, (address) => {
      if (accessTime_ns >= 0) inodes.setAccessTime(address, accessTime_ns);
      if (modificationTime_ns >= 0) inodes.setModificationTime(address, modificationTime_ns);
      inodes.setChangeTime(address, volume.now_ns());
      volume.inodeCores.setAccessFresh(inode, 0);
    });
  }

  setMode(inode: number, mode: number): number {
    if (this.readOnly) return -errno.ROFS;
    const { inodes, volume } = this.#parts;
    return this.#withInode(inode, (address) => {
      inodes.setPermissions(address, mode);
      inodes.setChangeTime(address, volume.now_ns());
    });
  }

  open(inode: number, write: boolean): number {
    try {
      return this.#files.open(inode, write);
    } catch (error) {
      return this.#failure(error);
    }
  }

  close(handle: number): void {
    try {
      this.#files.close(handle);
    } catch (error) {
      this.#failure(error);
    }
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    try {
      return this.#files.read(handle, target, offset, length, position);
    } catch (error) {
      return this.#failure(error);
    }
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    try {
      return this.#files.write(handle, source, offset, length, position);
    } catch (error) {
      return this.#failure(error);
    }
  }

  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    try {
      return this.#files.append(handle, source, offset, length);
    } catch (error) {
      return this.#failure(error);
    }
  }

  size(handle: number): number {
    try {
      return this.#files.size(handle);
    } catch (error) {
      return this.#failure(error);
    }
  }

  truncate(handle: number, size_bytes: number): number {
    try {
      return this.#files.truncate(handle, size_bytes);
    } catch (error) {
      return this.#failure(error);
    }
  }

  extend(handle: number, size_bytes: number): number {
    try {
      return this.#files.extend(handle, size_bytes);
    } catch (error) {
      return this.#failure(error);
    }
  }

  sync(handle: number): number {
    const status = this.#files.check(handle);
    return status < 0 ? status : this.syncAll();
  }

  /** Runs a step on a live inode under its lock. Not for the hot paths: it takes a closure. */
  #withInode(inode: number, step: (address: number) => void): number {
    const { volume } = this.#parts;
    if (!volume.hasInode(inode)) return -errno.NOENT;
    try {
      volume.inodeCores.acquireMutex(inode, volume.owner);
      try {
        const address = volume.inodeAddress(inode);
        if (!isLive(this.#parts, inode, address)) return -errno.NOENT;
        step(address);
        return 0;
      } finally {
        volume.inodeCores.releaseMutex(inode, volume.owner);
      }
    } catch (error) {
      return this.#failure(error);
    }
  }

  /** The errno of a failed volume; anything else is a broken invariant and goes on up. */
  #failure(error: unknown): number {
    if (error instanceof VolumeFailure) return -error.errno;
    throw error;
  }
}
