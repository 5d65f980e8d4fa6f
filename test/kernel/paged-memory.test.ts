/** A memory that comes page by page: whoever asks, and in whatever order, finds what the source had. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PageMovers, pageState } from "../../src/engine/paged/index.ts";
import { PagedMemory } from "../../src/kernel/paged-memory.ts";

const page_bytes = 4096;
const size_bytes = 8 * 65_536;
const pages = size_bytes / page_bytes;

function memoryOf(wasmPages: number): { memory: WebAssembly.Memory; bytes: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: 20, shared: true });
  return { memory, bytes: new Uint8Array(memory.buffer) };
}

type Step =
  | { readonly kind: "fault"; readonly first: number; readonly last: number }
  | { readonly kind: "ensure"; readonly address: number; readonly length: number }
  | { readonly kind: "prefetch"; readonly now_ns: number };

const page = fc.nat(pages - 1);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("fault" as const), first: page, last: page }),
    fc.record({
      kind: fc.constant("ensure" as const),
      address: fc.nat(size_bytes - 20_000),
      length: fc.nat(20_000),
    }),
    fc.record({ kind: fc.constant("prefetch" as const), now_ns: fc.nat(1e9) }),
  ),
  { maxLength: 12 },
);

test("what was asked for is there, nothing is brought twice, and in the end all is there", () => {
  const movers = new PageMovers();
  fc.assert(
    fc.property(steps, (given) => {
      const [source, target] = [memoryOf(8), memoryOf(9)];
      for (let n = 0; n < pages; n += 2) source.bytes.fill(n + 1, n * page_bytes, (n + 1) * page_bytes);
      const paged = new PagedMemory(source.memory, target.memory, movers);
      const map = new Uint8Array(paged.map.buffer);
      const isThere = (from: number, to: number) =>
        Buffer.compare(source.bytes.subarray(from, to), target.bytes.subarray(from, to)) === 0;
      for (const step of given) {
        switch (step.kind) {
          case "fault": {
            assert.equal(paged.fault(step.first, step.last), 0);
            const wanted = step.first <= step.last ? [step.first, step.last] : [step.last, step.first];
            for (const n of wanted) assert.equal(map[n], pageState.present);
            for (const n of wanted) assert.ok(isThere(n * page_bytes, (n + 1) * page_bytes));
            break;
          }
          case "ensure":
            paged.ensure(step.address, step.length);
            assert.ok(isThere(step.address, step.address + step.length));
            break;
          case "prefetch":
            paged.prefetch(step.now_ns);
            break;
        }
      }
      paged.complete();
      assert.ok(paged.isComplete);
      assert.equal(paged.alarm_ns, Infinity);
      assert.equal(paged.missing_pages, 0);
      assert.ok(isThere(0, size_bytes));
      assert.equal(paged.demanded_pages + paged.prefetched_pages, pages);
    }),
    { numRuns: 60 },
  );
});

test("what the process gets by growing is there from the start", () => {
  const paged = new PagedMemory(memoryOf(8).memory, memoryOf(8).memory, new PageMovers());
  const map = new Uint8Array(paged.map.buffer);
  assert.equal(map.indexOf(pageState.present), pages);
  assert.equal(map.indexOf(pageState.absent, pages), -1);
});

test("the background stops when the last page has come, and brings none in between its steps", () => {
  const [source, target] = [memoryOf(20), memoryOf(20)];
  source.bytes.fill(3);
  const paged = new PagedMemory(source.memory, target.memory, new PageMovers());
  paged.prefetch(0);
  const first = paged.prefetched_pages;
  assert.ok(first > 0 && !paged.isComplete);
  paged.prefetch(1);
  assert.equal(paged.prefetched_pages, first);
  for (let now_ns = paged.alarm_ns; now_ns !== Infinity; now_ns = paged.alarm_ns) paged.prefetch(now_ns);
  assert.ok(paged.isComplete);
  assert.equal(Buffer.compare(source.bytes, target.bytes), 0);
});
