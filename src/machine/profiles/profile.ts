/** Machine profiles: what the simulated machine is made of. Pure data; every number is an input, never a result. */

/** What one step of the software coherence protocol takes on a core, in microseconds (K2, ASPLOS 2014, table 5). */
export interface CoherenceCosts {
  /** Taking the fault, on the core that faults. */
  readonly faultEntry_us: number;
  /** Executing the protocol, on the core that faults. */
  readonly protocol_us: number;
  /** Serving a request of somebody else: flushing and invalidating the page. */
  readonly service_us: number;
  /** Returning from the fault and the cache misses that follow. */
  readonly faultExit_us: number;
}

export const noCoherenceCosts: CoherenceCosts = {
  faultEntry_us: 0,
  protocol_us: 0,
  service_us: 0,
  faultExit_us: 0,
};

/** One kind of core. */
export interface CoreKind {
  readonly name: string;
  readonly frequency_MHz: number;
  /** Cycles of one WebAssembly instruction of a program, on average. */
  readonly cyclesPerInstruction: number;
  /** Cycles of one access of kernel code to shared structures, with the instructions around it. */
  readonly cyclesPerAccess: number;
  /** Cycles of one access to uncached memory. */
  readonly cyclesPerUncachedAccess: number;
  /** Cycles for each byte that kernel code copies, clears or checks. */
  readonly cyclesPerByte: number;
  /** Cycles from a raised line to its handler. */
  readonly interruptEntry_cycles: number;
  /** Filling the cache with a page from memory: time until the first access goes on. */
  readonly pageFill_us: number;
  readonly cache_bytes: number;
  readonly power_mW: { readonly active: number; readonly idle: number; readonly inactive: number };
  /** Idle for so long, a core becomes inactive. */
  readonly inactiveTimeout_ms: number;
  /** Waking from inactive, at active power. */
  readonly wakeUp_us: number;
  readonly coherence: CoherenceCosts;
}

export interface IslandProfile {
  readonly name: string;
  /** Power rail that its energy is measured on. */
  readonly rail: string;
  /** Kind of each of its cores. */
  readonly cores: readonly string[];
  /** Cores that share a memory node, where the island has several nodes: consecutive cores. One node if missing. */
  readonly coresPerNode?: number;
}

export interface MachineProfile {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Where the numbers come from. */
  readonly sources: readonly string[];
  readonly kinds: readonly CoreKind[];
  readonly islands: readonly IslandProfile[];
  /** One way, from `send` until the handler of an idle core may start. */
  readonly mailboxLatency_us: number;
  /** One way for an interrupt between cores of one island. */
  readonly interruptLatency_us: number;
  readonly spinlockCount: number;
  readonly dma: {
    readonly channels: number;
    readonly bandwidth_MBps: number;
    /** From `start` to the first byte. */
    readonly startUp_us: number;
  };
  readonly network: {
    readonly frame_bytes_max: number;
    readonly queueFrames: number;
    readonly bandwidth_MBps: number;
    readonly latency_us: number;
  };
}
