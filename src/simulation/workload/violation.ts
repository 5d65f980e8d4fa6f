/** What a workload's checks find. */

export const violationKinds = [
  /** A job, or a process of one, has not ended in time: a lost wake-up, a deadlock. */
  "stuck",
  /** A program ended in a way, or wrote something, that it could not. */
  "outcome",
  /** Files do not hold what they must. */
  "content",
  /** Reads and writes of shared words, or operations on files, have no order that explains them. */
  "consistency",
  /** Pids are not unique, or a process is where it cannot be. */
  "process",
  /** More is in use than before. */
  "leak",
  /** The file system's structures are damaged. */
  "fileSystem",
  /** A call of the system's failed that must not. */
  "refused",
  /** A condition that the caller added does not hold. */
  "condition",
] as const;

export type ViolationKind = (typeof violationKinds)[number];

export interface Violation {
  readonly kind: ViolationKind;
  readonly text: string;
  /** Number of the action after which it was found, from 0. */
  readonly action: number;
}
