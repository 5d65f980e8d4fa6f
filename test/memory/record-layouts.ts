/**
 * Records what clang says about the layout of hand-picked and random structs, so that the test runs
 * without a compiler. Run it again after changing the samples: node test/memory/record-layouts.ts
 */
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { encodeStruct } from "../../src/memory/morph.ts";
import { clangFacts, clangVersion, targets } from "./compiler-layouts.ts";
import { pickedStructs } from "./picked-structs.ts";
import { arbitraryStruct } from "./structs.ts";

const compiler = clangVersion();
if (compiler === undefined) throw new Error("recording needs clang");
const structs = [...pickedStructs, ...fc.sample(arbitraryStruct(), { seed: 20_190_127, numRuns: 160 })];
const factsOf = Object.fromEntries(
  Object.keys(targets).map((target) => [target, clangFacts(structs, target)]),
);
const cases = structs.map((struct, number) => ({
  struct: encodeStruct(struct),
  facts: Object.fromEntries(Object.entries(factsOf).map(([target, facts]) => [target, facts[number]])),
}));
const lines = cases.map((one) => JSON.stringify(one)).join(",\n");
writeFileSync(
  new URL("../recorded/layouts.json", import.meta.url),
  `{"compiler": ${JSON.stringify(compiler)}, "cases": [\n${lines}\n]}\n`,
);
process.stdout.write(`${cases.length} structs for ${Object.keys(targets).length} targets by ${compiler}\n`);
