/**
 * The standby estimate (K2, section 9.2). The paper extends the standby time that reference 41 reports by what light
 * tasks take less; how, it does not say. This is the simplest way that uses only what its text gives:
 *
 * A phone in standby draws a base power, and each light task takes an energy besides. Section 2.1 says that one
 * background download of mail costs ten minutes of standby: as much energy as the base draws in ten minutes. If one
 * happens every `interval`, light tasks are the share `cost / (cost + interval)` of everything. K2 divides that share
 * by its gain in energy efficiency.
 */
import { publishedStandby } from "./published.ts";

export const standbyInputs = {
  /** Published: standby time without K2. */
  before_days: publishedStandby.before_days,
  /** Published: standby that one download costs. */
  cost_minutes: 10,
  /** Assumed: a usual setting of mail programs. */
  interval_minutes: 15,
} as const;

/** Share of light tasks in the energy of standby. */
export function lightShare(): number {
  const { cost_minutes, interval_minutes } = standbyInputs;
  return cost_minutes / (cost_minutes + interval_minutes);
}

/** Standby time when light tasks take so many times less energy. */
export function standby_days(gain: number): number {
  return standbyInputs.before_days / (1 - lightShare() * (1 - 1 / gain));
}

/** The interval that would make the paper's own figures agree: 59 % longer with its gain. */
export function impliedInterval_minutes(gain: number): number {
  const { before_days, after_days } = publishedStandby;
  const share = (1 - before_days / after_days) / (1 - 1 / gain);
  return standbyInputs.cost_minutes * (1 / share - 1);
}
