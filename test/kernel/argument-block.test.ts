import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeArguments, encodeArguments } from "../../src/kernel/argument-block.ts";
import { TypedMemory } from "../../src/memory/index.ts";

const place = 65_536;

function memoryWith(block: Uint8Array): TypedMemory {
  const memory = TypedMemory.format(new SharedArrayBuffer(4 * place), { byteLength: place });
  memory.bytes.set(block, place);
  return memory;
}

const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !value.includes("\0"));

test("arguments come out as they went in", () => {
  fc.assert(
    fc.property(
      text,
      fc.array(text),
      fc.array(text),
      fc.array(text),
      (program, args, environment, preopens) => {
        const block = encodeArguments({ program, arguments: args, environment, preopens });
        const decoded = decodeArguments(memoryWith(block), place, block.length);
        assert.ok(decoded);
        const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
        assert.equal(decoded.program, program);
        assert.deepEqual(
          decoded.arguments.map((bytes) => decoder.decode(bytes)),
          args,
        );
        assert.deepEqual(
          decoded.environment.map((bytes) => decoder.decode(bytes)),
          environment,
        );
        assert.deepEqual(decoded.preopens, preopens);
      },
    ),
  );
});

test("a NUL in an argument is refused by name", () => {
  const value = { program: "/bin/x", arguments: ["a\0b"], environment: [], preopens: [] };
  assert.throws(() => encodeArguments(value), /a\\u0000b.*NUL/);
});

test("a damaged block is null, never an exception or an endless loop", () => {
  const block = encodeArguments({
    program: "/bin/x",
    arguments: ["a", "b"],
    environment: ["A=1"],
    preopens: ["/"],
  });
  fc.assert(
    fc.property(fc.nat(block.length - 1), fc.nat(255), fc.nat(block.length), (at, value, limit) => {
      const damaged = block.slice();
      damaged[at] = value;
      const decoded = decodeArguments(memoryWith(damaged), place, limit);
      assert.ok(decoded === null || decoded.arguments.length <= block.length);
    }),
  );
  assert.equal(decodeArguments(memoryWith(block), 0, block.length), null);
  assert.equal(decodeArguments(memoryWith(block), 4 * place - 8, block.length), null);
});
