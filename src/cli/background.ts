/** The processes that the prompt has started and does not wait for. */
import type { Process } from "../system/process.ts";

export class BackgroundProcesses {
  /** By pid, as long as they run: settles when the end was reported. */
  private readonly running = new Map<number, Promise<void>>();

  /** Says which processes were started, and reports on standard error when each has ended. */
  add(started: readonly Process[]): void {
    process.stdout.write(`started ${started.map(({ pid }) => pid).join(", ")}\n`);
    for (const one of started) this.running.set(one.pid, this.follow(one));
  }

  /** Waits for one of them, or for all. @throws Error when there is no such process in the background. */
  async wait(pid: number | undefined): Promise<void> {
    if (pid === undefined) {
      await Promise.all(this.running.values());
      return;
    }
    const end = this.running.get(pid);
    if (end === undefined)
      throw new Error(`wait: no process ${pid} was started in the background, or it has ended`);
    await end;
  }

  private async follow(one: Process): Promise<void> {
    let report: string;
    try {
      const { message, exitCode } = await one.wait();
      report = message === "" ? `ended with exit code ${exitCode}` : message;
    } catch (error) {
      report = error instanceof Error ? error.message : String(error);
    }
    this.running.delete(one.pid);
    process.stderr.write(`process ${one.pid}: ${report}\n`);
  }
}
