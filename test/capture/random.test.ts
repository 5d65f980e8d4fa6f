/**
 * Random modules do instrumented what they do plain: undisturbed, captured at every poll and system call, and
 * captured at random. `ARCHIPELAGO_SEED` and `ARCHIPELAGO_ROUNDS` choose others; failures name their seed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { instrument } from "../../src/engine/index.ts";
import {
  captureAlways,
  type Disturbance,
  moves,
  randomDisturbance,
  undisturbed,
} from "./support/disturbance.ts";
import { loadProgram, runDisturbed, runPlain } from "./support/drive.ts";
import { randomModule } from "./support/random-module.ts";

const firstSeed = Number(process.env.ARCHIPELAGO_SEED ?? 1);
const rounds = Number(process.env.ARCHIPELAGO_ROUNDS ?? 1);
const modules = 80 * rounds;

test("random modules that are captured give the same result", async (t) => {
  let captures = 0;
  for (let seed = firstSeed; seed < firstSeed + modules; seed++) {
    const bytes = randomModule({ seed, fuel: 60 });
    assert.ok(WebAssembly.validate(bytes), `seed ${seed}: the generator made an invalid module`);
    const expected = runPlain(bytes);
    const program = loadProgram(bytes);
    assert.ok(program.migratable, `seed ${seed}: ${program.obstacle}`);
    const check = async (disturbance: Disturbance, label: string) => {
      const story = await runDisturbed(program, disturbance);
      assert.deepEqual(story.outcome, expected, `seed ${seed}, ${label}`);
      captures += story.captures;
    };
    await check(undisturbed(), "undisturbed");
    const move = moves[seed % moves.length];
    await check(captureAlways(move), `captured at every poll, ${move}`);
    await check(randomDisturbance({ seed, spacing_polls: 5 }), "captured at random");
  }
  t.diagnostic(`${captures} captures`);
  assert.ok(captures > modules * 50, `${captures} captures`);
});

test("random modules with handlers that call are captured, or say why not", async () => {
  let refused = 0;
  for (let seed = firstSeed; seed < firstSeed + modules; seed++) {
    const bytes = randomModule({ seed, fuel: 60, busyHandlers: true });
    const expected = runPlain(bytes);
    const program = loadProgram(bytes);
    if (!program.migratable) {
      refused++;
      assert.notEqual(program.obstacle, "", `seed ${seed}`);
    }
    const disturbance = program.migratable ? randomDisturbance({ seed, spacing_polls: 5 }) : undisturbed();
    const { outcome } = await runDisturbed(program, disturbance);
    assert.deepEqual(outcome, expected, `seed ${seed}`);
  }
  assert.ok(refused < modules, "some are captured");
});

test("instrumenting a random module twice gives the same bytes, and valid ones", () => {
  for (let seed = firstSeed; seed < firstSeed + modules; seed++) {
    const bytes = randomModule({ seed });
    const instrumented = instrument(bytes).bytes as Uint8Array<ArrayBuffer>;
    assert.ok(WebAssembly.validate(instrumented), `seed ${seed}`);
    assert.deepEqual(instrument(bytes).bytes, instrumented, `seed ${seed}`);
  }
});
