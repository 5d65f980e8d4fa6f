/** From a program's file to what a process is made of: the loaded program and its memory, or why there is none. */
import type { Program, ProgramLoader, ProgramMemory } from "../engine/index.ts";
import type { Areas } from "./areas.ts";
import type { CaptureService } from "./capture.ts";
import { errno, errnoName } from "./errno.ts";
import { pinnedObstacle } from "./nightwatch-state.ts";
import { failed, messageOf, type Outcome } from "./outcome.ts";
import type { Executable } from "./personality.ts";
import { clip, startFailure } from "./processes.ts";
import { migratability } from "./state.ts";
import type { WaitService } from "./wait.ts";

/** Room for the text that says why a program cannot be captured. */
const obstacle_bytes = 127;

export interface LoadingParts {
  readonly core: { readonly id: number };
  readonly areas: Areas;
  readonly waits: WaitService;
  readonly captures: CaptureService;
  readonly loader: ProgramLoader;
}

/** One core's. */
export class ProgramLoading {
  private readonly parts: LoadingParts;
  /** Programs this core has loaded, by the identity of their file. A cache. */
  private readonly programs = new Map<string, Program>();

  constructor(parts: LoadingParts) {
    this.parts = parts;
  }

  /** The program of a file that was found at a path, or with a negated errno not; or how the process ends. */
  load(executable: Executable | number, path: string): Program | Outcome {
    if (typeof executable === "number") {
      if (executable === -errno.NOENT)
        return failed(startFailure.notFound, `${path}: there is no such program`);
      return failed(startFailure.notExecutable, `${path} cannot be run: ${errnoName(executable)}`);
    }
    const known = this.programs.get(executable.identity);
    if (known !== undefined) return known;
    const { areas, core, waits } = this.parts;
    areas.cores.setDeaf(core.id, 1);
    try {
      const program = this.parts.loader.load(executable.read());
      if (executable.isSettled) this.programs.set(executable.identity, program);
      return program;
    } catch (error) {
      return failed(startFailure.notExecutable, `${path}: ${messageOf(error)}`);
    } finally {
      areas.cores.setDeaf(core.id, 0);
      waits.wake(areas.cores.deafQueue(core.id));
    }
  }

  /** Says in the process's record whether it can be captured; who has asked already is told now. */
  noteMigratable(slot: number, { migratable, obstacle }: Program): void {
    const { areas, captures } = this.parts;
    const isPinned = areas.processes.pinned(slot) !== 0;
    const reason = obstacle === "" && isPinned ? pinnedObstacle : obstacle;
    const isFree = migratable && !isPinned;
    areas.processes.setObstacle(slot, clip(reason, obstacle_bytes));
    areas.processes.setMigratable(slot, isFree ? migratability.yes : migratability.no);
    if (!isFree) captures.refuseAll(slot, -errno.NOTSUP);
  }
}

/** A fresh memory for a program that may have so many pages, or a text that says why there is none. */
export function makeMemory(wanted: ProgramMemory, limit_pages: number): WebAssembly.Memory | string {
  if (wanted.wide) return "its memory has 64-bit addresses, which WASI has no calls for";
  if (wanted.initial > limit_pages) {
    return `it needs ${wanted.initial} pages of memory at the start, and may have ${limit_pages}`;
  }
  try {
    return new WebAssembly.Memory({ initial: wanted.initial, maximum: wanted.maximum, shared: true });
  } catch {
    return `there is no memory for its first ${wanted.initial} pages`;
  }
}
