import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { formatNames, layoutOf, struct, u8, u64 } from "../../src/memory/index.ts";
import { decodeStruct, encodeStruct } from "../../src/memory/morph.ts";
import { clangFacts, clangVersion, type Facts, ourFacts, targets } from "./compiler-layouts.ts";
import { arbitraryStruct, modelOf } from "./structs.ts";

interface Recorded {
  readonly compiler: string;
  readonly cases: readonly { readonly struct: string; readonly facts: Readonly<Record<string, Facts>> }[];
}

const recorded: Recorded = JSON.parse(
  readFileSync(new URL("../recorded/layouts.json", import.meta.url), "utf8"),
);

test("layouts are those that clang gave for 14 targets", () => {
  assert.ok(recorded.cases.length >= 150);
  for (const { struct, facts } of recorded.cases) {
    const declared = decodeStruct("recorded", struct);
    for (const [target, format] of Object.entries(targets)) {
      assert.deepEqual(ourFacts(declared, format), facts[target], `${target}: ${struct}`);
    }
  }
});

test("the recorded layouts are what the clang on this machine says", {
  skip: clangVersion() === undefined,
}, () => {
  const structs = recorded.cases.map((one) => decodeStruct("recorded", one.struct));
  for (const target of ["wasm32", "i386-linux-gnu", "powerpc64-linux-gnu"]) {
    const live = clangFacts(structs, target);
    live.forEach((facts, number) => {
      assert.deepEqual(
        facts,
        recorded.cases[number].facts[target],
        `${target}: ${recorded.cases[number].struct}`,
      );
    });
  }
});

test("layouts of random structs follow the ABI rules", () => {
  fc.assert(
    fc.property(arbitraryStruct(), fc.constantFrom(...formatNames), (declared, format) => {
      const layout = layoutOf(declared, format);
      const model = modelOf(declared, format);
      assert.equal(layout.size, model.size);
      assert.equal(layout.align, model.align);
      const firsts = model.elements.filter(({ indices }) => indices.every((index) => index === 0));
      assert.deepEqual(
        layout.fields.map(({ path, name, offset, size }) => ({ path, name, offset, size })),
        firsts.map(({ path, name, offset, size }) => ({ path, name, offset, size })),
      );
    }),
    { numRuns: 300 },
  );
});

test("a struct survives being described as text", () => {
  fc.assert(
    fc.property(arbitraryStruct(), (declared) => {
      const text = encodeStruct(declared);
      assert.equal(encodeStruct(decodeStruct("area", text)), text);
    }),
    { numRuns: 200 },
  );
});

test("64-bit scalars are aligned to 8 in ilp32 and to 4 in i386", () => {
  const Mixed = struct("Mixed", { tag: u8, value: u64 });
  assert.deepEqual(
    formatNames.map((format) => [
      format,
      layoutOf(Mixed, format).fields[1].offset,
      layoutOf(Mixed, format).size,
    ]),
    [
      ["ilp32", 8, 16],
      ["lp64", 8, 16],
      ["i386", 4, 12],
      ["ilp32be", 8, 16],
      ["lp64be", 8, 16],
    ],
  );
});
