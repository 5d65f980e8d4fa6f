/**
 * Energy efficiency of light tasks (K2, section 9.2, figure 6). A process sleeps until its next round; a round finds
 * all cores inactive, wakes one, does its work and ends when the last core has become inactive again, five seconds
 * after it had nothing more to do. The first rounds warm up: pages come to the kernel that uses them.
 */
import {
  between,
  type CoreUsage,
  energy_mJ,
  MeasuredSystem,
  type Reading,
  type Setting,
} from "./measured-system.ts";

export type Work = "dma" | "files" | "udp";

export interface LightTask {
  readonly work: Work;
  /** Bytes of a transfer; of one file; between two makings of the sockets. */
  readonly batch_bytes: number;
  /** Bytes of a round: for `files` eight times the batch. */
  readonly total_bytes: number;
}

export interface EnergyResult {
  readonly task: LightTask;
  readonly setting: string;
  /** Of one round, from waking up to all cores inactive. */
  readonly energy_mJ: number;
  readonly bytesPerJoule: number;
  /** Time of the work itself. */
  readonly work_ns: number;
  readonly cores: readonly CoreUsage[];
  /** DSM faults of all domains. */
  readonly faults: number;
}

const warmRounds = 2;
/** After the last round the program ends, and whoever started it is told: that is not counted. */
const lastRounds = 1;
/** A small disk, whose inodes are soon all used once: see `light.c`. */
const disk_bytes = 16 << 20;
const inodes = 4096;
/** Rounds are far enough apart for everything to become inactive in between, and half a period is, too. */
const period_ns = 40e9;
/** From the order until the first round: the program is loaded and has opened its files. */
const lead_ns = 40e9;
/** Readings are made so long before a round, when nothing happens. */
const margin_ns = 1e6;

/** What `light` is to be told. */
export function roundWords(
  task: LightTask,
  rounds: number,
  first_ns: number,
  period_ns: number,
): (string | number)[] {
  const { work, batch_bytes, total_bytes } = task;
  return ["rounds", work, batch_bytes, total_bytes, rounds, first_ns / 1e6, period_ns / 1e6];
}

export async function measureEnergy(
  setting: Setting,
  task: LightTask,
  measuredRounds: number,
): Promise<EnergyResult> {
  await using measured = await MeasuredSystem.boot({ rootSize_bytes: disk_bytes, ...setting.boot });
  const { work, batch_bytes, total_bytes } = task;
  if (work === "files") await measured.runLight(["names", inodes], setting.light);
  const rounds = warmRounds + measuredRounds + lastRounds;
  const first_ns = Math.ceil((measured.time_ns + lead_ns) / 1e9) * 1e9;
  const words = roundWords(task, rounds, first_ns, period_ns);
  const ended = measured.runLight(words, setting.light);
  // Should a round fail, the program is ended with the system; that failure is not the one to report.
  ended.catch(() => undefined);
  const windows: { before: Reading; after: Reading }[] = [];
  for (let round = 0; round < warmRounds + measuredRounds; round++) {
    const begin_ns = first_ns + round * period_ns - margin_ns;
    const before = await measured.readAt(begin_ns);
    const after = await measured.readAt(begin_ns + period_ns / 2);
    // The first rounds bring the pages, which may take long; what counts is measured afterwards.
    if (round >= warmRounds && (!before.allInactive || !after.allInactive))
      throw new Error(
        `${work} ${batch_bytes} ${total_bytes} on ${setting.name}: a round does not end in time`,
      );
    if (round >= warmRounds) windows.push({ before, after });
  }
  const times_ns = (await ended).map(Number).slice(warmRounds, -lastRounds);
  const uses = windows.map(({ before, after }) => between(before, after));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const cores = uses[0].cores.map(({ kind }, core) => ({
    kind,
    active_ns: mean(uses.map((use) => use.cores[core].active_ns)),
    idle_ns: mean(uses.map((use) => use.cores[core].idle_ns)),
  }));
  const energy = energy_mJ(cores);
  return {
    task,
    setting: setting.name,
    energy_mJ: energy,
    bytesPerJoule: total_bytes / (energy / 1000),
    work_ns: mean(times_ns),
    cores,
    faults: mean(
      uses.map(({ coherence }) =>
        coherence.reduce((sum, { remote, local }) => sum + remote.faults + local.faults, 0),
      ),
    ),
  };
}
