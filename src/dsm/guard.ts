/**
 * What stands between a core's accessors and its island's memory where islands are not coherent: checks the domain's
 * right to the page of every access, and gets the page from its owner if need be, before the hardware does its part.
 */
import type { MemoryGuard } from "../memory/guard.ts";
import type { DsmDomain } from "./domain.ts";
import type { Request } from "./domain-state.ts";
import { DsmError } from "./errors.ts";
import { pageState } from "./page-states.ts";
import type { DsmPort } from "./port.ts";

const page_bytes = 4096;
const pageShift = 12;
const answerTimeout_ns = 10e9;

/** A fault that is being handled. */
export interface Fault {
  readonly request: Request;
  readonly entered_ns: number;
  /** The protocol is about to be executed. */
  readonly began_ns: number;
  /** What could be done without others is done. */
  readonly asked_ns: number;
  readonly isRemote: boolean;
}

export class DsmGuard implements MemoryGuard {
  readonly domain: DsmDomain;
  readonly port: DsmPort;
  private readonly cache: MemoryGuard;
  private readonly sections: readonly Uint8Array[];
  private readonly shift: number;
  private readonly mask: number;

  constructor(domain: DsmDomain, port: DsmPort) {
    this.domain = domain;
    this.port = port;
    this.cache = port.soc.cache;
    const { sections, shift, mask } = domain.pages;
    this.sections = sections;
    this.shift = shift;
    this.mask = mask;
  }

  /**
   * @throws DsmError when the page cannot be had: the owner does not answer, or this is interrupt-level code, which
   * must not touch coherent memory.
   */
  access(offset: number, length: number, write: boolean): void {
    const page = offset >>> pageShift;
    const needed = write ? pageState.exclusive : pageState.shared;
    const isWithin = (offset & (page_bytes - 1)) + length <= page_bytes;
    if (isWithin && this.sections[page >>> this.shift][page & this.mask] >= needed)
      this.cache.access(offset, length, write);
    else this.settle(offset, length, write);
  }

  /** True when an access to the page would not fault. */
  mayAccess(page: number, write: boolean): boolean {
    return this.domain.pages.state(page) >= (write ? pageState.exclusive : pageState.shared);
  }

  /** Faults until the domain has every page of the range at once. */
  private settle(offset: number, length: number, write: boolean): void {
    if (length <= 0) return;
    const last = (offset + length - 1) >>> pageShift;
    const faults: Fault[] = [];
    const first = offset >>> pageShift;
    for (let page = first; page <= last; ) {
      if (this.mayAccess(page, write)) page++;
      else {
        faults.push(this.handleFault(page, write));
        // While it waited for this page, others may have been taken away.
        page = first;
      }
    }
    const { port } = this;
    const before_ns = faults.length === 0 ? 0 : port.now_ns();
    this.cache.access(offset, length, write);
    // The misses after the fault, which would not have been without it.
    const latest = faults.at(-1);
    if (latest !== undefined) this.timesOf(latest).exit_ns += port.now_ns() - before_ns;
  }

  private handleFault(page: number, write: boolean): Fault {
    const { port } = this;
    if (port.handlersRunning > 0)
      throw new DsmError(`core ${port.core} touches page ${page} of coherent memory at interrupt level`);
    const fault = this.begin(page, write);
    this.waitFor(fault.request);
    this.finish(fault);
    return fault;
  }

  /** Takes a fault, and asks for the page. Every fault that is begun must be finished, once `isSettled`. */
  begin(page: number, write: boolean): Fault {
    const { domain, port } = this;
    const { costs } = port;
    const isUpgrade = domain.pages.state(page) !== pageState.invalid;
    const entered_ns = port.now_ns();
    port.spend_us(costs.faultEntry_us);
    const began_ns = port.now_ns();
    port.spend_us(costs.protocol_us);
    const request = domain.begin(port, page, write);
    if (isUpgrade) domain.statistics.upgrades++;
    return { request, entered_ns, began_ns, asked_ns: port.now_ns(), isRemote: request.phase !== "done" };
  }

  isSettled(fault: Fault): boolean {
    return this.domain.poll(fault.request, this.port);
  }

  /** Returns from a fault that is settled: the access can be tried again. */
  finish(fault: Fault): void {
    const { domain, port } = this;
    const answered_ns = port.now_ns();
    port.spend_us(port.costs.faultExit_us);
    domain.end(fault.request, port);
    const times = this.timesOf(fault);
    times.faults++;
    times.entry_ns += fault.began_ns - fault.entered_ns;
    times.protocol_ns += fault.asked_ns - fault.began_ns;
    times.waiting_ns += answered_ns - fault.asked_ns;
    times.exit_ns += port.now_ns() - answered_ns;
  }

  private timesOf(fault: Fault) {
    const { local, remote } = this.domain.statistics;
    return fault.isRemote ? remote : local;
  }

  private waitFor(request: Request): void {
    const { domain, port } = this;
    const { unresponsive, answerTimeout_ns: timeout_ns = answerTimeout_ns } = domain.options;
    while (!domain.poll(request, port)) {
      if (domain.spin(request, port, port.now_ns() + timeout_ns)) return;
      const silent = this.whoIsSilent(request);
      if (unresponsive?.(silent, port.core) !== true) {
        const { page, phase } = request;
        throw new DsmError(`domain ${silent} does not answer core ${port.core} for page ${page} (${phase})`);
      }
    }
  }

  private whoIsSilent({ phase, target, awaiting, lock }: Request): number {
    const { spinlocks, islandOfCore } = this.port.soc;
    if (phase === "readers") return 31 - Math.clz32(awaiting);
    return phase === "lock" ? (islandOfCore[spinlocks.holder(lock)] ?? -1) : target;
  }

  /** See `DsmDomain.recover`. */
  recover(deadDomain: number): void {
    this.domain.recover(this.port, deadDomain);
  }

  /** See `DsmDomain.recoverCore`. */
  recoverCore(deadCore: number): void {
    this.domain.recoverCore(this.port, deadCore);
  }

  /** See `DsmDomain.release`. */
  release(): boolean {
    return this.domain.release(this.port);
  }
}
