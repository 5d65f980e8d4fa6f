/** Damaged modules: an error with a place, or a module that is valid if the damaged one is; never more time or memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedModuleError, UnsupportedModuleError } from "../../src/engine/errors.ts";
import { instrument } from "../../src/engine/instrument.ts";
import { toolBinaries } from "./support/binaries.ts";
import { buildModule } from "./support/module-builder.ts";
import { randomNumbers, randomProgram } from "./support/random-program.ts";

const interesting = [0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xff, 0x03, 0xfc, 0xfd, 0xfe];

/** A copy with a few bytes changed, bytes cut off, or a piece moved. */
function damage(bytes: Uint8Array, random: (bound: number) => number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  switch (random(4)) {
    case 0:
      return copy.slice(0, random(copy.length));
    case 1: {
      const length = 1 + random(Math.min(200, copy.length - 1));
      const from = random(copy.length - length);
      copy.copyWithin(random(copy.length - length), from, from + length);
      return copy;
    }
    default:
      for (let count = 1 + random(4); count > 0; count--) {
        const at = random(3) === 0 ? 8 + random(Math.min(300, copy.length - 8)) : random(copy.length);
        copy[at] = random(2) === 0 ? random(256) : interesting[random(interesting.length)];
      }
      return copy;
  }
}

/** Instruments damaged bytes; tells what came of it. */
function attempt(bytes: Uint8Array<ArrayBuffer>, label: string): "refused" | "invalid" | "valid" {
  let instrumented: Uint8Array<ArrayBuffer>;
  const valid = WebAssembly.validate(bytes);
  try {
    // Capture may rely on a valid module: the loader hands in no other.
    instrumented = instrument(bytes, { capture: valid }).bytes as Uint8Array<ArrayBuffer>;
  } catch (error) {
    assert.ok(
      error instanceof MalformedModuleError || error instanceof UnsupportedModuleError,
      `${label}: ${error instanceof Error ? error.stack : error}`,
    );
    if (error instanceof MalformedModuleError) {
      assert.ok(error.offset_bytes >= 0 && error.offset_bytes <= bytes.length, label);
      assert.ok(!valid, `${label}: a valid module was refused: ${error.message}`);
    }
    return "refused";
  }
  if (!valid) return "invalid";
  assert.ok(WebAssembly.validate(instrumented), `${label}: a valid module became invalid`);
  return "valid";
}

test("damaged small modules", () => {
  const outcomes = { refused: 0, invalid: 0, valid: 0 };
  for (let seed = 0; seed < 3000; seed++) {
    const random = randomNumbers(seed);
    const bytes = buildModule(randomProgram(seed % 40));
    outcomes[attempt(damage(bytes, random), `seed ${seed}`)]++;
  }
  for (const [outcome, count] of Object.entries(outcomes)) assert.ok(count > 50, `${outcome}: ${count}`);
});

test("damaged real programs", { skip: toolBinaries.length === 0 }, () => {
  const small = toolBinaries
    .map(({ name, read }) => ({ name, bytes: read() }))
    .filter(({ bytes }) => bytes.length < 200_000);
  for (let seed = 0; seed < 300; seed++) {
    const { name, bytes } = small[seed % small.length];
    attempt(damage(bytes, randomNumbers(seed)), `${name}, seed ${seed}`);
  }
});

test("a count that promises more than there is costs nothing", () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  for (const id of [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13]) {
    const bytes = Uint8Array.from([...header, id, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert.throws(() => instrument(bytes), MalformedModuleError);
  }
});
