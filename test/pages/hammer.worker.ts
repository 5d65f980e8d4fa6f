/** Allocates and frees at random, writing its own mark into every page it holds and checking it before freeing. */
import { parentPort, workerData } from "node:worker_threads";
import { TypedMemory } from "../../src/memory/index.ts";
import { Pages, page_bytes } from "../../src/services/pages/index.ts";

const { buffer, owner, rounds } = workerData as { buffer: SharedArrayBuffer; owner: number; rounds: number };
const pages = Pages.attach(TypedMemory.attach(buffer), "pages", owner);
const words = new Int32Array(buffer);
const held: { offset: number; order: number }[] = [];
let random = owner * 7919;
let clashes = 0;

function next(limit: number): number {
  random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
  return (random >>> 8) % limit;
}

function forEachPage(block: { offset: number; order: number }, visit: (word: number) => void): void {
  for (let page = 0; page < 1 << block.order; page++) visit((block.offset + page * page_bytes) / 4);
}

for (let round = 0; round < rounds; round++) {
  if (held.length < 40 && next(2) === 0) {
    const order = next(5);
    const offset = pages.allocate(order);
    if (offset < 0) continue;
    const block = { offset, order };
    forEachPage(block, (word) => {
      words[word] = owner;
    });
    held.push(block);
  } else if (held.length > 0) {
    const [block] = held.splice(next(held.length), 1);
    forEachPage(block, (word) => {
      if (words[word] !== owner) clashes++;
    });
    pages.free(block.offset, block.order);
  }
}
for (const block of held) pages.free(block.offset, block.order);
parentPort?.postMessage(clashes);
