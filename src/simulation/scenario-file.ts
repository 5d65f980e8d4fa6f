/** Scenarios as text: what a failure is written down as, and replayed from. */
import type { Mutation } from "../dsm/index.ts";
import { faultNames, type Scenario } from "./scenario.ts";
import type { Action } from "./workload/actions.ts";

const format = "archipelago scenario 1";
const mutations: readonly Mutation[] = [
  "skip-invalidate",
  "skip-clean",
  "drop-acknowledgement",
  "wrong-owner",
  "no-reader-invalidation",
];
const actionKinds: readonly Action["kind"][] = [
  "spawn",
  "pipeline",
  "file",
  "kill",
  "migrate",
  "wait",
  "pause",
  "stopKernel",
  "bootKernel",
  "crashKernel",
  "machine",
  "settle",
];

/** A file does not hold a scenario; the message says what is wrong with it. */
export class ScenarioFileError extends Error {
  override readonly name: string = "ScenarioFileError";
}

/** A scenario as JSON, one action a line, so that lines can be removed by hand. */
export function encodeScenario({ actions, ...rest }: Scenario): string {
  const head = Object.entries({ format, ...rest }).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
  );
  const list = actions.map((action) => `    ${JSON.stringify(action)}`);
  return `{\n${head.join(",\n")},\n  "actions": [\n${list.join(",\n")}\n  ]\n}\n`;
}

/** @throws ScenarioFileError */
export function decodeScenario(text: string): Scenario {
  const file = record(parsed(text), "the file");
  require(file.format === format, `it does not begin with "format": "${format}"`);
  const mutation =
    file.mutation === undefined ? {} : { mutation: oneOf(file.mutation, mutations, "mutation") };
  return {
    seed: whole(file.seed, "seed"),
    islands: list(file.islands, "islands").map((cores) =>
      list(cores, "an island").map((kind) => oneOf(kind, ["strong", "weak"], "kind of core")),
    ),
    coresPerKernel: whole(file.coresPerKernel, "coresPerKernel"),
    coherence: oneOf(file.coherence, ["two-state", "three-state"], "coherence"),
    placements: Object.fromEntries(
      Object.entries(record(file.placements, "placements")).map(([service, where]) => [
        service,
        String(where),
      ]),
    ),
    releaseOnSleep: file.releaseOnSleep === true,
    inactiveTimeout_ms: whole(file.inactiveTimeout_ms, "inactiveTimeout_ms"),
    faults: list(file.faults, "faults").map((fault) => oneOf(fault, faultNames, "fault")),
    actions: list(file.actions, "actions").map(decodeAction),
    ...mutation,
  };
}

/** Actions are made by programs; what people change by hand is checked by what does them. */
function decodeAction(value: unknown): Action {
  const action = record(value, "an action");
  oneOf(action.kind, actionKinds, "action");
  return action as unknown as Action;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ScenarioFileError(`it is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function require(holds: boolean, problem: string): void {
  if (!holds) throw new ScenarioFileError(problem);
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ScenarioFileError(`${what} is no object`);
  return Object.fromEntries(Object.entries(value));
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new ScenarioFileError(`${what} is no list`);
  return value;
}

function whole(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw new ScenarioFileError(`${what} is no whole number: ${JSON.stringify(value)}`);
  return value;
}

function oneOf<T extends string>(value: unknown, names: readonly T[], what: string): T {
  const found = names.find((name) => name === value);
  if (found === undefined)
    throw new ScenarioFileError(`${what}: ${JSON.stringify(value)} is none of ${names.join(", ")}`);
  return found;
}
