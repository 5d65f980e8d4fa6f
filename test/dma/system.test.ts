/** The DMA driver and UDP over the network controller on a simulated K2: two kernels, not coherent, one driver. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noCompiler } from "../system/support/c-program.ts";
import {
  assertSameUsage,
  bootForTest,
  type TestSystem,
  temporaryDirectory,
} from "../system/support/system.ts";

/** A C program of a test folder, or undefined where there is no compiler. */
function compile(folder: string, name: string): Uint8Array | undefined {
  const binary = join(temporaryDirectory(), `${name}.wasm`);
  const source = join(import.meta.dirname, "..", folder, "programs", `${name}.c`);
  const options = ["--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", binary, source];
  return spawnSync("clang", options).status === 0 ? readFileSync(binary) : undefined;
}

const mover = compile("dma", "mover");
const echo = compile("network", "echo");
const options = { skip: (mover === undefined || echo === undefined) && noCompiler };

async function bootSimulated(seed = 1): Promise<TestSystem> {
  const started = await bootForTest({ preset: "k2", machine: "omap4", seed });
  assert.ok(mover !== undefined && echo !== undefined);
  started.install("mover", mover);
  started.install("echo", echo);
  return started;
}

test("programs on both kernels move bytes, whatever the sizes, and find them", options, async () => {
  await using started = await bootSimulated();
  const { system } = started;
  for (const kernel of [0, 1]) await system.run("/tmp/mover.wasm", ["1", "1"], { kernel });
  const usage = system.usage();
  for (const kernel of [0, 1]) {
    for (const size of [1, 4095, 4096, 4097, 70_000, 1 << 20]) {
      for (const mode of [[], ["write"]]) {
        const total = String(size * 3);
        const result = await system.run("/tmp/mover.wasm", [String(size), total, ...mode], { kernel });
        assert.equal(result.stdout, `${total} bytes\n`, result.stderr);
      }
    }
  }
  await assertSameUsage(system, usage, "transfers");
});

test("more programs than channels, on both kernels at once", options, async () => {
  await using started = await bootSimulated();
  const { system } = started;
  const runs = Array.from({ length: 40 }, (_, n) => {
    const size = 1000 + 997 * n;
    return system.run("/tmp/mover.wasm", [String(size), String(size * 8)], { kernel: n % 2 });
  });
  for (const [n, { stdout, stderr }] of (await Promise.all(runs)).entries()) {
    assert.equal(stdout, `${(1000 + 997 * n) * 8} bytes\n`, stderr);
  }
});

test("a mover that is killed leaves nothing, and the next one is served", options, async () => {
  await using started = await bootSimulated();
  const { system } = started;
  for (const kernel of [0, 1]) await system.run("/tmp/mover.wasm", ["10", "10"], { kernel });
  const usage = system.usage();
  for (const kernel of [0, 1, 0, 1]) {
    const process = await system.spawn("/tmp/mover.wasm", ["1000000", "1000000000"], {
      kernel,
      stdout: "null",
      stderr: "null",
    });
    const other = await system.run("/tmp/mover.wasm", ["5000", "50000"], { kernel: 1 - kernel });
    assert.equal(other.stdout, "50000 bytes\n");
    process.kill(9);
    assert.equal((await process.wait()).signal, 9);
  }
  assert.equal((await system.run("/tmp/mover.wasm", ["5000", "50000"])).exitCode, 0);
  await assertSameUsage(system, usage, "killed movers");
});

test("UDP goes over the network controller, between kernels that are not coherent", options, async () => {
  await using started = await bootSimulated();
  const { system } = started;
  for (const kernel of [0, 1]) await system.run("/tmp/echo.wasm", ["check"], { kernel });
  const usage = system.usage();
  for (const home of [0, 1]) {
    const server = await system.spawn("/tmp/echo.wasm", ["serve", "7100"], { kernel: home, stdout: "null" });
    while (system.usage().sockets === usage.sockets) await system.run("/tmp/echo.wasm", ["check"]);
    const clients = [0, 1, 1].map((kernel, n) =>
      system.run("/tmp/echo.wasm", ["ask", "7100", String(n), "100"], { kernel }),
    );
    for (const { stdout, stderr } of await Promise.all(clients))
      assert.equal(stdout, "100 answers\n", stderr);
    assert.equal((await system.run("/tmp/echo.wasm", ["stop", "7100"])).exitCode, 0);
    assert.equal((await server.wait()).exitCode, 0);
  }
  await assertSameUsage(system, usage, "server and clients");
});

test("the same seed gives the same trace, devices and all", options, async () => {
  const run = async () => {
    await using started = await bootSimulated(7);
    const { system } = started;
    const server = await system.spawn("/tmp/echo.wasm", ["serve", "7100"], { kernel: 0, stdout: "null" });
    const moving = system.run("/tmp/mover.wasm", ["9000", "90000"], { kernel: 1 });
    await system.run("/tmp/mover.wasm", ["9000", "900000"], { kernel: 0 });
    await system.run("/tmp/echo.wasm", ["ask", "7100", "1", "20"], { kernel: 1 });
    await system.run("/tmp/echo.wasm", ["stop", "7100"]);
    await Promise.all([moving, server.wait()]);
    assert.ok(system.simulation !== null);
    return system.simulation.summary();
  };
  assert.equal(await run(), await run());
});

/** Points at which a core crashes in this test; more of them are tried with `CRASH_POINTS`. */
const crashPoints = Number(process.env.CRASH_POINTS ?? 5);
const firstPoint = Number(process.env.CRASH_FIRST ?? 0);

async function crashAt(point: number): Promise<void> {
  await using started = await bootSimulated(point + 1);
  const { system, log } = started;
  const run = (program: "mover" | "echo", kernel: number, ...args: string[]) =>
    system.run(`/tmp/${program}.wasm`, args, { kernel });
  for (const kernel of [0, 1]) {
    await run("mover", kernel, "10", "10");
    await run("echo", kernel, "check");
  }
  const server = await system.spawn("/tmp/echo.wasm", ["serve", "7100"], { kernel: 0, stdout: "null" });
  const doomed = await Promise.all([
    system.spawn("/tmp/mover.wasm", ["3000", "1000000000"], { kernel: 1, stdout: "null" }),
    system.spawn("/tmp/echo.wasm", ["ask", "7100", "1", "1000000"], { kernel: 1, stdout: "null" }),
  ]);
  const going = [4096, 9000].map((size) => run("mover", 0, String(size), "400000"));
  const core = system.simulation?.machine.core(1);
  assert.ok(core !== undefined);
  core.accessesUntilCrash = 50 + ((point * 3571) % 20_011);
  for (const process of doomed) assert.equal((await process.wait()).exitCode, 137, `point ${point}`);
  for (const { exitCode, stderr } of await Promise.all(going)) {
    assert.equal(exitCode, 0, `point ${point}: ${stderr}`);
  }
  assert.equal(system.kernels()[1].state, "dead");
  const asked = await run("echo", 0, "ask", "7100", "2", "50");
  assert.equal(asked.stdout, "50 answers\n", `point ${point}: ${asked.stderr}`);
  await run("echo", 0, "stop", "7100");
  assert.equal((await server.wait()).exitCode, 0);
  assert.equal((await run("mover", 0, "70000", "700000")).exitCode, 0, `point ${point}`);
  log.length = 0;
}

test("a core crashes in the middle of the drivers: the other one's programs go on", options, async () => {
  for (let point = firstPoint; point < firstPoint + crashPoints; point++) await crashAt(point);
});

test(
  "regression: a core waits for a lock of a dead one, and holds others that recovery needs",
  options,
  async () => {
    for (const point of [68, 78]) await crashAt(point);
  },
);
