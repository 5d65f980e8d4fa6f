/**
 * Random programs that always end: nested loops of every shape the instrumenter tells apart, calls in circles,
 * direct and indirect, memory and globals. The same seed gives the same program.
 */
import type { FunctionSource, ModuleSource } from "./module-builder.ts";

/** A small generator of numbers below a bound (mulberry32). */
export function randomNumbers(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

const functionCount = 5;
/** Parameters 0 and 1, then scratch locals; from `firstCounter` on, one counter per loop of the function. */
const scratchLocals = 4;
const firstCounter = 2 + scratchLocals;
const counters = 24;

/**
 * Every function is `(i32, i32) -> i32` and gives up once the fuel in global 0 is gone; `main` takes fuel from
 * its first parameter. `global` reads global 1.
 */
export function randomProgram(seed: number): ModuleSource {
  const random = randomNumbers(seed);
  const functions: FunctionSource[] = [];
  for (let index = 0; index < functionCount; index++) {
    functions.push({ ...common, code: new FunctionWriter(random).code() });
  }
  functions.push({
    ...common,
    export: "main",
    code: "local.get 0 global.set 0 local.get 0 local.get 1 call 0",
  });
  functions.push({ export: "global", results: "i", code: "global.get 1" });
  return {
    memories: [{ minimum: 1, maximum: 20 }],
    globals: 2,
    table: functions.slice(0, functionCount).map((_, index) => index),
    types: [["ii", "i"]],
    functions,
  };
}

const common = { params: "ii", results: "i", locals: "i".repeat(scratchLocals + counters) } as const;

class FunctionWriter {
  private readonly random: (bound: number) => number;
  private usedCounters = 0;

  constructor(random: (bound: number) => number) {
    this.random = random;
  }

  code(): string {
    return `${this.spendFuel()} ${this.statements(4, 0)} local.get 0 local.get 2 i32.xor`;
  }

  /** Leaves the function when there is no fuel any more. */
  private spendFuel(): string {
    return `global.get 0 i32.const 1 i32.sub global.set 0
      global.get 0 i32.const 0 i32.lt_s if : local.get 1 return end`;
  }

  private local(): number {
    return this.random(2 + scratchLocals);
  }

  private expression(depth: number): string {
    switch (this.random(depth > 2 ? 2 : 7)) {
      case 0:
        return `i32.const ${this.random(200) - 100}`;
      case 1:
        return `local.get ${this.local()}`;
      case 2:
        return `${this.expression(depth + 1)} i32.const 4092 i32.and i32.load offset=${this.random(64) * 4}`;
      case 3:
        return `global.get 1 ${this.expression(depth + 1)} i32.add`;
      default: {
        const operators = ["i32.add", "i32.sub", "i32.mul", "i32.xor", "i32.lt_s", "i32.rotl", "i32.eq"];
        const operator = operators[this.random(operators.length)];
        return `${this.expression(depth + 1)} ${this.expression(depth + 1)} ${operator}`;
      }
    }
  }

  private statements(count: number, depth: number): string {
    const parts: string[] = [];
    for (let index = 0; index < 1 + this.random(count); index++) parts.push(this.statement(depth));
    return parts.join("\n");
  }

  private statement(depth: number): string {
    const deep = depth >= 3;
    switch (this.random(deep ? 4 : 11)) {
      case 0:
        return `${this.expression(0)} local.set ${this.local()}`;
      case 1:
        return `${this.expression(1)} i32.const 4092 i32.and ${this.expression(1)} i32.store`;
      case 2:
        return `${this.expression(1)} global.set 1`;
      case 3:
        return `${this.expression(1)} local.get ${this.local()} i32.add local.set ${this.local()}`;
      case 4:
        return `${this.expression(1)} if : ${this.statements(2, depth + 1)} else ${this.statements(2, depth + 1)} end`;
      case 5:
        return `block : ${this.statements(2, depth + 1)} ${this.expression(1)} br_if 0 ${this.statements(2, depth + 1)} end`;
      case 6:
        return this.call();
      default:
        return this.loop(depth);
    }
  }

  private call(): string {
    const values = `${this.expression(1)} ${this.expression(1)}`;
    const result = `local.set ${this.local()}`;
    if (this.random(2) === 0) return `${values} call ${this.random(functionCount)} ${result}`;
    return `${values} ${this.expression(1)} i32.const ${functionCount} i32.rem_u call_indirect 0,0 ${result}`;
  }

  /** A counted loop, in one of several shapes. */
  private loop(depth: number): string {
    if (this.usedCounters >= counters) return "nop";
    const counter = firstCounter + this.usedCounters++;
    const start = `i32.const ${1 + this.random(6)} local.set ${counter}`;
    const next = `local.get ${counter} i32.const 1 i32.sub local.tee ${counter}`;
    const straight = this.random(3) === 0;
    const body = straight ? this.straightCode() : `${this.spendFuel()} ${this.statements(2, depth + 1)}`;
    switch (this.random(6)) {
      case 0:
        return `${start} loop : ${body} ${next} br_if 0 end`;
      case 1: // Leaves through a block around it.
        return `${start} block : loop : ${next} i32.eqz br_if 1 ${body} br 0 end end`;
      case 2: // Has a result.
        return `${start} loop :i ${body} ${next} br_if 0 local.get ${counter} end local.set ${this.local()}`;
      case 3: // Continues from inside a block, or leaves two levels.
        return `${start} block : block : loop : ${next} i32.eqz br_if 2 ${body}
          block : ${this.expression(1)} br_if 1 ${this.expression(1)} br_if 2 end br 0 end end end`;
      case 4: // Goes three ways.
        return `${start} block : block : loop : ${next} i32.eqz br_if 1 ${body}
          ${this.expression(1)} i32.const 3 i32.and br_table 0,1,2,0 end end end`;
      default: // Leaves with a value, or returns.
        return `${start} block :i loop :i ${body} ${next} i32.eqz if :
            local.get ${this.local()} br 2 end ${this.expression(1)} i32.const 77 i32.eq if : local.get 1 return end
            br 0 end end local.set ${this.local()}`;
    }
  }

  private straightCode(): string {
    return `${this.expression(1)} local.set ${this.local()} ${this.expression(1)} i32.const 4092 i32.and
      ${this.expression(1)} i32.store`;
  }
}
