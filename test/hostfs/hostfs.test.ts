import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { emptyStat, fileType } from "../../src/services/fs/filesystem.ts";
import type { HostNodes } from "../../src/services/fs/host-nodes.ts";
import { contentOf, listNames, mountFolder } from "./mount.ts";

const encode = (text: string) => new TextEncoder().encode(text);

test("a file written on one kernel is at once read on another, and on the host", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const directory = a.makeDirectory(a.rootInode, "d", 0o755);
  const inode = a.createFile(directory, "f", 0o644);
  const handle = a.open(inode, true);
  assert.equal(a.write(handle, encode("hello"), 0, 5, 0), 5);
  assert.equal(b.lookup(b.lookup(b.rootInode, "d"), "f"), inode);
  assert.equal(contentOf(b, inode), "hello");
  assert.equal(readFileSync(join(mount.folder, "d/f"), "utf8"), "hello");
  // An open file of one kernel is used and closed by another, as a process that moved would.
  assert.equal(b.write(handle, encode("J"), 0, 1, 0), 1);
  b.close(handle);
  assert.equal(contentOf(a, inode), "Jello");
  assert.equal(a.openHandles(), 0);
});

test("reads and writes go straight to shared memory", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const handle = fs.open(fs.createFile(fs.rootInode, "f", 0o600), true);
  const memory = new Uint8Array(new SharedArrayBuffer(64));
  memory.set(encode("abcdef"), 10);
  assert.equal(fs.write(handle, memory, 12, 3, 4), 3);
  assert.equal(fs.read(handle, memory, 40, 20, 0), 7);
  assert.deepEqual([...memory.slice(40, 47)], [0, 0, 0, 0, ...encode("cde")]);
  assert.equal(fs.read(handle, memory, 0, 8, 7), 0, "end of file");
  fs.close(handle);
});

test("stat tells what the host tells", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  writeFileSync(join(mount.folder, "f"), "12345");
  chmodSync(join(mount.folder, "f"), 0o640);
  linkSync(join(mount.folder, "f"), join(mount.folder, "g"));
  const stat = emptyStat();
  const inode = fs.lookup(fs.rootInode, "f");
  assert.equal(fs.stat(inode, stat), 0);
  const host = statSync(join(mount.folder, "f"));
  assert.deepEqual(
    [stat.fileType, stat.mode, stat.linkCount, stat.size_bytes, stat.inode],
    [fileType.regularFile, 0o640, 2, 5, inode],
  );
  assert.ok(Math.abs(stat.modificationTime_ns - host.mtimeMs * 1e6) < 1e3);
  assert.equal(fs.lookup(fs.rootInode, "g"), inode, "two names of one file have one inode number");
  assert.equal(fs.setTimes(inode, 1e9, -1), 0);
  assert.equal(fs.setMode(inode, 0o4755), 0);
  assert.equal(fs.stat(inode, stat), 0);
  assert.equal(stat.accessTime_ns, 1e9);
  assert.equal(stat.mode, 0o755);
  assert.equal(statSync(join(mount.folder, "f")).mode & 0o7777, 0o755, "no set-user-id bit on the host");
});

test("an unlinked file lives until its last handle is closed, on whatever kernel", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const inode = a.createFile(a.rootInode, "f", 0o600);
  const first = a.open(inode, true);
  const second = b.open(inode, false);
  a.write(first, encode("data"), 0, 4, 0);
  assert.equal(b.unlink(b.rootInode, "f"), 0);
  assert.equal(a.lookup(a.rootInode, "f"), -errno.NOENT);
  const stat = emptyStat();
  assert.equal(b.stat(inode, stat), 0);
  assert.deepEqual([stat.linkCount, stat.size_bytes], [0, 4]);
  assert.equal(a.setMode(inode, 0o400), 0);
  a.close(first);
  const bytes = new Uint8Array(4);
  assert.equal(b.read(second, bytes, 0, 4, 0), 4);
  assert.equal(new TextDecoder().decode(bytes), "data");
  b.close(second);
  assert.equal(b.stat(inode, stat), -errno.NOENT);
});

test("appends of several kernels go to the end, each as one step", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const inode = a.createFile(a.rootInode, "log", 0o600);
  const handles = [a.open(inode, true), b.open(inode, true)];
  let size = 0;
  for (let round = 0; round < 20; round++) {
    const line = encode(`line ${round}\n`);
    size += line.length;
    assert.equal(mount.kernels[round % 2].append(handles[round % 2], line, 0, line.length), size);
  }
  const shared = b.append(handles[0], encode("!"), 0, 1);
  assert.equal(shared, size + 1);
  const reading = a.open(inode, false);
  assert.equal(a.append(reading, encode("!"), 0, 1), -errno.BADF);
  assert.equal(a.write(reading, encode("!"), 0, 1, 0), -errno.BADF);
  a.close(reading);
  handles.forEach((handle) => {
    a.close(handle);
  });
  assert.equal(readFileSync(join(mount.folder, "log"), "utf8").split("\n").length, 21);
});

test("rename keeps inode numbers and open files, on all kernels", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const from = a.makeDirectory(a.rootInode, "from", 0o755);
  const inner = a.makeDirectory(from, "inner", 0o755);
  const file = a.createFile(inner, "file", 0o644);
  assert.equal(b.lookup(inner, "file"), file);
  assert.equal(a.rename(a.rootInode, "from", a.rootInode, "to"), 0);
  assert.equal(b.lookup(inner, "file"), file, "the directory's number leads to where it is now");
  assert.equal(b.lookup(b.rootInode, "to"), from);
  assert.equal(b.lookup(b.rootInode, "from"), -errno.NOENT);
  assert.equal(contentOf(b, file), "");
  assert.equal(a.rename(a.rootInode, "to", inner, "loop"), -errno.INVAL, "not below itself");
  const other = a.createFile(a.rootInode, "other", 0o644);
  const handle = b.open(other, true);
  b.write(handle, encode("new"), 0, 3, 0);
  assert.equal(a.rename(a.rootInode, "other", inner, "file"), 0);
  assert.equal(b.lookup(inner, "file"), other);
  assert.equal(contentOf(a, other), "new");
  b.close(handle);
});

// Found by the race of a replaced file: the host reuses inode numbers at once.
test("a file that takes over the host's inode number of a removed one is another file", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const removed = fs.createFile(fs.rootInode, "a", 0o644);
  assert.equal(fs.unlink(fs.rootInode, "a"), 0);
  const replaced = fs.createFile(fs.rootInode, "b", 0o644);
  assert.notEqual(replaced, removed);
  assert.equal(fs.stat(removed, emptyStat()), -errno.NOENT);
  const target = fs.createFile(fs.rootInode, "c", 0o644);
  assert.equal(fs.rename(fs.rootInode, "b", fs.rootInode, "c"), 0);
  assert.equal(fs.lookup(fs.rootInode, "c"), replaced);
  assert.notEqual(fs.createFile(fs.rootInode, "d", 0o644), target);
});

test("a removed directory finds nothing, also when another takes its name", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const old = a.makeDirectory(a.rootInode, "d", 0o755);
  const handle = a.open(old, false);
  assert.equal(b.removeDirectory(b.rootInode, "d"), 0);
  const fresh = b.makeDirectory(b.rootInode, "d", 0o755);
  b.createFile(fresh, "f", 0o644);
  assert.notEqual(fresh, old);
  assert.equal(a.lookup(old, "f"), -errno.NOENT);
  assert.equal(a.createFile(old, "g", 0o644), -errno.NOENT);
  assert.ok(a.lookup(fresh, "f") > 0);
  a.close(handle);
});

test("errors have the right numbers", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const root = fs.rootInode;
  const directory = fs.makeDirectory(root, "d", 0o755);
  const file = fs.createFile(root, "f", 0o644);
  fs.createFile(directory, "x", 0o644);
  const long = "ä".repeat(128);
  assert.equal(fs.lookup(root, "nothing"), -errno.NOENT);
  assert.equal(fs.lookup(file, "x"), -errno.NOTDIR);
  assert.equal(fs.createFile(root, "f", 0o644), -errno.EXIST);
  assert.equal(fs.makeDirectory(root, "d", 0o755), -errno.EXIST);
  assert.equal(fs.createFile(root, long, 0o644), -errno.NAMETOOLONG);
  assert.ok(fs.createFile(root, long.slice(1), 0o644) > 0, "254 bytes fit");
  assert.equal(fs.lookup(root, long), -errno.NAMETOOLONG);
  assert.equal(fs.removeDirectory(root, "d"), -errno.NOTEMPTY);
  assert.equal(fs.removeDirectory(root, "f"), -errno.NOTDIR);
  assert.equal(fs.unlink(root, "d"), -errno.ISDIR);
  assert.equal(fs.unlink(root, "nothing"), -errno.NOENT);
  assert.equal(fs.open(directory, true), -errno.ISDIR);
  assert.equal(fs.rename(root, "f", root, "d"), -errno.ISDIR);
  assert.equal(fs.rename(root, "d", root, "f"), -errno.NOTDIR);
  assert.equal(fs.createFile(root, "a\0b", 0o644), -errno.INVAL);
  for (const name of ["..", ".", "d/x", "../mount"]) {
    assert.equal(fs.lookup(root, name), -errno.INVAL, name);
    assert.equal(fs.createFile(root, name, 0o644), -errno.INVAL, name);
  }
  const handle = fs.open(directory, false);
  assert.equal(fs.read(handle, new Uint8Array(1), 0, 1, 0), -errno.ISDIR);
  fs.close(handle);
});

test("a read-only mount refuses every change", () => {
  using mount = mountFolder({ readOnly: true });
  const [fs] = mount.kernels;
  const root = fs.rootInode;
  mkdirSync(join(mount.folder, "d"));
  writeFileSync(join(mount.folder, "f"), "text");
  const file = fs.lookup(root, "f");
  const refused = -errno.ROFS;
  assert.equal(fs.readOnly, true);
  assert.equal(fs.createFile(root, "n", 0o644), refused);
  assert.equal(fs.makeDirectory(root, "n", 0o755), refused);
  assert.equal(fs.makeSymbolicLink(root, "n", "f"), refused);
  assert.equal(fs.link(file, root, "n"), refused);
  assert.equal(fs.unlink(root, "f"), refused);
  assert.equal(fs.removeDirectory(root, "d"), refused);
  assert.equal(fs.rename(root, "f", root, "g"), refused);
  assert.equal(fs.setMode(file, 0o600), refused);
  assert.equal(fs.setTimes(file, 0, 0), refused);
  assert.equal(fs.open(file, true), refused);
  const handle = fs.open(file, false);
  assert.equal(fs.write(handle, encode("x"), 0, 1, 0), refused);
  assert.equal(fs.append(handle, encode("x"), 0, 1), refused);
  assert.equal(fs.truncate(handle, 0), refused);
  fs.close(handle);
  assert.equal(contentOf(fs, file), "text");
  assert.deepEqual(readdirSync(mount.folder).sort(), ["d", "f"]);
});

test("extending makes a file longer and never shorter", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  writeFileSync(join(mount.folder, "f"), "text");
  const file = fs.lookup(fs.rootInode, "f");
  const handle = fs.open(file, true);
  assert.equal(fs.extend(handle, 2), 0);
  assert.equal(contentOf(fs, file), "text");
  assert.equal(fs.extend(handle, 6), 0);
  assert.equal(contentOf(fs, file), "text\0\0");
  const reading = fs.open(file, false);
  assert.ok(fs.extend(reading, 9) < 0);
  fs.close(handle);
  fs.close(reading);
});

test("what a core that died had locked is free again", () => {
  // It was not: files that it was writing to, and all names, stayed locked for ever.
  using mount = mountFolder({ kernels: 2 });
  const [fs] = mount.kernels;
  writeFileSync(join(mount.folder, "f"), "text");
  const file = fs.lookup(fs.rootInode, "f");
  const handle = fs.open(file, true);
  const { nodes } = fs as unknown as { nodes: HostNodes };
  const dead = 2;
  nodes.table.acquireMutex(0, dead);
  nodes.records.acquireSizeMutex(nodes.slotOf(file), dead);
  fs.recover(dead);
  assert.equal(fs.write(handle, encode("more"), 0, 4, 4), 4);
  assert.equal(fs.lookup(fs.rootInode, "f"), file);
  fs.close(handle);
});

test("symbolic links are shown, never followed, and may not lead out", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const root = fs.rootInode;
  const directory = fs.makeDirectory(root, "d", 0o755);
  writeFileSync(join(mount.folder, "..", "secret"), "secret");
  symlinkSync("../secret", join(mount.folder, "out"));
  symlinkSync("/etc", join(mount.folder, "etc"));
  symlinkSync("nothing", join(mount.folder, "dangling"));
  const stat = emptyStat();
  for (const [name, target] of [
    ["out", "../secret"],
    ["etc", "/etc"],
    ["dangling", "nothing"],
  ]) {
    const link = fs.lookup(root, name);
    assert.equal(fs.stat(link, stat), 0);
    assert.equal(stat.fileType, fileType.symbolicLink);
    assert.equal(fs.readSymbolicLink(link), target);
    assert.equal(fs.open(link, false), -errno.LOOP);
    assert.equal(fs.open(link, true), -errno.LOOP);
    assert.ok(fs.lookup(link, "passwd") < 0);
    assert.ok(fs.createFile(link, "x", 0o644) < 0);
    assert.ok(fs.setMode(link, 0o600) < 0);
    assert.equal(fs.createFile(root, name, 0o644), -errno.EXIST);
  }
  assert.equal(lstatSync("/etc").mode & 0o777, 0o755);
  for (const target of ["/etc/passwd", "..", "../secret", "d/../../secret", "./../x", "d/../x", "x/../.."]) {
    assert.equal(fs.makeSymbolicLink(root, "new", target), -errno.PERM, target);
  }
  assert.equal(fs.makeSymbolicLink(directory, "new", "../../secret"), -errno.PERM);
  assert.ok(fs.makeSymbolicLink(directory, "up", "../d/x") > 0);
  assert.equal(fs.rename(directory, "up", root, "up"), -errno.PERM, "it would lead out from there");
  assert.equal(fs.link(fs.lookup(directory, "up"), root, "up"), -errno.PERM);
  assert.equal(fs.rename(directory, "up", directory, "same"), 0);
  assert.equal(fs.rename(root, "etc", directory, "etc"), 0, "the user's own link may be moved");
});

test("devices and FIFOs of the host are listed but never opened", (context) => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  try {
    execFileSync("mkfifo", [join(mount.folder, "fifo")]);
  } catch {
    context.skip("mkfifo is not installed");
    return;
  }
  assert.ok(listNames(fs, fs.rootInode).includes("fifo"));
  const fifo = fs.lookup(fs.rootInode, "fifo");
  assert.equal(fs.open(fifo, false), -errno.ACCES);
  assert.equal(fs.open(fifo, true), -errno.ACCES);
  assert.equal(fs.setMode(fifo, 0o777), -errno.ACCES);
});

test("positions in a directory stay good while names come and go", () => {
  using mount = mountFolder({ kernels: 2 });
  const [a, b] = mount.kernels;
  const names = Array.from({ length: 300 }, (_, index) => `file-${index}`);
  for (const name of names) writeFileSync(join(mount.folder, name), "");
  assert.deepEqual(listNames(a, a.rootInode, 7).sort(), [".", "..", ...names].sort());
  // Half of the names are removed, and others made, between two parts of a reading.
  const seen: string[] = [];
  let cookie = 0;
  let removed = false;
  for (;;) {
    let count = 0;
    const kernel = removed ? b : a;
    kernel.readDirectory(kernel.rootInode, cookie, (next, _inode, _type, name) => {
      if (count++ === 100) return false;
      seen.push(new TextDecoder().decode(name));
      cookie = next;
      return true;
    });
    if (count === 0) break;
    if (!removed) {
      for (let index = 0; index < 300; index += 2) a.unlink(a.rootInode, `file-${index}`);
      for (let index = 0; index < 50; index++) a.createFile(a.rootInode, `new-${index}`, 0o644);
      removed = true;
    }
  }
  assert.equal(new Set(seen).size, seen.length, "no name twice");
  for (let index = 1; index < 300; index += 2)
    assert.ok(seen.includes(`file-${index}`), "what stayed is seen");
  assert.deepEqual(listNames(b, b.rootInode).length, 2 + 150 + 50);
});

test("removing what is read while it is read removes everything", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  for (let index = 0; index < 100; index++) writeFileSync(join(mount.folder, `f${index}`), "");
  for (let cookie = 0; ; ) {
    const found: string[] = [];
    fs.readDirectory(fs.rootInode, cookie, (next, _inode, _type, name) => {
      if (found.length === 10) return false;
      found.push(new TextDecoder().decode(name));
      cookie = next;
      return true;
    });
    if (found.length === 0) break;
    for (const name of found) if (!name.startsWith(".")) fs.unlink(fs.rootInode, name);
  }
  assert.deepEqual(readdirSync(mount.folder), []);
});

test("names that are no UTF-8 are left out of listings", { skip: process.platform !== "linux" }, () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  writeFileSync(Buffer.concat([Buffer.from(`${mount.folder}/`), Buffer.from([0x66, 0xff])]), "");
  writeFileSync(join(mount.folder, "ö"), "");
  assert.deepEqual(listNames(fs, fs.rootInode).sort(), [".", "..", "ö"]);
});

test("regression: names that begin with a byte order mark keep it", {
  skip: process.platform !== "linux",
}, () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const name = "\uFEFFmarked";
  writeFileSync(join(mount.folder, name), "with");
  writeFileSync(join(mount.folder, "marked"), "without");
  const names: string[] = [];
  fs.readDirectory(fs.rootInode, 0, (_next, _inode, _type, bytes) => {
    names.push(Buffer.from(bytes).toString("utf8"));
    return true;
  });
  for (const entry of [".", "..", name, "marked"]) assert.ok(names.includes(entry), entry);
  assert.equal(contentOf(fs, fs.lookup(fs.rootInode, name)), "with");
  assert.equal(contentOf(fs, fs.lookup(fs.rootInode, "marked")), "without");
});

test("what the host's own programs change is seen", () => {
  using mount = mountFolder();
  const [fs] = mount.kernels;
  const path = (name: string) => join(mount.folder, name);
  mkdirSync(path("d"));
  writeFileSync(path("d/f"), "old");
  const directory = fs.lookup(fs.rootInode, "d");
  assert.equal(contentOf(fs, fs.lookup(directory, "f")), "old");
  writeFileSync(path("d/g"), "new");
  renameSync(path("d/g"), path("d/f"));
  assert.equal(contentOf(fs, fs.lookup(directory, "f")), "new");
  rmSync(path("d"), { recursive: true });
  assert.ok(fs.lookup(directory, "f") < 0);
  mkdirSync(path("d"));
  writeFileSync(path("d/f"), "again");
  assert.equal(contentOf(fs, fs.lookup(fs.lookup(fs.rootInode, "d"), "f")), "again");
  renameSync(path("d"), path("e"));
  symlinkSync("e", path("d"));
  assert.ok(fs.lookup(directory, "f") < 0, "a directory that became a link is not walked through");
  assert.equal(contentOf(fs, fs.lookup(fs.lookup(fs.rootInode, "e"), "f")), "again");
});

test("more files than the table holds: old numbers go stale, open files stay", () => {
  using mount = mountFolder({ kernels: 2, nodes: 64 });
  const [a, b] = mount.kernels;
  const deep = a.makeDirectory(a.makeDirectory(a.rootInode, "x", 0o755), "y", 0o755);
  const kept = a.createFile(deep, "kept", 0o644);
  const handle = a.open(kept, true);
  const first = a.createFile(a.rootInode, "first", 0o644);
  for (let index = 0; index < 500; index++) assert.ok(b.createFile(b.rootInode, `n${index}`, 0o644) > 0);
  const stat = emptyStat();
  assert.equal(a.stat(first, stat), -errno.STALE);
  assert.notEqual(a.lookup(a.rootInode, "first"), first, "a new generation");
  assert.equal(
    a.lookup(a.lookup(a.rootInode, "x"), "y"),
    deep,
    "directories above open files keep their numbers",
  );
  assert.equal(b.write(handle, encode("ok"), 0, 2, 0), 2);
  assert.equal(contentOf(b, kept), "ok");
  a.close(handle);
  // Every record but the root's held open: no number is left, and that is said.
  const handles: number[] = [];
  let result = 0;
  for (let index = 0; index < 100 && result >= 0; index++) {
    result = a.createFile(a.rootInode, `open${index}`, 0o644);
    if (result >= 0) handles.push(a.open(result, false));
  }
  assert.equal(result, -errno.NFILE);
  for (const open of handles) a.close(open);
  assert.ok(a.lookup(a.rootInode, "first") > 0);
  assert.equal(a.openHandles(), 0);
});

test("no host file stays open", { skip: !existsSync("/proc/self/fd") }, () => {
  const before = readdirSync("/proc/self/fd").length;
  {
    using mount = mountFolder({ kernels: 2 });
    const [a, b] = mount.kernels;
    for (let round = 0; round < 50; round++) {
      const directory = a.makeDirectory(a.rootInode, `d${round}`, 0o755);
      const file = b.createFile(directory, "f", 0o644);
      const handle = b.open(file, true);
      a.append(handle, encode("x"), 0, 1);
      b.open(directory, true);
      a.open(-1, false);
      a.setMode(file, 0o600);
      b.close(handle);
    }
  }
  assert.equal(readdirSync("/proc/self/fd").length, before);
});
