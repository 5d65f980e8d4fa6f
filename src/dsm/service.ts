/**
 * The owner's side: requests of other domains for pages that this one owns, and for dropping copies. Everything here
 * runs at interrupt level: it touches only private state, the uncached tables and the hardware, and never waits.
 *
 * The order of the steps matters, because the core may stop between any two: the page is in memory before the right to
 * it is given up, and given up before the table names somebody else.
 */
import type { Asking, DomainState, Request } from "./domain-state.ts";
import { mailType } from "./mail.ts";
import { pageState } from "./page-states.ts";
import type { DsmPort } from "./port.ts";

export class Service {
  private readonly state: DomainState;
  private readonly onQueued: (port: DsmPort, request: Request) => void;

  /** `onQueued`: somebody asks for a page that this domain is getting. */
  constructor(state: DomainState, onQueued: (port: DsmPort, request: Request) => void) {
    this.state = state;
    this.onQueued = onQueued;
  }

  /** Somebody asks for a page. */
  ask(port: DsmPort, asking: Asking): void {
    const request = this.state.requests.get(asking.page);
    // Who has the page but cannot use it before the asking core goes on must let it go, and will fault again.
    const isOfNoUse = request?.phase === "done" && this.state.nesting.isOuter(request);
    if (request === undefined || isOfNoUse) {
      this.serve(port, asking);
      return;
    }
    request.waiters.push(asking);
    this.onQueued(port, request);
  }

  /** Those who asked while this domain was getting a page. */
  serveAll(port: DsmPort, waiters: readonly Asking[]): void {
    for (const waiter of waiters) this.ask(port, waiter);
  }

  /** Somebody is about to write a page that this domain may have a copy of. */
  invalidate(port: DsmPort, core: number, page: number, sequence: number): void {
    const { pages, requests, statistics } = this.state;
    port.spend_us(port.costs.service_us);
    // An owner is never asked to drop its copy: such a mail is of somebody who died while the page went on.
    if (pages.state(page) === pageState.shared) {
      port.dropCopy(page);
      this.state.hasLost(page);
      statistics.copiesLost++;
    }
    const request = requests.get(page);
    if (request?.phase === "answer") request.overtaken = true;
    port.send(core, mailType.invalidated, page, sequence);
  }

  private serve(port: DsmPort, asking: Asking): void {
    const { state } = this;
    const { core, page, sequence, exclusive } = asking;
    const started_ns = port.now_ns();
    const asker = port.soc.islandOfCore[core];
    // It died after asking. Giving it the page would be no harm, only a detour for the next who needs it.
    if (port.tables.serviceCore(asker) < 0) return;
    this.splitSection(port, page);
    if (!state.pages.owns(page) && !this.adopt(port, page)) {
      port.send(core, mailType.retry, page, sequence);
      return;
    }
    port.spend_us(port.costs.service_us);
    port.clean(page);
    if (exclusive) this.giveAway(port, page, asker);
    else this.share(port, page, asker);
    const answer = exclusive ? mailType.putExclusive : mailType.putShared;
    if (state.options.mutation !== "drop-acknowledgement") port.send(core, answer, page, sequence);
    const times = state.statistics.servedTo[asker];
    times.requests++;
    times.queueing_ns += started_ns - asking.arrived_ns;
    times.service_ns += port.now_ns() - started_ns;
  }

  private giveAway(port: DsmPort, page: number, to: number): void {
    port.dropCopy(page);
    this.state.hasLost(page);
    const owner = this.state.options.mutation === "wrong-owner" ? this.state.domain : to;
    port.tables.setPageOwner(page, owner);
  }

  private share(port: DsmPort, page: number, to: number): void {
    this.state.pages.set(page, pageState.sharedOwner);
    port.tables.setReaders(page, port.tables.readersOf(page) | (1 << to));
  }

  /** A section that this domain has had for itself goes over to tracking by page. */
  private splitSection(port: DsmPort, page: number): void {
    const { pages, domain, statistics } = this.state;
    const section = pages.sectionOf(page);
    if (pages.grain(section) !== "whole") return;
    port.tables.setSectionByPage(section, domain);
    pages.trackByPage(section);
    statistics.sectionsSplit++;
  }

  /**
   * The tables may name this domain although it has no right of its own to the page: it was away in between. What it
   * owned then is still in memory, unless somebody has taken it. False when it is not this domain's, or somebody is
   * taking it now.
   */
  private adopt(port: DsmPort, page: number): boolean {
    const { pages, domain, present } = this.state;
    const { tables } = port;
    if (!present || tables.ownerOf(page) !== domain) return false;
    const section = pages.sectionOf(page);
    const whole = !tables.section(section).byPage;
    const lock = port.lockOf(whole ? section : page);
    if (!port.tryAcquire(lock)) return false;
    const entry = tables.section(section);
    const isOurs = entry.byPage !== whole && tables.ownerOf(page) === domain;
    if (isOurs && whole) pages.makeWhole(section);
    else if (isOurs) pages.set(page, pageState.sharedOwner);
    port.release(lock);
    if (isOurs) this.splitSection(port, page);
    return isOurs;
  }
}
