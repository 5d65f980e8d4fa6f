/** The mount table: crossing mounts, what they protect, and taking them away again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../src/kernel/state.ts";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { creating, fails, Island, ok, Rig, reading } from "./rig.ts";

/** A root with a second file system at /mnt and a third at /mnt/inner. */
function mounted(): { rig: Rig; root: number } {
  const rig = new Rig();
  const root = rig.mountRoot();
  ok(rig.files.makeDirectory(root, "mnt", 0o755));
  rig.put(root, "mnt/covered", "covered");
  rig.put(root, "above", "above");
  ok(rig.mounts.mountExt2("/mnt", 1, false));
  ok(rig.files.makeDirectory(root, "mnt/inner", 0o755));
  rig.put(root, "mnt/file", "in one");
  ok(rig.mounts.mountHost("/mnt/inner/", 2, false));
  rig.put(root, "mnt/inner/file", "in two");
  return { rig, root };
}

test("walks cross mounts downwards and upwards", () => {
  const { rig, root } = mounted();
  assert.equal(rig.get(root, "mnt/file"), "in one");
  assert.equal(rig.get(root, "mnt/inner/file"), "in two");
  assert.equal(rig.get(root, "mnt/inner/../file"), "in one");
  assert.equal(rig.get(root, "mnt/inner/../../above"), "above");
  assert.equal(rig.get(root, "mnt/../mnt/inner/./../inner/file"), "in two");
  fails(rig.files.openPath(root, "mnt/covered", reading), "NOENT");
  fails(rig.files.openPath(root, "mnt/inner/../../..", reading), "NOTCAPABLE");
  ok(rig.files.makeSymbolicLink("../above", root, "mnt/up"));
  assert.equal(rig.get(root, "mnt/up"), "above");
  const inner = ok(rig.files.openPath(root, "mnt/inner", { ...reading, directory: true }));
  fails(rig.files.openPath(inner, "../file", reading), "NOTCAPABLE");
  fails(rig.files.openPath(inner, "..", reading), "NOTCAPABLE");
});

test("attributes tell mounts apart", () => {
  const { rig, root } = mounted();
  const devices = ["above", "mnt", "mnt/file", "mnt/inner", "mnt/inner/file"].map((path) => {
    const stat = { ...emptyStat(), device: 0 };
    ok(rig.files.statPath(root, path, true, stat));
    return stat.device;
  });
  assert.deepEqual(devices, [1, 2, 2, 3, 3]);
});

test("mount points cannot be removed, renamed or replaced", () => {
  const { rig, root } = mounted();
  const { files } = rig;
  ok(files.makeDirectory(root, "other", 0o755));
  const before = rig.inUse();
  fails(files.removeDirectory(root, "mnt"), "BUSY");
  fails(files.unlink(root, "mnt"), "ISDIR");
  fails(files.rename(root, "mnt", root, "moved"), "BUSY");
  fails(files.rename(root, "other", root, "mnt"), "BUSY");
  fails(files.removeDirectory(root, "mnt/inner"), "BUSY");
  fails(files.makeDirectory(root, "mnt", 0o755), "EXIST");
  assert.deepEqual(rig.inUse(), before);
});

test("nothing is renamed or linked across mounts", () => {
  const { rig, root } = mounted();
  const { files } = rig;
  const before = rig.inUse();
  fails(files.rename(root, "above", root, "mnt/above"), "XDEV");
  fails(files.rename(root, "mnt/inner/file", root, "mnt/moved"), "XDEV");
  fails(files.link(root, "above", false, root, "mnt/above"), "XDEV");
  ok(files.rename(root, "mnt/file", root, "mnt/renamed"));
  assert.deepEqual(rig.inUse(), before);
});

test("unmounting uncovers, unless somebody uses the mount", () => {
  const { rig, root } = mounted();
  const { mounts, files } = rig;
  fails(mounts.unmount("/mnt"), "BUSY");
  const file = ok(files.openPath(root, "mnt/inner/file", reading));
  fails(mounts.unmount("/mnt/inner"), "BUSY");
  files.release(file);
  ok(mounts.unmount("/mnt/inner"));
  fails(mounts.unmount("/mnt/inner"), "INVAL");
  fails(files.openPath(root, "mnt/inner/file", reading), "NOENT");
  ok(mounts.unmount("//mnt/./"));
  assert.equal(rig.get(root, "mnt/covered"), "covered");
  assert.deepEqual(
    rig.island.fileSystems.filter(Boolean).map(({ closed }) => closed),
    [false, true, true],
  );
  fails(mounts.unmount("/"), "BUSY");
  files.release(root);
  ok(mounts.unmount("/"));
  assert.equal(mounts.root(), 0);
  fails(files.openRoot(), "NOENT");
});

test("the path cache forgets what a mount or unmount has changed", () => {
  const { rig, root } = mounted();
  for (let round = 0; round < 3; round++) {
    assert.equal(rig.get(root, "mnt/file"), "in one");
    assert.equal(rig.get(root, "above"), "above");
    ok(rig.files.makeDirectory(root, `dir${round}`, 0o755));
    rig.put(root, `dir${round}/x`, "covered");
    assert.equal(rig.get(root, `dir${round}/x`), "covered");
    ok(rig.mounts.mountExt2(`/dir${round}`, 10 + round, false));
    fails(rig.files.openPath(root, `dir${round}/x`, reading), "NOENT");
    rig.put(root, `dir${round}/x`, "mounted");
    assert.equal(rig.get(root, `dir${round}/x`), "mounted");
    ok(rig.mounts.unmount(`/dir${round}`));
    assert.equal(rig.get(root, `dir${round}/x`), "covered");
  }
});

test("mounts can be stacked, and the last comes off first", () => {
  const { rig, root } = mounted();
  ok(rig.mounts.mountExt2("/mnt/inner", 5, false));
  fails(rig.files.openPath(root, "mnt/inner/file", reading), "NOENT");
  ok(rig.mounts.unmount("/mnt/inner"));
  assert.equal(rig.get(root, "mnt/inner/file"), "in two");
});

test("all kernels see a mount at once, and build it for themselves", () => {
  const island = new Island();
  const here = new Rig(island, 1);
  const there = new Rig(island, 2);
  const root = here.mountRoot();
  const otherRoot = ok(there.files.openRoot());
  ok(here.files.makeDirectory(root, "mnt", 0o755));
  fails(there.files.openPath(otherRoot, "mnt/file", reading), "NOENT");
  ok(here.mounts.mountExt2("/mnt", 1, false));
  here.put(root, "mnt/file", "mounted here");
  assert.equal(there.get(otherRoot, "mnt/file"), "mounted here");
  ok(here.mounts.unmount("/mnt"));
  fails(there.files.openPath(otherRoot, "mnt/file", reading), "NOENT");
  // The same record now stands for another file system: the object that was built for it must not serve.
  ok(there.mounts.mountExt2("/mnt", 2, false));
  there.put(otherRoot, "mnt/file", "mounted there");
  const file = ok(there.files.openPath(otherRoot, "mnt/file", reading));
  assert.equal(here.content(file), "mounted there");
  assert.equal(here.get(root, "mnt/file"), "mounted there");
  fails(here.mounts.unmount("/mnt"), "BUSY");
  there.files.release(file);
  ok(here.mounts.unmount("/mnt"));
});

test("what cannot be mounted", () => {
  const { rig, root } = mounted();
  const { mounts } = rig;
  const before = rig.inUse();
  fails(mounts.mountExt2("/absent", 3, false), "NOENT");
  fails(mounts.mountExt2("/above", 3, false), "NOTDIR");
  fails(mounts.mountExt2("relative", 3, false), "INVAL");
  fails(mounts.mountExt2("/mnt/../mnt", 3, false), "INVAL");
  fails(mounts.mountExt2("/", 3, false), "BUSY");
  fails(mounts.mountExt2(`/${"x".repeat(255)}`, 3, false), "NAMETOOLONG");
  assert.deepEqual(rig.inUse(), before);
  rig.put(root, "target", "");
  assert.equal(mounts.list().length, 3);
  const empty = new Rig();
  fails(empty.mounts.mountExt2("/mnt", 0, false), "NOENT");
  fails(empty.mounts.unmount("/"), "INVAL");
});

test("a full mount table refuses more, and can be emptied", () => {
  const { rig, root } = mounted();
  const free = limits.mounts - 1 - rig.mounts.list().length;
  for (let number = 0; number <= free; number++) {
    ok(rig.files.makeDirectory(root, `m${number}`, 0o755));
    const result = rig.mounts.mountExt2(`/m${number}`, 20 + number, false);
    if (number === free) fails(result, "NFILE");
    else ok(result);
  }
  for (let number = 0; number < free; number++) ok(rig.mounts.unmount(`/m${number}`));
  assert.equal(rig.mounts.list().length, 3);
});

test("a file system that cannot be built is not mounted", () => {
  const rig = new Rig();
  const root = rig.mountRoot();
  ok(rig.files.makeDirectory(root, "mnt", 0o755));
  const before = rig.inUse();
  rig.island.openDisk = () => {
    throw new Error("not an ext2 image");
  };
  assert.throws(() => rig.mounts.mountExt2("/mnt", 1, false), /not an ext2 image/);
  assert.deepEqual(rig.inUse(), before);
  rig.put(root, "mnt/file", "still the directory");
  ok(rig.files.unlink(root, "mnt/file"));
});

test("mounting over a directory that is being removed fails, or the removal does", () => {
  // The removal runs between any two steps of the mount, and the other way round.
  for (let step = 0; step < 12; step++) {
    const island = new Island();
    const rig = new Rig(island, 1);
    const root = rig.mountRoot();
    const other = new Rig(island, 2);
    const otherRoot = ok(other.files.openRoot());
    ok(rig.files.makeDirectory(root, "mnt", 0o755));
    const before = rig.inUse();
    const fileSystem = island.fileSystem(0);
    let count = 0;
    let removed = -1;
    fileSystem.hook = () => {
      if (count++ !== step) return;
      fileSystem.hook = () => {};
      removed = other.files.removeDirectory(otherRoot, "mnt");
    };
    const mount = rig.mounts.mountExt2("/mnt", 1, false);
    fileSystem.hook = () => {};
    assert.notEqual(mount >= 0, removed === 0, `step ${step}: mount ${mount}, removal ${removed}`);
    if (mount >= 0) ok(rig.mounts.unmount("/mnt"));
    assert.deepEqual(rig.inUse(), before);
  }
});

test("a file can be created through a mount while it is cached elsewhere", () => {
  const { rig, root } = mounted();
  rig.put(root, "mnt/new", "one");
  const file = ok(rig.files.openPath(root, "mnt/new", { ...creating, truncate: true }));
  assert.equal(rig.content(file), "");
});
