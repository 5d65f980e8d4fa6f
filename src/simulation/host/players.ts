/**
 * Plays scenarios in threads: several at a time, and a system that does not come to an end is ended from outside. What
 * happens in a scenario does not depend on the thread, or on what the thread has played before.
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { PlayResult } from "../play.ts";
import type { Scenario } from "../scenario.ts";

export interface PlayOrder {
  readonly scenario: Scenario;
  readonly cacheDirectory: string | false | undefined;
}

export interface PlayersOptions {
  /** Scenarios that are played at a time. */
  readonly count: number;
  /** Real time that a scenario may take; then it counts as a violation. */
  readonly limit_ms?: number;
  readonly cacheDirectory?: string | false;
}

/** A hundred times what a scenario takes. */
const defaultLimit_ms = 120_000;

export class Players implements AsyncDisposable {
  private readonly options: PlayersOptions;
  private readonly idle: Worker[] = [];
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(options: PlayersOptions) {
    this.options = options;
    this.free = options.count;
  }

  /** Plays a scenario as soon as there is a thread for it. */
  async play(scenario: Scenario): Promise<PlayResult> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    const worker =
      this.idle.pop() ?? new Worker(new URL(`./player-worker${extname(import.meta.url)}`, import.meta.url));
    try {
      return await this.playOn(worker, scenario);
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free++;
      else next();
    }
  }

  private async playOn(worker: Worker, scenario: Scenario): Promise<PlayResult> {
    const { cacheDirectory, limit_ms = defaultLimit_ms } = this.options;
    const { promise, resolve } = Promise.withResolvers<PlayResult>();
    const end = (violation: string): void => resolve(failedPlay(scenario, violation));
    const failed = (error: unknown): void =>
      end(`thread: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    const timer = setTimeout(
      () => end(`hang: it goes on for more than ${limit_ms / 1000} s of real time`),
      limit_ms,
    );
    worker.once("message", resolve);
    worker.once("error", failed);
    worker.postMessage({ scenario, cacheDirectory } satisfies PlayOrder);
    const result = await promise;
    clearTimeout(timer);
    worker.off("message", resolve);
    worker.off("error", failed);
    // Whatever goes on in a thread whose scenario has failed is not to disturb another one.
    if (result.violations.length === 0) this.idle.push(worker);
    else await worker.terminate();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.idle.splice(0).map((worker) => worker.terminate()));
  }
}

function failedPlay({ seed }: Scenario, violation: string): PlayResult {
  const summary = `seed ${seed}\nviolation: ${violation}`;
  return { violations: [violation], digest: "", summary, events: 0, time_ns: 0, lastLines: [] };
}
