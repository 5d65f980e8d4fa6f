/**
 * Random modules of everything that compilers emit for WASI: several results, vectors, tail calls, exceptions of
 * both kinds, indirect calls, bulk memory, atomics, dead code. The same seed gives the same module. `_start` runs
 * some of the functions, then stores all globals to memory: what a module computed is in its final memory.
 */
import { emptyModule } from "../../../src/engine/wasm/decode.ts";
import { encodeModule } from "../../../src/engine/wasm/encode.ts";
import type { Export, Global, Import, TypeGroup } from "../../../src/engine/wasm/module.ts";
import { op } from "../../../src/engine/wasm/opcodes.ts";
import { ByteWriter } from "../../../src/engine/wasm/writer.ts";
import { randomNumbers } from "../../engine/support/random-program.ts";
import { BodyWriter } from "./random-body.ts";
import type { Shape, Signature } from "./random-body-base.ts";
import { type Letter, letters, type Random, typeByte, writeConstant } from "./random-operators.ts";

export interface RandomModuleOptions {
  readonly seed: number;
  /** Calls and loop turns in one call from `_start`, about. */
  readonly fuel?: number;
  /** Handlers of exceptions of the first kind may call. */
  readonly busyHandlers?: boolean;
}

/** Host functions, by module, name and signature: see `host.ts`. */
const hostFunctions: readonly (readonly [module: string, name: string, params: string, results: string])[] = [
  ["wasi_snapshot_preview1", "sched_yield", "", "i"],
  ["wasi_snapshot_preview1", "fd_sync", "i", "i"],
  ["wasi_snapshot_preview1", "fd_seek", "ilii", "i"],
  ["test", "number", "i", "i"],
  ["test", "wide", "l", "l"],
  ["test", "real", "d", "i"],
];

const stores: Readonly<Record<Letter, readonly number[]>> = {
  i: [0x36],
  l: [0x37],
  f: [0x38],
  d: [0x39],
  v: [0xfd, 0x0b],
};
const bodyBudget = 90;
/** Where `_start` stores globals: above what the bodies reach. */
const resultsAddress = 0xf000;

/** @returns a valid module that always ends. */
export function randomModule(options: RandomModuleOptions): Uint8Array<ArrayBuffer> {
  const { seed, fuel = 400, busyHandlers = false } = options;
  const random = randomNumbers(seed);
  const vectors = random(3) === 0;
  const types = new TypeList();
  const signatures = Array.from({ length: 3 + random(5) }, () => randomSignature(random, vectors));
  const imports = hostFunctions.map(([module, name, params, results]): Import => {
    const typeIndex = types.index({ params, results });
    return { module, name, description: { kind: "function", typeIndex } };
  });
  const own = Array.from({ length: 3 + random(5) }, () => signatures[random(signatures.length)]);
  const functions: Signature[] = [
    ...hostFunctions.map(([, , params, results]) => ({ params, results })),
    ...own,
  ];
  const globalTypes: Letter[] = ["i", ...letters.filter((type) => type !== "v" || vectors), "i", "d"];
  const shape: Shape = {
    random,
    vectors,
    busyHandlers,
    tailCalls: random(3) === 0,
    exceptions: (["none", "legacy", "new"] as const)[random(3)],
    functions,
    table: Array.from({ length: 4 + random(8) }, () => random(functions.length)),
    globals: globalTypes,
    tags: ["", "i", "ld"],
    typeIndex: (signature) => types.index(signature),
  };
  const bodies = own.map((signature) => new BodyWriter(shape, signature, bodyBudget).write());
  bodies.push(startBody(shape, fuel));
  const pieces = new ByteWriter(1024);
  const constant = (write: () => void) => {
    const start = pieces.position;
    write();
    return { start, end: pieces.position };
  };
  const globals = globalTypes.map((type): Global => {
    const initial = constant(() => {
      writeConstant(pieces, type, random);
      pieces.u8(op.end);
    });
    return { type: { type: typeByte[type], mutable: true }, initial };
  });
  const zero = constant(() => pieces.raw([op.i32Const, 0, op.end]));
  const text = constant(() => pieces.raw(Array.from({ length: 200 }, () => random(256))));
  const exports: Export[] = [
    { name: "_start", kind: "function", index: functions.length },
    { name: "memory", kind: "memory", index: 0 },
  ];
  const limits = { minimum: 1, maximum: 6, shared: false, wide: false };
  const tableLimits = { ...limits, minimum: shape.table.length, maximum: shape.table.length };
  return encodeModule({
    ...emptyModule(pieces.written().slice()),
    imports,
    functions: [...own.map((signature) => types.index(signature)), types.index({ params: "", results: "" })],
    tables: [{ type: { element: 0x70, limits: tableLimits }, initial: null }],
    memories: [limits],
    tags: shape.exceptions === "none" ? [] : shape.tags.map((params) => types.index({ params, results: "" })),
    globals,
    exports,
    elements: [
      {
        flags: 0,
        tableIndex: 0,
        offset: zero,
        type: 0,
        functions: Uint32Array.from(shape.table),
        expressions: [],
      },
    ],
    data: [{ flags: 0, memoryIndex: 0, offset: zero, bytes: text }],
    bodies,
    typeGroups: types.groups,
  }) as Uint8Array<ArrayBuffer>;
}

/** Function types by what they say, each once. */
class TypeList {
  readonly groups: TypeGroup[] = [];
  private readonly indices = new Map<string, number>();

  index({ params, results }: Signature): number {
    const key = `${params}>${results}`;
    const known = this.indices.get(key);
    if (known !== undefined) return known;
    const bytes = (types: string) => [...types].map((type) => typeByte[type as Letter]);
    const type = { kind: "function", params: bytes(params), results: bytes(results) } as const;
    this.groups.push({ types: [type], raw: null });
    this.indices.set(key, this.groups.length - 1);
    return this.groups.length - 1;
  }
}

function randomSignature(random: Random, vectors: boolean): Signature {
  const types = (count: number) =>
    Array.from({ length: count }, () => letters[random(vectors ? 5 : 4)]).join("");
  return { params: types(random(4)), results: types([0, 1, 1, 1, 2, 3][random(6)]) };
}

/** Runs functions with constants, each with fuel of its own, and stores their results and the globals. */
function startBody({ random, functions, globals }: Shape, fuel: number): Uint8Array {
  const writer = new ByteWriter(256);
  const results = letters.filter((type) => type !== "v" || globals.includes("v"));
  writer.u32(results.length + 1);
  // A local for each type, behind one for addresses.
  for (const type of ["i", ...results] as Letter[]) writer.raw([1, typeByte[type]]);
  const first = hostFunctions.length;
  let address = resultsAddress;
  const store = (type: Letter) => {
    writer.raw([...stores[type], 0]);
    writer.u32(address);
    address += 16;
  };
  for (let n = 0; n < 4; n++) {
    const callee = first + random(functions.length - first);
    writer.u8(op.i32Const);
    writer.s32(fuel);
    writer.raw([op.globalSet, 0]);
    for (const type of functions[callee].params) writeConstant(writer, type as Letter, random);
    writer.u8(op.call);
    writer.u32(callee);
    for (const type of [...functions[callee].results].reverse() as Letter[]) {
      const local = 1 + results.indexOf(type);
      writer.raw([op.localSet, local, op.i32Const, 0, op.localGet, local]);
      store(type);
    }
  }
  for (const [index, type] of globals.entries()) {
    writer.raw([op.i32Const, 0, op.globalGet, index]);
    store(type);
  }
  writer.u8(op.end);
  return writer.written().slice();
}
