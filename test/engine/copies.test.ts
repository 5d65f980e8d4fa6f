/** The copy functions that instrumentation adds, and the island's memory as the kernel uses them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Linker, ProgramLoader, UnsupportedModuleError } from "../../src/engine/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { Ram } from "../../src/machine/ram.ts";

const page_bytes = 65_536;

/** A module of raw sections, each given by its id and content. */
function moduleOf(...sections: readonly (readonly [id: number, ...content: number[]])[]): Uint8Array {
  const body = sections.flatMap(([id, ...content]) => [id, content.length, ...content]);
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...body]);
}

function text(value: string): number[] {
  return [value.length, ...new TextEncoder().encode(value)];
}

const typeSection = [1, 1, 0x60, 0, 0] as const;
const functionSection = [3, 1, 0] as const;
const oneMemory = [5, 1, 0, 1] as const;
const emptyBody = [10, 1, 2, 0, 0x0b] as const;

function exportsOf(...names: string[]): readonly [number, ...number[]] {
  return [7, names.length, ...names.flatMap((name) => [...text(name), 0, 0])];
}

function makeContext(bytes: Uint8Array) {
  const ram = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  const linker = new Linker({
    control: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
    ram,
    hooks: { interrupt: () => 0, suspend: async () => 0, grow: () => -1, die: () => {} },
    imports: () => ({}),
  });
  const program = new ProgramLoader({ hash: contentHash }).load(bytes);
  const memory = program.memory === null ? null : new WebAssembly.Memory({ ...program.memory, shared: true });
  return { ram, memory, context: linker.makeContext(program, memory) };
}

const small = moduleOf(typeSection, functionSection, oneMemory, exportsOf("_start"), emptyBody);

test("bytes of any place and length are copied, and no others are touched", () => {
  const { ram, memory, context } = makeContext(small);
  assert.ok(memory !== null);
  const island = new Ram(ram.buffer);
  const user = { bytes: new Uint8Array(memory.buffer), copies: context.copies };
  const other = new Uint8Array(page_bytes);
  const place = fc.nat(page_bytes - 5000);
  const given = fc.record({
    at: place,
    from: place,
    length: fc.nat(5000),
    isUser: fc.boolean(),
    isIn: fc.boolean(),
  });
  fc.assert(
    fc.property(given, ({ at, from, length, isUser, isIn }) => {
      island.setUser(isUser ? user : undefined);
      const mine = isUser ? user.bytes : other;
      for (let n = 0; n < mine.length; n++) mine[n] = n * 7;
      for (let n = 0; n < island.bytes.length; n++) island.bytes[n] = n * 13 + 1;
      const [target, source] = isIn ? [island.bytes, mine] : [mine, island.bytes];
      const expected = target.slice();
      expected.set(source.slice(from, from + length), at);
      if (isIn) island.copyIn(mine, from, length, at);
      else island.copyOut(from, length, mine, at);
      assert.deepEqual(target.slice(), expected);
    }),
    { numRuns: 40 },
  );
});

test("the program's own bounds are a second line behind the kernel's checks", () => {
  const { context } = makeContext(small);
  assert.throws(() => context.copies?.copyIn(0, page_bytes - 1, 2), WebAssembly.RuntimeError);
  assert.throws(() => context.copies?.copyOut(page_bytes - 1, 0, 2), WebAssembly.RuntimeError);
  assert.throws(() => context.copies?.copyIn(2 * page_bytes - 1, 0, 2), WebAssembly.RuntimeError);
});

test("a program cannot pass off its own function as one to copy with", () => {
  const names = ["_start", "archipelago.copyIn", "archipelago.copyOut"];
  const withMemory = moduleOf(typeSection, functionSection, oneMemory, exportsOf(...names), emptyBody);
  const without = moduleOf(typeSection, functionSection, exportsOf(...names), emptyBody);
  assert.throws(() => makeContext(withMemory), UnsupportedModuleError);
  assert.throws(() => makeContext(without), UnsupportedModuleError);
});
