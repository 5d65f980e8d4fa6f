/** Reading and writing through descriptors: buffers, blocking, positions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { BLOCKED, DIED } from "../../src/kernel/wait.ts";
import { right } from "../../src/wasi/index.ts";
import { Harness, lastWord } from "./harness.ts";

const create = 1;

test("what is written can be read back, by one buffer and by several", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  assert.equal(fd, 4);
  assert.equal(h.write(fd, "hello"), 5);
  const result = h.room(4);
  const pieces = h.vectors(h.text(" wor"), [0, 0], h.text("ld"), h.text("!"));
  assert.equal(h.call("fd_write", fd, pieces, 4, result), 0);
  assert.equal(h.u32(result), 7);
  assert.equal(h.call("fd_seek", fd, 0, 0, h.room(8)), 0);
  const one = h.room(4);
  const two = h.room(100);
  assert.equal(h.call("fd_read", fd, h.vectors([one, 4], [two, 100]), 2, result), 0);
  assert.equal(h.u32(result), 12);
  assert.equal(h.string(one, 4) + h.string(two, 8), "hello world!");
  h.close();
});

test("a list of large buffers is moved buffer by buffer", () => {
  const h = new Harness();
  const fd = h.open("big", { oflags: create });
  const first = h.room(100_000);
  h.process.bytes.fill(1, first, first + 100_000);
  const second = h.room(50_000);
  h.process.bytes.fill(2, second, second + 50_000);
  const result = h.room(4);
  assert.equal(h.call("fd_write", fd, h.vectors([first, 100_000], [second, 50_000]), 2, result), 0);
  assert.equal(h.u32(result), 150_000);
  assert.equal(h.call("fd_pread", fd, h.vectors([second, 50_000], [first, 100_000]), 2, 50_000, result), 0);
  assert.equal(h.u32(result), 100_000);
  assert.equal(h.u8(second + 49_999), 1);
  assert.equal(h.u8(first), 2);
  assert.equal(h.u8(first + 50_000), 1, "nothing beyond the end was written");
  assert.equal(h.call("fd_pwrite", fd, h.vectors([first, 60_000], [second, 50_000]), 2, 10, result), 0);
  assert.equal(h.u32(result), 110_000);
  assert.equal(h.call("fd_seek", fd, 0, 0, h.room(8)), 0);
  assert.equal(h.call("fd_read", fd, h.vectors([first, 90_000], [second, 50_000]), 2, result), 0);
  assert.equal(h.u32(result), 140_000);
  h.close();
});

test("nothing is read or written at all when one buffer is outside the memory", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  const bad = h.vectors(h.text("fine"), [0xffff_fff0, 32]);
  assert.equal(h.call("fd_write", fd, bad, 2, h.room(4)), errno.FAULT);
  assert.equal(h.call("fd_write", fd, h.vectors(h.text("fine")), 1, lastWord + 1), errno.FAULT);
  const position = h.room(8);
  assert.equal(h.call("fd_tell", fd, position), 0);
  assert.equal(h.u64(position), 0);
  h.close();
});

test("more than 1024 buffers, or more bytes than a result can say, are invalid", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  const result = h.room(4);
  const many = h.room(1025 * 8);
  assert.equal(h.call("fd_write", fd, many, 1024, result), 0);
  assert.equal(h.call("fd_write", fd, many, 1025, result), errno.INVAL);
  assert.equal(h.call("fd_write", fd, many, -1, result), errno.INVAL);
  // 1024 times the whole memory is 2^30: below the limit, so the file system says what is too large.
  const whole = h.vectors(...Array.from({ length: 1024 }, () => [0, 1 << 20] as const));
  assert.equal(h.call("fd_pread", fd, whole, 1024, 0, result), 0);
  h.close();
});

test("descriptors without the right, or of a directory, say so", () => {
  const h = new Harness();
  h.file("file", "abc");
  const reader = h.open("file", { rights: right.FD_READ });
  assert.equal(h.write(reader, "x"), -errno.NOTCAPABLE);
  const writer = h.open("file", { rights: right.FD_WRITE });
  assert.equal(h.read(writer, 3), -errno.NOTCAPABLE);
  assert.equal(h.read(3, 3), -errno.ISDIR);
  assert.equal(h.write(3, "x"), -errno.ISDIR);
  assert.equal(h.read(99, 3), -errno.BADF);
  assert.equal(h.read(-1, 3), -errno.BADF);
  const result = h.room(4);
  const place = h.vectors([h.room(8), 8]);
  assert.equal(h.call("fd_pread", reader, place, 1, 0, result), errno.NOTCAPABLE, "pread also needs to seek");
  const { reader: pipe } = h.pipe();
  assert.equal(h.call("fd_pread", pipe, place, 1, 0, result), errno.SPIPE);
  assert.equal(h.call("fd_pread", 3, place, 1, 0, result), errno.ISDIR);
  h.close();
});

test("positions beyond what there can be", () => {
  const h = new Harness();
  h.file("file", "abc");
  const fd = h.open("file");
  const result = h.room(4);
  const place = h.vectors([h.room(8), 8]);
  assert.equal(h.call("fd_pread", fd, place, 1, 2n ** 62n, result), 0);
  assert.equal(h.u32(result), 0, "beyond the end there is nothing");
  assert.equal(h.call("fd_pwrite", fd, place, 1, 2n ** 62n, result), errno.FBIG);
  assert.equal(h.call("fd_pread", fd, place, 1, -1n, result), errno.INVAL);
  assert.equal(h.call("fd_pwrite", fd, place, 1, 2n ** 64n - 1n, result), errno.INVAL);
  h.close();
});

test("reading an empty pipe blocks, and the repeated call reads what came", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  assert.equal(h.read(reader, 10), Number.NaN);
  assert.deepEqual(h.woken, []);
  assert.equal(h.areas.threads.records.deadline_ns(h.thread), Infinity);
  assert.equal(h.otherWrites(writer, "abc"), 3);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.read(reader, 10), "abc");
  h.close();
});

test("closing the last writer wakes a reader, which sees the end", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  assert.equal(h.read(reader, 10), Number.NaN);
  assert.equal(h.call("fd_close", writer), 0);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.read(reader, 10), "");
  h.close();
});

test("a full pipe takes part of a large write, then blocks until there is room", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const text = "x".repeat(100_000);
  assert.equal(h.write(writer, text), 65_536);
  assert.equal(h.write(writer, text), Number.NaN);
  h.reset();
  assert.equal(h.otherReads(reader, 65_536), 65_536);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.write(writer, "abc"), 3);
  h.close();
});

test("a pipe without readers is EPIPE", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  assert.equal(h.call("fd_close", reader), 0);
  assert.equal(h.write(writer, "x"), -errno.PIPE);
  h.close();
});

test("a non-blocking descriptor says EAGAIN instead", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  assert.equal(h.call("fd_fdstat_set_flags", reader, 4), 0);
  assert.equal(h.read(reader, 10), -errno.AGAIN);
  assert.equal(h.call("fd_fdstat_set_flags", writer, 4), 0);
  assert.equal(h.write(writer, "x".repeat(65_536)), 65_536);
  assert.equal(h.write(writer, "x"), -errno.AGAIN);
  h.close();
});

test("reading or writing nothing never waits", () => {
  const h = new Harness();
  const { reader, writer } = h.pipe();
  const result = h.room(4);
  assert.equal(h.call("fd_read", reader, h.room(8), 1, result), 0);
  assert.equal(h.call("fd_read", reader, h.room(8), 0, result), 0);
  assert.equal(h.write(writer, "x".repeat(65_536)), 65_536);
  assert.equal(h.call("fd_write", writer, h.room(8), 1, result), 0);
  h.close();
});

test("a process that is to end does not go to sleep", () => {
  const h = new Harness();
  const { reader } = h.pipe();
  const at = h.room(8);
  const vectors = h.vectors([at, 8]);
  assert.equal(h.call("fd_read", reader, vectors, 1, lastWord), BLOCKED);
  h.dying = true;
  assert.equal(h.call("fd_read", reader, vectors, 1, lastWord), DIED);
  h.close();
});

test("the terminal is read when there is input", () => {
  const h = new Harness();
  assert.equal(h.write(1, "prompt> "), 8);
  assert.equal(new TextDecoder().decode(new Uint8Array(h.terminal.output)), "prompt> ");
  assert.equal(h.read(0, 10), Number.NaN);
  h.terminal.input.push(...new TextEncoder().encode("line\n"));
  h.waits.wake(h.terminal.readQueue);
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.read(0, 10), "line\n");
  h.close();
});

test("appending writes at the end whatever the position", () => {
  const h = new Harness();
  h.file("log", "one ");
  const fd = h.open("log", { flags: 1 });
  assert.equal(h.write(fd, "two"), 3);
  const other = h.open("log");
  assert.equal(h.read(other, 20), "one two");
  h.close();
});

test("a full device: what fits is written, then ENOSPC", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  h.fileSystem.room_bytes = 3;
  assert.equal(h.write(fd, "hello"), 3);
  assert.equal(h.write(fd, "lo"), -errno.NOSPC);
  h.close();
});
