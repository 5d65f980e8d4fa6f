/** What a domain counts of its coherence traffic. Times are virtual, of the core that did the work. */

/** Where the time of faults went, on the core that faulted (K2, table 5). */
export interface FaultTimes {
  faults: number;
  /** Taking the fault. */
  entry_ns: number;
  /** Executing the protocol: looking into the tables, sending. */
  protocol_ns: number;
  /** From the request to the answer: communication, and service by others. */
  waiting_ns: number;
  /** Returning from the fault, with the cache misses that follow. */
  exit_ns: number;
}

/** What was done for the requests of one domain. */
export interface ServiceTimes {
  requests: number;
  /** From the arrival of a request until it was taken up. */
  queueing_ns: number;
  /** Flushing and invalidating the page, and answering. */
  service_ns: number;
}

export interface DsmStatistics {
  /** Faults that needed an answer of somebody else. */
  readonly remote: FaultTimes;
  /** Faults that the tables alone could settle: what nobody owned, or what was owned already. */
  readonly local: FaultTimes;
  /** Of all faults: those of writers that could read the page. */
  upgrades: number;
  /** Requests that were sent again because the page had gone elsewhere. */
  retries: number;
  /** Answers that could not be used, because the page was invalidated while they were under way. */
  overtaken: number;
  mailsSent: number;
  /** Mails that no core may send to this domain; they were dropped. */
  strayMails: number;
  /** Copies of others that were invalidated before a write. */
  invalidationsSent: number;
  /** Own copies to read that were invalidated for others. */
  copiesLost: number;
  /** Sections that this domain became the only user of. */
  sectionsTaken: number;
  /** Sections that went over to tracking by page because another domain came. */
  sectionsSplit: number;
  /** By requesting domain. */
  readonly servedTo: readonly ServiceTimes[];
}

export function newStatistics(domainCount: number): DsmStatistics {
  return {
    remote: newFaultTimes(),
    local: newFaultTimes(),
    upgrades: 0,
    retries: 0,
    overtaken: 0,
    mailsSent: 0,
    strayMails: 0,
    invalidationsSent: 0,
    copiesLost: 0,
    sectionsTaken: 0,
    sectionsSplit: 0,
    servedTo: Array.from({ length: domainCount }, () => ({ requests: 0, queueing_ns: 0, service_ns: 0 })),
  };
}

function newFaultTimes(): FaultTimes {
  return { faults: 0, entry_ns: 0, protocol_ns: 0, waiting_ns: 0, exit_ns: 0 };
}

/** What happened between two looks at a domain's statistics: copies made with `structuredClone`. */
export function statisticsSince(before: DsmStatistics, after: DsmStatistics): DsmStatistics {
  return difference(before, after);
}

/** Subtracts number by number; both have the same shape. */
function difference<T>(before: T, after: T): T {
  if (typeof after === "number" && typeof before === "number") return (after - before) as T;
  if (Array.isArray(after) && Array.isArray(before))
    return after.map((value, index) => difference(before[index], value)) as T;
  const entries = Object.entries(after as object).map(([key, value]) => [
    key,
    difference((before as Record<string, unknown>)[key], value),
  ]);
  return Object.fromEntries(entries) as T;
}
