/** The distributed shared memory of a system: makes its tables, and what each domain and core has of it. */
import type { TypedMemory } from "../memory/index.ts";
import { DsmDomain } from "./domain.ts";
import { Nesting } from "./domain-state.ts";
import { DsmError } from "./errors.ts";
import { DsmGuard } from "./guard.ts";
import { violations } from "./invariants.ts";
import { pagesLimit } from "./mail.ts";
import type { DsmCore } from "./port.ts";
import type { DsmOptions } from "./settings.ts";
import { DsmTables, domainsMax } from "./tables.ts";

export class Dsm {
  readonly options: DsmOptions;
  private readonly domains = new Map<number, DsmDomain>();
  private readonly nesting = new Nesting();
  private inspected: DsmTables | undefined;

  /** @throws DsmError for more memory than fits in a mail, or more domains than fit in the tables. */
  constructor(options: DsmOptions) {
    const { pageCount, sectionPages, domainCount } = options.shape;
    if (!(pageCount >= 1 && pageCount < pagesLimit)) throw new DsmError(`${pageCount} pages of memory`);
    if (!Number.isInteger(Math.log2(sectionPages))) throw new DsmError(`sections of ${sectionPages} pages`);
    if (!(domainCount >= 1 && domainCount <= domainsMax)) throw new DsmError(`${domainCount} domains`);
    this.options = options;
  }

  /** Makes the tables in uncached memory: once, before anybody attaches. @throws AreaError when there is no room. */
  createTables(uncached: TypedMemory): void {
    DsmTables.create(uncached, this.options.shape);
  }

  /**
   * A core takes part. `uncached` is the uncached memory with the tables, as this core reaches it (with the guard of its
   * own chip). The guard is for everything that this core shares with others.
   */
  attach(core: DsmCore, uncached: TypedMemory): DsmGuard {
    const { soc } = core;
    if (soc === null) throw new DsmError(`core ${core.id} has no chip around it`);
    const island = soc.islandOfCore[core.id];
    const domain = this.domains.get(island) ?? new DsmDomain(island, this.options, this.nesting);
    this.domains.set(island, domain);
    return new DsmGuard(domain, domain.attach(core, uncached));
  }

  /** What is wrong: one line each. `uncached`, always the same, need not be guarded. See `violations`. */
  check(uncached: TypedMemory): string[] {
    // Looked up once only: later, a core that has died may hold the directory's lock.
    this.inspected ??= DsmTables.attach(uncached);
    return violations([...this.domains.values()], this.inspected);
  }

  /** A domain, if a core of it has attached. */
  domain(island: number): DsmDomain | undefined {
    return this.domains.get(island);
  }

  /** A core is gone while others of its domain live. */
  loseCore(domain: number, deadCore: number): void {
    this.domains.get(domain)?.loseCore(deadCore);
  }

  /**
   * All cores of a domain are gone, with all that the domain knew; see `DsmDomain.recover`, which `survivor` does. The
   * domain's cores may attach again afterwards.
   */
  recover(survivor: DsmGuard, deadDomain: number): void {
    this.domains.delete(deadDomain);
    survivor.recover(deadDomain);
  }
}
