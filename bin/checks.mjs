/*
 * `archipelago check` and `archipelago test`: everything a change has to pass, with a line before each step
 * and the time it took after it.
 */
import { existsSync, readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { nodeBinary, root, runNode } from "./node.mjs";

/** Each step is a script of an npm package, run by our own Node.js: its name and its command line. */
const checks = [
  ["types", ["node_modules/typescript/bin/tsc", "--noEmit", "-p", "."]],
  ["lint and format", ["node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."]],
  [
    "layers",
    [
      ...["--import", "./scripts/lint/dependency-cruiser-using.mjs"],
      "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs",
      ...["--config", ".dependency-cruiser.cjs", "--output-type", "err-long"],
      ...["src", "bin", "bench", "test"],
    ],
  ],
];

async function step(name, parameters) {
  process.stdout.write(`── ${name}\n`);
  const started_ms = Date.now();
  const code = await runNode(nodeBinary(), parameters, { cwd: root });
  const seconds = ((Date.now() - started_ms) / 1000).toFixed(1);
  process.stdout.write(
    `── ${name}: ${code === 0 ? "passed" : `FAILED (exit code ${code})`} in ${seconds} s\n`,
  );
  return code;
}

/** Type check, lint and layers: all of them, also after a failure. Exit code. */
export async function check() {
  let worst = 0;
  for (const [name, parameters] of checks) worst = Math.max(worst, await step(name, parameters));
  return worst;
}

function testFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return testFiles(path);
      return entry.name.endsWith(".test.ts") ? [path] : [];
    })
    .sort();
}

/** The named tests (files or folders, from the current folder), or everything: checks, then all tests. */
export async function test(names) {
  const options = names.filter((name) => name.startsWith("--"));
  const chosen = names
    .filter((name) => !name.startsWith("--"))
    .flatMap((name) => {
      const path = relative(root, existsSync(resolve(name)) ? resolve(name) : join(root, name));
      return path.endsWith(".ts") ? [path] : testFiles(path);
    });
  const files = chosen.length > 0 ? chosen : testFiles("test");
  const checked = chosen.length > 0 ? 0 : await check();
  const tested = await step(`${files.length} test files`, [
    "--test",
    "--test-concurrency=2",
    ...options,
    ...files,
  ]);
  return Math.max(checked, tested);
}
