/** Small modules, each with one construct that capture must carry along or refuse by name. */
import { decodeModule } from "../../../src/engine/wasm/decode.ts";
import { encodeModule } from "../../../src/engine/wasm/encode.ts";
import { sectionId } from "../../../src/engine/wasm/module.ts";
import { buildModule, type ModuleSource } from "../../engine/support/module-builder.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const yieldImport = ["wasi_snapshot_preview1.sched_yield", "", "i"] as const;
/** A system call that the tests let block: the program is captured here. Function 0. */
const wait = "call 0 drop";

/** `_start` is function 1; others follow. */
function program(
  code: string,
  more: Partial<ModuleSource> = {},
  ...others: ModuleSource["functions"]
): Bytes {
  const start = { export: "_start", locals: "i", code };
  return buildModule({ imports: [yieldImport], memories: [{}], ...more, functions: [start, ...others] });
}

const answers = { results: "i", code: `${wait} i32.const 9` };
const noAnswer = [["", "i"]] as const;

/** `_start` of raw bytes, with two tags: the first without parameters. Function 2 waits, then throws that. */
function raw(...body: number[] | [Uint8Array]): Bytes {
  const module = decodeModule(
    buildModule({
      imports: [yieldImport],
      memories: [{}],
      types: [
        ["", ""],
        ["i", ""],
      ],
      tags: [0, 1],
      functions: [{ export: "_start", code: "nop" }, { code: `${wait} throw 0` }],
    }),
  );
  const bytes = body[0] instanceof Uint8Array ? body[0] : Uint8Array.from(body as number[]);
  module.bodies = [bytes, ...module.bodies.slice(1)];
  return encodeModule(module) as Bytes;
}

/** Raw code: a system call that blocks, and a store of a value to an address. */
const rawWait = [0x10, 0, 0x1a];
const rawStore = (address: number, value: number) => [0x41, address, 0x41, value, 0x36, 2, 0];

/** A module with one data segment, passive unless `active`, and the count that `memory.init` needs. */
function passive(code: string, active = false): Bytes {
  const functions = [{ export: "_start", locals: "i", code: "nop" }];
  const data = { 0: "abcdef" };
  const module = decodeModule(buildModule({ imports: [yieldImport], memories: [{}], data, functions }));
  const [body] = decodeModule(program(code)).bodies;
  if (body instanceof Uint8Array) throw new Error("a decoded body is a range");
  module.bodies = [program(code).slice(body.start, body.end)];
  if (!active) module.data = module.data.map((segment) => ({ ...segment, flags: 1, offset: null }));
  module.dataCount = 1;
  module.sections.push(sectionId.dataCount);
  return encodeModule(module) as Bytes;
}

const repeat = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => text(index)).join(" ");

/** Must be captured, and go on as if nothing had been. */
export const capturable: Readonly<Record<string, () => Bytes>> = {
  "a start function": () =>
    program(
      `${wait} i32.const 8 global.get 0 i32.store ${wait}`,
      { globals: 1, start: 2 },
      {
        code: `${wait} i32.const 0 i32.const 5 i32.store i32.const 9 global.set 0 ${wait}`,
      },
    ),
  "a program without memory": () =>
    buildModule({ imports: [yieldImport], functions: [{ export: "_start", code: wait }] }),
  "a function with 6,000 locals": () =>
    buildModule({
      imports: [yieldImport],
      memories: [{}],
      functions: [
        {
          export: "_start",
          locals: "ilfd".repeat(1500),
          code: `i32.const 9 local.set 4000 ${wait} i32.const 0 local.get 4000 i32.store`,
        },
      ],
    }),
  "a call 800 blocks deep": () =>
    program(`${"block : ".repeat(800)} ${wait} i32.const 0 i32.const 1 i32.store ${"end ".repeat(800)}`),
  "900 operands under a call": () =>
    program(
      `i32.const 0 ${repeat(900, (n) => `i32.const ${n}`)} call 2 ${"i32.add ".repeat(900)} i32.store`,
      {},
      answers,
    ),
  "200 parameters and results": () =>
    program(
      `i32.const 0 ${repeat(200, (n) => `i32.const ${n}`)} call 2 ${"i32.add ".repeat(199)} i32.store`,
      {},
      {
        params: "i".repeat(200),
        results: "i".repeat(200),
        code: `${wait} ${repeat(200, (n) => `local.get ${n}`)}`,
      },
    ),
  "4,000 call sites": () =>
    program(
      repeat(4000, (n) => `i32.const 0 i32.const 0 i32.load i32.const ${n} call 2 i32.add i32.store`),
      {},
      {
        params: "i",
        results: "i",
        code: `local.get 0 i32.const 999 i32.rem_u i32.eqz if : ${wait} end local.get 0 i32.const 2 i32.mul`,
      },
    ),
  "a loop with parameters": () =>
    program(`i32.const 0 i32.const 2 f64.const 1 loop #0 ${wait} f64.const 2 f64.mul end drop i32.store`, {
      types: [["id", "id"]],
    }),
  "a passive data segment": () =>
    passive(
      `${wait} i32.const 100 i32.const 1 i32.const 3 memory.init 0,0 ${wait} i32.const 0 i32.const 65 i32.store8`,
    ),
  "a trap after the capture": () =>
    program(`${wait} i32.const 0 i32.const 1 i32.store i32.const -1 i32.load drop`),
  "an exception that passes a function": () =>
    raw(0, 0x02, 0x40, 0x1f, 0x40, 1, 2, 0, 0x10, 2, 0x0b, 0x00, 0x0b, ...rawStore(0, 1), ...rawWait, 0x0b),
  "a catch_all_ref that unwinding passes": () =>
    raw(
      ...[0, 0x02, 0x40, 0x1f, 0x40, 1, 2, 0, 0x02, 0x69, 0x1f, 0x40, 1, 3, 0, ...rawWait, ...rawStore(4, 9)],
      ...[0x0b, 0x0c, 2, 0x0b, 0x0a, 0x0b, 0x0b, ...rawStore(0, 1), ...rawWait, 0x0b],
    ),
  "a catch_all of the first kind that throws again": () =>
    raw(
      ...[0, 0x06, 0x40, 0x06, 0x40, ...rawWait, 0x10, 2, 0x19, ...rawStore(0, 1), 0x09, 0, 0x0b],
      ...[0x19, ...rawStore(4, 1), 0x0b, ...rawWait, 0x0b],
    ),
  "a delegation": () =>
    raw(
      ...[0, 0x06, 0x40, 0x06, 0x40, ...rawWait, 0x10, 2, 0x18, 0],
      ...[0x19, ...rawStore(4, 1), 0x0b, ...rawWait, 0x0b],
    ),
};

/** May be captured; if they are not, they must run all the same and say why. */
export const capturableOrRefused: Readonly<Record<string, () => Bytes>> = {
  "table.set": () =>
    program(
      `i32.const 0 ref.func 3 table.set 0 ${wait} i32.const 0 i32.const 0 call_indirect 0,0 i32.store`,
      { table: [2, 3], types: noAnswer },
      answers,
      { results: "i", code: "i32.const 2" },
    ),
  "table.grow": () =>
    program(
      `ref.func 2 i32.const 0 table.grow 0 drop ${wait} i32.const 0 table.size 0 i32.store`,
      { table: [2], types: noAnswer },
      answers,
    ),
  "a local that is a reference": () =>
    buildModule({
      imports: [yieldImport],
      memories: [{}],
      table: [1],
      functions: [
        {
          export: "_start",
          locals: "r",
          code: `ref.func 1 local.set 0 ${wait} i32.const 0 local.get 0 ref.is_null i32.store`,
        },
      ],
    }),
  "a call through a reference": () =>
    program("i32.const 0 ref.func 2 call_ref 0 i32.store", { table: [2], types: noAnswer }, answers),
  "a second memory": () =>
    program(
      `i32.const 4 i32.const 77 i32.store memory=1 ${wait} i32.const 0 i32.const 4 i32.load memory=1 i32.store`,
      { memories: [{}, {}] },
    ),
  "a memory with 64-bit addresses": () =>
    program(`i64.const 4 i32.const 77 i32.store ${wait} i64.const 0 i64.const 4 i32.load i32.store`, {
      memories: [{ wide: true, maximum: 10 }],
    }),
  // Found by Binaryen's generator: a segment that was written at the start counts as dropped.
  "memory.init of an active segment": () =>
    passive(`${wait} i32.const 100 i32.const 1 i32.const 3 memory.init 0,0`, true),
  "a dropped data segment": () =>
    passive(`data.drop 0 ${wait} i32.const 100 i32.const 1 i32.const 3 memory.init 0,0`),
  "50,000 locals": () =>
    buildModule({
      imports: [yieldImport],
      memories: [{}],
      functions: [
        {
          export: "_start",
          locals: "i".repeat(50_000),
          code: `${wait} i32.const 0 local.get 4001 i32.store`,
        },
      ],
    }),
  "more call sites than a branch table may have targets": () =>
    program(
      `${repeat(70_000, () => "call 2 drop")} ${wait}`,
      {},
      {
        results: "i",
        code: `i32.const 0 i32.load8_u i32.const 99 i32.eq if : ${wait} end i32.const 1`,
      },
    ),
  "a function of almost the largest size": () => {
    const step = [0x20, 0, 0x41, 0xe3, 0, 0x6a, 0x21, 0];
    const body = new Uint8Array(7_600_000).fill(0x01);
    for (let at = 0; at < 1_000_000; at += step.length) body.set(step, at);
    body.set([1, 1, 0x7f, ...rawWait, 0x01, 0x01]);
    body.set([...rawWait, 0x0b], body.length - 4);
    return raw(body);
  },
  "an exception reference under a call": () =>
    raw(
      ...[0, 0x02, 0x40, 0x1f, 0x40, 1, 2, 0, 0x02, 0x69, 0x1f, 0x40, 1, 3, 0, 0x10, 2, 0x0b, 0x00, 0x0b],
      ...[...rawWait, 0x0a, 0x0b, 0x0b, ...rawStore(0, 1), ...rawWait, 0x0b],
    ),
  "a call inside a catch block": () =>
    raw(...[0, 0x06, 0x40, 0x10, 2, 0x07, 0, ...rawWait, ...rawStore(0, 1), 0x0b, ...rawWait, 0x0b]),
};
