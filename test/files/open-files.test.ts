/** Reading, writing, positions, flags and attributes through open files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openFileKind } from "../../src/kernel/state.ts";
import { deviceNumber } from "../../src/services/device/devices.ts";
import { fileFlag, whence } from "../../src/services/fs/files.ts";
import { emptyStat, fileType } from "../../src/services/fs/filesystem.ts";
import { creating, fails, Island, ok, Rig, reading } from "./rig.ts";

const text = (value: string) => new TextEncoder().encode(value);

function opened(flags = 0): { rig: Rig; root: number; file: number } {
  const rig = new Rig();
  const root = rig.mountRoot();
  const file = ok(rig.files.openPath(root, "file", { ...creating, flags }));
  return { rig, root, file };
}

test("reading and writing move the position, readAt and writeAt do not", () => {
  const { rig, file } = opened();
  const { files } = rig;
  assert.equal(files.write(file, text("hello world"), 0, 11), 11);
  assert.equal(files.tell(file), 11);
  assert.equal(files.writeAt(file, text("_"), 0, 1, 5), 1);
  assert.equal(files.tell(file), 11);
  assert.equal(files.seek(file, 6, whence.set), 6);
  const buffer = new Uint8Array(16);
  assert.equal(files.read(file, buffer, 2, 3), 3);
  assert.deepEqual([...buffer.subarray(0, 6)], [0, 0, ...text("wor"), 0]);
  assert.equal(files.tell(file), 9);
  assert.equal(files.read(file, buffer, 0, 16), 2);
  assert.equal(files.read(file, buffer, 0, 16), 0);
  assert.equal(files.readAt(file, buffer, 0, 16, 100), 0);
  assert.equal(rig.content(file), "hello_world");
});

test("seeking", () => {
  const { rig, file } = opened();
  const { files } = rig;
  files.write(file, text("0123456789"), 0, 10);
  assert.equal(files.seek(file, -3, whence.end), 7);
  assert.equal(files.seek(file, -7, whence.current), 0);
  fails(files.seek(file, -1, whence.current), "INVAL");
  fails(files.seek(file, 0, 3), "INVAL");
  fails(files.seek(file, Number.MAX_SAFE_INTEGER + 1, whence.set), "OVERFLOW");
  fails(files.seek(file, Number.MAX_SAFE_INTEGER, whence.end), "OVERFLOW");
  assert.equal(files.tell(file), 0);
  assert.equal(files.seek(file, 1000, whence.set), 1000);
  assert.equal(files.read(file, new Uint8Array(4), 0, 4), 0);
  assert.equal(files.write(file, text("x"), 0, 1), 1);
  const stat = emptyStat();
  ok(files.stat(file, stat));
  assert.equal(stat.size_bytes, 1001);
});

test("the append flag writes at the end, also when another writer has moved it", () => {
  const { rig, root, file } = opened(fileFlag.append);
  const { files } = rig;
  const second = ok(files.openPath(root, "file", { ...creating, flags: fileFlag.append }));
  files.write(file, text("one,"), 0, 4);
  files.write(second, text("two,"), 0, 4);
  assert.equal(files.write(file, text("three"), 0, 5), 5);
  assert.equal(files.tell(file), 13);
  assert.equal(files.tell(second), 8);
  assert.equal(files.write(file, text(""), 0, 0), 0);
  assert.equal(files.tell(file), 13);
  files.writeAt(second, text("T"), 0, 1, 4);
  assert.equal(rig.content(file), "one,Two,three");
  ok(files.setFlags(file, 0));
  files.seek(file, 0, whence.set);
  files.write(file, text("O"), 0, 1);
  assert.equal(rig.content(file), "One,Two,three");
  fails(files.setFlags(file, 32), "INVAL");
  assert.equal(files.flags(second), fileFlag.append);
});

test("a file that several descriptors share has one position, on every kernel", () => {
  const island = new Island();
  const here = new Rig(island, 1);
  const root = here.mountRoot();
  const there = new Rig(island, 2);
  const file = ok(here.files.openPath(root, "file", creating));
  here.files.retain(file);
  here.files.write(file, text("from here, "), 0, 11);
  there.files.write(file, text("from there"), 0, 10);
  assert.equal(there.files.tell(file), 21);
  assert.equal(there.content(file), "from here, from there");
  here.files.release(file);
  assert.equal(here.files.kind(file), openFileKind.file);
  there.files.release(file);
  assert.equal(here.files.kind(file), openFileKind.none);
  assert.throws(() => here.files.release(file), /nobody holds it/);
});

test("an unlinked file lives until its last close", () => {
  const { rig, root, file } = opened();
  const { files } = rig;
  files.write(file, text("still here"), 0, 10);
  ok(files.unlink(root, "file"));
  fails(files.openPath(root, "file", reading), "NOENT");
  assert.equal(rig.content(file), "still here");
  const stat = emptyStat();
  ok(files.stat(file, stat));
  assert.equal(stat.linkCount, 0);
  const { inodeCount } = rig.island.fileSystem(0);
  files.release(file);
  assert.equal(rig.island.fileSystem(0).inodeCount, inodeCount - 1);
});

test("truncating and allocating", () => {
  const { rig, root, file } = opened();
  const { files } = rig;
  files.write(file, text("0123456789"), 0, 10);
  ok(files.truncate(file, 4));
  assert.equal(rig.content(file), "0123");
  ok(files.truncate(file, 6));
  assert.equal(rig.content(file), "0123\0\0");
  ok(files.allocate(file, 2, 2));
  assert.equal(rig.content(file).length, 6);
  ok(files.allocate(file, 6, 10));
  assert.equal(rig.content(file).length, 16);
  fails(files.truncate(file, -1), "INVAL");
  fails(files.truncate(file, 2 ** 60), "FBIG");
  fails(files.allocate(file, 0, 0), "INVAL");
  fails(files.allocate(file, Number.MAX_SAFE_INTEGER, 10), "FBIG");
  fails(files.allocate(root, 0, 1), "NODEV");
  fails(files.truncate(root, 0), "INVAL");
  const again = ok(files.openPath(root, "file", { ...reading, write: true, truncate: true }));
  assert.equal(rig.content(again), "");
});

test("allocating does not cut off what somebody appends at the same time", () => {
  // It did: it looked at the size and then set one that was too small by then.
  const { rig, file } = opened();
  const { files } = rig;
  files.write(file, text("12345"), 0, 5);
  const memory = rig.island.fileSystem(0);
  memory.hook = (what, name) => {
    if (what !== "size") return;
    memory.hook = () => undefined;
    memory.append(Number(name), text("appended"), 0, 8);
  };
  ok(files.allocate(file, 0, 8));
  assert.equal(rig.content(file), "12345appended");
});

test("attributes of open files and paths", () => {
  const { rig, root, file } = opened();
  const { files } = rig;
  files.write(file, text("12345"), 0, 5);
  const stat = { ...emptyStat(), device: 0 };
  ok(files.statPath(root, "file", true, stat));
  assert.deepEqual(
    [stat.fileType, stat.size_bytes, stat.mode, stat.device],
    [fileType.regularFile, 5, 0o644, 1],
  );
  const { inode } = stat;
  ok(files.stat(file, stat));
  assert.deepEqual([stat.inode, stat.device], [inode, 1]);
  ok(files.setTimes(file, 11, -1));
  ok(files.setTimesPath(root, "file", true, -1, 22));
  ok(files.setMode(file, 0o600));
  ok(files.stat(file, stat));
  assert.deepEqual([stat.accessTime_ns, stat.modificationTime_ns, stat.mode], [11, 22, 0o600]);
  ok(files.setModePath(root, "file", true, 0o755));
  ok(files.makeSymbolicLink("file", root, "link"));
  ok(files.setTimesPath(root, "link", false, 33, 33));
  ok(files.stat(file, stat));
  assert.deepEqual([stat.accessTime_ns, stat.mode], [11, 0o755]);
  ok(files.setTimesPath(root, "link", true, 44, 44));
  ok(files.stat(file, stat));
  assert.equal(stat.accessTime_ns, 44);
});

test("calls that do not suit what is open", () => {
  const { rig, root, file } = opened();
  const { files } = rig;
  const buffer = new Uint8Array(8);
  const pipe = files.makePipe();
  assert.ok(typeof pipe === "object");
  fails(files.read(root, buffer, 0, 8), "ISDIR");
  fails(files.write(root, buffer, 0, 8), "ISDIR");
  fails(files.readAt(root, buffer, 0, 8, 0), "ISDIR");
  fails(files.seek(root, 0, whence.set), "BADF");
  fails(files.read(pipe.writer, buffer, 0, 8), "BADF");
  fails(files.write(pipe.reader, buffer, 0, 8), "BADF");
  for (const end of [pipe.reader, pipe.writer]) {
    fails(files.readAt(end, buffer, 0, 8, 0), "SPIPE");
    fails(files.writeAt(end, buffer, 0, 8, 0), "SPIPE");
    fails(files.seek(end, 0, whence.set), "SPIPE");
    fails(files.tell(end), "SPIPE");
    fails(files.truncate(end, 0), "INVAL");
    fails(files.allocate(end, 0, 1), "SPIPE");
    ok(files.sync(end));
  }
  for (const [offset, length] of [
    [0, 9],
    [9, 0],
    [-1, 1],
    [0, -1],
    [4, 5],
  ]) {
    fails(files.read(file, buffer, offset, length), "FAULT");
    fails(files.write(file, buffer, offset, length), "FAULT");
    fails(files.readAt(file, buffer, offset, length, 0), "FAULT");
    fails(files.writeAt(file, buffer, offset, length, 0), "FAULT");
    fails(files.write(pipe.writer, buffer, offset, length), "FAULT");
  }
  fails(files.readAt(file, buffer, 0, 1, -1), "INVAL");
  fails(files.writeAt(file, buffer, 0, 1, 0.5), "INVAL");
});

test("a read-only file system refuses every change and nothing else", () => {
  const { rig, root, file } = opened();
  const { files } = rig;
  files.write(file, text("content"), 0, 7);
  ok(files.makeDirectory(root, "directory", 0o755));
  files.release(file);
  rig.island.fileSystem(0).readOnly = true;
  const before = rig.inUse();
  assert.equal(rig.get(root, "file"), "content");
  fails(files.openPath(root, "file", creating), "ROFS");
  fails(files.openPath(root, "new", creating), "ROFS");
  fails(files.openPath(root, "file", { ...reading, truncate: true }), "ROFS");
  fails(files.makeDirectory(root, "directory", 0o755), "EXIST");
  fails(files.makeDirectory(root, "new", 0o755), "ROFS");
  fails(files.makeSymbolicLink("x", root, "new"), "ROFS");
  fails(files.link(root, "file", false, root, "new"), "ROFS");
  fails(files.unlink(root, "file"), "ROFS");
  fails(files.unlink(root, "absent"), "NOENT");
  fails(files.removeDirectory(root, "directory"), "ROFS");
  fails(files.rename(root, "file", root, "new"), "ROFS");
  fails(files.rename(root, "absent", root, "new"), "NOENT");
  fails(files.setTimesPath(root, "file", true, 1, 1), "ROFS");
  fails(files.setModePath(root, "file", true, 0o700), "ROFS");
  assert.deepEqual(rig.inUse(), before);
});

test("polling files and devices is always ready", () => {
  const { rig, file } = opened();
  const { files } = rig;
  files.write(file, text("12345"), 0, 5);
  files.seek(file, 2, whence.set);
  assert.equal(files.pollRead(file), 3);
  files.seek(file, 0, whence.end);
  assert.equal(files.pollRead(file), 0);
  assert.ok(files.pollWrite(file) > 0);
  assert.equal(files.readQueue(file) + files.writeQueue(file), 0);
  assert.equal(files.hangup(file), false);
  const device = ok(files.openDevice(deviceNumber.zero));
  assert.ok(files.pollRead(device) > 0);
  assert.equal(files.readQueue(device), 0);
});

test("directories are listed from any cookie", () => {
  const { rig, root } = opened();
  const { files } = rig;
  for (const name of ["a", "b", "c"]) ok(files.makeDirectory(root, name, 0o755));
  const seen: string[] = [];
  let cookie = 0;
  for (;;) {
    const before = seen.length;
    const result = files.readDirectory(root, cookie, (next, _inode, type, name) => {
      seen.push(`${new TextDecoder().decode(name)}:${type}`);
      cookie = next;
      return false;
    });
    ok(result);
    if (seen.length === before) break;
  }
  assert.deepEqual(seen, [".:3", "..:3", "file:4", "a:3", "b:3", "c:3"]);
});
