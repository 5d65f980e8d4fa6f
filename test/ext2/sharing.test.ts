/** Several kernels on threads of their own use one volume at once; e2fsck has the last word. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Ext2 } from "../../src/services/fs/ext2/ext2.ts";
import type { Assignment } from "./sharing-worker.ts";
import {
  assertClean,
  listDirectory,
  makeFileSystem,
  makeTemporaryDirectory,
  readAll,
  root,
  statOf,
} from "./support.ts";

const directory = makeTemporaryDirectory();
const workers = 3;
const limit = { timeout: 60_000 };

type Bench = ReturnType<typeof makeFileSystem>;

/** Runs a job on several kernels; what each reported. */
async function hammer(bench: Bench, job: Assignment["job"], rounds: number): Promise<string[][]> {
  const start = new SharedArrayBuffer(8);
  const words = new Int32Array(start);
  const results = Array.from({ length: workers }, (_, i) => {
    const { buffer: memory } = bench.memory;
    const assignment: Assignment = {
      memory,
      device: bench.buffer,
      start,
      owner: i + 2,
      job,
      rounds,
      seed: i + 1,
    };
    const worker = new Worker(new URL("./sharing-worker.ts", import.meta.url), { workerData: assignment });
    return new Promise<string[]>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the worker ended with ${code}`)));
    });
  });
  for (let ready = 0; ready < workers; ready = Atomics.load(words, 1)) {
    await Promise.race([...results, Atomics.waitAsync(words, 1, ready, 1000).value]);
  }
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
  return Promise.all(results);
}

function finish(bench: Bench): void {
  assert.equal(bench.fs.unmount(), 0);
  assertClean(bench.buffer, directory);
  assert.deepEqual(bench.log, []);
}

for (const size_bytes of [1 << 20, 12 << 20]) {
  test(`all calls at random, on ${size_bytes >> 20} MiB`, limit, async () => {
    const bench = makeFileSystem(size_bytes, { blockSize_bytes: 1024 });
    for (const name of ["d0", "d1", "d2"]) bench.fs.makeDirectory(root, name, 0o755);
    await hammer(bench, "mixed", Number(process.env.ROUNDS ?? 8000));
    finish(bench);
    // Everything can be removed, and then nothing is missing.
    const fs = Ext2.mount(bench.options);
    const removeAll = (inode: number): void => {
      for (const { name, inode: child, type } of listDirectory(fs, inode)) {
        if (name === "." || name === ".." || name === "lost+found") continue;
        if (type === 3) removeAll(child);
        assert.equal(type === 3 ? fs.removeDirectory(inode, name) : fs.unlink(inode, name), 0);
      }
    };
    removeAll(root);
    const { inodes, freeInodes } = fs.statistics();
    assert.equal(inodes - freeInodes, 11);
    assert.equal(fs.unmount(), 0);
    assertClean(bench.buffer, directory);
  });
}

test("appends by several kernels are all there, whole and in each kernel's order", limit, async () => {
  const bench = makeFileSystem(16 << 20);
  const inode = bench.fs.createFile(root, "log", 0o644);
  const rounds = 5000;
  await hammer(bench, "append", rounds);
  const lines = new TextDecoder().decode(readAll(bench.fs, inode)).split("\n");
  assert.equal(lines.pop(), "");
  assert.equal(lines.length, workers * rounds);
  const next = new Map<string, number>();
  for (const line of lines) {
    const match = /^(\d):(\d+)x*$/.exec(line);
    assert.ok(match, line);
    assert.equal(Number(match[2]), next.get(match[1]) ?? 0);
    next.set(match[1], Number(match[2]) + 1);
  }
  finish(bench);
});

test("directories moved into each other stay a tree, without deadlock", limit, async () => {
  const bench = makeFileSystem(4 << 20);
  for (const name of ["p0", "p1", "p2"]) bench.fs.makeDirectory(root, name, 0o755);
  await hammer(bench, "rename", 10_000);
  finish(bench);
});

test("files renamed in opposite directions are never lost", limit, async () => {
  const bench = makeFileSystem(4 << 20);
  for (const name of ["d0", "d1"]) bench.fs.makeDirectory(root, name, 0o755);
  await hammer(bench, "ring", 3000);
  assert.equal(listDirectory(bench.fs, bench.fs.lookup(root, "d0")).length, 2 + workers);
  finish(bench);
});

test("link counts and open handles of one file add up", limit, async () => {
  const bench = makeFileSystem(4 << 20);
  const inode = bench.fs.createFile(root, "log", 0o644);
  assert.ok(inode < bench.fs.makeDirectory(root, "d0", 0o755));
  await hammer(bench, "links", 8000);
  assert.equal(statOf(bench.fs, inode).linkCount, 1);
  const free = bench.fs.statistics().freeInodes;
  assert.equal(bench.fs.unlink(root, "log"), 0);
  assert.equal(bench.fs.statistics().freeInodes, free + 1, "no handle is left");
  finish(bench);
});

test("of kernels that create one name, one wins", limit, async () => {
  const bench = makeFileSystem(8 << 20);
  const won = (await hammer(bench, "claim", 1500)).flat();
  assert.equal(won.length, 1500);
  assert.equal(new Set(won).size, 1500);
  finish(bench);
});
