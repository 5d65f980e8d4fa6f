/**
 * The path walk: from a starting directory along a path to a file, within the sandbox rules of WASI.
 *
 * Nothing above the starting directory is ever reached: absolute paths, absolute link targets and a ".." that
 * climbs above the start, even for a moment, give −NOTCAPABLE. ".." is answered from the walk's own stack of
 * directories; no file system is asked for it.
 *
 * A walk comes in two strengths. The *optimistic* one takes a stamp of the name space (`namespace.ts`), looks
 * names up, and is right if the stamp is still good when its result has been pinned by an open handle. While
 * names are being changed, the *pinned* one opens each directory, looks the name up once more, and only then
 * steps into it, so that no inode number it holds can be reused.
 *
 * A walk object belongs to one core and is used for one walk at a time: `find`, look at the results, `verify`
 * when the result is pinned, `finish`.
 */
import { errno } from "../../kernel/errno.ts";
import { emptyStat, type FileSystem, fileType } from "./filesystem.ts";
import type { MountView } from "./mount-view.ts";

const slash = 0x2f;
export const symbolicLinksMax = 32;
export const nameLength_bytes_max = 255;
export const pathLength_bytes_max = 4096;
/** How often a walk is repeated when names change under it, before it gives up with −BUSY. */
export const walkAttemptsMax = 64;

/** What `find` returns besides zero and negated errors: names changed under it, walk again. */
export const walkAgain = 1;

export class PathWalk {
  // Results of `find`.
  /** The object found; `inode` 0 when the last component does not exist (then `parent…` and `name` say where). */
  mount = 0;
  inode = 0;
  /** WASI file type of the object. */
  type: number = fileType.unknown;
  /** The directory that holds the last component, and its name; "." or ".." where the path ends in one. */
  parentMount = 0;
  parentInode = 0;
  name = "";
  /** The path ended in a slash: only a directory will do. */
  directoryWanted = false;
  /** A symbolic link at the end of the path was followed. */
  followed = false;
  /** Every name came from a mount whose names may be cached. */
  cacheable = true;
  /** The stamp of an optimistic walk, −1 for a pinned one. */
  stamp = -1;

  private readonly mounts: MountView;
  private readonly stat = emptyStat();
  /** Directories from the start down to where the walk is. */
  private readonly stackMounts: number[] = [0];
  private readonly stackInodes: number[] = [0];
  private depth = 0;
  /** Inode of the last component before a mount was crossed, for `verify`. */
  private leaf = 0;
  private readonly entered: number[] = [];
  private readonly pinnedMounts: number[] = [];
  private readonly pinnedHandles: number[] = [];

  constructor(mounts: MountView) {
    this.mounts = mounts;
  }

  /**
   * Walks `path` from a directory that the caller keeps open. With `lookUpLast` false, the last component is
   * not looked up: `parent…` and `name` are the result. Zero, a negated errno, or `walkAgain`. In every case
   * the caller ends the walk with `finish`.
   */
  find(
    mount: number,
    inode: number,
    path: string,
    followLast: boolean,
    lookUpLast: boolean,
    pinned = false,
  ): number {
    this.depth = 0;
    this.stackMounts[0] = mount;
    this.stackInodes[0] = inode;
    this.followed = false;
    this.inode = 0;
    this.leaf = 0;
    this.cacheable = this.mounts.cacheable(mount);
    this.stamp = pinned ? -1 : this.mounts.namespace.stamp();
    if (!pinned && this.stamp < 0) return walkAgain;
    if (path === "") return -errno.NOENT;
    if (path.charCodeAt(0) === slash) return -errno.NOTCAPABLE;
    if (isLongerThan(path, pathLength_bytes_max)) return -errno.NAMETOOLONG;
    if (path.includes("\0")) return -errno.INVAL;
    if (!path.isWellFormed()) return -errno.ILSEQ;

    let rest = path;
    let position = 0;
    let linksFollowed = 0;
    for (;;) {
      const end = endOfName(rest, position);
      const name = rest.slice(position, end);
      const next = skipSlashes(rest, end);
      const isLast = next === rest.length;
      const wantsDirectory = end < rest.length;
      const parentMount = this.stackMounts[this.depth];
      const parentInode = this.stackInodes[this.depth];

      if (name === "." || name === "..") {
        if (name === ".." && this.depth === 0) return -errno.NOTCAPABLE;
        if (isLast && !lookUpLast) return this.endAtName(name, wantsDirectory);
        if (name === "..") this.depth--;
        if (isLast) return this.endAtDirectory(name);
        position = next;
        continue;
      }
      if (isLongerThan(name, nameLength_bytes_max)) return -errno.NAMETOOLONG;
      if (isLast && !lookUpLast) return this.endAtName(name, wantsDirectory);

      const fileSystem = this.mounts.fileSystem(parentMount);
      const child = fileSystem.lookup(parentInode, name);
      if (child < 0) {
        if (!isLast || child !== -errno.NOENT) return child;
        this.inode = 0;
        this.mount = parentMount;
        this.type = fileType.unknown;
        return this.endAtName(name, wantsDirectory);
      }
      const statResult = fileSystem.stat(child, this.stat);
      if (statResult < 0)
        return statResult === -errno.NOENT || statResult === -errno.STALE ? walkAgain : statResult;
      const type = this.stat.fileType;

      if (type === fileType.symbolicLink && (!isLast || followLast || wantsDirectory)) {
        if (++linksFollowed > symbolicLinksMax) return -errno.LOOP;
        const target = fileSystem.readSymbolicLink(child);
        if (typeof target === "number") return target;
        if (target === "") return -errno.NOENT;
        if (target.charCodeAt(0) === slash) return -errno.NOTCAPABLE;
        rest = wantsDirectory ? target + rest.slice(end) : target;
        position = 0;
        if (isLast) this.followed = true;
        continue;
      }
      if (isLast) {
        if (wantsDirectory && type !== fileType.directory) return -errno.NOTDIR;
        this.leaf = child;
        this.type = type;
        this.mount = parentMount;
        this.inode = child;
        if (type === fileType.directory) this.cross();
        return this.endAtName(name, wantsDirectory);
      }
      if (type !== fileType.directory) return -errno.NOTDIR;
      if (pinned) {
        const pinResult = this.pin(fileSystem, parentMount, parentInode, name, child);
        if (pinResult !== 0) return pinResult;
      }
      this.mount = parentMount;
      this.inode = child;
      this.cross();
      this.depth++;
      this.stackMounts[this.depth] = this.mount;
      this.stackInodes[this.depth] = this.inode;
      position = next;
    }
  }

  /**
   * True when what `find` reported held at one moment while the result was pinned: call it after opening the
   * object (or, without `lookUpLast`, the parent directory).
   */
  verify(): boolean {
    if (this.stamp >= 0) return this.mounts.namespace.unchanged(this.stamp);
    // Every directory on the way is pinned, so only the last name can have changed its meaning.
    if (this.inode === 0 || this.leaf === 0) return true;
    return this.mounts.fileSystem(this.parentMount).lookup(this.parentInode, this.name) === this.leaf;
  }

  /** Gives up what the walk holds. The result fields stay readable. */
  finish(): void {
    for (let pin = this.pinnedHandles.pop(); pin !== undefined; pin = this.pinnedHandles.pop()) {
      this.mounts.fileSystem(this.pinnedMounts.pop() ?? 0).close(pin);
    }
    for (let mount = this.entered.pop(); mount !== undefined; mount = this.entered.pop())
      this.mounts.leave(mount);
  }

  /** Steps from a covered directory to the root of what is mounted there. */
  private cross(): void {
    for (;;) {
      const over = this.mounts.covering(this.mount, this.inode);
      // A mount that is going away is as good as gone.
      if (over === 0 || !this.mounts.enter(over)) return;
      this.entered.push(over);
      this.mount = over;
      this.inode = this.mounts.fileSystem(over).rootInode;
      if (!this.mounts.cacheable(over)) this.cacheable = false;
    }
  }

  private pin(fileSystem: FileSystem, mount: number, directory: number, name: string, child: number): number {
    const handle = fileSystem.open(child, false);
    if (handle < 0) return handle === -errno.NOENT || handle === -errno.STALE ? walkAgain : handle;
    this.pinnedMounts.push(mount);
    this.pinnedHandles.push(handle);
    return fileSystem.lookup(directory, name) === child ? 0 : walkAgain;
  }

  /** The path ends at a name in the directory on top of the stack. */
  private endAtName(name: string, wantsDirectory: boolean): number {
    this.parentMount = this.stackMounts[this.depth];
    this.parentInode = this.stackInodes[this.depth];
    this.name = name;
    this.directoryWanted = wantsDirectory;
    return 0;
  }

  /** The path ends in "." or "..": at the directory on top of the stack, which the walk has already reached. */
  private endAtDirectory(name: string): number {
    this.mount = this.stackMounts[this.depth];
    this.inode = this.stackInodes[this.depth];
    this.type = fileType.directory;
    this.leaf = 0;
    this.endAtName(name, true);
    return 0;
  }
}

function endOfName(path: string, position: number): number {
  const end = path.indexOf("/", position);
  return end < 0 ? path.length : end;
}

function skipSlashes(path: string, position: number): number {
  while (position < path.length && path.charCodeAt(position) === slash) position++;
  return position;
}

/** Whether the UTF-8 form is longer than a limit. */
export function isLongerThan(text: string, limit_bytes: number): boolean {
  // One UTF-16 unit becomes at most three bytes, and at least one.
  if (text.length * 3 <= limit_bytes) return false;
  if (text.length > limit_bytes) return true;
  let length_bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair counts for two of the four bytes.
    length_bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
  }
  return length_bytes > limit_bytes;
}
