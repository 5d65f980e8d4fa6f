/** The DMA driver: what is moved arrives whatever the caches hold, in turn, and each caller gets its own result. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { transfer_bytes_max } from "../../src/services/dma/driver.ts";
import { areas_bytes, bytes, Chip, content, fails, type Kernel, ok } from "./rig.ts";

const thread = 7;
const firstPage = areas_bytes / 4096;

function write(kernel: Kernel, transfer: number, data: Uint8Array, claimant = thread): number {
  return kernel.driver.transfer(transfer, data.length, claimant, { bytes: data, offset: 0 });
}

test("a transfer is asked for, moved, interrupts, and is then found done", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const transfer = ok(kernel.driver.open());
  const data = bytes(10_000);
  fails(write(kernel, transfer, data), "AGAIN");
  fails(write(kernel, transfer, data), "AGAIN");
  assert.equal(chip.engine.running.size, 1, "repeating the request starts nothing");
  chip.waitOn(kernel, thread, transfer);
  fails(kernel.driver.pollTransfer(transfer), "AGAIN");
  fails(kernel.driver.read(transfer, new Uint8Array(1), 0, 1), "AGAIN");
  kernel.driver.interrupt();
  assert.deepEqual(chip.woken, [], "an interrupt that means nothing does nothing");
  assert.ok(chip.engine.complete());
  kernel.driver.interrupt();
  assert.deepEqual(chip.woken, [thread]);
  assert.equal(write(kernel, transfer, data), 10_000);
  assert.deepEqual(content(kernel, transfer), data);
  assert.deepEqual(kernel.driver.statistics(), { transfers: 1, bytes: 10_000 });
});

test("whoever takes the interrupt leaves another island's transfers to that island, and touches nothing", () => {
  const chip = new Chip();
  const [first, second] = chip.kernels;
  const own = ok(first.driver.open());
  const others = ok(second.driver.open());
  fails(write(second, others, bytes(5000)), "AGAIN");
  chip.engine.complete();
  const touched: number[] = [];
  chip.onAccess = (island) => void touched.push(island);
  first.driver.interrupt();
  assert.deepEqual(chip.left, [1]);
  assert.ok(touched.length > 0 && touched.every((island) => island === 1));
  assert.equal(write(second, others, bytes(5000)), 5000);
  fails(write(first, own, bytes(6000)), "AGAIN");
  fails(write(second, others, bytes(7000)), "AGAIN");
  while (chip.engine.complete());
  second.driver.interrupt();
  assert.ok(chip.left.slice(1).includes(0));
  assert.equal(write(first, own, bytes(6000)), 6000);
  assert.equal(write(second, others, bytes(7000)), 7000);
});

test("transfers of an island without a kernel are ended by whoever takes the interrupt", () => {
  const chip = new Chip();
  const [first, second] = chip.kernels;
  const transfer = ok(second.driver.open());
  fails(write(second, transfer, bytes(5000)), "AGAIN");
  chip.dead.add(1);
  chip.engine.complete();
  first.driver.interrupt();
  assert.deepEqual(chip.left, []);
  assert.equal(write(first, transfer, bytes(5000)), 5000);
  assert.deepEqual(content(first, transfer), bytes(5000));
});

test("any kernel serves the interrupt, and any kernel reads", () => {
  const chip = new Chip();
  const [first, second] = chip.kernels;
  const transfer = ok(first.driver.open());
  const data = bytes(9000, 3);
  fails(write(first, transfer, data), "AGAIN");
  chip.engine.complete();
  second.driver.interrupt();
  // The process has moved to the other kernel meanwhile.
  assert.equal(write(second, transfer, data), 9000);
  assert.deepEqual(content(second, transfer), data);
  assert.deepEqual(content(first, transfer), data);
});

test("old copies in caches hide nothing", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const transfer = ok(kernel.driver.open());
  for (let round = 0; round < 4; round++) {
    const data = bytes(3 * 4096 + 5, round);
    fails(write(kernel, transfer, data), "AGAIN");
    // While the engine is at work, caches fetch pages nobody has asked for.
    for (let page = 0; page < 1024; page++) chip.caches.prefetch(0, firstPage + page);
    chip.engine.complete();
    kernel.driver.interrupt();
    assert.equal(write(kernel, transfer, data), data.length);
    assert.deepEqual(content(kernel, transfer), data);
  }
});

test("the target is cleared before each transfer", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const transfer = ok(kernel.driver.open());
  fails(write(kernel, transfer, bytes(8192)), "AGAIN");
  const { to } = [...chip.engine.running.values()][0];
  chip.engine.complete();
  kernel.driver.interrupt();
  assert.equal(write(kernel, transfer, bytes(8192)), 8192);
  fails(write(kernel, transfer, bytes(5000, 1)), "AGAIN");
  assert.deepEqual(chip.caches.dram.slice(to, to + 5000), new Uint8Array(5000));
});

test("bytes are stored once and moved often", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const { driver } = kernel;
  const transfer = ok(driver.open());
  const data = bytes(6000);
  assert.equal(driver.store(transfer, data, 0, 6000, 0), 6000);
  assert.equal(driver.store(transfer, data, 0, 100, 20_000), 100, "the buffer grows, and keeps what it has");
  for (const length of [6000, 100, 6000]) {
    fails(driver.transfer(transfer, length, thread, null), "AGAIN");
    fails(driver.store(transfer, data, 0, 1, 0), "BUSY");
    chip.engine.complete();
    driver.interrupt();
    assert.equal(driver.transfer(transfer, length, thread, null), length);
    assert.deepEqual(content(kernel, transfer), data.slice(0, length));
  }
  fails(driver.store(transfer, data, 0, 1, transfer_bytes_max), "FBIG");
  assert.equal(driver.transfer(transfer, 0, thread, null), 0);
});

test("read goes through what was moved once, then says that it is the end", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const { driver } = kernel;
  const transfer = ok(driver.open());
  const target = new Uint8Array(6000);
  assert.equal(driver.read(transfer, target, 0, 10), 0);
  fails(write(kernel, transfer, bytes(5000)), "AGAIN");
  chip.engine.complete();
  driver.interrupt();
  assert.equal(write(kernel, transfer, bytes(5000)), 5000);
  assert.equal(driver.pollRead(transfer), 5000);
  assert.equal(driver.read(transfer, target, 0, 4000), 4000);
  assert.equal(driver.read(transfer, target, 4000, 4000 - 2000), 1000);
  assert.deepEqual(target.slice(0, 5000), bytes(5000));
  assert.equal(driver.read(transfer, target, 0, 10), 0);
});

test("more is asked for than a transfer moves", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const transfer = ok(kernel.driver.open());
  const data = bytes(transfer_bytes_max + 10);
  fails(write(kernel, transfer, data), "AGAIN");
  chip.engine.complete();
  kernel.driver.interrupt();
  assert.equal(write(kernel, transfer, data), transfer_bytes_max);
  assert.deepEqual(content(kernel, transfer), data.slice(0, transfer_bytes_max));
});

test("who shares an open file must wait until the other has its result", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const transfer = ok(kernel.driver.open());
  fails(write(kernel, transfer, bytes(10), 7), "AGAIN");
  fails(write(kernel, transfer, bytes(10), 8), "BUSY");
  chip.waitOn(kernel, 7, transfer);
  chip.engine.complete();
  kernel.driver.interrupt();
  fails(write(kernel, transfer, bytes(10), 8), "BUSY");
  kernel.waits.waitDone(7);
  // Nobody waits for the result any more: the thread has died, say.
  fails(write(kernel, transfer, bytes(10, 1), 8), "AGAIN");
  chip.engine.complete();
  kernel.driver.interrupt();
  assert.equal(write(kernel, transfer, bytes(10, 1), 8), 10);
  assert.deepEqual(content(kernel, transfer), bytes(10, 1));
});

test("callers get channels in the order in which they came", () => {
  const chip = new Chip(2);
  const [first, second] = chip.kernels;
  const transfers = Array.from({ length: 7 }, () => ok(first.driver.open()));
  for (const [n, transfer] of transfers.entries()) {
    fails(write(n % 2 === 0 ? first : second, transfer, bytes(100, n), 100 + n), "AGAIN");
  }
  assert.equal(chip.engine.running.size, 2);
  first.driver.close(transfers[4]);
  while (chip.engine.complete(1)) second.driver.interrupt();
  for (const [n, transfer] of transfers.entries()) {
    if (n === 4) continue;
    assert.equal(write(first, transfer, bytes(100, n), 100 + n), 100);
    assert.deepEqual(content(second, transfer), bytes(100, n));
  }
  const { started } = chip.engine;
  assert.equal(started.length, 6);
  assert.deepEqual(
    started,
    [...started].sort((a, b) => a - b),
  );
});

test("bytes that one kernel has stored are moved for another", () => {
  const chip = new Chip();
  const [first, second] = chip.kernels;
  const transfer = ok(first.driver.open());
  for (let round = 0; round < 3; round++) {
    const data = bytes(5 * 4096, round);
    assert.equal(first.driver.store(transfer, data, 0, data.length, 0), data.length);
    fails(second.driver.transfer(transfer, data.length, thread, null), "AGAIN");
    chip.engine.complete();
    first.driver.interrupt();
    assert.equal(second.driver.transfer(transfer, data.length, thread, null), data.length);
    assert.deepEqual(content(first, transfer), data);
  }
});

test("the order survives a kernel that dies while it changes the line", () => {
  const chip = new Chip(1);
  const [first, second] = chip.kernels;
  const transfers = Array.from({ length: 5 }, () => ok(first.driver.open()));
  const order = [3, 1, 4, 0, 2].map((n) => transfers[n]);
  for (const [n, transfer] of order.entries()) fails(write(first, transfer, bytes(50, n), n), "AGAIN");
  second.driver.recover(3);
  first.driver.recover(2);
  for (const [n, transfer] of order.entries()) {
    assert.ok(chip.engine.complete());
    first.driver.interrupt();
    assert.equal(write(second, transfer, bytes(50, n), n), 50, `number ${n} in line`);
  }
});

test("closing frees everything, at once or when the engine is done with it", () => {
  const chip = new Chip(1);
  const before = chip.inUse();
  const [kernel] = chip.kernels;
  const { driver } = kernel;
  const transfers = Array.from({ length: 3 }, () => ok(driver.open()));
  for (const transfer of transfers.slice(1)) fails(write(kernel, transfer, bytes(5000)), "AGAIN");
  const busy = transfers[1];
  chip.waitOn(kernel, thread, transfers[2]);
  for (const transfer of transfers) driver.close(transfer);
  assert.deepEqual(chip.woken, [thread]);
  kernel.waits.waitDone(thread);
  assert.equal(driver.used(), 1);
  const again = ok(driver.open());
  assert.notEqual(again, busy);
  driver.close(again);
  chip.engine.complete();
  driver.interrupt();
  assert.deepEqual(chip.inUse(), before);
  assert.equal(chip.engine.running.size, 0);
});

test("no memory for the buffers", () => {
  const chip = new Chip();
  const [kernel] = chip.kernels;
  const before = chip.inUse();
  const taken: number[] = [];
  for (let at = kernel.pages.allocate(8); at >= 0; at = kernel.pages.allocate(8)) taken.push(at);
  const transfer = ok(kernel.driver.open());
  fails(write(kernel, transfer, bytes(transfer_bytes_max)), "NOMEM");
  for (const at of taken) kernel.pages.free(at, 8);
  fails(write(kernel, transfer, bytes(transfer_bytes_max)), "AGAIN");
  kernel.driver.close(transfer);
  chip.engine.complete();
  kernel.driver.interrupt();
  assert.deepEqual(chip.inUse(), before);
});

interface ModelTransfer {
  readonly number: number;
  readonly claimant: number;
  data: Uint8Array | undefined;
  isDone: boolean;
}

const stepArbitrary = fc.record({
  kind: fc.constantFrom("open", "write", "write", "write", "complete", "interrupt", "cache", "close"),
  kernel: fc.nat(1),
  which: fc.nat(5),
  length: fc.integer({ min: 1, max: 9000 }),
});

test("any sequence of operations on two kernels does what a model does", () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 50, size: "max" }), (steps) => {
      const chip = new Chip(2);
      const before = chip.inUse();
      let serial = 0;
      const transfers: ModelTransfer[] = [];
      const retry = (kernel: Kernel, one: ModelTransfer) => {
        assert.ok(one.data !== undefined);
        const result = write(kernel, one.number, one.data, one.claimant);
        if (result < 0) {
          fails(result, "AGAIN");
          return;
        }
        assert.equal(result, one.data.length);
        assert.deepEqual(content(kernel, one.number), one.data);
        one.data = undefined;
      };
      for (const step of steps) {
        const kernel = chip.kernels[step.kernel];
        const one = transfers[step.which % Math.max(1, transfers.length)];
        if (step.kind === "complete") chip.engine.complete(step.which);
        else if (step.kind === "interrupt") kernel.driver.interrupt();
        else if (step.kind === "cache") {
          const page = firstPage + (step.length % 64);
          if (step.which % 2 === 0) chip.caches.evict(step.kernel, page);
          // A cache fetches what its island may have: here, pages that are in no other one.
          else if (!chip.caches.isPresent(1 - step.kernel, page)) chip.caches.prefetch(step.kernel, page);
        } else if (step.kind === "open" || one === undefined) {
          if (transfers.length === 6) continue;
          const number = ok(kernel.driver.open());
          transfers.push({ number, claimant: 100 + serial++, data: undefined, isDone: false });
        } else if (step.kind === "write") {
          one.data ??= bytes(step.length, serial++);
          retry(kernel, one);
        } else {
          kernel.driver.close(one.number);
          transfers.splice(transfers.indexOf(one), 1);
        }
      }
      do chip.kernels[serial++ % 2].driver.interrupt();
      while (chip.engine.complete());
      for (const one of transfers) {
        if (one.data !== undefined) {
          retry(chip.kernels[serial++ % 2], one);
          assert.equal(one.data, undefined, "everything that was asked for is done at the end");
        }
        chip.kernels[0].driver.close(one.number);
      }
      assert.deepEqual(chip.inUse(), before);
    }),
    { numRuns: 40 },
  );
});
