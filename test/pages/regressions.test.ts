/** Bugs that were found in independent page allocators, each by the shortest way to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BlockTable } from "../../src/services/pages/block-table.ts";
import { LocalPages, PageBlockTable } from "../../src/services/pages/layout.ts";
import { LocalAllocator } from "../../src/services/pages/local-allocator.ts";
import { attachPageAreas } from "../../src/services/pages/page-areas.ts";
import { checkPages } from "./support/check.ts";
import { blockPages, CoreDied, Kernels } from "./support/kernels.ts";

/** Runs something during which a kernel dies. */
function dies(action: () => void): void {
  assert.throws(action, CoreDied);
}

test("a kernel that has sent all its frees has no work left", () => {
  const kernels = new Kernels({ count: 3, blocks: 6 });
  const [first, second, third] = kernels.kernels;
  for (const { pages } of kernels.kernels) pages.start();
  third.pages.free(first.pages.allocate(0), 0);
  third.pages.free(second.pages.allocate(0), 0);
  kernels.settle();
  assert.ok(!third.pages.workPending());
  assert.equal(first.pages.used(), 0);
});

test("frees on the way to a kernel that died are executed without anybody freeing something again", () => {
  const kernels = new Kernels({ count: 3, blocks: 6 });
  const [first, second, third] = kernels.kernels;
  for (const { pages } of kernels.kernels) pages.start();
  second.pages.free(third.pages.allocate(0), 0);
  kernels.die(third);
  second.pages.tick();
  kernels.recover(first, third);
  kernels.settle();
  assert.equal(first.pages.used(), 0);
  assert.equal(second.pages.redirectedFrees(), 0);
});

test("a kernel that dies anywhere while it cleans up behind another leaves nothing undone", () => {
  let deaths = 0;
  // Not each access, which takes a minute.
  for (let accesses = 0; ; accesses += 41) {
    const kernels = new Kernels({ count: 3, blocks: 6 });
    const [first, second, third] = kernels.kernels;
    for (const { pages } of kernels.kernels) pages.start();
    const kept = third.pages.allocate(2);
    third.pages.free(second.pages.allocate(1), 1);
    // The third kernel dies while it evacuates a page block.
    assert.equal(third.pages.balloon.deflate(), 2);
    third.user.hold(3);
    third.crash.left = 70;
    dies(() => third.pages.balloon.inflate(2));
    kernels.die(third);
    second.crash.left = accesses;
    let done = false;
    try {
      kernels.recover(second, third);
      done = true;
    } catch (error) {
      assert.ok(error instanceof CoreDied);
      deaths++;
      kernels.die(second);
      kernels.recover(first, second);
      kernels.recover(first, third);
    }
    second.crash.left = done ? Number.POSITIVE_INFINITY : 0;
    kernels.settle();
    const allocated = checkPages(kernels.memory).map(({ page, order }) => ({ page, order }));
    const keptPage = (kept - kernels.base) / 4096;
    assert.ok(allocated.some(({ page, order }) => page === keptPage && order === 2));
    assert.deepEqual(allocated.map(({ order }) => order).sort(), [2, 3]);
    if (done) break;
  }
  assert.ok(deaths > 20);
});

test("a page block that was claimed is added once, though a repair came before its core did it", () => {
  const kernels = new Kernels({ count: 1, blocks: 4 });
  const [kernel] = kernels.kernels;
  kernel.pages.start();
  const areas = attachPageAreas(kernels.memory, kernels.memory, "pages");
  const table = new BlockTable(areas, 50);
  const otherCore = new LocalAllocator(areas, table, 0, 50);
  const block = table.claim(0, "low");
  kernels.memory.attachArea("pages", LocalPages).acquireMutex(0, 99);
  assert.ok(kernel.pages.recover(99));
  const taken: number[] = [];
  for (let one = 0; one < 2 * blockPages; one++) taken.push(kernel.pages.allocate(0));
  otherCore.addBlock(block);
  checkPages(kernels.memory);
  for (let one = 0; one < 2 * blockPages; one++) taken.push(kernel.pages.allocate(0));
  assert.equal(new Set(taken).size, 4 * blockPages);
});

test("a page block that a core claimed before it died is not lost to its kernel", () => {
  const kernels = new Kernels({ count: 1, blocks: 4 });
  const [kernel] = kernels.kernels;
  kernel.pages.start();
  kernel.pages.table.claim(0, "low");
  assert.equal(kernel.pages.usage().blocks, 1);
  kernel.pages.recover(99);
  assert.equal(kernel.pages.usage().blocks, 2);
});

test("a free that finds its page block with another owner is not counted as executed", () => {
  const kernels = new Kernels({ count: 2, blocks: 4 });
  const [first, second] = kernels.kernels;
  for (const { pages } of kernels.kernels) pages.start();
  const areas = attachPageAreas(kernels.memory, kernels.memory, "pages");
  const offset = second.pages.allocate(0);
  const page = (offset - kernels.base) / 4096;
  // As a core that has read the table before, and executes the free afterwards.
  kernels.die(second);
  kernels.recover(first, second);
  const late = new LocalAllocator(areas, new BlockTable(areas, 50), 1, 50);
  late.lock();
  assert.equal(late.giveForLocked(0, 1, page, 0), undefined);
  late.unlock();
  assert.equal(areas.local.executed(1, 0), 0);
  first.pages.free(offset, 0);
  assert.equal(first.pages.used(), 0);
});

test("what could not be repaired, because a mutex was held, is repaired in the background", () => {
  const kernels = new Kernels({ count: 1, blocks: 4 });
  const [kernel] = kernels.kernels;
  kernel.pages.start(2);
  const local = kernels.memory.attachArea("pages", LocalPages);
  const table = kernels.memory.attachArea("pages.table", PageBlockTable);
  local.acquireEvacuation(0, 99);
  local.acquireMutex(0, 50);
  kernel.pages.recover(99);
  assert.equal(local.ownerOfEvacuation(0), 99);
  local.releaseMutex(0, 50);
  kernel.pages.tick();
  assert.equal(local.ownerOfEvacuation(0), 0);
  assert.equal(table.recovering(0, 0), 0);
  assert.ok(kernel.pages.balloon.inflate(1));
});
