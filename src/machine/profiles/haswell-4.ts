/** A four-core Haswell without hyper-threading, the platform of Barrelfish/DC. */
import { computerChip, computerCore } from "./personal-computer.ts";
import type { CoreKind, MachineProfile } from "./profile.ts";

/** The slides name the family only; clock and power are those of a Xeon E3-1275 v3 (3.5 GHz, 84 W). */
const haswellCore: CoreKind = {
  ...computerCore,
  name: "haswell",
  frequency_MHz: 3_500,
  cyclesPerInstruction: 0.6,
  cache_bytes: 262_144,
  power_mW: { active: 21_000, idle: 3_000, inactive: 300 },
};

export const haswell4: MachineProfile = {
  ...computerChip,
  name: "haswell-4",
  description: "a Haswell with four cores at 3.5 GHz, coherent",
  sources: [
    "Zellweger, Gerber, Kourtis, Roscoe: Decoupling cores, kernels and operating systems (OSDI 2014): Haswell, 1x4 cores",
    "Intel Xeon E3-1275 v3: 3.5 GHz, 84 W thermal design power",
  ],
  kinds: [haswellCore],
  islands: [{ name: "machine", rail: "package", cores: new Array<string>(4).fill(haswellCore.name) }],
};
