/** How a system's distributed shared memory is set up. The same for all its domains. */
import type { CoherenceCosts } from "../machine/profiles/profile.ts";
import type { TablesShape } from "./tables.ts";

/**
 * `two-state` is K2's: a page is with one domain, which may read and write it. `three-state` also lets any number of
 * domains read a page that nobody writes.
 */
export type Protocol = "two-state" | "three-state";

/**
 * When a domain serves the requests of others: `at-once`, before everything else (K2's shadow kernel), or in the
 * `bottom-half`, when the core is out of what it is doing (K2's main kernel).
 */
export type ServiceLevel = "at-once" | "bottom-half";

/** Ways to break the protocol, for tests of the tests. */
export type Mutation =
  | "skip-invalidate"
  | "skip-clean"
  | "drop-acknowledgement"
  | "wrong-owner"
  | "no-reader-invalidation";

export interface DsmOptions {
  readonly protocol: Protocol;
  readonly shape: TablesShape;
  /** By domain. Default: at once. */
  readonly serviceLevels?: readonly ServiceLevel[];
  /**
   * So long, at least, a domain that serves in the bottom half keeps a page that it has just got from another domain:
   * it gets some work done with it before the page goes back (the window of Mirage, Fleisch & Popek, SOSP 1989; K2's
   * main kernel puts requests off under high workloads). Default: 0.
   */
  readonly deferral_ns?: number;
  /** Which of the hardware's spinlocks are the protocol's. */
  readonly locks: { readonly first: number; readonly count: number };
  /** What the steps of the protocol take on a kind of core. */
  readonly costs: (coreKind: string) => CoherenceCosts;
  /** So long a core waits for an answer before it calls `unresponsive`. Default: ten seconds. */
  readonly answerTimeout_ns?: number;
  /**
   * A domain does not answer the calling core. Returns true when the core is to wait on, for example because the
   * domain was found dead and `recover` was called. Default: it is an error.
   */
  readonly unresponsive?: (domain: number, core: number) => boolean;
  /** May be set while the system runs. */
  mutation?: Mutation;
}
