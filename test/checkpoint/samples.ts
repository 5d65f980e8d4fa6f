/** Processes to write and read, made from nothing but a seed. */
import fc from "fast-check";
import { type Checkpoint, type FileImage, fileKind } from "../../src/checkpoint/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";

const bytes = (most: number) => fc.uint8Array({ maxLength: most });
const whole = (most: number) => fc.integer({ min: 0, max: most });
const time_us = whole(2 ** 40);

/** A memory with zero pages, equal pages, and pages that differ in one byte. */
const memory = fc
  .record({
    size_pages: fc.integer({ min: 0, max: 3 }),
    more_pages: whole(10),
    fills: fc.array(fc.tuple(whole(47), fc.integer({ min: 0, max: 3 }), whole(4095)), { maxLength: 20 }),
  })
  .map(({ size_pages, more_pages, fills }) => {
    const content = new Uint8Array(size_pages * 65_536);
    for (const [page, kind, at] of fills) {
      if (page >= size_pages * 16) continue;
      const target = content.subarray(page * 4096, (page + 1) * 4096);
      if (kind === 0) target.fill(0);
      else if (kind === 1) target.fill(7);
      else target[at] = kind;
    }
    return { size_pages, maximum_pages: size_pages + more_pages, wide: false, bytes: content };
  });

const file: fc.Arbitrary<FileImage> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(fileKind.file, fileKind.directory, fileKind.device),
    path: fc.string({ minLength: 1 }).map((name) => `/${name.toWellFormed()}`),
    flags: whole(31),
    position: whole(Number.MAX_SAFE_INTEGER),
    size_bytes: whole(Number.MAX_SAFE_INTEGER),
    modificationTime_ns: time_us.map((us) => us * 1000),
    pipe: fc.constant(null),
  }),
  fc.record({
    kind: fc.constantFrom(fileKind.pipeReader, fileKind.pipeWriter),
    path: fc.constant(""),
    flags: whole(31),
    position: fc.constant(0),
    size_bytes: fc.constant(0),
    modificationTime_ns: fc.constant(0),
    pipe: fc.constantFrom(null, 0),
  }),
);

/** Processes of every shape, most of them impossible. */
export const checkpoints: fc.Arbitrary<Checkpoint> = fc
  .record({
    module: fc.option(bytes(100)),
    path: fc.string().map((text) => text.toWellFormed()),
    arguments: fc.array(bytes(20), { maxLength: 4 }),
    environment: fc.array(bytes(20), { maxLength: 4 }),
    preopens: fc.array(
      fc.string().map((text) => text.toWellFormed()),
      { maxLength: 3 },
    ),
    pid: whole(2 ** 32 - 1),
    times: fc.tuple(whole(2 ** 50), whole(2 ** 50), time_us),
    signals: fc.array(whole(64), { maxLength: 3 }),
    threads: fc.array(
      fc.record({
        phase: fc.constantFrom("start" as const, "entry" as const),
        frames: bytes(300),
        globals: bytes(40),
        callRemaining_ns: fc.option(whole(2 ** 50)),
        answeredCall: fc.option(
          fc.record({ kind: fc.constantFrom(2, 8), result: fc.integer({ min: -76, max: 2 ** 31 - 1 }) }),
        ),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    files: fc.array(file, { maxLength: 5 }),
    numbers: fc.uniqueArray(whole(255), { maxLength: 5 }),
    pipe: bytes(200),
    memory: fc.option(memory),
  })
  .map((given) => {
    const [cpuTime_ns, monotonic_ns, realtime_us] = given.times;
    const numbers = given.files.length === 0 ? [] : [...given.numbers].sort((a, b) => a - b);
    return {
      program: {
        hash: contentHash(given.module ?? new Uint8Array(3)),
        size_bytes: given.module?.length ?? 3,
        path: given.path,
        instrumenter: "test 1",
        frameTable: contentHash(new Uint8Array(1)),
        module: given.module,
      },
      start: { arguments: given.arguments, environment: given.environment, preopens: given.preopens },
      process: {
        pid: given.pid,
        parent: 0,
        name: given.path,
        priority: 2,
        memoryLimit_pages: 65_536,
        cpuTime_ns,
        monotonic_ns,
        realtime_ns: realtime_us * 1000,
        pendingSignals: given.signals,
      },
      threads: given.threads,
      files: given.files,
      descriptors: numbers.map((number, index) => ({
        number,
        file: index % given.files.length,
        rights: 0x3fff_ffff,
        inheriting: number,
        preopen: Math.min(index, given.preopens.length),
      })),
      pipes: [{ capacity_bytes: 4096, content: given.pipe }],
      memory: given.memory,
    };
  });
