/** Kernels are sent messages of any content: each is answered or dropped, and the system works on and loses nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Archipelago, BootOptions } from "../../src/index.ts";
import { errno, errnoName } from "../../src/kernel/errno.ts";
import {
  endNightwatch,
  resumeNightwatch,
  spawnNightwatch,
  suspendNightwatch,
} from "../../src/kernel/nightwatch-protocol.ts";
import {
  bootKernel,
  makeReady,
  migrate,
  mostInitialFiles,
  restore,
  spawn,
  terminalRead,
} from "../../src/kernel/protocol.ts";
import type { RequestType } from "../../src/message/index.ts";
import type { Services } from "../../src/presets/services.ts";
import { IndependentPages } from "../../src/services/pages/independent-pages.ts";
import {
  freesPerMessage,
  pageBlock,
  pageBlockAnswer,
  pageBlocksAdopted,
  pageFree,
} from "../../src/services/pages/protocol.ts";
import { assertRootClean, assertSameUsage, bootForTest, type TestSystem } from "../system/support/system.ts";

const systems: Record<string, BootOptions> = {
  "on the host": { machine: "host", preset: "multikernel" },
  "with services of its own on each kernel": {
    machine: "haswell-4",
    placements: { pages: "independent", files: "proxied" },
  },
  "on K2": { machine: "omap4", preset: "k2", placements: { files: "proxied" } },
};

/** What the console has to send with. */
function servicesOf(system: Archipelago): Services {
  return (system as unknown as { services: Services }).services;
}

const word = fc.oneof(
  fc.integer({ min: 0, max: 70 }),
  fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff, 511, 512, 2047, 2048, 2049, 4096, 65_536),
  fc.nat(100_000),
);
const byte = fc.oneof(fc.nat(8), fc.nat(255));
const float = fc.oneof(
  fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 4096, 4097, 0),
  word.map((page) => page * 4096),
  fc.double(),
);
const bytes = fc.uint8Array({ maxLength: 200 });

/** A message, or a request with its reply type. Not those that stop the system rightly: `close`. */
const rubbish = fc.oneof(
  fc.record({
    type: fc.constant(spawn),
    value: fc.record({
      parent: word,
      priority: byte,
      detached: byte,
      nightwatch: byte,
      memoryLimitPages: word,
      name: fc.uint8Array({ minLength: 63, maxLength: 63 }),
      nameLength: byte,
      argumentOffset: float,
      argumentOrder: byte,
      fileCount: fc.oneof(fc.nat(3), fc.nat(65_535)),
      files: fc.array(word, { minLength: mostInitialFiles, maxLength: mostInitialFiles }),
    }),
  }),
  // A core that is off is rightly booted; here all are on.
  fc.record({ type: fc.constant(bootKernel), value: fc.record({ core: word, kernel: word }) }),
  fc.record({ type: fc.constant(migrate), value: fc.record({ slot: word, ticket: word }) }),
  fc.record({ type: fc.constant(restore), value: fc.record({ page: word }) }),
  fc.record({ type: fc.constant(makeReady), value: fc.record({ thread: word }) }),
  fc.record({ type: fc.constant(terminalRead), value: fc.record({ length: word, tail: bytes }) }),
  fc.record({
    type: fc.constant(spawnNightwatch),
    value: fc.record({ ticket: word, thread: word, runnable: byte }),
  }),
  fc.record({ type: fc.constant(suspendNightwatch), value: fc.record({ pid: word }) }),
  fc.record({ type: fc.constant(resumeNightwatch), value: fc.record({ pid: word, memoryPages: word }) }),
  fc.record({ type: fc.constant(endNightwatch), value: fc.record({ pid: word }) }),
  fc.record({
    type: fc.constant(pageFree),
    value: fc.record({
      kernel: word,
      count: word,
      // Frees of blocks that are in use are not told from right ones; these are beyond all memory.
      pages: fc.array(
        word.map((page) => page + 0x8000_0000),
        { minLength: freesPerMessage, maxLength: freesPerMessage },
      ),
      orders: fc.array(byte, { minLength: freesPerMessage, maxLength: freesPerMessage }),
      sequences: fc.array(float, { minLength: freesPerMessage, maxLength: freesPerMessage }),
    }),
  }),
  fc.record({ type: fc.constant(pageBlock), value: fc.record({ kernel: word, urgent: byte }) }),
  fc.record({ type: fc.constant(pageBlockAnswer), value: fc.record({ kernel: word, given: byte }) }),
  fc.record({ type: fc.constant(pageBlocksAdopted), value: fc.constant({}) }),
);

type Rubbish = typeof rubbish extends fc.Arbitrary<infer One> ? One : never;

/** Sends one and waits for the answer, if there is one to wait for. */
async function send(system: Archipelago, core: number, { type, value }: Rubbish): Promise<number> {
  const { endpoint } = servicesOf(system);
  if (!("reply" in type)) return endpoint.send(core, type as never, value);
  const reply = await endpoint.request(core, type as RequestType<unknown, unknown>, value);
  return reply.status;
}

/** Whether the kernel of a core takes such messages at all; others it reports and drops, which other tests are about. */
function isServed(system: Archipelago, core: number, { type }: Rubbish): boolean {
  if (type === terminalRead) return core === 0;
  const isAboutPages = [pageFree, pageBlock, pageBlockAnswer, pageBlocksAdopted].some((one) => one === type);
  return !isAboutPages || servicesOf(system).pages instanceof IndependentPages;
}

async function assertWorks({ system }: TestSystem): Promise<void> {
  for (const kernel of system.kernels().keys()) {
    const { exitCode, stdout, stderr } = await system.run("wc", ["-c"], { kernel, input: "12345" });
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^\s*5\n$/);
  }
}

/** A spawn request whose block and file are in order; what changes is wrong. */
async function spawnRequest(system: Archipelago, changes: object) {
  const { pages, files, mounts } = servicesOf(system);
  const argumentOffset = pages.allocate(0);
  const mount = mounts.root();
  const file = files.openDirectory(mount, mounts.fileSystem(mount).rootInode);
  const value = {
    parent: 0,
    priority: 1,
    detached: 0,
    nightwatch: 0,
    memoryLimitPages: 100,
    name: new Uint8Array(63),
    nameLength: 3,
    argumentOffset,
    argumentOrder: 0,
    fileCount: 1,
    files: Array.from({ length: mostInitialFiles }, (_, index) => (index === 0 ? file : 0)),
    ...changes,
  };
  const status = await send(system, 1, { type: spawn, value } as Rubbish);
  // A request that makes no sense changes nothing: block and file are still ours.
  if (status === -errno.BADMSG) {
    files.release(file);
    pages.free(argumentOffset, 0);
  }
  return status;
}

test("regression: a spawn request that makes no sense is refused, and nothing changes hands", async () => {
  await using started = await bootForTest({ machine: "omap4" });
  const { system } = started;
  // Kernels keep some things open that they have needed once.
  await assertWorks(started);
  const before = system.usage();
  const none = new Array(mostInitialFiles).fill(0);
  for (const changes of [
    { priority: 4 },
    { priority: 255 },
    { nameLength: 64 },
    { fileCount: mostInitialFiles + 1 },
    { files: none },
    { files: none.with(0, 1_000_000) },
    { files: none.with(0, 4000) },
    { argumentOffset: 0 },
    { argumentOffset: 4096 },
    { argumentOffset: Number.NaN },
    { argumentOffset: 2 ** 50 },
    { argumentOrder: 1 },
    { argumentOrder: 255 },
  ]) {
    assert.equal(await spawnRequest(system, changes), -errno.BADMSG, JSON.stringify(changes));
  }
  await assertWorks(started);
  await assertSameUsage(system, before, "after the requests");
});

test("regression: orders, cores and slots that there are not", async () => {
  await using started = await bootForTest({ machine: "omap4" });
  const { system } = started;
  const before = servicesOf(system).memory.bytes.slice(4096, 8192);
  const cases: [Rubbish, number][] = [
    // Page 1 is in use for something else: an order's answer must not be written there.
    [{ type: restore, value: { page: 1 } }, errno.INVAL],
    [{ type: restore, value: { page: 0xffffffff } }, errno.INVAL],
    [{ type: bootKernel, value: { core: 2, kernel: 0 } }, errno.INVAL],
    [{ type: bootKernel, value: { core: 0, kernel: 64 } }, errno.INVAL],
    [{ type: bootKernel, value: { core: 0, kernel: 0 } }, errno.BUSY],
    [{ type: migrate, value: { slot: 0xffffffff, ticket: 1 } }, errno.INVAL],
  ];
  for (const [one, code] of cases) assert.equal(errnoName(await send(system, 1, one)), errnoName(-code));
  assert.deepEqual(servicesOf(system).memory.bytes.slice(4096, 8192), before);
});

for (const [name, options] of Object.entries(systems)) {
  test(`messages of any content do no harm ${name}`, { timeout: 60_000 }, async () => {
    await using started = await bootForTest(options);
    const { system, log } = started;
    await assertWorks(started);
    const before = system.usage();
    await fc.assert(
      fc.asyncProperty(fc.array(rubbish, { minLength: 20, maxLength: 60, size: "max" }), async (messages) => {
        for (const [index, one] of messages.entries()) {
          const core = index % 2;
          if (!isServed(system, core, one)) continue;
          const status = await send(system, core, one);
          assert.notEqual(status, -errno.IO, `${one.type.name}: the handler failed: ${log.at(-1)}`);
          assert.ok(status <= 1, `${one.type.name}: ${errnoName(status)}`);
        }
        await assertWorks(started);
      }),
      { numRuns: Number(process.env.RUNS ?? 6), endOnFailure: process.env.SHRINK === undefined },
    );
    // Frees that cannot be are reported, and nothing else.
    const others = log.filter((line) => !line.includes("cannot free"));
    log.splice(0, log.length, ...others);
    await assertSameUsage(system, before, "after the messages");
    assertRootClean(system, "after the messages");
  });
}
