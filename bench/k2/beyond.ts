/**
 * What can be gained over K2's own design. The case that is hard for K2: a light task uses a service that the strong
 * domain has used since the light task's last round, and that domain has gone to sleep. What it owns is fetched from
 * it page by page, and the first fault wakes it, for at least its inactive timeout.
 */
import type { BootOptions } from "../../src/system/options.ts";
import { type LightTask, roundWords } from "./energy.ts";
import { between, energy_mJ, MeasuredSystem } from "./measured-system.ts";

export interface Variant {
  readonly name: string;
  readonly boot: BootOptions;
}

const k2: BootOptions = { preset: "k2" };

/** One setting changed at a time, then all that help. */
export const variants: readonly Variant[] = [
  { name: "K2's own design", boot: k2 },
  { name: "three-state DSM", boot: { ...k2, coherence: "three-state" } },
  { name: "release on sleep", boot: { ...k2, releaseOnSleep: true } },
  { name: "three-state, release on sleep", boot: { ...k2, coherence: "three-state", releaseOnSleep: true } },
  { name: "strong core alone", boot: { preset: "k2", cores: 1 } },
];

export interface AlternationResult {
  readonly variant: string;
  readonly task: LightTask;
  /** Of one round of the light task, all domains, until all are inactive again. */
  readonly energy_mJ: number;
  /** Of that, the strong domain's. */
  readonly strong_mJ: number;
  readonly work_ns: number;
  readonly remoteFaults: number;
  readonly localFaults: number;
}

/** The strong kernel's rounds begin so far apart, and the light task's in the middle between two of them. */
const period_ns = 160e9;
const lead_ns = 40e9;
const window_ns = 20e9;
const margin_ns = 1e6;
/** Rounds until everything has settled, the one that counts, and one that is not looked at: the programs end in it. */
const warmRounds = 2;
const rounds = warmRounds + 2;

/** The same task in turn by a process of the strong kernel and in a NightWatch thread; the latter's round counts. */
export async function measureAlternation(variant: Variant, task: LightTask): Promise<AlternationResult> {
  await using measured = await MeasuredSystem.boot({ rootSize_bytes: 32 << 20, ...variant.boot });
  const isAlone = variant.boot.cores === 1;
  const first_ns = Math.ceil((measured.time_ns + lead_ns) / 1e9) * 1e9;
  const light_ns = first_ns + period_ns / 4;
  const programs = [
    measured.runLight(roundWords(task, rounds, first_ns, period_ns), { kernel: 0 }),
    measured.runLight(
      roundWords(task, rounds, light_ns, period_ns),
      isAlone ? { kernel: 0 } : { nightwatch: true },
    ),
  ];
  const begin_ns = light_ns + warmRounds * period_ns - margin_ns;
  const before = await measured.readAt(begin_ns);
  const after = await measured.readAt(begin_ns + window_ns);
  if (!before.allInactive || !after.allInactive)
    throw new Error(`${variant.name}: a round does not end in time`);
  const [, times] = await Promise.all(programs);
  const { cores, coherence } = between(before, after);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    variant: variant.name,
    task,
    energy_mJ: energy_mJ(cores),
    strong_mJ: energy_mJ(cores.slice(0, 1)),
    work_ns: Number(times[warmRounds]),
    remoteFaults: sum(coherence.map(({ remote }) => remote.faults)),
    localFaults: sum(coherence.map(({ local }) => local.faults)),
  };
}
