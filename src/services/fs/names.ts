/**
 * Names that lead to files: opening by path, attributes by path. `path.ts` walks, this file acts. What is
 * opened is pinned by its handle and then the walk is verified, so that the file is one the path has led to.
 * What makes and removes names is in `name-changes.ts`.
 */
import { errno } from "../../kernel/errno.ts";
import { openFileKind } from "../../kernel/state.ts";
import { DeviceFileSystem } from "./devfs.ts";
import { type FileSystem, fileType, type Stat } from "./filesystem.ts";
import type { Mounts } from "./mounts.ts";
import type { OpenFiles } from "./open-files.ts";
import { PathWalk, walkAgain, walkAttemptsMax } from "./path.ts";
import { PathCache } from "./path-cache.ts";
import { ObjectWalk } from "./pinned-walk.ts";

/** How `openPath` opens. */
export interface OpenOptions {
  /** Follow a symbolic link at the end; −LOOP for one otherwise. */
  readonly followLast: boolean;
  readonly create: boolean;
  /** With `create`: −EXIST when the name is there, be it a dangling link. */
  readonly exclusive: boolean;
  /** Only a directory will do. */
  readonly directory: boolean;
  readonly truncate: boolean;
  readonly read: boolean;
  readonly write: boolean;
  /** WASI fdflags of the open file. */
  readonly flags: number;
  /** Permission bits of a file that is created. */
  readonly mode: number;
}

export class Names {
  private readonly mounts: Mounts;
  private readonly openFiles: OpenFiles;
  private readonly cache: PathCache;
  private readonly walk: PathWalk;
  private readonly object: ObjectWalk;
  /** Where the current operation starts, set by `start`. */
  private startMount = 0;
  private startInode = 0;

  constructor(mounts: Mounts, openFiles: OpenFiles) {
    this.mounts = mounts;
    this.openFiles = openFiles;
    this.cache = new PathCache(mounts.namespace);
    this.walk = new PathWalk(mounts);
    this.object = new ObjectWalk(mounts);
  }

  /** Takes an open directory as the start of a walk. Zero, or −NOTDIR. */
  private start(directory: number): number {
    if (this.openFiles.kind(directory) !== openFileKind.directory) return -errno.NOTDIR;
    this.startMount = this.openFiles.mount(directory);
    this.startInode = this.openFiles.inode(directory);
    return 0;
  }

  // Opening.

  openPath(directory: number, path: string, options: OpenOptions): number {
    const started = this.start(directory);
    if (started < 0) return started;
    if (options.create && options.directory) return -errno.INVAL;
    const follow = options.followLast && !(options.create && options.exclusive);
    const cached = this.cache.get(directory, this.startMount, this.startInode, path, follow);
    if (cached !== undefined) {
      const file = this.openFound(cached.mount, cached.inode, cached.type, options, cached.stamp);
      if (file !== -errno.AGAIN) return file;
    }
    const { walk } = this;
    for (let attempt = 0; attempt < walkAttemptsMax; attempt++) {
      let result = walk.find(this.startMount, this.startInode, path, follow, true, attempt > 0);
      if (result === 0) {
        if (walk.inode !== 0) {
          result = this.openFound(walk.mount, walk.inode, walk.type, options, -1);
          if (result >= 0) this.remember(directory, path);
        } else result = options.create ? this.createAndOpen(options, attempt > 0) : -errno.NOENT;
      } else if (result === walkAgain) result = -errno.AGAIN;
      walk.finish();
      if (result !== -errno.AGAIN) return result;
    }
    return -errno.BUSY;
  }

  /** Keeps the result of a verified optimistic walk. */
  private remember(directory: number, path: string): void {
    const { walk } = this;
    if (!walk.cacheable || walk.stamp < 0 || walk.type === fileType.symbolicLink) return;
    const { mount, inode, type, stamp, followed } = walk;
    this.cache.set(directory, this.startMount, this.startInode, path, {
      mount,
      inode,
      type,
      stamp,
      followed,
    });
  }

  /**
   * Opens what a walk or the cache (`stamp` ≥ 0) has found. −AGAIN: it was no longer that once it was pinned.
   * Regular files never give −AGAIN themselves.
   */
  private openFound(mount: number, inode: number, type: number, options: OpenOptions, stamp: number): number {
    if (options.create && options.exclusive) return -errno.EXIST;
    if (type === fileType.symbolicLink) return options.directory ? -errno.NOTDIR : -errno.LOOP;
    if (options.directory && type !== fileType.directory) return -errno.NOTDIR;
    if (type === fileType.directory && (options.write || options.truncate || options.create))
      return -errno.ISDIR;
    if (!this.mounts.enter(mount)) return -errno.AGAIN;
    const fileSystem = this.mounts.fileSystem(mount);
    const file =
      type === fileType.characterDevice
        ? this.openDevice(fileSystem, mount, inode, options)
        : this.openHandle(fileSystem, mount, inode, type, options, stamp);
    if (file < 0) this.mounts.leave(mount);
    return file;
  }

  private openHandle(
    fileSystem: FileSystem,
    mount: number,
    inode: number,
    type: number,
    options: OpenOptions,
    stamp: number,
  ): number {
    const changes = options.write || options.truncate;
    if (changes && fileSystem.readOnly) return -errno.ROFS;
    const handle = fileSystem.open(inode, changes);
    if (handle < 0) return handle === -errno.NOENT || handle === -errno.STALE ? -errno.AGAIN : handle;
    let result = (stamp >= 0 ? this.mounts.namespace.unchanged(stamp) : this.walk.verify())
      ? 0
      : -errno.AGAIN;
    if (result === 0 && options.truncate) result = fileSystem.truncate(handle, 0);
    if (result === 0) {
      const kind = type === fileType.directory ? openFileKind.directory : openFileKind.file;
      result = this.openFiles.makeForHandle(kind, type, mount, inode, handle, options.flags);
    }
    if (result < 0) fileSystem.close(handle);
    return result;
  }

  private openDevice(fileSystem: FileSystem, mount: number, inode: number, options: OpenOptions): number {
    // Device nodes on a disk name hardware of some other system.
    if (!(fileSystem instanceof DeviceFileSystem)) return -errno.NXIO;
    return this.openFiles.makeForDevice(fileSystem.deviceNumber(inode), mount, inode, options.flags);
  }

  /** Creates what the walk found missing. −AGAIN when somebody else was faster. */
  private createAndOpen(options: OpenOptions, pinned: boolean): number {
    const { walk, mounts } = this;
    if (walk.directoryWanted) return -errno.ISDIR;
    const mount = walk.parentMount;
    const fileSystem = mounts.fileSystem(mount);
    if (fileSystem.readOnly) return -errno.ROFS;
    if (!mounts.enter(mount)) return -errno.AGAIN;
    const needsPin = !pinned && (walk.parentInode !== this.startInode || mount !== this.startMount);
    const pin = needsPin ? fileSystem.open(walk.parentInode, false) : -1;
    let file: number = -errno.AGAIN;
    if (!needsPin || (pin >= 0 && walk.verify())) file = this.createIn(fileSystem, mount, options);
    if (pin >= 0) fileSystem.close(pin);
    if (file < 0) mounts.leave(mount);
    return file;
  }

  private createIn(fileSystem: FileSystem, mount: number, options: OpenOptions): number {
    const { parentInode, name } = this.walk;
    const inode = fileSystem.createFile(parentInode, name, options.mode);
    if (inode < 0) return inode === -errno.EXIST && !options.exclusive ? -errno.AGAIN : inode;
    const handle = fileSystem.open(inode, true);
    if (handle < 0) return handle === -errno.NOENT || handle === -errno.STALE ? -errno.AGAIN : handle;
    // The new file may have been removed again, and its number be another file's by now.
    const file =
      fileSystem.lookup(parentInode, name) === inode
        ? this.openFiles.makeForHandle(
            openFileKind.file,
            fileType.regularFile,
            mount,
            inode,
            handle,
            options.flags,
          )
        : -errno.AGAIN;
    if (file < 0) fileSystem.close(handle);
    return file;
  }

  // Attributes.

  /** Fills `into`; the number of the mount, or a negated errno. */
  statPath(directory: number, path: string, follow: boolean, into: Stat): number {
    const started = this.start(directory);
    if (started < 0) return started;
    const { walk, mounts } = this;
    const cached = this.cache.get(directory, this.startMount, this.startInode, path, follow);
    if (cached !== undefined && mounts.enter(cached.mount)) {
      const result = mounts.fileSystem(cached.mount).stat(cached.inode, into);
      mounts.leave(cached.mount);
      if (result >= 0 && mounts.namespace.unchanged(cached.stamp)) return cached.mount;
    }
    for (let attempt = 0; attempt < walkAttemptsMax; attempt++) {
      let result = walk.find(this.startMount, this.startInode, path, follow, true, attempt > 0);
      if (result === 0) {
        if (walk.inode === 0) result = -errno.NOENT;
        else {
          result = mounts.fileSystem(walk.mount).stat(walk.inode, into);
          if (!walk.verify()) result = walkAgain;
          else if (result >= 0) this.remember(directory, path);
        }
      }
      walk.finish();
      if (result !== walkAgain) return result < 0 ? result : walk.mount;
    }
    return -errno.BUSY;
  }

  /** Each time: nanoseconds since 1970, or −1 to leave it. */
  setTimesPath(
    directory: number,
    path: string,
    follow: boolean,
    accessTime_ns: number,
    modificationTime_ns: number,
  ): number {
    const { object } = this;
    const reached = this.reach(directory, path, follow);
    if (reached < 0) return reached;
    const { fileSystem } = object;
    const result = fileSystem.readOnly
      ? -errno.ROFS
      : fileSystem.setTimes(object.inode, accessTime_ns, modificationTime_ns);
    object.release();
    return result;
  }

  setModePath(directory: number, path: string, follow: boolean, mode: number): number {
    const { object } = this;
    const reached = this.reach(directory, path, follow);
    if (reached < 0) return reached;
    const { fileSystem } = object;
    const result = fileSystem.readOnly ? -errno.ROFS : fileSystem.setMode(object.inode, mode & 0o7777);
    object.release();
    return result;
  }

  /** Target of a symbolic link; −INVAL for anything else. */
  readSymbolicLink(directory: number, path: string): string | number {
    const { object } = this;
    const reached = this.reach(directory, path, false);
    if (reached < 0) return reached;
    const target =
      object.type === fileType.symbolicLink ? object.fileSystem.readSymbolicLink(object.inode) : -errno.INVAL;
    object.release();
    return target;
  }

  private reach(directory: number, path: string, follow: boolean): number {
    const started = this.start(directory);
    return started < 0 ? started : this.object.reach(this.startMount, this.startInode, path, follow);
  }
}
