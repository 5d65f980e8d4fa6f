/** Independent allocators with a model of what they hold, for properties; kernels can die at any access to memory. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { lock, struct } from "../../../src/memory/index.ts";
import { page_bytes, pageUser } from "../../../src/services/pages/index.ts";
import { PageBlockTable } from "../../../src/services/pages/layout.ts";
import { UserPageBlock } from "../../../src/services/pages/user-pages.ts";
import { type AllocatedBlock, checkPages } from "./check.ts";
import { CoreDied, type Kernel, Kernels } from "./kernels.ts";

const kernelCount = 4;
const who = fc.nat(kernelCount - 1);
const order = fc.oneof({ weight: 6, arbitrary: fc.nat(4) }, { weight: 2, arbitrary: fc.nat(8) });

export const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("allocate" as const), who, order }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("hold" as const), who, order }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("free" as const), who, which: fc.nat() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("release" as const), who, which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("deflate" as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("inflate" as const), who, which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("tick" as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("serve" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("settle" as const), who }) },
);
export const death = fc.record({
  do: fc.constant("doom" as const),
  who,
  accesses: fc.oneof(fc.nat(40), fc.nat(400), fc.nat(4000)),
});

export type Step =
  | (typeof step extends fc.Arbitrary<infer T> ? T : never)
  | (typeof death extends fc.Arbitrary<infer T> ? T : never);

interface Fixed {
  readonly page: number;
  readonly order: number;
}

/** A system and what it should hold. */
export class Model {
  readonly kernels = new Kernels({ count: kernelCount, blocks: 9, missing: 100, lowWater_pages: 24 });
  readonly records = this.kernels.memory.attachPool("user", UserPageBlock);
  private readonly pool = this.kernels.memory.attachArea(
    "user.pool",
    struct("PoolControl", { mutex: lock() }),
  );
  private readonly table = this.kernels.memory.attachArea("pages.table", PageBlockTable);
  fixed: Fixed[] = [];
  /** Mark of each held block, by index. */
  readonly held = new Map<number, { order: number; mark: number }>();
  marks = 0;
  moves = 0;

  private readonly late: number;
  private dead: Kernel[] = [];
  private lost_max = 0;
  private waited = 0;

  /** @param late how many steps the living do before they clean up behind the dead. */
  constructor(late: number) {
    this.late = late;
    for (const kernel of this.kernels.kernels) kernel.pages.start();
  }

  run(one: Step): void {
    const kernel = this.kernels.kernels[one.who];
    if (!kernel.alive) return;
    if (one.do === "doom") kernel.crash.left = one.accesses;
    else {
      try {
        this.act(kernel, one);
      } catch (error) {
        if (!(error instanceof CoreDied)) throw error;
      }
      this.mourn(one);
      if (this.dead.length > 0 && (this.waited++ >= this.late || this.urgent())) this.bury(one);
    }
  }

  private act(kernel: Kernel, one: Exclude<Step, { do: "doom" }>): void {
    const { pages, user } = kernel;
    if (one.do === "allocate") {
      const offset = pages.allocate(one.order);
      if (offset >= 0) this.fixed.push({ page: (offset - pages.base) / page_bytes, order: one.order });
    } else if (one.do === "hold") {
      const index = user.hold(one.order);
      if (index < 0) return;
      const mark = ++this.marks;
      // Written in the memory itself: the kernel may be about to die.
      this.stamp(index, one.order, mark);
      this.held.set(index, { order: one.order, mark });
    } else if (one.do === "free") {
      if (this.fixed.length === 0) return;
      const [block] = this.fixed.splice(one.which % this.fixed.length, 1);
      pages.free(pages.base + block.page * page_bytes, block.order);
    } else if (one.do === "release") {
      const indices = [...this.held.keys()];
      if (indices.length === 0) return;
      const index = indices[one.which % indices.length];
      this.held.delete(index);
      user.release(index);
    } else if (one.do === "deflate") pages.balloon.deflate();
    else if (one.do === "inflate") {
      const own: number[] = [];
      for (let block = 0; block < pages.table.blockCount; block++) {
        if (pages.table.kernelOf(block) === kernel.number) own.push(block);
      }
      const block = own[one.which % own.length];
      if (own.length > 0 && pages.balloon.inflate(block)) this.moves++;
    } else if (one.do === "tick") pages.tick();
    else if (one.do === "serve") {
      if (this.kernels.world.rung.delete(kernel.number)) kernel.node.endpoint.drain();
    } else this.kernels.settle();
  }

  /** Notes who died in a step. */
  private mourn(one: Step): void {
    for (const kernel of this.kernels.kernels) {
      if (!kernel.alive || kernel.crash.left >= 0) continue;
      this.kernels.die(kernel);
      this.dead.push(kernel);
      // Only what a step itself was about can be in nobody's hands.
      if (["allocate", "hold", "free", "release"].includes(one.do) && kernel.number === one.who)
        this.lost_max++;
    }
    const alive = this.kernels.kernels.filter((kernel) => kernel.alive);
    if (alive.length === 0) throw new Error("nobody is left");
    // The last one cannot die: somebody has to find out.
    if (alive.length === 1) alive[0].crash.left = Number.POSITIVE_INFINITY;
  }

  /** Whether what the dead hold would make the others wait for ever. */
  private urgent(): boolean {
    const { records } = this.records;
    const owners = this.dead.map((kernel) => kernel.owner);
    if (owners.includes(this.pool.ownerOfMutex(0))) return true;
    for (let index = 1; index <= this.records.capacity; index++) {
      if (owners.includes(records.ownerOfMutex(index))) return true;
    }
    return this.kernels.kernels.filter((kernel) => kernel.alive).length === 1;
  }

  /** Survivors clean up behind kernels that died, which then boot again. */
  bury(one: Step): void {
    const { dead } = this;
    if (dead.length === 0) return;
    const survivor = () => this.kernels.kernels.filter((kernel) => kernel.alive)[0];
    for (let left: Kernel[] = [...dead]; left.length > 0; ) {
      // First the one that died while it cleaned up behind others, as callers are told to.
      const repairing = this.table.ownerOfAdoption(0);
      left.sort((a, b) => Number(b.owner === repairing) - Number(a.owner === repairing));
      try {
        while (left.length > 0) {
          this.kernels.recover(survivor(), left[0]);
          left.shift();
        }
      } catch (error) {
        if (!(error instanceof CoreDied)) throw error;
        this.mourn(one);
        left = [...dead];
      }
    }
    for (const kernel of this.kernels.kernels)
      kernel.crash.left = kernel.alive ? Number.POSITIVE_INFINITY : 0;
    this.kernels.settle();
    const lost = this.check();
    assert.ok(lost.length <= this.lost_max, `${one.do} of a dying kernel lost ${JSON.stringify(lost)}`);
    const { pages, user, owner } = survivor();
    // What the dead were about to free or to hand out is freed for them.
    for (const block of lost) {
      const offset = pages.base + block.page * page_bytes;
      const known = block.user === pageUser.userPages && this.records.ownerOf(block.index) !== 0;
      if (known && this.records.records.place(block.index) === offset) user.release(block.index);
      else pages.free(offset, block.order);
    }
    for (let index = 1; index <= this.records.capacity; index++) {
      if (this.records.ownerOf(index) !== 0 && !this.held.has(index)) this.records.free(index, owner);
    }
    for (const kernel of dead) this.kernels.boot(kernel.number);
    this.dead = [];
    this.lost_max = 0;
    this.waited = 0;
  }

  private stamp(index: number, blockOrder: number, mark: number): void {
    const words = new Uint32Array(this.kernels.memory.buffer);
    const first = this.records.records.place(index) / 4;
    for (let page = 0; page < 1 << blockOrder; page++) {
      words[first + page * 1024] = mark;
      words[first + page * 1024 + 1023] = mark ^ page;
    }
  }

  /** Nothing is owned twice, nothing in use is free, contents are kept. @returns what nobody owns. */
  check(): AllocatedBlock[] {
    const words = new Uint32Array(this.kernels.memory.buffer);
    const allocated = new Map(checkPages(this.kernels.memory).map((block) => [block.page, block]));
    for (const { page, order: expected } of this.fixed) {
      assert.equal(allocated.get(page)?.order, expected, `page ${page} should be allocated`);
      assert.equal(allocated.get(page)?.user, pageUser.unmovable);
      allocated.delete(page);
    }
    for (const [index, { order: expected, mark }] of this.held) {
      const offset = this.records.records.place(index);
      const page = (offset - this.kernels.base) / page_bytes;
      const block = allocated.get(page);
      assert.equal(block?.order, expected, `page ${page} should be allocated for index ${index}`);
      assert.equal(block?.user, pageUser.userPages);
      assert.equal(block?.index, index);
      allocated.delete(page);
      for (let part = 0; part < 1 << expected; part++) {
        assert.equal(words[offset / 4 + part * 1024], mark);
        assert.equal(words[offset / 4 + part * 1024 + 1023], mark ^ part);
      }
    }
    return [...allocated.values()];
  }

  /** Everything is freed, by anybody: then everything is free. */
  end(): void {
    this.bury({ do: "settle", who: 0 });
    for (const kernel of this.kernels.kernels) kernel.crash.left = Number.POSITIVE_INFINITY;
    this.kernels.settle();
    assert.deepEqual(this.check(), []);
    let by = 0;
    const next = () => this.kernels.kernels[by++ % kernelCount];
    for (const { page, order: blockOrder } of this.fixed) {
      const { pages } = next();
      pages.free(pages.base + page * page_bytes, blockOrder);
    }
    for (const index of this.held.keys()) next().user.release(index);
    this.fixed = [];
    this.held.clear();
    this.kernels.settle();
    assert.deepEqual(this.check(), []);
    for (const kernel of this.kernels.kernels) {
      assert.deepEqual(kernel.faults, []);
      assert.equal(kernel.pages.redirectedFrees(), 0);
      for (let block = 0; block < kernel.pages.table.blockCount; block++) kernel.pages.balloon.inflate(block);
    }
    const { table } = this.kernels.kernels[0].pages;
    assert.equal(table.freeBlocks(), table.blockCount, "all page blocks can be had back");
  }
}
