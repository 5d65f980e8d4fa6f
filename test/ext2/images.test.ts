/** Images of other makers: what Debian's mke2fs and debugfs made is read and changed; what is not ext2 is refused. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import { overlay } from "../../src/memory/index.ts";
import { MountError, type MountRefusal } from "../../src/services/fs/ext2/errors.ts";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { Superblock } from "../../src/services/fs/ext2/layout.ts";
import { fileType } from "../../src/services/fs/filesystem.ts";
import {
  assertClean,
  listDirectory,
  makeFileSystem,
  makeForeignImage,
  makeTemporaryDirectory,
  mountImage,
  noE2fsprogs,
  optionsFor,
  pattern,
  readAll,
  root,
  run,
  statOf,
  walk,
  writeFile,
} from "./support.ts";

const directory = makeTemporaryDirectory();
const hostFile = join(directory, "content");
const content = pattern(1_500_000);
writeFileSync(hostFile, content);

const commands = `mkdir etc
cd etc
write ${hostFile} large
mkdir deep
symlink short large
symlink long /${"x".repeat(100)}
ln large hard
sif large links_count 2
cd ..
mknod pipe p
mknod null c 1 3
`;

describe("images made by mke2fs and filled by debugfs", { skip: noE2fsprogs }, () => {
  const variants: string[][] = [
    ["-t", "ext2"],
    ["-t", "ext2", "-b", "1024"],
    ["-t", "ext2", "-b", "2048", "-I", "128"],
    ["-t", "ext2", "-b", "4096", "-I", "256"],
    ["-t", "ext2", "-b", "1024", "-O", "none"],
    ["-t", "ext2", "-b", "1024", "-O", "^filetype,^sparse_super,^resize_inode"],
    ["-t", "ext2", "-r", "0", "-b", "1024", "-I", "128"],
    ["-t", "ext2", "-b", "1024", "-g", "2048", "-N", "500"],
  ];
  for (const args of variants) {
    test(`mke2fs ${args.join(" ")}`, () => {
      const { fs, buffer, log } = mountImage(makeForeignImage(directory, "20M", args, commands));
      assert.equal(fs.readOnlyReason, undefined);
      const large = walk(fs, "etc/large");
      assert.deepEqual(Buffer.compare(readAll(fs, large), content), 0);
      assert.equal(fs.readSymbolicLink(walk(fs, "etc/short")), "large");
      assert.equal(fs.readSymbolicLink(walk(fs, "etc/long")), `/${"x".repeat(100)}`);
      const types = new Map<string, number>(
        listDirectory(fs, root).map(({ name, type }): [string, number] => [name, type]),
      );
      assert.equal(types.get("etc"), fileType.directory);
      assert.equal(types.get("null"), fileType.characterDevice);
      assert.equal(fs.open(walk(fs, "pipe"), false), -errno.NXIO);
      // Changes of all kinds, then e2fsprogs' opinion of them.
      writeFile(fs, walk(fs, "etc/deep"), "ours", content);
      for (let i = 0; i < 300; i++) fs.createFile(walk(fs, "etc"), `file-${i}`, 0o600);
      assert.equal(fs.unlink(walk(fs, "etc"), "large"), 0);
      assert.equal(fs.unlink(walk(fs, "etc"), "long"), 0);
      assert.equal(fs.unlink(root, "pipe"), 0);
      assert.equal(fs.rename(root, "null", walk(fs, "etc"), "zero"), 0);
      assert.equal(fs.rename(walk(fs, "etc"), "deep", root, "shallow"), 0);
      assert.equal(fs.unmount(), 0);
      assertClean(buffer, directory);
      assert.deepEqual(log, []);
      const checked = join(directory, "checked.img");
      const dumped = join(directory, "dumped");
      run("debugfs", ["-R", `dump /shallow/ours ${dumped}`, checked]);
      assert.equal(Buffer.compare(readFileSync(dumped), content), 0, "debugfs reads what we wrote");
    });
  }

  test("a directory with a hash index is read, and loses the index when changed", () => {
    const source = join(directory, "source");
    mkdirSync(join(source, "many"), { recursive: true });
    for (let i = 0; i < 900; i++) writeFileSync(join(source, "many", `entry-number-${i}`), `${i}`);
    symlinkSync("many", join(source, "link"));
    const plain = makeForeignImage(directory, "16M", ["-t", "ext2", "-b", "1024", "-d", source]);
    const image = join(directory, "indexed.img");
    writeFileSync(image, plain);
    run("e2fsck", ["-fyD", image]);
    const flags = run("debugfs", ["-R", "stat many", image]).output;
    assert.match(flags, /Flags: 0x1000/);
    const { fs, buffer } = mountImage(readFileSync(image));
    const many = walk(fs, "many");
    assert.equal(listDirectory(fs, many).length, 902);
    for (let i = 0; i < 900; i += 7) {
      assert.equal(new TextDecoder().decode(readAll(fs, fs.lookup(many, `entry-number-${i}`))), `${i}`);
    }
    for (let i = 0; i < 900; i += 3) assert.equal(fs.unlink(many, `entry-number-${i}`), 0);
    for (let i = 0; i < 500; i++) assert.ok(fs.createFile(many, `added-${i}`, 0o644) > 0);
    assert.equal(fs.unmount(), 0);
    assertClean(buffer, directory);
  });

  test("blocks of extended attributes are freed with the last inode that uses them", () => {
    const value = join(directory, "value");
    writeFileSync(value, "v".repeat(700));
    const image = makeForeignImage(
      directory,
      "4M",
      ["-t", "ext2", "-b", "1024", "-I", "128"],
      `write ${hostFile} file\nsymlink link target\nea_set -f ${value} file user.big\nea_set -f ${value} link user.big\n`,
    );
    const { fs, buffer } = mountImage(image);
    assert.equal(fs.readSymbolicLink(walk(fs, "link")), "target");
    assert.equal(fs.unlink(root, "link"), 0);
    assert.equal(fs.unlink(root, "file"), 0);
    assert.equal(fs.unmount(), 0);
    assertClean(buffer, directory);
  });

  test("a volume that was not unmounted can be used, and stays marked for e2fsck", () => {
    const bench = makeFileSystem(4 << 20);
    const handle = bench.fs.open(writeFile(bench.fs, root, "kept", content.subarray(0, 100_000)), true);
    bench.fs.unlink(root, "kept");
    bench.fs.write(handle, content, 0, 1000, 0);
    // The island ends here: no unmount, no totals, an orphan.
    const { fs, buffer } = mountImage(new Uint8Array(bench.buffer).slice());
    writeFile(fs, root, "after", "the end");
    assert.equal(fs.unmount(), 0);
    const image = join(directory, "unclean.img");
    writeFileSync(image, new Uint8Array(buffer));
    assert.match(run("dumpe2fs", ["-h", image]).output, /Filesystem state: +not clean/);
    assert.equal(run("e2fsck", ["-fp", image]).status, 1, "repaired without a question");
    assert.equal(run("e2fsck", ["-fn", image]).status, 0);
    const repaired = mountImage(readFileSync(image));
    assert.equal(new TextDecoder().decode(readAll(repaired.fs, walk(repaired.fs, "after"))), "the end");
  });
});

describe("formatting", () => {
  test("devices of any size satisfy e2fsck", () => {
    const size = fc.oneof(fc.integer({ min: 100, max: 2000 }), fc.integer({ min: 7000, max: 40_000 }));
    fc.assert(
      fc.property(
        size,
        fc.constantFrom(1024, 2048, 4096),
        fc.constantFrom(128, 256),
        fc.nat(5000),
        (size_KiB, blockSize_bytes, inodeSize_bytes, inodes) => {
          let bench: ReturnType<typeof makeFileSystem>;
          try {
            bench = makeFileSystem(size_KiB * 1024 + (inodes % 1000), {
              blockSize_bytes,
              inodeSize_bytes,
              inodes,
            });
          } catch (error) {
            assert.ok(error instanceof MountError && error.reason === "tooSmall", String(error));
            return;
          }
          assert.ok(bench.fs.statistics().inodes >= Math.min(inodes, 8 * blockSize_bytes));
          assert.equal(bench.fs.unmount(), 0);
          assertClean(bench.buffer, directory, `${size_KiB} KiB`);
          const mounted = Ext2.mount(bench.options);
          assert.equal(statOf(mounted, root).linkCount, 3);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("regression: reserved inodes all lie in the first group, however few inodes a group has", () => {
    const bench = makeFileSystem(8248 << 10, { blockSize_bytes: 1024, inodeSize_bytes: 128, inodes: 0 });
    assert.ok(bench.fs.lookup(root, "lost+found") >= 11);
    bench.fs.unmount();
    assertClean(bench.buffer, directory);
  });

  test("copies of the superblock let e2fsck repair a lost one", { skip: noE2fsprogs }, () => {
    const bench = makeFileSystem(20 << 20, { blockSize_bytes: 1024, volumeName: "archipelago" });
    writeFile(bench.fs, root, "file", content);
    bench.fs.unmount();
    const image = join(directory, "copies.img");
    const bytes = new Uint8Array(bench.buffer).slice();
    bytes.fill(0, 1024, 3072);
    writeFileSync(image, bytes);
    assert.throws(() => mountImage(bytes), MountError);
    assert.equal(run("e2fsck", ["-fy", "-b", "8193", "-B", "1024", image]).status, 1);
    const { fs } = mountImage(readFileSync(image));
    assert.equal(Buffer.compare(readAll(fs, walk(fs, "file")), content), 0);
    assert.match(run("dumpe2fs", ["-h", image]).output, /volume name: +archipelago/);
  });

  test("devices that are too small and options that cannot be are refused", () => {
    const reason = (size_bytes: number, options: object): string => {
      try {
        makeFileSystem(size_bytes, options);
        return "made";
      } catch (error) {
        return error instanceof MountError ? error.reason : String(error);
      }
    };
    assert.equal(reason(2048, {}), "tooSmall");
    assert.equal(reason(20_000, {}), "tooSmall");
    assert.equal(reason(1 << 20, { inodes: 100_000 }), "tooSmall");
    assert.equal(reason(1 << 20, { blockSize_bytes: 512 }), "unsupportedBlockSize");
    assert.equal(reason(1 << 20, { inodeSize_bytes: 512 }), "unsupportedInodeSize");
  });
});

describe("what cannot be mounted is refused with the reason", () => {
  const refusalOf = (image: Uint8Array): MountRefusal | string => {
    try {
      const { fs } = mountImage(image);
      return fs.readOnly ? `read-only: ${fs.readOnlyReason}` : "mounted";
    } catch (error) {
      if (error instanceof MountError) return error.reason;
      throw error;
    }
  };

  test("images of other formats and features", { skip: noE2fsprogs }, () => {
    const make = (...args: string[]): Uint8Array => makeForeignImage(directory, "16M", args);
    assert.equal(refusalOf(make("-t", "ext4")), "unsupportedFeature");
    assert.equal(refusalOf(make("-t", "ext2", "-O", "extent")), "unsupportedFeature");
    assert.equal(refusalOf(make("-t", "ext2", "-O", "meta_bg,^resize_inode")), "unsupportedFeature");
    assert.equal(refusalOf(make("-t", "ext2", "-b", "8192")), "unsupportedBlockSize");
    assert.equal(refusalOf(make("-t", "ext2", "-I", "512", "-b", "4096")), "unsupportedInodeSize");
    assert.match(refusalOf(make("-t", "ext3", "-b", "1024")), /^read-only: .*journal/);
    assert.match(refusalOf(make("-t", "ext2", "-O", "huge_file")), /^read-only: unknown features/);
    makeForeignImage(directory, "16M", ["-t", "ext3"], "feature needs_recovery\n");
    assert.equal(refusalOf(readFileSync(join(directory, "foreign.img"))), "journalNeedsRecovery");
    assert.throws(() => mountImage(make("-t", "ext4")), /extents/);
  });

  test("devices without a file system and superblocks that make no sense", () => {
    assert.equal(refusalOf(new Uint8Array(1 << 20)), "notExt2");
    assert.equal(refusalOf(pattern(1 << 20)), "notExt2");
    assert.equal(refusalOf(new Uint8Array(1000)), "damaged");
    const bench = makeFileSystem(1 << 20);
    bench.fs.unmount();
    const damage = (change: (superblock: typeof view) => void): string => {
      const image = new Uint8Array(bench.buffer).slice();
      const view = overlay(Superblock, image.buffer, { format: "ilp32", base: 1024, count: 1 });
      change(view);
      return refusalOf(image);
    };
    const view = overlay(Superblock, bench.buffer, { format: "ilp32", base: 1024, count: 1 });
    assert.equal(refusalOf(new Uint8Array(bench.buffer).slice()), "mounted");
    assert.equal(
      damage((superblock) => superblock.setRevision(0, 7)),
      "unsupportedRevision",
    );
    assert.equal(
      damage((superblock) => superblock.setBlocksPerGroup(0, 0)),
      "damaged",
    );
    assert.equal(
      damage((superblock) => superblock.setInodesPerGroup(0, 0)),
      "damaged",
    );
    assert.equal(
      damage((superblock) => superblock.setBlocksCount(0, 1e6)),
      "damaged",
    );
    assert.equal(
      damage((superblock) => superblock.setInodesCount(0, 1e6)),
      "damaged",
    );
    assert.equal(
      damage((superblock) => superblock.setFirstDataBlock(0, 1)),
      "damaged",
    );
    assert.equal(
      damage((superblock) => superblock.setInodeSize(0, 0)),
      "unsupportedInodeSize",
    );
    assert.match(
      damage((superblock) => superblock.setState(0, 3)),
      /^read-only: errors/,
    );
    assert.equal(refusalOf(new Uint8Array(bench.buffer).slice(0, 1 << 19)), "damaged");
  });

  test("a kernel cannot join what is not mounted", () => {
    const bench = makeFileSystem(1 << 20);
    bench.fs.unmount();
    assert.throws(() => Ext2.attach(bench.options));
    assert.throws(() => Ext2.attach(optionsFor(bench.buffer)));
  });
});
