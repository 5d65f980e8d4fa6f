/**
 * Software distributed shared memory: keeps the memory of islands that are not coherent in step, page by page (K2,
 * ASPLOS 2014, section 6.3). `mail.ts` describes the protocol.
 */
export type { DsmDomain } from "./domain.ts";
export { Dsm } from "./dsm.ts";
export { DsmError } from "./errors.ts";
export type { DsmGuard, Fault } from "./guard.ts";
export { pagesLimit } from "./mail.ts";
export { type Grain, type PageState, pageState } from "./page-states.ts";
export type { DsmOptions, Mutation, Protocol, ServiceLevel } from "./settings.ts";
export { type DsmStatistics, type FaultTimes, type ServiceTimes, statisticsSince } from "./statistics.ts";
export { DsmTables, domainsMax, type TablesShape, tablesBytes } from "./tables.ts";
