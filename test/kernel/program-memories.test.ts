/** Copies of program memories: always equal to what was copied, whatever the memory they are made in held before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProgramMemories } from "../../src/kernel/program-memories.ts";

const page_bytes = 65_536;
const maximum = 1024;

function memoryOf(pages: number, marks: readonly (readonly [number, number])[] = []): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: pages, maximum, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  for (const [at, value] of marks) bytes[at % bytes.length] = value;
  return memory;
}

function isEqual(one: WebAssembly.Memory, other: WebAssembly.Memory): boolean {
  return Buffer.compare(Buffer.from(one.buffer), Buffer.from(other.buffer)) === 0;
}

test("a copy is equal, and apart", () => {
  const memories = new ProgramMemories();
  const source = memoryOf(3, [
    [0, 1],
    [4095, 2],
    [70_000, 3],
    [3 * page_bytes - 1, 255],
  ]);
  const copy = memories.copy(source, maximum);
  assert.ok(copy !== undefined && isEqual(source, copy));
  new Uint8Array(copy.buffer)[5] = 9;
  assert.equal(new Uint8Array(source.buffer)[5], 0);
  assert.equal(copy.grow(1), 3);
});

test("nothing of an earlier process is in a later one", () => {
  const mark = fc.tuple(fc.nat(6 * page_bytes), fc.integer({ min: 0, max: 255 }));
  const step = fc.record({
    pages: fc.integer({ min: 1, max: 6 }),
    marks: fc.array(mark, { maxLength: 20 }),
    ends: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const memories = new ProgramMemories();
      const living: WebAssembly.Memory[] = [];
      for (const { pages, marks, ends } of steps) {
        const source = memoryOf(pages, marks);
        const copy = memories.copy(source, maximum);
        assert.ok(copy !== undefined && isEqual(source, copy));
        assert.ok(!living.includes(copy), "it is given out once");
        living.push(copy);
        // Dirty all over, and larger than it was.
        copy.grow(1);
        new Uint8Array(copy.buffer).fill(0xee);
        if (ends) memories.giveBack(living.shift() ?? copy, maximum);
      }
    }),
    { numRuns: 60 },
  );
});

test("memories are used again, by programs that declare the same maximum", () => {
  const memories = new ProgramMemories();
  const source = memoryOf(2);
  const early = memoryOf(2);
  memories.giveBack(early, maximum);
  const first = memories.copy(source, maximum);
  assert.ok(first !== undefined && first !== early, "nothing is kept before the first copy");
  memories.giveBack(first, maximum);
  assert.notEqual(memories.copy(source, maximum - 1), first);
  assert.notEqual(memories.copy(memoryOf(1), maximum), first, "a memory cannot shrink");
  const larger = memories.copy(memoryOf(5, [[300_000, 4]]), maximum);
  assert.equal(larger, first);
  assert.equal(larger.buffer.byteLength, 5 * page_bytes);
  assert.notEqual(memories.copy(source, maximum), first, "it has a user");
});

test("no more is kept than a core may", () => {
  const memories = new ProgramMemories();
  const source = memoryOf(256);
  memories.copy(source, maximum);
  const given = [memoryOf(256), memoryOf(256), memoryOf(256)];
  for (const memory of given) memories.giveBack(memory, maximum);
  const taken = given.map(() => memories.copy(source, maximum));
  assert.equal(taken.filter((memory) => memory !== undefined && given.includes(memory)).length, 2);
});

test("where the host has no memory left there is no copy", () => {
  const memories = new ProgramMemories();
  assert.equal(memories.copy(memoryOf(2), 1), undefined);
});
