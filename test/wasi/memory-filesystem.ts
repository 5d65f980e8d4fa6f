/** A file system in plain objects, for tests of what stands above file systems. */
import { errno } from "../../src/kernel/errno.ts";
import {
  type DirectoryVisitor,
  type FileSystem,
  type FileType,
  fileType,
  type Stat,
} from "../../src/services/fs/filesystem.ts";

interface Node {
  inode: number;
  type: FileType;
  mode: number;
  links: number;
  data: Uint8Array;
  entries: Map<string, number>;
  parent: number;
  target: string;
  times: [number, number, number];
}

export class MemoryFileSystem implements FileSystem {
  readonly type = "memory";
  readonly readOnly: boolean;
  readonly rootInode = 1;
  /** Bytes that may still be written, to test a full device. */
  room_bytes = Infinity;
  syncs = 0;
  private readonly nodes = new Map<number, Node>();
  private readonly handles = new Map<number, number>();
  private nextInode = 1;
  private nextHandle = 1;

  constructor(readOnly = false) {
    this.readOnly = readOnly;
    this.make(fileType.directory, 0o755).parent = 1;
  }

  get openHandles(): number {
    return this.handles.size;
  }

  private make(type: FileType, mode: number): Node {
    const inode = this.nextInode++;
    const node: Node = {
      inode,
      type,
      mode,
      links: 1,
      data: new Uint8Array(0),
      entries: new Map(),
      parent: 0,
      target: "",
      times: [1e18, 1e18, 1e18],
    };
    this.nodes.set(inode, node);
    return node;
  }

  private node(inode: number): Node {
    const node = this.nodes.get(inode);
    if (node === undefined) throw new Error(`no inode ${inode}`);
    return node;
  }

  private at(handle: number): Node {
    return this.node(this.handles.get(handle) ?? -1);
  }

  lookup(directory: number, name: string): number {
    const node = this.node(directory);
    if (node.type !== fileType.directory) return -errno.NOTDIR;
    return node.entries.get(name) ?? -errno.NOENT;
  }

  private add(directory: number, name: string, type: FileType, mode: number): number {
    const parent = this.node(directory);
    if (parent.type !== fileType.directory) return -errno.NOTDIR;
    if (parent.entries.has(name)) return -errno.EXIST;
    const node = this.make(type, mode);
    node.parent = directory;
    parent.entries.set(name, node.inode);
    return node.inode;
  }

  createFile(directory: number, name: string, mode: number): number {
    return this.add(directory, name, fileType.regularFile, mode);
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    return this.add(directory, name, fileType.directory, mode);
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    const inode = this.add(directory, name, fileType.symbolicLink, 0o777);
    if (inode >= 0) this.node(inode).target = target;
    return inode;
  }

  link(inode: number, directory: number, name: string): number {
    const parent = this.node(directory);
    if (parent.entries.has(name)) return -errno.EXIST;
    if (this.node(inode).type === fileType.directory) return -errno.PERM;
    parent.entries.set(name, inode);
    this.node(inode).links++;
    return 0;
  }

  unlink(directory: number, name: string): number {
    const inode = this.lookup(directory, name);
    if (inode < 0) return inode;
    if (this.node(inode).type === fileType.directory) return -errno.ISDIR;
    this.node(directory).entries.delete(name);
    this.node(inode).links--;
    return 0;
  }

  removeDirectory(directory: number, name: string): number {
    const inode = this.lookup(directory, name);
    if (inode < 0) return inode;
    const node = this.node(inode);
    if (node.type !== fileType.directory) return -errno.NOTDIR;
    if (node.entries.size > 0) return -errno.NOTEMPTY;
    this.node(directory).entries.delete(name);
    return 0;
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    const inode = this.lookup(fromDirectory, fromName);
    if (inode < 0) return inode;
    for (let above = toDirectory; above !== this.rootInode; above = this.node(above).parent) {
      if (above === inode) return -errno.INVAL;
    }
    const replaced = this.lookup(toDirectory, toName);
    if (replaced === inode) return 0;
    if (replaced >= 0) {
      const moved = this.node(inode).type === fileType.directory;
      const target = this.node(replaced);
      if (moved && target.type !== fileType.directory) return -errno.NOTDIR;
      if (!moved && target.type === fileType.directory) return -errno.ISDIR;
      if (target.entries.size > 0) return -errno.NOTEMPTY;
      target.links--;
    }
    this.node(fromDirectory).entries.delete(fromName);
    this.node(toDirectory).entries.set(toName, inode);
    this.node(inode).parent = toDirectory;
    return 0;
  }

  readSymbolicLink(inode: number): string | number {
    const node = this.node(inode);
    return node.type === fileType.symbolicLink ? node.target : -errno.INVAL;
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    const node = this.node(directory);
    const list: [string, number][] = [[".", directory], ["..", node.parent], ...node.entries];
    for (let n = cookie; n < list.length; n++) {
      const [name, inode] = list[n];
      if (!visit(n + 1, inode, this.node(inode).type, new TextEncoder().encode(name))) break;
    }
    return 0;
  }

  stat(inode: number, into: Stat): number {
    const node = this.node(inode);
    into.inode = inode;
    into.fileType = node.type;
    into.linkCount = node.links;
    into.mode = node.mode;
    into.size_bytes = node.type === fileType.symbolicLink ? node.target.length : node.data.length;
    [into.accessTime_ns, into.modificationTime_ns, into.changeTime_ns] = node.times;
    return 0;
  }

  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number {
    const { times } = this.node(inode);
    if (accessTime_ns >= 0) times[0] = accessTime_ns;
    if (modificationTime_ns >= 0) times[1] = modificationTime_ns;
    return 0;
  }

  setMode(inode: number, mode: number): number {
    this.node(inode).mode = mode;
    return 0;
  }

  open(inode: number): number {
    this.node(inode);
    this.handles.set(this.nextHandle, inode);
    return this.nextHandle++;
  }

  close(handle: number): void {
    if (!this.handles.delete(handle)) throw new Error(`handle ${handle} is not open`);
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const { data } = this.at(handle);
    const part = data.subarray(position, position + length);
    target.set(part, offset);
    return part.length;
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    if (length === 0) return 0;
    const node = this.at(handle);
    const count = Math.min(length, this.room_bytes);
    if (count === 0) return -errno.NOSPC;
    if (position + count > 1 << 26) return -errno.FBIG;
    this.room_bytes -= count;
    if (position + count > node.data.length) this.resize(node, position + count);
    node.data.set(source.subarray(offset, offset + count), position);
    return count;
  }

  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    const end = this.at(handle).data.length;
    const count = this.write(handle, source, offset, length, end);
    return count < 0 ? count : end + count;
  }

  size(handle: number): number {
    return this.at(handle).data.length;
  }

  truncate(handle: number, size_bytes: number): number {
    if (size_bytes > 1 << 26) return -errno.FBIG;
    this.resize(this.at(handle), size_bytes);
    return 0;
  }

  extend(handle: number, size_bytes: number): number {
    return this.size(handle) >= size_bytes ? 0 : this.truncate(handle, size_bytes);
  }

  private resize(node: Node, size_bytes: number): void {
    const data = new Uint8Array(size_bytes);
    data.set(node.data.subarray(0, size_bytes));
    node.data = data;
  }

  sync(): number {
    this.syncs++;
    return 0;
  }
}
