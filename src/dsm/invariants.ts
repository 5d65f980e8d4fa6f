/**
 * What holds at every moment, whatever is under way, between any two events. For tests and simulations, which look at
 * all domains at once; no kernel can.
 */
import type { DsmDomain } from "./domain.ts";
import { pageState } from "./page-states.ts";
import type { DsmTables } from "./tables.ts";

/** What is wrong, one line for each page and reason. */
export function violations(domains: readonly DsmDomain[], tables: DsmTables): string[] {
  const found: string[] = [];
  for (let page = 0; page < tables.shape.pageCount; page++) {
    const rights = domains.map(({ domain, pages }) => ({ domain, state: pages.state(page) }));
    const owners = rights.filter(({ state }) => state >= pageState.sharedOwner);
    const readers = rights.filter(({ state }) => state === pageState.shared);
    const isWritten = owners.some(({ state }) => state === pageState.exclusive);
    const complain = (what: string) => found.push(`page ${page}: ${what}`);
    if (owners.length > 1) complain(`owned by domains ${owners.map(({ domain }) => domain).join(" and ")}`);
    if (isWritten && readers.length > 0)
      complain(`domain ${owners[0].domain} may write what domain ${readers[0].domain} may read`);
    for (const { domain, state } of rights) {
      if (state !== pageState.invalid && tables.serviceCore(domain) < 0)
        complain(`domain ${domain} has a right to it, but cannot be asked`);
    }
    for (const { domain } of owners) {
      const owner = tables.ownerOf(page);
      if (owner !== domain) complain(`domain ${domain} owns it; the table says ${owner}`);
    }
    for (const { domain } of readers) {
      if ((tables.readersOf(page) & (1 << domain)) === 0)
        complain(`domain ${domain} reads it, but is not among the readers`);
    }
  }
  return found;
}
