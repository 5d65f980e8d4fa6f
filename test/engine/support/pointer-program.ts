/**
 * Random programs that access memory through a few pointers, again and again, while the pointers change in branches
 * and loops: what tells apart the checks that are needed from those that may be left out.
 */
import type { ModuleSource } from "./module-builder.ts";
import { randomNumbers } from "./random-program.ts";

const pointers = 3;
/** The sum of what was read; then one counter for each loop. */
const sum = pointers;
const firstCounter = sum + 1;
const counters = 8;
const memoryMask = 0x3ffff;

/** `main` takes the pointers and gives the sum. The memory has four pages. */
export function pointerProgram(seed: number): ModuleSource {
  const random = randomNumbers(seed);
  let usedCounters = 0;
  const pointer = () => random(pointers);
  const offset = () => [random(64), random(4096), 4080 + random(40), random(12_000)][random(4)];
  const load = ["i32.load", "i32.load8_u", "i32.load16_s"][random(3)];
  const addToSum = `local.get ${sum} i32.add local.set ${sum}`;
  const moved = () =>
    `local.get ${pointer()} i32.const ${random(9000) - 3000} i32.add i32.const ${memoryMask} i32.and`;

  const statements = (depth: number): string =>
    Array.from({ length: 1 + random(4) }, () => statement(depth)).join("\n");

  const statement = (depth: number): string => {
    switch (random(depth > 3 ? 7 : 12)) {
      case 0:
      case 1:
        return `local.get ${pointer()} ${load} offset=${offset()} ${addToSum}`;
      case 2:
        return `local.get ${pointer()} local.get ${sum} i32.store8 offset=${offset()}`;
      case 3:
        return `i32.const ${random(memoryMask)} ${load} offset=${offset()} ${addToSum}`;
      case 4:
        return `${moved()} local.set ${pointer()}`;
      case 5:
        return `${moved()} local.tee ${pointer()} ${load} offset=${offset()} ${addToSum}`;
      case 6:
        // The pointer changes between where the address is taken and where it is used.
        return `local.get 0 ${moved()} local.tee 0 i32.store offset=${offset()}`;
      case 7:
        return `local.get ${sum} i32.const 1 i32.and if : ${statements(depth + 1)} else ${statements(depth + 1)} end`;
      case 8:
        return `local.get ${sum} i32.const 3 i32.and if : ${statements(depth + 1)} end`;
      case 9:
        return `block : ${statements(depth + 1)} local.get ${sum} i32.const 2 i32.and br_if 0 ${statements(depth + 1)} end`;
      case 10:
        return `block : try : ${statements(depth + 1)} local.get ${sum} i32.const 1 i32.and if : throw 0 end ${statements(depth + 1)}
          catch_all ${statements(depth + 1)} end end`;
      default:
        return loop(depth);
    }
  };

  const loop = (depth: number): string => {
    if (usedCounters >= counters) return "nop";
    const counter = firstCounter + usedCounters++;
    return `i32.const ${1 + random(9)} local.set ${counter} loop : ${statements(depth + 1)}
      local.get ${counter} i32.const 1 i32.sub local.tee ${counter} br_if 0 end`;
  };

  const code = `${statements(0)} ${statements(0)} ${statements(0)} local.get ${sum}`;
  return {
    memories: [{ minimum: 4, maximum: 20 }],
    types: [["", ""]],
    tags: [0],
    functions: [
      {
        export: "main",
        params: "i".repeat(pointers),
        results: "i",
        locals: "i".repeat(1 + counters),
        code,
      },
    ],
  };
}
