/**
 * Fork: a process asks for a copy of itself, and both go on from the same system call.
 *
 * 1. `proc_fork` asks for a capture of its own process and returns BLOCKED.
 * 2. The context is captured. `Forks` makes the child: slot, pid and thread, the same open files, a copy of the
 *    memory, and a context of the same program on the same core.
 * 3. Both are resumed, and both repeat the call: it gives the child's pid in the parent and 0 in the child.
 *
 * Without a copy of the memory (as with vfork), the child runs in the parent's, and nothing is copied at all. The
 * parent's call then waits until the child ends or another program takes its place: `lentTo` of the parent names the
 * child, `borrows` of the child says that it is not done. A child that borrows does not lend: its own
 * children get copies.
 */
import type { ContextState } from "../engine/index.ts";
import type { Core } from "../machine/machine.ts";
import type { Areas } from "./areas.ts";
import { captureKind } from "./capture.ts";
import { errno } from "./errno.ts";
import type { Personality } from "./personality.ts";
import { type ProcessTable, text } from "./processes.ts";
import type { ProgramRunner } from "./program-runner.ts";
import type { RunningProcess } from "./running-process.ts";
import { migratability } from "./state.ts";

export interface ForkParts {
  readonly core: Core;
  readonly areas: Areas;
  readonly table: ProcessTable;
  readonly personality: Personality;
  readonly runner: ProgramRunner;
}

/** One core's part in forking. */
export class Forks {
  private readonly parts: ForkParts;

  constructor(parts: ForkParts) {
    this.parts = parts;
    const { handlers } = parts.runner;
    handlers.register(captureKind.fork, (process, state, copies) => {
      handlers.answer(process, captureKind.fork, this.fork(process, state, copies !== 0));
      return "resume";
    });
  }

  /** Makes a child of a captured process. Its pid, or a negated errno: −AGAIN (table full), −NOMEM. */
  private fork(process: RunningProcess, state: ContextState, copies: boolean): number {
    const { areas, table, runner, personality } = this.parts;
    const { processes, system } = areas;
    const { slot } = process;
    // Who shuts the system down looks for processes to end: there shall be an end to them.
    if (system.shutdown(0) !== 0) return -errno.AGAIN;
    const child = this.allocate(process);
    if (child < 0) return child;
    personality.copyFiles(slot, child);
    const lends = !copies && processes.borrows(slot) === 0;
    const captured = process.captured(state);
    const memory = lends ? captured.memory : runner.copyMemory(captured);
    const pid = processes.pid(child);
    const thread = processes.thread(child);
    const call = { kind: captureKind.fork, result: 0 };
    if (memory === undefined || !this.adopt({ ...captured, slot: child, thread, pid, memory, call })) {
      personality.releaseFiles(child);
      table.abandon(child);
      return -errno.NOMEM;
    }
    processes.setMigratable(child, migratability.yes);
    if (lends) {
      processes.setBorrows(child, 1);
      processes.setLentTo(slot, pid);
    }
    processes.setChildren(slot, processes.children(slot) + 1);
    table.launch(child);
    return pid;
  }

  private allocate({ slot, pid }: RunningProcess): number {
    const { core, table, areas } = this.parts;
    const { processes } = areas;
    return table.allocate({
      kernel: processes.kernel(slot),
      core: core.id,
      parent: pid,
      priority: processes.priority(slot),
      detached: false,
      name: text(processes.name(slot)),
      argumentOffset: 0,
      argumentOrder: 0,
      memoryLimitPages: processes.memoryLimitPages(slot),
      clockOffset_ns: processes.clockOffset_ns(slot),
    });
  }

  /** False when the host has no room for another context. */
  private adopt(captured: Parameters<ProgramRunner["adopt"]>[0]): boolean {
    try {
      this.parts.runner.adopt(captured);
      return true;
    } catch {
      return false;
    }
  }
}
