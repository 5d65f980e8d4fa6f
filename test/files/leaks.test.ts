/** Random workloads on two kernels: whatever they do and however it fails, nothing is left when all is closed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openFileKind } from "../../src/kernel/state.ts";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { Namespace } from "../../src/services/fs/namespace.ts";
import { creating, fails, Island, ok, Rig, reading } from "./rig.ts";

const slot = 3;
const name = fc.constantFrom("a", "b", "mnt", "dev", "proc", "link", "..", ".", "null", "version", "x/");
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const fd = fc.nat(12);
const kernel = fc.nat(1);

const step = fc.oneof(
  fc.record({ kind: fc.constant("open" as const), kernel, path, flags: fc.nat(127) }),
  fc.record({ kind: fc.constant("close" as const), kernel, fd }),
  fc.record({ kind: fc.constant("renumber" as const), kernel, fd, to: fd }),
  fc.record({ kind: fc.constant("inherit" as const), kernel, fd }),
  fc.record({ kind: fc.constant("transfer" as const), kernel, fd, length: fc.nat(9000) }),
  fc.record({ kind: fc.constant("pipe" as const), kernel }),
  fc.record({ kind: fc.constant("names" as const), kernel, which: fc.nat(9), path, other: path }),
  fc.record({ kind: fc.constant("mount" as const), kernel, path, mounts: fc.boolean() }),
);

test("random workloads leave nothing behind", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const island = new Island();
      const rigs = [new Rig(island, 1), new Rig(island, 2)];
      const root = rigs[0].mountRoot();
      for (const directory of ["a", "mnt", "dev", "proc"])
        ok(rigs[0].files.makeDirectory(root, directory, 0o755));
      ok(rigs[0].files.makeSymbolicLink("../a", root, "a/link"));
      const before = rigs[0].inUse();
      ok(rigs[0].mounts.mountDevice("/dev"));
      ok(rigs[0].mounts.mountProcess("/proc"));
      let instance = 1;
      for (const one of steps) {
        const rig = rigs[one.kernel];
        const { files } = rig;
        if (one.kind === "open") {
          const file = files.openPath(root, one.path, {
            ...reading,
            create: (one.flags & 1) !== 0,
            exclusive: (one.flags & 2) !== 0,
            directory: (one.flags & 4) !== 0,
            truncate: (one.flags & 8) !== 0,
            write: (one.flags & 16) !== 0,
            followLast: (one.flags & 32) !== 0,
          });
          if (file >= 0 && files.install(slot, file, 0x3fffffff, 0) < 0) files.release(file);
        } else if (one.kind === "close") files.closeDescriptor(slot, one.fd);
        else if (one.kind === "renumber") files.renumber(slot, one.fd, one.to);
        else if (one.kind === "inherit") {
          const file = files.lookup(slot, one.fd, 0);
          if (file < 0) continue;
          files.retain(file);
          files.installAt(slot + 1, one.fd, file, 0, 0);
        } else if (one.kind === "transfer") {
          const file = files.lookup(slot, one.fd, 0);
          const buffer = new Uint8Array(one.length);
          if (file < 0) continue;
          files.write(file, buffer, 0, one.length);
          files.read(file, buffer, 0, one.length);
          files.stat(file, emptyStat());
        } else if (one.kind === "pipe") {
          const pipe = files.makePipe();
          if (typeof pipe === "number") continue;
          ok(files.install(slot, pipe.reader, 0, 0));
          ok(files.install(slot, pipe.writer, 0, 0));
        } else if (one.kind === "mount") {
          if (one.mounts) rig.mounts.mountExt2(`/${one.path.replaceAll("..", "a")}`, instance++, false);
          else rig.mounts.unmount(`/${one.path.replaceAll("..", "a")}`);
        } else {
          const changes = [
            () => files.makeDirectory(root, one.path, 0o755),
            () => files.makeSymbolicLink(one.other, root, one.path),
            () => files.link(root, one.path, true, root, one.other),
            () => files.unlink(root, one.path),
            () => files.removeDirectory(root, one.path),
            () => files.rename(root, one.path, root, one.other),
            () => files.setTimesPath(root, one.path, true, 1, 1),
            () => files.setModePath(root, one.path, false, 0o700),
            () => files.readSymbolicLink(root, one.path),
            () => files.statPath(root, one.path, true, emptyStat()),
          ];
          changes[one.which]();
        }
      }
      rigs[1].files.closeAll(slot);
      rigs[0].files.closeAll(slot + 1);
      // Mounts lie on mounts: one that is still used goes in a later round.
      for (let round = 0; rigs[1].mounts.list().length > 1; round++) {
        assert.ok(round < 64, "mounts remain in use");
        for (const { path: at } of rigs[1].mounts.list()) if (at !== "/") rigs[round % 2].mounts.unmount(at);
      }
      assert.deepEqual(rigs[0].inUse(), before);
    }),
    { numRuns: 250 },
  );
});

test("a change that a dead core was making does not stop caching and mounting for ever", () => {
  const rig = new Rig();
  const root = rig.mountRoot();
  ok(rig.files.makeDirectory(root, "mnt", 0o755));
  new Namespace(rig.areas.system, 40).beginChange();
  assert.equal(rig.mounts.namespace.stamp(), -1);
  rig.files.recover(40);
  assert.ok(rig.mounts.namespace.stamp() >= 0);
  ok(rig.mounts.mountExt2("/mnt", 1, false));
  assert.throws(() => new Namespace(rig.areas.system, 96), /beyond 96/);
});

test("a mount that a dead core was making is undone", () => {
  const island = new Island();
  const rig = new Rig(island, 1);
  const root = rig.mountRoot();
  const dying = new Rig(island, 2);
  ok(rig.files.makeDirectory(root, "mnt", 0o755));
  rig.put(root, "mnt/file", "covered");
  const before = rig.inUse();
  // It dies on its way to look whether the directory is still there, after everybody could see the mount.
  const fileSystem = island.fileSystem(0);
  const published = rig.areas.system.mountGeneration(0) + 1;
  fileSystem.hook = () => {
    if (rig.areas.system.mountGeneration(0) < published) return;
    fileSystem.hook = () => {};
    // The locks that a real death would leave held.
    throw new Error("the core died");
  };
  const { system } = rig.areas;
  assert.throws(() => dying.mounts.mountExt2("/mnt", 1, false), /the core died/);
  system.acquireMountMutex(0, 2);
  fails(rig.files.removeDirectory(root, "mnt"), "BUSY");
  assert.equal(rig.get(root, "mnt/file"), "covered");
  rig.files.recover(2);
  assert.equal(rig.mounts.list().length, 1);
  assert.deepEqual(rig.inUse(), before);
  ok(rig.files.unlink(root, "mnt/file"));
  ok(rig.files.removeDirectory(root, "mnt"));
});

test("the position of a shared file is free again after its user died", () => {
  const rig = new Rig();
  const root = rig.mountRoot();
  const file = ok(rig.files.openPath(root, "file", creating));
  rig.files.retain(file);
  rig.areas.openFiles.records.acquireMutex(file, 7);
  rig.files.recover(7);
  assert.equal(rig.files.write(file, new Uint8Array(3), 0, 3), 3);
  assert.equal(rig.files.kind(file), openFileKind.file);
});
