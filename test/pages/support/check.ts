/** What must hold of independent allocators whenever no kernel is inside one of their functions. */
import assert from "node:assert/strict";
import type { TypedMemory } from "../../../src/memory/index.ts";
import { BlockTable } from "../../../src/services/pages/block-table.ts";
import {
  blockWords,
  order_max,
  pageState,
  pageUser,
  quickOrder_max,
} from "../../../src/services/pages/layout.ts";
import { attachPageAreas } from "../../../src/services/pages/page-areas.ts";

export interface AllocatedBlock {
  readonly page: number;
  readonly order: number;
  readonly user: number;
  readonly index: number;
}

/** Checks every structure against the page frames and the table. @returns what is allocated. */
export function checkPages(memory: TypedMemory): AllocatedBlock[] {
  const areas = attachPageAreas(memory, memory, "pages");
  const { local, zones, frames } = areas;
  const table = new BlockTable(areas, 1000);
  const allocated: AllocatedBlock[] = [];
  const sums = Array.from({ length: table.kernelCount }, () => ({ free: 0 }));
  for (let block = 0; block < table.blockCount; block++) {
    const first = table.firstPageOf(block);
    const end = first + table.pagesOf(block);
    const kernel = table.kernelOf(block);
    for (let other = 0; other < table.kernelCount; other++) {
      const owned = ((local.owned(other, block >>> 5) >>> (block & 31)) & 1) !== 0;
      assert.equal(owned, other === kernel, `kernel ${other} notes that it owns block ${block}`);
      if (other === kernel) continue;
      for (let order = 0; order <= order_max; order++) {
        const bits = local.atLeast(other, order * blockWords + (block >>> 5));
        assert.equal((bits >>> (block & 31)) & 1, 0, `kernel ${other} would allocate from block ${block}`);
      }
    }
    if (kernel < 0) {
      for (let page = first; page < end; page++) {
        assert.equal(frames.state(page), pageState.inside, `page ${page} of no kernel has a state`);
      }
      continue;
    }
    const zone = kernel * areas.zonesPerKernel + block;
    assert.equal(zones.closing(zone), 0);
    assert.equal(zones.first(zone), first);
    assert.equal(zones.count(zone), end - first);
    let used = 0;
    let free = 0;
    let unmovable = 0;
    let largest = -1;
    const freeBlocks = new Array(order_max + 1).fill(0);
    const quickBlocks = new Array(order_max + 1).fill(0);
    for (let page = first; page < end; ) {
      const state = frames.state(page);
      const order = frames.order(page);
      assert.notEqual(state, pageState.inside, `page ${page} belongs to nothing`);
      if (state === pageState.allocated) {
        const user = frames.user(page);
        allocated.push({ page, order, user, index: frames.index(page) });
        assert.notEqual(user, pageUser.arriving);
        used += 1 << order;
        if (user === pageUser.unmovable) unmovable += 1 << order;
      } else {
        free += 1 << order;
        largest = Math.max(largest, order);
        if (state === pageState.free) freeBlocks[order]++;
        else quickBlocks[order]++;
      }
      assert.equal((page - first) % (1 << order), 0);
      page += 1 << order;
      assert.ok(page <= end);
    }
    assert.equal(zones.used(zone), used);
    assert.equal(zones.unmovable(zone), unmovable);
    assert.equal(zones.top(zone) - 1, largest);
    for (let order = 0; order <= order_max; order++) {
      const bits = local.atLeast(kernel, order * blockWords + (block >>> 5));
      assert.equal((bits >>> (block & 31)) & 1, order <= largest ? 1 : 0);
      assert.equal(zones.freeBlocks(zone, order), freeBlocks[order]);
      if (order <= quickOrder_max) assert.equal(zones.quickBlocks(zone, order), quickBlocks[order]);
      let listed = 0;
      for (let link = zones.freeHead(zone, order); link !== 0; link = frames.next(link - 1)) {
        assert.ok(frames.state(link - 1) === pageState.free && frames.order(link - 1) === order);
        listed++;
      }
      assert.equal(listed, freeBlocks[order]);
    }
    sums[kernel].free += free;
  }
  for (let kernel = 0; kernel < table.kernelCount; kernel++) {
    assert.equal(local.free(kernel), sums[kernel].free, `free pages of kernel ${kernel}`);
    for (const word of [local.ownerOfMutex(kernel), local.ownerOfEvacuation(kernel), local.moving(kernel)]) {
      assert.equal(word, 0);
    }
  }
  return allocated;
}
