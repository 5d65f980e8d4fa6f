/** NightWatch threads when a kernel stops or dies: the weak one, and that of the normal thread. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { call, countAt, exit, sleepFor, threaded, write } from "./support/nightwatch-programs.ts";
import {
  bootAgain,
  bootForTest,
  eventually,
  firstOutput,
  killCore,
  type TestSystem,
  within,
} from "./support/system.ts";

const main = 1;
const weak = 2;
const spawn = call("nightwatch_spawn");
const join = call("nightwatch_join");

const bootSystem = () => bootForTest({ cores: 3, weakKernels: [weak] });

let shared: TestSystem;
before(async () => {
  shared = await bootSystem();
});
after(() => shared[Symbol.asyncDispose]());

/** A core crashes, and the operator is told. */
async function crash({ system, log }: TestSystem, core: number): Promise<void> {
  await killCore(system, core);
  assert.match(log.splice(0).join("\n"), new RegExp(`core ${core} failed`));
}

/** Says "on" when its NightWatch thread, which counts, has begun; then does something, joins and exits with the errno. */
function joiner(between: string): Uint8Array {
  return threaded({
    data: { 512: "on" },
    normal: `
      i32.const 0 ${spawn} local.set 0
      loop : ${sleepFor(1)} i32.const 8192 i32.load i32.eqz br_if 0 end
      ${write(1, 512, 2)} drop
      ${between}
      local.get 0 ${join} ${exit}`,
    thread: countAt(8192),
  });
}

const streams = { kernel: main, stdin: "null", stderr: "null" } as const;
/** Short sleeps, so that the normal thread asks for the weak kernel's answer again and again. */
const turns = `loop : ${sleepFor(0.2)} local.get 1 i32.const 1 i32.add local.tee 1 i32.const 1000 i32.lt_u br_if 0 end`;

for (const [what, between] of [
  ["waits for it", ""],
  ["computes and sleeps", turns],
] as const) {
  test(`the weak kernel stops while the normal thread ${what}: the process goes on`, async () => {
    const process = await shared.system.spawn(shared.install("joiner", joiner(between)), [], streams);
    await firstOutput(process);
    await shared.system.stopKernel(weak);
    assert.equal((await within(5_000, "its end", process.wait())).exitCode, errno.OWNERDEAD);
    await process.stdout?.cancel();
    await shared.system.bootKernel(weak);
    await assertSound(shared);
  });
}

test("without a weak kernel there are no NightWatch threads", async () => {
  const { system } = shared;
  await system.stopKernel(weak);
  const path = shared.install(
    "none",
    threaded({ normal: `i32.const 0 i32.const 1 ${spawn} i32.sub ${exit}`, thread: "" }),
  );
  assert.equal((await system.run(path, [], { kernel: main })).exitCode, errno.NODEV);
  await assert.rejects(system.spawn(path, [], { nightwatch: true }), /no kernel for NightWatch/);
  await system.bootKernel(weak);
});

test("the weak kernel stops: programs that were started as NightWatch threads end", async () => {
  const { system } = shared;
  const path = shared.install("light", threaded({ normal: "loop : br 0 end" }));
  const process = await system.spawn(path, [], {
    nightwatch: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await system.stopKernel(weak, { processes: "move" });
  assert.equal((await within(5_000, "its end", process.wait())).signal, 9);
  await system.bootKernel(weak);
});

for (const [what, between] of [
  ["blocked", sleepFor(1900)],
  ["running", "loop : br 0 end"],
] as const) {
  test(`the main kernel stops with the normal thread ${what}: NightWatch threads and process end`, async () => {
    const { threads } = shared.system.usage();
    const process = await shared.system.spawn(shared.install("joiner", joiner(between)), [], streams);
    await firstOutput(process);
    await shared.system.stopKernel(main, { processes: "move" });
    assert.equal((await within(5_000, "its end", process.wait())).signal, 9);
    await process.stdout?.cancel();
    await eventually("no threads are left", () => shared.system.usage().threads === threads);
    await shared.system.bootKernel(main);
    await assertSound(shared);
  });
}

for (const [atWeak, atMain] of [
  ["", sleepFor(1900)],
  [turns, "loop : br 0 end"],
] as const) {
  const [what, whatMain] = atWeak === "" ? ["waits for it", "blocked"] : ["computes and sleeps", "running"];

  describe("a kernel dies", () => {
    // A machine replaces each of its cores once.
    let own: TestSystem;
    before(async () => {
      own = await bootSystem();
    });
    after(() => own[Symbol.asyncDispose]());

    test(`the weak one while the normal thread ${what}: the process goes on`, async () => {
      const process = await own.system.spawn(own.install("joiner", joiner(atWeak)), [], streams);
      await firstOutput(process);
      await crash(own, weak);
      assert.equal((await within(5_000, "its end", process.wait())).exitCode, errno.OWNERDEAD);
      await process.stdout?.cancel();
      await bootAgain(own.system, weak);
      await assertSound(own);
    });

    test(`the main one with the normal thread ${whatMain}: NightWatch threads and process end`, async () => {
      const { threads } = own.system.usage();
      const process = await own.system.spawn(own.install("joiner", joiner(atMain)), [], streams);
      await firstOutput(process);
      await crash(own, main);
      assert.equal((await within(5_000, "its end", process.wait())).signal, 9);
      await process.stdout?.cancel();
      await eventually("no threads are left", () => own.system.usage().threads === threads);
      await assertSound(own, 0);
    });
  });
}

async function assertSound({ system, install }: TestSystem, kernel = main): Promise<void> {
  const path = install(
    "sound",
    threaded({
      normal: `i32.const 5 ${spawn} ${join} drop i32.const 64 i32.load ${exit}`,
      thread: "i32.const 64 local.get 1 i32.store",
    }),
  );
  const result = await within(5_000, "a program afterwards", system.run(path, [], { kernel }));
  assert.equal(result.exitCode, 5);
  assert.equal(system.kernels()[weak].processes, 0);
}
