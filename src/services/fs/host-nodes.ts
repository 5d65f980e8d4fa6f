/**
 * Which inode number stands for which file of a host directory: the shared table behind `hostfs.ts`.
 *
 * A node remembers where a file was found last; a path is put together from the nodes above it. Nodes are found
 * again by the host's identity of the file, so all names of a file have one inode number. When all records
 * are taken, one that nobody has open, looked at lately or needs for a path stands in for the next file, with a
 * new generation: old inode numbers of it are answered with −ESTALE.
 *
 * Everything here but `create` and `attach` is called with the table locked.
 */
import { errno } from "../../kernel/errno.ts";
import type { HostStatus } from "../../machine/devices.ts";
import type { Accessor, TypedMemory } from "../../memory/index.ts";
import { HostBucket, HostNode, HostTable, nameLength_bytes_max } from "./host-state.ts";

const root = 1;
const paths_max = 4096;

/** Where a file is: a directory below the mount's root, and a name in it, which is empty for the root itself. */
export interface HostPlace {
  directory: string;
  name: string;
}

export class HostNodes {
  readonly records: Accessor<typeof HostNode.fields>;
  readonly table: Accessor<typeof HostTable.fields>;
  private readonly buckets: Accessor<typeof HostBucket.fields>;
  /** Records of the table, a power of two; record 0 is none. */
  private readonly capacity: number;
  private readonly owner: number;
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private readonly encoder = new TextEncoder();
  /** Paths of directories by inode number: a cache, right while `pathChanges` is what it was. */
  private readonly paths = new Map<number, string>();
  private pathsSeen = -1;

  private constructor(memory: TypedMemory, name: string, owner: number) {
    const nodes = memory.attachArea(`${name}.nodes`, HostNode, { checked: false });
    this.records = nodes;
    this.capacity = nodes.area.count;
    this.table = memory.attachArea(`${name}.table`, HostTable, { checked: false });
    this.buckets = memory.attachArea(`${name}.buckets`, HostBucket, { checked: false });
    this.owner = owner;
  }

  /** Makes the table, with the root in it. `capacity` is rounded up to a power of two. */
  static create(
    memory: TypedMemory,
    name: string,
    owner: number,
    capacity: number,
    rootStatus: HostStatus,
  ): HostNodes {
    const count = 2 ** Math.ceil(Math.log2(Math.max(4, capacity)));
    const records = memory.create(`${name}.nodes`, HostNode, { count, checked: false });
    memory.create(`${name}.buckets`, HostBucket, { count });
    const table = memory.create(`${name}.table`, HostTable, { count: 1 });
    for (let slot = root + 1; slot < count - 1; slot++) records.setNext(slot, slot + 1);
    table.setFree(0, root + 1);
    table.setUsed(0, 1);
    table.setHand(0, root + 1);
    const nodes = new HostNodes(memory, name, owner);
    nodes.records.setUsed(root, 1);
    nodes.insert(root, rootStatus);
    return nodes;
  }

  static attach(memory: TypedMemory, name: string, owner: number): HostNodes {
    return new HostNodes(memory, name, owner);
  }

  get rootInode(): number {
    return root;
  }

  lock(): void {
    this.table.acquireMutex(0, this.owner);
  }

  unlock(): void {
    this.table.releaseMutex(0, this.owner);
  }

  recover(deadOwner: number): void {
    const { table, records } = this;
    if (table.ownerOfMutex(0) === deadOwner) table.releaseMutex(0, deadOwner);
    for (let slot = 0; slot < this.capacity; slot++) {
      if (records.ownerOfSizeMutex(slot) === deadOwner) records.releaseSizeMutex(slot, deadOwner);
    }
  }

  inodeOf(slot: number): number {
    return this.records.generation(slot) * this.capacity + slot;
  }

  /** Record of an inode number, or −STALE if it stands for something else by now. */
  slotOf(inode: number): number {
    const slot = inode % this.capacity;
    if (!(slot > 0)) return -errno.STALE;
    if (this.records.used(slot) === 0 || this.inodeOf(slot) !== inode) return -errno.STALE;
    this.records.setRecentlyUsed(slot, 1);
    return slot;
  }

  // Places.

  /** Where a node is, or a negated errno. */
  place(slot: number, into: HostPlace): number {
    if (slot === root) {
      into.directory = "";
      into.name = "";
      return 0;
    }
    const directory = this.pathOf(this.records.parent(slot));
    if (typeof directory === "number") return directory;
    into.directory = directory;
    into.name = this.nameOf(slot);
    return 0;
  }

  /** Path of a directory's node below the root, or −NOENT if it or one above it was removed. */
  pathOf(slot: number): string | number {
    if (slot === root) return "";
    const { records } = this;
    if (this.pathsSeen !== this.table.pathChanges(0) || this.paths.size > paths_max) {
      this.paths.clear();
      this.pathsSeen = this.table.pathChanges(0);
    }
    const inode = this.inodeOf(slot);
    const known = this.paths.get(inode);
    if (known !== undefined) return known;
    if (records.removed(slot) !== 0) return -errno.NOENT;
    const above = this.pathOf(records.parent(slot));
    if (typeof above === "number") return above;
    const path = above === "" ? this.nameOf(slot) : `${above}/${this.nameOf(slot)}`;
    this.paths.set(inode, path);
    return path;
  }

  private nameOf(slot: number): string {
    const length = this.records.nameLength_bytes(slot);
    return this.decoder.decode(this.records.name(slot).slice(0, length));
  }

  // What has been found.

  /**
   * The node for a file found as `name` in `parent`, made if there is none. −NFILE when no record can be
   * had, −LOOP for a directory that the host shows inside itself.
   */
  remember(parent: number, name: string, status: HostStatus, isDirectory: boolean): number {
    let slot = this.find(status);
    if (slot === root) return root;
    if (slot === 0) {
      slot = this.take();
      if (slot < 0) return slot;
      this.insert(slot, status);
      this.attach(slot, parent, name);
    } else if (this.records.parent(slot) !== parent || this.nameOf(slot) !== name) {
      if (isDirectory && this.isAbove(slot, parent)) return -errno.LOOP;
      this.move(slot, parent, name, isDirectory);
    }
    this.records.setRecentlyUsed(slot, 1);
    return slot;
  }

  /** The node of a file by its identity on the host, or 0. */
  find(status: HostStatus): number {
    const { records } = this;
    for (let slot = this.buckets.head(this.bucketOf(status)); slot !== 0; slot = records.next(slot)) {
      if (
        records.inodeLow(slot) === status.inodeLow &&
        records.inodeHigh(slot) === status.inodeHigh &&
        records.device(slot) === status.device
      ) {
        return slot;
      }
    }
    return 0;
  }

  /** A node has another place from now on. */
  move(slot: number, parent: number, name: string, isDirectory: boolean): void {
    const { records } = this;
    const oldParent = records.parent(slot);
    records.setChildren(oldParent, records.children(oldParent) - 1);
    this.attach(slot, parent, name);
    if (isDirectory) this.table.setPathChanges(0, this.table.pathChanges(0) + 1);
  }

  /**
   * A file's last name, or a directory, is gone: the host may give its identity to something new, which gets a
   * node of its own. Who still has this one open goes on; through a directory nothing is found any more.
   */
  retire(slot: number, isDirectory: boolean): void {
    this.removeFromBucket(slot);
    if (!isDirectory) return;
    this.records.setRemoved(slot, 1);
    this.table.setPathChanges(0, this.table.pathChanges(0) + 1);
  }

  noteNameChange(): void {
    this.table.setNameChanges(0, this.table.nameChanges(0) + 1);
  }

  private attach(slot: number, parent: number, name: string): void {
    const { records } = this;
    const encoded = this.encoder.encode(name);
    if (encoded.length > nameLength_bytes_max) throw new RangeError(`name of ${encoded.length} bytes`);
    records.setName(slot, encoded);
    records.setNameLength_bytes(slot, encoded.length);
    records.setParent(slot, parent);
    records.setChildren(parent, records.children(parent) + 1);
  }

  private isAbove(slot: number, below: number): boolean {
    for (let above = below; above !== root; above = this.records.parent(above)) {
      if (above === slot) return true;
    }
    return false;
  }

  // Records.

  private insert(slot: number, status: HostStatus): void {
    const { records, buckets } = this;
    records.setDevice(slot, status.device);
    records.setInodeLow(slot, status.inodeLow);
    records.setInodeHigh(slot, status.inodeHigh);
    const bucket = this.bucketOf(status);
    records.setNext(slot, buckets.head(bucket));
    buckets.setHead(bucket, slot);
  }

  /** A record that stands for nothing yet, or −NFILE. */
  private take(): number {
    const { records, table } = this;
    const slot = table.free(0) === 0 ? this.reclaim() : table.free(0);
    if (slot === 0) return -errno.NFILE;
    if (slot === table.free(0)) {
      table.setFree(0, records.next(slot));
      table.setUsed(0, table.used(0) + 1);
    }
    records.setUsed(slot, 1);
    records.setRemoved(slot, 0);
    records.setFirstHandle(slot, 0);
    records.setChildren(slot, 0);
    return slot;
  }

  /** Takes the record of the first node behind the hand that nobody needs; 0 when there is none. */
  private reclaim(): number {
    const { records, table, capacity } = this;
    let slot = table.hand(0);
    // Twice around: the first time may only find out what was used lately.
    for (let step = 0; step < 2 * capacity; step++) {
      slot = slot + 1 < capacity ? slot + 1 : root + 1;
      if (records.children(slot) !== 0 || records.firstHandle(slot) !== 0) continue;
      if (records.recentlyUsed(slot) !== 0) {
        records.setRecentlyUsed(slot, 0);
        continue;
      }
      table.setHand(0, slot);
      this.removeFromBucket(slot);
      const parent = records.parent(slot);
      records.setChildren(parent, records.children(parent) - 1);
      records.setGeneration(slot, records.generation(slot) + 1);
      return slot;
    }
    return 0;
  }

  /** What was retired is in no bucket any more. */
  private removeFromBucket(slot: number): void {
    const { records, buckets } = this;
    const bucket = this.hash(records.device(slot), records.inodeLow(slot), records.inodeHigh(slot));
    let before = 0;
    for (let at = buckets.head(bucket); at !== 0; before = at, at = records.next(at)) {
      if (at !== slot) continue;
      if (before === 0) buckets.setHead(bucket, records.next(slot));
      else records.setNext(before, records.next(slot));
      return;
    }
  }

  private bucketOf(status: HostStatus): number {
    return this.hash(status.device, status.inodeLow, status.inodeHigh);
  }

  private hash(device: number, inodeLow: number, inodeHigh: number): number {
    const mixed = Math.imul(
      inodeLow ^ Math.imul(inodeHigh, 0x85ebca6b) ^ Math.imul(device, 0xc2b2ae35),
      0x9e3779b1,
    );
    return (mixed ^ (mixed >>> 15)) & (this.capacity - 1);
  }
}
