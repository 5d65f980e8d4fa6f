/**
 * The C torture set: each program, in several builds, gives the same result plain and however often it is
 * captured and resumed, in place, in a fresh instance, and over a copy of its memory.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { type Disturbance, moves, randomDisturbance, undisturbed } from "./support/disturbance.ts";
import { loadProgram, type Outcome, runDisturbed, runPlain, type TestProgram } from "./support/drive.ts";
import { builds, skipReason, TortureCompiler, torturePrograms } from "./support/torture.ts";

const compiler = new TortureCompiler();
after(() => compiler[Symbol.dispose]());

/** Captures in one run, about; it varies with the seed. */
const events = 300;
/** `ARCHIPELAGO_SEED` repeats a run; the number is printed when one fails. */
const firstSeed = Number(process.env.ARCHIPELAGO_SEED ?? 1);
const rounds = Number(process.env.ARCHIPELAGO_ROUNDS ?? 1);

async function compare(
  program: TestProgram,
  expected: Outcome,
  disturbance: Disturbance,
  label: string,
): Promise<number> {
  const story = await runDisturbed(program, disturbance);
  assert.deepEqual(story.outcome, expected, label);
  return story.captures;
}

for (const [name, flags] of Object.entries(torturePrograms)) {
  describe(`${name}.c ${flags.join(" ")}`, () => {
    for (const [build, options] of Object.entries(builds)) {
      test(`built with ${options.join(" ")}`, async (t) => {
        const bytes = compiler.build(name, options);
        if (bytes === undefined) return t.skip(skipReason);
        const expected = runPlain(bytes);
        assert.match(expected.end, /returned|exit/, build);
        const program = loadProgram(bytes);
        assert.ok(program.migratable, program.obstacle);
        const quiet = await runDisturbed(program, undisturbed());
        assert.deepEqual(quiet.outcome, expected, "undisturbed");
        const spacing_polls = Math.max(1, Math.floor(quiet.polls / events));
        let captures = 0;
        for (let round = 0; round < rounds; round++) {
          const seed = firstSeed + round * 10;
          const mixed = randomDisturbance({ seed, spacing_polls, events_max: events });
          captures += await compare(program, expected, mixed, `seed ${seed}`);
          for (const [index, move] of moves.entries()) {
            const options = { seed: seed + index, spacing_polls: 5 * spacing_polls, events_max: events };
            const disturbance = randomDisturbance({ ...options, moves: [move] });
            captures += await compare(program, expected, disturbance, `seed ${seed + index}, ${move}`);
          }
        }
        assert.ok(captures > 100, `${captures} captures`);
        t.diagnostic(`${quiet.polls} polls, ${captures} captures`);
      });
    }
  });
}
