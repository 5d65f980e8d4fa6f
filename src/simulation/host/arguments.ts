/** The command line of `npm run sim`. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Mutation } from "../../dsm/index.ts";
import { type FaultName, faultNames, type ScenarioOptions } from "../scenario.ts";

export const usage = `Plays random scenarios on the simulated machine, and checks what must hold.

  npm run sim -- --seed N             play the scenario of a seed, and print what happened
  npm run sim -- --seeds A-B          play many, a line each
  npm run sim -- --replay FILE        play what a failure was written to

Options
  --faults LIST      which faults are injected, in place of what the seed chooses: some of
                     ${faultNames.join(",")}; or "none"
  --length N         actions of a workload (24)
  --step             wait for Enter before each action, and show the state of the machine
  --jobs N           with --seeds: scenarios that are played at a time (one per processor)
  --shrink N         so many plays at most to make a failing scenario small (150); 0: not at all
  --out DIRECTORY    where failing scenarios are written (results/sim)
  --mutation NAME    break software coherence in one place: skip-invalidate, skip-clean,
                     drop-acknowledgement, wrong-owner, no-reader-invalidation

The exit code is 1 when something was violated. The same seed and options print the same bytes.`;

/** A mistake on the command line. */
export class UsageError extends Error {}

export interface SimulationCommand {
  /** What is played: seeds from the first to the last, or a file. */
  readonly seeds: readonly [first: number, last: number] | undefined;
  readonly file: string | undefined;
  readonly scenario: ScenarioOptions & { readonly mutation?: Mutation };
  readonly step: boolean;
  readonly jobs: number;
  readonly shrinkAttempts: number;
  readonly directory: string;
}

const mutations: readonly Mutation[] = [
  "skip-invalidate",
  "skip-clean",
  "drop-acknowledgement",
  "wrong-owner",
  "no-reader-invalidation",
];
const defaultAttempts = 150;
const defaultDirectory = "results/sim";

const options = {
  seed: { type: "string" },
  seeds: { type: "string" },
  replay: { type: "string" },
  faults: { type: "string" },
  length: { type: "string" },
  step: { type: "boolean" },
  jobs: { type: "string" },
  shrink: { type: "string" },
  out: { type: "string" },
  mutation: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Null: help is wanted. @throws UsageError */
export function parseCommand(words: readonly string[]): SimulationCommand | null {
  const values = parse(words);
  if (values.help === true) return null;
  const { seed, seeds, replay } = values;
  if ([seed, seeds, replay].filter((value) => value !== undefined).length !== 1)
    throw new UsageError("give one of --seed N, --seeds A-B and --replay FILE");
  if (values.step === true && seeds !== undefined) throw new UsageError("--step plays one scenario");
  const single = seed === undefined ? undefined : whole("--seed", seed);
  return {
    seeds: single === undefined ? range(seeds) : [single, single],
    file: replay,
    scenario: {
      ...(values.faults === undefined ? {} : { faults: faults(values.faults) }),
      ...(values.length === undefined ? {} : { length: whole("--length", values.length) }),
      ...(values.mutation === undefined ? {} : { mutation: mutation(values.mutation) }),
    },
    step: values.step === true,
    jobs: values.jobs === undefined ? availableParallelism() : Math.max(1, whole("--jobs", values.jobs)),
    shrinkAttempts: values.shrink === undefined ? defaultAttempts : whole("--shrink", values.shrink),
    directory: values.out ?? defaultDirectory,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function range(text: string | undefined): readonly [number, number] | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+)-(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`--seeds ${text}: write it as A-B, for example 1-200`);
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (first > last) throw new UsageError(`--seeds ${text}: ${first} comes after ${last}`);
  return [first, last];
}

function faults(text: string): FaultName[] {
  if (text === "none") return [];
  const names = text.split(",");
  const unknown = names.find((name) => !faultNames.some((known) => known === name));
  if (unknown !== undefined)
    throw new UsageError(`--faults: there is no fault "${unknown}"; there are ${faultNames.join(", ")}`);
  return faultNames.filter((name) => names.includes(name));
}

function mutation(text: string): Mutation {
  const found = mutations.find((name) => name === text);
  if (found === undefined) throw new UsageError(`--mutation ${text}: there are ${mutations.join(", ")}`);
  return found;
}

function whole(option: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`${option}: "${text}" is not a whole number`);
  return Number(text);
}
