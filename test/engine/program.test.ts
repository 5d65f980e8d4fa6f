/** Loading, caching and linking programs, and how contexts end. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  type Context,
  type ContextEnd,
  type ImportFunctions,
  Linker,
  MalformedModuleError,
  MissingImportsError,
  type ModuleStore,
  NoEntryPointError,
  type Program,
  ProgramError,
  ProgramLoader,
  UnsupportedModuleError,
} from "../../src/engine/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { HostModuleStore } from "../../src/machine/host/module-store.ts";
import { buildModule, type ModuleSource } from "./support/module-builder.ts";
import { newControl } from "./support/plain-host.ts";

const preview1 = "wasi_snapshot_preview1";

function load(bytes: Uint8Array, store?: ModuleStore): Program {
  return new ProgramLoader({ hash: contentHash, store }).load(bytes);
}

function command(code: string, more: Partial<ModuleSource> = {}): Uint8Array<ArrayBuffer> {
  return buildModule({ memories: [{}], functions: [{ export: "_start", locals: "iid", code }], ...more });
}

interface Linked {
  readonly context: Context;
  readonly control: Int32Array;
}

function link(program: Program, imports: ImportFunctions = {}): Linked {
  const control = newControl();
  let context: Context | null = null;
  const linker = new Linker({
    control,
    ram: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
    hooks: {
      interrupt: () => 2,
      suspend: async () => 0,
      grow: () => -1,
      die: () => context?.die(),
    },
    imports: () => imports,
  });
  const memory =
    program.memory === null
      ? null
      : new WebAssembly.Memory({
          initial: program.memory.initial,
          maximum: program.memory.maximum,
          shared: true,
        });
  context = linker.makeContext(program, memory);
  return { context, control: new Int32Array(control.buffer) };
}

function run(
  code: string,
  more: Partial<ModuleSource> = {},
  imports: ImportFunctions = {},
): Promise<ContextEnd> {
  return link(load(command(code, more)), imports).context.start();
}

describe("loading", () => {
  test("says what the program needs", () => {
    const program = load(
      command("nop", {
        imports: [
          [`${preview1}.fd_write`, "iiii", "i"],
          ["env.now", "ld", "f"],
        ],
        memories: [{ minimum: 2, maximum: 9 }],
      }),
    );
    assert.deepEqual(program.imports, [
      { module: preview1, name: "fd_write", params: ["i32", "i32", "i32", "i32"], results: ["i32"] },
      { module: "env", name: "now", params: ["i64", "f64"], results: ["f32"] },
    ]);
    assert.deepEqual(program.memory, { initial: 2, maximum: 9, wide: false });
    assert.equal(program.entry, "_start");
    assert.equal(program.hasStart, false);
  });

  test("the same content is loaded once", () => {
    const loader = new ProgramLoader({ hash: contentHash });
    const bytes = command("nop");
    assert.equal(loader.load(bytes), loader.load(bytes.slice()));
    const program = loader.load(bytes);
    assert.equal(loader.find(program.hash), program);
    loader.forget(program.hash);
    assert.equal(loader.find(program.hash), undefined);
    loader.adopt(structuredClone(program));
    assert.equal(loader.load(bytes).hash, program.hash);
  });

  test("a file that is no module says where", () => {
    assert.throws(() => load(Buffer.from("#!/bin/sh\n")), MalformedModuleError);
    const invalid = buildModule({ functions: [{ export: "_start", code: "i32.add" }] });
    assert.throws(
      () => load(invalid),
      (error: unknown) => error instanceof MalformedModuleError && error.offset_bytes > 8,
    );
  });

  test("a module without an entry point is refused", () => {
    assert.throws(
      () => load(buildModule({ functions: [{ export: "main", code: "nop" }] })),
      NoEntryPointError,
    );
  });

  test("an imported memory is the process memory", () => {
    const bytes = command("nop", { importedMemory: ["env", "first", { minimum: 3 }], memories: [] });
    assert.equal(load(bytes).memory?.initial, 3);
  });

  test("imports that are neither functions nor the memory are refused by name", () => {
    const bytes = Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...[1, 4, 1, 0x60, 0, 0],
      ...[2, 11, 1, 3, ...Buffer.from("env"), 1, ...Buffer.from("t"), 1, 0x70, 0, 1],
      ...[3, 2, 1, 0],
      ...[7, 10, 1, 6, ...Buffer.from("_start"), 0, 0],
      ...[10, 4, 1, 2, 0, 0x0b],
    ]);
    assert.ok(WebAssembly.validate(bytes));
    assert.throws(
      () => load(bytes),
      (error: unknown) =>
        error instanceof UnsupportedModuleError && error.construct === "imported table env.t",
    );
  });
});

describe("a program cannot name what instrumentation adds", () => {
  test("the control page by its memory index", () => {
    assert.throws(() => load(command("i32.const 0 i32.const 1 i32.store memory=1")), MalformedModuleError);
  });

  // Found by review: the linker would have supplied the island's memory.
  test("the island's memory by an import", () => {
    const bytes = buildModule({
      importedMemory: ["archipelago", "ram", {}],
      functions: [{ export: "_start", code: "nop" }],
    });
    assert.throws(
      () => load(bytes),
      (error: unknown) => error instanceof UnsupportedModuleError && /archipelago\.ram/.test(error.construct),
    );
    assert.throws(
      () => load(command("nop", { imports: [["archipelago.die", "", ""]] })),
      UnsupportedModuleError,
    );
  });

  test("the kernel's entry points by an export", () => {
    const bytes = buildModule({
      memories: [{}],
      functions: [
        { export: "_start", code: "nop" },
        { export: "archipelago.copyIn", params: "iii", code: "nop" },
      ],
    });
    assert.throws(() => load(bytes), UnsupportedModuleError);
  });
});

describe("linking", () => {
  test("everything that is missing is named at once", () => {
    const program = load(
      command("nop", {
        imports: [
          [`${preview1}.fd_read`, "iiii", "i"],
          ["env.a", "", ""],
          ["env.b", "", ""],
        ],
      }),
    );
    assert.throws(
      () => link(program, { env: { a: () => {} } }),
      (error: unknown) => {
        assert.ok(error instanceof MissingImportsError);
        assert.deepEqual(error.missing, [`${preview1}.fd_read`, "env.b"]);
        return /fd_read.*env\.b/.test(error.message);
      },
    );
  });

  test("data that does not fit the memory is the program's error", () => {
    assert.throws(() => link(load(command("nop", { data: { 65535: "too long" } }))), ProgramError);
  });
});

describe("how a context ends", () => {
  const cases: readonly (readonly [name: string, code: string, trap: string, signal: number])[] = [
    ["unreachable", "unreachable", "unreachable", 6],
    ["a load beyond the memory", "i32.const -4 i32.load drop", "out of bounds memory access", 11],
    ["a division by zero", "i32.const 1 local.get 0 i32.div_s drop", "integer divide by zero", 8],
    ["a remainder by zero", "i32.const 1 local.get 0 i32.rem_u drop", "integer divide by zero", 8],
    ["an overflow", `i32.const ${-(2 ** 31)} i32.const -1 i32.div_s drop`, "integer overflow", 8],
    ["a conversion", "f64.const 1e300 i32.trunc_f64_s drop", "invalid conversion to integer", 8],
    ["an index beyond the table", "i32.const 9 call_indirect 0,0", "out of bounds table access", 11],
    ["endless recursion", "call 0", "stack overflow", 11],
  ];
  for (const [name, code, trap, signal] of cases) {
    test(name, async () => {
      const end = await run(code, { table: [0], types: [["", ""]] });
      assert.equal(end.kind, "trapped");
      assert.ok(end.kind === "trapped");
      assert.equal(end.trap, trap);
      assert.equal(end.signal, signal);
    });
  }

  test("a call of another signature", async () => {
    const end = await run("i32.const 0 i32.const 0 call_indirect 0,0 drop", {
      table: [0],
      types: [["i", "i"]],
    });
    assert.ok(end.kind === "trapped");
    assert.equal(end.signal, 4);
  });

  test("by returning", async () => {
    assert.deepEqual(await run("nop"), { kind: "returned" });
  });

  test("by an exception that nothing catches", async () => {
    const end = await run("throw 0", { types: [["", ""]], tags: [0] });
    assert.ok(end.kind === "trapped");
    assert.equal(end.trap, "uncaught exception");
    assert.equal(end.signal, 6);
  });

  test("by the kernel, at a poll", async () => {
    const { context, control } = link(load(command("loop : br 0 end")));
    control[0] = 1;
    assert.deepEqual(await context.start(), { kind: "died" });
  });

  test("by an error of the kernel's own", async () => {
    const failure = new Error("broken");
    const imports = {
      env: {
        fail: () => {
          throw failure;
        },
      },
    };
    const source = {
      imports: [["env.fail", "", ""]],
      functions: [{ export: "_start", code: "call 0" }],
    } as const;
    assert.deepEqual(await run("", source, imports), { kind: "failed", error: failure });
  });

  test("after its start function, which may block like anything else", async () => {
    const order: string[] = [];
    let blocked = true;
    const source: ModuleSource = {
      imports: [
        [`${preview1}.sched_yield`, "", "i"],
        ["env.main", "", ""],
      ],
      start: 2,
      functions: [{ code: "call 0 drop" }, { export: "_start", code: "call 1" }],
    };
    const imports = {
      [preview1]: {
        sched_yield: () => {
          order.push("start");
          blocked = !blocked;
          return blocked ? 0 : -1;
        },
      },
      env: {
        main: () => {
          order.push("main");
        },
      },
    };
    const end = await run("", source, imports);
    assert.equal(end.kind, "returned");
    assert.deepEqual(order, ["start", "start", "main"]);
  });
});

describe("modules on disk", () => {
  function withDirectory(use: (directory: string) => void): void {
    const directory = mkdtempSync(join(tmpdir(), "archipelago-modules-"));
    try {
      use(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  /** A store that counts what it gives out. */
  function counting(store: ModuleStore): ModuleStore & { hits: number } {
    return {
      hits: 0,
      get(key) {
        const bytes = store.get(key);
        if (bytes !== undefined) this.hits++;
        return bytes;
      },
      put: (key, bytes) => store.put(key, bytes),
    };
  }

  test("a second system finds what the first one made", () => {
    withDirectory((directory) => {
      const bytes = command("nop");
      const first = counting(new HostModuleStore(directory));
      const second = counting(new HostModuleStore(directory));
      const program = load(bytes, first);
      assert.deepEqual(load(bytes, second).imports, program.imports);
      assert.equal(first.hits, 0);
      assert.equal(second.hits, 1);
    });
  });

  test("a damaged entry is made anew", () => {
    withDirectory((directory) => {
      const bytes = command("nop");
      load(bytes, new HostModuleStore(directory));
      const [versioned] = readdirSync(directory);
      const [name] = readdirSync(join(directory, versioned));
      const path = join(directory, versioned, name);
      const whole = readFileSync(path);
      for (const damaged of [whole.subarray(0, 20), Buffer.alloc(0), Buffer.from(whole).fill(7, 60, 61)]) {
        writeFileSync(path, damaged);
        const store = counting(new HostModuleStore(directory));
        assert.equal(load(bytes, store).entry, "_start");
        assert.equal(store.hits, 0);
        assert.deepEqual(readFileSync(path), whole);
      }
      assert.deepEqual(readdirSync(join(directory, versioned)), [name], "no temporary file is left");
    });
  });

  test("another policy about system calls makes another module", () => {
    withDirectory((directory) => {
      const store = new HostModuleStore(directory);
      const bytes = command("nop", { imports: [[`${preview1}.fd_sync`, "i", "i"]] });
      load(bytes, store);
      const calls = { namespaces: [preview1], neverBlocks: ["fd_sync"], neverReturns: [] };
      new ProgramLoader({ hash: contentHash, store, calls }).load(bytes);
      assert.equal(readdirSync(join(directory, readdirSync(directory)[0])).length, 2);
    });
  });

  test("a store that cannot be written to is no obstacle", () => {
    assert.equal(load(command("nop"), new HostModuleStore("/dev/null/nowhere")).entry, "_start");
  });
});
