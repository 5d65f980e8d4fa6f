/** Paths: opening, attributes, directories, and every way a call can be wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { right } from "../../src/wasi/index.ts";
import { Harness, lastWord, preview1Name, unstableName } from "./harness.ts";

const oflag = { create: 1, directory: 2, exclusive: 4, truncate: 8 } as const;

/** Offsets of `filestat` as in `wasi/api.h` of either version. */
const fileStats = {
  [preview1Name]: { bytes: 64, links: 24, linkBytes: 8, size: 32, access: 40, modification: 48, change: 56 },
  [unstableName]: { bytes: 56, links: 20, linkBytes: 4, size: 24, access: 32, modification: 40, change: 48 },
} as const;

test("path_open creates, truncates and refuses as asked", () => {
  const h = new Harness();
  assert.equal(h.open("file"), -errno.NOENT);
  const fd = h.open("file", { oflags: oflag.create });
  assert.equal(h.write(fd, "content"), 7);
  assert.equal(h.read(h.open("file", { oflags: oflag.create }), 10), "content");
  assert.equal(h.open("file", { oflags: oflag.create | oflag.exclusive }), -errno.EXIST);
  assert.equal(h.read(h.open("file", { oflags: oflag.truncate }), 10), "");
  assert.equal(h.open("file", { oflags: oflag.directory }), -errno.NOTDIR);
  assert.equal(h.call("path_create_directory", 3, ...h.text("dir")), 0);
  assert.equal(h.open("dir", { rights: right.FD_READ | right.FD_WRITE }), -errno.ISDIR);
  assert.equal(h.open("dir", { rights: right.FD_READDIR }) > 0, true);
  assert.equal(
    h.open("dir", { oflags: oflag.directory }) > 0,
    true,
    "all rights asked, those of a directory given",
  );
  assert.equal(h.open("dir", { oflags: oflag.directory | oflag.create }), -errno.INVAL);
  assert.equal(h.open("x", { oflags: 16 }), -errno.INVAL);
  assert.equal(h.open("x", { flags: 32 }), -errno.INVAL);
  assert.equal(h.open("x", { follow: 2 }), -errno.INVAL);
  assert.equal(h.open("", {}), -errno.NOENT);
  h.close();
});

test("rights beyond what the directory hands on are refused; bits that are no right are not", () => {
  const h = new Harness();
  h.file("file", "x");
  const [path, length] = h.text("dir");
  assert.equal(h.call("path_create_directory", 3, path, length), 0);
  const directory = h.open("dir", { oflags: oflag.directory, inheriting: right.FD_READ | right.PATH_OPEN });
  const open = (rights: bigint, inheriting: bigint, flags = 0): number =>
    h.call("path_open", directory, 0, ...h.text("inner"), oflag.create, rights, inheriting, flags, lastWord);
  const make = h.call("path_open", 3, 0, ...h.text("dir/inner"), oflag.create, 2n, 0n, 0, lastWord);
  assert.equal(make, 0);
  assert.equal(open(2n, 0n), 0);
  assert.equal(open(2n | (1n << 45n), 1n << 63n), 0);
  assert.equal(open(BigInt(right.FD_WRITE), 0n), errno.NOTCAPABLE);
  assert.equal(open(2n, BigInt(right.FD_WRITE)), errno.NOTCAPABLE);
  assert.equal(open(2n, 0n, 2), errno.NOTCAPABLE, "dsync needs the right to synchronise");
  h.close();
});

test("a read-only preopened directory permits looking only", () => {
  const h = new Harness({ readOnlyPreopens: true });
  h.file("file", "x");
  const at = h.room(64);
  assert.equal(h.read(h.open("file", { rights: right.FD_READ }), 5), "x");
  assert.equal(h.open("new", { oflags: oflag.create }), -errno.NOTCAPABLE);
  assert.equal(h.call("path_open", 3, 0, ...h.text("file"), 0, right.FD_WRITE, 0, 0, at), errno.NOTCAPABLE);
  assert.equal(h.open("file", { oflags: oflag.truncate }), -errno.NOTCAPABLE);
  assert.equal(h.call("path_unlink_file", 3, ...h.text("file")), errno.NOTCAPABLE);
  assert.equal(h.call("path_create_directory", 3, ...h.text("d")), errno.NOTCAPABLE);
  assert.equal(h.call("path_filestat_set_times", 3, 0, ...h.text("file"), 0, 0, 2), errno.NOTCAPABLE);
  assert.equal(h.callIn("host_fs", "chmod", ...h.text("/file"), 0o600), errno.NOTCAPABLE);
  h.close();
});

for (const module of [preview1Name, unstableName] as const) {
  test(`filestat has the version's layout (${module})`, () => {
    const h = new Harness();
    const layout = fileStats[module];
    h.file("file", "12345");
    assert.equal(h.call("path_link", 3, 0, ...h.text("file"), 3, ...h.text("other")), 0);
    const time_ns = 1_600_000_000_000_000_000n;
    assert.equal(h.call("path_filestat_set_times", 3, 0, ...h.text("file"), time_ns, time_ns + 4096n, 5), 0);
    const at = h.room(layout.bytes + 8);
    h.process.bytes.fill(0xee, at, at + layout.bytes + 8);
    assert.equal(h.callIn(module, "path_filestat_get", 3, 0, ...h.text("file"), at), 0);
    assert.equal(h.u8(at + layout.bytes), 0xee, "no byte beyond it is written");
    assert.equal(h.u64(at), 1, "the mount");
    assert.equal(h.u64(at + 8), 2, "the inode");
    assert.equal(h.u8(at + 16), 4);
    assert.equal(layout.linkBytes === 8 ? h.u64(at + layout.links) : h.u32(at + layout.links), 2);
    assert.equal(h.u64(at + layout.size), 5);
    assert.equal(h.view.getBigUint64(at + layout.access, true), time_ns);
    assert.equal(h.view.getBigUint64(at + layout.modification, true), time_ns + 4096n);
    assert.equal(h.u64(at + layout.change), 1e18);
    const copy = h.room(layout.bytes);
    assert.equal(h.callIn(module, "fd_filestat_get", h.open("file"), copy), 0);
    for (let n = 0; n < layout.bytes; n++) assert.equal(h.u8(copy + n), h.u8(at + n));
    h.close();
  });
}

test("times: given, now, left, and contradictory", () => {
  const h = new Harness();
  h.file("file", "");
  const fd = h.open("file");
  const at = h.room(64);
  const times = (): number[] => {
    assert.equal(h.call("fd_filestat_get", fd, at), 0);
    return [h.u64(at + 40), h.u64(at + 48)];
  };
  assert.equal(h.call("fd_filestat_set_times", fd, 512, 1024, 5), 0);
  assert.deepEqual(times(), [512, 1024]);
  assert.equal(h.call("fd_filestat_set_times", fd, 0, 0, 0), 0);
  assert.deepEqual(times(), [512, 1024]);
  assert.equal(h.call("fd_filestat_set_times", fd, 0, 2048, 2 | 4), 0);
  assert.deepEqual(times(), [1.7e18, 2048]);
  assert.equal(h.call("fd_filestat_set_times", fd, 0, 0, 8), 0);
  assert.deepEqual(times(), [1.7e18, 1.7e18]);
  for (const flags of [3, 12, 15, 16, -1]) {
    assert.equal(h.call("fd_filestat_set_times", fd, 0, 0, flags), errno.INVAL);
    assert.equal(h.call("path_filestat_set_times", 3, 0, ...h.text("file"), 0, 0, flags), errno.INVAL);
  }
  assert.equal(h.call("path_filestat_set_times", 3, 2, ...h.text("file"), 0, 0, 0), errno.INVAL);
  assert.equal(h.call("fd_filestat_set_times", 0, 0, 0, 0), errno.NOTCAPABLE);
  h.close();
});

test("sizes are set, within reason", () => {
  const h = new Harness();
  h.file("file", "12345");
  const fd = h.open("file");
  assert.equal(h.call("fd_filestat_set_size", fd, 2), 0);
  assert.equal(h.read(fd, 10), "12");
  assert.equal(h.call("fd_filestat_set_size", fd, 2n ** 60n), errno.FBIG);
  assert.equal(h.call("fd_filestat_set_size", fd, -1n), errno.INVAL);
  assert.equal(h.call("fd_filestat_set_size", 3, 0), errno.ISDIR);
  h.close();
});

test("text that is no path", () => {
  const h = new Harness();
  const stat = (text: Uint8Array | string): number =>
    h.call("path_filestat_get", 3, 0, ...h.text(text), h.room(64));
  assert.equal(stat("nul\0inside"), errno.INVAL);
  for (const bytes of [
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0x61, 0xe2, 0x82],
    [0xf5, 0x80, 0x80, 0x80],
  ]) {
    assert.equal(stat(new Uint8Array(bytes)), errno.ILSEQ);
  }
  assert.equal(stat("a".repeat(256)), errno.NAMETOOLONG);
  assert.equal(stat("a/".repeat(3000)), errno.NAMETOOLONG);
  assert.equal(h.call("path_filestat_get", 3, 0, -4, 8, h.room(64)), errno.FAULT);
  assert.equal(h.call("path_filestat_get", 3, 0, 0, -1, h.room(64)), errno.FAULT);
  assert.equal(h.call("path_filestat_get", 3, 2, 0, 0, h.room(64)), errno.INVAL);
  assert.equal(stat(""), errno.NOENT);
  h.close();
});

test("names of any characters are kept as they are", () => {
  const h = new Harness();
  const names = ["größe", "日本語", "😀", "\ufeffbom", "a b", "%2e", "e\u0301", "\u00e9"];
  for (const name of names) assert.equal(h.call("path_create_directory", 3, ...h.text(name)), 0, name);
  assert.deepEqual(listing(h).slice(2), names);
  for (const name of names) assert.equal(h.call("path_remove_directory", 3, ...h.text(name)), 0, name);
  h.close();
});

test("a remembered path is recognised only while the bytes are the same", () => {
  const h = new Harness();
  h.file("abc", "1");
  h.file("abd", "2");
  const [at] = h.text("abc");
  const read = (): string | number => {
    assert.equal(h.call("path_open", 3, 0, at, 3, 0, 2n, 0n, 0, lastWord), 0);
    return h.read(h.u32(lastWord), 1);
  };
  assert.equal(read(), "1");
  assert.equal(read(), "1");
  h.process.bytes[at + 2] = 0x64;
  assert.equal(read(), "2");
  // Many names, so that places in the table are taken over.
  for (let n = 0; n < 500; n++) {
    h.reset();
    h.file(`name-${n}`, String(n));
    assert.equal(h.read(h.open(`name-${n}`, { rights: 2 }), 10), String(n));
    assert.equal(h.call("fd_close", h.files.lookup(1, 6, 0) > 0 ? 6 : -1), 0);
  }
  h.close();
});

test("no path leads out of its directory", () => {
  const h = new Harness();
  h.call("path_create_directory", 3, ...h.text("inside"));
  h.file("outside", "secret");
  const inside = h.open("inside", { oflags: oflag.directory, inheriting: h.grantable });
  const open = (path: string, follow = 1): number =>
    h.call("path_open", inside, follow, ...h.text(path), 0, 2n, 0n, 0, lastWord);
  for (const path of ["../outside", "/outside", "..", "a/../../outside", "./../outside", "../inside/x"]) {
    assert.ok([errno.NOTCAPABLE, errno.NOENT].includes(open(path) as 76), path);
    assert.notEqual(open(path), 0, path);
  }
  assert.equal(open("../outside"), errno.NOTCAPABLE);
  assert.equal(open("/outside"), errno.NOTCAPABLE);
  assert.equal(h.call("path_symlink", ...h.text("../outside"), 3, ...h.text("inside/link")), 0);
  assert.equal(open("link"), errno.NOTCAPABLE);
  assert.equal(open("link", 0), errno.LOOP);
  assert.equal(h.call("path_unlink_file", inside, ...h.text("link")), 0);
  assert.equal(h.call("path_symlink", ...h.text("/outside"), 3, ...h.text("inside/link")), errno.NOTCAPABLE);
  assert.equal(open("link"), errno.NOENT);
  h.close();
});

test("symbolic links: made, read, cut short", () => {
  const h = new Harness();
  assert.equal(h.call("path_symlink", ...h.text("tärget"), 3, ...h.text("link")), 0);
  const buffer = h.room(32);
  const result = h.room(4);
  assert.equal(h.call("path_readlink", 3, ...h.text("link"), buffer, 32, result), 0);
  assert.equal(h.string(buffer, h.u32(result)), "tärget");
  assert.equal(h.call("path_readlink", 3, ...h.text("link"), buffer, 3, result), 0);
  assert.equal(h.u32(result), 3);
  assert.equal(h.call("path_readlink", 3, ...h.text("link"), -4, 8, result), errno.FAULT);
  assert.equal(h.call("path_readlink", 3, ...h.text("link"), buffer, 8, -2), errno.FAULT);
  assert.equal(h.call("path_symlink", ...h.text(""), 3, ...h.text("empty")), errno.NOENT);
  assert.equal(h.call("path_symlink", ...h.text("x"), 3, ...h.text("link")), errno.EXIST);
  h.file("file", "");
  assert.equal(h.call("path_readlink", 3, ...h.text("file"), buffer, 8, result), errno.INVAL);
  h.close();
});

test("names are moved, linked and removed", () => {
  const h = new Harness();
  h.file("a", "1");
  assert.equal(h.call("path_create_directory", 3, ...h.text("d")), 0);
  assert.equal(h.call("path_create_directory", 3, ...h.text("d")), errno.EXIST);
  assert.equal(h.call("path_rename", 3, ...h.text("a"), 3, ...h.text("d/b")), 0);
  assert.equal(h.call("path_rename", 3, ...h.text("a"), 3, ...h.text("d/b")), errno.NOENT);
  assert.equal(h.call("path_rename", 3, ...h.text("d"), 3, ...h.text("d/e")), errno.INVAL);
  assert.equal(h.call("path_link", 3, 0, ...h.text("d/b"), 3, ...h.text("c")), 0);
  assert.equal(h.call("path_link", 3, 0, ...h.text("d/b"), 3, ...h.text("c")), errno.EXIST);
  assert.equal(h.call("path_link", 3, 4, ...h.text("d/b"), 3, ...h.text("e")), errno.INVAL);
  assert.equal(h.call("path_remove_directory", 3, ...h.text("d")), errno.NOTEMPTY);
  assert.equal(h.call("path_unlink_file", 3, ...h.text("d/b")), 0);
  assert.equal(h.call("path_unlink_file", 3, ...h.text("d/b")), errno.NOENT);
  assert.equal(h.call("path_unlink_file", 3, ...h.text("d")), errno.ISDIR);
  assert.equal(h.call("path_remove_directory", 3, ...h.text("c")), errno.NOTDIR);
  assert.equal(h.call("path_remove_directory", 3, ...h.text("d")), 0);
  assert.deepEqual(listing(h), [".", "..", "c"]);
  h.close();
});

test("calls on what is not a directory", () => {
  const h = new Harness();
  h.file("file", "");
  const fd = h.open("file");
  const [path, length] = h.text("x");
  const at = h.room(64);
  const calls: [string, (number | bigint)[]][] = [
    ["path_open", [fd, 0, path, length, 0, 0n, 0n, 0, at]],
    ["path_filestat_get", [fd, 0, path, length, at]],
    ["path_filestat_set_times", [fd, 0, path, length, 0n, 0n, 0]],
    ["path_create_directory", [fd, path, length]],
    ["path_remove_directory", [fd, path, length]],
    ["path_unlink_file", [fd, path, length]],
    ["path_readlink", [fd, path, length, at, 8, at]],
    ["path_symlink", [path, length, fd, path, length]],
    ["path_rename", [fd, path, length, 3, path, length]],
    ["path_rename", [3, path, length, fd, path, length]],
    ["path_link", [fd, 0, path, length, 3, path, length]],
    ["path_link", [3, 0, path, length, fd, path, length]],
    ["fd_readdir", [fd, at, 64, 0n, at]],
  ];
  for (const [name, values] of calls) {
    assert.equal(h.call(name, ...values), errno.NOTDIR, name);
    assert.equal(h.call(name, ...values.map((value) => (value === fd ? 99 : value))), errno.BADF, name);
  }
  h.close();
});

/** Reads a directory by way of a small buffer, as a C library does. */
function listing(h: Harness, fd = 3, size = 100): string[] {
  const names: string[] = [];
  let cookie = 0;
  for (;;) {
    const buffer = h.room(size);
    const result = h.room(4);
    assert.equal(h.call("fd_readdir", fd, buffer, size, cookie, result), 0);
    const used = h.u32(result);
    let at = 0;
    while (at + 24 <= used) {
      const length = h.u32(buffer + at + 16);
      if (at + 24 + length > used) break;
      cookie = h.u64(buffer + at);
      names.push(h.string(buffer + at + 24, length));
      at += 24 + length;
    }
    if (used < size) return names;
    if (at === 0) throw new Error("the buffer is too small for one entry");
  }
}

test("fd_readdir fills the buffer and cuts the last entry off", () => {
  const h = new Harness();
  const names = Array.from({ length: 40 }, (_, n) => `name-${"x".repeat(n)}`);
  for (const name of names) h.file(name, "");
  for (const size of [70, 71, 100, 127, 1000, 10_000]) {
    h.reset();
    assert.deepEqual(listing(h, 3, size), [".", "..", ...names], `buffer of ${size}`);
  }
  for (let size = 0; size < 60; size++) {
    const at = h.room(64);
    const result = h.room(4);
    h.process.bytes.fill(0xee, at, at + 64);
    assert.equal(h.call("fd_readdir", 3, at, size, 0, result), 0);
    assert.equal(h.u32(result), size, "full");
    assert.equal(h.u8(at + size), 0xee, "not beyond");
    if (size >= 8) assert.equal(h.u64(at), 1);
    if (size >= 21) assert.deepEqual([h.u64(at + 8), h.u32(at + 16), h.u8(at + 20)], [1, 1, 3]);
    if (size >= 25) assert.equal(h.u8(at + 24), 0x2e);
  }
  h.close();
});

test("fd_readdir: wrong places and cookies", () => {
  const h = new Harness();
  const at = h.room(64);
  assert.equal(h.call("fd_readdir", 3, -8, 64, 0, at), errno.FAULT);
  assert.equal(h.call("fd_readdir", 3, at, 64, 0, -2), errno.FAULT);
  assert.equal(h.call("fd_readdir", 3, at, 64, 2n ** 64n - 1n, at), errno.INVAL);
  assert.equal(h.call("fd_readdir", 3, at, 64, 1000, at), 0);
  assert.equal(h.u32(at), 0);
  h.close();
});

test("modes of the everyday tools", () => {
  const h = new Harness({ preopens: ["/", "."] });
  h.file("file", "");
  h.call("path_create_directory", 3, ...h.text("dir"));
  h.call("path_symlink", ...h.text("file"), 3, ...h.text("link"));
  const mode = (path: string, follow = 1): string =>
    h.callIn("host_fs", "path_mode", ...h.text(path), follow).toString(8);
  assert.equal(mode("/file"), "100644");
  assert.equal(mode("file"), "100644");
  assert.equal(mode("/dir"), "40755");
  assert.equal(mode("/dir/"), "40755");
  assert.equal(mode("/"), "40755");
  assert.equal(mode("/link"), "100644");
  assert.equal(mode("/link", 0), "120777");
  assert.equal(mode("/nothing"), "0");
  assert.equal(h.callIn("host_fs", "path_mode", -4, 8, 0), 0);
  assert.equal(h.callIn("host_fs", "chmod", ...h.text("/file"), 0o100600), 0);
  assert.equal(mode("/file"), "100600");
  assert.equal(h.callIn("host_fs", "chmod", ...h.text("/nothing"), 0o600), errno.NOENT);
  assert.equal(h.callIn("host_fs", "fd_mode", 0).toString(8), "20600");
  assert.equal(h.callIn("host_fs", "fd_mode", h.pipe().reader).toString(8), "10600");
  assert.equal(h.callIn("host_fs", "fd_mode", 99), 0);
  h.close();
});

test("terminals and users of the everyday tools", () => {
  const h = new Harness();
  h.file("file", "");
  const at = h.room(64);
  assert.equal(h.callIn("host_user", "isatty", 0, at), 0);
  assert.equal(h.u32(at), 1);
  assert.equal(h.callIn("host_user", "isatty", h.open("file"), at), 0);
  assert.equal(h.u32(at), 0);
  assert.equal(h.callIn("host_user", "isatty", 99, at), errno.BADF);
  const result = h.room(4);
  assert.equal(h.callIn("host_user", "getpwuid", 0, at, 64, result), 0);
  assert.equal(h.string(at, h.u32(result)), "root:x:0:0:root:/:/bin/sh");
  assert.equal(h.callIn("host_user", "getpwuid", 0, at, 8, result), errno.RANGE);
  assert.equal(h.callIn("host_user", "getpwuid", 5, at, 64, result), errno.NOENT);
  assert.equal(h.callIn("host_process", "proc_getpid", at), 0);
  assert.equal(h.u32(at), 4711);
  h.close();
});
