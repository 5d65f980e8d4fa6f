/**
 * The file system and the model side by side: random steps are done to both, by two kernels in turn, and must
 * have the same results; `compare` looks at everything there is.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import { Ext2, type Ext2Options } from "../../src/services/fs/ext2/ext2.ts";
import { fileType } from "../../src/services/fs/filesystem.ts";
import { Model, type Node } from "./model.ts";
import { type Bench, type DiskBench, listDirectory, pattern, statOf } from "./support.ts";

const names = [
  "a",
  "b",
  "c",
  "dd",
  "name.txt",
  "später-✓",
  "x".repeat(255),
  "y".repeat(120),
  "z".repeat(256),
  "ü".repeat(128),
];

/** Where the map of blocks changes its shape, for blocks of 1 and of 4 KiB, and odd places beside. */
const places = [
  0,
  1,
  100,
  1023,
  1024,
  4095,
  4096,
  12 * 1024,
  12 * 4096,
  268 * 1024 - 5,
  268 * 1024,
  1036 * 4096 - 1,
  (12 + 256 + 65536) * 1024 - 3,
  2 ** 31 - 10,
  2 ** 32 + 77,
  (12 + 1024 + 1024 ** 2) * 4096 - 100,
];

const operations = [
  "create",
  "create",
  "mkdir",
  "mkdir",
  "symlink",
  "link",
  "unlink",
  "unlink",
  "rmdir",
  "rename",
  "rename",
  "rename",
  "open",
  "open",
  "close",
  "write",
  "write",
  "write",
  "append",
  "append",
  "truncate",
  "read",
  "lookup",
  "mode",
  "sync",
  "remount",
] as const;

export interface Step {
  readonly operation: (typeof operations)[number];
  readonly kernel: number;
  readonly a: number;
  readonly b: number;
  /** Indices into `names`: the report of a failure stays readable. */
  readonly name: number;
  readonly otherName: number;
  readonly place: number;
  readonly shift: number;
  readonly length: number;
}

export const step: fc.Arbitrary<Step> = fc.record({
  operation: fc.constantFrom(...operations),
  kernel: fc.nat(1),
  a: fc.nat(1000),
  b: fc.nat(1000),
  name: fc.nat(names.length - 1),
  otherName: fc.nat(names.length - 1),
  place: fc.constantFrom(...places),
  shift: fc.nat(3000),
  length: fc.oneof(fc.nat(20), fc.nat(6000), fc.nat(150_000)),
});

/** The file system and the model side by side. */
export class Pair {
  readonly model = new Model();
  readonly open: { node: Node; handle: number; writable: boolean }[] = [];
  readonly bench: Bench | DiskBench;
  kernels: Ext2[];
  seed = 1;

  constructor(bench: Bench | DiskBench) {
    this.bench = bench;
    this.kernels = [bench.fs, Ext2.attach(this.options(2, false))];
    // The model learns what formatting made.
    const found = bench.fs.lookup(2, "lost+found");
    this.model.make("directory", this.model.root, "lost+found", found, 0o700);
    // Nothing is done to it: its blocks are to be the same in the end.
    this.model.nodes.pop();
  }

  run(step: Step): void {
    const fs = this.kernels[step.kernel];
    const { model } = this;
    const name = names[step.name];
    const otherName = names[step.otherName];
    const a = model.nodes[step.a % model.nodes.length];
    const b = model.nodes[step.b % model.nodes.length];
    const directories = model.nodes.filter((node) => node.kind === "directory");
    // Mostly directories, now and then something that is none.
    const in1 = step.a % 20 === 19 ? a : directories[step.a % directories.length];
    const in2 = directories[step.b % directories.length];
    const handle = this.open.length > 0 ? this.open[step.a % this.open.length] : undefined;
    const position = step.place + step.shift;
    switch (step.operation) {
      case "create":
      case "mkdir":
      case "symlink":
        this.make(fs, step, in1);
        return;
      case "link": {
        const refusal = model.refuseLink(a, in2, name);
        const result = fs.link(a.inode, in2.inode, name);
        if (refusal === 0 && this.isFull(fs, result)) return;
        assert.equal(errnoName(result), errnoName(refusal));
        if (result === 0) model.link(a, in2, name);
        return;
      }
      case "unlink": {
        this.same(fs.unlink(in1.inode, name), model.unlink(in1, name));
        return;
      }
      case "rmdir": {
        this.same(fs.removeDirectory(in1.inode, name), model.removeDirectory(in1, name));
        return;
      }
      case "rename": {
        const refusal = model.refuseRename(in1, name, in2, otherName);
        const result = fs.rename(in1.inode, name, in2.inode, otherName);
        if (refusal === 0 && this.isFull(fs, result)) return;
        this.same(result, Math.min(refusal, 0));
        if (refusal === 0) model.rename(in1, name, in2, otherName);
        return;
      }
      case "open": {
        this.openNode(fs, a, step.b % 3 !== 0);
        return;
      }
      case "close":
        if (handle === undefined) return;
        fs.close(handle.handle);
        this.open.splice(this.open.indexOf(handle), 1);
        model.close(handle.node);
        return;
      case "write":
      case "append":
        if (handle !== undefined) this.write(fs, handle, step.operation === "append", step.length, position);
        return;
      case "truncate": {
        if (handle === undefined) return;
        const size = step.b % 2 === 0 ? position : step.length;
        const result = fs.truncate(handle.handle, size);
        if (handle.writable && result === -errno.FBIG) {
          assert.ok(size > largestFile(fs));
          return;
        }
        this.same(result, handle.writable ? 0 : -errno.BADF);
        if (handle.writable) handle.node.content.truncate(size);
        return;
      }
      case "read": {
        if (handle === undefined) return;
        const target = new Uint8Array(step.length);
        const count = fs.read(handle.handle, target, 0, step.length, position);
        if (handle.node.kind === "directory") {
          this.same(count, -errno.ISDIR);
          return;
        }
        assert.deepEqual(target.subarray(0, count), handle.node.content.read(step.length, position));
        return;
      }
      case "lookup": {
        this.same(fs.lookup(in1.inode, name), model.lookup(in1, name));
        return;
      }
      case "mode":
        this.same(fs.setMode(b.inode, step.shift & 0o777), 0);
        b.mode = step.shift & 0o777;
        return;
      case "sync": {
        this.same(fs.syncAll(), 0);
        return;
      }
      case "remount": {
        this.remount();
        return;
      }
    }
  }

  make(fs: Ext2, step: Step, parent: Node): void {
    const { model } = this;
    const name = names[step.name];
    const kind = step.operation === "mkdir" ? "directory" : step.operation === "create" ? "file" : "link";
    const target = "t".repeat(1 + (step.length % 900));
    const refusal = model.refuseName(parent, name);
    const result =
      kind === "directory"
        ? fs.makeDirectory(parent.inode, name, 0o755)
        : kind === "file"
          ? fs.createFile(parent.inode, name, 0o644)
          : fs.makeSymbolicLink(parent.inode, name, target);
    if (refusal === 0 && this.isFull(fs, result)) return;
    if (refusal !== 0) {
      this.same(result, refusal);
      return;
    }
    assert.ok(result > 0, `${step.operation}: ${errnoName(result)}`);
    assert.ok(!model.nodes.some((node) => node.inode === result), `inode ${result} was given out twice`);
    const mode = kind === "directory" ? 0o755 : kind === "file" ? 0o644 : 0o777;
    model.make(kind, parent, name, result, mode, target);
  }

  openNode(fs: Ext2, node: Node, writable: boolean): void {
    const handle = fs.open(node.inode, writable);
    if (node.kind === "link") {
      this.same(handle, -errno.LOOP);
      return;
    }
    if (node.kind === "directory" && writable) {
      this.same(handle, -errno.ISDIR);
      return;
    }
    assert.ok(handle >= 0, `open: ${errnoName(handle)}`);
    node.open++;
    this.open.push({ node, handle, writable });
  }

  write(
    fs: Ext2,
    file: { node: Node; handle: number; writable: boolean },
    append: boolean,
    length: number,
    position: number,
  ): void {
    const { content } = file.node;
    const source = pattern(length, this.seed++);
    const at = append ? content.size : position;
    const result = append
      ? fs.append(file.handle, source, 0, length)
      : fs.write(file.handle, source, 0, length, position);
    if (!file.writable) {
      this.same(result, -errno.BADF);
      return;
    }
    if (result === -errno.FBIG) {
      assert.ok(at + length > largestFile(fs));
      return;
    }
    // An append is given up when not all of it fits.
    if (this.isFull(fs, result, append ? length : 0)) return;
    assert.ok(result >= 0, errnoName(result));
    const written = append ? result - at : result;
    if (written < length) {
      assert.ok(!append, "an append is all or nothing");
      const atEnd = at + written >= largestFile(fs);
      if (!atEnd) assert.ok(fs.statistics().freeBlocks <= 4, "a write was short, but there is room");
    }
    content.write(source.subarray(0, written), at);
  }

  /** True when the call failed for lack of room, and there really is (nearly) none. */
  isFull(fs: Ext2, result: number, wanted_bytes = 0): boolean {
    if (result !== -errno.NOSPC) return false;
    const { freeBlocks, freeInodes, blockSize } = fs.statistics();
    // Data may start and end inside a block, and needs up to four indirect ones.
    const needed = Math.ceil(wanted_bytes / blockSize) + 6;
    assert.ok(
      freeBlocks < needed || freeInodes === 0,
      `−ENOSPC with ${freeBlocks} blocks and ${freeInodes} inodes free`,
    );
    return true;
  }

  same(actual: number, expected: number): void {
    if (actual === expected) return;
    const say = (code: number): string => (code < 0 ? errnoName(code) : `${code}`);
    assert.fail(`${say(actual)}, must be ${say(expected)}`);
  }

  remount(): void {
    // Files that only handles kept are gone after this.
    for (const { node } of this.open.splice(0)) this.model.close(node);
    this.same(this.kernels[0].unmount(), 0);
    const first = Ext2.mount(this.options(1, true));
    this.kernels = [first, Ext2.attach(this.options(2, false))];
  }

  options(owner: number, reload: boolean): Ext2Options {
    const { bench } = this;
    return "optionsOf" in bench ? bench.optionsOf(owner, reload) : { ...bench.options, owner };
  }

  /** The image as it would be found after a restart. */
  image(): ArrayBufferLike {
    return "disk" in this.bench ? this.bench.disk.content.buffer : this.bench.buffer;
  }

  /** Compares everything that can be reached. */
  compare(): void {
    const fs = this.kernels[1];
    for (const node of this.model.nodes) {
      const stat = statOf(fs, node.inode);
      assert.equal(stat.linkCount, node.links);
      assert.equal(stat.mode, node.mode);
      if (node.kind === "directory") {
        assert.equal(stat.fileType, fileType.directory);
        if (node.links > 0) this.compareDirectory(fs, node);
      } else if (node.kind === "link") {
        assert.equal(fs.readSymbolicLink(node.inode), node.target);
      } else {
        assert.equal(stat.size_bytes, node.content.size);
        this.compareContent(fs, node);
      }
    }
  }

  compareDirectory(fs: Ext2, node: Node): void {
    const typeOf = { file: fileType.regularFile, directory: fileType.directory, link: fileType.symbolicLink };
    const expected = [...node.entries].map(([name, child]) => `${name} ${child.inode} ${typeOf[child.kind]}`);
    expected.push(`. ${node.inode} 3`, `.. ${node.parent?.inode} 3`);
    const actual = listDirectory(fs, node.inode).map(({ name, inode, type }) => `${name} ${inode} ${type}`);
    assert.deepEqual(actual.sort(), expected.sort());
  }

  /** Compares what was written, and what lies around it. */
  compareContent(fs: Ext2, node: Node): void {
    const handle = fs.open(node.inode, false);
    const around = 4096;
    for (const index of [...node.content.chunks.keys(), Math.floor(node.content.size / 1024)]) {
      const position = Math.max(0, index * 1024 - around);
      const target = new Uint8Array(2 * around + 1024);
      const count = fs.read(handle, target, 0, target.length, position);
      const expected = node.content.read(target.length, position);
      assert.equal(
        Buffer.compare(target.subarray(0, Math.max(count, 0)), expected),
        0,
        `inode ${node.inode} at ${position}`,
      );
    }
    fs.close(handle);
  }

  /** Removes everything; then only directories that grew may hold more blocks than at first. */
  empty(): void {
    const fs = this.kernels[0];
    for (const { node, handle } of this.open.splice(0)) {
      fs.close(handle);
      this.model.close(node);
    }
    const emptyDirectory = (node: Node): void => {
      for (const [name, child] of [...node.entries]) {
        if (name === "lost+found" && node === this.model.root) continue;
        if (child.kind === "directory") emptyDirectory(child);
        this.same(
          child.kind === "directory" ? fs.removeDirectory(node.inode, name) : fs.unlink(node.inode, name),
          0,
        );
        if (child.kind === "directory") this.model.removeDirectory(node, name);
        else this.model.unlink(node, name);
      }
    };
    emptyDirectory(this.model.root);
  }
}

function largestFile(fs: Ext2): number {
  const { blockSize } = fs.statistics();
  const pointers = blockSize / 4;
  return (12 + pointers + pointers ** 2 + pointers ** 3) * blockSize;
}
