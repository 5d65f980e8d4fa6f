/** What one coherence domain has of the protocol: private to its kernels, shared by its cores. */

import { PageStates, pageState } from "./page-states.ts";
import type { DsmPort } from "./port.ts";
import type { DsmOptions } from "./settings.ts";
import { type DsmStatistics, newStatistics } from "./statistics.ts";

/** A request of another domain. */
export interface Asking {
  readonly core: number;
  readonly page: number;
  readonly sequence: number;
  /** To write (or in the two-state protocol, to use at all). */
  readonly exclusive: boolean;
  readonly arrived_ns: number;
}

/**
 * `lock`: a table entry is to be taken, but its spinlock is not free. `answer`: the owner is asked. `readers`: readers
 * were told to drop their copies.
 */
export type RequestPhase = "lock" | "answer" | "readers" | "done";

/** A page that this domain is in the course of getting. */
export interface Request {
  readonly page: number;
  readonly exclusive: boolean;
  /** The core that pursues it. */
  port: DsmPort;
  phase: RequestPhase;
  /** Domain that was asked last, or −1. */
  target: number;
  /** Spinlock that is needed, or was. */
  lock: number;
  sequence: number;
  /** Domains that have not answered `invalidated` yet, a bit for each. */
  awaiting: number;
  /** The page was invalidated while the answer was under way. */
  overtaken: boolean;
  /** Cores of this domain that wait for the page. */
  readonly users: number[];
  /** Others that want the page next, in the order of their asking. */
  readonly waiters: Asking[];
}

/**
 * The requests that spinning cores wait for, innermost last. Where cores share a thread, one core's fault can come in
 * the middle of another's, and the outer core goes on only after the inner one has.
 */
export class Nesting {
  private readonly spinning: Request[] = [];

  enter(request: Request): void {
    this.spinning.push(request);
  }

  leave(): void {
    this.spinning.pop();
  }

  /** True when who waits for the request cannot go on before somebody else has what he waits for. */
  isOuter(request: Request): boolean {
    return this.spinning.at(-1) !== request && this.spinning.includes(request);
  }
}

export class DomainState {
  readonly domain: number;
  readonly options: DsmOptions;
  /** Shared by all domains. */
  readonly nesting: Nesting;
  readonly pages: PageStates;
  /** By page. */
  readonly requests = new Map<number, Request>();
  readonly statistics: DsmStatistics;
  /** Until when the domain keeps pages that it has got lately, by page. Empty for domains that keep none. */
  readonly keptUntil_ns = new Map<number, number>();
  /** By core. */
  readonly ports = new Map<number, DsmPort>();
  /** The domain's record says that it takes requests. */
  present = false;

  constructor(domain: number, options: DsmOptions, nesting: Nesting) {
    const { pageCount, sectionPages, domainCount } = options.shape;
    this.domain = domain;
    this.options = options;
    this.nesting = nesting;
    this.pages = new PageStates(pageCount, sectionPages);
    this.statistics = newStatistics(domainCount);
  }

  get servesLater(): boolean {
    return this.options.serviceLevels?.[this.domain] === "bottom-half";
  }

  /** The domain has got a page from another one: see `DsmOptions.deferral_ns`. */
  hasGot(page: number, port: DsmPort): void {
    const { deferral_ns = 0 } = this.options;
    if (deferral_ns > 0 && this.servesLater) this.keptUntil_ns.set(page, port.now_ns() + deferral_ns);
  }

  /** The domain has no right to a page any more. */
  hasLost(page: number): void {
    this.pages.set(page, pageState.invalid);
    this.keptUntil_ns.delete(page);
  }

  /** When a request for a page, or to drop a copy of it, is served at the earliest. */
  servedFrom_ns(page: number): number {
    return this.keptUntil_ns.get(page) ?? 0;
  }

  /** The domain takes part (again): others ask it for what it owns. */
  join(port: DsmPort): void {
    if (this.present) return;
    port.tables.setServiceCore(this.domain, port.core);
    this.present = true;
  }
}
