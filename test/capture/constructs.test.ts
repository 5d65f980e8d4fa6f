/** Every construct is carried along by capture, or refused by name; what is refused runs all the same. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { capturable, capturableOrRefused } from "./support/constructs.ts";
import { captureAlways, moves, undisturbed } from "./support/disturbance.ts";
import { loadProgram, type Outcome, runDisturbed, runPlain, type TestProgram } from "./support/drive.ts";

async function captureEverywhere(program: TestProgram, expected: Outcome): Promise<void> {
  for (const move of moves) {
    const story = await runDisturbed(program, captureAlways(move));
    assert.deepEqual(story.outcome, expected, move);
    assert.ok(story.captures > 0, "it was captured");
  }
}

function load(make: () => Uint8Array<ArrayBuffer>): { program: TestProgram; expected: Outcome } {
  const bytes = make();
  assert.ok(WebAssembly.validate(bytes), "the test's own module is valid");
  return { program: loadProgram(bytes), expected: runPlain(bytes) };
}

describe("goes on as if it had not been captured", () => {
  for (const [name, make] of Object.entries(capturable)) {
    test(name, async () => {
      const { program, expected } = load(make);
      assert.ok(program.migratable, program.obstacle);
      assert.deepEqual((await runDisturbed(program, undisturbed())).outcome, expected);
      await captureEverywhere(program, expected);
    });
  }
});

describe("is captured, or runs and says why it cannot be", () => {
  for (const [name, make] of Object.entries(capturableOrRefused)) {
    test(name, async (t) => {
      const { program, expected } = load(make);
      assert.deepEqual((await runDisturbed(program, undisturbed())).outcome, expected);
      if (program.migratable) return captureEverywhere(program, expected);
      assert.notEqual(program.obstacle, "");
      t.diagnostic(program.obstacle);
    });
  }
});
