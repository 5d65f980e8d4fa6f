/**
 * One coherence domain in the protocol: takes mails in, starts and ends requests, and deals with losses and
 * power-downs. All of its kernels share it.
 */
import { powerState } from "../machine/soc.ts";
import type { TypedMemory } from "../memory/index.ts";
import { type Asking, DomainState, type Nesting, type Request } from "./domain-state.ts";
import { type MailType, mailType, pageOfMail, sequenceOfMail, typeOfMail } from "./mail.ts";
import type { PageStates } from "./page-states.ts";
import { type DsmCore, DsmPort } from "./port.ts";
import { Requester } from "./requester.ts";
import { Service } from "./service.ts";
import type { DsmOptions } from "./settings.ts";
import type { DsmStatistics } from "./statistics.ts";

export class DsmDomain {
  private readonly state: DomainState;
  private readonly requester: Requester;
  private readonly service: Service;

  constructor(domain: number, options: DsmOptions, nesting: Nesting) {
    this.state = new DomainState(domain, options, nesting);
    this.requester = new Requester(this.state, {
      onAbandoned: (request, port) => this.close(request, port),
      onOuterDone: (request) => this.serveWaiters(request, request.port),
    });
    this.service = new Service(this.state, (port, request) => this.requester.hasBeenAnswered(port, request));
  }

  get domain(): number {
    return this.state.domain;
  }

  get options(): DsmOptions {
    return this.state.options;
  }

  get pages(): PageStates {
    return this.state.pages;
  }

  get statistics(): DsmStatistics {
    return this.state.statistics;
  }

  /** Pages that this domain is getting. */
  get requests(): ReadonlyMap<number, Request> {
    return this.state.requests;
  }

  /**
   * A core of the domain takes part from now on: it receives mails. A core that was attached before has been lost in
   * between; what it left is cleaned up.
   */
  attach(core: DsmCore, uncached: TypedMemory): DsmPort {
    const { state } = this;
    const port = new DsmPort(core, uncached, state.options, state.statistics);
    const isBack = state.ports.has(core.id);
    state.ports.set(core.id, port);
    port.soc.mailbox.receive((from, word) => this.receive(port, from, word));
    state.join(port);
    if (isBack) this.recoverCore(port, core.id);
    return port;
  }

  // --- Faults -----------------------------------------------------------------------------------------------------

  /** See `Requester`. Each `begin` of a core is followed by one `end`. */
  begin(port: DsmPort, page: number, write: boolean): Request {
    return this.requester.begin(port, page, write);
  }

  poll(request: Request, port: DsmPort): boolean {
    return this.requester.poll(request, port);
  }

  /** The core spins until a request is done, or a time has passed; true if it is done. */
  spin(request: Request, port: DsmPort, deadline_ns: number): boolean {
    const { nesting } = this.state;
    nesting.enter(request);
    try {
      return port.soc.spinUntil(() => this.poll(request, port), deadline_ns);
    } finally {
      nesting.leave();
    }
  }

  /** The core goes on with the page: those who asked for it meanwhile get it afterwards. */
  end(request: Request, port: DsmPort): void {
    const { users } = request;
    users.splice(users.indexOf(port.core), 1);
    if (users.length === 0) this.close(request, port);
    else if (this.state.nesting.isOuter(request)) this.serveWaiters(request, port);
  }

  private close(request: Request, port: DsmPort): void {
    const { page } = request;
    const { requests } = this.state;
    if (requests.get(page) === request) requests.delete(page);
    this.serveWaiters(request, port);
  }

  private serveWaiters(request: Request, port: DsmPort): void {
    const waiters = request.waiters.splice(0);
    if (waiters.length > 0) this.later(port, request.page, () => this.service.serveAll(port, waiters));
  }

  // --- Mails ------------------------------------------------------------------------------------------------------

  /** Takes a mail in; runs at interrupt level. */
  receive(port: DsmPort, from: number, word: number): void {
    this.atInterruptLevel(port, () => this.handle(port, from, word));
  }

  private handle(port: DsmPort, from: number, word: number): void {
    const { requester, service } = this;
    const type = typeOfMail(word);
    const page = pageOfMail(word);
    const sequence = sequenceOfMail(word);
    if (!this.isSound(port, from, type, page)) {
      this.state.statistics.strayMails++;
      return;
    }
    switch (type) {
      case mailType.getExclusive:
      case mailType.getShared: {
        const exclusive = type === mailType.getExclusive;
        const asking: Asking = { core: from, page, sequence, exclusive, arrived_ns: port.now_ns() };
        this.serveInTurn(port, page, () => service.ask(port, asking));
        return;
      }
      case mailType.invalidate:
        this.serveInTurn(port, page, () => service.invalidate(port, from, page, sequence));
        return;
      case mailType.putExclusive:
        requester.putExclusive(port, page, sequence);
        return;
      case mailType.putShared:
        requester.putShared(port, page, sequence);
        return;
      case mailType.invalidated:
        requester.invalidated(port, page, sequence, port.soc.islandOfCore[from]);
        return;
      case mailType.retry:
        requester.retry(port, page, sequence);
        return;
      case mailType.recovered:
        requester.askAgain(port, page);
        return;
    }
  }

  /**
   * Whether such a mail can be, whatever has happened. Answers are looked at again by their sequence numbers, and
   * requests by what the tables say of the page.
   */
  private isSound(port: DsmPort, from: number, type: MailType, page: number): boolean {
    const { domainCount, pageCount } = this.state.options.shape;
    // Also from a core of this domain, to another one.
    if (type === mailType.recovered) return page < domainCount;
    const sender = port.soc.islandOfCore[from];
    return page < pageCount && sender !== undefined && sender !== this.state.domain;
  }

  /** Answers are taken at once, since a core spins for them; requests when the domain's service level says so. */
  private serveInTurn(port: DsmPort, page: number, serve: () => void): void {
    if (this.state.servesLater) this.later(port, page, serve);
    else serve();
  }

  private later(port: DsmPort, page: number, serve: () => void): void {
    port.soc.defer(() => this.atInterruptLevel(port, serve), this.state.servedFrom_ns(page));
  }

  private atInterruptLevel(port: DsmPort, handler: () => void): void {
    port.handlersRunning++;
    handler();
    port.handlersRunning--;
  }

  // --- Losses and power -------------------------------------------------------------------------------------------

  /**
   * All cores of another domain are gone, and the machine has written back what their caches held. What the domain
   * owned is free to be taken, and nobody waits for it any longer. Runs at interrupt level or not; may be repeated.
   */
  recover(port: DsmPort, deadDomain: number): void {
    port.tables.setServiceCore(deadDomain, -1);
    port.freeLocksOf((core) => port.soc.islandOfCore[core] === deadDomain);
    this.announceLoss(port, deadDomain);
  }

  /** A core of this domain is gone, while this one lives: it takes over what that one was doing. */
  recoverCore(port: DsmPort, deadCore: number): void {
    const { tables } = port;
    const { domain, ports } = this.state;
    if (deadCore !== port.core) ports.delete(deadCore);
    const serving = tables.serviceCore(domain);
    if (serving === deadCore) tables.setServiceCore(domain, port.core);
    // The core may have stopped in the middle of joining, or of releasing everything.
    this.state.present = serving >= 0;
    port.freeLocksOf((core) => core === deadCore);
    this.requester.inherit(port, deadCore);
    this.announceLoss(port, domain);
  }

  /** As `recoverCore`, done by whichever core of the domain is left. */
  loseCore(deadCore: number): void {
    const port = [...this.state.ports.values()].find(({ core, soc }) => {
      return core !== deadCore && soc.power.state(core) !== powerState.off;
    });
    if (port !== undefined) this.recoverCore(port, deadCore);
  }

  /** Requests to the domain, which may be lost, are made again by every core that waits for an answer. */
  private announceLoss(port: DsmPort, domain: number): void {
    this.requester.askAgain(port, domain);
    for (const [core, island] of port.soc.islandOfCore.entries()) {
      if (core !== port.core && island !== domain && port.tables.serviceCore(island) >= 0)
        port.send(core, mailType.recovered, domain, 0);
    }
  }

  /**
   * Gives up everything, for a domain whose last awake core is about to become inactive: others then take what they
   * need without waking it. The next access of the domain takes part again. False, and nothing happens, when a page
   * is under way. Runs at interrupt level or not.
   */
  release(port: DsmPort): boolean {
    const { state } = this;
    if (state.requests.size > 0) return false;
    port.spend_us(port.costs.service_us * state.pages.flushes());
    state.pages.forEachValid((page) => {
      port.clean(page);
      port.dropCopy(page);
    });
    state.pages.clear();
    state.keptUntil_ns.clear();
    state.present = false;
    port.tables.setServiceCore(state.domain, -1);
    return true;
  }
}
