/**
 * How the memory that kernels share is kept in step on a machine: by hardware on one island, by software distributed
 * shared memory between several.
 */
import { Dsm, type DsmGuard, tablesBytes } from "../dsm/index.ts";
import type { Core } from "../machine/machine.ts";
import type { MachineProfile } from "../machine/profiles/profile.ts";
import { noCoherenceCosts } from "../machine/profiles/profile.ts";
import { cachePage_bytes, powerState } from "../machine/soc.ts";
import type { MemoryOptions, TypedMemory } from "../memory/index.ts";
import type { SystemConfiguration } from "./configuration.ts";

/** Memory is tracked in pieces of 1 MiB until a second island comes to use one (K2 maps unshared memory so). */
const section_pages = 256;
/**
 * So long the strong domain keeps a page at least that it has taken from a weak one. Chosen against K2's table 6 (two
 * kernels that drive the same DMA engine): without it, the strong domain waits for pages as often as the weak one does; longer
 * windows gain little there, and make the weak one wait longer. See docs/k2.md.
 */
const deferral_ns = 2e6;
/** Of the chip's spinlocks, the first are the protocol's. */
const spinlocks = 16;

/** Software coherence for a machine of several islands; null where there is nothing for it to do. */
export function makeDsm(
  profile: MachineProfile,
  configuration: SystemConfiguration,
  memory_bytes: number,
): Dsm | null {
  const { islandCount, weakIslands, coherence } = configuration;
  if (islandCount === 1) return null;
  const costs = new Map(profile.kinds.map((kind) => [kind.name, kind.coherence]));
  return new Dsm({
    protocol: coherence,
    shape: shapeOf(configuration, memory_bytes),
    // K2's asymmetry: who is weak never keeps the strong waiting longer than it must.
    serviceLevels: Array.from({ length: islandCount + 1 }, (_, island) =>
      weakIslands.length === 0 || weakIslands.includes(island) || island === islandCount
        ? "at-once"
        : "bottom-half",
    ),
    deferral_ns,
    locks: { first: 0, count: Math.min(spinlocks, profile.spinlockCount) },
    costs: (kind) => costs.get(kind) ?? noCoherenceCosts,
  });
}

function shapeOf({ islandCount }: SystemConfiguration, memory_bytes: number) {
  // The console looks on from a domain of its own.
  return {
    pageCount: Math.ceil(memory_bytes / cachePage_bytes),
    sectionPages: section_pages,
    domainCount: islandCount + 1,
  };
}

/** Bytes of uncached memory for what software coherence shares. */
export function coherenceTables_bytes(configuration: SystemConfiguration, memory_bytes: number): number {
  return configuration.islandCount === 1 ? 0 : tablesBytes(shapeOf(configuration, memory_bytes));
}

/** What a core has of the software coherence, if the machine needs any; attaching is its entry. */
export function joinCoherence(
  core: Core,
  dsm: Dsm | null,
  uncached: TypedMemory | undefined,
): DsmGuard | null {
  return dsm === null || uncached === undefined ? null : dsm.attach(core, uncached);
}

/** A core stops, and touches nothing shared any more: what its island has goes to whoever needs it. */
export function leaveCoherence(core: Core, dsm: Dsm | null, guard: DsmGuard | null): void {
  const { soc } = core;
  if (dsm === null || guard === null || soc === null) return;
  const island = soc.islandOfCore[core.id];
  const isLast = soc.islandOfCore.every(
    (of, other) => of !== island || other === core.id || soc.power.state(other) === powerState.off,
  );
  if (isLast) guard.release();
  else dsm.loseCore(island, core.id);
}

/** Options for the typed memory of a core's island, with the guard that its accesses need. */
export function memoryOptions(core: Core, dsmGuard: DsmGuard | null): MemoryOptions {
  const { soc } = core;
  if (soc === null) return {};
  const options = { guard: dsmGuard ?? soc.cache, waiting: core.waiting };
  if (dsmGuard === null) return options;
  return { ...options, poolGroups: soc.islandCount, poolGroup: soc.islandOfCore[core.id] };
}
