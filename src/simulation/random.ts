/** Choices by weight, for generators of workloads. */
import type { Random } from "../machine/sim/random.ts";

/**
 * One of the keys of `weights`, each as often as its weight says. Weights of 0 are never picked.
 * @throws RangeError when all are 0.
 */
export function pickWeighted<K extends string>(random: Random, weights: Readonly<Record<K, number>>): K {
  const entries = Object.entries<number>(weights) as [K, number][];
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  let rest = random.below(total);
  for (const [key, weight] of entries) {
    if (rest < weight) return key;
    rest -= weight;
  }
  throw new RangeError("nothing was picked");
}
