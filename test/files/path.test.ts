/** Paths: the sandbox rules, symbolic links, odd spellings, and random trees against a simple model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errnoName } from "../../src/kernel/errno.ts";
import { emptyStat, fileType } from "../../src/services/fs/filesystem.ts";
import { creating, fails, ok, Rig, reading } from "./rig.ts";

/** A tree with links of every kind; the sandbox is "box", its neighbours are out of bounds. */
function sandbox(): { rig: Rig; root: number; box: number } {
  const rig = new Rig();
  const root = rig.mountRoot();
  const { files } = rig;
  for (const path of ["box", "box/sub", "box/sub/deep", "outside"])
    ok(files.makeDirectory(root, path, 0o755));
  rig.put(root, "secret", "secret");
  rig.put(root, "outside/secret", "secret");
  rig.put(root, "box/file", "inside");
  rig.put(root, "box/sub/file", "below");
  const links: Record<string, string> = {
    toFile: "file",
    toSub: "sub",
    toSubSlash: "sub/",
    dangling: "nothing",
    selfDot: ".",
    loop: "loop",
    ping: "pong",
    pong: "ping",
    climb: "../secret",
    climbDirectory: "..",
    climbAndReturn: "../box/file",
    absolute: "/file",
    root: "/",
    "sub/up": "../file",
    "sub/upTwice": "../../secret",
    "sub/deep/upDown": "../../sub/file",
    "sub/viaParent": "../toSub/file",
    "sub/intoClimb": "../climbDirectory/secret",
  };
  for (const [path, target] of Object.entries(links)) ok(files.makeSymbolicLink(target, root, `box/${path}`));
  const box = ok(files.openPath(root, "box", { ...reading, directory: true }));
  return { rig, root, box };
}

test("paths inside the sandbox resolve", () => {
  const { rig, box } = sandbox();
  const contents: Record<string, string> = {
    file: "inside",
    "./file": "inside",
    ".//.///file": "inside",
    "sub/../file": "inside",
    "sub/./deep/../../file": "inside",
    toFile: "inside",
    "toSub/file": "below",
    "toSubSlash/file": "below",
    "selfDot/selfDot/file": "inside",
    "sub/up": "inside",
    "sub/deep/upDown": "below",
    "toSub/deep/upDown": "below",
    "sub/viaParent": "below",
    "toSub/../file": "inside",
  };
  for (const [path, content] of Object.entries(contents)) assert.equal(rig.get(box, path), content, path);
});

test("no path leaves the sandbox", () => {
  const { rig, box } = sandbox();
  const { files } = rig;
  const escapes = [
    "..",
    "../",
    "../secret",
    "../box/file",
    "./../box",
    "sub/../..",
    "sub/../../box/file",
    "sub/deep/../../../secret",
    "toSub/../../secret",
    "/",
    "/file",
    "//file",
    "/secret",
    "climb",
    "climbDirectory",
    "climbDirectory/secret",
    "climbDirectory/box/file",
    "climbAndReturn",
    "absolute",
    "root",
    "root/secret",
    "sub/upTwice",
    "sub/intoClimb",
    "sub/deep/../upTwice",
    "selfDot/..",
  ];
  const before = rig.inUse();
  for (const path of escapes) {
    fails(files.openPath(box, path, reading), "NOTCAPABLE");
    fails(files.openPath(box, path, { ...creating, truncate: true }), "NOTCAPABLE");
    fails(files.statPath(box, path, true, emptyStat()), "NOTCAPABLE");
    fails(files.setTimesPath(box, path, true, 1, 1), "NOTCAPABLE");
    fails(files.link(box, path, true, box, "stolen"), "NOTCAPABLE");
    fails(files.makeDirectory(box, `${path}/made`, 0o755), "NOTCAPABLE");
    fails(files.makeSymbolicLink("file", box, `${path}/made`), "NOTCAPABLE");
    fails(files.link(box, "file", false, box, `${path}/made`), "NOTCAPABLE");
    fails(files.rename(box, "file", box, `${path}/made`), "NOTCAPABLE");
    fails(files.rename(box, `${path}/secret`, box, "stolen"), "NOTCAPABLE");
    fails(files.unlink(box, `${path}/secret`), "NOTCAPABLE");
    fails(files.removeDirectory(box, `${path}/outside`), "NOTCAPABLE");
    fails(files.readSymbolicLink(box, `${path}/box`), "NOTCAPABLE");
  }
  assert.deepEqual(rig.inUse(), before);
});

test("the last component of changes is not followed", () => {
  const { rig, root, box } = sandbox();
  const { files } = rig;
  assert.equal(files.readSymbolicLink(box, "climb"), "../secret");
  ok(files.unlink(box, "climb"));
  ok(files.rename(box, "absolute", box, "moved"));
  assert.equal(files.readSymbolicLink(box, "moved"), "/file");
  fails(files.makeDirectory(box, "climbDirectory", 0o755), "EXIST");
  fails(files.removeDirectory(box, "climbDirectory"), "NOTDIR");
  fails(files.openPath(box, "climbAndReturn", { ...creating, exclusive: true }), "EXIST");
  assert.equal(rig.get(root, "secret"), "secret");
});

test("creating through a dangling link creates its target, inside only", () => {
  const { rig, root, box } = sandbox();
  const { files } = rig;
  rig.put(box, "dangling", "made");
  assert.equal(rig.get(box, "nothing"), "made");
  ok(files.makeSymbolicLink("../fresh", box, "climbFresh"));
  fails(files.openPath(box, "climbFresh", creating), "NOTCAPABLE");
  fails(files.statPath(root, "fresh", true, emptyStat()), "NOENT");
});

test("symbolic links: loops, limits, and not following", () => {
  const { rig, box } = sandbox();
  const { files } = rig;
  for (const path of ["loop", "ping", "loop/file", "ping/"])
    fails(files.openPath(box, path, reading), "LOOP");
  fails(files.openPath(box, "toFile", { ...reading, followLast: false }), "LOOP");
  fails(files.openPath(box, "toSub", { ...reading, followLast: false, directory: true }), "NOTDIR");
  fails(files.openPath(box, "toFile/", reading), "NOTDIR");
  ok(files.openPath(box, "toSub/", { ...reading, followLast: false }));
  let target = "file";
  for (let number = 1; number <= 33; number++) {
    ok(files.makeSymbolicLink(target, box, `chain${number}`));
    target = `chain${number}`;
  }
  assert.equal(rig.get(box, "chain32"), "inside");
  fails(files.openPath(box, "chain33", reading), "LOOP");
  const stat = emptyStat();
  ok(files.statPath(box, "chain33", false, stat));
  assert.equal(stat.fileType, fileType.symbolicLink);
});

test("names: empty, long, with NUL, not text, with slashes at the end", () => {
  const { rig, box } = sandbox();
  const { files } = rig;
  fails(files.openPath(box, "", reading), "NOENT");
  fails(files.openPath(box, "fi\0le", reading), "INVAL");
  fails(files.openPath(box, "\ud800", creating), "ILSEQ");
  fails(files.openPath(box, "x".repeat(256), creating), "NAMETOOLONG");
  fails(files.openPath(box, "ä".repeat(128), creating), "NAMETOOLONG");
  fails(files.openPath(box, "😀".repeat(64), creating), "NAMETOOLONG");
  ok(files.openPath(box, "x".repeat(255), creating));
  ok(files.openPath(box, `😀${"ä".repeat(125)}`, creating));
  fails(files.openPath(box, `${"./".repeat(2045)}file.......`, reading), "NAMETOOLONG");
  assert.equal(rig.get(box, `${"./".repeat(2046)}file`), "inside");
  fails(files.openPath(box, "file/", reading), "NOTDIR");
  fails(files.openPath(box, "file/x", reading), "NOTDIR");
  fails(files.openPath(box, "file/..", reading), "NOTDIR");
  fails(files.openPath(box, "file/.", reading), "NOTDIR");
  fails(files.openPath(box, "absent/..", reading), "NOENT");
  fails(files.openPath(box, "absent/", creating), "ISDIR");
  fails(files.openPath(box, "absent", reading), "NOENT");
  fails(files.openPath(box, "sub", creating), "ISDIR");
  fails(files.openPath(box, "file", { ...reading, directory: true }), "NOTDIR");
});

test("what changes names minds slashes and dots at the end", () => {
  const { rig, box } = sandbox();
  const { files } = rig;
  ok(files.makeDirectory(box, "new///", 0o755));
  for (const path of [".", "sub/.", "sub/..", "new", "file"])
    fails(files.makeDirectory(box, path, 0o755), "EXIST");
  fails(files.makeSymbolicLink("x", box, "absent/"), "NOENT");
  fails(files.makeSymbolicLink("x", box, "file/"), "NOTDIR");
  fails(files.makeSymbolicLink("x", box, "new/"), "EXIST");
  fails(files.link(box, "file", false, box, "absent/"), "NOENT");
  fails(files.link(box, "sub", false, box, "other"), "PERM");
  fails(files.unlink(box, "file/"), "NOTDIR");
  fails(files.unlink(box, "sub/"), "ISDIR");
  fails(files.unlink(box, "."), "ISDIR");
  fails(files.removeDirectory(box, "sub/."), "INVAL");
  fails(files.removeDirectory(box, "sub/deep/.."), "NOTEMPTY");
  fails(files.removeDirectory(box, "file"), "NOTDIR");
  fails(files.rename(box, "file", box, "other/"), "NOTDIR");
  fails(files.rename(box, "file/", box, "other"), "NOTDIR");
  fails(files.rename(box, "sub/.", box, "other"), "BUSY");
  fails(files.rename(box, "sub", box, "sub/deep/inside"), "INVAL");
  ok(files.rename(box, "sub/", box, "other/"));
  assert.equal(rig.get(box, "other/file"), "below");
  ok(files.removeDirectory(box, "new/"));
});

test("walking needs a directory to start from", () => {
  const { rig, box } = sandbox();
  const file = ok(rig.files.openPath(box, "file", reading));
  fails(rig.files.openPath(file, "x", reading), "NOTDIR");
  fails(rig.files.makeDirectory(file, "x", 0o755), "NOTDIR");
  fails(rig.files.rename(box, "file", file, "x"), "NOTDIR");
  fails(
    rig.files.readDirectory(file, 0, () => true),
    "NOTDIR",
  );
});

/** A tree as plain data: a directory is an object, a file a number, a symbolic link a text. */
type Tree = { [name: string]: Tree | number | string };

interface ModelResult {
  readonly content?: Tree | number | string;
  readonly error?: string;
}

/** Resolves a path as the rules say, the slow and obvious way. */
function resolveInModel(start: Tree, path: string, follow: boolean): ModelResult {
  const way: Tree[] = [start];
  let links = 0;
  let rest = path.split("/");
  if (rest[0] === "") return { error: path === "" ? "ENOENT" : "ENOTCAPABLE" };
  while (rest.length > 0) {
    const [name, ...after] = rest;
    rest = after;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      if (way.length === 1) return { error: "ENOTCAPABLE" };
      way.pop();
      continue;
    }
    const found = way[way.length - 1][name];
    if (found === undefined) return { error: "ENOENT" };
    const isLast = rest.length === 0;
    if (typeof found === "string" && (!isLast || follow)) {
      if (++links > 32) return { error: "ELOOP" };
      const target = found.split("/");
      if (target[0] === "") return { error: "ENOTCAPABLE" };
      rest = [...target, ...rest];
    } else if (typeof found === "object") way.push(found);
    else if (isLast) return { content: found };
    else return { error: "ENOTDIR" };
  }
  return { content: way[way.length - 1] };
}

const smallName = fc.constantFrom("a", "b", "c", "d");
const component = fc.oneof(
  { weight: 6, arbitrary: smallName },
  { weight: 3, arbitrary: fc.constantFrom("..", ".") },
  { weight: 1, arbitrary: fc.constant("") },
);
const anyPath = fc
  .tuple(fc.array(component, { minLength: 1, maxLength: 6 }), fc.boolean())
  .map(([parts, absolute]) => (absolute && parts.length === 3 ? "/" : "") + parts.join("/"))
  .filter((path) => path !== "");
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.dictionary(
    smallName,
    fc.oneof({ depthSize: "small", withCrossShrink: true }, fc.nat(100), anyPath, tie("tree")),
  ),
}));

function plant(rig: Rig, directory: number, at: string, content: Tree): void {
  for (const [name, entry] of Object.entries(content)) {
    const path = `${at}${name}`;
    if (typeof entry === "number") rig.put(directory, path, `${entry}`);
    else if (typeof entry === "string") ok(rig.files.makeSymbolicLink(entry, directory, path));
    else {
      ok(rig.files.makeDirectory(directory, path, 0o755));
      plant(rig, directory, `${path}/`, entry);
    }
  }
}

test("random trees and paths agree with the model", () => {
  fc.assert(
    fc.property(
      tree,
      tree,
      fc.array(fc.tuple(anyPath, fc.boolean()), { maxLength: 12 }),
      (inside, around, paths) => {
        const rig = new Rig();
        const root = rig.mountRoot();
        plant(rig, root, "", { ...around, box: inside });
        const box = ok(rig.files.openPath(root, "box", { ...reading, directory: true }));
        // Twice, so that the second time the path cache answers.
        for (const [path, follow] of [...paths, ...paths]) {
          const stat = emptyStat();
          const result = rig.files.statPath(box, path, follow, stat);
          const expected = resolveInModel(inside, path, follow);
          if (expected.error !== undefined) {
            assert.equal(errnoName(result), expected.error, path);
            continue;
          }
          assert.equal(result, 0, `${path}: ${errnoName(result)}`);
          const { content } = expected;
          if (typeof content === "number") assert.equal(rig.get(box, path), `${content}`);
          else
            assert.equal(
              stat.fileType,
              typeof content === "string" ? fileType.symbolicLink : fileType.directory,
            );
        }
        rig.files.release(box);
        rig.files.release(root);
        assert.equal(rig.inUse().openFiles, 0);
      },
    ),
    { numRuns: 400 },
  );
});
