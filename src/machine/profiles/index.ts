/** The machine profiles, by name, and a way to make others. */
import { haswell4 } from "./haswell-4.ts";
import { i7920 } from "./i7-920.ts";
import { cortexA9, cortexM3, omap4, omap4Dual, omap4Fast } from "./omap4.ts";
import { opteron48 } from "./opteron-48.ts";
import type { CoreKind, IslandProfile, MachineProfile } from "./profile.ts";

export type { CoherenceCosts, CoreKind, IslandProfile, MachineProfile } from "./profile.ts";

const profiles: readonly MachineProfile[] = [omap4, omap4Dual, omap4Fast, opteron48, haswell4, i7920];

export const profileNames: readonly string[] = profiles.map(({ name }) => name);

/** A profile by its name. @throws RangeError when there is none; the text names those that there are. */
export function profileOf(name: string): MachineProfile {
  const found = profiles.find((profile) => profile.name === name);
  if (found === undefined) {
    throw new RangeError(`no machine profile is called "${name}"; there are ${profileNames.join(", ")}`);
  }
  return found;
}

export interface CustomProfile {
  /** The kinds of the cores of each island: names of `kinds`. At least one island with at least one core. */
  readonly islands: readonly (readonly string[])[];
  /** Kinds of cores; "strong" and "weak" unless told, which are those of OMAP4. */
  readonly kinds?: readonly CoreKind[];
  readonly name?: string;
  /** Replaces single numbers of the chip, which is OMAP4's. */
  readonly chip?: Partial<Omit<MachineProfile, "name" | "kinds" | "islands">>;
}

/** The kinds of cores that `customProfile` knows without being told. */
export const strongKind: CoreKind = { ...cortexA9, name: "strong" };
export const weakKind: CoreKind = { ...cortexM3, name: "weak" };

/**
 * A profile of any topology, for tests: OMAP4's parts, put together differently. Each island has a rail of its own,
 * named like it: "island0", "island1" and so on.
 * @throws RangeError as `checkProfile` does.
 */
export function customProfile(custom: CustomProfile): MachineProfile {
  const islands: IslandProfile[] = custom.islands.map((cores, index) => ({
    name: `island${index}`,
    rail: `island${index}`,
    cores,
  }));
  const profile: MachineProfile = {
    ...omap4,
    description: `custom: islands of ${custom.islands.map((cores) => cores.length).join(" + ")} cores`,
    sources: [],
    ...custom.chip,
    name: custom.name ?? "custom",
    kinds: custom.kinds ?? [strongKind, weakKind],
    islands,
  };
  checkProfile(profile);
  return profile;
}

/** @throws RangeError that says what is wrong with a profile. */
export function checkProfile(profile: MachineProfile): void {
  const refuse = (problem: string): never => {
    throw new RangeError(`machine profile "${profile.name}": ${problem}`);
  };
  const kinds = new Set(profile.kinds.map(({ name }) => name));
  if (kinds.size !== profile.kinds.length) refuse("two kinds of cores have the same name");
  if (profile.islands.length === 0) refuse("there is no island");
  for (const island of profile.islands) {
    if (island.cores.length === 0) refuse(`island "${island.name}" has no core`);
    for (const core of island.cores) {
      if (!kinds.has(core)) refuse(`no kind of core is called "${core}"`);
    }
    const { coresPerNode = 1 } = island;
    if (!(coresPerNode >= 1) || island.cores.length % coresPerNode !== 0) {
      refuse(`the cores of island "${island.name}" do not make up whole memory nodes of ${coresPerNode}`);
    }
  }
  if (profile.islands.length > 1 && profile.spinlockCount < 1) refuse("its islands share no spinlock");
  for (const kind of profile.kinds) checkKind(kind, refuse);
  const { dma, network } = profile;
  const positive = { "DMA bandwidth": dma.bandwidth_MBps, "network bandwidth": network.bandwidth_MBps };
  for (const [what, value] of Object.entries(positive)) {
    if (!(value > 0 && Number.isFinite(value))) refuse(`${what} of ${value}`);
  }
  const notNegative = {
    "mailbox latency": profile.mailboxLatency_us,
    "interrupt latency": profile.interruptLatency_us,
    "DMA start-up": dma.startUp_us,
    "network latency": network.latency_us,
    spinlocks: profile.spinlockCount,
  };
  for (const [what, value] of Object.entries(notNegative)) {
    if (!(value >= 0 && Number.isFinite(value))) refuse(`${what} of ${value}`);
  }
}

function checkKind(kind: CoreKind, refuse: (problem: string) => never): void {
  if (!(kind.frequency_MHz > 0)) refuse(`"${kind.name}" runs at ${kind.frequency_MHz} MHz`);
  const { active, idle, inactive } = kind.power_mW;
  if (!(active >= idle && idle >= inactive && inactive >= 0)) {
    refuse(`"${kind.name}" takes ${active}, ${idle}, ${inactive} mW active, idle, inactive`);
  }
  if (!(kind.inactiveTimeout_ms >= 0))
    refuse(`"${kind.name}" has an inactive timeout of ${kind.inactiveTimeout_ms}`);
  const costs = [
    kind.cyclesPerInstruction,
    kind.cyclesPerAccess,
    kind.cyclesPerUncachedAccess,
    kind.cyclesPerByte,
    kind.interruptEntry_cycles,
    kind.pageFill_us,
    kind.wakeUp_us,
    ...Object.values(kind.coherence),
  ];
  if (!costs.every((cost) => cost >= 0 && Number.isFinite(cost)))
    refuse(`"${kind.name}" has a cost below zero`);
}
