/**
 * What the coherent machines of the other papers have in common: hardware keeps all caches in step, so there is no
 * fault to pay for, and interrupts go from core to core directly. All assumed, where a profile does not say more.
 */
import type { CoreKind, MachineProfile } from "./profile.ts";

/** A core of a personal computer or server without its frequency and power. */
export const computerCore = {
  // Several instructions at a time, less branches and cache misses.
  cyclesPerInstruction: 0.8,
  cyclesPerAccess: 8,
  // About 100 ns to memory without a cache.
  cyclesPerUncachedAccess: 250,
  // Some 10 GB/s.
  cyclesPerByte: 0.25,
  interruptEntry_cycles: 1_500,
  pageFill_us: 0.1,
  inactiveTimeout_ms: Number.POSITIVE_INFINITY,
  wakeUp_us: 0,
  coherence: { faultEntry_us: 0, protocol_us: 0, service_us: 0, faultExit_us: 0 },
} satisfies Partial<CoreKind>;

/** The chip around them. */
export const computerChip = {
  // Cache line to cache line, between kernels of one island.
  mailboxLatency_us: 1,
  interruptLatency_us: 0.5,
  spinlockCount: 64,
  dma: { channels: 16, bandwidth_MBps: 3_000, startUp_us: 1 },
  network: { frame_bytes_max: 16_436, queueFrames: 256, bandwidth_MBps: 1_250, latency_us: 10 },
} satisfies Partial<MachineProfile>;
