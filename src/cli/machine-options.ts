/**
 * The options that say what a system runs on: preset, machine, cores, placements, coherence, seed. They are looked at
 * together, because what one may be depends on the others, and before anything is booted, so that the message can name
 * the option.
 */
import { type MachineProfile, profileNames, profileOf } from "../machine/profiles/index.ts";
import { type CoherenceProtocol, presets } from "../presets/configuration.ts";
import { placed } from "../presets/placements.ts";
import type { BootOptions } from "../system/options.ts";
import { UsageError } from "./usage-error.ts";

/** The options as they were written; undefined where they were not. */
export interface MachineWords {
  readonly preset: string | undefined;
  readonly machine: string | undefined;
  readonly cores: number | undefined;
  readonly seed: string | undefined;
  readonly place: readonly string[];
  readonly coherence: string | undefined;
}

const coherenceProtocols: readonly CoherenceProtocol[] = ["two-state", "three-state"];

/** @throws UsageError that names the option and says what there is. */
export function machineOptions(
  words: MachineWords,
): Pick<BootOptions, "preset" | "machine" | "cores" | "seed" | "placements" | "coherence"> {
  const { preset: presetName = "multikernel", seed } = words;
  if (!Object.hasOwn(presets, presetName))
    throw new UsageError(`--preset ${presetName}: there are ${Object.keys(presets).join(", ")}`);
  const preset = presets[presetName];
  const profile = profileNamed(words.machine ?? preset.machine);
  checkCores(words.cores, profile);
  if (seed === "") throw new UsageError("--seed: give a number, or any text");
  if (seed !== undefined && profile === null)
    throw new UsageError(`--seed ${seed}: nothing is left to chance on the host; choose a --machine`);
  const placements = Object.fromEntries(words.place.map(parsePlacement));
  for (const [service, where] of Object.entries(placements)) {
    try {
      placed(preset.placements, { [service]: where });
    } catch (error) {
      if (error instanceof RangeError) throw new UsageError(`--place ${service}=${where}: ${error.message}`);
      throw error;
    }
  }
  return {
    preset: words.preset,
    machine: words.machine,
    cores: words.cores,
    seed,
    placements,
    coherence: coherenceNamed(words.coherence, profile),
  };
}

/** Null for the host. */
function profileNamed(name: string): MachineProfile | null {
  if (name === "host") return null;
  if (!profileNames.includes(name))
    throw new UsageError(`--machine ${name}: there are host, ${profileNames.join(", ")}`);
  return profileOf(name);
}

function checkCores(cores: number | undefined, profile: MachineProfile | null): void {
  if (cores === undefined) return;
  if (cores < 1) throw new UsageError(`--cores ${cores}: at least one is needed`);
  if (profile === null) return;
  const all = profile.islands.reduce((sum, island) => sum + island.cores.length, 0);
  if (cores > all) throw new UsageError(`--cores ${cores}: the machine ${profile.name} has ${all}`);
}

function parsePlacement(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`--place ${text}: write it as SERVICE=WHERE, for example pages=shadowed`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function coherenceNamed(
  name: string | undefined,
  profile: MachineProfile | null,
): CoherenceProtocol | undefined {
  if (name === undefined) return undefined;
  const protocol = coherenceProtocols.find((known) => known === name);
  if (protocol === undefined)
    throw new UsageError(`--coherence ${name}: there are ${coherenceProtocols.join(" and ")}`);
  if (profile === null || profile.islands.length === 1) {
    const what = profile === null ? "the host" : `the machine ${profile.name}`;
    throw new UsageError(`--coherence ${name}: ${what} keeps all of its memory in step by itself`);
  }
  return protocol;
}
