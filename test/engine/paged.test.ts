/** The page-checked variant does what the fast one does, and asks for every page that it touches, once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { instrument } from "../../src/engine/instrument.ts";
import { mapPage_bytes } from "../../src/engine/paged/abi.ts";
import { accessSizes } from "../../src/engine/paged/accesses.ts";
import { pageChecked } from "../../src/engine/paged/page-checked.ts";
import { readBranchHints } from "../../src/engine/passes/hints.ts";
import { classifyTrap } from "../../src/engine/traps.ts";
import { decodeModule } from "../../src/engine/wasm/decode.ts";
import { immediate } from "../../src/engine/wasm/immediates.ts";
import { importCount } from "../../src/engine/wasm/module.ts";
import { opcodeTables } from "../../src/engine/wasm/opcodes.ts";
import { largeBinaries, toolBinaries } from "./support/binaries.ts";
import { buildModule, type FunctionSource } from "./support/module-builder.ts";
import { bothVariants, firstDifference } from "./support/paged-host.ts";
import { pointerProgram } from "./support/pointer-program.ts";
import { randomNumbers, randomProgram } from "./support/random-program.ts";

const memory_bytes = 4 * 65_536;
const sizes = accessSizes();

function randomBytes(seed: number): (bytes: Uint8Array) => void {
  return (bytes) => {
    const random = randomNumbers(seed);
    const words = new Uint32Array(bytes.buffer);
    for (let at = 0; at < words.length; at++) words[at] = random(2 ** 32 - 1);
  };
}

/** What a call gives: a value, or the trap it ends with. */
function outcome(run: () => unknown): string {
  try {
    return String(run());
  } catch (error) {
    const trap = classifyTrap(error);
    if (trap === null) throw error;
    return trap.trap;
  }
}

const offsets = [0, 1, 4096, 65_530, 2 ** 31, 2 ** 32 - 16, 2 ** 32 - 1];

interface AccessFunction extends FunctionSource {
  readonly name: string;
  readonly size_bytes: number;
  readonly offset: number;
}

/** How an address comes to be on the stack: from a local, computed, or as one of two results of a call. */
const addressForms = ["", "i32.const 0 i32.add", "call PAIR drop"] as const;

/** One function for each instruction that accesses memory and each offset: an address and i64 operands to an i64. */
function accessFunctions(form: string): AccessFunction[] {
  const functions: AccessFunction[] = [];
  for (const [opcode, size_bytes] of sizes.entries()) {
    if (size_bytes === 0) continue;
    const name = opcodeTables.names[opcode];
    const hasLane = opcodeTables.immediates[opcode] === immediate.memoryArgumentLane;
    const [operands, results] = opcodeTables.signatures[opcode].split(">");
    const conversion: Readonly<Record<string, string>> = {
      ...{ i: "i32.wrap_i64", l: "", f: "i32.wrap_i64 f32.reinterpret_i32", d: "f64.reinterpret_i64" },
      v: "i64x2.splat",
    };
    const back: Readonly<Record<string, string>> = {
      ...{ "": "i64.const 0", i: "i64.extend_i32_u", l: "", f: "i32.reinterpret_f32 i64.extend_i32_u" },
      ...{
        d: "i64.reinterpret_f64",
        v: "local.tee 4 i64x2.extract_lane 0 local.get 4 i64x2.extract_lane 1 i64.xor",
      },
    };
    const values = [...operands.slice(1)].map((letter, index) => {
      // The last operand of a wait is how long it may take.
      if (name.includes("wait") && index === 1) return "i64.const 0";
      return `local.get ${index + 1} ${conversion[letter]}`;
    });
    for (const offset of offsets) {
      const argument = hasLane ? `0,${offset},1` : `offset=${offset}`;
      const code = `local.get 0 ${form} ${values.join(" ")} ${name} ${argument} ${back[results]}`;
      const index = functions.length;
      functions.push({
        ...{ export: `f${index}`, params: "ill", results: "l", locals: "iv", code },
        ...{ name: `${name} offset=${offset}`, size_bytes, offset },
      });
    }
  }
  return functions;
}

/** An address that makes an access of that size interesting: at borders of pages, of memory, of 32 bits, anywhere. */
function chooseAddress(random: (bound: number) => number, size_bytes: number, offset: number): number {
  const near = random(2 * size_bytes + 2) - size_bytes - 1;
  const effective = [
    () => random(memory_bytes),
    () => random(memory_bytes / 8) * 8,
    () => random(memory_bytes / mapPage_bytes) * mapPage_bytes + near,
    () => memory_bytes + near,
    () => 2 ** 32 + near,
    () => random(2 ** 32 - 1),
  ][random(6)]();
  return effective - (random(8) === 0 ? 0 : offset);
}

for (const form of addressForms) {
  test(`every instruction that accesses memory does the same in both variants (address: ${form})`, () => {
    compareAccesses(form);
  });
}

function compareAccesses(form: string): void {
  const pair = accessFunctions("").length;
  const functions = accessFunctions(form.replace("PAIR", String(pair)));
  assert.ok(functions.length > 110 * offsets.length, `${functions.length} functions`);
  const pairFunction = { params: "i", results: "ii", code: "local.get 0 local.get 0" };
  const module = buildModule({
    memories: [{ minimum: 4, maximum: 20 }],
    functions: [...functions, pairFunction],
  });
  assert.ok(WebAssembly.validate(module));
  const random = randomNumbers(5);
  let traps = 0;
  let faulted = 0;
  for (let round = 0; round < 6; round++) {
    const presence = random(4);
    const { plain, paged } = bothVariants(module, randomBytes(round), () => random(4) < presence);
    const present = paged.map.slice(0, memory_bytes / mapPage_bytes);
    for (const [index, { name, size_bytes, offset }] of functions.entries()) {
      const address = chooseAddress(random, size_bytes, offset) >>> 0;
      const values = [BigInt(random(2 ** 32 - 1)) * 0x1_0000_0001n, BigInt(random(3))];
      const expected = outcome(() => plain.exports[`f${index}`](address, ...values));
      const found = outcome(() => paged.exports[`f${index}`](address, ...values));
      const where = `round ${round}: ${name} at ${address}`;
      assert.equal(found, expected, where);
      if (/[a-z]/.test(expected)) {
        traps++;
        continue;
      }
      const first = Math.floor((address + offset) / mapPage_bytes);
      const last = Math.floor((address + offset + size_bytes - 1) / mapPage_bytes);
      assert.ok(paged.map[first] === 1 && paged.map[last] === 1, where);
    }
    assert.equal(firstDifference(plain, paged), -1, `round ${round}`);
    assert.equal(new Set(paged.faults).size, paged.faults.length, "a page was asked for twice");
    for (const page of paged.faults) assert.equal(present[page], 0, `page ${page} was there`);
    faulted += paged.faults.length;
  }
  assert.ok(traps > 250 && faulted > 100, `${traps} traps, ${faulted} pages asked for`);
}

test("bulk instructions do the same in both variants", () => {
  const module = buildModule({
    memories: [{ minimum: 4, maximum: 20 }],
    functions: [
      { export: "fill", params: "iii", code: "local.get 0 local.get 1 local.get 2 memory.fill 0" },
      { export: "copy", params: "iii", code: "local.get 0 local.get 1 local.get 2 memory.copy 0,0" },
    ],
  });
  const random = randomNumbers(6);
  let traps = 0;
  for (let round = 0; round < 150; round++) {
    const presence = random(4);
    const { plain, paged } = bothVariants(module, randomBytes(round), () => random(4) < presence);
    for (let step = 0; step < 6; step++) {
      const place = (): number =>
        [random(memory_bytes), memory_bytes - random(5000), random(2 ** 32 - 1)][random(3)];
      const length = [0, random(100), random(3 * mapPage_bytes), random(2 ** 32 - 1)][random(4)];
      const [name, second] = random(2) === 0 ? ["fill", random(256)] : ["copy", place()];
      const address = place();
      const before = paged.faults.length;
      const expected = outcome(() => plain.exports[name](address, second, length));
      const found = outcome(() => paged.exports[name](address, second, length));
      const where = `round ${round}: ${name} ${address} ${second} ${length}`;
      assert.equal(found, expected, where);
      if (expected !== "undefined") {
        traps++;
        continue;
      }
      const touched = new Set<number>();
      for (const start of name === "fill" ? [address] : [address, second]) {
        if (length === 0) continue;
        for (let page = start >>> 12; page <= (start + length - 1) >>> 12; page++) touched.add(page);
      }
      for (const page of paged.faults.slice(before)) assert.ok(touched.has(page), `${where}: page ${page}`);
      for (const page of touched) assert.equal(paged.map[page], 1, where);
    }
    assert.equal(firstDifference(plain, paged), -1, `round ${round}`);
    assert.equal(new Set(paged.faults).size, paged.faults.length);
  }
  assert.ok(traps > 100, `${traps} traps`);
});

test("writing the data segments asks for pages", () => {
  const data = { 4090: "across the border of two pages", 100000: "elsewhere" };
  const module = buildModule({
    memories: [{ minimum: 4 }],
    data,
    functions: [{ export: "_start", code: "nop" }],
  });
  const { plain, paged } = bothVariants(module, randomBytes(2), () => false);
  for (const { exports } of [plain, paged]) exports["archipelago.initialize"]();
  assert.deepEqual(paged.faults, [0, 1, 24]);
  assert.equal(firstDifference(plain, paged), -1);
});

test("the functions that the kernel copies with ask for pages, too", () => {
  const module = buildModule({ memories: [{ minimum: 4 }], functions: [{ export: "_start", code: "nop" }] });
  const { plain, paged } = bothVariants(module, randomBytes(1), () => false);
  for (const { exports } of [plain, paged]) {
    exports["archipelago.copyIn"](0, 4090, 100);
    exports["archipelago.copyOut"](20_000, 0, 100);
  }
  assert.deepEqual(paged.faults, [0, 1, 4]);
  assert.equal(firstDifference(plain, paged), -1);
  assert.throws(() => paged.exports["archipelago.copyIn"](0, memory_bytes - 1, 2), WebAssembly.RuntimeError);
});

test("programs that follow pointers do the same in both variants, whatever checks are left out", () => {
  let faulted = 0;
  for (let seed = 0; seed < 120; seed++) {
    const module = buildModule(pointerProgram(seed));
    assert.ok(WebAssembly.validate(module), `seed ${seed}`);
    const random = randomNumbers(seed + 1);
    const { plain, paged } = bothVariants(module, randomBytes(seed), () => random(5) === 0);
    for (let call = 0; call < 4; call++) {
      const pointers = [random(memory_bytes), random(memory_bytes), random(memory_bytes - 20_000)];
      assert.equal(
        outcome(() => paged.exports.main(...pointers)),
        outcome(() => plain.exports.main(...pointers)),
        `seed ${seed}, ${pointers}`,
      );
    }
    assert.equal(firstDifference(plain, paged), -1, `seed ${seed}`);
    assert.equal(new Set(paged.faults).size, paged.faults.length);
    faulted += paged.faults.length;
  }
  assert.ok(faulted > 1000, `${faulted} pages asked for`);
});

test("random programs do the same in both variants", () => {
  for (let seed = 0; seed < 60; seed++) {
    const module = buildModule(randomProgram(seed));
    const random = randomNumbers(seed);
    const { plain, paged } = bothVariants(module, randomBytes(seed), () => random(2) === 0);
    assert.equal(
      outcome(() => paged.exports.main(3000, seed)),
      outcome(() => plain.exports.main(3000, seed)),
      `seed ${seed}`,
    );
    assert.equal(paged.exports.global(), plain.exports.global(), `seed ${seed}`);
    assert.equal(firstDifference(plain, paged), -1, `seed ${seed}`);
  }
});

test("a memory with 64-bit addresses is checked; other memories are left alone", () => {
  const module = buildModule({
    memories: [{ minimum: 4, maximum: 20, wide: true }, { minimum: 1 }],
    functions: [
      { export: "load", params: "l", results: "i", code: "local.get 0 i32.load offset=8" },
      { export: "store", params: "li", code: "local.get 0 local.get 1 i32.store offset=4095" },
      { export: "other", params: "ii", code: "local.get 0 local.get 1 i32.store memory=1" },
      { export: "read", params: "i", results: "i", code: "local.get 0 i32.load memory=1" },
    ],
  });
  assert.ok(WebAssembly.validate(pageChecked(instrument(module).bytes) as Uint8Array<ArrayBuffer>));
});

test("a module without memory stays as it is", () => {
  const { bytes } = instrument(buildModule({ functions: [{ export: "_start", code: "nop" }] }));
  assert.equal(pageChecked(bytes), bytes);
});

test("branch hints stay at their branches", () => {
  const { bytes } = instrument(buildModule(randomProgram(3)));
  const [before, after] = [bytes, pageChecked(bytes)].map((each) => {
    const module = decodeModule(each);
    return { module, hints: readBranchHints(module, importCount(module, "function")) };
  });
  let count = 0;
  for (const [bodyIndex, hints] of before.hints) {
    const kept = after.hints.get(bodyIndex) ?? [];
    // Checks add hints of their own, that they are rarely taken.
    const likely = (list: typeof hints) => list.filter(([, value]) => value === 1).length;
    assert.equal(likely(kept), likely(hints));
    assert.ok(kept.length >= hints.length);
    const body = after.module.bodies[bodyIndex];
    assert.ok(!(body instanceof Uint8Array));
    for (const [offset] of kept) assert.ok([0x04, 0x0d].includes(after.module.bytes[body.start + offset]));
    count += hints.length;
  }
  assert.ok(count > 0 && after.hints.size > before.hints.size);
});

const tested = /^(sort|ls|sed|awk|tar|jq|rg|sqlite.*|wasmedge_quickjs.*|python.*)$/;
const real = [...toolBinaries, ...largeBinaries].filter(({ name }) => tested.test(name));
for (const { name, read } of real) {
  test(`the page-checked variant of ${name} is valid`, () => {
    const checked = pageChecked(instrument(read()).bytes) as Uint8Array<ArrayBuffer>;
    assert.ok(WebAssembly.validate(checked));
  });
}
