/**
 * The DMA driver as a shadowed service (K2, section 9.4): both kernels run transfers at full speed at the same time.
 * Table 6 is the throughput.
 */
import type { DsmStatistics } from "../../src/dsm/index.ts";
import type { BootOptions } from "../../src/system/options.ts";
import { between, MeasuredSystem } from "./measured-system.ts";

export interface DriverResult {
  readonly batch_bytes: number;
  /** By kernel. */
  readonly throughput_MBps: readonly number[];
  readonly total_MBps: number;
  /** Faults that another domain had to answer, of all domains, and what they mean for the driver. */
  readonly faults: number;
  readonly transfersPerFault: number;
  readonly betweenFaults_us: number;
  readonly coherence: readonly DsmStatistics[];
}

/** From the order until counting begins: programs are loaded, pages have come to their users. */
const lead_ns = 2e9;

/** @param kernels which of them run transfers. */
export async function measureDriver(
  options: BootOptions,
  kernels: readonly number[],
  batch_bytes: number,
  window_ns: number,
): Promise<DriverResult> {
  await using measured = await MeasuredSystem.boot(options);
  const begin_ns = Math.ceil((measured.time_ns + lead_ns) / 1e9) * 1e9;
  const end_ns = begin_ns + window_ns;
  const words = ["drive", batch_bytes, begin_ns / 1e6, end_ns / 1e6];
  const running = Promise.all(kernels.map((kernel) => measured.runLight(words, { kernel })));
  const before = await measured.readAt(begin_ns);
  const after = await measured.readAt(end_ns);
  const transfers = (await running).map(([count]) => Number(count));
  const { coherence } = between(before, after);
  const throughput_MBps = transfers.map((count) => (count * batch_bytes) / (window_ns / 1e3));
  const faults = coherence.reduce((sum, { remote }) => sum + remote.faults, 0);
  return {
    batch_bytes,
    throughput_MBps,
    total_MBps: throughput_MBps.reduce((sum, value) => sum + value, 0),
    faults,
    transfersPerFault: transfers.reduce((sum, count) => sum + count, 0) / faults,
    betweenFaults_us: window_ns / 1e3 / faults,
    coherence,
  };
}
