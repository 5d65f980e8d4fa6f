/** Pages moved from one memory to another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mapMemoryPages, mapPage_bytes, PageMovers } from "../../src/engine/paged/index.ts";
import { randomNumbers } from "./support/random-program.ts";

const pages = 64;

function sharedMemory(initial: number, maximum: number): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial, maximum, shared: true });
}

test("absent pages are brought, present ones left alone, and all of the range marked", () => {
  const movers = new PageMovers();
  const range = fc.tuple(fc.nat(pages + 10), fc.nat(pages + 10));
  const given = fc.record({
    seed: fc.nat(),
    present: fc.array(fc.nat(pages - 1)),
    ranges: fc.array(range, { maxLength: 6 }),
  });
  fc.assert(
    fc.property(given, ({ seed, present, ranges }) => {
      const [source, target] = [sharedMemory(4, 4), sharedMemory(5, 9)];
      const map = sharedMemory(mapMemoryPages, mapMemoryPages);
      const random = randomNumbers(seed);
      const [from, to, states] = [source, target, map].map(({ buffer }) => new Uint8Array(buffer));
      // A third of the pages is zeros, a third has one byte that is not.
      for (let page = 0; page < pages; page++) {
        const kind = random(3);
        if (kind === 1) from[page * mapPage_bytes + random(mapPage_bytes)] = 7;
        if (kind === 2) from.fill(1 + random(255), page * mapPage_bytes, (page + 1) * mapPage_bytes);
      }
      const expected = to.slice();
      for (const page of present) {
        states[page] = 1;
        to.fill(9, page * mapPage_bytes, (page + 1) * mapPage_bytes);
        expected.fill(9, page * mapPage_bytes, (page + 1) * mapPage_bytes);
      }
      const move = movers.between(source, target, map);
      for (const [first, last] of ranges) {
        let wanted = 0;
        for (let page = first; page <= last; page++) {
          if (states[page] === 0 && page < pages) {
            wanted++;
            const start = page * mapPage_bytes;
            expected.set(from.subarray(start, start + mapPage_bytes), start);
          }
        }
        assert.equal(move(first, last), wanted);
        for (let page = first; page <= last; page++) assert.equal(states[page], 1);
      }
      assert.equal(Buffer.compare(to, expected), 0);
    }),
    { numRuns: 100 },
  );
});
