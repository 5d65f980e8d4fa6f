/**
 * What all domains know: who owns what. In uncached memory, so it needs no coherence; every access takes time.
 *
 * An entry names the owner even when that domain is gone or asleep (`serviceCore` is −1): what it owned belongs to
 * nobody then, and the first to need it takes it. So neither a death nor a power-down has to touch the entries.
 *
 * Who may write: an entry that names a domain is written by that domain as long as it has the right in its own page
 * table; otherwise under the page's hardware spinlock, by who has seen under the lock that the owner is absent, or
 * that it is itself (it came back). A page's readers are written by its owner. A domain's record is written by the
 * domain, or by who buries it.
 */
import { struct, type TypedMemory, u8, u16, u32 } from "../memory/index.ts";

const Dsm = struct("Dsm", { pageCount: u32, sectionPages: u32, domainCount: u32 });
const DsmDomainRecord = struct("DsmDomain", {
  /** 0: absent. Else the core that serves the domain's requests, plus one. */
  service: u16,
});
const DsmSection = struct("DsmSection", {
  /** 0: nobody has used it. `wholeOf` + d: domain d has all of it. `byPage` + d: by page; d had all of it before. */
  grain: u8,
});
const DsmPage = struct("DsmPage", {
  /** 0: as the section says. Else the domain that owns the page, plus one. */
  owner: u8,
});
const DsmReaders = struct("DsmReaders", {
  /** Bit d: domain d may have a copy to read. The owner's own bit means nothing. */
  domains: u32,
});

/** The word of a page's readers has this many bits. */
export const domainsMax = 32;
const wholeOf = 1;
const byPage = 64;

const nobody = -1;

export interface TablesShape {
  readonly pageCount: number;
  /** Pages of a section, a power of two. */
  readonly sectionPages: number;
  readonly domainCount: number;
}

/** What the section table says: `owner` is −1 where nobody has used the section. */
export interface SectionEntry {
  readonly byPage: boolean;
  readonly owner: number;
}

/** The tables as one core reaches them. */
export class DsmTables {
  readonly shape: TablesShape;
  private readonly domains;
  private readonly sections;
  private readonly pages;
  private readonly readers;

  private constructor(memory: TypedMemory, shape: TablesShape) {
    this.shape = shape;
    const unchecked = { checked: false };
    this.domains = memory.attachArea("dsm.domains", DsmDomainRecord, unchecked);
    this.sections = memory.attachArea("dsm.sections", DsmSection, unchecked);
    this.pages = memory.attachArea("dsm.pages", DsmPage, unchecked);
    this.readers = memory.attachArea("dsm.readers", DsmReaders, unchecked);
  }

  /** Makes the tables; all memory belongs to nobody. @throws AreaError when there is no room. */
  static create(memory: TypedMemory, shape: TablesShape): void {
    const { pageCount, sectionPages, domainCount } = shape;
    const dsm = memory.create("dsm", Dsm, { count: 1 });
    dsm.setPageCount(0, pageCount);
    dsm.setSectionPages(0, sectionPages);
    dsm.setDomainCount(0, domainCount);
    memory.create("dsm.domains", DsmDomainRecord, { count: domainCount });
    memory.create("dsm.sections", DsmSection, { count: Math.ceil(pageCount / sectionPages) });
    memory.create("dsm.pages", DsmPage, { count: pageCount });
    memory.create("dsm.readers", DsmReaders, { count: pageCount });
  }

  /** @throws AttachError when nobody has made them. */
  static attach(memory: TypedMemory): DsmTables {
    const dsm = memory.attachArea("dsm", Dsm);
    return new DsmTables(memory, {
      pageCount: dsm.pageCount(0),
      sectionPages: dsm.sectionPages(0),
      domainCount: dsm.domainCount(0),
    });
  }

  /** The core that serves a domain's requests; −1 for an absent domain. */
  serviceCore(domain: number): number {
    return this.domains.service(domain) - 1;
  }

  setServiceCore(domain: number, core: number): void {
    this.domains.setService(domain, core + 1);
  }

  section(section: number): SectionEntry {
    const grain = this.sections.grain(section);
    if (grain === 0) return { byPage: false, owner: nobody };
    return grain < byPage
      ? { byPage: false, owner: grain - wholeOf }
      : { byPage: true, owner: grain - byPage };
  }

  setSectionWhole(section: number, owner: number): void {
    this.sections.setGrain(section, wholeOf + owner);
  }

  setSectionByPage(section: number, formerOwner: number): void {
    this.sections.setGrain(section, byPage + formerOwner);
  }

  /** Owner of a page in a section that is tracked by page. */
  pageOwner(page: number, formerOwner: number): number {
    const owner = this.pages.owner(page);
    return owner === 0 ? formerOwner : owner - 1;
  }

  setPageOwner(page: number, owner: number): void {
    this.pages.setOwner(page, owner + 1);
  }

  /** Owner of a page, of whatever grain its section is; −1 for none. */
  ownerOf(page: number): number {
    const entry = this.section(Math.floor(page / this.shape.sectionPages));
    return entry.byPage ? this.pageOwner(page, entry.owner) : entry.owner;
  }

  readersOf(page: number): number {
    return this.readers.domains(page);
  }

  setReaders(page: number, domains: number): void {
    this.readers.setDomains(page, domains);
  }
}

/** Bytes of uncached memory that the tables take, with room to spare for the directory's entries. */
export function tablesBytes(shape: TablesShape): number {
  const alignment_bytes = 5 * 128;
  return (
    shape.pageCount * 5 +
    Math.ceil(shape.pageCount / shape.sectionPages) +
    shape.domainCount * 2 +
    64 +
    alignment_bytes
  );
}
