/**
 * What sharing a record costs: where the time of one fault goes (K2, table 5), and two-state against three-state
 * coherence, on what the third state is for: a record that both kernels read all the time and write now and then, such
 * as a table of mounts or routes.
 */
import { type DsmStatistics, type FaultTimes, type Protocol, statisticsSince } from "../../src/dsm/index.ts";
import { AllocatorRig, type RigKernel } from "./allocator-rig.ts";

/** Where one domain's average fault spends its time, in µs: the rows of table 5. */
export interface FaultBreakdown {
  readonly entry_us: number;
  readonly protocol_us: number;
  readonly communication_us: number;
  readonly service_us: number;
  readonly exit_us: number;
  readonly total_us: number;
}

/** Faults of each kernel, one at a time. */
const loneFaults = 50;
const accesses = 2000;
/** Time between two accesses of a kernel. */
const pause_ns = 20_000;

export interface SharingResult {
  readonly protocol: Protocol;
  /** One access in so many is a write. */
  readonly readsPerWrite: number;
  /** Mean of one access, by kernel. */
  readonly access_us: readonly number[];
  readonly faultsPerAccess: number;
}

export async function measureSharing(protocol: Protocol, readsPerWrite: number): Promise<SharingResult> {
  const rig = await AllocatorRig.boot(protocol);
  const work = (kernel: RigKernel) => use(kernel, readsPerWrite);
  await Promise.all([rig.run(0, work), rig.run(1, work)]);
  const before = rig.faults();
  const access_us = await Promise.all([rig.run(0, work), rig.run(1, work)]);
  const faultsPerAccess = (rig.faults() - before) / (2 * accesses);
  rig.stop();
  return { protocol, readsPerWrite, access_us, faultsPerAccess };
}

async function use({ core, kernel, shared }: RigKernel, readsPerWrite: number): Promise<number> {
  let inside_ns = 0;
  for (let n = 0; n < accesses; n++) {
    const start_ns = core.now_ns();
    if ((n + kernel) % readsPerWrite === 0) shared.setValue(0, n);
    else shared.value(0);
    inside_ns += core.now_ns() - start_ns;
    core.spend_ns(pause_ns);
    await core.runOthers();
  }
  return inside_ns / accesses / 1000;
}

/** The kernels take a page from each other in turn: table 5 by requester. */
export async function measureFaults(): Promise<FaultBreakdown[]> {
  const rig = await AllocatorRig.boot("two-state");
  const touch = ({ shared }: RigKernel) => shared.setValue(0, 1);
  const inTurn = async (count: number) => {
    for (let n = 0; n < count; n++) for (const kernel of [0, 1]) await rig.run(kernel, touch);
  };
  await inTurn(2);
  const before = rig.coherence();
  await inTurn(loneFaults);
  const coherence = rig.coherence().map((after, domain) => statisticsSince(before[domain], after));
  rig.stop();
  return [breakdown(coherence, 0, 1), breakdown(coherence, 1, 0)];
}

/** Of the faults that `requester` had, of which `owner` served all. */
function breakdown(coherence: readonly DsmStatistics[], requester: number, owner: number): FaultBreakdown {
  const { remote } = coherence[requester];
  const { requests, service_ns } = coherence[owner].servedTo[requester];
  const each = (key: keyof FaultTimes) => remote[key] / remote.faults / 1000;
  const service_us = service_ns / requests / 1000;
  const parts = {
    entry_us: each("entry_ns"),
    protocol_us: each("protocol_ns"),
    communication_us: each("waiting_ns") - service_us,
    service_us,
    exit_us: each("exit_ns"),
  };
  return { ...parts, total_us: Object.values(parts).reduce((sum, value) => sum + value, 0) };
}
