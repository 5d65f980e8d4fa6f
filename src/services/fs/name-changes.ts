/**
 * Operations that make, remove and replace names. Each walks to the parent directory and keeps it open, so
 * that it stays the directory it is, and announces its change to readers of names if it can alter the meaning
 * of an existing name (`namespace.ts`). Whether a directory is covered by a mount is looked up after that
 * announcement; `Mounts.mount` relies on it.
 */
import { errno } from "../../kernel/errno.ts";
import { openFileKind } from "../../kernel/state.ts";
import { emptyStat, fileType } from "./filesystem.ts";
import type { Mounts } from "./mounts.ts";
import type { OpenFiles } from "./open-files.ts";
import { isLongerThan, pathLength_bytes_max } from "./path.ts";
import { ObjectWalk, ParentWalk } from "./pinned-walk.ts";

export class NameChanges {
  private readonly mounts: Mounts;
  private readonly openFiles: OpenFiles;
  private readonly parent: ParentWalk;
  private readonly target: ParentWalk;
  private readonly object: ObjectWalk;
  private readonly stat = emptyStat();

  constructor(mounts: Mounts, openFiles: OpenFiles) {
    this.mounts = mounts;
    this.openFiles = openFiles;
    this.parent = new ParentWalk(mounts);
    this.target = new ParentWalk(mounts);
    this.object = new ObjectWalk(mounts);
  }

  private reach(walk: ParentWalk, directory: number, path: string): number {
    if (this.openFiles.kind(directory) !== openFileKind.directory) return -errno.NOTDIR;
    return walk.reach(this.openFiles.mount(directory), this.openFiles.inode(directory), path);
  }

  // Making names.

  makeDirectory(directory: number, path: string, mode: number): number {
    const { parent } = this;
    const reached = this.reach(parent, directory, path);
    if (reached < 0) return reached;
    let result = this.newNameError(parent, true);
    if (result === 0)
      result = Math.min(0, parent.fileSystem.makeDirectory(parent.directory, parent.name, mode));
    parent.release();
    return result;
  }

  /** `target` is kept as it is; whether it may be followed is decided when it is. */
  makeSymbolicLink(target: string, directory: number, path: string): number {
    if (target === "") return -errno.NOENT;
    if (target.includes("\0")) return -errno.INVAL;
    if (!target.isWellFormed()) return -errno.ILSEQ;
    if (isLongerThan(target, pathLength_bytes_max)) return -errno.NAMETOOLONG;
    const { parent } = this;
    const reached = this.reach(parent, directory, path);
    if (reached < 0) return reached;
    let result = this.newNameError(parent, false);
    if (result === 0)
      result = Math.min(0, parent.fileSystem.makeSymbolicLink(parent.directory, parent.name, target));
    parent.release();
    return result;
  }

  /** Another name for a file; −PERM for a directory, −XDEV across mounts. */
  link(
    fromDirectory: number,
    fromPath: string,
    follow: boolean,
    toDirectory: number,
    toPath: string,
  ): number {
    if (this.openFiles.kind(fromDirectory) !== openFileKind.directory) return -errno.NOTDIR;
    const { object, target } = this;
    const from = object.reach(
      this.openFiles.mount(fromDirectory),
      this.openFiles.inode(fromDirectory),
      fromPath,
      follow,
    );
    if (from < 0) return from;
    let result = object.type === fileType.directory ? -errno.PERM : this.reach(target, toDirectory, toPath);
    if (result === 0) {
      result = this.newNameError(target, false);
      if (result === 0 && target.mount !== object.mount) result = -errno.XDEV;
      if (result === 0)
        result = Math.min(0, target.fileSystem.link(object.inode, target.directory, target.name));
      target.release();
    }
    object.release();
    return result;
  }

  /** Why a name cannot be made: it is there, it is no name, or nothing can be changed. */
  private newNameError(walk: ParentWalk, isDirectory: boolean): number {
    if (walk.endsInDots) return -errno.EXIST;
    const { fileSystem } = walk;
    const slashAtEnd = walk.directoryWanted && !isDirectory;
    if (!fileSystem.readOnly && !slashAtEnd) return 0;
    const found = fileSystem.lookup(walk.directory, walk.name);
    if (found < 0) return found !== -errno.NOENT ? found : fileSystem.readOnly ? -errno.ROFS : -errno.NOENT;
    return slashAtEnd && this.typeOf(walk, found) !== fileType.directory ? -errno.NOTDIR : -errno.EXIST;
  }

  private typeOf(walk: ParentWalk, inode: number): number {
    return walk.fileSystem.stat(inode, this.stat) < 0 ? fileType.unknown : this.stat.fileType;
  }

  // Removing names.

  unlink(directory: number, path: string): number {
    const { parent } = this;
    const reached = this.reach(parent, directory, path);
    if (reached < 0) return reached;
    let result: number;
    if (parent.endsInDots) result = -errno.ISDIR;
    else if (parent.directoryWanted || parent.fileSystem.readOnly) {
      const found = parent.fileSystem.lookup(parent.directory, parent.name);
      if (found < 0) result = found;
      else if (this.typeOf(parent, found) === fileType.directory) result = -errno.ISDIR;
      else result = parent.directoryWanted ? -errno.NOTDIR : -errno.ROFS;
    } else {
      this.mounts.namespace.beginChange();
      result = parent.fileSystem.unlink(parent.directory, parent.name);
      this.mounts.namespace.endChange();
    }
    parent.release();
    return result;
  }

  removeDirectory(directory: number, path: string): number {
    const { parent } = this;
    const reached = this.reach(parent, directory, path);
    if (reached < 0) return reached;
    let result: number;
    if (parent.endsInDots) result = parent.name === "." ? -errno.INVAL : -errno.NOTEMPTY;
    else {
      this.mounts.namespace.beginChange();
      result = this.lookupForChange(parent);
      if (result >= 0) result = parent.fileSystem.removeDirectory(parent.directory, parent.name);
      this.mounts.namespace.endChange();
    }
    parent.release();
    return result;
  }

  /** Inode of a name that is to be removed or replaced; −BUSY for a mount point, −ROFS. */
  private lookupForChange(walk: ParentWalk): number {
    const found = walk.fileSystem.lookup(walk.directory, walk.name);
    if (found < 0) return found;
    if (this.mounts.covering(walk.mount, found) !== 0) return -errno.BUSY;
    return walk.fileSystem.readOnly ? -errno.ROFS : found;
  }

  /** POSIX rename; −BUSY for mount points, −XDEV across mounts. */
  rename(fromDirectory: number, fromPath: string, toDirectory: number, toPath: string): number {
    const { parent, target } = this;
    const from = this.reach(parent, fromDirectory, fromPath);
    if (from < 0) return from;
    let result = this.reach(target, toDirectory, toPath);
    if (result === 0) {
      if (parent.endsInDots || target.endsInDots) result = -errno.BUSY;
      else {
        this.mounts.namespace.beginChange();
        result = this.renameReached();
        this.mounts.namespace.endChange();
      }
      target.release();
    }
    parent.release();
    return result;
  }

  private renameReached(): number {
    const { parent, target } = this;
    const source = this.lookupForChange(parent);
    if (source < 0 && source !== -errno.ROFS) return source;
    if (parent.mount !== target.mount) return -errno.XDEV;
    if (source < 0) return source;
    if (
      (parent.directoryWanted || target.directoryWanted) &&
      this.typeOf(parent, source) !== fileType.directory
    ) {
      return -errno.NOTDIR;
    }
    const replaced = this.lookupForChange(target);
    if (replaced < 0 && replaced !== -errno.NOENT) return replaced;
    return parent.fileSystem.rename(parent.directory, parent.name, target.directory, target.name);
  }
}
