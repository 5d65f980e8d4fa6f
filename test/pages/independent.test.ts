/** Independent allocators: balloons, the meta-level manager, redirected frees. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PagesError, page_bytes, pageUser } from "../../src/services/pages/index.ts";
import { UserPageBlock } from "../../src/services/pages/user-pages.ts";
import { blockPages, type Kernel, Kernels } from "./support/kernels.ts";

function start(kernels: Kernels): Kernel[] {
  for (const kernel of kernels.kernels) assert.equal(kernel.pages.start(), 1);
  return kernels.kernels;
}

function pattern(seed: number, pages: number): Uint8Array {
  const bytes = new Uint8Array(pages * page_bytes);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 7 + seed * 31 + (at >>> 12)) & 0xff;
  return bytes;
}

describe("independent pages", () => {
  test("at boot the balloons have everything; page blocks are handed out from both ends", () => {
    const kernels = new Kernels({ count: 2, blocks: 6 });
    const [main, shadow] = kernels.kernels;
    assert.equal(main.pages.table.freeBlocks(), 6);
    assert.deepEqual([main.pages.balloon.deflate(), main.pages.balloon.deflate()], [0, 1]);
    assert.deepEqual([shadow.pages.balloon.deflate(), shadow.pages.balloon.deflate()], [5, 4]);
    assert.equal(main.pages.balloon.deflate(5), -1);
    assert.equal(shadow.pages.balloon.deflate(3), 3);
    assert.deepEqual(main.pages.usage(), { kernel: 0, blocks: 2, free_pages: 2 * blockPages, used_pages: 0 });
    assert.ok(shadow.pages.balloon.inflate(3));
    assert.ok(!shadow.pages.balloon.inflate(3));
    assert.ok(!main.pages.balloon.inflate(4), "it is not this kernel's");
    assert.equal(main.pages.table.freeBlocks(), 2);
  });

  test("a kernel allocates and frees with nothing but memory of its own", () => {
    const kernels = new Kernels({ count: 4, blocks: 8, lowWater_pages: 0 });
    const all = start(kernels);
    const touched = all.map(({ pages, crash }) => {
      crash.touched.clear();
      const blocks: { offset: number; order: number }[] = [];
      for (let one = 0; one < 60; one++) {
        blocks.push({ offset: pages.allocate(one % 3, pageUser.unmovable), order: one % 3 });
        blocks.push({ offset: pages.allocate(0, pageUser.userPages, one), order: 0 });
      }
      for (const { offset, order } of blocks) pages.free(offset, order);
      return new Set(crash.touched);
    });
    for (const [number, pages] of touched.entries()) {
      for (const other of touched.slice(number + 1)) {
        assert.deepEqual(
          [...pages].filter((page) => other.has(page)),
          [],
        );
      }
    }
    assert.equal(kernels.world.rung.size, 0, "no message was sent");
  });

  test("evacuation moves what is movable and keeps its contents", () => {
    for (const number of [0, 1]) {
      const kernels = new Kernels({ count: 2, blocks: 6 });
      const kernel = kernels.kernels[number];
      assert.equal(kernel.pages.start(3), 3);
      const fixed = [0, 3, 5].map((order) => ({ order, offset: kernel.pages.allocate(order) }));
      const held = [0, 1, 2, 3, 4, 2, 0].map((order, seed) => {
        const index = kernel.user.hold(order);
        kernel.user.write(index, 0, pattern(seed, 1 << order));
        return { index, order, seed, offset: kernel.user.offset(index) };
      });
      // Movable blocks lie at the frontier, the others at the far end.
      const blockOf = (offset: number) => Math.floor((offset - kernels.base) / page_bytes / blockPages);
      const [far, frontier] = number === 0 ? [0, 2] : [5, 3];
      for (const { offset } of fixed) assert.equal(blockOf(offset), far);
      for (const { offset } of held) assert.equal(blockOf(offset), frontier);
      assert.ok(!kernel.pages.balloon.inflate(far), "it has blocks that cannot be moved");
      assert.ok(kernel.pages.balloon.inflate(frontier));
      assert.equal(kernel.pages.usage().blocks, 2);
      for (const { index, order, seed, offset } of held) {
        assert.notEqual(kernel.user.offset(index), offset);
        const bytes = new Uint8Array(page_bytes << order);
        kernel.user.read(index, 0, bytes);
        assert.deepEqual(bytes, pattern(seed, 1 << order));
        kernel.user.release(index);
      }
      for (const { order, offset } of fixed) kernel.pages.free(offset, order);
      assert.equal(kernel.pages.used(), 0);
      assert.deepEqual(kernel.pages.usage(), {
        kernel: number,
        blocks: 2,
        free_pages: 2 * blockPages,
        used_pages: 0,
      });
    }
  });

  test("inflating fails cleanly when there is no room, a user is busy, or cannot be asked", () => {
    const kernels = new Kernels({ count: 1, blocks: 2 });
    const [kernel] = kernels.kernels;
    kernel.pages.start(2);
    const indices: number[] = [];
    for (let one = 0; one < 5; one++) indices.push(kernel.user.hold(5));
    const before = kernel.pages.usage();
    // 160 pages in block 1 do not fit beside what is in block 0.
    const large = kernel.pages.allocate(7);
    assert.ok(!kernel.pages.balloon.inflate(1));
    kernel.pages.free(large, 7);
    const records = kernels.memory.attachPool("user", UserPageBlock);
    records.records.acquireMutex(indices[3], 77);
    assert.ok(!kernel.pages.balloon.inflate(1), "a user is busy");
    assert.deepEqual(kernel.pages.usage(), before);
    records.records.releaseMutex(indices[3], 77);
    assert.ok(kernel.pages.balloon.inflate(1));
    assert.equal(kernel.pages.used(), 160);
  });

  test("pressure deflates the balloon in the background, not in the allocation", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main] = start(kernels);
    while (main.pages.usage().free_pages >= 16) main.pages.allocate(0);
    assert.ok(main.pages.workPending());
    assert.equal(main.pages.usage().blocks, 1);
    main.pages.tick();
    assert.equal(main.pages.usage().blocks, 2);
    assert.ok(!main.pages.workPending());
  });

  test("under pressure other kernels are asked for page blocks, in the background", () => {
    const kernels = new Kernels({ count: 3, blocks: 6 });
    const [main, second, third] = kernels.kernels;
    main.pages.start(1);
    second.pages.start(1);
    third.pages.start(4);
    second.pages.allocate(7);
    const index = third.user.hold(3);
    third.user.write(index, 0, pattern(1, 8));
    while (main.pages.usage().free_pages >= 16) main.pages.allocate(0);
    kernels.settle();
    assert.equal(main.pages.usage().blocks, 2);
    assert.equal(second.pages.usage().blocks, 1, "it has too little itself");
    assert.equal(third.pages.usage().blocks, 3);
    const bytes = new Uint8Array(8 * page_bytes);
    third.user.read(index, 0, bytes);
    assert.deepEqual(bytes, pattern(1, 8));
  });

  test("an allocation that would fail gets a page block at once: from the region, then from another kernel", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main, shadow] = start(kernels);
    const taken: number[] = [];
    for (let one = 0; one < 3 * blockPages; one++) taken.push(main.pages.allocate(0));
    assert.ok(!taken.includes(-1));
    assert.equal(new Set(taken).size, 3 * blockPages);
    assert.equal(
      main.pages.allocate(8),
      shadow.pages.base + 3 * blockPages * page_bytes,
      "the shadow's last",
    );
    assert.equal(main.pages.allocate(0), -1);
    assert.equal(shadow.pages.allocate(0), -1);
    assert.equal(main.pages.used(), 4 * blockPages);
    for (const offset of taken) main.pages.free(offset, 0);
    assert.ok(shadow.pages.allocate(8) >= 0);
    assert.equal(main.pages.allocate(9), -1, "larger than a page block");
  });

  test("when nobody has a page block, the others are not asked at every allocation", () => {
    const kernels = new Kernels({ count: 2, blocks: 2 });
    const [main, shadow] = start(kernels);
    shadow.pages.allocate(0);
    while (main.pages.usage().free_pages > 0) main.pages.allocate(0);
    kernels.settle();
    let asked = 0;
    for (let one = 0; one < 1000; one++) {
      main.pages.free(main.pages.base, 0);
      assert.equal(main.pages.allocate(0), main.pages.base);
      if (main.pages.workPending()) asked++;
      kernels.settle();
    }
    assert.ok(asked > 0 && asked < 20, `asked ${asked} times`);
  });

  test("a free goes to the kernel that has allocated the block", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main, shadow] = start(kernels);
    const blocks = [0, 1, 2, 3, 0, 0, 4].map((order) => ({ order, offset: main.pages.allocate(order) }));
    for (const { order, offset } of blocks) shadow.pages.free(offset, order);
    assert.equal(shadow.pages.redirectedFrees(), blocks.length);
    assert.ok(main.pages.used() > 0, "frees are asynchronous");
    kernels.settle();
    assert.equal(main.pages.used(), 0);
    assert.equal(shadow.pages.redirectedFrees(), 0);
    assert.equal(main.pages.usage().free_pages, blockPages);
  });

  test("more frees than fit the records are executed, whoever does it", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main, shadow] = start(kernels);
    const offsets: number[] = [];
    for (let one = 0; one < 500; one++) offsets.push(main.pages.allocate(0));
    for (const offset of offsets) shadow.pages.free(offset, 0);
    kernels.settle();
    assert.equal(main.pages.used(), 0);
    assert.deepEqual(main.faults, []);
  });

  test("a wrong free is refused; by the owner of the block when it is another kernel's", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main, shadow] = start(kernels);
    const offset = main.pages.allocate(2);
    const kept = main.pages.allocate(0);
    main.pages.free(offset, 2);
    assert.throws(() => main.pages.free(offset, 2), /double free|no block starts/);
    assert.throws(() => main.pages.free(kept, 1), /has order 0/);
    assert.throws(() => main.pages.free(kept + 1, 0), PagesError);
    assert.throws(() => main.pages.free(kernels.base + kernels.pageCount * page_bytes, 0), PagesError);
    assert.throws(() => main.pages.free(kernels.base + blockPages * page_bytes, 0), /nothing is allocated/);
    assert.throws(() => main.pages.allocate(13), PagesError);
    shadow.pages.free(offset, 2);
    shadow.pages.free(kept, 1);
    shadow.pages.free(kept, 0);
    shadow.pages.free(kept, 0);
    kernels.settle();
    assert.equal(main.faults.length, 3);
    assert.match(main.faults[0], /kernel 1 cannot free order 2/);
    assert.match(main.faults[1], /has order 0/);
    assert.match(main.faults[2], /double free|no block starts/);
    assert.equal(main.pages.used(), 0);
    assert.equal(shadow.pages.redirectedFrees(), 0);
  });

  test("what a dead kernel had passes to a survivor, and goes back to the region when it is freed", () => {
    const kernels = new Kernels({ count: 3, blocks: 6 });
    const [main, shadow, third] = start(kernels);
    const offsets = [0, 3, 4].map((order) => ({ order, offset: shadow.pages.allocate(order) }));
    const other = third.pages.allocate(1);
    main.pages.free(offsets[0].offset, 0);
    shadow.pages.free(other, 1);
    kernels.die(shadow);
    kernels.settle();
    kernels.recover(main, shadow);
    kernels.settle();
    assert.equal(
      third.pages.used(),
      8 + 16,
      "both redirected frees were executed, by whom the blocks are now",
    );
    for (const { order, offset } of offsets.slice(1)) third.pages.free(offset, order);
    kernels.settle();
    assert.equal(main.pages.used(), 0);
    assert.ok(main.pages.balloon.inflate(5));
    const again = kernels.boot(1);
    assert.equal(again.pages.start(), 1);
    assert.ok(again.pages.allocate(8) >= 0);
  });

  test("an area of which a kernel died with the lock is repaired", () => {
    const kernels = new Kernels({ count: 2, blocks: 4 });
    const [main, shadow] = start(kernels);
    assert.equal(main.pages.recover(99), false);
    shadow.crash.left = 6;
    assert.throws(() => shadow.pages.allocate(3));
    kernels.die(shadow);
    assert.equal(main.pages.recover(shadow.owner, shadow.number), true);
    assert.equal(main.pages.recover(shadow.owner), false);
    assert.equal(main.pages.used(), 0);
    assert.equal(main.pages.table.freeBlocks(), 3);
  });
});
