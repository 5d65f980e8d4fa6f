/** What all suites share: medians of interleaved rounds. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Measures each candidate `rounds` times, taking turns, so that what disturbs one disturbs all. Medians by name. */
export async function interleaved(
  rounds: number,
  candidates: Readonly<Record<string, () => number | Promise<number>>>,
): Promise<Record<string, number>> {
  const samples: Record<string, number[]> = {};
  for (const name of Object.keys(candidates)) samples[name] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(candidates)) samples[name].push(await measure());
  }
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, median(values)]));
}

/** Nanoseconds one repetition of `body(count)` takes. */
export function perRepetition_ns(count: number, body: (count: number) => void): number {
  const start = process.hrtime.bigint();
  body(count);
  return Number(process.hrtime.bigint() - start) / count;
}
