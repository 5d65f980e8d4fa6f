/**
 * One core of a kernel with an allocator of its own. Allocates, frees, inflates and deflates at random; passes blocks
 * to other cores, which free them; checks the marks in all it has.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Ram } from "../../src/machine/ram.ts";
import { TypedMemory } from "../../src/memory/index.ts";
import { IndependentPages, page_bytes, pageUser, UserPages } from "../../src/services/pages/index.ts";

const { buffer, exchange, stop, owner, kernel, rounds } = workerData as {
  buffer: SharedArrayBuffer;
  /** Slots that hold an index of `UserPages`, or an offset in pages with the top bit set; 0 for none. */
  exchange: Int32Array<SharedArrayBuffer>;
  /** Not 0 once everybody is to stop; and how many have started. */
  stop: Int32Array<SharedArrayBuffer>;
  owner: number;
  kernel: number;
  rounds: number;
};
const memory = TypedMemory.attach(buffer);
const faults: string[] = [];
const report = (fault: string) => void faults.push(fault);
const pages = IndependentPages.attach(memory, { name: "pages", kernel, owner, report });
const user = UserPages.attach(memory, { name: "user", owner, ram: new Ram(buffer), pages });
pages.registerMover(pageUser.userPages, user.mover);
const words = new Int32Array(buffer);
const fixedMark = 0x0f1f_0000;
let random = owner * 7919;
let clashes = 0;
let inflated = 0;

function next(limit: number): number {
  random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
  return (random >>> 8) % limit;
}

function mark(index: number): Uint8Array {
  return Uint8Array.of(index & 0xff, index >>> 8, index * 3, 0x5a);
}

function hold(): number {
  const index = user.hold(next(3));
  if (index < 0) return 0;
  user.write(index, 0, mark(index));
  user.write(index, page_bytes - 4, mark(index));
  return index;
}

function allocate(): number {
  const offset = pages.allocate(0);
  if (offset < 0) return 0;
  words[offset / 4] = fixedMark | owner;
  return (offset / page_bytes) | 0x80000000;
}

function give(what: number): void {
  if (what < 0) {
    const offset = (what & 0x7fffffff) * page_bytes;
    if ((words[offset / 4] & 0xffff0000) !== fixedMark) clashes++;
    words[offset / 4] = 0;
    pages.free(offset, 0);
    return;
  }
  const bytes = new Uint8Array(4);
  for (const at of [0, page_bytes - 4]) {
    user.read(what, at, bytes);
    if (mark(what).some((byte, part) => bytes[part] !== byte)) clashes++;
  }
  user.release(what);
}

Atomics.add(stop, 1, 1);
for (let round = 0; round < rounds && Atomics.load(stop, 0) === 0; round++) {
  const what = next(40);
  if (what === 0) {
    for (let block = 0; block < pages.table.blockCount; block++) {
      if (pages.table.kernelOf(block) === kernel && next(2) === 0 && pages.balloon.inflate(block)) inflated++;
    }
  } else if (what === 1) pages.balloon.deflate();
  else {
    const mine = what < 30 ? hold() : allocate();
    const other = Atomics.exchange(exchange, next(exchange.length), mine);
    if (other !== 0) give(other);
  }
  pages.tick();
}
while (pages.redirectedFrees() > 0) pages.tick();
parentPort?.postMessage({ clashes, inflated, faults });
