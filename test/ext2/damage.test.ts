/**
 * Damaged images: whatever the bytes say, mounting refuses with a reason or calls give results. No exception, no
 * endless loop, no access outside the device (the memory around it stays untouched).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { overlay, TypedMemory } from "../../src/memory/index.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { MountError } from "../../src/services/fs/ext2/errors.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { DirectoryEntry, Inode } from "../../src/services/fs/ext2/layout.ts";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { makeClock, makeFileSystem, mountImage, pattern, root, writeFile } from "./support.ts";

/** A small image with something of everything. */
function makeSample(): Uint8Array {
  const { fs, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024, inodes: 48 });
  const deep = fs.makeDirectory(fs.makeDirectory(root, "a", 0o755), "b", 0o755);
  writeFile(fs, deep, "small", "content");
  const large = fs.open(writeFile(fs, root, "large", pattern(60_000)), true);
  fs.write(large, pattern(3000), 0, 3000, 70_000_000);
  fs.close(large);
  for (let i = 0; i < 20; i++) fs.createFile(deep, `file-${i}-with-a-longer-name`.repeat(4), 0o644);
  fs.makeSymbolicLink(root, "short", "target");
  fs.makeSymbolicLink(root, "long", "x".repeat(300));
  fs.link(fs.lookup(deep, "small"), root, "hard");
  assert.equal(fs.unmount(), 0);
  return new Uint8Array(buffer).slice();
}

const sample = makeSample();
const margin_bytes = 8192;

/** Mounts the image in the middle of a larger memory and tries everything on it. */
function exercise(image: Uint8Array): void {
  const buffer = new SharedArrayBuffer(image.length + 2 * margin_bytes);
  const bytes = new Uint8Array(buffer).fill(0xa5);
  bytes.set(image, margin_bytes);
  const device = new Ramdisk({ buffer, base: margin_bytes, size_bytes: image.length });
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
  let fs: Ext2;
  try {
    fs = Ext2.mount({ memory, device, owner: 1, now_ns: makeClock() });
  } catch (error) {
    if (error instanceof MountError) return;
    throw error;
  }
  const target = new Uint8Array(5000);
  const stat = emptyStat();
  const found: [parent: number, name: string, inode: number][] = [];
  const visited = new Set<number>();
  const visit = (directory: number): void => {
    if (visited.has(directory) || visited.size > 100) return;
    visited.add(directory);
    let entries = 0;
    fs.readDirectory(directory, 0, (_next, inode, _type, name) => {
      found.push([directory, new TextDecoder().decode(name), inode]);
      return ++entries < 200;
    });
    for (const [parent, , inode] of [...found]) if (parent === directory) visit(inode);
  };
  visit(root);
  for (const [parent, name, inode] of found.slice(0, 100)) {
    fs.lookup(parent, name);
    fs.stat(inode, stat);
    fs.readSymbolicLink(inode);
    const handle = fs.open(inode, true);
    if (handle < 0) continue;
    for (const position of [0, 12_000, 59_000, 70_000_000])
      fs.read(handle, target, 0, target.length, position);
    fs.append(handle, target, 0, 3000);
    fs.write(handle, target, 0, 3000, 500_000);
    fs.truncate(handle, 15_000);
    fs.close(handle);
  }
  for (const [parent, name] of found.slice(0, 100)) {
    fs.createFile(parent, "new", 0o644);
    fs.makeDirectory(parent, "newer", 0o755);
    fs.rename(parent, name, root, "renamed");
    fs.unlink(parent, name);
    fs.removeDirectory(parent, name);
    fs.unlink(root, "renamed");
  }
  fs.unmount();
  for (const edge of [bytes.subarray(0, margin_bytes), bytes.subarray(margin_bytes + image.length)]) {
    assert.ok(
      edge.every((byte) => byte === 0xa5),
      "memory outside the device was changed",
    );
  }
}

test("an intact image passes the exercise", () => exercise(sample));

test("changed bytes anywhere in the structures", { timeout: 60_000 }, () => {
  // Superblock to the end of the first directories; the block of zeros before it does not matter.
  const change = fc.record({ at: fc.integer({ min: 1024, max: 40 * 1024 }), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
      const image = sample.slice();
      for (const { at, value } of changes) image[at] = value;
      exercise(image);
    }),
    { numRuns: Number(process.env.RUNS ?? 400), endOnFailure: true },
  );
});

test("words changed in inodes, directories and indirect blocks", { timeout: 60_000 }, () => {
  const words = new Uint32Array(sample.buffer.slice(0));
  const used = [...words.keys()].filter(
    (index) => index >= 1024 && words[index] !== 0 && words[index] < 1000,
  );
  const change = fc.record({
    at: fc.nat(used.length - 1),
    value: fc.oneof(fc.nat(500), fc.constantFrom(0, 0xffffffff, 0x80000000, 399, 400, 401, 3, 4, 5)),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const image = Uint32Array.from(words);
      for (const { at, value } of changes) image[used[at]] = value;
      exercise(new Uint8Array(image.buffer));
    }),
    { numRuns: Number(process.env.RUNS ?? 400), endOnFailure: true },
  );
});

test("damage is answered with EIO, told to the log and marked for e2fsck", () => {
  const { fs, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024 });
  const inode = writeFile(fs, root, "file", "content");
  fs.unmount();
  const image = new Uint8Array(buffer).slice();
  const at = findBytes(image, new TextEncoder().encode("file\0\0\0\0")) - 8;
  const entries = overlay(DirectoryEntry, image.buffer, { format: "ilp32", addressing: "address" });
  assert.equal(entries.inode(at), inode);
  entries.setRecordLength(at, 6);
  const damaged = mountImage(image);
  assert.equal(damaged.fs.lookup(root, "nothing"), -errno.IO);
  assert.equal(damaged.fs.createFile(root, "new", 0o644), -errno.IO);
  assert.match(damaged.log[0], /malformed entry/);
  damaged.fs.unmount();
  const again = mountImage(new Uint8Array(damaged.buffer).slice());
  assert.match(String(again.fs.readOnlyReason), /errors were found/);
});

test("an entry that names a deleted inode does not free it twice", () => {
  const { fs, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024, inodeSize_bytes: 128 });
  const inode = writeFile(fs, root, "file", "content");
  fs.unmount();
  const image = new Uint8Array(buffer).slice();
  // The inode table follows superblock, descriptors and two bitmaps.
  const inodes = overlay(Inode, image.buffer, { format: "ilp32", base: 5 * 1024, count: 100 });
  assert.equal(inodes.sizeLow(inode - 1), 7);
  inodes.setLinksCount(inode - 1, 0);
  const damaged = mountImage(image);
  const before = damaged.fs.statistics();
  assert.equal(damaged.fs.unlink(root, "file"), -errno.IO);
  assert.equal(damaged.fs.rename(root, "file", root, "other"), -errno.IO);
  assert.deepEqual(damaged.fs.statistics(), before);
});

test("a bitmap that calls the volume's own structures free does not get them overwritten", () => {
  const { fs, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024 });
  const handle = fs.open(writeFile(fs, root, "file", ""), true);
  fs.unmount();
  const image = new Uint8Array(buffer).slice();
  // The block bitmap follows the superblock and the descriptors.
  image.fill(0, 3 * 1024, 3 * 1024 + 2);
  const damaged = mountImage(image);
  const inode = damaged.fs.lookup(root, "file");
  assert.equal(damaged.fs.open(inode, true), handle);
  let result = 0;
  for (let i = 0; i < 100 && result >= 0; i++)
    result = damaged.fs.append(handle, pattern(100_000), 0, 100_000);
  assert.equal(result, -errno.IO);
  assert.match(damaged.log[0], /hold structures/);
  assert.equal(damaged.fs.lookup(root, "file"), inode);
});

function findBytes(image: Uint8Array, wanted: Uint8Array): number {
  return Buffer.from(image.buffer).indexOf(wanted);
}
