/**
 * One core's part in moving memory: what the source decides before it offers a process with a copy of its memory
 * (`transfer`), how the target receives that memory (`receive`), and the background that brings the missing pages
 * of this core's processes (`alarm`).
 */

import type { Program, ProgramLoader } from "../engine/index.ts";
import { PageMovers } from "../engine/paged/index.ts";
import type { Areas } from "./areas.ts";
import type { CapturedProcess, MemoryTransfer } from "./captured-process.ts";
import { isLent } from "./children.ts";
import { errno } from "./errno.ts";
import { PagedMemory } from "./paged-memory.ts";
import type { Personality } from "./personality.ts";
import type { ProgramMemories } from "./program-memories.ts";
import type { RunningProcess } from "./running-process.ts";

const programPage_bytes = 65_536;

/** How a process's memory gets to the target: the upper half of the argument of a request to migrate. */
export const copyMode = {
  /** Not at all: both kernels are on one island, and share it. */
  none: 0,
  upfront: 1,
  onDemand: 2,
} as const;

const modeShift = 16;
const coreMask = 0xffff;

/** The argument of a request to migrate. */
export function migrationArgument(core: number, mode: number): number {
  return ((mode << modeShift) | core) >>> 0;
}

/** The core and the copy mode in such an argument. */
export function decodeMigration(argument: number): { readonly target: number; readonly mode: number } {
  return { target: argument & coreMask, mode: argument >>> modeShift };
}

/** What an arriving process runs with. */
export interface ReceivedMemory {
  readonly memory: WebAssembly.Memory | null;
  /** The program, or its page-checked variant. */
  readonly variant: Program;
  readonly paging: PagedMemory | undefined;
}

export interface PagingParts {
  readonly areas: Areas;
  readonly personality: Personality;
  readonly loader: ProgramLoader;
}

export class Paging {
  private readonly parts: PagingParts;
  private readonly memories: ProgramMemories;
  private readonly movers = new PageMovers();
  /** Processes of this core that miss pages. */
  private readonly watched = new Set<RunningProcess>();

  constructor(parts: PagingParts, memories: ProgramMemories) {
    this.parts = parts;
    this.memories = memories;
  }

  /**
   * How the memory of a process is to travel; undefined when it is handed over as it is. A negated errno: −BUSY when
   * the process shares its memory with a child or its parent, −NOENT when the page-checked variant cannot be
   * made because the program's file is gone or is another one now, −INVAL for an unknown mode.
   */
  transfer(captured: CapturedProcess, mode: number): MemoryTransfer | undefined | number {
    if (mode === copyMode.none || captured.memory === null) return undefined;
    const { loader, areas } = this.parts;
    const { slot, program } = captured;
    if (areas.processes.borrows(slot) !== 0 || isLent(areas.processes, slot)) return -errno.BUSY;
    switch (mode) {
      case copyMode.upfront:
        return { kind: "upfront" };
      case copyMode.onDemand: {
        const checked = loader.pageChecked(program, () => this.programFile(captured.path));
        return checked === undefined ? -errno.NOENT : { kind: "on-demand", checked };
      }
      default:
        return -errno.INVAL;
    }
  }

  private programFile(path: string): Uint8Array | undefined {
    const executable = this.parts.personality.findExecutable(path);
    return typeof executable === "number" ? undefined : executable.read();
  }

  /** @throws RangeError when the host has no memory left. */
  receive({ memory, program, transfer }: CapturedProcess): ReceivedMemory {
    if (transfer === undefined || memory === null) return { memory, variant: program, paging: undefined };
    const maximum = program.memory?.maximum ?? memory.buffer.byteLength / programPage_bytes;
    if (transfer.kind === "upfront") {
      const copy = this.memories.copy(memory, maximum);
      if (copy === undefined) throw new RangeError("there is no memory left");
      return { memory: copy, variant: program, paging: undefined };
    }
    const initial = memory.buffer.byteLength / programPage_bytes;
    const target = new WebAssembly.Memory({ initial, maximum, shared: true });
    const variant = this.parts.loader.adoptPageChecked(transfer.checked);
    return { memory: target, variant, paging: new PagedMemory(memory, target, this.movers) };
  }

  /** A process is of this core from now on. */
  watch(process: RunningProcess): void {
    if (process.paging === undefined) return;
    this.watched.add(process);
    this.note(process, process.paging);
  }

  /** It has ended, or left. */
  forget(process: RunningProcess): void {
    this.watched.delete(process);
  }

  /** When `alarm` wants to be called; Infinity when nothing is missing. */
  get alarm_ns(): number {
    if (this.watched.size === 0) return Infinity;
    let earliest_ns = Infinity;
    for (const { paging } of this.watched) {
      if (paging !== undefined && paging.alarm_ns < earliest_ns) earliest_ns = paging.alarm_ns;
    }
    return earliest_ns;
  }

  /** Brings some pages of each process that misses any. Who has all is captured, to go on in the fast variant. */
  alarm(now_ns: number): void {
    for (const process of this.watched) {
      const { paging } = process;
      paging?.prefetch(now_ns);
      if (paging === undefined || paging.isComplete) this.watched.delete(process);
      else this.note(process, paging);
    }
  }

  /** Says in the process's record how much is missing. */
  private note({ slot }: RunningProcess, { missing_pages }: PagedMemory): void {
    this.parts.areas.processes.setMissingPages(slot, Math.max(1, missing_pages));
  }
}
