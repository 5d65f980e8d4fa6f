/** The root file system in an image file: made by mke2fs, used, checked by e2fsck, and used again. */
import assert from "node:assert/strict";
import { appendFileSync, chmodSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { boot } from "../../src/index.ts";
import { copy, exitWith, spin } from "./support/programs.ts";
import {
  assertRootClean,
  bootForTest,
  firstOutput,
  noE2fsprogs,
  run,
  temporaryDirectory,
  within,
} from "./support/system.ts";

const directory = temporaryDirectory();
const skip = noE2fsprogs;

function makeImage(name: string, args: readonly string[], size: string): string {
  const path = join(directory, name);
  const made = run("mke2fs", ["-q", "-F", "-t", "ext2", ...args, path, size]);
  assert.equal(made.status, 0, made.output);
  return path;
}

function assertClean(path: string, what: string): void {
  const { status, output } = run("e2fsck", ["-fn", path]);
  assert.equal(status, 0, `e2fsck ${what}: ${output}`);
}

before(() => {
  process.umask(0o022);
});

for (const [name, args] of Object.entries({
  "1 KiB blocks, small inodes": ["-b", "1024", "-I", "128"],
  "4 KiB blocks": ["-b", "4096"],
  "without optional features": ["-b", "2048", "-O", "none"],
  "revision 0": ["-r", "0", "-b", "1024"],
})) {
  test(`an image of mke2fs is used, left clean, and used again: ${name}`, { skip }, async () => {
    const path = makeImage("used.img", args, "24M");
    {
      await using started = await bootForTest({ root: path });
      const { system } = started;
      const script = "create table t(x); insert into t values ('kept'); select count(*) from t;";
      const made = await system.run("sqlite3", ["/home/kept.db"], { kernel: 0, input: script });
      assert.equal(made.stdout, "1\n", made.stderr);
      await Promise.all(
        [0, 1].map((kernel) =>
          system.run("sqlite3", [`/home/many-${kernel}.db`], { kernel, input: `${script}\n` }),
        ),
      );
      await system.run("mkdir", ["-p", "/home/a/b/c"], { kernel: 1 });
      await system.run("cp", ["/bin/true", "/home/a/b/c/true"], { kernel: 0 });
      await system.run("mv", ["/home/a/b", "/home/moved"], { kernel: 1 });
      await system.run("ln", ["-s", "../home/moved/c/true", "/tmp/link"], { kernel: 0 });
      system.files.write("/home/large", new Uint8Array(3_000_000).fill(7));
      for (let n = 0; n < 200; n++) system.files.write(`/tmp/file-${n}`, `content ${n}`);
      for (let n = 0; n < 200; n += 2) system.files.remove(`/tmp/file-${n}`);
      assertRootClean(system, "while it is used");
    }
    assertClean(path, "after the first use");
    {
      await using started = await bootForTest({ root: path });
      const { system } = started;
      const read = await system.run("sqlite3", ["/home/kept.db", "select x from t"], { kernel: 1 });
      assert.equal(read.stdout, "kept\n", read.stderr);
      assert.deepEqual(system.files.read("/tmp/link"), system.files.read("/bin/true"));
      assert.equal(system.files.list("/tmp").length, 101);
      assert.equal(system.files.readText("/tmp/file-77"), "content 77");
      assert.ok(system.files.read("/home/large").every((byte) => byte === 7));
      await system.run("rm", ["-r", "/home/moved", "/home/large"], { kernel: 0 });
    }
    assertClean(path, "after the second use");
  });
}

test("what sync was asked for is in the image before the shutdown", { skip }, async () => {
  const path = makeImage("synced.img", ["-b", "1024"], "8M");
  await using started = await bootForTest({ root: path });
  started.system.files.write("/home/early", "written before the shutdown");
  started.system.files.sync();
  assert.ok(readFileSync(path).includes("written before the shutdown"));
});

test("an image of a system that was not shut down is usable, and e2fsck can repair it", {
  skip,
}, async () => {
  const path = makeImage("crash.img", ["-b", "1024"], "8M");
  const crashed = join(directory, "crashed.img");
  {
    await using started = await bootForTest({ root: path });
    const { system } = started;
    system.files.write("/home/kept", "x".repeat(10_000));
    system.files.sync();
    // As if the computer had lost its power now.
    copyFileSync(path, crashed);
    system.files.write("/home/after", "y");
  }
  {
    await using started = await bootForTest({ root: crashed });
    assert.equal(started.system.files.readText("/home/kept").length, 10_000);
  }
  const { status, output } = run("e2fsck", ["-fy", crashed]);
  assert.ok(status === 0 || status === 1, output);
  assertClean(crashed, "after the repair");
});

test("programs that run at the shutdown do not damage the image", { skip }, async () => {
  const path = makeImage("busy.img", ["-b", "1024"], "16M");
  for (let round = 0; round < 3; round++) {
    const started = await bootForTest({ root: path });
    const { system } = started;
    await firstOutput(await system.spawn(started.install("spin", spin), [], { kernel: 1, stdin: "null" }));
    const code =
      "import os\nn=0\nwhile True:\n  n+=1\n  open(f'/home/f{n%50}','w').write('x'*n*100)\n  if n%3==0: os.remove(f'/home/f{n%50}')\n  if n==20: print('on', flush=True)";
    const writers = [];
    for (const kernel of [0, 1])
      writers.push(await system.spawn("python3", ["-c", code], { kernel, stdin: "null", stderr: "null" }));
    for (const writer of writers) await within(60_000, "python", firstOutput(writer));
    await system.shutdown();
    await started[Symbol.asyncDispose]();
    assertClean(path, `after round ${round}`);
  }
});

test("a deleted file that is open at the shutdown is gone afterwards", { skip }, async () => {
  const path = makeImage("orphan.img", ["-b", "1024"], "8M");
  {
    await using started = await bootForTest({ root: path });
    const { system } = started;
    system.files.write("/home/orphan", "z".repeat(100_000));
    // A process whose standard input is the file is the simplest holder: python opens, removes and waits.
    const code =
      "import os,sys\nf=open('/home/orphan')\nos.remove('/home/orphan')\nprint('on',flush=True)\nsys.stdin.read()\n";
    await within(
      60_000,
      "python",
      firstOutput(await system.spawn("python3", ["-c", code], { stderr: "null" })),
    );
    assert.equal(system.files.exists("/home/orphan"), false);
  }
  assertClean(path, "with an orphan at the shutdown");
  assert.equal(run("debugfs", ["-R", "stats", path]).status, 0);
});

test("a replaced program runs as what it is now, also where times of change have whole seconds", {
  skip,
}, async () => {
  const path = makeImage("seconds.img", ["-b", "1024", "-I", "128"], "8M");
  await using started = await bootForTest({ root: path });
  for (let code = 10; code < 30; code++) {
    const { exitCode } = await started.system.run(started.install("replaced", exitWith(code)), [], {
      kernel: code & 1,
    });
    assert.equal(exitCode, code, "the content before the last write ran");
  }
});

test("a read-only image serves programs and refuses changes", { skip }, async () => {
  const path = makeImage("read-only.img", ["-b", "1024"], "8M");
  {
    await using started = await bootForTest({ root: path });
    started.system.files.write("/home/data", "can be read");
  }
  const before = readFileSync(path);
  chmodSync(path, 0o444);
  try {
    await using started = await bootForTest({ root: path });
    const { system } = started;
    assert.equal((await system.run("cat", ["/home/data"])).stdout, "can be read");
    if (statSync(path).uid !== process.getuid?.() || process.getuid?.() !== 0) {
      assert.throws(() => system.files.write("/home/data", "x"), { code: "EROFS" });
      assert.deepEqual(readFileSync(path), before);
    }
  } finally {
    chmodSync(path, 0o644);
  }
});

test("files that are no ext2 image are refused with a reason, and the refusal leaves nothing behind", async () => {
  const text = join(directory, "text.img");
  writeFileSync(text, "not a file system\n".repeat(100_000));
  await assert.rejects(boot({ root: text, log: () => undefined }), /ext2|magic|superblock/i);
  const small = join(directory, "small.img");
  writeFileSync(small, "");
  await assert.rejects(boot({ root: small, log: () => undefined }), /ext2|small|empty/i);
  await assert.rejects(boot({ root: directory, log: () => undefined }), /not a file/);
});

test("an image may be larger than its file system, by any number of bytes", { skip }, async () => {
  const path = makeImage("odd.img", ["-b", "1024"], "8M");
  appendFileSync(path, new Uint8Array(5_001));
  {
    await using started = await bootForTest({ root: path });
    started.system.files.write("/home/odd", "kept");
  }
  assertClean(path, "with bytes behind the file system");
  await using started = await bootForTest({ root: path });
  assert.equal(started.system.files.readText("/home/odd"), "kept");
});

test("a saved ramdisk can be booted from", async () => {
  const path = join(directory, "saved.img");
  {
    await using started = await bootForTest();
    const { system } = started;
    const result = await system.run("sqlite3", [
      "/home/saved.db",
      "create table t(x); insert into t values (42);",
    ]);
    assert.equal(result.exitCode, 0, result.stderr);
    started.install("copy", copy);
    system.saveRoot(path);
    system.files.remove("/home/saved.db");
  }
  if (!noE2fsprogs) assertClean(path, "as saved");
  await using started = await bootForTest({ root: path });
  assert.equal((await started.system.run("sqlite3", ["/home/saved.db", "select x from t"])).stdout, "42\n");
  assert.equal(
    (await started.system.run("/tmp/copy.wasm", [], { input: "still a program" })).stdout,
    "still a program",
  );
});
