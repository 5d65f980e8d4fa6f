/**
 * Kernels that die inside a call. Memory is looked at before each access of the call to device or shared state, so a copy
 * of both at each of these moments is what a kernel dying there would leave. When the whole island dies with it, e2fsck may
 * find leaks and counts that are too high, and nothing else; a survivor frees its locks, completes what was
 * begun, and goes on.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type MemoryGuard, TypedMemory } from "../../src/memory/index.ts";
import type { BlockDevice } from "../../src/services/block/block-device.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { fileType } from "../../src/services/fs/filesystem.ts";
import {
  listDirectory,
  makeClock,
  makeFileSystem,
  makeTemporaryDirectory,
  noE2fsprogs,
  pattern,
  readAll,
  root,
  run,
  writeFile,
} from "./support.ts";

const directory = makeTemporaryDirectory();
const image = join(directory, "crashed.img");

/** A moment: the device, and the typed memory beside it. */
interface Moment {
  readonly device: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
}

function copyOf(buffer: SharedArrayBuffer): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(buffer.byteLength);
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

function isSame(one: SharedArrayBuffer, other: SharedArrayBuffer): boolean {
  return Buffer.compare(new Uint8Array(one), new Uint8Array(other)) === 0;
}

/** A ramdisk that keeps copies of itself and of the memory beside it after each change. */
class WatchedDevice implements BlockDevice {
  readonly base = 0;
  readonly readOnly = false;
  readonly resident = false;
  readonly buffer: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  readonly moments: Moment[] = [];
  readonly guard: MemoryGuard = { access: () => this.look() };
  watching = false;

  constructor(buffer: SharedArrayBuffer, memory: SharedArrayBuffer) {
    this.buffer = buffer;
    this.memory = memory;
  }

  get size_bytes(): number {
    return this.buffer.byteLength;
  }

  load(): number {
    return 0;
  }

  claim(): number {
    return 0;
  }

  changed(): void {}

  /** Notes what there is now, unless it is what there was before. */
  look(): void {
    if (!this.watching) return;
    const last = this.moments.at(-1);
    if (last !== undefined && isSame(last.device, this.buffer) && isSame(last.memory, this.memory)) return;
    this.moments.push({ device: copyOf(this.buffer), memory: copyOf(this.memory) });
  }

  flush(): number {
    return 0;
  }
}

/** What e2fsck says about leaks, counts that are too high and changes that were not finished, in its own words. */
const harmless: readonly RegExp[] = [
  /^Pass \d/,
  /^e2fsck /,
  /was not cleanly unmounted|^.*: recovering|check forced/,
  /^$/,
  /WARNING: Filesystem still has errors/,
  /^'\.\.' in \.\.\. \(\d+\) is .*, should be/,
  /files \(.*non-contiguous\)/,
  // Leaks: allocated, but nothing leads there. A file without a name goes to lost+found.
  /^(Block|Inode) bitmap differences:/,
  /^Fix\? no/,
  /^Free (blocks|inodes) count wrong/,
  /^Directories count wrong/,
  /^Unattached (zero-length )?inode/,
  /^Unconnected directory inode/,
  /^Connect to \/lost\+found\? no/,
  /^Clear\? no/,
  /ref count is \d+, should be \d+/,
  // Deleting had begun.
  /^Deleted inode \d+ has zero dtime/,
  /^Inode \d+ (was part of the orphaned inode list|has zero dtime)/,
  // Blocks were pointed to before (or after) they were counted.
  /^Inode \d+, i_blocks is \d+, should be/,
  /^Inode \d+, i_size is \d+, should be/,
];

/** What e2fsck finds that is no leak. */
function complaintsAbout(buffer: SharedArrayBuffer): string[] {
  writeFileSync(image, new Uint8Array(buffer));
  const { output } = run("e2fsck", ["-fn", image]);
  const lines = output.split("\n").filter((line) => !harmless.some((pattern) => pattern.test(line)));
  // A count that is too low would free a file that still has a name.
  for (const [line, is, should] of output.matchAll(/ref count is (\d+), should be (\d+)/g)) {
    if (Number(is) < Number(should)) lines.push(line);
  }
  return lines;
}

type Call = (fs: Ext2) => unknown;

const large = pattern(40_000);

/** Calls to die in, and what must be there before. */
const cases: Record<string, [before: Call, call: Call]> = {
  "create a file": [() => 0, (fs) => fs.createFile(root, "new", 0o644)],
  "create a file where the directory must grow": [
    (fs) => Array.from({ length: 4 }, (_, i) => fs.createFile(root, `${i}`.repeat(230), 0o644)),
    (fs) => fs.createFile(root, "new".repeat(80), 0o644),
  ],
  "make a directory": [() => 0, (fs) => fs.makeDirectory(root, "new", 0o755)],
  "make a long symbolic link": [() => 0, (fs) => fs.makeSymbolicLink(root, "new", "x".repeat(500))],
  link: [(fs) => writeFile(fs, root, "file", "x"), (fs) => fs.link(fs.lookup(root, "file"), root, "other")],
  unlink: [(fs) => writeFile(fs, root, "file", large), (fs) => fs.unlink(root, "file")],
  "unlink one of two names": [
    (fs) => fs.link(writeFile(fs, root, "file", large), root, "other"),
    (fs) => fs.unlink(root, "file"),
  ],
  "remove a directory": [
    (fs) => fs.makeDirectory(root, "old", 0o755),
    (fs) => fs.removeDirectory(root, "old"),
  ],
  "write through indirect blocks": [
    (fs) => writeFile(fs, root, "file", "x"),
    (fs) => {
      const handle = fs.open(fs.lookup(root, "file"), true);
      fs.write(handle, large, 0, large.length, 1000);
      fs.write(handle, large, 0, 3000, 400_000);
    },
  ],
  truncate: [
    (fs) => writeFile(fs, root, "file", large),
    (fs) => fs.truncate(fs.open(fs.lookup(root, "file"), true), 15_500),
  ],
  "rename in one directory": [
    (fs) => writeFile(fs, root, "file", large),
    (fs) => fs.rename(root, "file", root, "renamed"),
  ],
  "rename over a file": [
    (fs) => [writeFile(fs, root, "file", large), writeFile(fs, root, "old", large)],
    (fs) => fs.rename(root, "file", root, "old"),
  ],
  "move a directory": [
    (fs) => [
      fs.makeDirectory(fs.makeDirectory(root, "a", 0o755), "moved", 0o755),
      fs.makeDirectory(root, "b", 0o755),
    ],
    (fs) => fs.rename(fs.lookup(root, "a"), "moved", fs.lookup(root, "b"), "moved"),
  ],
  "move a directory over another": [
    (fs) =>
      fs.makeDirectory(fs.makeDirectory(fs.makeDirectory(root, "a", 0o755), "moved", 0o755), "in", 0o755) &&
      fs.makeDirectory(root, "b", 0o755),
    (fs) => fs.rename(fs.lookup(root, "a"), "moved", root, "b"),
  ],
};

for (const [name, [before, call]] of Object.entries(cases)) {
  test(`a kernel dies while it is to ${name}`, (context) => {
    const bench = makeFileSystem(300 * 1024, { blockSize_bytes: 1024, inodes: 32 });
    writeFile(bench.fs, root, "witness", large);
    before(bench.fs);
    const whole = bench.fs.statistics();
    assert.equal(bench.fs.unmount(), 0);
    const shared = new SharedArrayBuffer(64 << 10);
    const device = new WatchedDevice(bench.buffer, shared);
    const memory = TypedMemory.format(shared, { guard: device.guard });
    const fs = Ext2.mount({ memory, device, owner: 1, now_ns: makeClock() });
    device.watching = true;
    device.look();
    call(fs);
    device.look();
    device.watching = false;
    context.diagnostic(`${device.moments.length} moments`);
    assert.ok(device.moments.length > 3);
    let last: SharedArrayBuffer | undefined;
    for (const [index, moment] of device.moments.entries()) {
      const isNew = last === undefined || !isSame(moment.device, last);
      last = copyOf(moment.device);
      // The whole island: only a directory on the move is more than a leak then.
      if (isNew && !noE2fsprogs && !name.startsWith("move"))
        assert.deepEqual(complaintsAbout(moment.device), []);
      survive(moment, index % 3 === 0);
    }
    const { freeBlocks, freeInodes } = whole;
    assert.ok(freeBlocks > 50 && freeInodes > 10, "there was room for all of it");
  });
}

/**
 * Another kernel takes over: it frees the locks, and works on with what the dead one left. `check`: and e2fsck has
 * nothing to say about the result.
 */
function survive({ device, memory: shared }: Moment, check: boolean): void {
  const log: string[] = [];
  const memory = TypedMemory.attach(shared);
  const fs = Ext2.attach({
    memory,
    device: new Ramdisk({ buffer: device }),
    owner: 2,
    now_ns: makeClock(),
    log: (line) => log.push(line),
  });
  fs.recover(1);
  assert.equal(fs.recover(1), 0);
  const names = listAll(fs, root);
  assert.equal(new Set(names.directories).size, names.directories.length, "a directory has two names");
  for (const inode of names.files) readAll(fs, inode);
  writeFile(fs, root, "afterwards", large);
  fs.makeDirectory(root, "later", 0o755);
  for (let i = 0; i < 5; i++) fs.createFile(root, `more${i}`.repeat(40), 0o644);
  assert.equal(Buffer.compare(readAll(fs, fs.lookup(root, "witness")), large), 0);
  removeAll(fs, root);
  assert.equal(fs.unmount(), 0);
  assert.deepEqual(log, []);
  if (check && !noE2fsprogs) assert.deepEqual(complaintsAbout(device), []);
}

/** Every inode below a directory, as often as it is named. */
function listAll(fs: Ext2, parent: number): { files: number[]; directories: number[] } {
  const files: number[] = [];
  const directories: number[] = [];
  for (const { name, inode, type } of listDirectory(fs, parent)) {
    if (name === "." || name === "..") continue;
    if (type === fileType.regularFile) files.push(inode);
    if (type !== fileType.directory) continue;
    directories.push(inode);
    const below = listAll(fs, inode);
    files.push(...below.files);
    directories.push(...below.directories);
  }
  return { files, directories };
}

function removeAll(fs: Ext2, parent: number): void {
  for (const { name, inode, type } of listDirectory(fs, parent)) {
    if (name === "." || name === ".." || name === "lost+found") continue;
    if (type === fileType.directory) removeAll(fs, inode);
    const result = type === fileType.directory ? fs.removeDirectory(parent, name) : fs.unlink(parent, name);
    assert.equal(result, 0, name);
  }
}
