/**
 * The sharing spectrum as a setting: where each service of a system keeps its state (K2, ASPLOS 2014, section 4.3;
 * DESIGN, "The sharing spectrum is a setting"). Service code is the same for every placement.
 */

/**
 * - `private`: the kernel's own; nothing is kept in step.
 * - `independent`: one instance for each kernel; instances agree by messages.
 * - `shadowed`: one state, every kernel runs the service on it; coherent memory inside an island, software distributed
 *   shared memory between islands.
 * - `proxied`: the primary kernel's; others ask it by request and reply.
 */
export type Placement = "private" | "independent" | "shadowed" | "proxied";

/** What each service can be, its usual placement first. */
const possible = {
  /** Processes, threads and what they wait for. */
  processes: ["shadowed"],
  /** Ready lists of the cores. Independent: a kernel puts threads only on lists of its own island. */
  scheduler: ["shadowed", "independent"],
  /** Interrupts of devices. Independent: by K2's two rules. Private: the primary kernel takes them all. */
  interrupts: ["private", "independent"],
  /** Physical pages. Independent: allocators with balloons under the meta-level manager. */
  pages: ["shadowed", "independent"],
  pipes: ["shadowed"],
  /** Name space, open files and the root file system. */
  files: ["shadowed", "proxied"],
  terminal: ["proxied", "shadowed"],
  dma: ["shadowed"],
  network: ["shadowed"],
} as const satisfies Readonly<Record<string, readonly Placement[]>>;

export type ServiceName = keyof typeof possible;
export type Placements = { readonly [Name in ServiceName]: (typeof possible)[Name][number] };

const serviceNames = Object.keys(possible) as ServiceName[];

/** Every service's usual placement. */
export const usualPlacements = Object.fromEntries(
  serviceNames.map((name) => [name, possible[name][0]]),
) as Placements;

/**
 * A preset's placements with some changed by name, for example by `--place pages=shadowed`.
 * @throws RangeError naming the service that does not exist or cannot be placed so, and what could be.
 */
export function placed(base: Placements, changes: Readonly<Record<string, string>>): Placements {
  const result: Record<string, string> = { ...base };
  for (const [name, placement] of Object.entries(changes)) {
    const service = serviceNames.find((known) => known === name);
    if (service === undefined)
      throw new RangeError(`no service is called ${name}; there are ${serviceNames.join(", ")}`);
    const choices: readonly string[] = possible[service];
    if (!choices.includes(placement))
      throw new RangeError(`service ${name} cannot be ${placement}; it can be ${choices.join(" or ")}`);
    result[name] = placement;
  }
  return result as Placements;
}
