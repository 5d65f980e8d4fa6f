/** Entry of `npm run sim`: plays scenarios, and writes down, made small, those that show a violation. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PlayResult, play } from "../play.ts";
import { describeScenario, makeScenario, type Scenario } from "../scenario.ts";
import { decodeScenario, encodeScenario } from "../scenario-file.ts";
import { shrinkScenario } from "../shrink-scenario.ts";
import { describeAction } from "../workload/actions.ts";
import { parseCommand, type SimulationCommand, UsageError, usage } from "./arguments.ts";
import { Players } from "./players.ts";
import { Stepping } from "./stepping.ts";

const shownLines = 24;

async function main(words: readonly string[]): Promise<number> {
  const command = parseCommand(words);
  if (command === null) {
    say(usage);
    return 0;
  }
  if (command.step) return await step(chosen(command));
  const { seeds } = command;
  await using players = new Players({ count: command.jobs });
  if (seeds !== undefined && seeds[0] !== seeds[1]) return await playMany(seeds, command, players);
  const scenario = chosen(command);
  const result = await players.play(scenario);
  say(result.summary);
  if (result.violations.length === 0) return 0;
  say("the last things that happened:");
  for (const line of result.lastLines.slice(-shownLines)) say(`  ${line}`);
  await report(scenario, result, command, players);
  return 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function scenarioOf(seed: number, { scenario: { mutation, ...options } }: SimulationCommand): Scenario {
  const scenario = makeScenario(seed, options);
  return mutation === undefined ? scenario : { ...scenario, mutation };
}

/** The scenario of a command that names one. */
function chosen(command: SimulationCommand): Scenario {
  if (command.file !== undefined) return decodeScenario(readFileSync(command.file, "utf8"));
  return scenarioOf(command.seeds?.[0] ?? 0, command);
}

async function step(scenario: Scenario): Promise<number> {
  const stepping = new Stepping();
  const { summary, violations } = await play(scenario, { onAction: (view) => stepping.show(view) });
  stepping.end();
  say(`\n${summary}`);
  return violations.length === 0 ? 0 : 1;
}

/** A line for each seed, in their order, and the first failure in full. */
async function playMany(
  [first, last]: readonly [number, number],
  command: SimulationCommand,
  players: Players,
): Promise<number> {
  const started_ms = performance.now();
  const failed: { readonly scenario: Scenario; readonly result: PlayResult }[] = [];
  let events = 0;
  let time_ns = 0;
  // Not all at once: scenarios are made when there is somebody to play them.
  const ahead = command.jobs * 2;
  const plays: Promise<PlayResult>[] = [];
  for (let seed = first; seed <= last; seed++) {
    for (let next = first + plays.length; next <= last && next < seed + ahead; next++)
      plays.push(players.play(scenarioOf(next, command)));
    const result = await plays[seed - first];
    const { violations, digest } = result;
    events += result.events;
    time_ns += result.time_ns;
    say([`seed ${seed}`, digest, ...violations.map(firstLine)].join("  "));
    if (violations.length > 0) failed.push({ scenario: scenarioOf(seed, command), result });
  }
  say(
    `${last - first + 1} seeds, ${failed.length} with violations: ${failed.map(({ scenario }) => scenario.seed).join(", ") || "none"}`,
  );
  const taken_s = (performance.now() - started_ms) / 1000;
  process.stderr.write(
    `${events} events, ${(time_ns / 1e9).toFixed(1)} s of virtual time in ${taken_s.toFixed(1)} s\n`,
  );
  if (failed.length === 0) return 0;
  await report(failed[0].scenario, failed[0].result, command, players);
  return 1;
}

/** Makes a failing scenario small, and writes it down. */
async function report(
  scenario: Scenario,
  { violations: [violation] }: PlayResult,
  { shrinkAttempts, directory }: SimulationCommand,
  players: Players,
): Promise<void> {
  const judge = async (candidate: Scenario) => (await players.play(candidate)).violations;
  const shrunk = await shrinkScenario(scenario, violation, judge, shrinkAttempts);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `seed-${scenario.seed}.json`);
  writeFileSync(path, encodeScenario(shrunk.scenario));
  say(`\nseed ${scenario.seed}: ${firstLine(violation)}`);
  say(
    `shrunk from ${scenario.actions.length} actions to ${shrunk.scenario.actions.length} in ${shrunk.attempts} plays:`,
  );
  say(describeScenario(shrunk.scenario));
  for (const [index, action] of shrunk.scenario.actions.entries())
    say(`  ${index} ${describeAction(action)}`);
  say(`to see it again: npm run sim -- --replay ${path} --step`);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0];
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError)
    process.stderr.write(`sim: ${error.message}\n"npm run sim -- --help" shows what there is.\n`);
  else
    process.stderr.write(`sim: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 2;
}
