/**
 * Real programs print the same, byte for byte, when they are captured hundreds of times at random points. The
 * largest, which take long to load, run only with `ARCHIPELAGO_ROUNDS` (a number of runs of each program).
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Disturbance, moves, randomDisturbance, undisturbed } from "./support/disturbance.ts";
import { loadProgram, runDisturbed, type Story } from "./support/drive.ts";
import { type RealProgram, realPrograms } from "./support/real-programs.ts";
import { placeTree, WasiHost } from "./support/wasi-host.ts";

const firstSeed = Number(process.env.ARCHIPELAGO_SEED ?? 1);
const rounds = Number(process.env.ARCHIPELAGO_ROUNDS ?? 0);
const events = 200;
/** The page-checked variants of large programs are very large. */
const chosen = rounds > 0 ? moves : moves.filter((move) => move !== "pages on demand");

const root = mkdtempSync(join(tmpdir(), "archipelago-real-"));
after(() => rmSync(root, { recursive: true, force: true }));

async function runReal(
  program: ReturnType<typeof loadProgram>,
  work: RealProgram,
  disturbance: Disturbance,
): Promise<Story> {
  const hosts: WasiHost[] = [];
  const unstable = program.imports.some(({ module }) => module === "wasi_unstable");
  try {
    return await runDisturbed(program, disturbance, (memory, blocks) => {
      const host = new WasiHost({ ...work, root, unstable }, memory, blocks);
      hosts.push(host);
      return host;
    });
  } finally {
    for (const host of hosts) host[Symbol.dispose]();
  }
}

for (const work of realPrograms) {
  const skip =
    work.large && work.name !== "python3" && rounds === 0 ? "set ARCHIPELAGO_ROUNDS to run it" : false;
  test(`${work.name} prints the same`, { skip }, async (t) => {
    placeTree(root, work.support());
    const program = loadProgram(work.read());
    assert.ok(program.migratable, program.obstacle);
    const quiet = await runReal(program, work, undisturbed());
    assert.match(quiet.outcome.end, /^(returned|exit 0)$/, quiet.outcome.log);
    const spacing_polls = Math.max(1, Math.floor(quiet.polls / events));
    for (let round = 0; round < Math.max(1, rounds); round++) {
      const seed = firstSeed + round;
      const story = await runReal(
        program,
        work,
        randomDisturbance({ seed, spacing_polls, events_max: 2 * events, moves: chosen }),
      );
      assert.equal(story.outcome.log, quiet.outcome.log, `seed ${seed}`);
      assert.equal(story.outcome.end, quiet.outcome.end, `seed ${seed}`);
      assert.ok(story.captures > 50, `seed ${seed}: ${story.captures} captures`);
      t.diagnostic(
        `${quiet.polls} polls, ${story.captures} captures, up to ${story.frames_bytes_max} bytes of frames`,
      );
    }
  });
}
