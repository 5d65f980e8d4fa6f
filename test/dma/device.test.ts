/** `/dev/dma` as a program uses it: written, read, and moved by a call of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "../../src/kernel/errno.ts";
import { BLOCKED, DIED } from "../../src/kernel/wait.ts";
import { Ram } from "../../src/machine/ram.ts";
import { DmaDevice } from "../../src/services/dma/device.ts";
import { DmaDriver } from "../../src/services/dma/driver.ts";
import { applicableRights } from "../../src/wasi/index.ts";
import { Harness } from "../wasi/harness.ts";
import { FakeEngine } from "./rig.ts";

const deviceNumber = 8;
const archipelago = "archipelago_1";

interface Scene {
  readonly h: Harness;
  readonly fd: number;
  readonly driver: DmaDriver;
  /** The engine moves everything it was given, and interrupts. */
  finish(): void;
}

function start(): Scene {
  const h = new Harness();
  const ram = new Ram(h.memory.buffer);
  const engine = new FakeEngine(2, ram.bytes);
  const cache = { access: () => undefined, clean: () => undefined, invalidate: () => undefined };
  const driver = DmaDriver.create({
    memory: h.memory,
    waitQueues: h.areas.waitQueues,
    ram,
    pages: h.pages,
    waits: h.waits,
    owner: 1,
    hardware: { dma: engine, cache },
    island: 0,
    leaveTo: () => false,
  });
  h.devices.register(deviceNumber, new DmaDevice(driver));
  const finish = () => {
    while (engine.complete());
    driver.interrupt();
  };
  return { h, fd: open(h), driver, finish };
}

function open(h: Harness): number {
  return h.install(h.files.openDevice(deviceNumber), applicableRights(2, false));
}

/** A call that can be repeated with the same arguments, as the engine does. */
function writer(h: Harness, fd: number, ...texts: string[]): () => number {
  const vectors = h.vectors(...texts.map((text) => h.text(text)));
  const result = h.room(4);
  return () => {
    const failure = h.call("fd_write", fd, vectors, texts.length, result);
    return failure === 0 ? h.u32(result) : failure;
  };
}

test("a write sleeps until the engine has moved its bytes", () => {
  const { h, fd, driver, finish } = start();
  const write = writer(h, fd, "hello, engine");
  assert.equal(write(), BLOCKED);
  assert.equal(write(), BLOCKED, "woken for something else, it sleeps again");
  assert.deepEqual(h.woken, []);
  finish();
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(write(), 13);
  assert.deepEqual(driver.statistics(), { transfers: 1, bytes: 13 });
  assert.equal(h.read(fd, 5), "hello");
  assert.equal(h.read(fd, 100), ", engine");
  assert.equal(h.read(fd, 100), "", "the end");
  h.close();
  assert.equal(driver.used(), 0);
});

test("a list of buffers is one transfer", () => {
  const { h, fd, driver, finish } = start();
  const write = writer(h, fd, "one ", "two ", "three");
  assert.equal(write(), BLOCKED);
  finish();
  assert.equal(write(), 13);
  assert.equal(driver.statistics().transfers, 1);
  assert.equal(h.read(fd, 100), "one two three");
  h.close();
});

test("a process that is killed while it waits leaves a transfer that ends by itself", () => {
  const { h, fd, driver, finish } = start();
  const write = writer(h, fd, "x");
  assert.equal(write(), BLOCKED);
  h.dying = true;
  assert.equal(write(), DIED);
  h.close();
  assert.equal(driver.used(), 1);
  const pages = h.pages.used();
  finish();
  assert.equal(driver.used(), 0);
  assert.equal(h.pages.used(), pages - 2);
});

test("bytes are stored by pwrite, and moved as often as wanted by dma_transfer", () => {
  const { h, fd, driver, finish } = start();
  const result = h.room(4);
  const store = (text: string, position: number) =>
    h.call("fd_pwrite", fd, h.vectors(h.text(text)), 1, BigInt(position), result);
  assert.equal(store("0123456789", 0), 0);
  assert.equal(store("abc", 3), 0);
  assert.equal(driver.statistics().transfers, 0);
  const transfer = (length: number) => h.callIn(archipelago, "dma_transfer", fd, length);
  for (const length of [10, 4]) {
    assert.equal(transfer(length), BLOCKED);
    finish();
    assert.equal(transfer(length), 0);
    assert.equal(h.read(fd, 100), "012abc6789".slice(0, length));
  }
  assert.equal(driver.statistics().transfers, 2);
  const at = h.room(4);
  assert.equal(h.call("fd_pread", fd, h.vectors([at, 2]), 1, 2n, result), 0);
  assert.equal(h.string(at, 2), "2a");
  h.close();
});

test("what dma_transfer refuses", () => {
  const { h, fd } = start();
  const transfer = (number: number, length: number) => h.callIn(archipelago, "dma_transfer", number, length);
  assert.equal(transfer(0, 1), errno.NOTTY);
  assert.equal(transfer(3, 1), errno.ISDIR);
  assert.equal(transfer(99, 1), errno.BADF);
  assert.equal(transfer(fd, -1), errno.INVAL);
  assert.equal(transfer(fd, 0), 0);
  h.close();
});

test("without waiting: EAGAIN until it is done", () => {
  const { h, fd, finish } = start();
  assert.equal(h.call("fd_fdstat_set_flags", fd, 4), 0);
  const write = writer(h, fd, "soon");
  assert.equal(write(), errno.AGAIN);
  assert.equal(write(), errno.AGAIN);
  assert.equal(h.callIn(archipelago, "dma_transfer", fd, 4), errno.AGAIN);
  assert.equal(h.read(fd, 10), -errno.AGAIN);
  finish();
  assert.equal(write(), 4);
  assert.equal(h.read(fd, 10), "soon");
  h.close();
});

test("every open file has its own buffers", () => {
  const { h, fd, driver, finish } = start();
  const other = open(h);
  for (const number of [fd, other]) assert.equal(h.call("fd_fdstat_set_flags", number, 4), 0);
  const writes = [writer(h, fd, "first"), writer(h, other, "second")];
  for (const write of writes) assert.equal(write(), errno.AGAIN);
  finish();
  assert.deepEqual(
    writes.map((write) => write()),
    [5, 6],
  );
  assert.equal(h.read(fd, 10), "first");
  assert.equal(h.read(other, 10), "second");
  assert.equal(h.call("fd_close", other), 0);
  assert.equal(driver.used(), 1);
  h.close();
});

test("poll_oneoff waits for the end of a transfer", () => {
  const { h, fd, finish } = start();
  assert.equal(h.call("fd_fdstat_set_flags", fd, 4), 0);
  const write = writer(h, fd, "polled");
  assert.equal(write(), errno.AGAIN);
  const input = h.room(48);
  const output = h.room(32);
  const result = h.room(4);
  h.view.setUint8(input + 8, 2);
  h.view.setUint32(input + 16, fd, true);
  assert.equal(h.call("poll_oneoff", input, output, 1, result), BLOCKED);
  finish();
  assert.deepEqual(h.woken, [h.thread]);
  assert.equal(h.call("poll_oneoff", input, output, 1, result), 0);
  assert.equal(write(), 6);
  h.close();
});
