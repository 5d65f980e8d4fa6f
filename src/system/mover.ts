/** Moving processes between kernels, for the code that booted the system: asks, and waits for the answer. */
import { captureKind } from "../kernel/capture.ts";
import { errno } from "../kernel/errno.ts";
import { leastLoadedCore } from "../kernel/migration.ts";
import { copyMode, migrationArgument } from "../kernel/paging.ts";
import { text } from "../kernel/processes.ts";
import { closeCore } from "../kernel/protocol.ts";
import { processState } from "../kernel/state.ts";
import type { Services } from "../presets/services.ts";
import type { ConsoleCore } from "./console-core.ts";
import { SystemError } from "./errors.ts";

export interface MigrateOptions {
  /**
   * What becomes of the process's memory. Kernels of one island share it: then nothing needs to be copied ("none",
   * the default). "upfront": the process goes on when all of its memory was copied. "on-demand": it goes on at once,
   * and each page is copied when it is needed, or in the background; until the last one has come the process runs
   * somewhat slower.
   */
  readonly copy?: "none" | "upfront" | "on-demand";
}

const copyModes = { none: copyMode.none, upfront: copyMode.upfront, "on-demand": copyMode.onDemand } as const;

export class Mover {
  private readonly services: Services;
  private readonly console: ConsoleCore;

  constructor(services: Services, console: ConsoleCore) {
    this.services = services;
    this.console = console;
  }

  /**
   * Moves a process to a kernel. Resolves when the process is there.
   * @throws SystemError ESRCH (there is no such process, or it has ended meanwhile), ENODEV (no such kernel runs),
   * ENOTSUP (its program cannot be captured; the message says why), ENOMEM, ENOLINK (the kernel died). The process
   * goes on where it was.
   */
  async migrate(pid: number, kernel: number, { copy = "none" }: MigrateOptions = {}): Promise<void> {
    const { areas, table, captures } = this.services;
    const { processes } = areas;
    for (;;) {
      const slot = table.find(pid);
      if (slot < 0 || processes.state(slot) !== processState.running)
        throw this.refusal(-errno.SRCH, pid, kernel);
      const core = Number.isSafeInteger(kernel) ? leastLoadedCore(areas, kernel) : -errno.NODEV;
      if (core < 0) throw this.refusal(core, pid, kernel);
      if (processes.kernel(slot) === kernel) return;
      const queue = processes.exitQueue(slot);
      const ticket = captures.request(pid, captureKind.migrate, migrationArgument(core, copyModes[copy]));
      if (ticket === -errno.BUSY) {
        const isFree = () => (processes.captureClaims(slot) & captureKind.migrate) === 0 || undefined;
        await this.console.until(queue, isFree);
        continue;
      }
      if (ticket < 0) throw this.refusal(ticket, pid, kernel);
      const answer = () => captures.answerTo(slot, captureKind.migrate, ticket);
      const result = await this.console.until(queue, answer);
      // Another one asked right after us, and was answered before we looked.
      if (result === -errno.CANCELED) continue;
      if (result < 0) throw this.refusal(result, pid, kernel);
      return;
    }
  }

  /**
   * Moves the processes of a kernel to those that are left, each to the least loaded one, and has its cores take no
   * more. Those that cannot be moved stay. Resolves when nothing more can be done.
   */
  async evacuate(kernel: number, cores: readonly number[], others: readonly number[]): Promise<void> {
    const { table, areas, endpoint } = this.services;
    await Promise.all(cores.map((core) => endpoint.request(core, closeCore, {})));
    const load = (other: number) => areas.cores.load(leastLoadedCore(areas, other));
    const leaving = table.list().filter((one) => one.kernel === kernel && one.state !== "zombie");
    for (const { pid } of leaving) {
      const running = others.filter((other) => leastLoadedCore(areas, other) >= 0);
      if (running.length === 0) return;
      const target = running.reduce((best, other) => (load(other) < load(best) ? other : best));
      try {
        await this.migrate(pid, target);
      } catch (error) {
        // Its end is what the caller sees to next.
        if (!(error instanceof SystemError)) throw error;
      }
    }
  }

  private refusal(result: number, pid: number, kernel: number): SystemError {
    return new SystemError(result, `migrate process ${pid} to kernel ${kernel}: ${this.reason(result, pid)}`);
  }

  private reason(result: number, pid: number): string {
    switch (result) {
      case -errno.SRCH:
        return "there is no such process, or it has ended";
      case -errno.NODEV:
        return "that kernel does not run";
      case -errno.NOLINK:
        return "that kernel died or stopped in the middle; the process goes on where it was";
      case -errno.BUSY:
        return "it shares its memory with its parent or a child, which cannot be copied from under it";
      case -errno.NOENT:
        return "its program's file is gone or another one now, and is needed for pages on demand";
      case -errno.NOMEM:
        return "that kernel cannot take it; the process goes on where it was";
      case -errno.NOTSUP: {
        const slot = this.services.table.find(pid);
        const obstacle = slot < 0 ? "" : text(this.services.areas.processes.obstacle(slot));
        return `its program cannot be captured${obstacle === "" ? "" : `: ${obstacle}`}`;
      }
      default:
        return "the process goes on where it was";
    }
  }
}
