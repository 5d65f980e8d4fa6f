/** Instrumented modules: valid, the same to the program, and with what the kernel needs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UnsupportedModuleError } from "../../src/engine/errors.ts";
import { instrument } from "../../src/engine/instrument.ts";
import { decodeModule } from "../../src/engine/wasm/decode.ts";
import { allMemories } from "../../src/engine/wasm/module.ts";
import { largeBinaries, toolBinaries } from "./support/binaries.ts";
import { buildModule, type ModuleSource } from "./support/module-builder.ts";
import { instantiateInstrumented, instantiatePlain } from "./support/plain-host.ts";

function instrumented(source: ModuleSource): Uint8Array<ArrayBuffer> {
  return instrument(buildModule(source)).bytes as Uint8Array<ArrayBuffer>;
}

describe("real programs stay valid", () => {
  for (const { name, read } of [...largeBinaries, ...toolBinaries]) {
    test(name, () => {
      const { bytes, description } = instrument(read());
      assert.ok(WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>));
      assert.ok(description.polls.loops > 0);
      const names = WebAssembly.Module.customSections(
        new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>),
        "name",
      );
      assert.equal(names.length, 0, "names describe the original");
    });
  }
});

describe("memory", () => {
  const imported = (source: ModuleSource) => {
    const module = decodeModule(instrumented(source));
    return { module, memories: allMemories(module) };
  };
  const functions = [{ export: "f", code: "nop" }];

  test("the module's own memory becomes a shared import and keeps its export", () => {
    const { module, memories } = imported({ memories: [{ minimum: 3 }], functions });
    assert.deepEqual(memories[0], { minimum: 3, maximum: 65536, shared: true, wide: false });
    assert.deepEqual(
      module.exports.find((entry) => entry.kind === "memory"),
      { name: "memory", kind: "memory", index: 0 },
    );
  });

  test("a declared maximum is kept", () => {
    assert.equal(imported({ memories: [{ maximum: 7 }], functions }).memories[0].maximum, 7);
  });

  test("an imported memory becomes the process memory", () => {
    const { module, memories } = imported({ importedMemory: ["env", "memory", { minimum: 2 }], functions });
    assert.equal(memories[0].shared, true);
    assert.equal(module.imports.filter((entry) => entry.module === "env").length, 0);
  });

  test("a module without memory gets none but the control page and the save area", () => {
    const { memories } = imported({ functions });
    assert.equal(memories.length, 2);
    assert.equal(memories[0].maximum, 1);
  });

  test("further memories stay the module's own, and code still finds them", () => {
    const source: ModuleSource = {
      memories: [{ minimum: 1 }, { minimum: 1 }, { minimum: 2, maximum: 3 }],
      functions: [
        {
          export: "f",
          params: "i",
          results: "i",
          code: `local.get 0 i32.const 5 i32.store memory=1
            local.get 0 i32.const 7 i32.store memory=2 offset=4
            i32.const 64 i32.const 0 i32.const 16 memory.copy 2,1
            i32.const 0 i32.load memory=1 local.get 0 i32.load memory=2 offset=4 i32.add
            memory.size 2 i32.add i32.const 1 memory.grow 2 i32.add`,
        },
      ],
    };
    const bytes = buildModule(source);
    assert.ok(WebAssembly.validate(bytes));
    assert.equal(instantiateInstrumented(bytes).exports.f(0), instantiatePlain(bytes).f(0));
  });

  test("a memory with 64-bit addresses asks the kernel in 32 bits", () => {
    const bytes = buildModule({
      memories: [{ minimum: 1, maximum: 9, wide: true }],
      functions: [{ export: "grow", params: "l", results: "l", code: "local.get 0 memory.grow 0" }],
    });
    const module = decodeModule(instrument(bytes).bytes);
    assert.equal(allMemories(module)[0].wide, true);
    assert.ok(WebAssembly.validate(instrument(bytes).bytes as Uint8Array<ArrayBuffer>));
  });

  test("more than 4 GiB at the start is refused by name", () => {
    const bytes = buildModule({ memories: [{ minimum: 70000, wide: true }], functions });
    assert.throws(
      () => instrument(bytes),
      (error: unknown) => error instanceof UnsupportedModuleError && error.construct === "memory",
    );
  });
});

describe("growing", () => {
  const bytes = buildModule({
    memories: [{ minimum: 4 }],
    functions: [
      { export: "grow", params: "i", results: "i", code: "local.get 0 memory.grow 0" },
      { export: "size", results: "i", code: "memory.size 0" },
    ],
  });

  test("goes through the kernel, which may grant or refuse", () => {
    const asked: number[] = [];
    const { exports, memory } = instantiateInstrumented(bytes, {
      grow: (deltaPages, target) => {
        asked.push(deltaPages);
        return deltaPages > 2 ? -1 : target.grow(deltaPages);
      },
    });
    assert.equal(exports.grow(2), 4);
    assert.equal(exports.size(), 6);
    assert.equal(exports.grow(3), -1);
    assert.equal(exports.size(), 6);
    assert.equal(exports.grow(-1), -1);
    assert.deepEqual(asked, [2, 3, 0xffffffff]);
    assert.equal(memory.buffer.byteLength, 6 * 65536);
  });
});

describe("functions are renumbered everywhere", () => {
  test("calls, tables, references, exports and the start function", () => {
    const source: ModuleSource = {
      imports: [
        ["env.a", "i", "i"],
        ["env.b", "i", "i"],
      ],
      memories: [{}],
      globals: 1,
      table: [0, 3, 4, 1],
      start: 5,
      exports: [{ name: "again", kind: "function", index: 1 }],
      functions: [
        {
          export: "f",
          params: "ii",
          results: "i",
          code: "local.get 0 local.get 1 call_indirect 0,0 local.get 0 call 0 i32.add global.get 0 i32.add",
        },
        { params: "i", results: "i", code: "local.get 0 i32.const 10 i32.mul" },
        { params: "i", results: "i", code: "local.get 0 call 3 call 1 i32.const 1 i32.add" },
        { code: "i32.const 1000 global.set 0" },
        { export: "tail", params: "i", results: "i", code: "local.get 0 return_call 4" },
      ],
    };
    const bytes = buildModule(source);
    const imports = { env: { a: (value: number) => value + 100, b: (value: number) => value * 2 } };
    const plain = instantiatePlain(bytes, imports);
    const { exports } = instantiateInstrumented(bytes, {}, imports);
    exports["archipelago.start"]();
    for (const index of [0, 1, 2, 3]) assert.equal(exports.f(index, index), plain.f(index, index));
    assert.equal(exports.again(21), plain.again(21));
    assert.equal(exports.tail(3), plain.tail(3));
  });

  test("a start function is not run when the instance is made", () => {
    const bytes = buildModule({
      memories: [{}],
      start: 0,
      functions: [{ code: "unreachable" }, { export: "f", results: "i", code: "i32.const 1" }],
    });
    assert.equal(instantiateInstrumented(bytes).exports.f(), 1);
  });
});

describe("what cannot be a process is refused by name", () => {
  test("a shared library", () => {
    const bytes = buildModule({ functions: [{ code: "nop" }] });
    const library = Uint8Array.from([
      ...bytes.slice(0, 8),
      0,
      9,
      8,
      ...Buffer.from("dylink.0"),
      ...bytes.slice(8),
    ]);
    assert.ok(WebAssembly.validate(library));
    assert.throws(
      () => instrument(library),
      (error: unknown) => error instanceof UnsupportedModuleError && error.construct === "dynamic linking",
    );
  });
});
