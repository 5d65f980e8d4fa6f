/** What K2's paper reports (Lin, Wang, Zhong, ASPLOS 2014, section 9). Curves of figure 6 are not in its text. */

/** Section 9.2: most that K2 gains in bytes per joule over Linux on the strong core. */
export const publishedGain = { dma: "up to 9x", files: "up to 8x", udp: "up to 10x" } as const;

/** Section 9.2, from the usage that Xu and others report (reference 41). */
export const publishedStandby = { before_days: 5.9, after_days: 9.4 } as const;

/** Table 4 in µs. The main kernel's column shows no noticeable difference from Linux and is lost in the text. */
export const publishedAllocation = {
  shadow_us: [12, 45, 146],
  deflate_us: [10_429, 12_813],
  inflate_us: [11_612, 20_408],
} as const;

/** Section 9.3: the page allocator as a shadowed service. */
export const publishedShadowed = { faultsPerAllocation: "4 to 5", slowdown: "about 200x" } as const;

/** Table 5 in µs, by requester: main, shadow. */
export const publishedFault = {
  entry_us: [3, 17],
  protocol_us: [2, 13],
  communication_us: [5, 9],
  service_us: [24, 7],
  exit_us: [18, 2],
  total_us: [52, 48],
} as const;

/** Table 6 in MB/s. */
export const publishedDriver = [
  { batch_bytes: 4 << 10, linux: 37.8, k2: 35.7, main: 35.6, shadow: 0.1 },
  { batch_bytes: 128 << 10, linux: 40.3, k2: 39.9, main: 28.4, shadow: 11.5 },
  { batch_bytes: 256 << 10, linux: 40.3, k2: 40.5, main: 28.6, shadow: 11.9 },
  { batch_bytes: 1 << 20, linux: 40.5, k2: 43.1, main: 28.8, shadow: 14.3 },
] as const;

/** Section 9.4: how often a DSM fault happens, with small and with large batches. */
export const publishedFaultInterval = { small: "1,200", large: "18,000", transfers: "about 10" } as const;
