/** `npm run sim`: the same bytes for the same seed, failures that are made small, and replays of them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseCommand, UsageError } from "../../src/simulation/host/arguments.ts";
import { makeScenario, type Scenario } from "../../src/simulation/scenario.ts";
import { decodeScenario, encodeScenario, ScenarioFileError } from "../../src/simulation/scenario-file.ts";
import { shrinkScenario } from "../../src/simulation/shrink-scenario.ts";
import { temporaryDirectory } from "./support/seeds.ts";

const entry = join(import.meta.dirname, "../../src/simulation/host/main.ts");

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command with a cache of programs of its own. */
async function simulate(
  words: readonly string[],
  { input = "", cache = temporaryDirectory(), flags = [] as readonly string[] } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...flags, entry, ...words], {
    env: { ...process.env, XDG_CACHE_HOME: cache },
  });
  child.stdin.end(input);
  const read = async (stream: NodeJS.ReadableStream): Promise<string> => {
    let text = "";
    for await (const piece of stream.setEncoding("utf8")) text += String(piece);
    return text;
  };
  const [stdout, stderr, exitCode] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    new Promise<number | null>((resolve) => child.once("exit", resolve)),
  ]);
  return { exitCode, stdout, stderr };
}

/** A seed with several islands, and every kind of fault. */
const everyFault = ["--seed", "8", "--faults", "delays,power,caches,crashes,islands"];

test("the same seed prints the same bytes, in any process and whatever is in its cache; another seed others", {
  timeout: 120_000,
}, async () => {
  const cache = temporaryDirectory();
  const cold = await simulate(everyFault, { cache });
  assert.equal(cold.exitCode, 0, cold.stdout + cold.stderr);
  assert.match(cold.stdout, /^seed 8: .*\n[\s\S]*\ndigest +[0-9a-f]{16}\n$/);
  const warm = await simulate(everyFault, { cache, flags: ["--no-opt", "--no-wasm-tier-up"] });
  assert.equal(warm.stdout, cold.stdout);
  const other = await simulate(["--seed", "9"], { cache });
  assert.notEqual(other.stdout, cold.stdout);
});

test("a play does not depend on what its thread has played before", { timeout: 120_000 }, async () => {
  const cache = temporaryDirectory();
  const together = await simulate(["--seeds", "3-6", "--jobs", "1"], { cache });
  const alone = await simulate(["--seeds", "6-6"], { cache });
  const digest = /seed 6 {2}([0-9a-f]{16})/.exec(together.stdout)?.[1] ?? "none";
  assert.match(alone.stdout, new RegExp(`digest +${digest}`));
});

test("stepping shows the machine before each action, and changes nothing", { timeout: 120_000 }, async () => {
  const words = ["--seed", "4", "--length", "5"];
  const cache = temporaryDirectory();
  const through = await simulate(words, { cache });
  const stepped = await simulate([...words, "--step"], { cache, input: "\n".repeat(20) });
  assert.equal(stepped.exitCode, 0, stepped.stderr);
  assert.ok(stepped.stdout.endsWith(through.stdout), stepped.stdout);
  for (const shown of [
    /^next, action 5: settle$/m,
    /^ {2}core 0 \(strong, island 0\): /m,
    /coherence faults/,
  ])
    assert.match(stepped.stdout, shown);
});

test("a violation ends with exit code 1, the seed, a small scenario in a file, and its replay shows it again", {
  timeout: 180_000,
}, async () => {
  const directory = temporaryDirectory();
  const cache = temporaryDirectory();
  const words = ["--seed", "3", "--mutation", "skip-invalidate", "--shrink", "25", "--out", directory];
  const failed = await simulate(words, { cache });
  assert.equal(failed.exitCode, 1, failed.stderr);
  const violation = /^seed 3: condition: coherence: .* an old copy of page/m;
  assert.match(failed.stdout, violation);
  const path = join(directory, "seed-3.json");
  assert.ok(failed.stdout.includes(`--replay ${path} --step`));
  const { actions, mutation } = decodeScenario(readFileSync(path, "utf8"));
  assert.equal(mutation, "skip-invalidate");
  assert.ok(actions.length < makeScenario(3).actions.length / 2, `${actions.length} actions are left`);
  const replayed = await simulate(["--replay", path, "--shrink", "0", "--out", directory], { cache });
  assert.equal(replayed.exitCode, 1, replayed.stderr);
  assert.match(replayed.stdout, violation);
});

test("a mistake on the command line ends with exit code 2", async () => {
  const { exitCode, stderr } = await simulate(["--seed", "x"]);
  assert.equal(exitCode, 2);
  assert.match(stderr, /"x" is not a whole number/);
});

test("mistakes on the command line are named", () => {
  const mistakes: readonly [words: readonly string[], message: RegExp][] = [
    [[], /give one of --seed/],
    [["--seed", "1", "--replay", "file"], /give one of --seed/],
    [["--seeds", "5"], /write it as A-B/],
    [["--seeds", "5-4"], /5 comes after 4/],
    [["--seed", "1", "--faults", "rain"], /no fault "rain"/],
    [["--seed", "1", "--mutation", "none"], /there are skip-invalidate/],
    [["--seeds", "1-2", "--step"], /--step plays one/],
    [["--speed"], /--speed/],
  ];
  for (const [words, message] of mistakes) {
    assert.throws(
      () => parseCommand(words),
      (error) => error instanceof UsageError && message.test(error.message),
      words.join(" "),
    );
  }
  assert.equal(parseCommand(["--help"]), null);
});

test("scenarios come back from their files as they were", () => {
  for (let seed = 0; seed < 50; seed++) {
    const scenario = makeScenario(seed);
    assert.deepEqual(decodeScenario(encodeScenario(scenario)), scenario);
  }
  const broken: Scenario = { ...makeScenario(1), mutation: "wrong-owner" };
  assert.deepEqual(decodeScenario(encodeScenario(broken)), broken);
});

test("files that hold no scenario are refused with the reason", () => {
  const good = encodeScenario(makeScenario(1));
  const bad: readonly [text: string, message: RegExp][] = [
    ["", /no JSON/],
    ["[]", /the file is no object/],
    ["{}", /does not begin with/],
    [good.replace(/"seed": \d+/, '"seed": -1'), /seed is no whole number: -1/],
    [good.replace(/"coherence": "[a-z-]+"/, '"coherence": "MESI"'), /"MESI" is none of two-state/],
    [good.replace('"kind":"settle"', '"kind":"rest"'), /action: "rest" is none of/],
  ];
  for (const [text, message] of bad) {
    assert.throws(
      () => decodeScenario(text),
      (error) => error instanceof ScenarioFileError && message.test(error.message),
      String(message),
    );
  }
});

test("a scenario shrinks to the machine and the actions that its violation needs", async () => {
  const scenario = {
    ...makeScenario(8, { length: 40 }),
    islands: [["strong", "strong"], ["weak"], ["weak"]],
  };
  // Fails as long as there are two islands, and two jobs are started.
  const judge = async ({ islands, actions }: Scenario): Promise<string[]> => {
    const jobs = actions.filter(({ kind }) => kind === "spawn").length;
    if (islands.length < 2 || jobs < 2) return islands.length === 1 ? ["outcome: another one"] : [];
    return ["condition: coherence: page 7"];
  };
  const { scenario: shrunk, attempts } = await shrinkScenario(
    scenario,
    "condition: coherence: page 9",
    judge,
    400,
  );
  assert.deepEqual(shrunk.islands, [["strong"], ["weak"]]);
  assert.deepEqual(
    shrunk.actions.map(({ kind }) => kind),
    ["spawn", "spawn"],
  );
  assert.ok(attempts <= 400);
});
