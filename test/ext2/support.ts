/** What the ext2 tests share: file systems on ramdisks, e2fsprogs, a disk in memory and one in a file. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errno } from "../../src/kernel/errno.ts";
import type { Disk } from "../../src/machine/devices.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { ImageDevice, type ImageDeviceOptions } from "../../src/services/block/image-device.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2, type Ext2Options } from "../../src/services/fs/ext2/ext2.ts";
import type { MakeOptions } from "../../src/services/fs/ext2/make.ts";
import { emptyStat, type Stat } from "../../src/services/fs/filesystem.ts";

export const root = 2;

/** A clock that moves on by a millisecond per look: times differ, and runs repeat. */
export function makeClock(): () => number {
  let now_ns = 1_700_000_000_000_000_000;
  return () => {
    now_ns += 1_000_000;
    return now_ns;
  };
}

export interface Bench {
  readonly memory: TypedMemory;
  readonly buffer: SharedArrayBuffer;
  readonly options: Ext2Options;
  readonly fs: Ext2;
  readonly log: string[];
}

/** A ramdisk in a buffer of its own, formatted and mounted. */
export function makeFileSystem(size_bytes: number, options: MakeOptions = {}): Bench {
  const buffer = new SharedArrayBuffer(size_bytes);
  const log: string[] = [];
  const ext2Options = optionsFor(buffer, log);
  const fs = Ext2.create({ ...ext2Options, ...options });
  return {
    memory: ext2Options.memory,
    buffer,
    options: ext2Options,
    fs,
    log,
  };
}

export function optionsFor(buffer: SharedArrayBuffer, log: string[] = []): Ext2Options {
  const memory = TypedMemory.format(new SharedArrayBuffer(4 << 20));
  return {
    memory,
    device: new Ramdisk({ buffer }),
    owner: 1,
    now_ns: makeClock(),
    log: (line) => log.push(line),
  };
}

/**
 * As `makeFileSystem`, with an image on a disk behind the memory. `optionsOf` gives a kernel's options; with
 * `reload` the memory is first forgotten, as when an island starts again.
 */
export interface DiskBench extends Bench {
  readonly disk: MemoryDisk;
  readonly optionsOf: (owner: number, reload: boolean) => Ext2Options;
}

export function makeDiskFileSystem(size_bytes: number, options: MakeOptions = {}): DiskBench {
  const buffer = new SharedArrayBuffer(size_bytes);
  const disk = new MemoryDisk(new Uint8Array(size_bytes));
  const log: string[] = [];
  const memory = TypedMemory.format(new SharedArrayBuffer(4 << 20));
  const now_ns = makeClock();
  const device = (owner: number): ImageDeviceOptions => ({
    memory,
    name: "root",
    buffer,
    base: 0,
    disk,
    owner,
  });
  const optionsOf = (owner: number, reload: boolean): Ext2Options => {
    if (reload) {
      ImageDevice.remove(memory, "root");
      new Uint8Array(buffer).fill(0xee);
      ImageDevice.create(device(owner));
    }
    return {
      memory,
      device: ImageDevice.attach(device(owner)),
      owner,
      now_ns,
      log: (line) => log.push(line),
    };
  };
  ImageDevice.create(device(1));
  const own = optionsOf(1, false);
  const fs = Ext2.create({ ...own, ...options });
  return { memory, buffer, options: own, fs, log, disk, optionsOf };
}

/** Mounts an image's bytes. */
export function mountImage(image: Uint8Array): { fs: Ext2; buffer: SharedArrayBuffer; log: string[] } {
  const buffer = new SharedArrayBuffer(image.length);
  new Uint8Array(buffer).set(image);
  const log: string[] = [];
  return { fs: Ext2.mount(optionsFor(buffer, log)), buffer, log };
}

const searchPath = `${process.env.PATH}:/usr/sbin:/sbin`;

export function run(program: string, args: string[], input = ""): { status: number | null; output: string } {
  const result = spawnSync(program, args, {
    input,
    encoding: "utf8",
    env: { ...process.env, PATH: searchPath },
  });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** A reason to skip tests that need e2fsprogs, or false. */
export const noE2fsprogs: string | false =
  spawnSync("e2fsck", ["-V"], { env: { ...process.env, PATH: searchPath } }).error === undefined
    ? false
    : "needs e2fsck, debugfs and mke2fs: install the package e2fsprogs";

/** A directory for images that is removed when the process ends. */
export function makeTemporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ext2-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Fails unless e2fsck finds the image clean; does nothing without e2fsck. */
export function assertClean(buffer: ArrayBufferLike, directory: string, what = ""): void {
  if (noE2fsprogs) return;
  const image = join(directory, "checked.img");
  writeFileSync(image, new Uint8Array(buffer));
  const { status, output } = run("e2fsck", ["-fn", image]);
  assert.equal(status, 0, `e2fsck ${what}: ${output}`);
}

/** An image made by e2fsprogs' own mke2fs, with content put in by debugfs. */
export function makeForeignImage(directory: string, size: string, args: string[], commands = ""): Uint8Array {
  const image = join(directory, "foreign.img");
  rmSync(image, { force: true });
  const made = run("mke2fs", ["-q", "-F", ...args, image, size]);
  assert.equal(made.status, 0, made.output);
  if (commands !== "") {
    const filled = run("debugfs", ["-w", "-f", "-", image], commands);
    assert.equal(filled.status, 0, filled.output);
  }
  return readFileSync(image);
}

export function statOf(fs: Ext2, inode: number): Stat {
  const stat = emptyStat();
  assert.equal(fs.stat(inode, stat), 0);
  return stat;
}

export interface Entry {
  readonly name: string;
  readonly inode: number;
  readonly type: number;
}

export function listDirectory(fs: Ext2, inode: number): Entry[] {
  const entries: Entry[] = [];
  const status = fs.readDirectory(inode, 0, (_next, entryInode, type, name) => {
    entries.push({ name: new TextDecoder().decode(name), inode: entryInode, type });
    return true;
  });
  assert.equal(status, 0);
  return entries;
}

/** Follows a path from the root. */
export function walk(fs: Ext2, path: string): number {
  let inode: number = root;
  for (const name of path.split("/")) if (name !== "" && inode >= 0) inode = fs.lookup(inode, name);
  return inode;
}

export function readAll(fs: Ext2, inode: number): Uint8Array {
  const handle = fs.open(inode, false);
  assert.ok(handle >= 0, `open: ${handle}`);
  const bytes = new Uint8Array(fs.size(handle));
  assert.equal(fs.read(handle, bytes, 0, bytes.length, 0), bytes.length);
  fs.close(handle);
  return bytes;
}

export function writeFile(fs: Ext2, directory: number, name: string, content: Uint8Array | string): number {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const inode = fs.createFile(directory, name, 0o644);
  assert.ok(inode > 0, `create ${name}: ${inode}`);
  const handle = fs.open(inode, true);
  assert.equal(fs.write(handle, bytes, 0, bytes.length, 0), bytes.length);
  fs.close(handle);
  return inode;
}

/** Bytes that are nowhere alike: position and seed in every one. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A disk in ordinary memory, which counts requests and fails on demand. */
export class MemoryDisk implements Disk {
  readonly content: Uint8Array;
  readonly readOnly: boolean;
  reads = 0;
  writes = 0;
  flushes = 0;
  failReads = false;
  failWrites = false;

  constructor(content: Uint8Array, readOnly = false) {
    this.content = content;
    this.readOnly = readOnly;
  }

  get size_bytes(): number {
    return this.content.length;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    this.reads++;
    if (this.failReads) return -errno.IO;
    // Less than asked for, as a disk may.
    const count = Math.min(length, 50_000, this.content.length - position);
    target.set(this.content.subarray(position, position + count), offset);
    return count;
  }

  write(source: Uint8Array, offset: number, length: number, position: number): number {
    this.writes++;
    if (this.failWrites) return -errno.IO;
    const count = Math.min(length, 70_000);
    this.content.set(source.subarray(offset, offset + count), position);
    return count;
  }

  flush(): number {
    this.flushes++;
    return 0;
  }
}

/** A disk in a file of the host. */
export class FileDisk implements Disk {
  readonly size_bytes: number;
  readonly readOnly = false;
  readonly #descriptor: number;

  constructor(path: string) {
    this.#descriptor = openSync(path, "r+");
    this.size_bytes = statSync(path).size;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    return readSync(this.#descriptor, target, offset, length, position);
  }

  write(source: Uint8Array, offset: number, length: number, position: number): number {
    return writeSync(this.#descriptor, source, offset, length, position);
  }

  flush(): number {
    fsyncSync(this.#descriptor);
    return 0;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
