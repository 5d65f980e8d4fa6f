/** A file service on a small island, without a machine: what the tests of this folder work with. */
import assert from "node:assert/strict";
import { type Areas, attachAreas, createAreas } from "../../src/kernel/areas.ts";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { Devices } from "../../src/services/device/devices.ts";
import { registerMemoryDevices } from "../../src/services/device/memory-devices.ts";
import { DeviceFileSystem } from "../../src/services/fs/devfs.ts";
import { Files, type OpenOptions } from "../../src/services/fs/files.ts";
import type { FileSystem } from "../../src/services/fs/filesystem.ts";
import { type MountFactories, Mounts } from "../../src/services/fs/mounts.ts";
import { ProcFileSystem } from "../../src/services/fs/procfs.ts";
import { ProgramFileSystem, type ProgramSource } from "../../src/services/fs/program-filesystem.ts";
import { Pages } from "../../src/services/pages/index.ts";
import { MemoryFileSystem } from "./memory-filesystem.ts";

const areas_bytes = 64 << 20;
const pageCount = 1024;
const bootTime_ns = 1_700_000_000_000_000_000;

export const reading: OpenOptions = {
  followLast: true,
  create: false,
  exclusive: false,
  directory: false,
  truncate: false,
  read: true,
  write: false,
  flags: 0,
  mode: 0o644,
};
export const creating: OpenOptions = { ...reading, create: true, write: true };

/** What every kernel of a test shares. */
export class Island {
  readonly memory: TypedMemory;
  readonly areas: Areas;
  readonly fileSystems: MemoryFileSystem[] = [];
  /** Threads that were woken, in order. */
  readonly woken: number[] = [];
  /** Called for each thread that is woken. */
  wake = (thread: number): void => void this.woken.push(thread);
  /** What mounts of type "ext2" stand for, by instance. */
  openDisk: (instance: number) => FileSystem = (instance) => this.fileSystem(instance);
  programs: ProgramSource = { names: () => [], size: () => -errno.NOENT, read: () => -errno.NOENT };
  monotonic_ns = 5_000_000_000;

  /** Makes an island, or joins the one in `buffer` from another thread. */
  constructor(buffer?: SharedArrayBuffer) {
    if (buffer !== undefined) {
      this.memory = TypedMemory.attach(buffer);
      this.areas = attachAreas(this.memory);
      return;
    }
    this.memory = TypedMemory.format(new SharedArrayBuffer(areas_bytes + pageCount * 4096), {
      byteLength: areas_bytes,
    });
    this.areas = createAreas(this.memory);
    Pages.create(this.memory, { name: "pages", base: areas_bytes, count: pageCount, owner: 1 });
  }

  /** A file system in JavaScript objects: what instance n of "ext2", or n − 100 of "host", is here. */
  fileSystem(instance: number): MemoryFileSystem {
    this.fileSystems[instance] ??= new MemoryFileSystem();
    return this.fileSystems[instance];
  }
}

/** One kernel's objects over an island. */
export class Rig {
  readonly island: Island;
  readonly areas: Areas;
  readonly pages: Pages;
  readonly waits: WaitService;
  readonly devices = new Devices();
  readonly mounts: Mounts;
  readonly files: Files;
  readonly owner: number;

  constructor(island = new Island(), owner = 1) {
    const { memory, areas } = island;
    this.island = island;
    this.areas = areas;
    this.owner = owner;
    this.pages = Pages.attach(memory, "pages", owner);
    this.waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      (thread) => island.wake(thread),
      owner,
    );
    registerMemoryDevices(this.devices, (target) => {
      for (let index = 0; index < target.length; index++) target[index] = index * 7 + 1;
    });
    const factories: MountFactories = {
      ext2: { open: (instance) => island.openDisk(instance), close: (closed) => this.closed(closed) },
      host: { open: (instance) => island.fileSystem(100 + instance), close: (closed) => this.closed(closed) },
      device: { open: () => new DeviceFileSystem(this.devices, bootTime_ns) },
      programs: { open: () => new ProgramFileSystem(island.programs, bootTime_ns) },
      process: { open: () => this.procFileSystem() },
    };
    this.mounts = new Mounts({ mounts: areas.mounts, system: areas.system }, factories, owner);
    this.files = new Files({
      areas,
      ram: new Ram(memory.buffer),
      mounts: this.mounts,
      devices: this.devices,
      pages: this.pages,
      waits: this.waits,
      owner,
    });
  }

  private closed(fileSystem: unknown): void {
    if (fileSystem instanceof MemoryFileSystem) fileSystem.closed = true;
  }

  private procFileSystem(): ProcFileSystem {
    const { island, areas, pages, mounts, owner } = this;
    const clock = {
      monotonic_ns: () => island.monotonic_ns,
      realtime_ns: () => bootTime_ns + island.monotonic_ns,
      coarse_ns: () => bootTime_ns + island.monotonic_ns,
      resolution_ns: 1,
    };
    const facts = { areas, memory: island.memory, pages, mounts, clock, version: "Archipelago test" };
    return new ProcFileSystem({ facts, snapshots: areas.snapshots, pages, owner });
  }

  /** Mounts a root and opens it. */
  mountRoot(): number {
    ok(this.mounts.mountExt2("/", 0, false));
    return ok(this.files.openRoot());
  }

  /** Creates (or replaces) a file with this content. */
  put(directory: number, path: string, content: string): void {
    const file = ok(this.files.openPath(directory, path, { ...creating, truncate: true }));
    const bytes = new TextEncoder().encode(content);
    assert.equal(this.files.write(file, bytes, 0, bytes.length), bytes.length);
    this.files.release(file);
  }

  /** Content of a file. */
  get(directory: number, path: string): string {
    const file = ok(this.files.openPath(directory, path, reading));
    const content = this.content(file);
    this.files.release(file);
    return content;
  }

  content(file: number): string {
    const buffer = new Uint8Array(65_536);
    return new TextDecoder().decode(
      buffer.subarray(0, ok(this.files.readAt(file, buffer, 0, buffer.length, 0))),
    );
  }

  /** Everything that must be as before when a test has cleaned up after itself. */
  inUse(): Record<string, number> {
    const { areas, island } = this;
    let mountUsers = 0;
    for (const { mount } of this.mounts.list()) mountUsers += areas.mounts.users(mount);
    return {
      openFiles: areas.openFiles.used(),
      pipes: areas.pipes.used(),
      waitQueues: areas.waitQueues.used(),
      snapshots: areas.snapshots.used(),
      pages: this.pages.used(),
      handles: island.fileSystems.reduce((sum, one) => sum + one.openHandles, 0),
      mountUsers,
      changesInFlight: Number(this.mounts.namespace.isChanging()),
    };
  }
}

/** Passes a result on that is no error. */
export function ok(result: number): number {
  assert.ok(result >= 0, `expected success, got ${errnoName(result)}`);
  return result;
}

/** Asserts that a result is a certain error, by name. */
export function fails(result: number | string | object, name: keyof typeof errno): void {
  assert.equal(typeof result === "number" ? errnoName(result) : result, `E${name}`);
}
