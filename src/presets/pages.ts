/** The page service in both of its placements: one allocator for all kernels, or one for each with balloons. */
import type { Core, OperatorLog } from "../machine/machine.ts";
import { corePower, interruptLine } from "../machine/machine.ts";
import type { TypedMemory } from "../memory/index.ts";
import type { Endpoint } from "../message/index.ts";
import { IndependentPages } from "../services/pages/independent-pages.ts";
import type { PageService } from "../services/pages/page-service.ts";
import { Pages } from "../services/pages/pages.ts";
import { consoleCoreOf, type SystemConfiguration } from "./configuration.ts";

const name = "pages";
const page_bytes = 4096;

export interface PagesParts {
  readonly core: Core;
  readonly configuration: SystemConfiguration;
  readonly memory: TypedMemory;
  readonly owner: number;
  readonly log: OperatorLog;
}

/** Kernels with a page allocator of their own: the console is one of them, after the last. */
function allocatorsOf({ kernelOfCore }: SystemConfiguration): number {
  return Math.max(...kernelOfCore) + 2;
}

/** Creates what kernels share of the page service. @param base where the pages begin. */
export function createPages(memory: TypedMemory, configuration: SystemConfiguration, base: number): void {
  const count = Math.floor(configuration.pageMemory_bytes / page_bytes);
  if (configuration.placements.pages === "shadowed") Pages.create(memory, { name, base, count, owner: 1 });
  else IndependentPages.create(memory, { name, base, count, kernels: allocatorsOf(configuration) });
}

/** The allocator of a core: its kernel's. The console has one of its own. */
function allocatorOf(configuration: SystemConfiguration, core: number): number {
  return configuration.kernelOfCore[core] ?? allocatorsOf(configuration) - 1;
}

/** This core's object for the page service. */
export function attachPages(parts: PagesParts): PageService {
  const { core, configuration, memory, owner, log } = parts;
  if (configuration.placements.pages === "shadowed") return Pages.attach(memory, name, owner);
  const kernel = allocatorOf(configuration, core.id);
  return IndependentPages.attach(memory, {
    name,
    kernel,
    owner,
    raise: () => core.interrupt(core.id, interruptLine.background),
    report: (fault) => log(`core ${core.id}: pages: ${JSON.stringify(fault)}`),
  });
}

/** A core's allocator meets those of the other kernels, and gets its first page block if its kernel is new. */
export function startPages(pages: PageService, endpoint: Endpoint, parts: PagesParts): void {
  if (!(pages instanceof IndependentPages)) return;
  const { core, configuration } = parts;
  const console = consoleCoreOf(configuration);
  pages.connect({
    endpoint,
    addressOf: (kernel) =>
      kernel === allocatorsOf(configuration) - 1
        ? console
        : configuration.kernelOfCore.findIndex(
            (of, other) => of === kernel && core.power(other) === corePower.on,
          ),
    kernelOf: (address) => allocatorOf(configuration, address),
  });
  if (pages.usage().blocks === 0) pages.start();
}
