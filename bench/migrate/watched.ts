/** A process that says for how long it stood still: see `pause.c`. */
import { fileURLToPath } from "node:url";
import type { Archipelago } from "../../src/system/archipelago.ts";
import type { Process } from "../../src/system/process.ts";

export const pauseProgram: string = fileURLToPath(new URL("pause.wasm", import.meta.url));

const settle_ms = 10;
/** It is itself again when it says so this much after the end of what was done to it. */
const aftermath_ns = 2_000_000;
const patience_ms = 20_000;

interface Pause {
  readonly end_ns: number;
  readonly length_ns: number;
}

export class Watched implements AsyncDisposable {
  readonly process: Process;
  private readonly system: Archipelago;
  private readonly pauses: Pause[] = [];
  private readonly ready: Promise<void>;

  private constructor(system: Archipelago, process: Process) {
    this.system = system;
    this.process = process;
    this.ready = new Promise((resolve, reject) => {
      this.follow(resolve).catch(reject);
    });
  }

  /** Starts it on kernel 0. Resolves when its heap is filled, and its stack about to be deep. */
  static async start(system: Archipelago, heap_mb: number, frames: number): Promise<Watched> {
    const words = [String(heap_mb), String(frames)];
    const watched = new Watched(system, await system.spawn("pause", words, { kernel: 0, stderr: "null" }));
    await watched.ready;
    await watched.alive(watched.now_ns() + aftermath_ns);
    return watched;
  }

  private async follow(ready: () => void): Promise<void> {
    if (this.process.stdout === null) throw new Error("it has no output");
    let rest = "";
    for await (const chunk of this.process.stdout) {
      rest += new TextDecoder().decode(chunk);
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [end_ns, length_ns] = line.split(" ").map(Number);
        this.pauses.push({ end_ns, length_ns });
      }
      ready();
    }
    ready();
  }

  /**
   * Does something to it: the longest that it stood still meanwhile, in milliseconds. Other pauses, which a busy
   * computer makes, are not counted. NaN if it noticed nothing.
   */
  async longestPause_ms(act: () => Promise<unknown>): Promise<number> {
    this.pauses.length = 0;
    const from_ns = this.now_ns();
    await act();
    const to_ns = this.now_ns();
    await this.alive(to_ns + aftermath_ns);
    const meanwhile = this.pauses.filter(
      ({ end_ns, length_ns }) => end_ns >= from_ns && end_ns - length_ns <= to_ns,
    );
    const longest_ns = Math.max(0, ...meanwhile.map(({ length_ns }) => length_ns));
    return longest_ns === 0 ? Number.NaN : longest_ns / 1e6;
  }

  /** Resolves when it has said something at or after a time; it says all in order. */
  private async alive(since_ns: number): Promise<void> {
    const from_ms = performance.now();
    while (!this.pauses.some(({ end_ns }) => end_ns >= since_ns)) {
      if (performance.now() - from_ms > patience_ms) throw new Error("it does not go on");
      await settled();
    }
  }

  /** Resolves when all of its memory has come: how long that takes from `from_ms` on, in milliseconds. */
  async allPages_ms(from_ms: number): Promise<number> {
    const { processes } = this.system["services"].areas;
    const { table } = this.system["services"];
    while (processes.missingPages(table.find(this.process.pid)) > 0) {
      if (performance.now() - from_ms > patience_ms) throw new Error("its memory does not come");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return performance.now() - from_ms;
  }

  /** Time as the process sees it. */
  private now_ns(): number {
    return this.system["machine"].console.clock.monotonic_ns();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill();
    await this.process.wait();
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, settle_ms));
}
