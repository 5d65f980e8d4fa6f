/** Several kernels, in threads of their own, on one ext2 file system: names, caches and sandboxes at once. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { assertClean } from "../ext2/support.ts";
import type { KernelAssignment } from "./kernels-worker.ts";
import { fails, Island, ok, Rig, reading } from "./rig.ts";

function onDisk(island: Island, owner: number, disk: SharedArrayBuffer, create: boolean): Rig {
  const options = {
    memory: island.memory,
    device: new Ramdisk({ buffer: disk }),
    owner,
    now_ns: () => 1_700_000_000_000_000_000,
  };
  const other = owner === 1 ? island : new Island(island.memory.buffer);
  other.openDisk = () => (create ? Ext2.create(options) : Ext2.attach(options));
  return new Rig(other, owner);
}

test("kernels that fight over names keep the sandbox, and leave a clean disk", async () => {
  const disk = new SharedArrayBuffer(16 << 20);
  const island = new Island();
  const rig = onDisk(island, 1, disk, true);
  const root = rig.mountRoot();
  for (const path of ["box", "outside"]) ok(rig.files.makeDirectory(root, path, 0o755));
  const before = rig.inUse();
  const work = [2, 3, 4].map((owner) => {
    const workerData: KernelAssignment = { island: island.memory.buffer, disk, owner, steps: 8000 };
    const worker = new Worker(new URL("./kernels-worker.ts", import.meta.url), { workerData });
    return new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  });
  await Promise.all(work);
  assert.deepEqual(rig.inUse(), before);
  rig.files.release(root);
  const fileSystem = rig.mounts.fileSystem(rig.mounts.root());
  assert.ok(fileSystem instanceof Ext2);
  fileSystem.unmount();
  const directory = mkdtempSync(join(tmpdir(), "archipelago-"));
  try {
    assertClean(disk, directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("what one kernel changes, another sees at once, cached or not", () => {
  const disk = new SharedArrayBuffer(4 << 20);
  const island = new Island();
  const here = onDisk(island, 1, disk, true);
  const root = here.mountRoot();
  const there = onDisk(island, 2, disk, false);
  const otherRoot = ok(there.files.openRoot());
  for (const path of ["a", "a/b", "c"]) ok(here.files.makeDirectory(root, path, 0o755));
  for (let round = 0; round < 20; round++) {
    here.put(root, "a/b/file", `first ${round}`);
    assert.equal(there.get(otherRoot, "a/b/file"), `first ${round}`);
    assert.equal(there.get(otherRoot, "a/b/file"), `first ${round}`);
    here.put(root, "a/b/new", `second ${round}`);
    ok(here.files.rename(root, "a/b/new", root, "a/b/file"));
    assert.equal(there.get(otherRoot, "a/b/file"), `second ${round}`);
    ok(here.files.rename(root, "a/b", root, "c/b"));
    fails(there.files.statPath(otherRoot, "a/b/file", true, emptyStat()), "NOENT");
    assert.equal(there.get(otherRoot, "c/b/file"), `second ${round}`);
    ok(there.files.rename(otherRoot, "c/b", otherRoot, "a/b"));
    fails(here.files.openPath(root, "c/b/file", reading), "NOENT");
    const file = ok(there.files.openPath(otherRoot, "a/b/file", reading));
    ok(here.files.unlink(root, "a/b/file"));
    fails(there.files.openPath(otherRoot, "a/b/file", reading), "NOENT");
    assert.equal(here.content(file), `second ${round}`);
    here.files.release(file);
  }
});

test("nothing can be made in a directory that was removed while it is open", () => {
  const disk = new SharedArrayBuffer(4 << 20);
  const rig = onDisk(new Island(), 1, disk, true);
  const root = rig.mountRoot();
  ok(rig.files.makeDirectory(root, "gone", 0o755));
  const gone = ok(rig.files.openPath(root, "gone", { ...reading, directory: true }));
  ok(rig.files.removeDirectory(root, "gone"));
  fails(rig.files.openPath(gone, "file", { ...reading, create: true, write: true }), "NOENT");
  fails(rig.files.makeDirectory(gone, "directory", 0o755), "NOENT");
  fails(rig.files.makeSymbolicLink("x", gone, "link"), "NOENT");
  const stat = emptyStat();
  ok(rig.files.stat(gone, stat));
  assert.equal(stat.linkCount, 0);
  rig.files.release(gone);
});
