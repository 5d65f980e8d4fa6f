/**
 * The mount table: which file system covers which directory. The table is shared; each kernel builds the
 * `FileSystem` objects it needs from it, through one factory per mount type.
 *
 * Who uses a mount (an open file, a walk that has crossed into it, a mount on top) holds it with `enter`;
 * `unmount` succeeds only when nobody does. Lock order: `system.mountMutex` comes before every lock of a file
 * system and is taken only by mount and unmount.
 */
import { errno } from "../../kernel/errno.ts";
import { limits, type Mount, mountType, type SystemBlock } from "../../kernel/state.ts";
import type { Accessor } from "../../memory/index.ts";
import type { FileSystem } from "./filesystem.ts";
import { type MountView, normalizeMountPath } from "./mount-view.ts";
import { Namespace } from "./namespace.ts";
import { PathWalk, walkAgain, walkAttemptsMax } from "./path.ts";

/** Makes this kernel's object for a mounted file system; `close` is called once, by whoever unmounts it. */
export interface MountFactory {
  open(instance: number, readOnly: boolean): FileSystem;
  close?(fileSystem: FileSystem, instance: number): void;
}

export type MountTypeName = Exclude<keyof typeof mountType, "none">;
export type MountFactories = Partial<Record<MountTypeName, MountFactory>>;

export interface MountDescription {
  readonly mount: number;
  readonly path: string;
  readonly type: MountTypeName;
  readonly instance: number;
  readonly readOnly: boolean;
}

/** In `users`: the mount is going away and takes no new users. */
const goneBit = 0x80000000;
/** How often `mount` looks whether changes of names have come to an end before it gives up. */
const quietAttemptsMax = 100_000;
const pathLength_bytes_max = 255;

export class Mounts implements MountView {
  readonly namespace: Namespace;
  private readonly records: Accessor<typeof Mount.fields>;
  private readonly system: Accessor<typeof SystemBlock.fields>;
  private readonly factories: MountFactories;
  private readonly owner: number;
  private readonly walk: PathWalk;
  /** This kernel's view of the table: valid while `seenGeneration` is the shared one. */
  private seenGeneration = -1;
  private readonly built: (FileSystem | undefined)[] = new Array(limits.mounts).fill(undefined);
  private readonly builtSerials: number[] = new Array(limits.mounts).fill(0);
  private readonly types: number[] = new Array(limits.mounts).fill(mountType.none);
  private readonly covers = new Map<number, number>();

  constructor(
    areas: { mounts: Accessor<typeof Mount.fields>; system: Accessor<typeof SystemBlock.fields> },
    factories: MountFactories,
    owner: number,
  ) {
    this.records = areas.mounts;
    this.system = areas.system;
    this.namespace = new Namespace(areas.system, owner);
    this.factories = factories;
    this.owner = owner;
    this.walk = new PathWalk(this);
  }

  // What a path walk asks.

  /** The mount at "/", or 0 while there is none. */
  root(): number {
    this.update();
    return this.covers.get(0) ?? 0;
  }

  /** The file system of a mount that the caller holds. */
  fileSystem(mount: number): FileSystem {
    if (this.system.mountGeneration(0) !== this.seenGeneration) this.update();
    return this.built[mount] ?? this.build(mount);
  }

  /** The mount that covers a directory, or 0. */
  covering(mount: number, inode: number): number {
    this.update();
    return this.covers.size < 2 ? 0 : (this.covers.get(coverKey(mount, inode)) ?? 0);
  }

  /** Holds a mount so that it cannot go away. False when it is going. */
  enter(mount: number): boolean {
    if (this.records.addUsers(mount, 1) < goneBit && this.records.type(mount) !== mountType.none) return true;
    this.records.addUsers(mount, -1);
    return false;
  }

  leave(mount: number): void {
    this.records.addUsers(mount, -1);
  }

  /** One of `mountType`. */
  type(mount: number): number {
    this.update();
    return this.types[mount];
  }

  /** Whether names found in this mount mean the same until the name space changes (see `namespace.ts`). */
  cacheable(mount: number): boolean {
    const type = this.type(mount);
    return type === mountType.ext2 || type === mountType.device;
  }

  // Mounting. Each returns the mount's number, or a negated errno.

  mountExt2(path: string, instance: number, readOnly: boolean): number {
    return this.mount("ext2", path, instance, readOnly);
  }

  mountHost(path: string, instance: number, readOnly: boolean): number {
    return this.mount("host", path, instance, readOnly);
  }

  mountDevice(path: string): number {
    return this.mount("device", path, 0, false);
  }

  mountProcess(path: string): number {
    return this.mount("process", path, 0, true);
  }

  mountPrograms(path: string, instance = 0): number {
    return this.mount("programs", path, instance, true);
  }

  /**
   * Mounts a file system over an existing directory; the first one goes to "/".
   * −NOENT, −NOTDIR for the directory; −NFILE when the table is full; −NODEV when this kernel has no factory
   * for the type; −NAMETOOLONG; −BUSY for a second root, or when changes of names do not come to an end.
   */
  mount(type: MountTypeName, path: string, instance: number, readOnly: boolean): number {
    if (this.factories[type] === undefined) return -errno.NODEV;
    const normal = normalizeMountPath(path);
    if (typeof normal === "number") return normal;
    const encodedPath = new TextEncoder().encode(normal);
    if (encodedPath.length > pathLength_bytes_max) return -errno.NAMETOOLONG;
    this.system.acquireMountMutex(0, this.owner);
    try {
      return this.mountLocked(mountType[type], normal, encodedPath, instance, readOnly);
    } finally {
      this.system.releaseMountMutex(0, this.owner);
    }
  }

  private mountLocked(
    type: number,
    path: string,
    encodedPath: Uint8Array,
    instance: number,
    readOnly: boolean,
  ): number {
    const mount = this.freeRecord();
    if (mount === 0) return -errno.NFILE;
    const { records } = this;
    const root = this.root();
    if (root === 0 && path !== "/") return -errno.NOENT;
    // Walks that start at the root that there is would never come to another one.
    if (root !== 0 && path === "/") return -errno.BUSY;
    if (root === 0) {
      records.setParent(mount, 0);
      records.setParentInode(mount, 0);
      records.setParentHandle(mount, -1);
    } else {
      const result = this.cover(mount, root, path);
      if (result < 0) return result;
    }
    records.setReadOnly(mount, readOnly ? 1 : 0);
    records.setPath(mount, encodedPath);
    records.setInstance(mount, instance);
    records.setSerial(mount, this.system.mountGeneration(0) + 1);
    // The factory runs before anybody can see the mount: a file system that cannot be built is not mounted.
    let fileSystem: FileSystem;
    try {
      fileSystem = this.buildFrom(mount, type);
    } catch (error) {
      this.uncover(mount);
      throw error;
    }
    this.built[mount] = fileSystem;
    this.builtSerials[mount] = records.serial(mount);
    // Everybody sees the mount first, so that the directory stays where it is, and may use it afterwards.
    records.orUsers(mount, goneBit);
    this.publish(mount, type);
    if (root !== 0 && !this.stillCovers(mount, root, path)) {
      this.retract(mount);
      return -errno.BUSY;
    }
    this.namespace.beginChange();
    records.addUsers(mount, -goneBit);
    this.namespace.endChange();
    return mount;
  }

  /** Finds, pins and notes the directory that `mount` will cover. Zero, or a negated errno. */
  private cover(mount: number, root: number, path: string): number {
    const result = this.findDirectory(root, path);
    if (result < 0) return result;
    const { walk, records } = this;
    const handle = this.fileSystem(walk.mount).open(walk.inode, false);
    const held = handle >= 0 && this.enter(walk.mount);
    if (!held || !walk.verify()) {
      if (handle >= 0) this.fileSystem(walk.mount).close(handle);
      if (held) this.leave(walk.mount);
      walk.finish();
      return handle < 0 ? handle : -errno.BUSY;
    }
    records.setParent(mount, walk.mount);
    records.setParentInode(mount, walk.inode);
    records.setParentHandle(mount, handle);
    walk.finish();
    return 0;
  }

  private uncover(mount: number): void {
    const parent = this.records.parent(mount);
    if (parent === 0) return;
    this.fileSystem(parent).close(this.records.parentHandle(mount));
    this.leave(parent);
  }

  /** Walks to a directory: the result is in `walk`, which the caller finishes after zero. */
  private findDirectory(root: number, path: string): number {
    const { walk } = this;
    const { rootInode } = this.fileSystem(root);
    const relativePath = `${path.slice(1)}/`;
    for (let attempt = 0; attempt < walkAttemptsMax; attempt++) {
      const result = walk.find(root, rootInode, relativePath, true, true, attempt > 0);
      if (result === 0 && walk.inode !== 0) return 0;
      walk.finish();
      if (result !== walkAgain) return result === 0 ? -errno.NOENT : result;
    }
    return -errno.BUSY;
  }

  /**
   * Somebody may have removed or renamed the directory while it was being covered: they look for mounts only
   * after announcing their change, so once no change is in flight they have either seen this mount or are
   * done, and then the path no longer leads here.
   */
  private stillCovers(mount: number, root: number, path: string): boolean {
    for (let attempt = 0; this.namespace.isChanging(); attempt++) {
      if (attempt === quietAttemptsMax) return false;
      Atomics.pause();
    }
    if (this.findDirectory(root, path) < 0) return false;
    const { walk, records } = this;
    const found = walk.mount === records.parent(mount) && walk.inode === records.parentInode(mount);
    walk.finish();
    return found;
  }

  /** Takes a mount away again. −INVAL when nothing is mounted at `path`, −BUSY while it is used. */
  unmount(path: string): number {
    const normal = normalizeMountPath(path);
    if (typeof normal === "number") return normal;
    this.system.acquireMountMutex(0, this.owner);
    try {
      // Of several mounts at one path the last covers the others.
      let mount = 0;
      for (const { mount: candidate, path: at } of this.list()) {
        if (at === normal && (mount === 0 || this.isOver(candidate, mount))) mount = candidate;
      }
      if (mount === 0) return -errno.INVAL;
      if (this.records.compareExchangeUsers(mount, 0, goneBit) !== 0) return -errno.BUSY;
      this.retract(mount);
      return 0;
    } finally {
      this.system.releaseMountMutex(0, this.owner);
    }
  }

  private isOver(mount: number, other: number): boolean {
    return this.records.serial(mount) > this.records.serial(other);
  }

  private publish(mount: number, type: number): void {
    this.namespace.beginChange();
    this.records.setType(mount, type);
    this.system.setMountGeneration(0, this.system.mountGeneration(0) + 1);
    this.namespace.endChange();
  }

  private retract(mount: number): void {
    const fileSystem = this.fileSystem(mount);
    const name = typeName(this.records.type(mount));
    this.publish(mount, mountType.none);
    this.uncover(mount);
    if (name !== undefined) this.factories[name]?.close?.(fileSystem, this.records.instance(mount));
    this.built[mount] = undefined;
  }

  /** Every mount, by number. */
  list(): MountDescription[] {
    const found: MountDescription[] = [];
    const decoder = new TextDecoder();
    for (let mount = 1; mount < limits.mounts; mount++) {
      const type = typeName(this.records.type(mount));
      if (type === undefined) continue;
      const path = this.records.path(mount).slice();
      found.push({
        mount,
        path: decoder.decode(path.subarray(0, path.indexOf(0))),
        type,
        instance: this.records.instance(mount),
        readOnly: this.records.readOnly(mount) !== 0,
      });
    }
    return found;
  }

  /**
   * Cleans up behind a core that died: a mount or unmount that it was in the middle of is undone or completed.
   * What the dead core's walks were using stays in use, so that such a mount may never be unmounted.
   */
  recover(deadOwner: number): void {
    this.namespace.recover(deadOwner);
    if (this.system.ownerOfMountMutex(0) === deadOwner) {
      for (let mount = 1; mount < limits.mounts; mount++) {
        const isGoing = this.records.users(mount) >= goneBit;
        if (isGoing && this.records.type(mount) !== mountType.none) this.retract(mount);
      }
      this.system.releaseMountMutex(0, deadOwner);
    }
    for (let mount = 1; mount < limits.mounts; mount++) {
      if (this.records.type(mount) !== mountType.none) this.fileSystem(mount).recover?.(deadOwner);
    }
  }

  private freeRecord(): number {
    for (let mount = 1; mount < limits.mounts; mount++) {
      // A walk that has just been refused by `enter` may not have taken its count back yet.
      const users = this.records.users(mount);
      if (this.records.type(mount) === mountType.none && (users === 0 || users === goneBit)) return mount;
    }
    return 0;
  }

  private update(): void {
    const generation = this.system.mountGeneration(0);
    if (generation === this.seenGeneration) return;
    this.covers.clear();
    for (let mount = 1; mount < limits.mounts; mount++) {
      const type = this.records.type(mount);
      this.types[mount] = type;
      if (type === mountType.none || this.builtSerials[mount] !== this.records.serial(mount)) {
        this.built[mount] = undefined;
      }
      if (type === mountType.none) continue;
      const parent = this.records.parent(mount);
      this.covers.set(parent === 0 ? 0 : coverKey(parent, this.records.parentInode(mount)), mount);
    }
    this.seenGeneration = generation;
  }

  private build(mount: number): FileSystem {
    const fileSystem = this.buildFrom(mount, this.records.type(mount));
    this.built[mount] = fileSystem;
    this.builtSerials[mount] = this.records.serial(mount);
    return fileSystem;
  }

  private buildFrom(mount: number, type: number): FileSystem {
    const name = typeName(type);
    const factory = name === undefined ? undefined : this.factories[name];
    if (factory === undefined) throw new Error(`mount ${mount} of type ${type}: this kernel cannot build it`);
    return factory.open(this.records.instance(mount), this.records.readOnly(mount) !== 0);
  }
}

/** One number for a directory of a mount; inode numbers stay below 2^46. Never 0, which stands for the root. */
function coverKey(mount: number, inode: number): number {
  return inode * limits.mounts + mount;
}

function typeName(type: number): MountTypeName | undefined {
  for (const [name, number] of Object.entries(mountType)) {
    if (number === type && name !== "none") return name as MountTypeName;
  }
  return undefined;
}
