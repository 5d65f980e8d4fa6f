/**
 * The `fork` suite: what it costs a process to make a copy of itself, timed by the program itself
 * (`programs/forks.c`). The peer `native` is the same program under this computer's own kernel, which copies pages
 * only when they are written to; ours copies what is in use, at once.
 */
import { boot } from "../src/index.ts";
import { buildNative, programSource, runNative } from "./peers/native.ts";
import { Workspace } from "./peers/workspace.ts";
import type { Row } from "./row.ts";
import { interleaved } from "./statistics.ts";

const rounds = 9;

interface Measurement {
  readonly name: string;
  /** Arguments of the program: mode, size of the process in kB, how many forks. */
  readonly words: readonly [string, number, number];
  readonly target: string | null;
}

const measurements: readonly Measurement[] = [
  { name: "fork, 64 kB in use", words: ["fork", 64, 500], target: null },
  { name: "fork, 1 MB in use", words: ["fork", 900, 500], target: "100 µs" },
  { name: "fork, 1 MB, while all children live", words: ["kept", 900, 300], target: null },
  { name: "fork, 16 MB in use", words: ["fork", 16_000, 50], target: null },
  { name: "fork, end and wait, 1 MB", words: ["whole", 900, 500], target: null },
  { name: "fork without a copy (vfork), end of the child", words: ["borrow", 900, 500], target: null },
];

export async function suite(): Promise<Row[]> {
  using workspace = new Workspace();
  const native = buildNative(["forks"], workspace.programs)?.get("forks");
  await using system = await boot({ programs: { forks: programSource("forks.wasm") } });
  const rows: Row[] = [];
  for (const { name, words, target } of measurements) {
    const measured: Record<string, () => Promise<number>> = {
      async ours() {
        const { exitCode, stdout, message } = await system.run("forks", words.map(String), { kernel: 0 });
        if (exitCode !== 0) throw new Error(`${name}: exit code ${exitCode} ${message}`);
        return Number(stdout) / 1000;
      },
    };
    if (native !== undefined) {
      measured.native = async () => Number(await runNative(native, words.map(String))) / 1000;
    }
    await interleaved(1, measured);
    const { ours, ...peers } = await interleaved(rounds, measured);
    rows.push({ name, unit: "µs", better: "lower", ours, peers, published: null, target });
  }
  return rows;
}
