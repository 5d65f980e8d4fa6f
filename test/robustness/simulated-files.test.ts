/** What a system leaves in files, on simulated machines as on the host: root images, mounts, checkpoints and snapshots. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, type Process } from "../../src/index.ts";
import { checkExt2, describeFindings } from "../../src/simulation/fsck/fsck.ts";
import { copy } from "../system/support/programs.ts";
import { bootForTest, firstOutput, temporaryDirectory, textOf } from "../system/support/system.ts";

const directory = temporaryDirectory();
const file = "/tmp/kept";

async function say(process: Process, input: string): Promise<void> {
  assert.ok(process.stdin !== null);
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  writer.releaseLock();
}

/** A system on a machine makes a snapshot and a checkpoint of a program that waits; their bytes. */
async function taken(machine: string): Promise<Record<"snapshot" | "checkpoint", Uint8Array>> {
  await using started = await bootForTest({ machine });
  const { system } = started;
  const program = started.install("copy", copy);
  await system.snapshot(file, program);
  const snapshot = system.files.read(file);
  const process = await system.spawn(program);
  await say(process, "before\n");
  assert.equal(await firstOutput(process), "before\n");
  await system.checkpoint(process.pid, file);
  const checkpoint = system.files.read(file);
  await process.stdin?.close();
  await process.wait();
  return { snapshot, checkpoint };
}

const machines = ["omap4", "haswell-4"] as const;

test("checkpoints and snapshots of a simulated machine go on there, and on another one", async () => {
  const { snapshot, checkpoint } = await taken("omap4");
  for (const machine of machines) {
    await using started = await bootForTest({ machine, placements: { files: "proxied" } });
    const { system } = started;
    started.install("copy", copy);
    for (const kernel of [0, 1]) {
      for (const bytes of [snapshot, checkpoint]) {
        system.files.write(file, bytes);
        const process = await system.restore(file, { kernel });
        await say(process, "afterwards\n");
        await process.stdin?.close();
        assert.equal(await textOf(process.stdout), "afterwards\n", `${machine}, kernel ${kernel}`);
        assert.equal((await process.wait()).exitCode, 0);
      }
    }
  }
});

test("checkpoints and snapshots do not go from the host to a simulated machine or back, and say so", async () => {
  for (const [from, to] of [
    ["host", "omap4"],
    ["omap4", "host"],
  ]) {
    const files = await taken(from);
    await using started = await bootForTest({ machine: to });
    const { system } = started;
    started.install("copy", copy);
    for (const bytes of Object.values(files)) {
      system.files.write(file, bytes);
      await assert.rejects(system.restore(file), (error) => {
        assert.ok(error instanceof CheckpointError, `${error}`);
        assert.match(error.message, /counting instructions.*on a simulated machine if it was taken on one/);
        return true;
      });
    }
    assert.deepEqual(system.processes(), []);
    // The system is as before.
    assert.equal((await system.run("echo", ["still here"])).stdout, "still here\n");
  }
});

test("a root image goes from one machine to the next", async () => {
  const image = join(directory, "root.img");
  {
    await using started = await bootForTest({ machine: "omap4", preset: "k2" });
    started.system.files.write("/home/first", "made on omap4\n");
    started.system.saveRoot(image);
  }
  const steps = [
    { machine: "omap4", preset: "k2" },
    { machine: "host" },
    { machine: "haswell-4", placements: { files: "proxied" } },
  ];
  for (const [index, options] of steps.entries()) {
    await using started = await bootForTest({ ...options, root: image });
    const { system } = started;
    for (const kernel of [1, 0]) {
      const { stdout, stderr } = await system.run("cat", ["/home/first"], { kernel });
      assert.equal(stdout, "made on omap4\n", stderr);
      const made = await system.run("cp", ["/home/first", `/home/copy${index}-${kernel}`], { kernel });
      assert.equal(made.exitCode, 0, made.stderr);
    }
    const names = system.files.list("/home").map(({ name }) => name);
    assert.equal(names.filter((name) => name.startsWith("copy")).length, 2 * (index + 1));
    await system.shutdown();
    assert.equal(describeFindings(checkExt2(readFileSync(image)).findings), "");
  }
});

test("a root image that is none is refused on a simulated machine as on the host", async () => {
  const image = join(directory, "rubbish.img");
  writeFileSync(image, new Uint8Array(1 << 20).fill(0x5a));
  await assert.rejects(bootForTest({ machine: "omap4", preset: "k2", root: image }), /ext2/);
  assert.equal(readFileSync(image)[1024], 0x5a);
});

test("host directories are seen from every kernel of a simulated machine, and written unless read-only", async () => {
  writeFileSync(join(directory, "from-host"), "outside\n");
  const mounts = { "/work": directory, "/fixed": { directory, readOnly: true } };
  await using started = await bootForTest({ machine: "omap4", preset: "k2", mounts });
  const { system } = started;
  for (const kernel of [0, 1]) {
    const read = await system.run("cat", ["/fixed/from-host"], { kernel });
    assert.equal(read.stdout, "outside\n", read.stderr);
    const written = await system.run("cp", ["/work/from-host", `/work/copy-${kernel}`], { kernel });
    assert.equal(written.exitCode, 0, written.stderr);
    assert.equal(readFileSync(join(directory, `copy-${kernel}`), "utf8"), "outside\n");
    const refused = await system.run("cp", ["/work/from-host", "/fixed/refused"], { kernel });
    assert.notEqual(refused.exitCode, 0);
  }
});
