/** Families whose kernel dies: parents hear of it, children go on without. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compileC, noCompiler } from "./support/c-program.ts";
import { bootForTest, eventually, killCore, pause, within } from "./support/system.ts";

const binary = compileC("forks");
const options = { skip: binary === undefined ? noCompiler : false };
const limit_ms = 20_000;

for (const [how, args] of [
  ["with a memory of its own", []],
  ["in its parent's memory", ["lend"]],
] as const) {
  test(`a kernel dies under a child ${how}, and under a parent`, options, async () => {
    assert.ok(binary !== undefined);
    await using booted = await bootForTest();
    const { system } = booted;
    const path = booted.install("forks", binary);
    const quiet = { stdout: "null", stderr: "null" } as const;
    const start = async () => {
      const input = system.pipe();
      const parent = await system.spawn(path, ["family", ...args], {
        kernel: 0,
        stdin: input.read,
        ...quiet,
      });
      const child = () => system.processes().find((process) => process.parent === parent.pid);
      await eventually("the child waits", () => child()?.state === "blocked");
      const pid = child()?.pid ?? 0;
      const end = () => system.spawn("echo", ["1"], { stdout: input.write, stdin: "null", stderr: "null" });
      return { parent, pid, end };
    };
    const bereaved = await start();
    const orphaned = await start();
    await system.migrate(bereaved.pid, 1);
    await system.migrate(orphaned.parent.pid, 1);
    await pause(20);
    await killCore(system, 1);
    // 100 + the signal that ended the child.
    assert.equal((await within(limit_ms, "parent", bereaved.parent.wait())).exitCode, 109);
    assert.equal((await within(limit_ms, "dead parent", orphaned.parent.wait())).signal, 9);
    const child = system.processes().find(({ pid }) => pid === orphaned.pid);
    assert.deepEqual([child?.parent, child?.kernel, child?.state], [0, 0, "blocked"]);
    await (await orphaned.end()).wait();
    await (await bereaved.end()).wait();
    await eventually("the orphan has ended", () => system.processes().length === 0);
    assert.match(booted.log.splice(0).join("\n"), /core 1/);
  });
}
