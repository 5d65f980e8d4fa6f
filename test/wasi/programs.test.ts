/**
 * Small C programs on a booted system. What they print about files is compared with what they print under
 * Node.js's own WASI on a directory of the host.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { bootForTest, textOf, within } from "../system/support/system.ts";

const directory = mkdtempSync(join(tmpdir(), "wasi-programs-"));
after(() => rmSync(directory, { recursive: true }));

/** Compiles a program of `programs/`; undefined where there is no compiler for WASI. */
function compile(name: string): Uint8Array | undefined {
  const source = join(import.meta.dirname, "programs", `${name}.c`);
  const binary = join(directory, `${name}.wasm`);
  const { status } = spawnSync("clang", [
    "--target=wasm32-wasi",
    "--sysroot=/usr",
    "-O1",
    "-o",
    binary,
    source,
  ]);
  return status === 0 ? readFileSync(binary) : undefined;
}

const skipReason = "needs clang, wasm-ld and wasi-libc: install the packages clang, lld and wasi-libc";

/** What a program prints under Node.js's WASI, and its exit code. */
const peer = `
  import { WASI } from "node:wasi";
  import { readFileSync } from "node:fs";
  const [binary, root] = process.argv.slice(1);
  const wasi = new WASI({
    version: "preview1", args: ["files", "/"], env: { GREETING: "hello" }, preopens: { "/": root }, returnOnExit: true,
  });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(binary)), wasi.getImportObject());
  process.exitCode = wasi.start(instance);`;

test("files through a C library behave as on the host", async (t) => {
  const binary = compile("files");
  if (binary === undefined) return t.skip(skipReason);
  await using booted = await bootForTest();
  const { system } = booted;
  const path = booted.install("files", binary);
  const ours = await system.run(path, ["/tmp"], {
    environment: { GREETING: "hello" },
    directories: { "/": "/", "/tmp": "/home" },
  });
  const root = mkdtempSync(join(directory, "root-"));
  const theirs = spawnSync(
    process.execPath,
    ["--no-warnings", "--input-type=module", "-e", peer, join(directory, "files.wasm"), root],
    { encoding: "utf8" },
  );
  assert.equal(theirs.status, 3, theirs.stderr);
  assert.equal(ours.exitCode, 3, ours.stderr + ours.message);
  assert.equal(ours.stdout, theirs.stdout);
});

test("a C program waits for input, for time, and for the end of its input", async (t) => {
  const binary = compile("waiting");
  if (binary === undefined) return t.skip(skipReason);
  await using booted = await bootForTest();
  const process = await booted.system.spawn(booted.install("waiting", binary), []);
  assert.ok(process.stdout !== null && process.stdin !== null);
  const writer = process.stdin.getWriter();
  const [first, second] = process.stdout.tee();
  // Gives the program its input when it says that it is ready, and ends it when it is done.
  const feeding = (async () => {
    let seen = "";
    let fed = false;
    for await (const chunk of first) {
      seen += new TextDecoder().decode(chunk);
      if (!fed && seen.includes("ready\n")) {
        fed = true;
        await writer.write(new TextEncoder().encode("line\n"));
      }
      if (seen.endsWith("done\n")) await writer.close();
    }
  })();
  const output = await within(10_000, "the program", textOf(second));
  await feeding;
  assert.deepEqual(output.split("\n"), [
    "terminal 0",
    "nothing yet: 0",
    "waited 1",
    "ready",
    "input: 1",
    "read 5: line",
    "slept 0",
    "waited 1",
    "done",
    "end of input: 1, 0",
    "",
  ]);
  assert.equal((await process.wait()).exitCode, 0);
});
