/**
 * Programs that count their instructions are captured and resumed like all others, and count the same, however often
 * that is: what they count must not depend on what happens around them.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { capturable } from "./support/constructs.ts";
import {
  captureAlways,
  type Disturbance,
  moves,
  randomDisturbance,
  undisturbed,
} from "./support/disturbance.ts";
import { loadProgram, type Outcome, runDisturbed, runPlain, type TestProgram } from "./support/drive.ts";
import { randomModule } from "./support/random-module.ts";
import { skipReason, TortureCompiler } from "./support/torture.ts";

const firstSeed = Number(process.env.ARCHIPELAGO_SEED ?? 1);
const rounds = Number(process.env.ARCHIPELAGO_ROUNDS ?? 1);

const compiler = new TortureCompiler();
after(() => compiler[Symbol.dispose]());

/** Runs a program under disturbances; in all of them it does and counts the same. Gives how often it was captured. */
async function compare(
  program: TestProgram,
  expected: Outcome,
  disturbances: Readonly<Record<string, Disturbance>>,
): Promise<number> {
  const quiet = await runDisturbed(program, undisturbed());
  assert.deepEqual(quiet.outcome, expected, "undisturbed");
  let captures = 0;
  for (const [label, disturbance] of Object.entries(disturbances)) {
    const story = await runDisturbed(program, disturbance);
    assert.deepEqual(story.outcome, expected, label);
    assert.equal(story.instructions, quiet.instructions, label);
    captures += story.captures;
  }
  return captures;
}

test("every construct", async () => {
  let number = 0;
  for (const [name, make] of Object.entries(capturable)) {
    const bytes = make();
    const program = loadProgram(bytes, "close");
    assert.ok(program.migratable, `${name}: ${program.obstacle}`);
    const move = moves[number++ % moves.length];
    const captures = await compare(program, runPlain(bytes), { [`${name}, ${move}`]: captureAlways(move) });
    assert.ok(captures > 0, name);
  }
});

test("random modules", async () => {
  let captures = 0;
  const modules = 30 * rounds;
  for (let seed = firstSeed; seed < firstSeed + modules; seed++) {
    const bytes = randomModule({ seed, fuel: 40 });
    const program = loadProgram(bytes, seed % 2 === 0 ? "close" : "exact");
    assert.ok(program.migratable, `seed ${seed}: ${program.obstacle}`);
    const move = moves[seed % moves.length];
    captures += await compare(program, runPlain(bytes), {
      [`seed ${seed}, ${move}`]: captureAlways(move),
      [`seed ${seed}, at random`]: randomDisturbance({ seed, spacing_polls: 5 }),
    });
  }
  assert.ok(captures > modules * 30, `${captures} captures`);
});

describe("programs in C", () => {
  for (const name of ["interpreter", "calls", "bulk"]) {
    test(name, async (t) => {
      const bytes = compiler.build(name, ["-O2"]);
      if (bytes === undefined) return t.skip(skipReason);
      const program = loadProgram(bytes, "close");
      const { polls } = await runDisturbed(program, undisturbed());
      const spacing_polls = Math.max(1, Math.floor(polls / 100));
      const disturbances: Record<string, Disturbance> = {};
      for (const [index, move] of moves.entries()) {
        const seed = firstSeed + index;
        const options = { seed, spacing_polls, events_max: 100, moves: [move] };
        disturbances[`seed ${seed}, ${move}`] = randomDisturbance(options);
      }
      const captures = await compare(program, runPlain(bytes), disturbances);
      assert.ok(captures > 100, `${captures} captures`);
    });
  }
});
