/** Looks at boot options about the machine that a type cannot vouch for: they may come from a file, or from JavaScript. */
import { checkProfile, type MachineProfile, profileOf } from "../machine/profiles/index.ts";
import { type Preset, presets } from "../presets/configuration.ts";
import type { BootOptions } from "./options.ts";

/** The preset of a name, the usual one unless given. @throws RangeError naming those that there are. */
export function presetOf(name: unknown = "multikernel"): Preset {
  if (typeof name !== "string" || !Object.hasOwn(presets, name)) {
    throw new RangeError(
      `no preset is called ${describe(name)}; there are ${Object.keys(presets).join(", ")}`,
    );
  }
  return presets[name];
}

/** The profile of a machine that is named or described; null for the host. @throws RangeError that says what is wrong. */
export function machineOf(machine: unknown): MachineProfile | null {
  if (machine === "host") return null;
  if (typeof machine === "string") return profileOf(machine);
  if (!isProfile(machine))
    throw new RangeError(`machine: ${describe(machine)} is neither a machine's name nor a profile`);
  checkProfile(machine);
  return machine;
}

/** As much of the shape as `checkProfile` builds on. */
function isProfile(value: unknown): value is MachineProfile {
  const fields = recordOf(value);
  const { name, kinds, islands } = fields;
  return (
    typeof name === "string" &&
    Array.isArray(kinds) &&
    kinds.every(
      (kind) => isRecord(kind) && ["power_mW", "coherence"].every((part) => isRecord(kind[part])),
    ) &&
    Array.isArray(islands) &&
    islands.every((island) => Array.isArray(recordOf(island).cores)) &&
    isRecord(fields.dma) &&
    isRecord(fields.network)
  );
}

/** @throws RangeError for options about simulated machines that make no sense. */
export function checkSimulationOptions({ seed, coherence, placements, weakKernels }: BootOptions): void {
  if (seed !== undefined && typeof seed !== "string" && !Number.isFinite(seed))
    throw new RangeError(`seed: ${describe(seed)} is neither a number nor a text`);
  if (coherence !== undefined && coherence !== "two-state" && coherence !== "three-state")
    throw new RangeError(`coherence: ${describe(coherence)} is neither two-state nor three-state`);
  if (placements !== undefined && !isRecord(placements))
    throw new RangeError(`placements: ${describe(placements)} does not name services`);
  if (weakKernels !== undefined && !Array.isArray(weakKernels))
    throw new RangeError(`weakKernels: ${describe(weakKernels)} is no list of kernels`);
}

/** @throws RangeError for a kernel that the system does not have. */
export function checkKernels(
  option: string,
  wanted: readonly number[],
  kernelOfCore: readonly number[],
): void {
  for (const kernel of wanted) {
    if (!kernelOfCore.includes(kernel))
      throw new RangeError(
        `${option}: there is no kernel ${describe(kernel)}; the last is ${kernelOfCore.at(-1)}`,
      );
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}

/** A value in few words. */
function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "string" ? `"${value}"` : String(value);
}
