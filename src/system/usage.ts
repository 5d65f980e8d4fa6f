/** What a system has in use, counted: for tests that look for leaks, and for people who size a system. */
import type { Services } from "../presets/services.ts";

/** Numbers of things in use, of the whole system; room that is left on the root file system. */
export interface SystemUsage {
  /** Processes, the ended ones included whose status nobody has collected yet. */
  readonly processes: number;
  /** Threads of processes, and waiting operations of the code that booted the system. */
  readonly threads: number;
  readonly waitQueues: number;
  readonly openFiles: number;
  readonly pipes: number;
  readonly sockets: number;
  /** Texts of `/proc` that are open. */
  readonly procTexts: number;
  /** Pages of 4 KiB given out for pipes, arguments and texts. */
  readonly pages: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
}

/** Counts now; while processes run, the numbers need not be of the same moment. */
export function usageOf({ areas, table, pages, root, network }: Services): SystemUsage {
  const { freeBlocks, freeInodes } = root().statistics();
  return {
    processes: table.list().length,
    threads: areas.threads.used(),
    waitQueues: areas.waitQueues.used(),
    openFiles: areas.openFiles.used(),
    pipes: areas.pipes.used(),
    sockets: network.used(),
    procTexts: areas.snapshots.used(),
    pages: pages.used(),
    freeBlocks,
    freeInodes,
  };
}
