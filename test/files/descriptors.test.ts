/** Descriptor tables: numbers, rights, and what happens to the open files behind them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { limits, openFileKind } from "../../src/kernel/state.ts";
import { fails, ok, Rig } from "./rig.ts";

const slot = 7;

function pipeEnds(rig: Rig): { reader: number; writer: number } {
  const pipe = rig.files.makePipe();
  assert.ok(typeof pipe === "object");
  return pipe;
}

test("the lowest free descriptor is handed out", () => {
  const rig = new Rig();
  const { files } = rig;
  const file = pipeEnds(rig).reader;
  for (let count = 0; count < 9; count++) files.retain(file);
  for (const expected of [0, 1, 2, 3, 4]) assert.equal(files.install(slot, file, 0, 0), expected);
  ok(files.closeDescriptor(slot, 3));
  ok(files.closeDescriptor(slot, 1));
  for (const expected of [1, 3, 5]) assert.equal(files.install(slot, file, 0, 0), expected);
  assert.equal(files.installAt(slot, 9, file, 0, 0), 9);
  assert.equal(files.descriptorCount(slot), 7);
  files.closeAll(slot);
  assert.equal(files.descriptorCount(slot), 0);
  assert.equal(files.install(slot, file, 0, 0), 0);
});

test("a full table gives EMFILE and leaves the file to the caller", () => {
  const rig = new Rig();
  const { files } = rig;
  const { reader, writer } = pipeEnds(rig);
  for (let fd = 0; fd < limits.descriptorsPerProcess; fd++) {
    files.retain(reader);
    assert.equal(files.install(slot, reader, 0, 0), fd);
  }
  fails(files.install(slot, reader, 0, 0), "MFILE");
  files.release(reader);
  files.closeAll(slot);
  assert.equal(files.kind(reader), openFileKind.none);
  files.release(writer);
  assert.deepEqual(rig.inUse(), new Rig().inUse());
});

test("a copied table has the same descriptors, each with a reference of its own", () => {
  const rig = new Rig();
  const { files } = rig;
  const before = rig.inUse();
  const { reader, writer } = pipeEnds(rig);
  files.retain(reader);
  assert.equal(files.install(slot, reader, 0b0110, 0b0010), 0);
  assert.equal(files.install(slot, reader, 1, 1, 4), 1);
  assert.equal(files.install(slot, writer, 3, 2), 2);
  ok(files.closeDescriptor(slot, 0));
  const copy = 9;
  files.copyDescriptors(slot, copy);
  assert.equal(files.descriptorCount(copy), 2);
  assert.deepEqual([files.lookup(copy, 1, 1), files.lookup(copy, 2, 3)], [reader, writer]);
  assert.deepEqual([files.rights(copy, 2), files.inheriting(copy, 2)], [3, 2]);
  assert.deepEqual([files.preopenIndex(copy, 1), files.preopenIndex(copy, 2)], [4, -errno.BADF]);
  files.closeAll(slot);
  assert.equal(files.hangup(reader), false, "the copy holds both ends");
  files.retain(writer);
  assert.equal(files.install(copy, writer, 0, 0), 0, "the lowest free one");
  files.closeAll(copy);
  assert.deepEqual(rig.inUse(), before);
});

test("lookup checks number and rights", () => {
  const rig = new Rig();
  const { files } = rig;
  const { reader } = pipeEnds(rig);
  const fd = ok(files.install(slot, reader, 0b0110, 0b0010));
  assert.equal(files.lookup(slot, fd, 0b0110), reader);
  assert.equal(files.lookup(slot, fd, 0), reader);
  fails(files.lookup(slot, fd, 0b1000), "NOTCAPABLE");
  fails(files.lookup(slot, fd, 0b0111), "NOTCAPABLE");
  for (const wrong of [fd + 1, -1, limits.descriptorsPerProcess, 2 ** 31, -(2 ** 31), 2 ** 32 - 1]) {
    fails(files.lookup(slot, wrong, 0), "BADF");
    fails(files.closeDescriptor(slot, wrong), "BADF");
    fails(files.rights(slot, wrong), "BADF");
    fails(files.inheriting(slot, wrong), "BADF");
    fails(files.setRights(slot, wrong, 0, 0), "BADF");
    fails(files.preopenIndex(slot, wrong), "BADF");
    fails(files.renumber(slot, fd, wrong), "BADF");
    fails(files.renumber(slot, wrong, fd), "BADF");
  }
  fails(files.installAt(slot, limits.descriptorsPerProcess, reader, 0, 0), "BADF");
  fails(files.lookup(slot + 1, fd, 0), "BADF");
});

test("rights only shrink", () => {
  const rig = new Rig();
  const { files } = rig;
  const fd = ok(files.install(slot, pipeEnds(rig).reader, 0b0110, 0b0011));
  fails(files.setRights(slot, fd, 0b1000, 0), "NOTCAPABLE");
  fails(files.setRights(slot, fd, 0b0110, 0b0100), "NOTCAPABLE");
  assert.deepEqual([files.rights(slot, fd), files.inheriting(slot, fd)], [0b0110, 0b0011]);
  ok(files.setRights(slot, fd, 0b0010, 0b0001));
  assert.deepEqual([files.rights(slot, fd), files.inheriting(slot, fd)], [0b0010, 0b0001]);
  fails(files.setRights(slot, fd, 0b0110, 0b0001), "NOTCAPABLE");
});

test("renumbering moves a descriptor over an open one", () => {
  const rig = new Rig();
  const { files } = rig;
  const first = pipeEnds(rig);
  const second = pipeEnds(rig);
  const from = ok(files.install(slot, first.reader, 0b01, 0b10, 4));
  const to = ok(files.install(slot, second.reader, 0b11, 0));
  assert.equal(files.preopenIndex(slot, from), 4);
  fails(files.preopenIndex(slot, to), "BADF");
  ok(files.renumber(slot, from, from));
  ok(files.renumber(slot, from, to));
  assert.equal(files.lookup(slot, to, 0), first.reader);
  assert.deepEqual(
    [files.rights(slot, to), files.inheriting(slot, to), files.preopenIndex(slot, to)],
    [0b01, 0b10, 4],
  );
  fails(files.lookup(slot, from, 0), "BADF");
  assert.equal(files.kind(second.reader), openFileKind.none);
  fails(files.renumber(slot, to, from), "BADF");
  assert.equal(files.install(slot, second.writer, 0, 0), from);
});

test("installing at a descriptor closes what it had", () => {
  const rig = new Rig();
  const { files } = rig;
  const { reader, writer } = pipeEnds(rig);
  assert.equal(files.installAt(slot, 0, reader, 1, 1), 0);
  assert.equal(files.installAt(slot, 0, writer, 2, 2), 0);
  assert.equal(files.kind(reader), openFileKind.none);
  assert.equal(files.lookup(slot, 0, 2), writer);
  files.closeAll(slot);
  assert.deepEqual(rig.inUse(), new Rig().inUse());
});

test("random descriptor operations agree with a list", () => {
  const rig = new Rig();
  const { files } = rig;
  const fd = fc.integer({ min: 0, max: 12 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant("install" as const) }),
    fc.record({ kind: fc.constant("installAt" as const), fd }),
    fc.record({ kind: fc.constant("close" as const), fd }),
    fc.record({ kind: fc.constant("renumber" as const), fd, to: fd }),
  );
  const before = rig.inUse();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model: number[] = [];
      const { reader, writer } = pipeEnds(rig);
      const take = () => {
        files.retain(reader);
        return reader;
      };
      for (const one of steps) {
        if (one.kind === "install") {
          let lowest = 0;
          while (model[lowest] !== undefined) lowest++;
          model[lowest] = ok(files.install(slot, take(), lowest, 0));
          assert.equal(model[lowest], lowest);
        } else if (one.kind === "installAt") {
          model[one.fd] = ok(files.installAt(slot, one.fd, take(), 0, 0));
        } else if (one.kind === "close") {
          assert.equal(files.closeDescriptor(slot, one.fd) >= 0, model[one.fd] !== undefined);
          delete model[one.fd];
        } else {
          const valid = model[one.fd] !== undefined && model[one.to] !== undefined;
          assert.equal(files.renumber(slot, one.fd, one.to) >= 0, valid);
          if (valid && one.fd !== one.to) {
            model[one.to] = model[one.fd];
            delete model[one.fd];
          }
        }
      }
      const open = model.filter((value) => value !== undefined).length;
      assert.equal(files.descriptorCount(slot), open);
      assert.equal(rig.areas.openFiles.records.references(reader), open + 1);
      files.closeAll(slot);
      files.release(reader);
      files.release(writer);
      assert.deepEqual(rig.inUse(), before);
    }),
    { numRuns: 200 },
  );
});
