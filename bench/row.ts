/** One line of a benchmark table: our median beside the medians of peers measured in the same run. */
export interface Row {
  name: string;
  /** Unit of `ours` and `peers`, for example "ns/op". */
  unit: string;
  better: "lower" | "higher";
  /** Median of our measurements. */
  ours: number;
  /** Median of each live peer, measured in the same run, by name. */
  peers: Record<string, number>;
  /** The figure a paper published, or null where there is none. */
  published: number | string | null;
  /** What we aim at, as a figure or a sentence. */
  target: number | string | null;
}

/** What a suite is told on the command line. */
export interface SuiteOptions {
  /** A first look: less is measured, where the suite knows how. */
  readonly quick: boolean;
}
