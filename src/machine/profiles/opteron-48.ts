/** Four AMD Opteron 6164 HE, the platform of Popcorn Linux: 48 cores, eight memory nodes, one coherent island. */
import { computerChip, computerCore } from "./personal-computer.ts";
import type { CoreKind, MachineProfile } from "./profile.ts";

/** Power: 65 W for a package of twelve cores (the vendor's average CPU power), a third of it in idle (assumed). */
const opteronCore: CoreKind = {
  ...computerCore,
  name: "opteron-6164",
  frequency_MHz: 1_700,
  cyclesPerInstruction: 1,
  cache_bytes: 524_288,
  power_mW: { active: 5_400, idle: 1_800, inactive: 500 },
};

/** Cores of one memory node; nodes are consecutive. */
const coresPerNode = 6;
const nodeCount = 8;

export const opteron48: MachineProfile = {
  ...computerChip,
  name: "opteron-48",
  description: "four Opteron 6164 HE at 1.7 GHz: 48 cores in 8 memory nodes, coherent",
  sources: [
    "Barbalace, Murray, Lyerly, Ravindran: Towards operating system support for heterogeneous-ISA platforms (2014)",
    "AMD Opteron 6100 series: 65 W average CPU power for the HE models, 512 KB of second-level cache per core",
  ],
  kinds: [opteronCore],
  islands: [
    {
      name: "machine",
      rail: "packages",
      cores: new Array<string>(coresPerNode * nodeCount).fill(opteronCore.name),
      coresPerNode,
    },
  ],
  // Often across packages.
  interruptLatency_us: 1,
};
