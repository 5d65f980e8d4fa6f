import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

test("the example in the README runs and prints what it says", () => {
  const folder = new URL("../../src/memory/", import.meta.url);
  const readme = readFileSync(new URL("README.md", folder), "utf8");
  const example = /```ts\n(import [\s\S]*?)```/.exec(readme)?.[1];
  const output = /It prints:\n\n```\n([\s\S]*?)```/.exec(readme)?.[1];
  assert.ok(example !== undefined && output !== undefined);
  const directory = mkdtempSync(join(tmpdir(), "memory-readme-"));
  try {
    const file = join(directory, "counters.mts");
    writeFileSync(file, example.replace("archipelago/memory", new URL("index.ts", folder).href));
    const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
    assert.equal(stdout, output, stderr);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
