/** What calls on open files promise: content, holes, sizes, times, handles. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import {
  assertClean,
  makeFileSystem,
  makeTemporaryDirectory,
  noE2fsprogs,
  pattern,
  readAll,
  root,
  run,
  statOf,
  writeFile,
} from "./support.ts";

const directory = makeTemporaryDirectory();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test("times keep nanoseconds and go beyond 2038 in inodes of 256 bytes", () => {
  const { fs } = makeFileSystem(2 << 20);
  const inode = writeFile(fs, root, "file", "x");
  // Times as doubles hold them: steps of 256 ns today, 1024 ns in the far future.
  for (const time_ns of [
    0,
    1,
    999_999_999,
    1_000_000_000,
    1_712_345_678e9 + 123_456_768,
    2 ** 31 * 1e9,
    1.0e19,
    1.4e19,
  ]) {
    assert.equal(fs.setTimes(inode, time_ns, -1), 0);
    assert.equal(fs.setTimes(inode, -1, time_ns), 0);
    assert.equal(statOf(fs, inode).accessTime_ns, time_ns);
    assert.equal(statOf(fs, inode).modificationTime_ns, time_ns);
  }
  const old = makeFileSystem(2 << 20, { inodeSize_bytes: 128 });
  const small = writeFile(old.fs, root, "file", "x");
  old.fs.setTimes(small, 1_712_345_678_900_000_000, -1);
  assert.equal(statOf(old.fs, small).accessTime_ns, 1_712_345_678e9);
});

test("reading sets the access time once after a change, and no more", () => {
  const { fs } = makeFileSystem(2 << 20);
  const inode = writeFile(fs, root, "file", "x");
  readAll(fs, inode);
  const first = statOf(fs, inode);
  assert.ok(first.accessTime_ns > first.modificationTime_ns);
  readAll(fs, inode);
  assert.equal(statOf(fs, inode).accessTime_ns, first.accessTime_ns);
  const handle = fs.open(inode, true);
  fs.write(handle, pattern(3), 0, 3, 0);
  readAll(fs, inode);
  assert.ok(statOf(fs, inode).accessTime_ns > first.accessTime_ns);
});

test("an unlinked file lives until the last handle on any kernel is closed", () => {
  const bench = makeFileSystem(4 << 20);
  const { fs } = bench;
  const other = Ext2.attach({ ...bench.options, owner: 2 });
  const before = fs.statistics();
  const inode = writeFile(fs, root, "file", pattern(300_000));
  const handle = fs.open(inode, true);
  const otherHandle = other.open(inode, false);
  assert.equal(fs.unlink(root, "file"), 0);
  assert.equal(other.lookup(root, "file"), -errno.NOENT);
  assert.equal(statOf(other, inode).linkCount, 0);
  fs.close(handle);
  assert.equal(fs.link(inode, root, "again"), -errno.NOENT);
  const bytes = new Uint8Array(300_000);
  assert.equal(
    fs.read(otherHandle, bytes, 0, bytes.length, 0),
    bytes.length,
    "handles mean the same everywhere",
  );
  assert.deepEqual(bytes, pattern(300_000));
  other.close(otherHandle);
  assert.deepEqual(fs.statistics(), before);
  assert.equal(fs.open(inode, false), -errno.NOENT);
  assert.equal(fs.read(otherHandle, bytes, 0, 1, 0), -errno.BADF);
  fs.close(otherHandle);
  for (const nonsense of [-1, 0, 1, 1.5, Number.NaN, 1e12]) {
    fs.close(nonsense);
    assert.equal(fs.size(nonsense), -errno.BADF);
  }
});

test("unmount frees files that only handles kept", () => {
  const bench = makeFileSystem(4 << 20);
  const { fs } = bench;
  const before = fs.statistics();
  fs.open(writeFile(fs, root, "file", pattern(100_000)), true);
  fs.unlink(root, "file");
  fs.open(fs.makeDirectory(root, "directory", 0o755), false);
  fs.removeDirectory(root, "directory");
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
  assert.deepEqual(Ext2.mount(bench.options).statistics(), before);
});

test("handles opened for reading do not write, and ranges are checked", () => {
  const { fs } = makeFileSystem(2 << 20);
  const inode = writeFile(fs, root, "file", "content");
  const reading = fs.open(inode, false);
  const writing = fs.open(inode, true);
  const bytes = new Uint8Array(10);
  assert.equal(fs.write(reading, bytes, 0, 1, 0), -errno.BADF);
  assert.equal(fs.append(reading, bytes, 0, 1), -errno.BADF);
  assert.equal(fs.truncate(reading, 0), -errno.BADF);
  for (const [offset, length] of [
    [0, 11],
    [-1, 2],
    [10, 1],
    [0, -1],
    [Number.NaN, 1],
  ]) {
    assert.equal(fs.read(reading, bytes, offset, length, 0), -errno.FAULT);
    assert.equal(fs.write(writing, bytes, offset, length, 0), -errno.FAULT);
    assert.equal(fs.append(writing, bytes, offset, length), -errno.FAULT);
  }
  for (const position of [-1, 0.5, Number.NaN, 2 ** 60]) {
    assert.equal(fs.read(reading, bytes, 0, 1, position), -errno.INVAL);
    assert.equal(fs.write(writing, bytes, 0, 1, position), -errno.INVAL);
  }
  assert.equal(fs.read(reading, bytes, 0, 10, 2 ** 50), 0);
  assert.equal(fs.write(writing, bytes, 0, 1, 2 ** 50), -errno.FBIG);
  assert.equal(fs.truncate(writing, 2 ** 50), -errno.FBIG);
  assert.equal(fs.truncate(writing, -1), -errno.INVAL);
  assert.equal(fs.write(writing, bytes, 0, 0, 2 ** 40), 0, "writing nothing changes nothing");
  assert.equal(text(readAll(fs, inode)), "content");
});

test("extending makes a file longer and never shorter", () => {
  const { fs } = makeFileSystem(3 << 20, { blockSize_bytes: 1024 });
  const inode = fs.createFile(root, "file", 0o644);
  const writing = fs.open(inode, true);
  fs.write(writing, new TextEncoder().encode("content"), 0, 7, 0);
  assert.equal(fs.extend(writing, 3), 0);
  assert.equal(text(readAll(fs, inode)), "content");
  assert.equal(fs.extend(writing, 2000), 0);
  assert.deepEqual([fs.size(writing), text(readAll(fs, inode).subarray(0, 9))], [2000, "content\0\0"]);
  assert.equal(fs.extend(writing, 2 ** 50), -errno.FBIG);
  assert.equal(fs.extend(writing, -1), -errno.INVAL);
  assert.equal(fs.extend(fs.open(inode, false), 3000), -errno.BADF);
});

test("holes read as zeros, whatever the blocks held before", () => {
  const bench = makeFileSystem(3 << 20, { blockSize_bytes: 1024 });
  const { fs } = bench;
  const junk = writeFile(fs, root, "junk", new Uint8Array(2 << 20).fill(0xff));
  const junkHandle = fs.open(junk, true);
  fs.truncate(junkHandle, 0);
  const handle = fs.open(fs.createFile(root, "sparse", 0o644), true);
  const marks = [
    0,
    5000,
    12 * 1024 - 1,
    12 * 1024,
    300_000,
    268 * 1024,
    80_000_000,
    2 ** 31 + 3,
    2 ** 33 + 1,
  ];
  for (const mark of marks) assert.equal(fs.write(handle, Uint8Array.of(7), 0, 1, mark), 1);
  assert.equal(fs.size(handle), 2 ** 33 + 2);
  const around = new Uint8Array(3000);
  for (const mark of marks) {
    const start = Math.max(0, mark - 1500);
    const count = fs.read(handle, around, 0, around.length, start);
    for (let i = 0; i < count; i++)
      assert.equal(around[i], marks.includes(start + i) ? 7 : 0, `byte ${start + i}`);
  }
  // Shrinking and growing again must not bring bytes back.
  fs.truncate(handle, 5000);
  fs.truncate(handle, 20_000);
  const rest = new Uint8Array(15_000);
  assert.equal(fs.read(handle, rest, 0, rest.length, 5000), 15_000);
  assert.ok(rest.every((byte) => byte === 0));
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("files beyond 2 GiB keep their size across mounts", () => {
  const bench = makeFileSystem(2 << 20);
  const handle = bench.fs.open(writeFile(bench.fs, root, "large", "start"), true);
  assert.equal(bench.fs.append(handle, pattern(10), 0, 10), 15);
  assert.equal(bench.fs.truncate(handle, 2 ** 40 + 5), 0);
  assert.equal(bench.fs.append(handle, pattern(10), 0, 10), 2 ** 40 + 15);
  assert.equal(bench.fs.unmount(), 0);
  assertClean(bench.buffer, directory);
  const again = Ext2.mount(bench.options);
  assert.equal(statOf(again, again.lookup(root, "large")).size_bytes, 2 ** 40 + 15);
});

test("an append is all or nothing; a write takes what fits", () => {
  const bench = makeFileSystem(1 << 20, { blockSize_bytes: 1024 });
  const { fs } = bench;
  const handle = fs.open(writeFile(fs, root, "file", "start"), true);
  const free = fs.statistics().freeBlocks;
  const much = pattern((free + 50) * 1024);
  assert.equal(fs.append(handle, much, 0, much.length), -errno.NOSPC);
  assert.equal(fs.size(handle), 5);
  assert.equal(fs.statistics().freeBlocks, free);
  const written = fs.write(handle, much, 0, much.length, 0);
  assert.ok(written > (free - 10) * 1024 && written < much.length);
  assert.equal(fs.statistics().freeBlocks, 0);
  assert.equal(fs.write(handle, much, 0, 10, 40 << 20), -errno.NOSPC);
  assert.equal(fs.createFile(root, "still", 0o644) > 0, true, "an empty file needs no block");
  assert.equal(fs.makeDirectory(root, "not", 0o755), -errno.NOSPC);
  assert.equal(fs.makeSymbolicLink(root, "not", "x".repeat(100)), -errno.NOSPC);
  assert.equal(fs.lookup(root, "not"), -errno.NOENT);
  assert.deepEqual(readAll(fs, fs.lookup(root, "file")), much.subarray(0, written));
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
});

test("a write that finds room for indirect blocks but not for data leaves nothing behind", () => {
  for (const left of [1, 2, 3]) {
    const bench = makeFileSystem(1 << 20, { blockSize_bytes: 1024 });
    const { fs } = bench;
    const filler = fs.open(fs.createFile(root, "filler", 0o644), true);
    const file = fs.open(fs.createFile(root, "file", 0o644), true);
    const all = fs.statistics().freeBlocks;
    fs.write(filler, new Uint8Array(all * 1024), 0, all * 1024, 0);
    fs.truncate(filler, fs.size(filler) - left * 1024);
    const free = fs.statistics().freeBlocks;
    assert.equal(free, left);
    // Triple indirect: three blocks on the way, and one of data.
    assert.equal(fs.write(file, pattern(10), 0, 10, 100 << 20), -errno.NOSPC);
    assert.equal(fs.append(file, pattern(20_000), 0, 20_000), -errno.NOSPC);
    assert.equal(fs.statistics().freeBlocks, free);
    assert.equal(fs.unmount(), 0);
    assertClean(bench.buffer, directory);
  }
});

test("files that grow side by side get their blocks in chunks", { skip: noE2fsprogs }, () => {
  const bench = makeFileSystem(16 << 20);
  const { fs } = bench;
  const inodes = [0, 1, 2].map((i) => fs.createFile(root, `f${i}`, 0o644));
  const handles = inodes.map((inode) => fs.open(inode, true));
  const block = pattern(4096);
  for (let i = 0; i < 400; i++) for (const handle of handles) fs.append(handle, block, 0, 4096);
  assert.equal(fs.unmount(), 0);
  assertClean(bench.buffer, directory);
  for (const inode of inodes) {
    const listed = run("debugfs", ["-R", `blocks <${inode}>`, join(directory, "checked.img")]);
    const blocks = (listed.output.match(/^[\d ]+$/m)?.[0] ?? "").trim().split(/\s+/).map(Number);
    assert.ok(blocks.length >= 400, listed.output);
    const breaks = blocks.filter((number, i) => i > 0 && number !== blocks[i - 1] + 1).length;
    assert.ok(breaks < 60, `${breaks} breaks in ${blocks.length} blocks`);
  }
});
