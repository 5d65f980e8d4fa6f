/** A file system through its proxy answers as it does without one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import type { FileSystem } from "../../src/services/fs/filesystem.ts";
import { attributes, listing, ProxyRig, Volume } from "./proxied-support.ts";

const root = 2;

const names = [
  "a",
  "b",
  "dd",
  "name.txt",
  "später-✓",
  "\uFEFFmark",
  "x".repeat(255),
  "y".repeat(256),
  "ü".repeat(128),
  "w".repeat(5000),
  "half \uD800",
  "",
  ".",
  "..",
  "a/b",
  "nul\0",
];

interface Step {
  readonly operation: keyof typeof operations;
  /** Which of the inodes and handles seen so far. */
  readonly a: number;
  readonly b: number;
  readonly name: number;
  readonly otherName: number;
  readonly length: number;
  readonly position: number;
}

/** What a step is done with: the same numbers on both sides. */
interface Given {
  readonly inode: number;
  readonly other: number;
  readonly handle: number;
  readonly name: string;
  readonly otherName: string;
  readonly length: number;
  readonly position: number;
}

function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 7 + (index >> 8)) & 0xff);
}

/** Each gives everything that the operation said. */
const operations = {
  lookup: (fs: FileSystem, { inode, name }: Given) => fs.lookup(inode, name),
  createFile: (fs: FileSystem, { inode, name, length }: Given) => fs.createFile(inode, name, length & 0o777),
  makeDirectory: (fs: FileSystem, { inode, name }: Given) => fs.makeDirectory(inode, name, 0o750),
  makeSymbolicLink: (fs: FileSystem, { inode, name, otherName, length }: Given) =>
    fs.makeSymbolicLink(inode, name, otherName.repeat(1 + (length % 4))),
  link: (fs: FileSystem, { inode, other, name }: Given) => fs.link(other, inode, name),
  unlink: (fs: FileSystem, { inode, name }: Given) => fs.unlink(inode, name),
  removeDirectory: (fs: FileSystem, { inode, name }: Given) => fs.removeDirectory(inode, name),
  rename: (fs: FileSystem, { inode, other, name, otherName }: Given) =>
    fs.rename(inode, name, other, otherName),
  readSymbolicLink: (fs: FileSystem, { inode }: Given) => fs.readSymbolicLink(inode),
  readDirectory: (fs: FileSystem, { inode }: Given) => listing(fs, inode, 0),
  readOn: (fs: FileSystem, { inode, length, position }: Given) =>
    listing(fs, inode, position % 200, 1 + (length % 5)),
  stat: (fs: FileSystem, { inode }: Given) => attributes(fs, inode),
  setTimes: (fs: FileSystem, { inode, length, position }: Given) =>
    fs.setTimes(inode, length % 3 === 0 ? -1 : length * 1e9, position % 3 === 0 ? -1 : position * 1e9),
  setMode: (fs: FileSystem, { inode, length }: Given) => fs.setMode(inode, length & 0o777),
  open: (fs: FileSystem, { inode, length }: Given) => fs.open(inode, length % 3 !== 0),
  close: (fs: FileSystem, { handle }: Given) => fs.close(handle),
  read: (fs: FileSystem, { handle, length, position }: Given) => {
    const target = new Uint8Array(length + 5);
    return { count: fs.read(handle, target, 3, length, position), target };
  },
  write: (fs: FileSystem, { handle, length, position }: Given) =>
    fs.write(handle, bytes(length + 4, position), 2, length, position),
  append: (fs: FileSystem, { handle, length }: Given) => fs.append(handle, bytes(length, 1), 0, length),
  size: (fs: FileSystem, { handle }: Given) => fs.size(handle),
  truncate: (fs: FileSystem, { handle, position }: Given) => fs.truncate(handle, position),
  extend: (fs: FileSystem, { handle, position }: Given) => fs.extend(handle, position),
  sync: (fs: FileSystem, { handle }: Given) => fs.sync(handle),
};

const often = ["createFile", "makeDirectory", "rename", "open", "open", "write", "write", "append"] as const;
const operationNames = [...(Object.keys(operations) as (keyof typeof operations)[]), ...often];

const step: fc.Arbitrary<Step> = fc.record({
  operation: fc.constantFrom(...operationNames),
  a: fc.nat(1000),
  b: fc.nat(1000),
  // Mostly names that can be.
  name: fc.oneof({ weight: 4, arbitrary: fc.nat(5) }, fc.nat(names.length - 1)),
  otherName: fc.oneof({ weight: 4, arbitrary: fc.nat(5) }, fc.nat(names.length - 1)),
  length: fc.oneof(fc.nat(20), fc.nat(3100), fc.constantFrom(3071, 3072, 3073, 6144), fc.nat(20_000)),
  position: fc.oneof(fc.nat(100), fc.nat(60_000), fc.constantFrom(0, 2 ** 31 - 10, 2 ** 40, 2 ** 53 - 1)),
});

function canBeSent(name: string): boolean {
  return name.isWellFormed() && name.length <= 255;
}

function isError(result: unknown): boolean {
  return typeof result === "number" && result < 0;
}

/** Two volumes that are made alike; one is used through a proxy. */
class Twins {
  readonly direct = new Volume(8 << 20, { blockSize_bytes: 1024, inodes: 256 });
  readonly owned = new Volume(8 << 20, { blockSize_bytes: 1024, inodes: 256 });
  readonly rig = new ProxyRig(this.owned.fs);
  /** Directories come twice, so that names are mostly looked up in them. */
  readonly inodes = [root, root, root, root, 0, 1, 11, 255, 1e6];
  readonly handles = [-1, 5, 22];

  run(given: Step): void {
    this.direct.now_ns += 1_000_000_000;
    this.owned.now_ns = this.direct.now_ns;
    const values: Given = {
      length: given.length,
      position: given.position,
      inode: this.inodes[given.a % this.inodes.length],
      other: this.inodes[given.b % this.inodes.length],
      handle: this.handles[given.b % this.handles.length],
      name: names[given.name],
      otherName: names[given.otherName],
    };
    const operation = operations[given.operation];
    const expected = operation(this.direct.fs, values);
    const actual = operation(this.rig.proxy, values);
    // A name that cannot be sent is refused before anything else is looked at.
    const cannotBeSent = [values.name, values.otherName].some((name) => !canBeSent(name));
    if (cannotBeSent && isError(expected)) assert.ok(isError(actual), given.operation);
    else assert.deepEqual(actual, expected, given.operation);
    if (typeof expected !== "number" || expected <= 0) return;
    if (given.operation === "createFile" || given.operation === "makeSymbolicLink")
      this.inodes.push(expected);
    if (given.operation === "makeDirectory") this.inodes.push(expected, expected);
    if (given.operation === "open") this.handles.push(expected);
  }

  /** The images, made equal in what only the way of asking decides. */
  compare(): void {
    assert.equal(this.owned.findings(), "");
    assert.equal(this.direct.findings(), "");
    assert.deepEqual(this.owned.log, []);
    assert.deepEqual(this.rig.owner.faults, []);
    for (const { fs } of [this.direct, this.owned]) assert.equal(fs.unmount(), 0);
    const [direct, owned] = [this.direct.buffer, this.owned.buffer].map((buffer) => Buffer.from(buffer));
    assert.ok(direct.equals(owned), `the images differ from byte ${firstDifference(direct, owned)} on`);
  }
}

function firstDifference(one: Buffer, other: Buffer): number {
  return one.findIndex((byte, index) => byte !== other[index]);
}

test("random operations through a proxy answer, and leave the volume, as without", {
  timeout: 60_000,
}, () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 250, size: "max" }), (steps) => {
      const twins = new Twins();
      for (const one of steps) twins.run(one);
      twins.compare();
    }),
    { numRuns: Number(process.env.RUNS ?? 25), endOnFailure: process.env.SHRINK === undefined },
  );
});

test("a directory of many long names comes whole, from any cookie on", () => {
  const volume = new Volume(2 << 20, { blockSize_bytes: 1024 });
  const { proxy } = new ProxyRig(volume.fs);
  for (let n = 0; n < 60; n++) volume.fs.createFile(root, `${n}-`.padEnd(60 + n * 3, "n"), 0o644);
  const direct = listing(volume.fs, root, 0);
  assert.equal(direct.entries.length, 63);
  assert.deepEqual(listing(proxy, root, 0), direct);
  for (const { next } of direct.entries as { next: number }[])
    assert.deepEqual(listing(proxy, root, next), listing(volume.fs, root, next));
  // A visitor that asks for something else meanwhile.
  const seen: number[] = [];
  proxy.readDirectory(root, 0, (_next, inode) => {
    seen.push(inode);
    assert.equal(attributes(proxy, inode).status, 0);
    return true;
  });
  assert.deepEqual(
    seen,
    (direct.entries as { inode: number }[]).map(({ inode }) => inode),
  );
});

test("regression: names and targets that begin with a byte order mark keep it", () => {
  const volume = new Volume(1 << 20, { blockSize_bytes: 1024 });
  const { proxy } = new ProxyRig(volume.fs);
  const inode = proxy.createFile(root, "\uFEFFname", 0o644);
  assert.equal(volume.fs.lookup(root, "\uFEFFname"), inode);
  assert.equal(volume.fs.lookup(root, "name"), -errno.NOENT);
  const link = proxy.makeSymbolicLink(root, "link", "\uFEFFtarget");
  assert.equal(volume.fs.readSymbolicLink(link), "\uFEFFtarget");
  assert.equal(proxy.readSymbolicLink(link), "\uFEFFtarget");
});

test("the longest targets fit through a proxy, and longer ones are refused by name", () => {
  const volume = new Volume(4 << 20, { blockSize_bytes: 4096 });
  const { proxy } = new ProxyRig(volume.fs);
  const target = "t".repeat(3_800);
  const link = proxy.makeSymbolicLink(root, "link", target);
  assert.equal(proxy.readSymbolicLink(link), target);
  assert.equal(proxy.makeSymbolicLink(root, "l".repeat(255), "t".repeat(4_095)), -errno.NAMETOOLONG);
  // One that the owner has made can be read, however long.
  const longest = volume.fs.makeSymbolicLink(root, "longest", "t".repeat(4_095));
  assert.equal(proxy.readSymbolicLink(longest), "t".repeat(4_095));
});

test("a device that fills up: what fitted is written, then there is no room", () => {
  const volume = new Volume(300 << 10, { blockSize_bytes: 1024, inodes: 24 });
  const { proxy } = new ProxyRig(volume.fs);
  const handle = proxy.open(proxy.createFile(root, "file", 0o644), true);
  const data = bytes(400 << 10, 3);
  const count = proxy.write(handle, data, 0, data.length, 0);
  assert.ok(count > 100 << 10 && count < 300 << 10, `${count} bytes written`);
  assert.equal(proxy.size(handle), count);
  assert.equal(proxy.write(handle, data, 0, 5_000, count), -errno.NOSPC);
  assert.equal(proxy.append(handle, data, 0, 5_000), -errno.NOSPC);
  const read = new Uint8Array(data.length);
  assert.equal(proxy.read(handle, read, 0, read.length, 0), count);
  assert.ok(Buffer.from(read.subarray(0, count)).equals(data.subarray(0, count)));
  assert.equal(volume.findings(), "");
});

test("an owner that is gone is an I/O error", () => {
  const volume = new Volume(1 << 20, { blockSize_bytes: 1024 });
  const { owner, proxy } = new ProxyRig(volume.fs);
  owner.transport.close();
  assert.equal(proxy.lookup(root, "lost+found"), -errno.IO);
  assert.equal(proxy.read(5, new Uint8Array(10), 0, 10, 0), -errno.IO);
  assert.equal(proxy.readSymbolicLink(12), -errno.IO);
  assert.equal(listing(proxy, root, 0).status, -errno.IO);
  proxy.close(5);
});
