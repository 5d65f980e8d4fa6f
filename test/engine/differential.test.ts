/** Instrumented programs do what the plain ones do: random programs, undisturbed, polled all the time, suspended. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { instrument } from "../../src/engine/instrument.ts";
import { buildModule } from "./support/module-builder.ts";
import { type Exports, instantiateInstrumented, instantiatePlain, newControl } from "./support/plain-host.ts";
import { randomProgram } from "./support/random-program.ts";

const programs = 400;
const fuel = 3000;

/** Everything that a program leaves behind. */
function outcome(exports: Exports, result: number, memory: WebAssembly.Memory): string {
  const words = new Int32Array(memory.buffer, 0, 2048);
  let hash = 0;
  for (const word of words) hash = (Math.imul(hash, 31) + word) | 0;
  return `${result} ${exports.global()} ${hash}`;
}

test("random programs give the same result", () => {
  let polled = 0;
  for (let seed = 0; seed < programs; seed++) {
    const bytes = buildModule(randomProgram(seed));
    assert.ok(WebAssembly.validate(bytes), `seed ${seed}: the generator made an invalid program`);
    const plain = instantiatePlain(bytes);
    const expected = outcome(
      plain,
      plain.main(fuel, seed),
      (plain as unknown as { memory: WebAssembly.Memory }).memory,
    );
    const quiet = instantiateInstrumented(bytes);
    assert.equal(
      outcome(quiet.exports, quiet.exports.main(fuel, seed), quiet.memory),
      expected,
      `seed ${seed}`,
    );

    const control = newControl();
    new Int32Array(control.buffer)[0] = 1;
    const busy = instantiateInstrumented(bytes, { interrupt: () => 0 * ++polled }, {}, control);
    assert.equal(
      outcome(busy.exports, busy.exports.main(fuel, seed), busy.memory),
      expected,
      `seed ${seed}, polled all the time`,
    );
  }
  assert.ok(polled > programs * 20, `${polled} polls`);
});

test("random programs that are suspended all the time give the same result", async () => {
  for (let seed = 1000; seed < 1060; seed++) {
    const bytes = buildModule(randomProgram(seed));
    const plain = instantiatePlain(bytes);
    const expected = outcome(
      plain,
      plain.main(300, seed),
      (plain as unknown as { memory: WebAssembly.Memory }).memory,
    );
    const control = newControl();
    const word = new Int32Array(control.buffer);
    word[0] = 1;
    let turn = 0;
    // Clears the word now and then, so that both ways out of a suspension are taken.
    const suspend = (): void => {
      word[0] = turn++ % 3 === 0 ? 0 : 1;
      setImmediate(() => {
        word[0] = 1;
      });
    };
    const { exports, memory } = instantiateInstrumented(
      bytes,
      { interrupt: () => turn++ % 2, suspend },
      {},
      control,
    );
    const result = (await WebAssembly.promising(exports.main)(300, seed)) as number;
    assert.equal(outcome(exports, result, memory), expected, `seed ${seed}`);
  }
});

test("instrumenting twice the same bytes gives the same bytes", () => {
  const bytes = buildModule(randomProgram(7));
  assert.deepEqual(instrument(bytes).bytes, instrument(bytes).bytes);
});

// Found by the test above: an unrolled loop tested the byte before its body and came back to the test.
test("a poll byte that stays set does not keep a loop from going on", () => {
  const bytes = buildModule({
    memories: [{}],
    functions: [
      {
        export: "count",
        params: "i",
        results: "i",
        locals: "i",
        code: `loop : local.get 1 i32.const 1 i32.add local.set 1
          local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end local.get 1`,
      },
    ],
  });
  const control = newControl();
  new Int32Array(control.buffer)[0] = 1;
  let polls = 0;
  const hooks = {
    interrupt: () => {
      polls++;
      return polls > 1000 ? 2 : 0;
    },
  };
  assert.equal(instantiateInstrumented(bytes, hooks, {}, control).exports.count(100), 100);
  assert.ok(polls > 10);
});
