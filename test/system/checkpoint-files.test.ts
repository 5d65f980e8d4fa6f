/** What a process has open comes along in a checkpoint: files, directories, pipes; what cannot is refused and said. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError } from "../../src/index.ts";
import { Driven } from "./support/driven.ts";
import { puppet } from "./support/puppet.ts";
import { assertSameUsage, bootForTest, type TestSystem, temporaryDirectory } from "./support/system.ts";

const file = "/tmp/p.checkpoint";
/** WASI's fdflags and oflags. */
const append = 1;
const create = 1;

/** What kernels and console keep open from their first checkpoint on is there from now on. */
async function warmUp({ system, install }: TestSystem): Promise<void> {
  install("puppet", puppet());
  for (const kernel of [0, 1]) {
    const process = await system.spawn("/tmp/puppet.wasm", [], { kernel });
    await system.checkpoint(process.pid, file);
    process.kill();
    await process.wait();
    const restored = await system.restore(file, { kernel });
    restored.kill();
    await restored.wait();
  }
}

async function start(started: TestSystem): Promise<Driven> {
  return new Driven(await started.system.spawn(started.install("puppet", puppet())));
}

test("files keep their offsets, flags and rights, and descriptors that share one still do", async () => {
  await using started = await bootForTest();
  const { system } = started;
  system.files.write("/tmp/data", "0123456789");
  const before = await start(started);
  const data = await before.open("tmp/data");
  assert.equal(await before.read(data, 4), "0123");
  const log = await before.open("tmp/log", append, create);
  assert.equal(await before.write(log, "one\n"), 0);
  // A second descriptor of the same file, with fewer rights, and a gap in the numbers.
  const other = await before.open("tmp/data");
  assert.equal(await before.call("fd_renumber", data, other), 0);
  assert.equal(await before.call("fd_fdstat_set_rights", other, 2n, 0n), 0);
  await system.checkpoint(before.process.pid, file);
  await before.end();

  const after = new Driven(await system.restore(file));
  assert.equal(await after.read(other, 3), "456");
  assert.equal(await after.call("fd_write", other, 0, 0, 0), 76, "the right to write is gone");
  assert.equal(await after.call("fd_close", data), 8, "closed before, closed now");
  assert.equal(await after.write(log, "two\n"), 0);
  assert.equal(system.files.readText("/tmp/log"), "one\ntwo\n");
  assert.equal(await after.open("tmp/data"), data, "the lowest free number");
  await after.end();
});

test("a file that has changed since is a reason to refuse, unless that is accepted", async () => {
  await using started = await bootForTest();
  const { system } = started;
  await warmUp(started);
  system.files.write("/tmp/data", "0123456789");
  const before = await start(started);
  const data = await before.open("tmp/data");
  assert.equal(await before.read(data, 4), "0123");
  await system.checkpoint(before.process.pid, file);
  await before.end();
  system.files.write("/tmp/data", "abcdefghijkl");
  const usage = system.usage();
  await assert.rejects(system.restore(file), {
    name: "CheckpointError",
    message: `${file}: /tmp/data, which the process had open, has changed since; restore it as it was, or accept changed files`,
  });
  await assertSameUsage(system, usage, "a refused restore");
  const after = new Driven(await system.restore(file, { acceptChangedFiles: true }));
  assert.equal(await after.read(data, 3), "efg");
  await after.end();
  system.files.remove("/tmp/data");
  const without = system.usage();
  await assert.rejects(
    system.restore(file),
    /\/tmp\/data, which the process had open, cannot be opened: ENOENT/,
  );
  await assertSameUsage(system, without, "a refused restore");
});

test("a pipe that only the process has is restored with what it holds", async () => {
  await using started = await bootForTest();
  const { system } = started;
  await warmUp(started);
  system.files.remove(file);
  const usage = system.usage();
  const before = await start(started);
  assert.equal(await before.call("wasix_32v1.fd_pipe", 8192, 8196), 0);
  const [reader, writer] = [await before.result(), await before.result(4)];
  assert.equal(await before.write(writer, "in the pipe"), 0);
  await system.checkpoint(before.process.pid, file);
  assert.equal(await before.read(reader, 100), "in the pipe");
  await before.end();
  for (let turn = 0; turn < 2; turn++) {
    const after = new Driven(await system.restore(file));
    assert.equal(await after.write(writer, ", and more"), 0);
    assert.equal(await after.read(reader, 100), "in the pipe, and more");
    assert.equal(await after.call("fd_close", writer), 0);
    assert.equal(await after.read(reader, 100), "", "nobody can write any more");
    await after.end();
  }
  system.files.remove(file);
  await assertSameUsage(system, usage, "pipes");
});

test("a file without a name is refused, or closed when that is wanted", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const before = await start(started);
  const gone = await before.open("tmp/gone", 0, create);
  const kept = await before.open("tmp/kept", 0, create);
  system.files.remove("/tmp/gone");
  await assert.rejects(system.checkpoint(before.process.pid, file), (error) => {
    assert.ok(error instanceof CheckpointError);
    assert.match(
      error.message,
      /^process \d+ cannot be written to a checkpoint: descriptor \d+ is a file that has no name/,
    );
    return true;
  });
  assert.deepEqual(
    system.files.list("/tmp").map(({ name }) => name),
    ["kept", "puppet.wasm"],
    "nothing is left of the file",
  );
  await system.checkpoint(before.process.pid, file, { unrestorable: "close" });
  await before.end();
  const after = new Driven(await system.restore(file));
  assert.equal(await after.call("fd_close", gone), 8);
  assert.equal(await after.call("fd_close", kept), 0);
  await after.end();
});

test("a renamed file is found under its new name", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const before = await start(started);
  system.files.makeDirectory("/tmp/deep/er", { recursive: true });
  system.files.write("/tmp/name", "content");
  const data = await before.open("tmp/name");
  system.files.rename("/tmp/name", "/tmp/deep/er/other");
  await system.checkpoint(before.process.pid, file);
  await before.end();
  const after = new Driven(await system.restore(file));
  assert.equal(await after.read(data, 100), "content");
  await after.end();
});

test("files of the host are found again, and missed when they are gone", async () => {
  const directory = temporaryDirectory();
  await using started = await bootForTest({ mounts: { "/host": directory } });
  const { system } = started;
  const before = await start(started);
  mkdirSync(join(directory, "deep"));
  writeFileSync(join(directory, "deep", "data"), "0123456789");
  const data = await before.open("host/deep/data");
  assert.equal(await before.read(data, 4), "0123");
  const log = await before.open("host/log", append, create);
  assert.equal(await before.write(log, "one\n"), 0);
  await system.checkpoint(before.process.pid, "/host/kept");
  const after = new Driven(await system.restore("/host/kept"));
  assert.equal(await after.read(data, 3), "456");
  assert.equal(await after.write(log, "two\n"), 0);
  await after.end();
  assert.equal(readFileSync(join(directory, "log"), "utf8"), "one\ntwo\n");
  assert.equal(system.files.exists("/host/log"), true);
  system.files.remove("/host/log");
  await assert.rejects(system.checkpoint(before.process.pid, file), /is a file that has no name any more/);
  await before.end();
});

test("standard streams are connected as the restorer says", async () => {
  await using started = await bootForTest();
  const { system } = started;
  const before = await start(started);
  assert.equal(await before.write(1, "x"), 0);
  await system.checkpoint(before.process.pid, file);
  await before.end();
  const pipe = system.pipe();
  const restored = await system.restore(file, { stdout: "null", stdin: pipe.read });
  assert.equal(restored.stdin, null);
  assert.equal(restored.stdout, null);
  assert.ok(restored.stderr !== null);
  restored.kill();
  await restored.wait();
  await assert.rejects(system.restore(file, { stdin: pipe.read }), RangeError);
});
