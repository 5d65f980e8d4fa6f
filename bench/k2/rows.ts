/** The results as lines of the benchmark's table, each beside the paper's figure; what is an input says so. */
import { omap4 } from "../../src/machine/profiles/omap4.ts";
import type { Row } from "../row.ts";
import { allocationOrders } from "./allocators.ts";
import type { EnergyPair, K2Results } from "./experiments.ts";
import {
  publishedAllocation,
  publishedDriver,
  publishedFault,
  publishedFaultInterval,
  publishedGain,
  publishedShadowed,
  publishedStandby,
} from "./published.ts";
import type { FaultBreakdown } from "./sharing.ts";
import { impliedInterval_minutes, lightShare, standby_days, standbyInputs } from "./standby.ts";
import { size, taskName, workNames } from "./words.ts";

const kernelNames = ["main", "shadow"] as const;

export function rowsOf(results: K2Results): Row[] {
  return [
    ...powerRows(),
    ...results.energy.map(energyRow),
    ...gainRows(results.energy),
    ...standbyRows(results.energy),
    ...allocatorRows(results),
    ...faultRows(results.faults),
    ...driverRows(results),
    ...sharingRows(results),
    ...beyondRows(results),
  ];
}

function row(
  name: string,
  unit: string,
  ours: number,
  published: Row["published"],
  rest: Partial<Row> = {},
): Row {
  return { name, unit, better: "lower", ours, peers: {}, published, target: null, ...rest };
}

function powerRows(): Row[] {
  return omap4.kinds.flatMap(({ name, frequency_MHz, power_mW }) =>
    (["active", "idle", "inactive"] as const).map((state) =>
      row(
        `table 3, input: ${name} at ${frequency_MHz} MHz, ${state}`,
        "mW",
        power_mW[state],
        power_mW[state],
      ),
    ),
  );
}

function energyRow({ task, strong, k2 }: EnergyPair): Row {
  return row(
    `figure 6: ${taskName(task)}`,
    "MB/J",
    k2.bytesPerJoule / 1e6,
    `gain ${publishedGain[task.work]}`,
    {
      better: "higher",
      peers: { "strong core alone": strong.bytesPerJoule / 1e6 },
      target: "gain of 5x",
    },
  );
}

/** By light task: the most that is gained, and K2's speed. */
function gainRows(energy: readonly EnergyPair[]): Row[] {
  return (["dma", "files", "udp"] as const).flatMap((work) => {
    const own = energy.filter(({ task }) => task.work === work);
    const speeds = own.map(({ speed }) => speed * 100);
    return [
      row(
        `figure 6: largest gain, ${workNames[work]}`,
        "x",
        Math.max(...own.map(({ gain }) => gain)),
        publishedGain[work],
        {
          better: "higher",
          target: 5,
        },
      ),
      row(`weak core's speed, ${workNames[work]}, least`, "%", Math.min(...speeds), "20 to 70", {
        better: "higher",
      }),
      row(`weak core's speed, ${workNames[work]}, most`, "%", Math.max(...speeds), "20 to 70", {
        better: "higher",
      }),
    ];
  });
}

export function meanGain(energy: readonly EnergyPair[]): number {
  return energy.reduce((sum, { gain }) => sum + gain, 0) / energy.length;
}

function standbyRows(energy: readonly EnergyPair[]): Row[] {
  const { before_days, cost_minutes, interval_minutes } = standbyInputs;
  const gain = meanGain(energy);
  const days = { better: "higher" as const };
  return [
    row("standby, input: without K2", "days", before_days, before_days, days),
    row("standby, input: one download costs", "minutes", cost_minutes, cost_minutes),
    row("standby, input, assumed: a download every", "minutes", interval_minutes, null),
    row("standby: share of light tasks that follows", "%", lightShare() * 100, null),
    row(
      `standby with the mean gain of ${gain.toFixed(2)}x`,
      "days",
      standby_days(gain),
      publishedStandby.after_days,
      days,
    ),
    row("standby with the paper's gain of 9x", "days", standby_days(9), publishedStandby.after_days, days),
    row("interval that would give the paper's 59 %", "minutes", impliedInterval_minutes(9), null),
  ];
}

function allocatorRows({ allocators }: K2Results): Row[] {
  const { allocation_us, deflate_us, inflateEmpty_us, inflate_us, moved_bytes } = allocators;
  const rows: Row[] = [];
  for (const [kernel, name] of kernelNames.entries()) {
    for (const [index, order] of allocationOrders.entries()) {
      const published = kernel === 1 ? publishedAllocation.shadow_us[index] : "as Linux";
      rows.push(
        row(
          `table 4: allocate ${size(4096 << order)}, ${name}`,
          "µs",
          allocation_us[kernel][index],
          published,
        ),
      );
    }
    rows.push(
      row(
        `table 4: deflate a balloon, ${name}`,
        "µs",
        deflate_us[kernel],
        publishedAllocation.deflate_us[kernel],
      ),
      row(`table 4: inflate one, nothing to move, ${name}`, "µs", inflateEmpty_us[kernel], null),
      row(
        `table 4: inflate one, ${size(moved_bytes)} moved, ${name}`,
        "µs",
        inflate_us[kernel],
        publishedAllocation.inflate_us[kernel],
      ),
    );
  }
  const { independent, shadowed } = allocators;
  for (const [kernel, name] of kernelNames.entries()) {
    rows.push(
      row(
        `section 9.3: allocate 4 KiB, shadowed, both at once, ${name}`,
        "µs",
        shadowed.latency_us[kernel],
        publishedShadowed.slowdown,
        {
          peers: { independent: independent.latency_us[kernel] },
          target: kernel === 0 ? "100x slower" : null,
        },
      ),
    );
  }
  rows.push(
    row(
      "section 9.3: faults for one allocation and its free",
      "faults",
      shadowed.faultsPerAllocation,
      publishedShadowed.faultsPerAllocation,
      {
        peers: independent.faultsPerAllocation === 0 ? {} : { independent: independent.faultsPerAllocation },
      },
    ),
  );
  return rows;
}

function faultRows(faults: readonly FaultBreakdown[]): Row[] {
  const steps: readonly (readonly [keyof FaultBreakdown, string])[] = [
    ["entry_us", "input: local fault handling"],
    ["protocol_us", "input, with a look into the owner table: protocol"],
    ["communication_us", "communication"],
    ["service_us", "input, with sending the answer: service"],
    ["exit_us", "input, with the cache miss: exit"],
    ["total_us", "total"],
  ];
  return kernelNames.flatMap((name, kernel) =>
    steps.map(([key, what]) =>
      row(
        `table 5: fault of the ${name} kernel, ${what}`,
        "µs",
        faults[kernel][key],
        publishedFault[key][kernel],
      ),
    ),
  );
}

function driverRows({ driver, threeState }: K2Results): Row[] {
  const rows: Row[] = [];
  const higher = { better: "higher" as const };
  for (const { alone, k2 } of driver) {
    const paper = publishedDriver.find(({ batch_bytes }) => batch_bytes === k2.batch_bytes);
    const name = `table 6: DMA ${size(k2.batch_bytes)}`;
    const change = (k2.total_MBps / alone.total_MBps - 1) * 100;
    const published = paper === undefined ? null : (paper.k2 / paper.linux - 1) * 100;
    rows.push(
      row(`${name}, strong core alone`, "MB/s", alone.total_MBps, paper?.linux ?? null, higher),
      row(`${name}, both kernels`, "MB/s", k2.total_MBps, paper?.k2 ?? null, higher),
      row(`${name}, change`, "%", change, published === null ? null : published.toFixed(1), {
        ...higher,
        target: "within 6",
      }),
      row(`${name}, of it main`, "MB/s", k2.throughput_MBps[0], paper?.main ?? null, higher),
      row(`${name}, of it shadow`, "MB/s", k2.throughput_MBps[1], paper?.shadow ?? null, higher),
    );
  }
  const [small] = driver;
  const large = driver[driver.length - 1];
  const { transfers, small: often, large: rarely } = publishedFaultInterval;
  rows.push(
    row(
      `table 6: transfers per fault, ${size(small.k2.batch_bytes)}`,
      "transfers",
      small.k2.transfersPerFault,
      transfers,
      higher,
    ),
    row(
      `table 6: between faults, ${size(small.k2.batch_bytes)}`,
      "µs",
      small.k2.betweenFaults_us,
      often,
      higher,
    ),
    row(
      `table 6: between faults, ${size(large.k2.batch_bytes)}`,
      "µs",
      large.k2.betweenFaults_us,
      rarely,
      higher,
    ),
    row(
      `three-state DSM: DMA ${size(threeState.batch_bytes)}, both kernels`,
      "MB/s",
      threeState.total_MBps,
      null,
      {
        ...higher,
        peers: { "two-state": small.k2.total_MBps },
      },
    ),
  );
  return rows;
}

/** Three-state coherence, two-state being the peer. */
function sharingRows({ sharing }: K2Results): Row[] {
  const twoState = sharing.filter(({ protocol }) => protocol === "two-state");
  return twoState.flatMap((two) => {
    const three = sharing.find(
      ({ protocol, readsPerWrite }) => protocol === "three-state" && readsPerWrite === two.readsPerWrite,
    );
    if (three === undefined) return [];
    return kernelNames.map((name, kernel) =>
      row(
        `three-state DSM: access to a record, 1 of ${two.readsPerWrite} writes, ${name}`,
        "µs",
        three.access_us[kernel],
        null,
        { peers: { "two-state": two.access_us[kernel] } },
      ),
    );
  });
}

function beyondRows({ alternation, privateInterrupts, steady }: K2Results): Row[] {
  const own = alternation.filter(({ variant }) => variant === "K2's own design");
  const rows = alternation
    .filter(({ variant }) => variant !== "K2's own design")
    .map(({ variant, task, energy_mJ }) => {
      const k2 = own.find((other) => taskName(other.task) === taskName(task));
      const peers: Record<string, number> = k2 === undefined ? {} : { "K2's own design": k2.energy_mJ };
      return row(`after the strong domain's turn: ${taskName(task)}, ${variant}`, "mJ", energy_mJ, null, {
        peers,
      });
    });
  const rules = row(`K2's interrupt rules: ${taskName(steady.task)}`, "mJ", steady.energy_mJ, null, {
    peers: { "all interrupts main's": privateInterrupts.energy_mJ },
  });
  return [...rows, rules];
}
