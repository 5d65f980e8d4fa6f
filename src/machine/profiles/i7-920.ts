/** An Intel Core i7-920, the platform of the PK and UK kernels (Oikawa and others), hyper-threading off. */
import { computerChip, computerCore } from "./personal-computer.ts";
import type { CoreKind, MachineProfile } from "./profile.ts";

/** Power: 130 W for the package; in idle an assumption. Power management was disabled. */
const nehalemCore: CoreKind = {
  ...computerCore,
  name: "nehalem",
  frequency_MHz: 2_660,
  cache_bytes: 262_144,
  power_mW: { active: 32_500, idle: 10_000, inactive: 2_000 },
};

export const i7920: MachineProfile = {
  ...computerChip,
  name: "i7-920",
  description: "a Core i7-920 with four cores at 2.66 GHz, coherent",
  sources: [
    "Oikawa and others: Extending RTOS functionalities (PK and UK on xv6): Core i7-920, hyper-threading disabled",
    "Intel Core i7-920: four cores, 130 W thermal design power",
  ],
  kinds: [nehalemCore],
  islands: [{ name: "machine", rail: "package", cores: new Array<string>(4).fill(nehalemCore.name) }],
};
