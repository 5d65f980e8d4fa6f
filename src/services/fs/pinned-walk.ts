/**
 * Walks whose result stays what it is: the object found is kept open, so that its inode number cannot come to
 * mean something else before it has been used.
 */
import { errno } from "../../kernel/errno.ts";
import type { FileSystem } from "./filesystem.ts";
import type { MountView } from "./mount-view.ts";
import { PathWalk, walkAgain, walkAttemptsMax } from "./path.ts";

/** A walk to something that exists, to be changed or given another name. */
export class ObjectWalk {
  private readonly mounts: MountView;
  private readonly walk: PathWalk;
  private pinHandle = -1;

  constructor(mounts: MountView) {
    this.mounts = mounts;
    this.walk = new PathWalk(mounts);
  }

  /** Mount, inode and WASI file type of the object, valid after `reach`. */
  get mount(): number {
    return this.walk.mount;
  }

  get inode(): number {
    return this.walk.inode;
  }

  get type(): number {
    return this.walk.type;
  }

  get fileSystem(): FileSystem {
    return this.mounts.fileSystem(this.walk.mount);
  }

  /** Walks to `path`. Zero: the caller calls `release` when done. Otherwise a negated errno. */
  reach(mount: number, inode: number, path: string, followLast: boolean): number {
    const { walk } = this;
    for (let attempt = 0; attempt < walkAttemptsMax; attempt++) {
      let result = walk.find(mount, inode, path, followLast, true, attempt > 0);
      if (result === 0) {
        if (walk.inode === 0) result = -errno.NOENT;
        else {
          // What cannot be opened (a symbolic link, a file without permission) goes unpinned.
          this.pinHandle = this.fileSystem.open(walk.inode, false);
          if (walk.verify()) return 0;
          this.unpin();
          result = walkAgain;
        }
      }
      walk.finish();
      if (result !== walkAgain) return result;
    }
    return -errno.BUSY;
  }

  release(): void {
    this.unpin();
    this.walk.finish();
  }

  private unpin(): void {
    if (this.pinHandle >= 0) this.fileSystem.close(this.pinHandle);
    this.pinHandle = -1;
  }
}

/** A walk to the directory in which a name is to be made, removed or replaced. */
export class ParentWalk {
  private readonly mounts: MountView;
  private readonly walk: PathWalk;
  private pinHandle = -1;

  constructor(mounts: MountView) {
    this.mounts = mounts;
    this.walk = new PathWalk(mounts);
  }

  /** Mount and inode of the directory, valid after `reach`. */
  get mount(): number {
    return this.walk.parentMount;
  }

  get directory(): number {
    return this.walk.parentInode;
  }

  /** The last component; "." or ".." where the path ends in one. */
  get name(): string {
    return this.walk.name;
  }

  get directoryWanted(): boolean {
    return this.walk.directoryWanted;
  }

  get endsInDots(): boolean {
    return this.walk.name === "." || this.walk.name === "..";
  }

  get fileSystem(): FileSystem {
    return this.mounts.fileSystem(this.walk.parentMount);
  }

  /** Walks to the parent of `path`. Zero: the caller calls `release` when done. Otherwise a negated errno. */
  reach(mount: number, inode: number, path: string): number {
    const { walk } = this;
    for (let attempt = 0; attempt < walkAttemptsMax; attempt++) {
      const pinned = attempt > 0;
      let result = walk.find(mount, inode, path, false, false, pinned);
      if (result === 0) {
        // The caller keeps the starting directory open, and a pinned walk the others.
        if (pinned || (walk.parentInode === inode && walk.parentMount === mount)) return 0;
        const handle = this.fileSystem.open(walk.parentInode, false);
        if (handle >= 0 && walk.verify()) {
          this.pinHandle = handle;
          return 0;
        }
        if (handle >= 0) this.fileSystem.close(handle);
        result = walkAgain;
      }
      walk.finish();
      if (result !== walkAgain) return result;
    }
    return -errno.BUSY;
  }

  release(): void {
    if (this.pinHandle >= 0) {
      this.fileSystem.close(this.pinHandle);
      this.pinHandle = -1;
    }
    this.walk.finish();
  }
}
