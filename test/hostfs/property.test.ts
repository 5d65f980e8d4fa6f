/** Random sequences of calls on two kernels against a simple model of a directory tree. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { errno } from "../../src/kernel/errno.ts";
import type { HostFileSystem } from "../../src/services/fs/hostfs.ts";
import { contentOf, listNames, mountFolder, type TestMount } from "./mount.ts";

/** A directory is a map of names, a file an object that hard links share. */
type ModelFile = { text: string };
type ModelDirectory = Map<string, ModelFile | ModelDirectory>;

const names = ["a", "b", "c"];
const name = fc.constantFrom(...names);
/** Directories by up to two names from the root. */
const folder = fc.array(fc.constantFrom("a", "b"), { maxLength: 2 });
const place = fc.record({ folder, name });
const kernel = fc.nat(1);
const action = fc.oneof(
  fc.record({ kind: fc.constant("file" as const), kernel, at: place }),
  fc.record({ kind: fc.constant("directory" as const), kernel, at: place }),
  fc.record({
    kind: fc.constant("write" as const),
    kernel,
    at: place,
    text: fc.stringMatching(/^[a-z]{0,8}$/),
  }),
  fc.record({ kind: fc.constant("unlink" as const), kernel, at: place }),
  fc.record({ kind: fc.constant("remove" as const), kernel, at: place }),
  fc.record({ kind: fc.constant("rename" as const), kernel, at: place, to: place }),
  fc.record({ kind: fc.constant("link" as const), kernel, at: place, to: place }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

function modelDirectory(root: ModelDirectory, path: readonly string[]): ModelDirectory | number {
  let at = root;
  for (const part of path) {
    const next = at.get(part);
    if (next === undefined) return -errno.NOENT;
    if (!(next instanceof Map)) return -errno.NOTDIR;
    at = next;
  }
  return at;
}

function realDirectory(fs: HostFileSystem, path: readonly string[]): number {
  let at = fs.rootInode;
  for (const part of path) {
    at = fs.lookup(at, part);
    if (at < 0) return at;
  }
  return at;
}

/** What a call gives: "ok" or an errno; where POSIX leaves a choice of two, they are one here. */
function outcome(result: number): string {
  if (result >= 0) return "ok";
  return `errno ${-result}`;
}

function contains(directory: ModelDirectory, wanted: ModelDirectory): boolean {
  return (
    directory === wanted ||
    [...directory.values()].some((entry) => entry instanceof Map && contains(entry, wanted))
  );
}

function onModel(root: ModelDirectory, { kind, at, ...rest }: Action): number {
  const directory = modelDirectory(root, at.folder);
  if (typeof directory === "number") return directory;
  const found = directory.get(at.name);
  if (kind === "file" || kind === "directory") {
    if (found !== undefined) return -errno.EXIST;
    directory.set(at.name, kind === "file" ? { text: "" } : new Map());
    return 0;
  }
  if (found === undefined) return -errno.NOENT;
  if (kind === "write") {
    if (found instanceof Map) return -errno.ISDIR;
    found.text = "text" in rest ? rest.text : "";
  } else if (kind === "unlink") {
    if (found instanceof Map) return -errno.ISDIR;
    directory.delete(at.name);
  } else if (kind === "remove") {
    if (!(found instanceof Map)) return -errno.NOTDIR;
    if (found.size > 0) return -errno.NOTEMPTY;
    directory.delete(at.name);
  } else if ("to" in rest) {
    const target = modelDirectory(root, rest.to.folder);
    if (typeof target === "number") return target;
    const replaced = target.get(rest.to.name);
    if (kind === "link") {
      if (replaced !== undefined) return -errno.EXIST;
      if (found instanceof Map) return -errno.PERM;
      target.set(rest.to.name, found);
      return 0;
    }
    if (found instanceof Map && contains(found, target)) return -errno.INVAL;
    if (replaced === found) return 0;
    if (replaced !== undefined) {
      if (replaced instanceof Map && contains(replaced, directory)) return -errno.NOTEMPTY;
      if (found instanceof Map && !(replaced instanceof Map)) return -errno.NOTDIR;
      if (!(found instanceof Map) && replaced instanceof Map) return -errno.ISDIR;
      if (replaced instanceof Map && replaced.size > 0) return -errno.NOTEMPTY;
    }
    directory.delete(at.name);
    target.set(rest.to.name, found);
  }
  return 0;
}

function onReal(fs: HostFileSystem, { kind, at, ...rest }: Action): number {
  const directory = realDirectory(fs, at.folder);
  if (directory < 0) return directory;
  if (kind === "file") return fs.createFile(directory, at.name, 0o644);
  if (kind === "directory") return fs.makeDirectory(directory, at.name, 0o755);
  if (kind === "unlink") return fs.unlink(directory, at.name);
  if (kind === "remove") return fs.removeDirectory(directory, at.name);
  const inode = fs.lookup(directory, at.name);
  if (inode < 0) return inode;
  if (kind === "write") {
    const handle = fs.open(inode, true);
    if (handle < 0) return handle;
    const bytes = new TextEncoder().encode("text" in rest ? rest.text : "");
    fs.truncate(handle, 0);
    const result = fs.write(handle, bytes, 0, bytes.length, 0);
    fs.close(handle);
    return result;
  }
  if (!("to" in rest)) return 0;
  const target = realDirectory(fs, rest.to.folder);
  if (target < 0) return target;
  return kind === "link"
    ? fs.link(inode, target, rest.to.name)
    : fs.rename(directory, at.name, target, rest.to.name);
}

/** The tree as one value, from the model, through a kernel, and from the host. */
function ofModel(directory: ModelDirectory): unknown {
  const sorted = [...directory].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([key, entry]) => [key, entry instanceof Map ? ofModel(entry) : entry.text]);
}

function ofKernel(fs: HostFileSystem, directory: number): unknown {
  const found = listNames(fs, directory, 2).filter((entry) => entry !== "." && entry !== "..");
  return found.sort().map((entry) => {
    const inode = fs.lookup(directory, entry);
    const handle = fs.open(inode, true);
    if (handle < 0) return [entry, ofKernel(fs, inode)];
    fs.close(handle);
    return [entry, contentOf(fs, inode)];
  });
}

function ofHost(path: string): unknown {
  const found = readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return found.map((entry) => {
    const inner = join(path, entry.name);
    return [entry.name, entry.isDirectory() ? ofHost(inner) : readFileSync(inner, "utf8")];
  });
}

function run(mount: TestMount, actions: readonly Action[]): void {
  const model: ModelDirectory = new Map();
  for (const [index, one] of actions.entries()) {
    const expected = outcome(onModel(model, one));
    const actual = outcome(onReal(mount.kernels[one.kernel], one));
    assert.equal(actual, expected, `call ${index}: ${JSON.stringify(one)}`);
  }
  const expected = ofModel(model);
  for (const fs of mount.kernels) assert.deepEqual(ofKernel(fs, fs.rootInode), expected);
  assert.deepEqual(ofHost(mount.folder), expected);
  assert.equal(mount.kernels[0].openHandles(), 0);
}

test("two kernels agree with a simple model of a tree", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.constantFrom(16, 1024), (actions, nodes) => {
      using mount = mountFolder({ kernels: 2, nodes });
      run(mount, actions);
    }),
    { numRuns: 150 },
  );
});
