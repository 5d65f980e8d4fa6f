/** Programs that never end by themselves, in every shape that a program may find to keep its core busy. */
import type { ModuleSource } from "./module-builder.ts";

const grind = "local.get 0 i32.const 3 i32.mul i32.const 1 i32.add local.set 0";

/** One function `run`, without parameters or results. */
function single(code: string, more: Partial<ModuleSource> = {}): ModuleSource {
  return { memories: [{}], functions: [{ export: "run", locals: "iid", code }], ...more };
}

/** Functions that call each other in pairs: 2^depth calls. */
function doubling(depth: number): ModuleSource {
  const functions = Array.from({ length: depth }, (_, index) => ({
    export: index === 0 ? "run" : undefined,
    code: index === depth - 1 ? "nop" : `call ${index + 1} call ${index + 1}`,
  }));
  return { memories: [{}], functions };
}

export const endlessPrograms: Readonly<Record<string, ModuleSource>> = {
  "an empty loop": single("loop : br 0 end"),
  "a loop that only computes": single(`loop : ${grind} br 0 end`),
  "a loop that only reads memory": single("loop : local.get 0 i32.load local.set 0 br 0 end"),
  "a loop that writes memory": single(`loop : ${grind} i32.const 8 local.get 0 i32.store br 0 end`),
  "a loop over floating point": single("loop : local.get 2 f64.const 1.5 f64.mul local.set 2 br 0 end"),
  "a loop with a way out that is never taken": single(
    `block : loop : ${grind} local.get 0 i32.const 3 i32.rem_u i32.const 7 i32.eq br_if 1 br 0 end end`,
  ),
  "a second loop after one that ended": single(
    `i32.const 10 local.set 1 loop : ${grind} local.get 1 i32.const 1 i32.sub local.tee 1 br_if 0 end
     loop : ${grind} br 0 end`,
  ),
  "a loop inside a loop": single(`loop : ${grind} loop : ${grind} br 0 end br 0 end`),
  "short loops inside a loop": single(
    `loop : i32.const 2 local.set 1 loop : ${grind} local.get 1 i32.const 1 i32.sub local.tee 1 br_if 0 end br 0 end`,
  ),
  "a loop with a result": single("loop :i i32.const 1 br 0 end drop"),
  "a loop with a parameter": single("i32.const 1 loop #0 br 0 end drop", { types: [["i", "i"]] }),
  "a loop that branches by table": single(
    `block : loop : ${grind} i32.const 0 local.get 0 i32.const 1 i32.and i32.sub br_table 0,0 end end`,
  ),
  "a loop in a large function": single(
    `loop : ${Array.from({ length: 600 }, () => grind).join(" ")} br 0 end`,
  ),
  "a large loop": single(`loop : ${Array.from({ length: 100 }, () => grind).join(" ")} br 0 end`),
  "a loop in a module with garbage-collected objects": single(
    `i32.const 5 ref.i31 i31.get_s local.set 0 loop : ${grind} br 0 end`,
  ),
  "a loop that calls": {
    memories: [{}],
    functions: [
      { export: "run", code: "loop : i32.const 1 call 1 drop br 0 end" },
      { params: "i", results: "i", code: "local.get 0 i32.const 1 i32.add" },
    ],
  },
  "a loop that catches everything (exceptions of the first kind)": {
    memories: [{}],
    functions: [
      { export: "run", locals: "i", code: `loop : try : loop : ${grind} br 0 end catch_all end br 0 end` },
    ],
  },
  "a loop that catches everything (exceptions of the second kind)": {
    memories: [{}],
    functions: [
      {
        export: "run",
        locals: "i",
        code: `loop : block : try_table : 0 loop : ${grind} br 0 end end end br 0 end`,
      },
    ],
  },
  "recursion without a loop": {
    memories: [{}],
    functions: [
      { export: "run", code: "i32.const 60 call 1" },
      {
        params: "i",
        code: `local.get 0 i32.eqz br_if 0 local.get 0 i32.const 1 i32.sub call 2
               local.get 0 i32.const 1 i32.sub call 2`,
      },
      { params: "i", code: "local.get 0 call 1" },
    ],
  },
  "recursion through a table": {
    memories: [{}],
    types: [["i", ""]],
    table: [1],
    functions: [
      { export: "run", code: "i32.const 60 i32.const 0 call_indirect 0,0" },
      {
        params: "i",
        code: `local.get 0 i32.eqz br_if 0 local.get 0 i32.const 1 i32.sub i32.const 0 call_indirect 0,0
               local.get 0 i32.const 1 i32.sub i32.const 0 call_indirect 0,0`,
      },
    ],
  },
  "tail calls in a circle": {
    memories: [{}],
    functions: [
      { export: "run", code: "i32.const 0 return_call 1" },
      { params: "i", code: "local.get 0 i32.const 1 i32.add return_call 2" },
      { params: "i", code: "local.get 0 return_call 1" },
    ],
  },
  "a chain of calls without circles, exponentially long": doubling(64),
};
