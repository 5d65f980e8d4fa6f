/**
 * The side of the domain that needs a page: a state machine that is started by a fault, goes on with each answer, and
 * waits for nothing itself. Its states are in `Request`. Apart from `begin` and `poll`, which the faulting core calls,
 * it runs at interrupt level.
 */
import type { DomainState, Request } from "./domain-state.ts";
import { mailType } from "./mail.ts";
import { pageState } from "./page-states.ts";
import type { DsmPort } from "./port.ts";
import type { SectionEntry } from "./tables.ts";

/** What becomes of requests. */
export interface RequestEvents {
  /** A request is done, and the core that had made it is gone. */
  readonly onAbandoned: (request: Request, port: DsmPort) => void;
  /** A request is done, but the core that made it cannot go on yet. */
  readonly onOuterDone: (request: Request) => void;
}

export class Requester {
  private readonly state: DomainState;
  private readonly events: RequestEvents;

  constructor(state: DomainState, events: RequestEvents) {
    this.state = state;
    this.events = events;
  }

  /** A core needs a page. It has it, for the moment, when the request is done; see `poll`. */
  begin(port: DsmPort, page: number, write: boolean): Request {
    const { requests, options } = this.state;
    const underWay = requests.get(page);
    if (underWay !== undefined && underWay.phase !== "done") {
      underWay.users.push(port.core);
      return underWay;
    }
    this.state.join(port);
    const request: Request = {
      page,
      exclusive: write || options.protocol === "two-state",
      port,
      phase: "lock",
      target: -1,
      lock: -1,
      sequence: 0,
      awaiting: 0,
      overtaken: false,
      users: [port.core],
      // A request that is done is not joined but replaced: it was for too little.
      waiters: underWay?.waiters.splice(0) ?? [],
    };
    requests.set(page, request);
    this.pursue(request);
    return request;
  }

  /** True when the request is done. Called again and again by a core that waits for it. */
  poll(request: Request, port: DsmPort): boolean {
    if (request.phase === "lock" && request.port === port) this.pursue(request);
    return request.phase === "done";
  }

  /** Looks into the tables and does what they ask for, until there is something to wait for. */
  pursue(request: Request): void {
    while (this.step(request)) {}
  }

  /** One look into the tables; true when they have changed meanwhile, and another look is needed. */
  private step(request: Request): boolean {
    const { pages, domain } = this.state;
    const { page, port } = request;
    const { tables } = port;
    if (pages.owns(page)) return this.clearReaders(request);
    const section = pages.sectionOf(page);
    const entry = tables.section(section);
    if (!entry.byPage) {
      const core = this.coreToAsk(port, entry.owner);
      return core < 0 ? this.takeSection(request, section) : this.askOwner(request, entry.owner, core);
    }
    if (pages.grain(section) === "unknown") pages.trackByPage(section);
    const owner = tables.pageOwner(page, entry.owner);
    const core = owner === domain ? -1 : this.coreToAsk(port, owner);
    return core < 0 ? this.takePage(request) : this.askOwner(request, owner, core);
  }

  /** The core that answers for an owner; −1 when nobody needs to be asked. */
  private coreToAsk(port: DsmPort, owner: number): number {
    return owner < 0 || owner === this.state.domain ? -1 : port.tables.serviceCore(owner);
  }

  private askOwner(request: Request, owner: number, core: number): boolean {
    const { port } = request;
    request.phase = "answer";
    request.target = owner;
    request.overtaken = false;
    request.sequence = port.nextSequence();
    const type = request.exclusive ? mailType.getExclusive : mailType.getShared;
    port.send(core, type, request.page, request.sequence);
    return false;
  }

  /** Becomes the only user of a section that nobody present uses. */
  private takeSection(request: Request, section: number): boolean {
    const { pages, domain, statistics } = this.state;
    const { port } = request;
    const lock = port.lockOf(section);
    request.phase = "lock";
    request.lock = lock;
    if (!port.tryAcquire(lock)) return false;
    const entry: SectionEntry = port.tables.section(section);
    const isFree = !entry.byPage && this.coreToAsk(port, entry.owner) < 0;
    if (isFree && entry.owner !== domain) port.tables.setSectionWhole(section, domain);
    port.release(lock);
    if (!isFree) return true;
    // What this domain's cache has read ahead of a section that another domain used is old.
    if (entry.owner >= 0 && entry.owner !== domain) pages.forEachIn(section, (page) => port.dropCopy(page));
    pages.makeWhole(section);
    statistics.sectionsTaken++;
    this.finish(request);
    return false;
  }

  /** Becomes the owner of a page whose owner is absent, or is this domain without knowing. */
  private takePage(request: Request): boolean {
    const { domain } = this.state;
    const { page, port } = request;
    const lock = port.lockOf(page);
    request.phase = "lock";
    request.lock = lock;
    if (!port.tryAcquire(lock)) return false;
    const owner = port.tables.ownerOf(page);
    const isFree = this.coreToAsk(port, owner) < 0;
    if (isFree && owner !== domain) port.tables.setPageOwner(page, domain);
    port.release(lock);
    if (!isFree) return true;
    return this.own(request);
  }

  /** The tables name this domain as the owner of the page, which is in memory. */
  private own(request: Request): boolean {
    this.hold(request.port, request.page);
    return this.clearReaders(request);
  }

  private hold(port: DsmPort, page: number): void {
    const { pages } = this.state;
    if (pages.owns(page)) return;
    if (pages.state(page) === pageState.invalid) port.dropCopy(page);
    pages.set(page, pageState.sharedOwner);
  }

  /** The page is owned. Whoever is to write it makes sure that nobody else has a copy. */
  private clearReaders(request: Request): boolean {
    const { options, domain, statistics, pages } = this.state;
    const { page, port, exclusive } = request;
    const readers = this.hasReaders(request) ? port.tables.readersOf(page) & ~(1 << domain) : 0;
    request.awaiting = 0;
    if (readers !== 0 && options.mutation !== "no-reader-invalidation") {
      request.sequence = port.nextSequence();
      for (let reader = 0; reader < options.shape.domainCount; reader++) {
        const core = readers & (1 << reader) ? port.tables.serviceCore(reader) : -1;
        if (core < 0) continue;
        request.awaiting |= 1 << reader;
        port.send(core, mailType.invalidate, page, request.sequence);
        statistics.invalidationsSent++;
      }
    }
    request.phase = "readers";
    if (request.awaiting === 0 && exclusive && pages.state(page) !== pageState.exclusive)
      this.becomeExclusive(request, readers !== 0);
    else if (request.awaiting === 0) this.finish(request);
    return false;
  }

  private hasReaders(request: Request): boolean {
    const { options, pages } = this.state;
    const mayHave = options.protocol === "three-state" && pages.state(request.page) !== pageState.exclusive;
    return mayHave && request.exclusive;
  }

  private becomeExclusive(request: Request, hadReaders: boolean): void {
    const { page, port } = request;
    if (hadReaders) port.tables.setReaders(page, 0);
    this.state.pages.set(page, pageState.exclusive);
    this.finish(request);
  }

  private finish(request: Request): void {
    request.phase = "done";
    if (request.users.length === 0) this.events.onAbandoned(request, request.port);
    else if (this.state.nesting.isOuter(request)) this.events.onOuterDone(request);
  }

  // --- Answers ----------------------------------------------------------------------------------------------------

  putExclusive(port: DsmPort, page: number, sequence: number): void {
    const { requests, pages, domain, present } = this.state;
    const request = this.answered(port, page, sequence);
    if (request !== undefined) {
      this.state.hasGot(page, port);
      this.own(request);
      return;
    }
    // A late answer to a request that was made again: only the table knows whether the page is still ours, and it must
    // not give a right to a domain that has given up all rights.
    if (!present || pages.owns(page) || port.tables.ownerOf(page) !== domain) return;
    this.state.hasGot(page, port);
    this.hold(port, page);
    const again = requests.get(page);
    if (again?.port === port && again.phase !== "done") this.pursue(again);
  }

  putShared(port: DsmPort, page: number, sequence: number): void {
    const request = this.answered(port, page, sequence);
    if (request === undefined || request.exclusive) return;
    const { pages, statistics } = this.state;
    if (request.overtaken) {
      statistics.overtaken++;
      this.pursue(request);
      return;
    }
    if (pages.state(page) === pageState.invalid) port.dropCopy(page);
    pages.set(page, pageState.shared);
    this.state.hasGot(page, port);
    this.finish(request);
  }

  retry(port: DsmPort, page: number, sequence: number): void {
    const request = this.answered(port, page, sequence);
    if (request === undefined) return;
    this.state.statistics.retries++;
    this.pursue(request);
  }

  invalidated(port: DsmPort, page: number, sequence: number, by: number): void {
    const request = this.state.requests.get(page);
    if (request?.phase !== "readers" || request.port !== port || request.sequence !== sequence) return;
    this.noLongerReads(request, by);
  }

  /** The request that an answer belongs to, unless it is an old one. Each core numbers its own requests. */
  private answered(port: DsmPort, page: number, sequence: number): Request | undefined {
    const request = this.state.requests.get(page);
    const isIts = request?.phase === "answer" && request.port === port && request.sequence === sequence;
    return isIts ? request : undefined;
  }

  private noLongerReads(request: Request, domain: number): void {
    if ((request.awaiting & (1 << domain)) === 0) return;
    request.awaiting &= ~(1 << domain);
    if (request.awaiting === 0) this.becomeExclusive(request, true);
  }

  // --- Losses -----------------------------------------------------------------------------------------------------

  /**
   * A domain has lost a core, or all of them: what this core has asked of it is asked again, of it or of others. Every
   * core of every domain does this for itself.
   */
  askAgain(port: DsmPort, domain: number): void {
    for (const request of [...this.state.requests.values()]) {
      const { page, sequence } = request;
      if (request.port !== port) continue;
      if (request.phase === "answer" && request.target === domain) this.pursue(request);
      else if (request.phase === "readers" && (request.awaiting & (1 << domain)) !== 0) {
        const core = port.tables.serviceCore(domain);
        if (core < 0) this.noLongerReads(request, domain);
        else port.send(core, mailType.invalidate, page, sequence);
      }
    }
  }

  /**
   * Somebody asks for a page that this domain is getting. When the tables name this domain already, the answer is under
   * way, or went to a core that is gone; in that case the two would wait for each other. So it is not waited for.
   */
  hasBeenAnswered(port: DsmPort, request: Request): void {
    const { page, phase, target } = request;
    if (phase !== "answer" || port.tables.ownerOf(page) !== this.state.domain) return;
    if (request.port === port) this.pursue(request);
    else port.send(request.port.core, mailType.recovered, target, 0);
  }

  /** A core of this domain is gone; another one takes over what it was getting. */
  inherit(port: DsmPort, deadCore: number): void {
    for (const request of [...this.state.requests.values()]) {
      const { users } = request;
      const place = users.indexOf(deadCore);
      if (place >= 0) users.splice(place, 1);
      if (request.phase === "done") {
        if (users.length === 0) this.events.onAbandoned(request, port);
      } else if (request.port.core === deadCore) {
        request.port = port;
        this.pursue(request);
      }
    }
  }
}
