/**
 * Our checker of ext2 against e2fsck: on images that random operations made, on the same with one structure changed at
 * random, and on images by mke2fs; and on volumes that are mounted, or whose kernel died.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Random } from "../../src/machine/sim/random.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import type { BlockDevice } from "../../src/services/block/block-device.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { checkExt2, describeFindings, seriousFindings } from "../../src/simulation/fsck/fsck.ts";
import type { Finding } from "../../src/simulation/fsck/report.ts";
import { Pair, step } from "../ext2/pair.ts";
import {
  makeClock,
  makeFileSystem,
  makeForeignImage,
  makeTemporaryDirectory,
  noE2fsprogs,
  pattern,
  root,
  run,
  writeFile,
} from "../ext2/support.ts";
import { Damager } from "./damager.ts";

const directory = makeTemporaryDirectory();
const imagePath = join(directory, "checked.img");

function e2fsck(image: Uint8Array): { status: number | null; output: string } {
  writeFileSync(imagePath, image);
  return run("e2fsck", ["-fn", imagePath]);
}

function assertNothingFound(image: Uint8Array): void {
  assert.equal(describeFindings(checkExt2(image).findings), "");
}

const shapes = [
  { size_bytes: 300 * 1024, blockSize_bytes: 1024, inodeSize_bytes: 128, inodes: 24 },
  { size_bytes: 1200 * 1024, blockSize_bytes: 2048, inodeSize_bytes: 256, inodes: 64 },
  { size_bytes: 3 << 20, blockSize_bytes: 4096, inodeSize_bytes: 256, inodes: 100 },
  // Two block groups.
  { size_bytes: 9 << 20, blockSize_bytes: 1024, inodeSize_bytes: 256, inodes: 64 },
];

for (const shape of shapes) {
  test(`images that random operations made: ${JSON.stringify(shape)}`, (context) => {
    if (noE2fsprogs) context.diagnostic(`e2fsck left out: ${noE2fsprogs}`);
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 200, size: "max" }), (steps) => {
        const bench = makeFileSystem(shape.size_bytes, shape);
        const pair = new Pair(bench);
        const image = new Uint8Array(bench.buffer);
        for (const one of steps) {
          pair.run(one);
          if (one.shift % 10 !== 0) continue;
          // At rest, though mounted and with files open that have no name any more.
          const found = checkExt2(image, { mounted: true });
          assert.equal(describeFindings(seriousFindings(found, "mounted")), "");
          assert.ok(!found.unmounted);
        }
        assert.equal(pair.kernels[0].unmount(), 0);
        const found = checkExt2(image);
        assert.equal(describeFindings(found.findings), "");
        assert.ok(found.unmounted && !found.markedDamaged);
        const { nodes } = pair.model;
        // The model does not list lost+found.
        const directories = nodes.filter((node) => node.kind === "directory" && node.links > 0).length + 1;
        assert.equal(found.directories, directories);
        if (noE2fsprogs === false) {
          const { status, output } = e2fsck(image);
          assert.equal(status, 0, output);
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 12), endOnFailure: process.env.SHRINK === undefined },
    );
  });
}

test("images by mke2fs and debugfs", { skip: noE2fsprogs }, () => {
  writeFileSync(join(directory, "some"), pattern(70_000));
  const commands = `mkdir d\nmkdir d/e\nwrite ${join(directory, "some")} d/file\nsymlink d/s ${"t".repeat(100)}\nsymlink f short\nmknod p p\n`;
  for (const args of [
    ["-t", "ext2"],
    ["-t", "ext2", "-b", "1024"],
    ["-t", "ext2", "-b", "4096", "-I", "128", "-O", "^resize_inode,^dir_index,^ext_attr"],
    ["-t", "ext2", "-r", "0", "-b", "1024"],
  ]) {
    const image = new Uint8Array(makeForeignImage(directory, "12M", args, commands));
    const { status, output } = e2fsck(image);
    assert.equal(status, 0, output);
    assertNothingFound(image);
  }
  const journalled = new Uint8Array(makeForeignImage(directory, "12M", ["-t", "ext4"]));
  assert.deepEqual(
    new Set(checkExt2(journalled).findings.map(({ kind }) => kind)),
    new Set(["unsupportedFeature"]),
  );
});

/** An image with something of everything, in two groups. */
function makeSample(): Uint8Array {
  const { fs, buffer } = makeFileSystem(9 << 20, { blockSize_bytes: 1024, inodes: 64, inodeSize_bytes: 256 });
  const sub = fs.makeDirectory(root, "sub", 0o755);
  const deep = fs.makeDirectory(sub, "deep", 0o755);
  for (let i = 0; i < 12; i++) fs.createFile(deep, `${i}`.repeat(90), 0o644);
  writeFile(fs, root, "small", pattern(3000));
  const large = writeFile(fs, sub, "large", pattern(400_000));
  fs.link(large, root, "other name");
  const sparse = fs.open(writeFile(fs, deep, "sparse", "x"), true);
  fs.write(sparse, pattern(2000), 0, 2000, 70_000_000);
  fs.close(sparse);
  fs.makeSymbolicLink(root, "fast", "small");
  fs.makeSymbolicLink(root, "slow", "t".repeat(200));
  writeFile(fs, root, "gone", pattern(50_000));
  fs.unlink(root, "gone");
  fs.makeDirectory(root, "empty", 0o755);
  assert.equal(fs.unmount(), 0);
  return new Uint8Array(buffer).slice();
}

/** Lines of e2fsck that are no findings. */
const chatter: readonly RegExp[] = [
  /^$/,
  /^Pass \d/,
  /^e2fsck \d/,
  /: \d+\/\d+ files/,
  /WARNING: Filesystem still has errors/,
  /^(Fix|Clear|Ignore error|Relocate|Abort|Salvage)\? no/,
];
/** What e2fsck looks at and we do not: see the head of `fsck.ts`. */
const notCovered: readonly RegExp[] = [/^Timestamp/];
/** What we find and e2fsck does not mind: our file system never writes it. */
function isStricter({ text, inode }: Finding): boolean {
  const reserved = inode >= 3 && inode <= 10;
  return reserved || /has flags 0x|says that inode \d+ is of type 0/.test(text);
}

test("one structure changed at random: what e2fsck finds, ours finds; what it calls clean, ours does too", {
  skip: noE2fsprogs,
}, (context) => {
  const sample = makeSample();
  assertNothingFound(sample);
  assert.equal(e2fsck(sample).status, 0);
  const first = Number(process.env.SEED ?? 1);
  const runs = Number(process.env.RUNS ?? 120);
  let damaged = 0;
  const failures: string[] = [];
  for (let seed = first; seed < first + runs; seed++) {
    const damager = new Damager(sample, seed);
    const what = damager.damage();
    const ours = checkExt2(damager.image).findings;
    const { output } = e2fsck(damager.image);
    const lines = output.split("\n").filter((line) => !chatter.some((pattern) => pattern.test(line)));
    const theirs = lines.filter((line) => !notCovered.some((pattern) => pattern.test(line)));
    if (theirs.length > 0) damaged++;
    const expected = ours.filter((finding) => !isStricter(finding));
    const agree = theirs.length > 0 ? ours.length > 0 : expected.length === 0 || lines.length > 0;
    if (!agree)
      failures.push(`seed ${seed}: ${what}\nours: ${describeFindings(ours)}\ne2fsck: ${lines.join("\n")}`);
  }
  context.diagnostic(`${damaged} of ${runs} images were damaged`);
  assert.ok(damaged > runs / 2);
  assert.equal(failures.length, 0, failures.slice(0, 6).join("\n\n"));
});

/** A ramdisk that lets us look whenever something on it has changed. */
class WatchedDisk implements BlockDevice {
  readonly buffer: SharedArrayBuffer;
  readonly base = 0;
  readonly readOnly = false;
  readonly resident = false;
  watch: () => void = () => undefined;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
  }

  get size_bytes(): number {
    return this.buffer.byteLength;
  }

  load(): number {
    return 0;
  }

  claim(): number {
    return 0;
  }

  changed(): void {
    this.watch();
  }

  flush(): number {
    return 0;
  }
}

test("after a kernel's death in the middle of a call nothing is damaged, only unfinished", () => {
  const { fs: empty, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024, inodes: 48 });
  assert.equal(empty.unmount(), 0);
  const image = new Uint8Array(buffer);
  const device = new WatchedDisk(buffer);
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
  const fs = Ext2.mount({ memory, device, owner: 1, now_ns: makeClock(), log: () => undefined });
  let moments = 0;
  const kinds = new Set<string>();
  device.watch = () => {
    moments++;
    const found = checkExt2(image);
    for (const { kind } of found.findings) kinds.add(kind);
    assert.equal(describeFindings(seriousFindings(found, "crashed")), "");
  };
  const a = fs.makeDirectory(root, "a", 0o755);
  writeFile(fs, a, "file", pattern(60_000));
  fs.link(fs.lookup(a, "file"), root, "second");
  fs.rename(a, "file", root, "moved");
  fs.makeSymbolicLink(root, "link", "t".repeat(100));
  const handle = fs.open(fs.lookup(root, "moved"), true);
  fs.truncate(handle, 14_000);
  fs.write(handle, pattern(5000), 0, 5000, 300_000);
  fs.close(handle);
  writeFile(fs, root, "replaced", "x");
  fs.rename(root, "moved", root, "replaced");
  fs.unlink(root, "second");
  fs.removeDirectory(root, "a");
  assert.ok(moments > 100, `${moments} moments`);
  // The unfinished is seen.
  assert.ok(kinds.has("freeBlockMarkedUsed") && kinds.has("unattachedInode") && kinds.has("unfinishedInode"));
  device.watch = () => undefined;
  assert.equal(fs.unmount(), 0);
  assertNothingFound(image);
});

test("a directory that is removed while it is open does not count as its parent's any more", () => {
  const { fs, buffer } = makeFileSystem(400 * 1024, { blockSize_bytes: 1024, inodes: 48 });
  const removed = fs.makeDirectory(root, "removed", 0o755);
  const handle = fs.open(removed, false);
  assert.equal(fs.removeDirectory(root, "removed"), 0);
  const found = checkExt2(new Uint8Array(buffer), { mounted: true });
  assert.equal(describeFindings(seriousFindings(found, "mounted")), "");
  fs.close(handle);
  assert.equal(fs.unmount(), 0);
  assertNothingFound(new Uint8Array(buffer));
});

test("arbitrary bytes give findings and nothing else", () => {
  const sample = makeSample();
  const random = new Random(3);
  for (let round = 0; round < 120; round++) {
    const image = sample.slice();
    const inStructures = round % 2 === 0;
    for (let i = 0; i < 200; i++)
      image[1024 + random.below(inStructures ? 60_000 : image.length - 1024)] = random.next();
    const { findings } = checkExt2(image);
    // Elsewhere it may have hit data and free blocks only.
    if (inStructures) assert.ok(findings.length > 0);
  }
  assert.ok(checkExt2(new Uint8Array(10)).findings.length > 0);
  assert.ok(checkExt2(new Uint8Array(100_000)).findings.length > 0);
});
