/**
 * Random system calls with random arguments: none throws, hangs, writes outside the memory it was pointed at,
 * or returns anything but an errno, BLOCKED or DIED; and nothing leaks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { wasiFunctions } from "../../src/wasi/functions.ts";
import { hostFunctions } from "../../src/wasi/host-imports.ts";
import { Harness, preview1Name, unstableName } from "./harness.ts";

const functions: (readonly [module: string, name: string, letters: string])[] = [
  ...[preview1Name, unstableName].flatMap((module) =>
    Object.entries(wasiFunctions).map(([name, one]) => [module, name, one.parameters] as const),
  ),
  ...Object.entries(hostFunctions).flatMap(([module, list]) =>
    Object.entries(list).map(([name, one]) => [module, name, one.parameters] as const),
  ),
];
const lastErrno = 76;
const memory_bytes = 1 << 20;

/** Numbers as a program that means harm, or one that nearly works, would pass. */
const word = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 12 }), weight: 4 },
  { arbitrary: fc.integer({ min: 0, max: 64 }), weight: 2 },
  // Places where text, lists and structs lie.
  { arbitrary: fc.integer({ min: 0, max: 31 }).map((n) => 4096 + n * 64), weight: 4 },
  { arbitrary: fc.integer({ min: -70, max: 70 }).map((n) => memory_bytes + n), weight: 1 },
  { arbitrary: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), weight: 1 },
);
const long = fc.oneof(
  { arbitrary: fc.bigInt({ min: 0n, max: 64n }), weight: 3 },
  { arbitrary: fc.constant((1n << 30n) - 1n), weight: 2 },
  { arbitrary: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), weight: 1 },
);
const callArbitrary = fc
  .integer({ min: 0, max: functions.length - 1 })
  .chain((index) =>
    fc.tuple(
      fc.constant(index),
      fc.tuple(
        ...[...functions[index][2]].map(
          (letter): fc.Arbitrary<number | bigint> => (letter === "l" ? long : word),
        ),
      ),
    ),
  );

/** What a program's memory may hold where `word` points: names, buffer lists, poll subscriptions, noise. */
const piece = fc.oneof(
  fc
    .constantFrom(
      "a",
      "d",
      "d/b",
      "link",
      "../a",
      "/a",
      "d/../a",
      ".",
      "..",
      "d/",
      "",
      "é",
      "x".repeat(60),
      "link/..",
    )
    .map((text) => new TextEncoder().encode(text)),
  fc.uint8Array({ minLength: 64, maxLength: 64 }),
  fc
    .array(word, { minLength: 16, maxLength: 16 })
    .map((words) => new Uint8Array(new Int32Array(words).buffer)),
);

test("random calls with random arguments", () => {
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 32, maxLength: 32 }),
      fc.array(callArbitrary, { minLength: 1, maxLength: 60 }),
      (pieces, calls) => {
        const h = new Harness({ arguments: ["program", "argument"], preopens: ["/", "."] });
        h.pipe();
        h.file("a", "content");
        for (const [n, bytes] of pieces.entries()) h.process.bytes.set(bytes.subarray(0, 64), 4096 + n * 64);
        for (const [index, values] of calls) {
          const [module, name] = functions[index];
          h.dying = false;
          const result = h.callIn(module, name, ...values);
          const highest = name.endsWith("_mode") ? 0o177777 : lastErrno;
          assert.ok(
            Number.isInteger(result) && result >= -2 && result <= highest,
            `${name}(${values.join(", ")}) returned ${result}`,
          );
          // A blocked call would be repeated; here the program gives up on it, as when it is captured.
          if (result === -1) h.waits.waitDone(h.thread);
        }
        h.waits.waitDone(h.thread);
        h.close();
      },
    ),
    { numRuns: Number(process.env.FUZZ_RUNS ?? 400) },
  );
});

test("random calls leave everything alone that they were not pointed at", () => {
  // Only results of at most 64 bytes, each pointed at one guarded place.
  const outputs: [string, (place: number) => (number | bigint)[]][] = [
    ["args_sizes_get", (at) => [at, at + 4]],
    ["clock_time_get", (at) => [1, 0n, at]],
    ["clock_res_get", (at) => [1, at]],
    ["fd_fdstat_get", (at) => [3, at]],
    ["fd_filestat_get", (at) => [3, at]],
    ["fd_prestat_get", (at) => [3, at]],
    ["fd_prestat_dir_name", (at) => [3, at, 1]],
    ["fd_tell", (at) => [5, at]],
    ["random_get", (at) => [at, 33]],
    ["fd_readdir", (at) => [3, at, 40, 0n, at + 48]],
  ];
  for (const module of [preview1Name, unstableName]) {
    const h = new Harness();
    h.file("a", "content");
    h.open("a");
    h.open("a");
    const place = 8192;
    for (const [name, values] of outputs) {
      for (let shift = 0; shift < 8; shift++) {
        h.process.bytes.fill(0xa5);
        assert.equal(h.callIn(module, name, ...values(place + shift)), 0, name);
        const { bytes } = h.process;
        const end = place + shift + 64;
        const before = bytes.subarray(0, place + shift).every((byte) => byte === 0xa5);
        assert.ok(
          before && bytes.subarray(end).every((byte) => byte === 0xa5),
          `${name} wrote beside its result`,
        );
      }
    }
    h.close();
  }
});
