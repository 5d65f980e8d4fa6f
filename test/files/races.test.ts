/**
 * Names that change in the middle of an operation: another kernel acts between any two steps of a walk, and
 * inode numbers are reused at once. Whatever happens, nothing outside the sandbox is read or changed, and
 * nothing is left open.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { emptyStat } from "../../src/services/fs/filesystem.ts";
import { Namespace } from "../../src/services/fs/namespace.ts";
import type { MemoryFileSystem } from "./memory-filesystem.ts";
import { creating, fails, Island, ok, Rig, reading } from "./rig.ts";

interface Scene {
  readonly rig: Rig;
  readonly other: Rig;
  readonly root: number;
  readonly otherRoot: number;
  readonly box: number;
}

const secret = "the secret";

/** Two kernels on one island. */
function kernels(): [Rig, Rig] {
  const island = new Island();
  return [new Rig(island, 1), new Rig(island, 2)];
}

/** A fresh tree, mounted at "/". */
function scene([rig, other]: [Rig, Rig]): Scene {
  ok(rig.mounts.mountExt2("/", rig.island.fileSystems.length, false));
  const root = ok(rig.files.openRoot());
  const otherRoot = ok(other.files.openRoot());
  for (const path of ["outside", "box", "box/sub", "box/target"])
    ok(rig.files.makeDirectory(root, path, 0o755));
  rig.put(root, "box/sub/file", "inside");
  rig.put(root, "box/sub/other", "inside too");
  const box = ok(rig.files.openPath(root, "box", { ...reading, directory: true }));
  return { rig, other, root, otherRoot, box };
}

/** The name space as a third kernel sees it, which is in the middle of a change. */
function third({ rig }: Pick<Scene, "rig">): Namespace {
  return new Namespace(rig.areas.system, 3);
}

function endScene({ rig, other, root, otherRoot, box }: Scene): void {
  rig.files.release(box);
  rig.files.release(root);
  other.files.release(otherRoot);
  ok(rig.mounts.unmount("/"));
}

function currentFileSystem({ rig }: Scene): MemoryFileSystem {
  return rig.island.fileSystem(rig.island.fileSystems.length - 1);
}

/** Removes the directory that the operations work in, whatever is in it by now. */
function removeSub({ other, otherRoot }: Scene): void {
  const sub = other.files.openPath(otherRoot, "box/sub", { ...reading, directory: true });
  if (sub < 0) return;
  const names: string[] = [];
  other.files.readDirectory(sub, 0, (_next, _inode, _type, name) => {
    names.push(new TextDecoder().decode(name));
    return true;
  });
  for (const name of names.slice(2)) {
    if (other.files.unlink(sub, name) < 0) ok(other.files.removeDirectory(sub, name));
  }
  other.files.release(sub);
  ok(other.files.removeDirectory(otherRoot, "box/sub"));
}

/** What another kernel does to the tree; new objects reuse the numbers of those that were removed. */
const actions: Record<string, (scene: Scene) => void> = {
  "the file is replaced by a secret elsewhere": ({ other, otherRoot }) => {
    other.files.unlink(otherRoot, "box/sub/file");
    other.put(otherRoot, "outside/file", secret);
  },
  "the directory is replaced by one elsewhere": (one) => {
    removeSub(one);
    const { other, otherRoot } = one;
    for (const name of ["first", "second", "third"]) {
      ok(other.files.makeDirectory(otherRoot, `outside/${name}`, 0o755));
      other.put(otherRoot, `outside/${name}/file`, secret);
      other.put(otherRoot, `outside/${name}/other`, secret);
    }
  },
  "the directory becomes a link to the outside": (one) => {
    removeSub(one);
    one.other.put(one.otherRoot, "outside/file", secret);
    one.other.files.makeSymbolicLink("../outside", one.otherRoot, "box/sub");
  },
  "the file becomes a link to the outside": ({ other, otherRoot }) => {
    other.files.unlink(otherRoot, "box/sub/file");
    other.put(otherRoot, "outside/file", secret);
    other.files.makeSymbolicLink("../../outside/file", otherRoot, "box/sub/file");
  },
  "the directory is renamed and back": ({ other, otherRoot }) => {
    if (other.files.rename(otherRoot, "box/sub", otherRoot, "box/away") < 0) return;
    ok(other.files.rename(otherRoot, "box/away", otherRoot, "box/sub"));
  },
};

/** Everything outside the box, as one text. */
function outsideOf({ other, otherRoot }: Scene): string {
  const lines: string[] = [];
  const list = (path: string): void => {
    const directory = ok(other.files.openPath(otherRoot, path, { ...reading, directory: true }));
    const names: string[] = [];
    other.files.readDirectory(directory, 0, (_next, _inode, _type, name) => {
      names.push(new TextDecoder().decode(name));
      return true;
    });
    other.files.release(directory);
    for (const name of names.filter((one) => !one.startsWith(".") && one !== "box").sort()) {
      const stat = emptyStat();
      ok(other.files.statPath(otherRoot, `${path}/${name}`, false, stat));
      lines.push(`${path}/${name} ${JSON.stringify({ ...stat, changeTime_ns: 0 })}`);
      if (stat.fileType === 3) list(`${path}/${name}`);
      else lines.push(other.get(otherRoot, `${path}/${name}`));
    }
  };
  list(".");
  return lines.join("\n");
}

/** What this kernel is doing; each gives what it has read, if anything. */
const operations: Record<string, (scene: Scene) => string | undefined> = {
  "opening to read": ({ rig, box }) => readIfThere(rig, rig.files.openPath(box, "sub/file", reading)),
  "opening to read, from the cache": (one) => operations["opening to read"](one),
  "opening through dots": ({ rig, box }) =>
    readIfThere(rig, rig.files.openPath(box, "target/../sub/../sub/file", reading)),
  "opening to truncate": ({ rig, box }) =>
    readIfThere(rig, rig.files.openPath(box, "sub/file", { ...reading, write: true, truncate: true })),
  "creating a file": ({ rig, box }) => readIfThere(rig, rig.files.openPath(box, "sub/new", creating)),
  "creating a file that must be new": ({ rig, box }) =>
    readIfThere(rig, rig.files.openPath(box, "sub/new", { ...creating, exclusive: true })),
  "creating or opening": ({ rig, box }) => readIfThere(rig, rig.files.openPath(box, "sub/file", creating)),
  "reading attributes": ({ rig, box }) => {
    const stat = emptyStat();
    const result = rig.files.statPath(box, "sub/file", true, stat);
    return result === 0 && stat.size_bytes === secret.length ? secret : undefined;
  },
  "setting times": ({ rig, box }) => {
    rig.files.setTimesPath(box, "sub/file", true, 77, 77);
    return undefined;
  },
  "making a directory": ({ rig, box }) => {
    rig.files.makeDirectory(box, "sub/new", 0o755);
    return undefined;
  },
  linking: ({ rig, box }) => {
    if (rig.files.link(box, "sub/file", false, box, "target/link") < 0) return undefined;
    return readIfThere(rig, rig.files.openPath(box, "target/link", reading));
  },
  "linking into": ({ rig, box }) => {
    rig.files.link(box, "sub/other", false, box, "sub/link");
    return undefined;
  },
  unlinking: ({ rig, box }) => {
    rig.files.unlink(box, "sub/file");
    return undefined;
  },
  "removing a directory": ({ rig, box }) => {
    rig.files.removeDirectory(box, "sub/file");
    return undefined;
  },
  "renaming out of": ({ rig, box }) => {
    if (rig.files.rename(box, "sub/file", box, "target/moved") < 0) return undefined;
    return readIfThere(rig, rig.files.openPath(box, "target/moved", reading));
  },
  "renaming into": ({ rig, box }) => {
    rig.files.rename(box, "sub/other", box, "sub/file");
    return undefined;
  },
  "renaming between": ({ rig, box }) => {
    rig.files.rename(box, "sub", box, "target/sub");
    return undefined;
  },
};

function readIfThere(rig: Rig, file: number): string | undefined {
  if (file < 0) return undefined;
  const content = rig.content(file);
  rig.files.release(file);
  return content;
}

for (const [actionName, act, underWay] of Object.entries(actions).flatMap(([name, action]) => [
  [name, action, false] as const,
  [name, action, true] as const,
])) {
  // With another change under way all the time, walks are pinned from the start.
  describe(`while ${actionName}${underWay ? ", with pinned walks" : ""}`, () => {
    for (const [operationName, operate] of Object.entries(operations)) {
      test(operationName, () => {
        let interrupted = true;
        const both = kernels();
        for (let step = 0; interrupted; step++) {
          assert.ok(step < 500, "the operation does not come to an end");
          const one = scene(both);
          if (operationName.endsWith("from the cache")) assert.equal(operate(one), "inside");
          if (underWay) third(one).beginChange();
          const before = one.rig.inUse();
          const fileSystem = currentFileSystem(one);
          let count = 0;
          let outside = "";
          interrupted = false;
          fileSystem.hook = () => {
            if (count++ !== step) return;
            interrupted = true;
            fileSystem.hook = () => {};
            act(one);
            outside = outsideOf(one);
          };
          const content = operate(one);
          fileSystem.hook = () => {};
          assert.notEqual(content, secret, `at step ${step}`);
          if (interrupted) assert.equal(outsideOf(one), outside, `at step ${step}`);
          assert.deepEqual(one.rig.inUse(), before, `at step ${step}`);
          if (underWay) third(one).endChange();
          endScene(one);
        }
      });
    }
  });
}

test("names that change at every step end in an error, not in a hang", () => {
  const one = scene(kernels());
  const fileSystem = currentFileSystem(one);
  const before = one.rig.inUse();
  const churn = () => {
    fileSystem.hook = () => {};
    ok(one.other.files.rename(one.otherRoot, "box/sub/file", one.otherRoot, "box/sub/file2"));
    ok(one.other.files.unlink(one.otherRoot, "box/sub/file2"));
    one.other.put(one.otherRoot, "outside/filler", secret);
    one.other.put(one.otherRoot, "box/sub/file", "inside");
    ok(one.other.files.unlink(one.otherRoot, "outside/filler"));
    fileSystem.hook = churn;
  };
  fileSystem.hook = churn;
  const results = [
    one.rig.files.openPath(one.box, "sub/file", reading),
    one.rig.files.statPath(one.box, "sub/file", true, emptyStat()),
  ];
  fileSystem.hook = () => {};
  for (const result of results) {
    if (result > 0) assert.equal(readIfThere(one.rig, result), "inside");
    else if (result < 0) fails(result, "BUSY");
  }
  assert.deepEqual(one.rig.inUse(), before);
});

test("a change in flight makes walks pin what they pass, and they still succeed", () => {
  const { rig, box } = scene(kernels());
  const other = third({ rig });
  other.beginChange();
  const before = rig.inUse();
  const file = ok(rig.files.openPath(box, "target/../sub/file", reading));
  assert.equal(readIfThere(rig, file), "inside");
  ok(rig.files.statPath(box, "sub/../sub/file", true, emptyStat()));
  ok(rig.files.makeDirectory(box, "sub/made", 0o755));
  ok(rig.files.removeDirectory(box, "sub/made"));
  ok(rig.files.rename(box, "sub/file", box, "target/file"));
  rig.put(box, "sub/created", "made under way");
  assert.equal(rig.get(box, "sub/created"), "made under way");
  assert.deepEqual(rig.inUse(), before);
  other.endChange();
});
