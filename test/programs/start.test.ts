/** `bin/archipelago` in a small checkout of its own: installing, handing over, exit codes and signals. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../bin", import.meta.url));

const program = `
const [command, ...words]: string[] = process.argv.slice(2);
if (command === "run" && words[0] === "wait") {
  process.on("SIGTERM", () => process.exit(42));
  process.stdout.write("waiting\\n");
  setInterval(() => {}, 1000);
} else {
  process.stdout.write(JSON.stringify([command, ...words]) + "\\n");
  process.exitCode = Number(words[0] ?? 0);
}
`;

/** A checkout without dependencies, so that npm has nothing to fetch. */
function checkout(): { folder: string; writeLock(version: string): void; [Symbol.dispose](): void } {
  const folder = mkdtempSync(join(tmpdir(), "archipelago-start-"));
  cpSync(bin, join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "src/cli"), { recursive: true });
  writeFileSync(join(folder, "src/cli/main.ts"), program);
  const writeLock = (version: string) => {
    const manifest = { name: "small", version, type: "module" };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    const lock = { name: "small", version, lockfileVersion: 3, requires: true, packages: { "": manifest } };
    writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lock));
  };
  writeLock("1.0.0");
  return { folder, writeLock, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

function start(folder: string, ...words: string[]) {
  return spawnSync(process.execPath, [join(folder, "bin/archipelago"), ...words], { encoding: "utf8" });
}

test("the first start installs, and only the program writes to standard output", () => {
  using small = checkout();
  const first = start(small.folder, "run", "7", "--x", "a b");
  assert.equal(first.stdout, '["run","7","--x","a b"]\n');
  assert.equal(first.status, 7);
  assert.match(first.stderr, /installing/);
  const second = start(small.folder);
  assert.equal(second.stdout, '["start"]\n');
  assert.equal(second.status, 0);
  assert.equal(second.stderr, "", "nothing to install");
  small.writeLock("1.0.1");
  assert.match(start(small.folder, "run").stderr, /installed/, "the lock file changed");
  assert.equal(start(small.folder, "run").stderr, "");
});

test("two first starts at once do not disturb each other", async () => {
  using small = checkout();
  const ends = [1, 2, 3].map(
    (code) =>
      new Promise((resolve) => {
        const child = spawn(process.execPath, [join(small.folder, "bin/archipelago"), "run", String(code)]);
        child.on("exit", resolve);
      }),
  );
  assert.deepEqual(await Promise.all(ends), [1, 2, 3]);
  assert.equal(existsSync(join(small.folder, ".cache/installing.pid")), false);
});

test("an installation that was killed does not block the next", () => {
  using small = checkout();
  mkdirSync(join(small.folder, ".cache"));
  const gone = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(join(small.folder, ".cache/installing.pid"), String(gone.pid));
  assert.equal(start(small.folder, "run", "3").status, 3);
});

test("a signal reaches the program, and its end is ours", async () => {
  using small = checkout();
  start(small.folder);
  const harness = `
    import { runNode } from ${JSON.stringify(join(small.folder, "bin/node.mjs"))};
    process.exit(await runNode(process.execPath, [${JSON.stringify(join(small.folder, "src/cli/main.ts"))}, "run", "wait"]));
  `;
  for (const [signal, expected] of [
    ["SIGTERM", { code: 42, signal: null }],
    ["SIGHUP", { code: null, signal: "SIGHUP" }],
  ] as const) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", harness]);
    const ended = new Promise((resolve) => {
      child.on("exit", (code, endSignal) => resolve({ code, signal: endSignal }));
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill(signal);
    assert.deepEqual(await ended, expected);
  }
});

test("what npm cannot do is said in one line", () => {
  using small = checkout();
  writeFileSync(
    join(small.folder, "package-lock.json"),
    JSON.stringify({ lockfileVersion: 3, packages: {} }),
  );
  const manifest = JSON.parse(readFileSync(join(small.folder, "package.json"), "utf8"));
  manifest.dependencies = { "not-in-the-lock-file": "1.0.0" };
  writeFileSync(join(small.folder, "package.json"), JSON.stringify(manifest));
  const { status, stdout, stderr } = start(small.folder, "run");
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /archipelago: `npm ci` failed/);
  assert.doesNotMatch(stderr, /\n +at /, "no stack trace");
});
