/** The page allocator against a model that knows every page, and its errors. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { TypedMemory } from "../../src/memory/index.ts";
import { order_max, orderFor, Pages, PagesError, page_bytes } from "../../src/services/pages/index.ts";
import { PageFrame, PagesControl } from "../../src/services/pages/layout.ts";

const base = 1 << 20;

function make(count: number): { memory: TypedMemory; pages: Pages } {
  const memory = TypedMemory.format(new SharedArrayBuffer(base + count * page_bytes), { byteLength: base });
  return { memory, pages: Pages.create(memory, { name: "pages", base, count, owner: 1 }) };
}

describe("pages", () => {
  const command = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("allocate" as const), order: fc.nat(order_max) }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant("allocate" as const), order: fc.nat(4) }) },
    { weight: 10, arbitrary: fc.record({ do: fc.constant("free" as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant({ do: "attach" as const }) },
    { weight: 1, arbitrary: fc.constant({ do: "die" as const }) },
  );

  test("blocks never overlap, are aligned, are refused only when there is no such block, and all pages come back", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9000 }),
        fc.array(command, { maxLength: 200 }),
        (count, commands) => {
          const { memory, pages: first } = make(count);
          let pages = first;
          const taken = new Uint8Array(count);
          const blocks: { offset: number; order: number }[] = [];
          let used = 0;
          for (const one of commands) {
            if (one.do === "allocate") {
              const size = 1 << one.order;
              const offset = pages.allocate(one.order);
              if (offset < 0) {
                for (let start = 0; start + size <= count; start += size) {
                  assert.ok(
                    taken.subarray(start, start + size).includes(1),
                    `order ${one.order} is free at page ${start}`,
                  );
                }
                continue;
              }
              const start = (offset - base) / page_bytes;
              assert.equal(start % size, 0);
              assert.ok(start >= 0 && start + size <= count);
              assert.ok(!taken.subarray(start, start + size).includes(1), "overlaps a block");
              taken.fill(1, start, start + size);
              blocks.push({ offset, order: one.order });
              used += size;
            } else if (one.do === "free" && blocks.length > 0) {
              const [block] = blocks.splice(one.which % blocks.length, 1);
              const start = (block.offset - base) / page_bytes;
              pages.free(block.offset, block.order);
              taken.fill(0, start, start + (1 << block.order));
              used -= 1 << block.order;
            } else if (one.do === "attach") pages = Pages.attach(memory, "pages", 2);
            else if (one.do === "die") {
              memory.attachArea("pages", PagesControl).acquireMutex(0, 99);
              assert.equal(pages.recover(98), false);
              assert.equal(pages.recover(99), true);
              assert.equal(pages.recover(99), false);
            }
            assert.equal(pages.used(), used);
          }
          for (const block of blocks) pages.free(block.offset, block.order);
          assert.equal(pages.used(), 0);
          // Whatever happened before, the largest blocks can be had again.
          const largest = Math.min(order_max, 31 - Math.clz32(count));
          assert.ok(pages.allocate(largest) >= 0);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("every page can be allocated singly, then there is none", () => {
    const { pages } = make(1000);
    const offsets = new Set<number>();
    for (let i = 0; i < 1000; i++) offsets.add(pages.allocate(0));
    assert.equal(offsets.size, 1000);
    assert.ok(!offsets.has(-1));
    assert.equal(pages.allocate(0), -1);
    assert.equal(pages.used(), pages.capacity);
    for (const offset of offsets) pages.free(offset, 0);
    assert.equal(pages.used(), 0);
    let free = 0;
    for (let order = 0; order <= order_max; order++) free += pages.freeBlocks(order) << order;
    assert.equal(free, 1000);
  });

  test("the smallest block that fits is chosen for a number of bytes", () => {
    assert.deepEqual(
      [0, 1, 4096, 4097, 8192, 8193, 1 << 24, (1 << 24) + 1].map(orderFor),
      [0, 0, 0, 1, 1, 2, 12, 13],
    );
    const { pages } = make(64);
    assert.ok(pages.allocateBytes(5 * page_bytes) >= 0);
    assert.equal(pages.used(), 8);
    assert.equal(pages.allocateBytes(2 ** 40), -1);
  });

  test("a wrong free is refused with what is wrong, and changes nothing", () => {
    const { pages } = make(64);
    const small = pages.allocate(0);
    const large = pages.allocate(3);
    pages.free(small, 0);
    assert.throws(() => pages.free(small, 0), /double free/);
    assert.throws(() => pages.free(large, 2), /has order 3/);
    assert.throws(() => pages.free(large + page_bytes, 0), /no block starts there/);
    assert.throws(() => pages.free(large + 1, 3), PagesError);
    assert.throws(() => pages.free(base - page_bytes, 0), PagesError);
    assert.throws(() => pages.free(base + 64 * page_bytes, 0), PagesError);
    assert.throws(() => pages.free(large, 13), PagesError);
    assert.throws(() => pages.allocate(-1), PagesError);
    assert.throws(() => pages.allocate(1.5), PagesError);
    assert.equal(pages.used(), 8);
    pages.free(large, 3);
    assert.throws(() => pages.free(large, 3), PagesError);
    assert.equal(pages.used(), 0);
  });

  test("a range that is no range of the memory is refused", () => {
    const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
    const options = { name: "p", base: 0, count: 1, owner: 1 };
    assert.throws(() => Pages.create(memory, { ...options, base: 100 }), PagesError);
    assert.throws(() => Pages.create(memory, { ...options, count: 257 }), PagesError);
    assert.throws(() => Pages.create(memory, { ...options, count: 0 }), PagesError);
    assert.throws(() => Pages.create(memory, { ...options, owner: 0 }), PagesError);
  });

  test("a kernel that died anywhere inside an operation leaves an allocator that can be repaired", () => {
    // Damages everything the lock guards except the states of allocated blocks, as a half-done operation might.
    fc.assert(
      fc.property(
        fc.array(fc.nat(5), { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (orders, noise) => {
          const { memory, pages } = make(300);
          const kept = orders
            .map((order) => ({ order, offset: pages.allocate(order) }))
            .filter((one) => one.offset >= 0);
          const control = memory.attachArea("pages", PagesControl);
          const frames = memory.attachArea("pages.frames", PageFrame);
          control.acquireMutex(0, 7);
          const heads = new Set(kept.map((one) => (one.offset - base) / page_bytes));
          const next = () => noise.next().value as number;
          control.setUsed(0, next());
          control.setFreeOrders(0, next());
          for (let order = 0; order <= order_max; order++) control.setFreeHead(0, order, next());
          for (let page = 0; page < 300; page++) {
            frames.setNext(page, next());
            frames.setPrevious(page, next());
            if (heads.has(page)) continue;
            frames.setState(page, next() % 3);
            frames.setOrder(page, next());
          }
          assert.ok(pages.recover(7));
          assert.equal(
            pages.used(),
            kept.reduce((sum, one) => sum + (1 << one.order), 0),
          );
          for (const { offset, order } of kept) pages.free(offset, order);
          assert.equal(pages.used(), 0);
          assert.ok(pages.allocate(8) >= 0);
        },
      ),
      { numRuns: 50 },
    );
  });
});
