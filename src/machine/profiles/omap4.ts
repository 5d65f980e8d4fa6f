/**
 * Texas Instruments OMAP4, the platform of K2: a strong Cortex-A9 and a weak Cortex-M3 in two islands without
 * coherence between them. The chip has two cores of each kind; K2 measures with one, so `omap4` has one of each and
 * `omap4-dual` all four.
 *
 * Which numbers are published and which are assumed is said beside each.
 */
import type { CoreKind, MachineProfile } from "./profile.ts";

/**
 * The strong core at its most efficient operating point. Published: frequency, powers (table 3; inactive is an upper
 * bound), coherence costs (table 5), inactive timeout (section 9.2), cache (table 1), wake-up (Linux, cpuidle).
 */
export const cortexA9: CoreKind = {
  name: "cortex-a9",
  frequency_MHz: 350,
  // Assumed: two instructions at a time out of order, less what branches and cache misses take.
  cyclesPerInstruction: 1.1,
  // Assumed: a load or store that hits the cache, and ten instructions of the function around it.
  cyclesPerAccess: 12,
  // Assumed: about 170 ns over the interconnect to DRAM.
  cyclesPerUncachedAccess: 60,
  // Fitted to table 6: clearing the target of a transfer takes what the engine's bandwidth leaves of 40.5 MB/s.
  cyclesPerByte: 0.65,
  // Assumed: 2 µs from the line through the interrupt controller and the kernel's entry code.
  interruptEntry_cycles: 700,
  // Assumed: the first two lines of a page from DRAM; the rest is in `cyclesPerAccess` and in `faultExit_us`.
  pageFill_us: 0.3,
  cache_bytes: 1_048_576,
  power_mW: { active: 79.8, idle: 25.2, inactive: 0.1 },
  inactiveTimeout_ms: 5_000,
  wakeUp_us: 518,
  coherence: { faultEntry_us: 3, protocol_us: 2, service_us: 7, faultExit_us: 18 },
};

/** The strong core at its highest operating point: for comparison; K2 does not measure with it. */
export const cortexA9Fast: CoreKind = {
  ...cortexA9,
  name: "cortex-a9-1200",
  frequency_MHz: 1200,
  // DRAM is no faster: what waits for it takes more of the shorter cycles.
  cyclesPerInstruction: 1.4,
  cyclesPerUncachedAccess: 200,
  cyclesPerByte: 1.4,
  interruptEntry_cycles: 1200,
  power_mW: { active: 672, idle: 25.2, inactive: 0.1 },
};

/**
 * The weak core, at the operating point that the chip forces on it. Published: frequency, powers, coherence costs,
 * timeout, cache. The assumed costs make it deliver 20 to 30 % of the strong core's speed on work that keeps it busy,
 * and up to 80 % where it waits for the DMA engine: the paper reports 20 to 70 %.
 */
export const cortexM3: CoreKind = {
  name: "cortex-m3",
  frequency_MHz: 200,
  // Assumed: one instruction at a time in order, two cycles for a load, and a cache without a second level.
  cyclesPerInstruction: 2.2,
  cyclesPerAccess: 24,
  // Assumed: about 150 ns; it stands closer to the interconnect.
  cyclesPerUncachedAccess: 30,
  cyclesPerByte: 1.8,
  // Assumed: 1.5 µs; the core saves its registers by itself.
  interruptEntry_cycles: 300,
  pageFill_us: 0.4,
  cache_bytes: 32_768,
  power_mW: { active: 21.1, idle: 3.8, inactive: 0.1 },
  inactiveTimeout_ms: 5_000,
  // Assumed: its domain keeps its state and only the clock starts.
  wakeUp_us: 50,
  coherence: { faultEntry_us: 17, protocol_us: 13, service_us: 24, faultExit_us: 2 },
};

export const omap4: MachineProfile = {
  name: "omap4",
  description: "OMAP4: one Cortex-A9 at 350 MHz and one Cortex-M3 at 200 MHz, without coherence between them",
  sources: [
    "Lin, Wang, Zhong: K2, a mobile operating system for heterogeneous coherence domains (ASPLOS 2014), tables 1, 3, 5, 6",
    "Linux, arch/arm/mach-omap2/cpuidle44xx.c: latencies of the idle states",
  ],
  kinds: [cortexA9, cortexM3],
  islands: [
    { name: "strong", rail: "strong", cores: ["cortex-a9"] },
    { name: "weak", rail: "weak", cores: ["cortex-m3"] },
  ],
  // Half of the round trip of 5 µs that section 5.1 reports.
  mailboxLatency_us: 2.5,
  interruptLatency_us: 1,
  // OMAP4's spinlock module has 32.
  spinlockCount: 32,
  dma: {
    // OMAP4 has 32; the word that says which have finished holds 31.
    channels: 31,
    // Fitted to table 6: two kernels together reach 43.1 MB/s.
    bandwidth_MBps: 44,
    startUp_us: 1,
  },
  // Assumed: in place of the loopback device of Linux 3.4, with its largest packet.
  network: { frame_bytes_max: 16_436, queueFrames: 64, bandwidth_MBps: 100, latency_us: 10 },
};

/** All four cores of the chip. */
export const omap4Dual: MachineProfile = {
  ...omap4,
  name: "omap4-dual",
  description: "OMAP4 with all cores: two Cortex-A9 at 350 MHz and two Cortex-M3 at 200 MHz",
  islands: [
    { name: "strong", rail: "strong", cores: ["cortex-a9", "cortex-a9"] },
    { name: "weak", rail: "weak", cores: ["cortex-m3", "cortex-m3"] },
  ],
};

/** The strong core at full speed. */
export const omap4Fast: MachineProfile = {
  ...omap4,
  name: "omap4-1200",
  description: "OMAP4 with its Cortex-A9 at 1200 MHz",
  kinds: [cortexA9Fast, cortexM3],
  islands: [
    { name: "strong", rail: "strong", cores: ["cortex-a9-1200"] },
    { name: "weak", rail: "weak", cores: ["cortex-m3"] },
  ],
};
