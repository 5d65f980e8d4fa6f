/**
 * The file system on memory in which nothing is there that was not announced: it does what it does on plain memory, and
 * leaves the same bytes behind, on the device and in core.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TypedMemory } from "../../src/memory/index.ts";
import { ImageDevice } from "../../src/services/block/image-device.ts";
import { Ramdisk } from "../../src/services/block/ramdisk.ts";
import { Ext2, type Ext2Options } from "../../src/services/fs/ext2/ext2.ts";
import type { MakeOptions } from "../../src/services/fs/ext2/make.ts";
import { Pair, type Step, step } from "../ext2/pair.ts";
import { type Bench, type DiskBench, MemoryDisk, makeClock } from "../ext2/support.ts";
import { ScrambledMemory } from "./support/scrambled-memory.ts";

interface Shape extends MakeOptions {
  readonly size_bytes: number;
}

/** Typed memory and device share one buffer, as on an island. The odd base makes blocks cross pages. */
const base = (1 << 20) + 1024;

/** An island with a ramdisk, formatted and mounted. */
function ramdiskBench(
  shape: Shape,
  scrambled: ScrambledMemory | undefined,
  buffer: SharedArrayBuffer,
): Bench {
  const guard = scrambled;
  const memory = TypedMemory.format(buffer, { byteLength: 1 << 20, guard });
  const device = new Ramdisk({ buffer, base, size_bytes: shape.size_bytes, guard });
  const log: string[] = [];
  const options: Ext2Options = {
    memory,
    device,
    owner: 1,
    now_ns: makeClock(),
    log: (line) => log.push(line),
  };
  return { memory, buffer, options, log, fs: Ext2.create({ ...options, ...shape }) };
}

/** The same with an image on a disk behind the memory. */
function imageBench(
  shape: Shape,
  scrambled: ScrambledMemory | undefined,
  buffer: SharedArrayBuffer,
): DiskBench {
  const guard = scrambled;
  const memory = TypedMemory.format(buffer, { byteLength: 1 << 20, guard });
  const disk = new MemoryDisk(new Uint8Array(shape.size_bytes));
  const log: string[] = [];
  const now_ns = makeClock();
  const device = (owner: number) => ({ memory, name: "root", buffer, base, disk, owner, guard });
  const optionsOf = (owner: number, reload: boolean): Ext2Options => {
    if (reload) {
      ImageDevice.remove(memory, "root");
      memory.zero(base, shape.size_bytes);
      ImageDevice.create(device(owner));
    }
    return {
      memory,
      device: ImageDevice.attach(device(owner)),
      owner,
      now_ns,
      log: (line) => log.push(line),
    };
  };
  ImageDevice.create(device(1));
  const options = optionsOf(1, false);
  const fs = Ext2.create({ ...options, ...shape });
  return { memory, buffer, options, log, disk, optionsOf, fs };
}

/** Formats, works, remounts and unmounts. @returns the device as it is left behind, and what was logged. */
function work(bench: Bench | DiskBench, steps: readonly Step[]): { image: ArrayBufferLike; log: string[] } {
  const pair = new Pair(bench);
  for (const one of steps) pair.run(one);
  pair.remount();
  pair.compare();
  for (const one of steps.slice(0, 20)) pair.run(one);
  pair.same(pair.kernels[0].unmount(), 0);
  return { image: pair.image(), log: bench.log };
}

for (const [kind, makeBench] of [
  ["a ramdisk", ramdiskBench],
  ["an image", imageBench],
] as const) {
  for (const shape of [
    { size_bytes: 300 * 1024, blockSize_bytes: 1024, inodeSize_bytes: 128, inodes: 24 },
    // Two block groups, the second with copies of the superblock.
    { size_bytes: 9 << 20, blockSize_bytes: 1024, inodeSize_bytes: 256, inodes: 64 },
    { size_bytes: 2 << 20, blockSize_bytes: 4096, inodeSize_bytes: 256, inodes: 64 },
  ]) {
    test(`ext2 on ${kind} of ${shape.size_bytes} bytes touches nothing unannounced`, () => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 40, maxLength: 150, size: "max" }), (steps) => {
          const plainBuffer = new SharedArrayBuffer(base + shape.size_bytes);
          const plain = work(makeBench(shape, undefined, plainBuffer), steps);
          const scrambled = new ScrambledMemory(new SharedArrayBuffer(plainBuffer.byteLength));
          const guarded = work(makeBench(shape, scrambled, scrambled.buffer), steps);
          assert.equal(Buffer.compare(scrambled.contents(), new Uint8Array(plainBuffer)), 0);
          if (kind === "an image") assert.deepEqual(guarded.image, plain.image);
          assert.deepEqual(guarded.log, plain.log);
        }),
        { numRuns: 12 },
      );
    });
  }
}
