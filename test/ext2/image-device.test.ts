/** The block device over an image: filled on first touch, written back, shared, and what disk errors do. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { ImageDevice } from "../../src/services/block/image-device.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { MountError } from "../../src/services/fs/ext2/errors.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import {
  assertClean,
  FileDisk,
  MemoryDisk,
  makeClock,
  makeDiskFileSystem,
  makeFileSystem,
  makeTemporaryDirectory,
  pattern,
  readAll,
  root,
  writeFile,
} from "./support.ts";

const directory = makeTemporaryDirectory();

function makeDevice(
  disk: MemoryDisk,
  base = 0,
): { device: ImageDevice; other: ImageDevice; bytes: Uint8Array } {
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
  const buffer = new SharedArrayBuffer(base + disk.size_bytes);
  const options = { memory, name: "test", buffer, base, disk };
  const device = ImageDevice.create({ ...options, owner: 1 });
  const other = ImageDevice.attach({ ...options, owner: 2 });
  return { device, other, bytes: new Uint8Array(buffer, base) };
}

test("any sequence of loads, overwrites and flushes by two kernels equals plain memory", () => {
  const size = 700_001;
  const step = fc.record({
    kind: fc.constantFrom("read", "change", "overwrite", "flush"),
    kernel: fc.nat(1),
    start: fc.nat(size - 1),
    length: fc.oneof(fc.nat(10), fc.nat(9000), fc.nat(300_000)),
    value: fc.nat(255),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const disk = new MemoryDisk(pattern(size));
      const expected = pattern(size);
      const { device, other, bytes } = makeDevice(disk, 4096);
      for (const { kind, kernel, start, value, ...rest } of steps) {
        const by = kernel === 0 ? device : other;
        const end = Math.min(start + rest.length, size);
        const length = end - start;
        if (kind === "flush") {
          assert.equal(by.flush(), 0);
          assert.equal(Buffer.compare(disk.content, expected), 0);
          continue;
        }
        assert.equal(kind === "overwrite" ? by.claim(start, length) : by.load(start, length), 0);
        if (kind === "read") {
          assert.equal(Buffer.compare(bytes.subarray(start, end), expected.subarray(start, end)), 0);
          continue;
        }
        bytes.fill(value, start, end);
        expected.fill(value, start, end);
        by.changed(start, length);
      }
      assert.equal(device.flush(), 0);
      assert.equal(device.changedPages(), 0);
      assert.equal(Buffer.compare(disk.content, expected), 0);
      device.load(0, size);
      assert.equal(Buffer.compare(bytes.subarray(0, size), expected), 0);
    }),
    { numRuns: 60 },
  );
});

test("pages are read once, in clusters, and only what is touched", () => {
  const disk = new MemoryDisk(pattern(1 << 20));
  const { device, other } = makeDevice(disk);
  device.load(5, 1);
  const first = disk.reads;
  assert.ok(first >= 1 && first <= 3, "one cluster of 128 KiB");
  other.load(0, 128 << 10);
  assert.equal(disk.reads, first);
  device.load((512 << 10) - 1, 1);
  assert.ok(disk.reads > first);
  const before = disk.reads;
  device.claim(768 << 10, 8192);
  assert.equal(disk.reads, before, "what is overwritten completely is not read");
});

test("a disk that fails gives errors, and what was not written is not forgotten", () => {
  const disk = new MemoryDisk(pattern(1 << 20));
  const { device, bytes } = makeDevice(disk);
  disk.failReads = true;
  assert.equal(device.load(0, 10), -errno.IO);
  disk.failReads = false;
  assert.equal(device.load(0, 10), 0);
  bytes.fill(1, 0, 10_000);
  device.changed(0, 10_000);
  disk.failWrites = true;
  assert.equal(device.flush(), -errno.IO);
  assert.equal(device.changedPages(), 3);
  disk.failWrites = false;
  assert.equal(device.flush(), 0);
  assert.ok(disk.content.subarray(0, 10_000).every((byte) => byte === 1));
});

test("a device must lie inside its memory", () => {
  const buffer = new SharedArrayBuffer(1000);
  assert.throws(() => new Ramdisk({ buffer, base: 500, size_bytes: 501 }), RangeError);
  assert.throws(() => new Ramdisk({ buffer, base: -1 }), RangeError);
  assert.throws(() => new Ramdisk({ buffer, base: 1000 }), RangeError);
});

test("a file system on a failing disk reports EIO, keeps its locks free and recovers", () => {
  const bench = makeDiskFileSystem(8 << 20);
  const content = pattern(3 << 20);
  const inode = writeFile(bench.fs, root, "file", content);
  const parent = bench.fs.makeDirectory(root, "directory", 0o755);
  assert.equal(bench.fs.unmount(), 0);
  bench.disk.failReads = true;
  assert.throws(() => Ext2.mount(bench.optionsOf(1, true)), MountError);
  bench.disk.failReads = false;
  const fs = Ext2.mount(bench.optionsOf(1, true));
  bench.disk.failReads = true;
  const handle = fs.open(inode, true);
  const target = new Uint8Array(content.length);
  assert.equal(fs.read(handle, target, 0, target.length, 0), -errno.IO);
  assert.equal(fs.createFile(parent, "x", 0o644), -errno.IO);
  assert.equal(fs.lookup(parent, "x"), -errno.IO);
  bench.disk.failReads = false;
  assert.equal(fs.read(handle, target, 0, target.length, 0), target.length);
  assert.equal(Buffer.compare(target, content), 0);
  bench.disk.failWrites = true;
  fs.write(handle, pattern(10), 0, 10, 0);
  assert.equal(fs.sync(handle), -errno.IO);
  bench.disk.failWrites = false;
  assert.equal(fs.sync(handle), 0);
  assert.equal(fs.unmount(), 0);
});

test("an image file keeps what was written, and sync is enough", () => {
  const path = join(directory, "disk.img");
  writeFileSync(path, new Uint8Array(16 << 20));
  const start = (format: boolean): { fs: Ext2; disk: FileDisk } => {
    const memory = TypedMemory.format(new SharedArrayBuffer(4 << 20));
    const disk = new FileDisk(path);
    const buffer = new SharedArrayBuffer(disk.size_bytes);
    const device = ImageDevice.create({ memory, name: "disk.img", buffer, base: 0, disk, owner: 1 });
    const options = { memory, device, owner: 1, now_ns: makeClock() };
    return { fs: format ? Ext2.create(options) : Ext2.mount(options), disk };
  };
  const first = start(true);
  const content = pattern(5 << 20);
  writeFile(first.fs, root, "file", content);
  assert.equal(first.fs.unmount(), 0);
  first.disk.close();
  const second = start(false);
  assert.equal(Buffer.compare(readAll(second.fs, second.fs.lookup(root, "file")), content), 0);
  const inode = writeFile(second.fs, root, "synced", "kept");
  const handle = second.fs.open(inode, true);
  assert.equal(second.fs.sync(handle), 0);
  writeFile(second.fs, root, "not synced", "lost");
  second.disk.close();
  // The island is gone without an unmount.
  const third = start(false);
  assert.equal(new TextDecoder().decode(readAll(third.fs, third.fs.lookup(root, "synced"))), "kept");
  assert.equal(third.fs.lookup(root, "not synced"), -errno.NOENT);
  assert.equal(third.fs.unmount(), 0);
  third.disk.close();
});

test("a mounted image is written to only by sync and unmount", () => {
  const bench = makeDiskFileSystem(8 << 20);
  assert.equal(bench.fs.unmount(), 0);
  assertClean(bench.disk.content.buffer, directory);
  const fs = Ext2.mount(bench.optionsOf(1, true));
  const writes = bench.disk.writes;
  writeFile(fs, root, "file", pattern(100_000));
  assert.equal(bench.disk.writes, writes);
  assert.equal(fs.syncAll(), 0);
  assert.ok(bench.disk.writes > writes && bench.disk.flushes > 0);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.disk.content.buffer, directory);
});

test("a read-only disk is mounted read-only", () => {
  const bench = makeFileSystem(2 << 20);
  writeFile(bench.fs, root, "file", "content");
  bench.fs.unmount();
  const disk = new MemoryDisk(new Uint8Array(bench.buffer).slice(), true);
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
  const buffer = new SharedArrayBuffer(disk.size_bytes);
  const device = ImageDevice.create({ memory, name: "ro", buffer, base: 0, disk, owner: 1 });
  const fs = Ext2.mount({ memory, device, owner: 1, now_ns: makeClock() });
  assert.equal(fs.readOnlyReason, "the device is read-only");
  assert.equal(new TextDecoder().decode(readAll(fs, fs.lookup(root, "file"))), "content");
  assert.equal(fs.createFile(root, "x", 0), -errno.ROFS);
  assert.equal(fs.unmount(), 0);
  assert.equal(disk.writes, 0);
  assert.throws(() => Ext2.create({ memory, device, owner: 1, now_ns: makeClock() }), MountError);
});
