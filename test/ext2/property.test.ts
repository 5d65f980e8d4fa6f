/**
 * Random sequences of all operations, on small devices that fill up, by two kernels in turn, against the model;
 * in the end the trees must be equal, e2fsck must find nothing, and an emptied device must have all its blocks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import { Pair, step } from "./pair.ts";
import {
  assertClean,
  makeDiskFileSystem,
  makeFileSystem,
  makeTemporaryDirectory,
  noE2fsprogs,
  statOf,
} from "./support.ts";

const directory = makeTemporaryDirectory();

for (const shape of [
  { size_bytes: 300 * 1024, blockSize_bytes: 1024, inodeSize_bytes: 128, inodes: 24 },
  { size_bytes: 1200 * 1024, blockSize_bytes: 2048, inodeSize_bytes: 256, inodes: 64 },
  { size_bytes: 1500 * 1024, blockSize_bytes: 1024, inodeSize_bytes: 256, inodes: 64, disk: true },
  { size_bytes: 3 << 20, blockSize_bytes: 4096, disk: true, inodeSize_bytes: 128, inodes: 80 },
  { size_bytes: 3 << 20, blockSize_bytes: 4096, inodeSize_bytes: 256, inodes: 100 },
  // Two block groups.
  { size_bytes: 9 << 20, blockSize_bytes: 1024, inodeSize_bytes: 256, inodes: 64 },
]) {
  test(`random operations agree with the model: ${JSON.stringify(shape)}`, { timeout: 60_000 }, (context) => {
    if (noE2fsprogs) context.diagnostic(`e2fsck left out: ${noE2fsprogs}`);
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 300, size: "max" }), (steps) => {
        const bench = shape.disk
          ? makeDiskFileSystem(shape.size_bytes, shape)
          : makeFileSystem(shape.size_bytes, shape);
        const before = bench.fs.statistics();
        const rootBlocks = statOf(bench.fs, 2).size_bytes / shape.blockSize_bytes;
        const pair = new Pair(bench);
        for (const one of steps) pair.run(one);
        pair.compare();
        pair.remount();
        pair.compare();
        pair.same(pair.kernels[0].unmount(), 0);
        assertClean(pair.image(), directory, "after the operations");
        pair.kernels = [Ext2.mount(pair.options(1, true))];
        pair.empty();
        const grown = statOf(pair.kernels[0], 2).size_bytes / shape.blockSize_bytes - rootBlocks;
        const after = pair.kernels[0].statistics();
        assert.equal(after.freeInodes, before.freeInodes, "inodes leaked");
        assert.equal(after.freeBlocks + grown, before.freeBlocks, "blocks leaked");
        pair.same(pair.kernels[0].unmount(), 0);
        assertClean(pair.image(), directory, "after removing everything");
        assert.deepEqual(bench.log, []);
      }),
      { numRuns: Number(process.env.RUNS ?? 25), endOnFailure: process.env.SHRINK === undefined },
    );
  });
}
