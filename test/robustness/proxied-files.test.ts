/** The owner of a proxied file system is sent anything: it answers, and its volume stays in order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { overlay } from "../../src/memory/index.ts";
import {
  GroupDescriptor,
  Inode,
  modeType,
  Superblock,
  superblockOffset_bytes,
} from "../../src/services/fs/ext2/layout.ts";
import { fileSystemRequest, operation } from "../../src/services/fs/proxied/protocol.ts";
import { ownerAddress, ProxyRig, Volume } from "../files/proxied-support.ts";

const root = 2;
const text = new TextEncoder();

interface Wanted {
  readonly operation: number;
  readonly first: number;
  readonly second: number;
  readonly third: number;
  readonly name: Uint8Array;
  readonly rest: Uint8Array;
  /** How far `split` is from the truth. */
  readonly lie: number;
}

/** A volume with something of each kind, and two open files, one of which has lost its name. */
class Victim {
  readonly volume = new Volume(2 << 20, { blockSize_bytes: 1024, inodes: 64 });
  readonly rig = new ProxyRig(this.volume.fs);

  constructor() {
    const { fs } = this.volume;
    const file = fs.createFile(root, "a", 0o644);
    const directory = fs.makeDirectory(root, "b", 0o755);
    fs.makeSymbolicLink(root, "link", "a");
    fs.link(file, directory, "a");
    fs.open(file, true);
    fs.open(directory, false);
    const lost = fs.createFile(directory, "lost", 0o644);
    fs.open(lost, true);
    fs.unlink(directory, "lost");
  }

  send(wanted: Wanted): number {
    const { name, rest, lie, ...numbers } = wanted;
    const tail = Uint8Array.of(...name, ...rest);
    const request = { ...numbers, split: (name.length + lie) & 0xffff, tail };
    const reply = this.rig.user.endpoint.call(ownerAddress, fileSystemRequest, request, 1e9);
    assert.ok(reply.status >= 0 || reply.status === -errno.MSGSIZE, errnoName(reply.status));
    return reply.value?.result ?? reply.status;
  }

  /** The volume is in order, no lock is held, and files can be made, written and removed. */
  check(): void {
    const { fs, log } = this.volume;
    const { proxy, owner } = this.rig;
    assert.deepEqual(owner.faults, []);
    assert.deepEqual(log, []);
    assert.equal(this.volume.findings(), "");
    const name = "afterwards";
    const inode = proxy.createFile(root, name, 0o600);
    assert.ok(inode > 0 || inode === -errno.NOSPC, errnoName(inode));
    if (inode < 0) return;
    const handle = proxy.open(inode, true);
    const count = proxy.write(handle, text.encode("still here"), 0, 10, 0);
    assert.ok(count === 10 || count === -errno.NOSPC);
    const read = new Uint8Array(10);
    assert.equal(proxy.read(handle, read, 0, 10, 0), Math.max(0, count));
    proxy.close(handle);
    assert.equal(proxy.unlink(root, name), 0);
    assert.equal(fs.unmount(), 0);
  }
}

const oddNumbers = [
  -1,
  -0,
  0.5,
  1,
  2.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 32 + 2,
  // These would be handles of open files if they were cut to 32 bits.
  2 ** 32 + 25,
  2 ** 33 + 24,
  2 ** 53 - 1,
  2 ** 60,
  -(2 ** 40),
  1.7e308,
];

/** Small numbers are inodes and handles that there are, next to those that there are not. */
const number = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 2, arbitrary: fc.constantFrom(...oddNumbers) },
  fc.nat(70_000),
  fc.double(),
);

const names = [
  "a",
  "b",
  "link",
  "lost+found",
  "new",
  "",
  ".",
  "..",
  "/",
  "a/b",
  "../a",
  "nul\0",
  "y".repeat(255),
];
const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...names).map((one) => text.encode(one)) },
  fc.constantFrom(
    Uint8Array.of(0xff, 0xfe),
    Uint8Array.of(0xed, 0xa0, 0x80),
    Uint8Array.of(0xc3),
    Uint8Array.of(0xef, 0xbb, 0xbf),
    new Uint8Array(256).fill(0x78),
    new Uint8Array(2000).fill(0x79),
  ),
  fc.uint8Array({ maxLength: 300 }),
);

const wanted: fc.Arbitrary<Wanted> = fc.record({
  operation: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...Object.values(operation)) },
    { weight: 1, arbitrary: fc.nat(255) },
  ),
  first: number,
  second: number,
  third: number,
  name,
  rest: name,
  lie: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: -300, max: 5000 })),
});

test("requests of any content are answered, and the volume stays in order", { timeout: 60_000 }, () => {
  let done = 0;
  fc.assert(
    fc.property(fc.array(wanted, { minLength: 50, maxLength: 150, size: "max" }), (requests) => {
      const victim = new Victim();
      for (const one of requests) if (victim.send(one) >= 0) done++;
      victim.check();
    }),
    { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: process.env.SHRINK === undefined },
  );
  // The requests are not all refused at the door.
  assert.ok(done > 100, `${done} requests did something`);
});

function request(parts: Partial<Wanted>): Wanted {
  const nothing = new Uint8Array(0);
  return { operation: 0, first: 0, second: 0, third: 0, name: nothing, rest: nothing, lie: 0, ...parts };
}

test("regression: a directory is not written through a handle that claims to be writable", () => {
  const victim = new Victim();
  const handle = victim.volume.fs.open(root, false);
  const data = text.encode("no directory entry");
  for (const one of [
    request({ operation: operation.write, first: handle | 1, rest: data }),
    request({ operation: operation.append, first: handle | 1, rest: data }),
    request({ operation: operation.append, first: handle | 1 }),
    request({ operation: operation.truncate, first: handle | 1, second: 3 }),
    request({ operation: operation.extend, first: handle | 1, second: 70_000 }),
  ]) {
    assert.equal(victim.send(one), -errno.BADF);
  }
  victim.check();
});

test("regression: a number is no handle because its lower half is one", () => {
  const victim = new Victim();
  const handle = victim.volume.fs.open(victim.volume.fs.lookup(root, "a"), true);
  const data = text.encode("x");
  assert.equal(victim.send(request({ operation: operation.write, first: handle, rest: data })), 1);
  const wrong = request({ operation: operation.write, first: handle + 2 ** 32, rest: data });
  assert.equal(victim.send(wrong), -errno.BADF);
  victim.check();
});

/** Makes a reserved inode look like a file, as those of other implementations do that keep something there. */
function fillReserved(volume: Volume, inode: number): void {
  const options = { format: "ilp32", addressing: "address", checked: false } as const;
  const { buffer } = volume;
  const superblock = overlay(Superblock, buffer, options);
  const descriptors = overlay(GroupDescriptor, buffer, options);
  const table = descriptors.inodeTable(2 * 1024) * 1024;
  const address = table + (inode - 1) * superblock.inodeSize(superblockOffset_bytes);
  const inodes = overlay(Inode, buffer, options);
  inodes.setMode(address, modeType.regular | 0o600);
  inodes.setLinksCount(address, 1);
}

test("regression: reserved inodes are no files, whatever they hold", () => {
  const victim = new Victim();
  for (const inode of [1, 3, 7, 8, 10]) {
    fillReserved(victim.volume, inode);
    assert.equal(victim.send(request({ operation: operation.stat, first: inode })), -errno.NOENT);
    assert.equal(victim.send(request({ operation: operation.open, first: inode, second: 1 })), -errno.NOENT);
    const link = request({ operation: operation.link, first: inode, second: root, name: text.encode("n") });
    assert.equal(victim.send(link), -errno.NOENT);
  }
  assert.deepEqual(victim.rig.owner.faults, []);
});

test("a handle that another kernel has closed is no handle any more", () => {
  const victim = new Victim();
  const { fs } = victim.volume;
  const { proxy } = victim.rig;
  const inode = proxy.createFile(root, "shared", 0o644);
  const handle = proxy.open(inode, true);
  fs.close(handle);
  assert.equal(proxy.write(handle, text.encode("late"), 0, 4, 0), -errno.BADF);
  assert.equal(proxy.size(handle), -errno.BADF);
  proxy.close(handle);
  victim.check();
});
