/** The layouts of WASI's structs, against what the C header of each version asserts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fields, layoutOf, type StructType } from "../../src/memory/index.ts";
import {
  DescriptorStat,
  DirectoryEntry,
  guestFormat,
  IoVector,
  PollEvent,
  Prestat,
  preview1,
  snapshot0,
} from "../../src/wasi/structs.ts";

function check(type: StructType<Fields>, size: number, offsets: Record<string, number>): void {
  const layout = layoutOf(type, guestFormat);
  assert.equal(layout.size, size, `size of ${type.name}`);
  const found = Object.fromEntries(layout.fields.map((field) => [field.path, field.offset]));
  for (const [path, offset] of Object.entries(offsets))
    assert.equal(found[path], offset, `${type.name}.${path}`);
}

test("structs that both versions share", () => {
  check(IoVector, 8, { buffer: 0, size: 4 });
  check(Prestat, 8, { tag: 0, nameLength: 4 });
  check(DescriptorStat, 24, { fileType: 0, flags: 2, rights: 8, inheriting: 16 });
  check(DirectoryEntry, 24, { next: 0, inode: 8, nameLength: 16, fileType: 20 });
  check(PollEvent, 32, { userdata: 0, error: 8, type: 10, "readiness.bytes": 16, "readiness.flags": 24 });
});

test("preview 1", () => {
  check(preview1.FileStat, 64, {
    device: 0,
    inode: 8,
    fileType: 16,
    linkCount: 24,
    size: 32,
    accessTime: 40,
    modificationTime: 48,
    changeTime: 56,
  });
  check(preview1.ClockSubscription, 48, {
    userdata: 0,
    tag: 8,
    "clock.id": 16,
    "clock.timeout": 24,
    "clock.precision": 32,
    "clock.flags": 40,
  });
  check(preview1.DescriptorSubscription, 48, { userdata: 0, tag: 8, "descriptor.number": 16 });
});

test("snapshot 0", () => {
  check(snapshot0.FileStat, 56, {
    device: 0,
    inode: 8,
    fileType: 16,
    linkCount: 20,
    size: 24,
    accessTime: 32,
    modificationTime: 40,
    changeTime: 48,
  });
  check(snapshot0.ClockSubscription, 56, {
    userdata: 0,
    tag: 8,
    "clock.identifier": 16,
    "clock.id": 24,
    "clock.timeout": 32,
    "clock.precision": 40,
    "clock.flags": 48,
  });
  check(snapshot0.DescriptorSubscription, 56, { userdata: 0, tag: 8, "descriptor.number": 16 });
});
