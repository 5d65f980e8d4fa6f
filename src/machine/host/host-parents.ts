/**
 * How to name a directory below a root to the host so that no symbolic link is followed on the way, even if
 * somebody swaps directories for links meanwhile.
 *
 * A strategy gives the prefix to which a "/" and one name are appended. The prefix is good until the next call.
 */
import { closeSync, constants, lstatSync, openSync, realpathSync } from "node:fs";
import { errno } from "../../kernel/errno.ts";
import { hostErrno } from "./host-error.ts";

export interface HostParents {
  /** Prefix for the directory at `path` below the root, or a negated errno. */
  prefix(path: string): string | number;
  /** Path by which an open file itself can be named, or undefined where that is impossible. */
  pathOfFile(file: number): string | undefined;
  dispose(): void;
}

/** Open a place without access to its contents: devices are not touched, links not followed. Linux only. */
export const openPathOnly = 0o10000000;

const cachedDirectories_max = 64;

/** The strategy for this host. @throws Error with the host's reason when `root` is no directory. */
export function hostParents(root: string): HostParents {
  const real = realpathSync(root);
  return process.platform === "linux" && lstatSync("/proc/self/fd", { throwIfNoEntry: false }) !== undefined
    ? new DescriptorParents(real)
    : new CheckedParents(real);
}

interface CachedDirectory {
  readonly file: number;
  readonly device: number;
  readonly inode: number;
}

/**
 * Linux: each component is opened relative to the one before it, links refused, and the directory is then
 * named by its descriptor, `/proc/self/fd/N`: what lies behind that name cannot be exchanged.
 */
class DescriptorParents implements HostParents {
  private readonly root: string;
  private readonly rootFile: number;
  /** Least recently used first. */
  private readonly cached = new Map<string, CachedDirectory>();

  constructor(root: string) {
    this.root = root;
    this.rootFile = openSync(root, openPathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  }

  prefix(path: string): string | number {
    if (path === "") return prefixOf(this.rootFile);
    const cached = this.cached.get(path);
    if (cached !== undefined) {
      this.cached.delete(path);
      if (this.isStillThere(path, cached)) {
        this.cached.set(path, cached);
        return prefixOf(cached.file);
      }
      closeSync(cached.file);
    }
    const file = this.walk(path);
    if (file < 0) return file;
    const status = lstatSync(`${prefixOf(file)}/.`);
    this.cached.set(path, { file, device: status.dev, inode: status.ino });
    if (this.cached.size > cachedDirectories_max) this.forgetOldest();
    return prefixOf(file);
  }

  pathOfFile(file: number): string {
    return prefixOf(file);
  }

  dispose(): void {
    while (this.cached.size > 0) this.forgetOldest();
    closeSync(this.rootFile);
  }

  /**
   * The path leads to the directory that was opened for it. It may be looked up the ordinary way: the answer
   * is only compared, and what is used is the descriptor.
   */
  private isStillThere(path: string, cached: CachedDirectory): boolean {
    try {
      const status = lstatSync(`${this.root}/${path}`, { throwIfNoEntry: false });
      return status !== undefined && status.ino === cached.inode && status.dev === cached.device;
    } catch {
      return false;
    }
  }

  private walk(path: string): number {
    let file = this.rootFile;
    for (const name of path.split("/")) {
      let next: number;
      try {
        const flags = openPathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW;
        next = openSync(`${prefixOf(file)}/${name}`, flags);
      } catch (error) {
        next = hostErrno(error);
      }
      if (file !== this.rootFile) closeSync(file);
      if (next < 0) return next;
      file = next;
    }
    return file;
  }

  private forgetOldest(): void {
    for (const [path, { file }] of this.cached) {
      this.cached.delete(path);
      closeSync(file);
      return;
    }
  }
}

function prefixOf(file: number): string {
  return `/proc/self/fd/${file}`;
}

/**
 * Other hosts: Node.js offers nothing there that opens relative to a directory. The path is checked to hold no
 * link just before each use. A program that swaps a directory for a link in the instant between the check and
 * the use could still be followed; links that lead out of the root cannot be made through us (see
 * `HostDirectory.makeSymbolicLink`), so it would need one that the host's user left there.
 */
class CheckedParents implements HostParents {
  private readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  prefix(path: string): string | number {
    if (path === "") return this.root;
    const wanted = `${this.root}/${path}`;
    try {
      const real = realpathSync(wanted).replaceAll("\\", "/");
      return real === wanted.replaceAll("\\", "/") ? wanted : -errno.NOTDIR;
    } catch (error) {
      return hostErrno(error);
    }
  }

  pathOfFile(): undefined {
    return undefined;
  }

  dispose(): void {}
}
