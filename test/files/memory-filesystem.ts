/**
 * A file system in JavaScript objects, for tests of what stands above file systems. It reuses inode numbers as
 * soon as it can, and `hook` runs before each step, so that a test can change names in the middle of a walk.
 */
import { errno } from "../../src/kernel/errno.ts";
import {
  type DirectoryVisitor,
  type FileSystem,
  type FileType,
  fileType,
  type Stat,
} from "../../src/services/fs/filesystem.ts";

interface Node {
  type: FileType;
  mode: number;
  linkCount: number;
  openCount: number;
  parent: number;
  entries: Map<string, number>;
  target: string;
  data: Uint8Array;
  accessTime_ns: number;
  modificationTime_ns: number;
}

export class MemoryFileSystem implements FileSystem {
  readonly type = "memory";
  readOnly = false;
  readonly rootInode = 1;
  /** Runs before each call of the named operation; a hook is responsible for not recursing. */
  hook: (operation: string, name: string) => void = () => {};
  closed = false;
  private readonly nodes = new Map<number, Node>();
  private readonly handles = new Map<number, number>();
  private nextHandle = 0;

  constructor() {
    this.nodes.set(this.rootInode, node(fileType.directory, 0o755, this.rootInode, 2));
  }

  /** Handles that are open: none may be left at the end of a test. */
  get openHandles(): number {
    return this.handles.size;
  }

  get inodeCount(): number {
    return this.nodes.size;
  }

  private directory(inode: number): Node | number {
    const found = this.nodes.get(inode);
    if (found === undefined) return -errno.STALE;
    if (found.type !== fileType.directory) return -errno.NOTDIR;
    return found.linkCount === 0 ? -errno.NOENT : found;
  }

  private allocate(made: Node): number {
    let inode = 2;
    while (this.nodes.has(inode)) inode++;
    this.nodes.set(inode, made);
    return inode;
  }

  private discard(inode: number): void {
    const found = this.nodes.get(inode);
    if (found !== undefined && found.linkCount === 0 && found.openCount === 0) this.nodes.delete(inode);
  }

  lookup(directory: number, name: string): number {
    this.hook("lookup", name);
    const parent = this.directory(directory);
    return typeof parent === "number" ? parent : (parent.entries.get(name) ?? -errno.NOENT);
  }

  private add(directory: number, name: string, make: () => Node): number {
    this.hook("create", name);
    const parent = this.directory(directory);
    if (typeof parent === "number") return parent;
    if (parent.entries.has(name)) return -errno.EXIST;
    const inode = this.allocate(make());
    parent.entries.set(name, inode);
    return inode;
  }

  createFile(directory: number, name: string, mode: number): number {
    return this.add(directory, name, () => node(fileType.regularFile, mode, directory));
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    return this.add(directory, name, () => node(fileType.directory, mode, directory, 2));
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    return this.add(directory, name, () => ({ ...node(fileType.symbolicLink, 0o777, directory), target }));
  }

  link(inode: number, directory: number, name: string): number {
    const parent = this.directory(directory);
    const found = this.nodes.get(inode);
    if (typeof parent === "number") return parent;
    if (found === undefined || found.linkCount === 0) return -errno.NOENT;
    if (parent.entries.has(name)) return -errno.EXIST;
    parent.entries.set(name, inode);
    found.linkCount++;
    return 0;
  }

  unlink(directory: number, name: string): number {
    this.hook("unlink", name);
    const parent = this.directory(directory);
    if (typeof parent === "number") return parent;
    const inode = parent.entries.get(name);
    if (inode === undefined) return -errno.NOENT;
    const found = this.nodes.get(inode);
    if (found?.type === fileType.directory) return -errno.ISDIR;
    parent.entries.delete(name);
    if (found !== undefined) found.linkCount--;
    this.discard(inode);
    return 0;
  }

  removeDirectory(directory: number, name: string): number {
    this.hook("removeDirectory", name);
    const parent = this.directory(directory);
    if (typeof parent === "number") return parent;
    const inode = parent.entries.get(name);
    if (inode === undefined) return -errno.NOENT;
    const found = this.directory(inode);
    if (typeof found === "number") return found;
    if (found.entries.size > 0) return -errno.NOTEMPTY;
    parent.entries.delete(name);
    found.linkCount = 0;
    this.discard(inode);
    return 0;
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    this.hook("rename", fromName);
    const from = this.directory(fromDirectory);
    const to = this.directory(toDirectory);
    if (typeof from === "number") return from;
    if (typeof to === "number") return to;
    const inode = from.entries.get(fromName);
    if (inode === undefined) return -errno.NOENT;
    const source = this.nodes.get(inode);
    if (source === undefined) return -errno.IO;
    for (let above = toDirectory; source.type === fileType.directory; ) {
      if (above === inode) return -errno.INVAL;
      if (above === this.rootInode) break;
      above = this.nodes.get(above)?.parent ?? this.rootInode;
    }
    const replacedInode = to.entries.get(toName);
    if (replacedInode === inode) return 0;
    if (replacedInode !== undefined) {
      const replaced = this.nodes.get(replacedInode);
      if (replaced?.type === fileType.directory) {
        if (source.type !== fileType.directory) return -errno.ISDIR;
        const removed = this.removeDirectory(toDirectory, toName);
        if (removed < 0) return removed;
      } else if (source.type === fileType.directory) return -errno.NOTDIR;
      else this.unlink(toDirectory, toName);
    }
    from.entries.delete(fromName);
    to.entries.set(toName, inode);
    source.parent = toDirectory;
    return 0;
  }

  readSymbolicLink(inode: number): string | number {
    const found = this.nodes.get(inode);
    return found?.type === fileType.symbolicLink ? found.target : -errno.INVAL;
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    const parent = this.directory(directory);
    if (typeof parent === "number") return parent;
    const names: [string, number][] = [[".", directory], ["..", parent.parent], ...parent.entries];
    for (let index = cookie; index < names.length; index++) {
      const [name, inode] = names[index];
      const type = this.nodes.get(inode)?.type ?? fileType.unknown;
      if (!visit(index + 1, inode, type, new TextEncoder().encode(name))) break;
    }
    return 0;
  }

  stat(inode: number, into: Stat): number {
    this.hook("stat", `${inode}`);
    const found = this.nodes.get(inode);
    if (found === undefined) return -errno.STALE;
    into.inode = inode;
    into.fileType = found.type;
    into.linkCount = found.linkCount;
    into.mode = found.mode;
    into.size_bytes = found.data.length;
    into.accessTime_ns = found.accessTime_ns;
    into.modificationTime_ns = found.modificationTime_ns;
    into.changeTime_ns = 0;
    return 0;
  }

  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number {
    const found = this.nodes.get(inode);
    if (found === undefined) return -errno.STALE;
    if (accessTime_ns >= 0) found.accessTime_ns = accessTime_ns;
    if (modificationTime_ns >= 0) found.modificationTime_ns = modificationTime_ns;
    return 0;
  }

  setMode(inode: number, mode: number): number {
    const found = this.nodes.get(inode);
    if (found === undefined) return -errno.STALE;
    found.mode = mode;
    return 0;
  }

  open(inode: number): number {
    this.hook("open", `${inode}`);
    const found = this.nodes.get(inode);
    if (found === undefined) return -errno.STALE;
    if (found.type === fileType.symbolicLink) return -errno.LOOP;
    found.openCount++;
    this.handles.set(this.nextHandle, inode);
    return this.nextHandle++;
  }

  close(handle: number): void {
    const inode = this.handles.get(handle);
    const found = inode === undefined ? undefined : this.nodes.get(inode);
    if (inode === undefined || found === undefined) throw new Error(`handle ${handle} is not open`);
    this.handles.delete(handle);
    found.openCount--;
    this.discard(inode);
  }

  private file(handle: number): Node {
    const found = this.nodes.get(this.handles.get(handle) ?? 0);
    if (found === undefined) throw new Error(`handle ${handle} is not open`);
    return found;
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const { data } = this.file(handle);
    const piece = data.subarray(position, Math.min(data.length, position + length));
    target.set(piece, offset);
    return piece.length;
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    const file = this.file(handle);
    if (position + length > file.data.length) this.resize(file, position + length);
    file.data.set(source.subarray(offset, offset + length), position);
    return length;
  }

  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    const end = this.file(handle).data.length;
    this.write(handle, source, offset, length, end);
    return end + length;
  }

  size(handle: number): number {
    this.hook("size", `${handle}`);
    return this.file(handle).data.length;
  }

  truncate(handle: number, size_bytes: number): number {
    this.resize(this.file(handle), size_bytes);
    return 0;
  }

  extend(handle: number, size_bytes: number): number {
    return this.size(handle) >= size_bytes ? 0 : this.truncate(handle, size_bytes);
  }

  private resize(file: Node, size_bytes: number): void {
    const data = new Uint8Array(size_bytes);
    data.set(file.data.subarray(0, size_bytes));
    file.data = data;
  }

  sync(): number {
    return 0;
  }
}

function node(type: FileType, mode: number, parent: number, linkCount = 1): Node {
  return {
    type,
    mode,
    linkCount,
    openCount: 0,
    parent,
    entries: new Map(),
    target: "",
    data: new Uint8Array(0),
    accessTime_ns: 0,
    modificationTime_ns: 0,
  };
}
