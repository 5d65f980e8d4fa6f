/** What calls on names and on whole volumes promise: links, directories while they change, mounting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { AreaError, lock, overlay, struct, TypedMemory, u32 } from "../../src/memory/index.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { GroupDescriptor } from "../../src/services/fs/ext2/layout.ts";
import {
  assertClean,
  listDirectory,
  makeClock,
  makeFileSystem,
  makeTemporaryDirectory,
  readAll,
  root,
  statOf,
  writeFile,
} from "./support.ts";

const directory = makeTemporaryDirectory();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test("names: bytes of UTF-8 count, and what cannot be a name is refused", () => {
  const { fs } = makeFileSystem(2 << 20);
  assert.ok(fs.createFile(root, "x".repeat(255), 0o644) > 0);
  assert.equal(fs.createFile(root, "x".repeat(256), 0o644), -errno.NAMETOOLONG);
  assert.ok(fs.createFile(root, "é".repeat(127), 0o644) > 0);
  assert.equal(fs.createFile(root, "é".repeat(128), 0o644), -errno.NAMETOOLONG);
  assert.equal(fs.createFile(root, "é".repeat(300), 0o644), -errno.NAMETOOLONG);
  for (const name of ["", "a/b", "a\0b", "é/b"]) assert.equal(fs.createFile(root, name, 0o644), -errno.INVAL);
  assert.equal(fs.createFile(root, "\ud800", 0o644), -errno.ILSEQ);
  for (const name of [".", ".."]) {
    assert.equal(fs.createFile(root, name, 0o644), -errno.EXIST);
    assert.equal(fs.unlink(root, name), -errno.ISDIR);
    assert.equal(fs.rename(root, name, root, "other"), -errno.INVAL);
  }
  assert.equal(fs.removeDirectory(root, "."), -errno.INVAL);
  assert.equal(fs.removeDirectory(root, ".."), -errno.NOTEMPTY);
  assert.equal(fs.lookup(root, "nothing"), -errno.NOENT);
  assert.equal(fs.lookup(root, "a/b"), -errno.NOENT);
  for (const inode of [0, -1, 1.5, Number.NaN, 2 ** 40]) assert.equal(fs.lookup(inode, "a"), -errno.NOENT);
});

test("symbolic links: short targets in the inode, long ones in a block", () => {
  const bench = makeFileSystem(2 << 20, { blockSize_bytes: 1024 });
  const { fs } = bench;
  for (const length of [1, 59, 60, 61, 1023]) {
    const free = fs.statistics().freeBlocks;
    const inode = fs.makeSymbolicLink(root, `link${length}`, "x".repeat(length));
    assert.equal(fs.readSymbolicLink(inode), "x".repeat(length));
    assert.equal(statOf(fs, inode).size_bytes, length);
    assert.equal(free - fs.statistics().freeBlocks, length > 59 ? 1 : 0);
  }
  assert.equal(fs.makeSymbolicLink(root, "long", "x".repeat(1024)), -errno.NAMETOOLONG);
  assert.equal(fs.makeSymbolicLink(root, "empty", ""), -errno.INVAL);
  assert.equal(fs.readSymbolicLink(root), -errno.INVAL);
  assert.equal(fs.readSymbolicLink(fs.makeSymbolicLink(root, "ünï", "→/✓")), "→/✓");
  const large = makeFileSystem(2 << 20);
  assert.ok(large.fs.makeSymbolicLink(root, "long", "x".repeat(4095)) > 0);
  assert.equal(large.fs.makeSymbolicLink(root, "longer", "x".repeat(4096)), -errno.NAMETOOLONG);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("a file has at most 32,000 links", () => {
  const bench = makeFileSystem(16 << 20, { inodes: 200 });
  const { fs } = bench;
  const inode = writeFile(fs, root, "file", "linked");
  let links = 1;
  for (let part = 0; links < 32000; part++) {
    const parent = fs.makeDirectory(root, `part${part}`, 0o755);
    for (let i = 0; i < 400 && links < 32000; i++) {
      assert.equal(fs.link(inode, parent, `l${i}`), 0);
      links++;
    }
  }
  assert.equal(fs.link(inode, root, "one more"), -errno.MLINK);
  assert.equal(statOf(fs, inode).linkCount, 32000);
  assert.equal(fs.unlink(root, "file"), 0);
  assert.equal(fs.link(inode, root, "one more"), 0);
  assert.equal(fs.rename(root, "one more", root, "renamed"), 0, "renaming works at the limit");
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("a directory that was removed while open is empty and takes no names", () => {
  const { fs } = makeFileSystem(2 << 20);
  const inode = fs.makeDirectory(root, "gone", 0o755);
  const handle = fs.open(inode, false);
  assert.equal(fs.removeDirectory(root, "gone"), 0);
  assert.equal(fs.createFile(inode, "file", 0o644), -errno.NOENT);
  assert.equal(fs.rename(root, "lost+found", inode, "x"), -errno.NOENT);
  assert.deepEqual(listDirectory(fs, inode), []);
  assert.equal(fs.read(handle, new Uint8Array(1), 0, 1, 0), -errno.ISDIR);
  fs.close(handle);
});

test("reading a directory survives changes in the visitor and between calls", () => {
  const bench = makeFileSystem(4 << 20, { blockSize_bytes: 1024 });
  const { fs } = bench;
  const parent = fs.makeDirectory(root, "many", 0o755);
  const names = Array.from({ length: 200 }, (_, i) => `entry-${i}`);
  for (const name of names) fs.createFile(parent, name, 0o644);
  // One entry per call, removing each one on the way: every name is seen exactly once.
  const seen: string[] = [];
  let cookie = 0;
  for (;;) {
    let visited = false;
    const status = fs.readDirectory(parent, cookie, (next, inode, _type, name) => {
      visited = true;
      cookie = next;
      const label = text(name);
      seen.push(label);
      if (inode !== parent && label.startsWith("entry")) assert.equal(fs.unlink(parent, label), 0);
      // A visitor may read directories itself.
      if (label === "entry-3") listDirectory(fs, root);
      return false;
    });
    assert.equal(status, 0);
    if (!visited) break;
  }
  assert.deepEqual(seen.sort(), [".", "..", ...names].sort());
  assert.equal(
    fs.readDirectory(parent, 1e9, () => true),
    0,
  );
  assert.equal(
    fs.readDirectory(parent, -1, () => true),
    -errno.INVAL,
  );
  assert.equal(
    fs.readDirectory(writeFile(fs, root, "file", ""), 0, () => true),
    -errno.NOTDIR,
  );
  assert.equal(fs.removeDirectory(root, "many"), 0);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("renaming directories keeps the tree a tree", () => {
  const bench = makeFileSystem(4 << 20);
  const { fs } = bench;
  const a = fs.makeDirectory(root, "a", 0o755);
  const b = fs.makeDirectory(a, "b", 0o755);
  const c = fs.makeDirectory(b, "c", 0o755);
  assert.equal(fs.rename(root, "a", c, "a"), -errno.INVAL);
  assert.equal(fs.rename(root, "a", a, "a"), -errno.INVAL);
  assert.equal(fs.rename(a, "b", c, "b"), -errno.INVAL);
  assert.equal(fs.rename(b, "c", root, "a"), -errno.NOTEMPTY);
  assert.equal(fs.rename(b, "c", root, "c"), 0);
  assert.equal(fs.lookup(c, ".."), root);
  assert.equal(fs.rename(root, "a", c, "a"), 0);
  assert.equal(fs.lookup(a, ".."), c);
  writeFile(fs, root, "file", "");
  assert.equal(fs.rename(root, "c", root, "file"), -errno.NOTDIR);
  assert.equal(fs.rename(root, "file", root, "c"), -errno.ISDIR);
  assert.equal(fs.link(fs.lookup(root, "file"), root, "file2"), 0);
  assert.equal(fs.rename(root, "file", root, "file2"), 0, "two names of one file: nothing happens");
  assert.ok(fs.lookup(root, "file") > 0);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("nothing changes a volume that is mounted read-only", () => {
  const bench = makeFileSystem(2 << 20);
  const inode = writeFile(bench.fs, root, "file", "content");
  assert.equal(bench.fs.unmount(), 0);
  const image = new Uint8Array(bench.buffer).slice();
  const fs = Ext2.mount({ ...bench.options, readOnly: true });
  assert.equal(fs.readOnly, true);
  assert.equal(text(readAll(fs, inode)), "content");
  listDirectory(fs, root);
  const refused = [
    fs.createFile(root, "x", 0),
    fs.makeDirectory(root, "x", 0),
    fs.makeSymbolicLink(root, "x", "y"),
    fs.link(inode, root, "x"),
    fs.unlink(root, "file"),
    fs.removeDirectory(root, "lost+found"),
    fs.rename(root, "file", root, "x"),
    fs.setMode(inode, 0),
    fs.setTimes(inode, 0, 0),
    fs.open(inode, true),
  ];
  assert.deepEqual(
    refused,
    refused.map(() => -errno.ROFS),
  );
  assert.equal(fs.syncAll(), 0);
  assert.equal(fs.unmount(), 0);
  assert.deepEqual(new Uint8Array(bench.buffer), image);
});

test("the locks of a dead kernel are freed, and counts it left half-way put right", () => {
  const bench = makeFileSystem(4 << 20);
  const { fs, memory } = bench;
  const inode = writeFile(fs, root, "file", "content");
  const before = fs.statistics();
  // The dead kernel as this test plays it: it held three locks and had not counted what it allocated.
  const Locks = struct("Ext2InodeCore", { mutex: lock(), references: u32 });
  const inodes = memory.attachArea("ext2.root.inodes", Locks);
  const groups = memory.attachArea("ext2.root.groups", struct("Ext2GroupCore", { mutex: lock() }));
  inodes.acquireMutex(inode, 9);
  inodes.acquireMutex(root, 9);
  groups.acquireMutex(0, 9);
  const descriptors = overlay(GroupDescriptor, bench.buffer, { format: "ilp32", base: 4096, count: 1 });
  descriptors.setFreeBlocksCount(0, before.freeBlocks - 3);
  assert.equal(fs.recover(8), 0);
  assert.equal(fs.recover(9), 3);
  assert.deepEqual(fs.statistics(), before);
  assert.equal(text(readAll(fs, inode)), "content");
  assert.equal(fs.unlink(root, "file"), 0);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("the typed memory needed is known before", () => {
  const device = new Ramdisk({ buffer: new SharedArrayBuffer(16 << 20) });
  const needed = Ext2.sharedState_bytes(device, {});
  const options = { device, owner: 1, now_ns: makeClock() };
  // The directory of areas needs some room of its own.
  const memory = TypedMemory.format(new SharedArrayBuffer(needed + 32768));
  const fs = Ext2.create({ ...options, memory });
  assert.equal(Ext2.sharedState_bytes(device), needed);
  assert.equal(fs.unmount(), 0);
  const less = TypedMemory.format(new SharedArrayBuffer(needed - 4096));
  assert.throws(() => Ext2.mount({ ...options, memory: less }));
  assert.deepEqual(less.areas(), [], "a mount that failed leaves nothing behind");
});

test("a mounted volume is not formatted or mounted again", () => {
  const bench = makeFileSystem(2 << 20);
  const inode = writeFile(bench.fs, root, "file", "content");
  assert.throws(() => Ext2.create(bench.options), AreaError);
  assert.throws(() => Ext2.mount(bench.options), AreaError);
  assert.equal(text(readAll(bench.fs, inode)), "content");
  // Under another name in the same memory, another volume is no matter.
  const device = new Ramdisk({ buffer: new SharedArrayBuffer(1 << 20) });
  const other = Ext2.create({ ...bench.options, name: "other", device });
  assert.equal(other.lookup(root, "file"), -errno.NOENT);
  assert.equal(other.unmount(), 0);
  assert.equal(bench.fs.unmount(), 0);
});

test("inode numbers are not reused at once", () => {
  const { fs } = makeFileSystem(2 << 20);
  const first = writeFile(fs, root, "a", "");
  fs.unlink(root, "a");
  assert.notEqual(writeFile(fs, root, "a", ""), first);
  // But none is lost: all of them can be had.
  const { freeInodes } = fs.statistics();
  for (let i = 0; i < freeInodes; i++) assert.ok(fs.createFile(root, `f${i}`, 0o644) > 0);
  assert.equal(fs.createFile(root, "one more", 0o644), -errno.NOSPC);
});
