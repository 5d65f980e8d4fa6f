/** All of K2's experiments, one after the other, and what came out. Only simulated time counts: nothing is timed here. */
import type { BootOptions } from "../../src/system/options.ts";
import { type AllocatorResult, measureAllocators } from "./allocators.ts";
import { type AlternationResult, measureAlternation, variants } from "./beyond.ts";
import { type EnergyResult, type LightTask, measureEnergy } from "./energy.ts";
import { k2Setting, type Setting, strongSetting } from "./measured-system.ts";
import { type DriverResult, measureDriver } from "./shared-driver.ts";
import { type FaultBreakdown, measureFaults, measureSharing, type SharingResult } from "./sharing.ts";

const kibi = 1 << 10;
const mebi = 1 << 20;

/** One light task in both settings. */
export interface EnergyPair {
  readonly task: LightTask;
  readonly strong: EnergyResult;
  readonly k2: EnergyResult;
  /** K2's bytes per joule by the strong core's. */
  readonly gain: number;
  /** K2's speed at the work by the strong core's. */
  readonly speed: number;
}

/** Table 6: one size of transfers. */
export interface DriverPair {
  readonly alone: DriverResult;
  readonly k2: DriverResult;
}

export interface K2Results {
  readonly energy: readonly EnergyPair[];
  readonly driver: readonly DriverPair[];
  /** Table 5 by requester: main, shadow. */
  readonly faults: readonly FaultBreakdown[];
  readonly allocators: AllocatorResult;
  readonly alternation: readonly AlternationResult[];
  /** The smallest transfers of table 6 with three-state coherence. */
  readonly threeState: DriverResult;
  /** A record that both kernels use; two-state and three-state in turn. */
  readonly sharing: readonly SharingResult[];
  /** A steady light task, when all interrupts of devices are the main kernel's. */
  readonly privateInterrupts: EnergyResult;
  readonly steady: EnergyResult;
}

const driverWindow_ns = { quick: 0.5e9, full: 2e9 } as const;
const driverBatches_bytes = [4 * kibi, 128 * kibi, 256 * kibi, mebi];
const k2Boot: BootOptions = { preset: "k2" };

function lightTasks(quick: boolean): LightTask[] {
  const grid = (work: "dma" | "udp", batches: readonly number[], totals: readonly number[]): LightTask[] =>
    batches.flatMap((batch_bytes) =>
      totals
        .filter((total_bytes) => total_bytes >= batch_bytes)
        .map((total_bytes) => ({ work, batch_bytes, total_bytes })),
    );
  const files = [kibi, 256 * kibi, mebi].map((size) => ({
    work: "files" as const,
    batch_bytes: size,
    total_bytes: 8 * size,
  }));
  if (quick)
    return [
      ...grid("dma", [4 * kibi, mebi], [4 * mebi]),
      ...files.slice(0, 2),
      ...grid("udp", [256 * kibi], [mebi]),
    ];
  return [
    ...grid("dma", [4 * kibi, 256 * kibi, mebi], [256 * kibi, 4 * mebi, 64 * mebi]),
    ...files,
    ...grid("udp", [4 * kibi, 256 * kibi, mebi], [256 * kibi, mebi, 16 * mebi]),
  ];
}

/** Light tasks for the comparison of designs. */
const alternatingTasks: readonly LightTask[] = [
  { work: "dma", batch_bytes: 64 * kibi, total_bytes: mebi },
  { work: "files", batch_bytes: 256 * kibi, total_bytes: 2 * mebi },
  { work: "udp", batch_bytes: 64 * kibi, total_bytes: mebi },
];

/** @param say Told what is being done. */
export async function runExperiments(quick: boolean, say: (line: string) => void): Promise<K2Results> {
  const rounds = quick ? 1 : 2;
  const energy: EnergyPair[] = [];
  for (const task of lightTasks(quick)) {
    say(`energy: ${task.work} ${task.batch_bytes} of ${task.total_bytes}`);
    energy.push(await measurePair(task, rounds));
  }
  const window_ns = quick ? driverWindow_ns.quick : driverWindow_ns.full;
  const driver: DriverPair[] = [];
  for (const batch_bytes of driverBatches_bytes) {
    say(`DMA driver on both kernels: ${batch_bytes}`);
    driver.push({
      alone: await measureDriver({ ...k2Boot, cores: 1 }, [0], batch_bytes, window_ns),
      k2: await measureDriver(k2Boot, [0, 1], batch_bytes, window_ns),
    });
  }
  const [smallest] = driver;
  const threeStateBoot: BootOptions = { ...k2Boot, coherence: "three-state" };
  say("DMA driver with three-state DSM");
  const threeState = await measureDriver(threeStateBoot, [0, 1], smallest.k2.batch_bytes, window_ns);
  say("page allocators");
  const allocators = await measureAllocators();
  const alternation: AlternationResult[] = [];
  for (const task of quick ? alternatingTasks.slice(0, 1) : alternatingTasks) {
    for (const variant of variants) {
      say(`in turn with the strong domain: ${task.work}, ${variant.name}`);
      alternation.push(await measureAlternation(variant, task));
    }
  }
  say("a record that both kernels read");
  const sharing: SharingResult[] = [];
  for (const readsPerWrite of [2, 10, 100])
    for (const protocol of ["two-state", "three-state"] as const)
      sharing.push(await measureSharing(protocol, readsPerWrite));
  say("interrupts of the main kernel");
  const [steadyTask] = alternatingTasks;
  const privateBoot: BootOptions = { ...k2Boot, placements: { interrupts: "private" } };
  const privateSetting: Setting = { ...k2Setting, name: "all interrupts main's", boot: privateBoot };
  return {
    energy,
    driver,
    faults: await measureFaults(),
    allocators,
    alternation,
    threeState,
    sharing,
    privateInterrupts: await measureEnergy(privateSetting, steadyTask, rounds),
    steady: await measureEnergy(k2Setting, steadyTask, rounds),
  };
}

async function measurePair(task: LightTask, rounds: number): Promise<EnergyPair> {
  const strong = await measureEnergy(strongSetting, task, rounds);
  const k2 = await measureEnergy(k2Setting, task, rounds);
  return {
    task,
    strong,
    k2,
    gain: k2.bytesPerJoule / strong.bytesPerJoule,
    speed: strong.work_ns / k2.work_ns,
  };
}
