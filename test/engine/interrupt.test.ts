/**
 * Interrupts from another thread reach every program, whatever it does, in baseline and in optimised code: the
 * poll is neither missing nor moved out of the loop.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { instrument } from "../../src/engine/instrument.ts";
import { endlessPrograms } from "./support/endless-programs.ts";
import { type InterruptWork, word } from "./support/interrupt-worker.ts";
import { buildModule } from "./support/module-builder.ts";
import { newControl } from "./support/plain-host.ts";

/** Long enough for the optimising compiler to have finished after the first round. */
const round_ms = 25;
const patience_ms = 4000;

async function until(condition: () => boolean): Promise<boolean> {
  const deadline_ms = performance.now() + patience_ms;
  while (!condition()) {
    if (performance.now() > deadline_ms) return false;
    await sleep(1);
  }
  return true;
}

async function interruptRounds(bytes: Uint8Array, rounds: number, suspensions: number): Promise<Int32Array> {
  const module = new WebAssembly.Module(instrument(bytes).bytes as Uint8Array<ArrayBuffer>);
  const control = newControl();
  const words = new Int32Array(control.buffer);
  const workerData: InterruptWork = { module, control, rounds, suspensions };
  const worker = new Worker(new URL("support/interrupt-worker.ts", import.meta.url), { workerData });
  const messages: unknown[] = [];
  worker.on("message", (message) => messages.push(message));
  worker.on("error", (error) => messages.push(error));
  try {
    for (let round = 1; round <= rounds; round++) {
      assert.ok(
        await until(() => words[word.started] === round),
        `round ${round} does not start: ${messages}`,
      );
      await sleep(round_ms);
      for (let interrupt = 0; interrupt <= suspensions; interrupt++) {
        Atomics.store(words, 0, 1);
        const taken = (): boolean => Atomics.load(words, 0) === 0;
        assert.ok(await until(taken), `interrupt ${interrupt} of round ${round} was not seen`);
        const resumed = (): boolean => words[word.suspended] === (round - 1) * suspensions + interrupt + 1;
        if (interrupt < suspensions) assert.ok(await until(resumed), "it does not suspend");
      }
      assert.ok(await until(() => words[word.ended] === round), `round ${round} does not end`);
    }
    assert.deepEqual(messages, []);
  } finally {
    await worker.terminate();
  }
  return words;
}

describe("a program is interrupted and ended while it runs", () => {
  for (const [name, source] of Object.entries(endlessPrograms)) {
    test(name, async () => {
      const bytes = buildModule(source);
      assert.ok(WebAssembly.validate(bytes), "the test's own module is valid");
      await interruptRounds(bytes, 3, 0);
    });
  }
});

describe("a program is suspended in the middle of a loop, and goes on", () => {
  for (const name of ["a loop that only computes", "a loop inside a loop", "recursion without a loop"]) {
    test(name, async () => {
      const words = await interruptRounds(buildModule(endlessPrograms[name]), 2, 5);
      assert.equal(words[word.suspended], 10);
    });
  }
});
