/** The other thread of `interrupt.test.ts`: runs an endless program again and again, and says when. */
import { parentPort, workerData } from "node:worker_threads";
import { linkInstrumented } from "./plain-host.ts";

export interface InterruptWork {
  readonly module: WebAssembly.Module;
  readonly control: WebAssembly.Memory;
  readonly rounds: number;
  /** How often a poll suspends the program, before one ends it. */
  readonly suspensions: number;
}

/** Words of the control page behind the poll word. */
export const word = { started: 1, ended: 2, suspended: 3 } as const;

async function work({ module, control, rounds, suspensions }: InterruptWork): Promise<void> {
  const words = new Int32Array(control.buffer);
  let left = suspensions;
  const hooks = {
    interrupt: () => {
      Atomics.store(words, 0, 0);
      return left-- > 0 ? 1 : 2;
    },
    suspend: async () => {
      Atomics.add(words, word.suspended, 1);
    },
  };
  const { exports } = linkInstrumented(module, hooks, {}, control);
  const run = WebAssembly.promising(exports.run);
  for (let round = 1; round <= rounds; round++) {
    left = suspensions;
    Atomics.store(words, word.started, round);
    try {
      await run();
      parentPort?.postMessage("the program returned");
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    }
    Atomics.store(words, word.ended, round);
  }
}

if (parentPort !== null) await work(workerData as InterruptWork);
