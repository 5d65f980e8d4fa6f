/**
 * Tests of the tests, for parts that random workloads do not reach: a K2 system with a broken SuspendNW, or a DMA driver
 * that does not clean the cache, must give wrong results.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { NightwatchGuests } from "../../src/kernel/nightwatch-guests.ts";
import { DmaBuffers } from "../../src/services/dma/buffers.ts";
import type { RunResult } from "../../src/system/archipelago.ts";
import { boot } from "../../src/system/boot.ts";
import { noCompiler } from "../system/support/c-program.ts";
import { call, countAt, exit, sleepFor, threaded } from "../system/support/nightwatch-programs.ts";
import { temporaryDirectory } from "./support/seeds.ts";

const directory = temporaryDirectory();

/** Runs a program on the main kernel of a simulated K2. */
async function runOnK2(program: Uint8Array, args: readonly string[] = []): Promise<RunResult> {
  await using system = await boot({
    preset: "k2",
    machine: "omap4",
    seed: 1,
    cacheDirectory: directory,
    log: () => undefined,
  });
  system.files.makeDirectory("/tmp", { recursive: true });
  system.files.write("/tmp/program.wasm", program, 0o755);
  return await system.run("/tmp/program.wasm", args, { kernel: 0 });
}

const counter = 8192;
const grew = 1;

/** Exits with 1 if its NightWatch thread, which counts for ever, has counted while the normal thread computed. */
const exclusive = threaded({
  normal: `
    i32.const 0 ${call("nightwatch_spawn")} drop
    loop :
      ${sleepFor(20)}
      i32.const ${counter} i32.load local.set 1
      i32.const 0 local.set 3
      loop : local.get 3 i32.const 1 i32.add local.tee 3 i32.const 2000000 i32.lt_u br_if 0 end
      i32.const ${counter} i32.load local.get 1 i32.ne if : i32.const ${grew} ${exit} end
      local.get 0 i32.const 1 i32.add local.tee 0 i32.const 10 i32.lt_u br_if 0
    end`,
  thread: countAt(counter),
});

test("SuspendNW that is acknowledged before the threads have stopped is noticed", {
  timeout: 120_000,
}, async () => {
  assert.equal((await runOnK2(exclusive)).exitCode, 0);
  const { suspend } = NightwatchGuests.prototype;
  NightwatchGuests.prototype.suspend = () => 0;
  try {
    assert.equal((await runOnK2(exclusive)).exitCode, grew);
  } finally {
    NightwatchGuests.prototype.suspend = suspend;
  }
});

/** A C program that has the DMA engine move bytes, and compares; undefined without a compiler. */
function compiledMover(): Uint8Array | undefined {
  const binary = join(directory, "mover.wasm");
  const source = join(import.meta.dirname, "../dma/programs/mover.c");
  const options = ["--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", binary, source];
  return spawnSync("clang", options).status === 0 ? readFileSync(binary) : undefined;
}

const mover = compiledMover();

test("a DMA driver that does not clean the cache moves old bytes", {
  timeout: 120_000,
  skip: mover === undefined && noCompiler,
}, async () => {
  assert.ok(mover !== undefined);
  const args = ["70000", "210000"];
  assert.equal((await runOnK2(mover, args)).stdout, "210000 bytes\n");
  const { clean } = DmaBuffers.prototype;
  DmaBuffers.prototype.clean = () => undefined;
  try {
    assert.notEqual((await runOnK2(mover, args)).stdout, "210000 bytes\n");
  } finally {
    DmaBuffers.prototype.clean = clean;
  }
});
