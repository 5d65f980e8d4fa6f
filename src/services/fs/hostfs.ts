/**
 * A directory of the host as a file system, shared by all kernels: `--mount /work=./dir[:ro]`.
 *
 * The files are the host's; what kernels share is the table of inode numbers (`host-nodes.ts`) and of open
 * files (`host-files.ts`), whose host numbers every core can use. Names that are no UTF-8 are not shown.
 *
 * Locks: the table's, and a node's `sizeMutex`, which is taken first. Names are removed, moved and linked with
 * the table locked, so that no other kernel acts on a path in between; looking up, creating, reading and writing
 * do not hold it while the host works. The host's own programs may change the tree at any time: then the host
 * decides what a name means, and an inode number of something that is gone gives −ENOENT or −ESTALE.
 */
import { errno } from "../../kernel/errno.ts";
import type { HostDirectory, HostStatus } from "../../machine/devices.ts";
import type { TypedMemory } from "../../memory/index.ts";
import { type DirectoryVisitor, type FileSystem, fileType, type Stat } from "./filesystem.ts";
import { HostFiles } from "./host-files.ts";
import { HostListing } from "./host-listing.ts";
import { HostNodes, type HostPlace } from "./host-nodes.ts";
import { nameLength_bytes_max } from "./host-state.ts";
import { emptyStatus, isDirectory, typeOf } from "./host-status.ts";

export interface HostFileSystemOptions {
  readonly memory: TypedMemory;
  /** Prefix of the areas' names; one per mount. */
  readonly name: string;
  /** This core's object for the directory. */
  readonly directory: HostDirectory;
  /** Number that names this core as a holder of locks. */
  readonly owner: number;
  /** Files that can have an inode number at once; only for `create`. */
  readonly nodes?: number;
  /** Files that can be open at once; only for `create`. */
  readonly handles?: number;
}

const nodes_default = 8192;
const handles_default = 4096;
/** How often a lookup is repeated because names changed meanwhile, before it locks them. */
const lookupAttempts_max = 8;
const listings_max = 16;

export class HostFileSystem implements FileSystem {
  readonly type = "host";
  readonly readOnly: boolean;
  readonly rootInode: number;
  private readonly host: HostDirectory;
  private readonly nodes: HostNodes;
  private readonly files: HostFiles;
  private readonly status = emptyStatus();
  private readonly targetStatus = emptyStatus();
  private readonly from: HostPlace = { directory: "", name: "" };
  private nameChangesSeen = 0;
  /** Directories being read on this kernel, by inode: a listing is used until its end or the next start. */
  private readonly listings = new Map<number, HostListing>();
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  private constructor(options: HostFileSystemOptions, nodes: HostNodes) {
    this.host = options.directory;
    this.readOnly = options.directory.readOnly;
    this.nodes = nodes;
    this.rootInode = nodes.rootInode;
    this.files = new HostFiles(options.memory, options.name, options.directory, nodes, options.owner);
  }

  /** Makes the shared tables for a directory. @throws Error when the directory cannot be looked at. */
  static create(options: HostFileSystemOptions): HostFileSystem {
    const status = emptyStatus();
    const result = options.directory.status("", "", status);
    if (result < 0) throw new Error(`host directory for ${options.name}: errno ${-result}`);
    const { memory, name, owner } = options;
    const nodes = HostNodes.create(memory, name, owner, options.nodes ?? nodes_default, status);
    HostFiles.create(memory, name, options.handles ?? handles_default);
    return new HostFileSystem(options, nodes);
  }

  /** Uses what `create` made, on another core. */
  static attach(options: HostFileSystemOptions): HostFileSystem {
    return new HostFileSystem(options, HostNodes.attach(options.memory, options.name, options.owner));
  }

  /** Files open on all kernels. */
  openHandles(): number {
    return this.files.used();
  }

  /** Frees the locks of a core that died. An entry of the table that it was just changing may stay unused. */
  recover(deadOwner: number): void {
    this.nodes.recover(deadOwner);
  }

  // Names.

  findPath(inode: number): string | number {
    const { nodes, from } = this;
    nodes.lock();
    try {
      const result = this.lockedPlace(inode);
      if (result < 0) return result;
      // The name may belong to another file by now, or to none.
      const found = this.host.status(from.directory, from.name, this.status);
      if (found < 0) return found;
      if (nodes.find(this.status) !== nodes.slotOf(inode)) return -errno.NOENT;
      return [from.directory, from.name].filter((part) => part !== "").join("/");
    } finally {
      nodes.unlock();
    }
  }

  lookup(directory: number, name: string): number {
    const { nodes, host, status } = this;
    for (let attempt = 0; attempt < lookupAttempts_max; attempt++) {
      const path = this.pathOf(directory);
      if (typeof path === "number") return path;
      const changes = this.nameChangesSeen;
      const result = host.status(path, name, status);
      nodes.lock();
      try {
        if (nodes.table.nameChanges(0) === changes) {
          return result < 0 ? result : this.remember(directory, name);
        }
      } finally {
        nodes.unlock();
      }
    }
    nodes.lock();
    try {
      const path = this.lockedPathOf(directory);
      if (typeof path === "number") return path;
      const result = host.status(path, name, status);
      return result < 0 ? result : this.remember(directory, name);
    } finally {
      nodes.unlock();
    }
  }

  /** Inode number of what `status` describes, found as `name`; the table is locked. */
  private remember(directory: number, name: string): number {
    const parent = this.nodes.slotOf(directory);
    if (parent < 0) return parent;
    const slot = this.nodes.remember(parent, name, this.status, isDirectory(this.status));
    return slot < 0 ? slot : this.nodes.inodeOf(slot);
  }

  createFile(directory: number, name: string, mode: number): number {
    const path = this.pathToChange(directory, name);
    if (typeof path === "number") return path;
    const result = this.host.createFile(path, name, mode);
    return result < 0 ? result : this.lookup(directory, name);
  }

  makeDirectory(directory: number, name: string, mode: number): number {
    const path = this.pathToChange(directory, name);
    if (typeof path === "number") return path;
    const result = this.host.makeDirectory(path, name, mode);
    return result < 0 ? result : this.lookup(directory, name);
  }

  makeSymbolicLink(directory: number, name: string, target: string): number {
    const result = this.locked((nodes) => {
      const path = this.lockedPathToChange(directory, name);
      if (typeof path === "number") return path;
      nodes.noteNameChange();
      return this.host.makeSymbolicLink(path, name, target);
    });
    return result < 0 ? result : this.lookup(directory, name);
  }

  link(inode: number, directory: number, name: string): number {
    return this.locked((nodes) => {
      const result = this.lockedPlace(inode);
      if (result < 0) return result;
      const path = this.lockedPathToChange(directory, name);
      if (typeof path === "number") return path;
      nodes.noteNameChange();
      return this.host.link(this.from.directory, this.from.name, path, name);
    });
  }

  unlink(directory: number, name: string): number {
    return this.locked((nodes) => {
      const path = this.lockedPathToChange(directory, name);
      if (typeof path === "number") return path;
      const found = this.host.status(path, name, this.status);
      if (found < 0) return found;
      nodes.noteNameChange();
      const result = this.host.unlink(path, name);
      if (result === 0) this.retire(this.status);
      return result;
    });
  }

  removeDirectory(directory: number, name: string): number {
    return this.locked((nodes) => {
      const path = this.lockedPathToChange(directory, name);
      if (typeof path === "number") return path;
      const found = this.host.status(path, name, this.status);
      if (found < 0) return found;
      nodes.noteNameChange();
      const result = this.host.removeDirectory(path, name);
      if (result === 0) this.retire(this.status);
      return result;
    });
  }

  rename(fromDirectory: number, fromName: string, toDirectory: number, toName: string): number {
    return this.locked((nodes) => {
      const fromPath = this.lockedPathToChange(fromDirectory, fromName);
      if (typeof fromPath === "number") return fromPath;
      const toPath = this.lockedPathToChange(toDirectory, toName);
      if (typeof toPath === "number") return toPath;
      const { host, status, targetStatus } = this;
      const found = host.status(fromPath, fromName, status);
      if (found < 0) return found;
      const replaces = host.status(toPath, toName, targetStatus) === 0;
      nodes.noteNameChange();
      const result = host.rename(fromPath, fromName, toPath, toName);
      if (result < 0) return result;
      const slot = nodes.find(status);
      // Two names of one file: POSIX has rename do nothing then.
      if (replaces && nodes.find(targetStatus) !== slot) this.retire(targetStatus);
      if (slot !== 0) nodes.move(slot, nodes.slotOf(toDirectory), toName, isDirectory(status));
      return 0;
    });
  }

  /** What `status` described before a name of it was removed may be gone now; the table is locked. */
  private retire(status: HostStatus): void {
    const directory = isDirectory(status);
    const slot = this.nodes.find(status);
    if (slot !== 0 && (directory || status.linkCount <= 1)) this.nodes.retire(slot, directory);
  }

  readSymbolicLink(inode: number): string | number {
    const result = this.locked(() => this.lockedPlace(inode));
    return result < 0 ? result : this.host.readSymbolicLink(this.from.directory, this.from.name);
  }

  readDirectory(directory: number, cookie: number, visit: DirectoryVisitor): number {
    const path = this.pathOf(directory);
    if (typeof path === "number") return path;
    if (cookie <= 0 && !visit(1, directory, fileType.directory, dot)) return 0;
    if (cookie <= 1 && !visit(2, this.parentOf(directory), fileType.directory, dotDot)) return 0;
    const listing = this.listingOf(directory, path, cookie > 1);
    if (typeof listing === "number") return listing;
    for (let index = listing.indexAt(cookie); ; index++) {
      const entry = listing.at(index);
      if (entry === undefined) break;
      const name = this.decodeName(entry.name);
      // What cannot be named, or has gone since the listing was made, is left out.
      if (name === undefined) continue;
      const inode = this.lookup(directory, name);
      if (inode === -errno.NOENT || inode === -errno.LOOP) continue;
      if (inode < 0) return inode;
      if (!visit(entry.position + 1, inode, typeOf(this.status), entry.name)) return 0;
    }
    this.listings.delete(directory);
    return 0;
  }

  private listingOf(directory: number, path: string, started: boolean): HostListing | number {
    const known = started ? this.listings.get(directory) : undefined;
    if (known !== undefined) return known;
    const names = this.host.list(path);
    if (typeof names === "number") return names;
    const listing = new HostListing(names);
    if (this.listings.size >= listings_max) this.listings.clear();
    this.listings.set(directory, listing);
    return listing;
  }

  private decodeName(name: Uint8Array): string | undefined {
    try {
      return this.decoder.decode(name);
    } catch {
      return undefined;
    }
  }

  private parentOf(directory: number): number {
    return this.locked((nodes) => {
      const slot = nodes.slotOf(directory);
      if (slot < 0 || directory === this.rootInode) return this.rootInode;
      return nodes.inodeOf(nodes.records.parent(slot));
    });
  }

  // Attributes.

  stat(inode: number, into: Stat): number {
    const result = this.onFileOr(
      inode,
      (file) => this.host.statusOfFile(file, this.status),
      ({ directory, name }) => this.host.status(directory, name, this.status),
    );
    if (result < 0) return result;
    const { status } = this;
    into.inode = inode;
    into.fileType = typeOf(status);
    into.linkCount = status.linkCount;
    into.mode = status.mode & 0o777;
    into.size_bytes = status.size_bytes;
    into.accessTime_ns = status.accessTime_ns;
    into.modificationTime_ns = status.modificationTime_ns;
    into.changeTime_ns = status.changeTime_ns;
    return 0;
  }

  setTimes(inode: number, accessTime_ns: number, modificationTime_ns: number): number {
    return this.onFileOr(
      inode,
      (file) => this.host.setTimesOfFile(file, accessTime_ns, modificationTime_ns),
      ({ directory, name }) => this.host.setTimes(directory, name, accessTime_ns, modificationTime_ns),
    );
  }

  setMode(inode: number, mode: number): number {
    return this.onFileOr(
      inode,
      (file) => this.host.setModeOfFile(file, mode),
      ({ directory, name }) => this.host.setMode(directory, name, mode),
    );
  }

  /**
   * Acts on a file that is open through its open file, which may have no name any more, and on another through
   * its place. An open file is used with the table locked: it cannot be closed meanwhile.
   */
  private onFileOr(
    inode: number,
    onFile: (file: number) => number,
    onPlace: (place: HostPlace) => number,
  ): number {
    const { nodes } = this;
    nodes.lock();
    try {
      const slot = nodes.slotOf(inode);
      if (slot < 0) return slot;
      const file = this.files.anyFileOf(slot);
      if (file >= 0) return onFile(file);
      const result = nodes.place(slot, this.from);
      if (result < 0) return result;
    } finally {
      nodes.unlock();
    }
    return onPlace(this.from);
  }

  // Data.

  open(inode: number, write: boolean): number {
    const result = this.locked(() => this.lockedPlace(inode));
    if (result < 0) return result;
    return this.files.open(inode, this.from.directory, this.from.name, write);
  }

  close(handle: number): void {
    this.files.close(handle);
  }

  read(handle: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.host.read(this.files.fileOf(handle), target, offset, length, position);
  }

  write(handle: number, source: Uint8Array, offset: number, length: number, position: number): number {
    return this.files.write(handle, source, offset, length, position);
  }

  append(handle: number, source: Uint8Array, offset: number, length: number): number {
    return this.files.append(handle, source, offset, length);
  }

  size(handle: number): number {
    return this.host.size(this.files.fileOf(handle));
  }

  truncate(handle: number, size_bytes: number): number {
    return this.host.setSize(this.files.fileOf(handle), size_bytes);
  }

  extend(handle: number, size_bytes: number): number {
    return this.files.extend(handle, size_bytes);
  }

  sync(handle: number): number {
    return this.host.flush(this.files.fileOf(handle));
  }

  // Paths.

  private locked(action: (nodes: HostNodes) => number): number {
    this.nodes.lock();
    try {
      return action(this.nodes);
    } finally {
      this.nodes.unlock();
    }
  }

  /** Notes the state of the names it belongs to in `nameChangesSeen`. */
  private pathOf(directory: number): string | number {
    this.nodes.lock();
    try {
      this.nameChangesSeen = this.nodes.table.nameChanges(0);
      return this.lockedPathOf(directory);
    } finally {
      this.nodes.unlock();
    }
  }

  private lockedPathOf(directory: number): string | number {
    const slot = this.nodes.slotOf(directory);
    return slot < 0 ? slot : this.nodes.pathOf(slot);
  }

  private pathToChange(directory: number, name: string): string | number {
    const refused = this.refusal(name);
    return refused < 0 ? refused : this.pathOf(directory);
  }

  private lockedPathToChange(directory: number, name: string): string | number {
    const refused = this.refusal(name);
    return refused < 0 ? refused : this.lockedPathOf(directory);
  }

  private refusal(name: string): number {
    if (this.readOnly) return -errno.ROFS;
    // Three bytes of UTF-8 at most for each unit of a string.
    const short = name.length * 3 <= nameLength_bytes_max;
    return short || new TextEncoder().encode(name).length <= nameLength_bytes_max ? 0 : -errno.NAMETOOLONG;
  }

  /** Leaves the place of an inode in `from`. */
  private lockedPlace(inode: number): number {
    const slot = this.nodes.slotOf(inode);
    return slot < 0 ? slot : this.nodes.place(slot, this.from);
  }
}

const dot = new TextEncoder().encode(".");
const dotDot = new TextEncoder().encode("..");
