/** Pipes whose buffers are moved while bytes are in them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Areas, createAreas } from "../../src/kernel/areas.ts";
import { errno } from "../../src/kernel/errno.ts";
import { WaitService } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { IndependentPages, page_bytes, pageUser } from "../../src/services/pages/index.ts";
import { Pipes } from "../../src/services/pipe/pipes.ts";

const areas_bytes = 64 << 20;
const blockOrder = 8;
const blocks = 4;
const count = blocks << blockOrder;

class Island {
  readonly memory = TypedMemory.format(new SharedArrayBuffer(areas_bytes + count * page_bytes), {
    byteLength: areas_bytes,
  });
  readonly areas: Areas = createAreas(this.memory);
  readonly pages: IndependentPages;
  readonly pipes: Pipes;

  constructor() {
    IndependentPages.create(this.memory, { name: "pages", base: areas_bytes, count, kernels: 1, blockOrder });
    this.pages = IndependentPages.attach(this.memory, { name: "pages", kernel: 0, owner: 1 });
    this.pages.start(blocks);
    const { areas } = this;
    const waits = new WaitService(
      { waitQueues: areas.waitQueues.records, waiters: areas.waiters, threads: areas.threads.records },
      () => {},
      1,
    );
    this.pipes = new Pipes(areas, new Ram(this.memory.buffer), this.pages, waits, 1);
    this.pages.registerMover(pageUser.pipe, this.pipes.mover);
  }

  /** Moves everything out of a page block, which then is put back. */
  shake(block: number): boolean {
    const moved = this.pages.balloon.inflate(block);
    if (moved) assert.equal(this.pages.balloon.deflate(block), block);
    return moved;
  }
}

test("what is in a pipe is read as it was written, however often its buffer moves", () => {
  const command = fc.oneof(
    fc.record({ do: fc.constant("write" as const), length: fc.integer({ min: 1, max: 30_000 }) }),
    fc.record({ do: fc.constant("read" as const), length: fc.integer({ min: 1, max: 30_000 }) }),
    fc.record({ do: fc.constant("shake" as const), length: fc.nat(blocks - 1) }),
  );
  let moves = 0;
  fc.assert(
    fc.property(fc.array(command, { size: "max", minLength: 5, maxLength: 60 }), (commands) => {
      const island = new Island();
      const pipe = island.pipes.create();
      let written = 0;
      let read = 0;
      for (const one of commands) {
        if (one.do === "write") {
          const bytes = Uint8Array.from({ length: one.length }, (_, at) => ((written + at) * 7) >>> 3);
          const result = island.pipes.write(pipe, bytes, 0, one.length);
          assert.ok(result > 0 || result === -errno.AGAIN);
          written += Math.max(0, result);
        } else if (one.do === "read") {
          const bytes = new Uint8Array(one.length);
          const result = island.pipes.read(pipe, bytes, 0, one.length);
          if (written === read) assert.equal(result, -errno.AGAIN);
          for (let at = 0; at < result; at++) assert.equal(bytes[at], (((read + at) * 7) >>> 3) & 0xff);
          read += Math.max(0, result);
        } else {
          const before = island.areas.pipes.records.buffer(pipe);
          island.shake(one.length);
          if (island.areas.pipes.records.buffer(pipe) !== before) moves++;
        }
      }
      assert.equal(island.pages.used(), 16);
      island.pipes.closeReader(pipe);
      island.pipes.closeWriter(pipe);
      assert.equal(island.pages.used(), 0);
    }),
    { numRuns: 40 },
  );
  assert.ok(moves > 20);
});

test("a pipe that somebody is using, or is taking apart, stays where it is", () => {
  const { pipes, areas, pages } = new Island();
  const pipe = pipes.create();
  const { records } = areas.pipes;
  const from = records.buffer(pipe);
  const block = Math.floor((from - areas_bytes) / page_bytes) >>> blockOrder;
  records.acquireMutex(pipe, 9);
  assert.ok(!pages.balloon.inflate(block));
  records.releaseMutex(pipe, 9);
  // As after the last close, before the buffer is freed.
  records.setReaders(pipe, 0);
  records.setWriters(pipe, 0);
  assert.ok(!pages.balloon.inflate(block));
  assert.equal(records.buffer(pipe), from);
  assert.equal(pages.used(), 16);
  records.setReaders(pipe, 1);
  assert.ok(pages.balloon.inflate(block));
  assert.notEqual(records.buffer(pipe), from);
  assert.equal(pages.used(), 16);
});
