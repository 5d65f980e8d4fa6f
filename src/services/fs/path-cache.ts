/**
 * Paths that were resolved before: (starting directory, path) → object, per core, in the JavaScript heap. An
 * entry is good while the name space has not changed since it was made (`namespace.ts`); whoever uses it
 * pins the object and then checks the stamp once more.
 */
import type { Namespace } from "./namespace.ts";

/** Entries kept; when full, the cache starts over. */
const entriesMax = 4096;

/** Where a path led, and the stamp of the name space under which that was true. */
export interface CachedPath {
  readonly mount: number;
  readonly inode: number;
  readonly type: number;
  readonly stamp: number;
  /** A symbolic link at the end was followed: no answer for those who do not follow it. */
  readonly followed: boolean;
}

interface StartingDirectory {
  readonly mount: number;
  readonly inode: number;
  readonly paths: Map<string, CachedPath>;
}

export class PathCache {
  private readonly namespace: Namespace;
  /** By mount and inode, so that processes that start from the same directory share. */
  private readonly directories = new Map<string, StartingDirectory>();
  /** By open-file number: the directory this number was used for last. Saves the key's text. */
  private readonly byOpenFile: (StartingDirectory | undefined)[] = [];
  private entryCount = 0;

  constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  /** What is known about a path, or undefined. */
  get(
    openFile: number,
    mount: number,
    inode: number,
    path: string,
    followLast: boolean,
  ): CachedPath | undefined {
    const found = this.directory(openFile, mount, inode).paths.get(path);
    if (found === undefined || (found.followed && !followLast)) return undefined;
    return this.namespace.unchanged(found.stamp) ? found : undefined;
  }

  set(openFile: number, mount: number, inode: number, path: string, found: CachedPath): void {
    let { paths } = this.directory(openFile, mount, inode);
    if (!paths.has(path) && ++this.entryCount > entriesMax) {
      this.directories.clear();
      this.byOpenFile.length = 0;
      this.entryCount = 1;
      paths = this.directory(openFile, mount, inode).paths;
    }
    paths.set(path, found);
  }

  private directory(openFile: number, mount: number, inode: number): StartingDirectory {
    const last = this.byOpenFile[openFile];
    if (last !== undefined && last.inode === inode && last.mount === mount) return last;
    const key = `${mount}:${inode}`;
    let directory = this.directories.get(key);
    if (directory === undefined) {
      directory = { mount, inode, paths: new Map() };
      this.directories.set(key, directory);
    }
    this.byOpenFile[openFile] = directory;
    return directory;
  }
}
