/** Descriptors: rights, flags, positions, preopened directories. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { allRights, right } from "../../src/wasi/index.ts";
import { descriptorsMax, Harness, unstableName } from "./harness.ts";

const create = 1;

interface DescriptorStat {
  type: number;
  flags: number;
  rights: number;
  inheriting: number;
}

function status(h: Harness, fd: number): DescriptorStat {
  const at = h.room(24);
  assert.equal(h.call("fd_fdstat_get", fd, at), 0);
  return { type: h.u8(at), flags: h.u16(at + 2), rights: h.u64(at + 8), inheriting: h.u64(at + 16) };
}

test("fd_fdstat_get tells type, flags and rights", () => {
  const h = new Harness();
  const directory = status(h, 3);
  assert.equal(directory.type, 3);
  assert.equal(directory.rights & right.PATH_OPEN, right.PATH_OPEN);
  assert.equal(directory.rights & right.FD_READ, 0);
  assert.equal(directory.inheriting & right.FD_READ, right.FD_READ);
  const terminal = status(h, 0);
  assert.equal(terminal.type, 2);
  assert.equal(terminal.rights & (right.FD_SEEK | right.FD_TELL), 0, "isatty() of C libraries asks this");
  const fd = h.open("file", { oflags: create, flags: 5, rights: allRights, inheriting: right.FD_READ });
  const file = status(h, fd);
  assert.deepEqual([file.type, file.flags], [4, 5]);
  assert.equal(file.rights & right.FD_SEEK, right.FD_SEEK);
  assert.equal(file.rights & right.PATH_OPEN, 0, "only what applies to files");
  assert.equal(file.inheriting, 0);
  assert.equal(status(h, h.pipe().reader).type, 0);
  assert.equal(h.call("fd_fdstat_get", 99, h.room(24)), errno.BADF);
  assert.equal(h.call("fd_fdstat_get", 3, -8), errno.FAULT);
  h.close();
});

test("rights can be given up and not got back", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  const before = status(h, fd).rights;
  const less = right.FD_READ | right.FD_SEEK;
  assert.equal(h.call("fd_fdstat_set_rights", fd, less, 0), 0);
  assert.equal(status(h, fd).rights, less);
  assert.equal(h.call("fd_fdstat_set_rights", fd, before, 0), errno.NOTCAPABLE);
  assert.equal(h.call("fd_fdstat_set_rights", fd, less, right.FD_READ), errno.NOTCAPABLE);
  assert.equal(h.call("fd_fdstat_set_rights", fd, BigInt(less) | (1n << 40n), 0), errno.NOTCAPABLE);
  assert.equal(h.call("fd_fdstat_set_rights", fd, BigInt(less) | (1n << 30n), 0), errno.NOTCAPABLE);
  assert.equal(h.call("fd_fdstat_set_rights", 99, 0, 0), errno.BADF);
  assert.equal(h.write(fd, "x"), -errno.NOTCAPABLE);
  h.close();
});

test("each call asks for its right", () => {
  const cases: [number, string, (number | bigint)[]][] = [
    [right.FD_DATASYNC, "fd_datasync", []],
    [right.FD_SYNC, "fd_sync", []],
    [right.FD_FDSTAT_SET_FLAGS, "fd_fdstat_set_flags", [0]],
    [right.FD_ADVISE, "fd_advise", [0, 0, 0]],
    [right.FD_ALLOCATE, "fd_allocate", [0, 10]],
    [right.FD_FILESTAT_GET, "fd_filestat_get", [1024]],
    [right.FD_FILESTAT_SET_SIZE, "fd_filestat_set_size", [5]],
    [right.FD_FILESTAT_SET_TIMES, "fd_filestat_set_times", [0, 0, 0]],
    [right.FD_SEEK, "fd_seek", [1, 0, 1024]],
    [right.FD_TELL, "fd_tell", [1024]],
    [right.FD_READ, "fd_read", [1024, 0, 1024]],
    [right.FD_WRITE, "fd_write", [1024, 0, 1024]],
    [right.FD_READ | right.FD_SEEK, "fd_pread", [1024, 0, 0, 1024]],
    [right.FD_WRITE | right.FD_SEEK, "fd_pwrite", [1024, 0, 0, 1024]],
  ];
  const h = new Harness();
  h.file("file", "content");
  for (const [needed, name, values] of cases) {
    const with_ = h.open("file", { rights: needed });
    assert.equal(h.call(name, with_, ...values), 0, `${name} with its right`);
    assert.equal(status(h, with_).rights, needed);
    const without = h.open("file", { rights: allRights });
    // FD_SEEK includes FD_TELL.
    const taken = needed === right.FD_TELL ? right.FD_TELL | right.FD_SEEK : needed;
    assert.equal(h.call("fd_fdstat_set_rights", without, status(h, without).rights & ~taken, 0), 0);
    assert.equal(h.call(name, without, ...values), errno.NOTCAPABLE, `${name} without its right`);
    assert.equal(h.call(name, 99, ...values), errno.BADF, `${name} on a closed descriptor`);
    assert.equal(h.call(name, -1, ...values), errno.BADF, `${name} on descriptor −1`);
  }
  h.close();
});

test("whence has other values in each version", () => {
  const h = new Harness();
  h.file("file", "0123456789");
  const fd = h.open("file");
  const at = h.room(8);
  const seek = (module: string, delta: number, whence: number): number => {
    const failure = h.callIn(module, "fd_seek", fd, delta, whence, at);
    return failure === 0 ? h.u64(at) : -failure;
  };
  assert.equal(seek("wasi_snapshot_preview1", 4, 0), 4);
  assert.equal(seek("wasi_snapshot_preview1", -1, 1), 3);
  assert.equal(seek("wasi_snapshot_preview1", -1, 2), 9);
  assert.equal(seek(unstableName, 4, 2), 4);
  assert.equal(seek(unstableName, -1, 0), 3);
  assert.equal(seek(unstableName, -1, 1), 9);
  assert.equal(seek(unstableName, 1, 3), -errno.INVAL);
  assert.equal(seek(unstableName, 1, -1), -errno.INVAL);
  assert.equal(seek("wasi_snapshot_preview1", -20, 1), -errno.INVAL);
  assert.equal(h.call("fd_seek", fd, 2n ** 63n - 1n, 0, at), errno.INVAL);
  assert.equal(seek("wasi_snapshot_preview1", 2 ** 52, 0), 2 ** 52);
  assert.equal(h.call("fd_tell", fd, at), 0);
  assert.equal(h.u64(at), 2 ** 52);
  h.close();
});

test("positions of what has none", () => {
  const h = new Harness();
  const at = h.room(8);
  const { reader, writer } = h.pipe();
  for (const fd of [0, reader, writer]) {
    assert.equal(h.call("fd_seek", fd, 0, 1, at), errno.SPIPE);
    assert.equal(h.call("fd_tell", fd, at), errno.SPIPE);
    assert.equal(h.call("fd_advise", fd, 0, 0, 0), errno.SPIPE);
    assert.equal(h.call("fd_filestat_set_size", fd, 0), errno.INVAL);
    assert.equal(h.call("fd_sync", fd), errno.INVAL);
  }
  h.close();
});

test("where a descriptor may tell but not seek, it may ask where it is", () => {
  const h = new Harness();
  h.file("file", "0123");
  const at = h.room(8);
  const teller = h.open("file", { rights: right.FD_TELL });
  assert.equal(h.call("fd_tell", teller, at), 0);
  assert.equal(h.call("fd_seek", teller, 0, 1, at), 0);
  assert.equal(h.call("fd_seek", teller, 1, 1, at), errno.NOTCAPABLE);
  assert.equal(h.call("fd_seek", teller, 0, 0, at), errno.NOTCAPABLE);
  const seeker = h.open("file", { rights: right.FD_SEEK });
  assert.equal(h.call("fd_tell", seeker, at), 0);
  h.close();
});

test("closing, closing again, and what the number is next", () => {
  const h = new Harness();
  const first = h.open("a", { oflags: create });
  const second = h.open("b", { oflags: create });
  assert.equal(h.call("fd_close", first), 0);
  assert.equal(h.call("fd_close", first), errno.BADF);
  assert.equal(h.call("fd_close", -1), errno.BADF);
  assert.equal(h.call("fd_close", 1 << 30), errno.BADF);
  assert.equal(h.open("c", { oflags: create }), first);
  assert.equal(h.call("fd_renumber", second, first), 0);
  assert.equal(h.call("fd_close", second), errno.BADF);
  assert.equal(h.call("fd_renumber", first, 99), errno.BADF);
  assert.equal(h.call("fd_renumber", 99, first), errno.BADF);
  assert.equal(h.call("fd_renumber", first, first), 0);
  assert.equal(h.write(first, "x"), 1);
  h.close();
});

test("when the descriptor table is full, nothing leaks", () => {
  const h = new Harness();
  h.file("file", "x");
  for (let fd = 4; fd < descriptorsMax; fd++) {
    h.reset();
    assert.equal(h.open("file"), fd);
  }
  const used = h.areas.openFiles.used();
  assert.equal(h.open("file"), -errno.MFILE);
  assert.equal(h.areas.openFiles.used(), used);
  h.close();
});

test("flags: known ones only", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  for (let flags = 0; flags < 32; flags++) {
    assert.equal(h.call("fd_fdstat_set_flags", fd, flags), 0);
    assert.equal(status(h, fd).flags, flags);
  }
  for (const flags of [32, 1 << 16, -1]) assert.equal(h.call("fd_fdstat_set_flags", fd, flags), errno.INVAL);
  h.close();
});

test("preopened directories are found by counting up to EBADF", () => {
  const h = new Harness({ preopens: ["/", ".", "/wörk"] });
  const names: string[] = [];
  for (let fd = 3; ; fd++) {
    const at = h.room(8);
    const failure = h.call("fd_prestat_get", fd, at);
    if (failure === errno.BADF) break;
    assert.equal(failure, 0);
    assert.equal(h.u8(at), 0);
    const length = h.u32(at + 4);
    const name = h.room(length);
    assert.equal(h.call("fd_prestat_dir_name", fd, name, length), 0);
    names.push(h.string(name, length));
    if (length > 0) assert.equal(h.call("fd_prestat_dir_name", fd, name, length - 1), errno.NAMETOOLONG);
    assert.equal(h.call("fd_prestat_dir_name", fd, -4, length), errno.FAULT);
  }
  assert.deepEqual(names, ["/", ".", "/wörk"]);
  assert.equal(h.call("fd_prestat_get", 0, h.room(8)), errno.BADF, "not a preopened directory");
  const inner = h.open(".", { oflags: 2 });
  assert.equal(h.call("fd_prestat_get", inner, h.room(8)), errno.BADF);
  assert.equal(h.call("fd_prestat_get", 3, -2), errno.FAULT);
  h.close();
});

test("advice and allocation are checked", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  for (let advice = 0; advice <= 5; advice++) assert.equal(h.call("fd_advise", fd, 0, 10, advice), 0);
  assert.equal(h.call("fd_advise", fd, 0, 10, 6), errno.INVAL);
  assert.equal(h.call("fd_advise", fd, 0, 10, -1), errno.INVAL);
  assert.equal(h.call("fd_advise", fd, -1n, 10, 0), errno.INVAL);
  assert.equal(h.call("fd_allocate", fd, 10, 90), 0);
  const at = h.room(64);
  assert.equal(h.call("fd_filestat_get", fd, at), 0);
  assert.equal(h.u64(at + 32), 100);
  assert.equal(h.call("fd_allocate", fd, 0, 10), 0, "never shrinks");
  assert.equal(h.call("fd_filestat_get", fd, at), 0);
  assert.equal(h.u64(at + 32), 100);
  assert.equal(h.call("fd_allocate", fd, 0, 0), errno.INVAL);
  assert.equal(h.call("fd_allocate", fd, 2n ** 62n, 2n ** 62n), errno.FBIG);
  assert.equal(h.call("fd_allocate", fd, -1n, 1), errno.INVAL);
  assert.equal(h.call("fd_allocate", 3, 0, 1), errno.ISDIR);
  h.close();
});

test("synchronising reaches the file system", () => {
  const h = new Harness();
  const fd = h.open("file", { oflags: create });
  assert.equal(h.call("fd_sync", fd), 0);
  assert.equal(h.call("fd_datasync", fd), 0);
  assert.equal(h.call("fd_sync", 3), 0);
  assert.equal(h.fileSystem.syncs, 3);
  h.close();
});

test("no descriptor is a socket", () => {
  const h = new Harness();
  const at = h.room(16);
  assert.equal(h.call("sock_accept", 0, 0, at), errno.NOTSOCK);
  assert.equal(h.call("sock_recv", 0, at, 0, 0, at, at), errno.NOTSOCK);
  assert.equal(h.call("sock_send", 0, at, 0, 0, at), errno.NOTSOCK);
  assert.equal(h.call("sock_shutdown", 3, 3), errno.NOTSOCK);
  assert.equal(h.call("sock_shutdown", 99, 3), errno.BADF);
  assert.equal(h.callIn(unstableName, "sock_accept", 0, 0, at), errno.NOSYS, "it came with preview 1");
  h.close();
});
