/**
 * Programs that count the instructions they execute: as many as there are, the same each time, and polls when they
 * have used up what they were given.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  CONTROL_FUEL_OFFSET,
  interruptAnswer,
  type ModuleStore,
  ProgramLoader,
  wasiCallPolicy,
} from "../../src/engine/index.ts";
import { instrument } from "../../src/engine/instrument.ts";
import { pageChecked } from "../../src/engine/paged/page-checked.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { ControlPage } from "../../src/machine/machine.ts";
import { overlay } from "../../src/memory/index.ts";
import { randomModule } from "../capture/support/random-module.ts";
import { endlessPrograms } from "./support/endless-programs.ts";
import { instantiateCounting } from "./support/fuel-host.ts";
import { buildModule, type FunctionSource, type ModuleSource } from "./support/module-builder.ts";
import { instantiatePlain, newControl } from "./support/plain-host.ts";
import { randomProgram } from "./support/random-program.ts";

function single(code: string, more: Partial<FunctionSource> = {}): ModuleSource {
  return { memories: [{}], functions: [{ export: "run", params: "i", locals: "ii", code, ...more }] };
}

/** Six instructions. */
const grind = "local.get 1 i32.const 3 i32.mul i32.const 1 i32.add local.set 1";
/** Five: counts down, and goes on at `label` until nothing is left. */
const again = (local: number, label: number): string =>
  `local.get ${local} i32.const 1 i32.sub local.tee ${local} br_if ${label}`;
const repeated = (code: string, times: number): string => Array.from({ length: times }, () => code).join(" ");

describe("what is known to be executed is counted exactly", () => {
  const cases: Readonly<Record<string, readonly [ModuleSource, executed: (n: number) => number]>> = {
    "code without branches": [single(grind), () => 6],
    // Found here: code behind a `nop` was taken for code that is never reached.
    "constructs that are no instructions": [single(`block : nop ${grind} end`), () => 6],
    "a loop": [single(`loop : ${grind} ${again(0, 0)} end`), (n) => 11 * n],
    "code before and behind a loop": [
      single(`${grind} loop : ${grind} ${again(0, 0)} end ${grind} ${grind}`),
      (n) => 18 + 11 * n,
    ],
    "a loop in a loop": [
      single(`loop : i32.const 7 local.set 2 loop : ${grind} ${again(2, 0)} end ${grind} ${again(0, 0)} end`),
      (n) => n * (2 + 7 * 11 + 11),
    ],
    "a block that is always left the same way": [
      single(`loop : block : ${grind} br 0 end ${grind} ${again(0, 0)} end`),
      (n) => 18 * n,
    ],
    "code behind what is never reached": [single(`block : br 0 ${grind} end ${grind}`), () => 7],
    "calls, and small functions where they are called": [
      {
        memories: [{}],
        functions: [
          { export: "run", params: "i", locals: "i", code: `loop : call 1 call 2 ${again(0, 0)} end` },
          { locals: "ii", code: grind },
          { locals: "ii", code: `call 1 ${repeated(grind, 10)}` },
        ],
      },
      (n) => n * (1 + 6 + 1 + (1 + 6 + 60) + 5),
    ],
    "calls through a table": [
      {
        memories: [{}],
        types: [["", ""]],
        table: [1],
        functions: [
          { export: "run", params: "i", code: `loop : i32.const 0 call_indirect 0,0 ${again(0, 0)} end` },
          { locals: "ii", code: grind },
        ],
      },
      (n) => n * (2 + 6 + 5),
    ],
    "instructions on many bytes": [
      single(
        "i32.const 0 i32.const 1 local.get 0 memory.fill 0 i32.const 0 i32.const 8 local.get 0 memory.copy 0,0",
      ),
      (n) => 8 + 2 * Math.floor(n / 8),
    ],
  };
  for (const [name, [source, executed]] of Object.entries(cases)) {
    for (const precision of ["close", "exact"] as const) {
      test(`${name}, ${precision}`, () => {
        assert.ok(WebAssembly.validate(buildModule(source)), "the test's own module is valid");
        const instance = instantiateCounting(source, precision);
        for (const n of [1, 2, 10, 1000]) {
          assert.equal(instance.count("run", n), executed(n), `${n}`);
        }
      });
    }
  }
});

test("calls that do not return are counted where they are made", () => {
  const source: ModuleSource = {
    memories: [{}],
    functions: [
      { export: "run", params: "i", code: "local.get 0 return_call 1" },
      { params: "i", locals: "ii", code: `block : ${again(0, 0)} return end local.get 0 return_call 1` },
    ],
  };
  const exact = instantiateCounting(source, "exact");
  for (const n of [1, 2, 10, 1000]) assert.equal(exact.count("run", n), 2 + 7 * n - 1);
});

describe("what may be skipped is counted to within a factor of two", () => {
  const large = repeated(grind, 20);
  const cases: Readonly<Record<string, ModuleSource>> = {
    "an arm that is rarely taken": single(
      `loop : ${grind} local.get 0 i32.const 63 i32.and i32.eqz if : ${large} end ${again(0, 0)} end`,
    ),
    "code that is mostly jumped over": single(
      `loop : block : local.get 0 i32.const 63 i32.and br_if 0 ${large} end ${grind} ${again(0, 0)} end`,
    ),
    "either of two arms": single(
      `loop : local.get 0 i32.const 3 i32.and if : ${grind} else ${large} end ${again(0, 0)} end`,
    ),
    "an early return": single(
      `block : local.get 0 i32.const 100 i32.lt_u br_if 0 return end ${repeated(grind, 50)}`,
    ),
    "an interpreter of many cases": single(
      `loop : ${repeated("block :", 40)} local.get 0 i32.const 39 i32.rem_u
       br_table ${Array.from({ length: 40 }, (_, label) => label)}
       ${Array.from({ length: 40 }, (_, index) => `end ${repeated(grind, 1 + (index % 5))} ${index < 39 ? `br ${38 - index}` : ""}`).join(" ")}
       ${again(0, 0)} end`,
    ),
  };
  for (const [name, source] of Object.entries(cases)) {
    test(name, () => {
      assert.ok(WebAssembly.validate(buildModule(source)), "the test's own module is valid");
      const exact = instantiateCounting(source, "exact").count("run", 1000);
      const close = instantiateCounting(source).count("run", 1000);
      assert.ok(close >= exact && close <= 2 * exact, `${close} for ${exact}`);
    });
  }

  // Besides what is said above, a few instructions for each point are neglected, which are many points here.
  test("random programs: never less than what is executed, and not much more", () => {
    const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(seeds, (seed) => {
        const source = randomProgram(seed);
        const exact = instantiateCounting(source, "exact");
        const close = instantiateCounting(source);
        const [counted, executed] = [close.count("main", 100, 7), exact.count("main", 100, 7)];
        assert.ok(counted >= executed && counted <= 2 * executed, `${counted} for ${executed}`);
      }),
      { numRuns: 60 },
    );
  });
});

test("counting changes nothing of what a program computes", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const source = randomProgram(seed);
    const plain = instantiatePlain(buildModule(source));
    const expected = [plain.main(150, seed), plain.global()];
    for (const precision of ["close", "exact"] as const) {
      const { exports } = instantiateCounting(source, precision);
      assert.deepEqual([exports.main(150, seed), exports.global()], expected, `seed ${seed}, ${precision}`);
    }
  }
});

test("modules that count stay valid, whatever is in them", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const bytes = randomModule({ seed });
    for (const fuel of ["close", "exact"] as const) {
      for (const capture of [true, false]) {
        const counting = instrument(bytes, { fuel, capture }).bytes as Uint8Array<ArrayBuffer>;
        assert.ok(WebAssembly.validate(counting), `seed ${seed}, ${fuel}`);
      }
    }
  }
});

describe("polls", () => {
  const slice = 1000;
  const loop = single(`loop : ${grind} ${again(0, 0)} end`);

  test("a program polls when its fuel is gone, and not before", () => {
    const left: number[] = [];
    const instance = instantiateCounting(loop, "close", {
      interrupt: () => {
        left.push(instance.fuel);
        instance.fuel += slice;
        return interruptAnswer.proceed;
      },
    });
    instance.fuel = slice;
    instance.exports.run(10_000);
    // It polls when more than what it was given is gone.
    assert.equal(left.length, Math.floor((11 * 10_000 - 1) / slice));
    for (const fuel of left) assert.ok(fuel < 0 && fuel >= -11, `${fuel}`);
    assert.ok(instance.fuel >= 0);
  });

  test("fuel is what polls look at, not the pending interrupts", () => {
    let polls = 0;
    const control = newControl();
    const page = overlay(ControlPage, control.buffer, { format: "ilp32", base: 0, count: 1 });
    const hooks = {
      interrupt: () => {
        polls++;
        page.setFuel(0, slice);
        return interruptAnswer.proceed;
      },
    };
    const instance = instantiateCounting(loop, "close", hooks, {}, control);
    page.setFuel(0, 10 * slice);
    page.orPending(0, 1);
    instance.exports.run(10);
    assert.equal(polls, 0);
    // So a machine interrupts a program: whatever was left is gone.
    page.setFuel(0, -1);
    instance.exports.run(10);
    assert.equal(polls, 1);
  });

  test("after a suspension the fuel is looked at again", async () => {
    const events: string[] = [];
    const instance = instantiateCounting(loop, "close", {
      interrupt: () => {
        events.push("interrupt");
        if (events.length < 6) return interruptAnswer.suspend;
        instance.fuel = slice;
        return interruptAnswer.proceed;
      },
      suspend: () => {
        events.push("suspend");
        // Twice there is something new to look at when the program goes on.
        instance.fuel = events.length < 6 ? -1 : slice;
      },
    });
    instance.fuel = 0;
    await WebAssembly.promising(instance.exports.run as () => unknown)(20 as never);
    assert.deepEqual(events, ["interrupt", "suspend", "interrupt", "suspend", "interrupt", "suspend"]);
  });

  for (const [name, source] of Object.entries(endlessPrograms)) {
    test(`in ${name}`, () => {
      const rounds = 3;
      let polls = 0;
      const instance = instantiateCounting(source, "close", {
        interrupt: () => {
          assert.ok(instance.fuel < 0);
          instance.fuel = slice;
          return ++polls < rounds ? interruptAnswer.proceed : interruptAnswer.die;
        },
      });
      instance.fuel = slice;
      assert.throws(() => instance.exports.run(), WebAssembly.RuntimeError);
      assert.equal(polls, rounds);
    });
  }
});

describe("many bytes at once", () => {
  test("do not make fuel run over", () => {
    const huge = "i32.const 0 i32.const 0 i32.const -1 memory.fill 0";
    const instance = instantiateCounting(single(huge));
    for (let round = 0; round < 10; round++) assert.throws(() => instance.exports.run(0), /out of bounds/);
    assert.ok(instance.fuel >= -(2 ** 30) - 100 && instance.fuel < 0, `${instance.fuel}`);
  });

  test("in further memories, and in those with 64-bit addresses", () => {
    const source: ModuleSource = {
      memories: [{ minimum: 1, maximum: 4, wide: true }, { minimum: 1 }],
      functions: [
        {
          export: "run",
          params: "i",
          code: `i64.const 0 i32.const 1 local.get 0 i64.extend_i32_u memory.fill 0
            i64.const 0 i64.const 64 local.get 0 i64.extend_i32_u memory.copy 0,0
            i64.const 0 i32.const 64 local.get 0 memory.copy 0,1
            i32.const 0 i32.const 64 local.get 0 memory.fill 1`,
        },
      ],
    };
    const bytes = buildModule(source);
    assert.ok(WebAssembly.validate(bytes), "the test's own module is valid");
    const counting = instrument(bytes, { fuel: "close" }).bytes as Uint8Array<ArrayBuffer>;
    assert.ok(WebAssembly.validate(counting));
  });
});

describe("as an option", () => {
  const bytes = buildModule({
    memories: [{}],
    functions: [
      {
        export: "_start",
        locals: "iii",
        code: `i32.const 9 local.set 0 local.get 1 if : nop ${grind} end loop : ${grind} ${again(0, 0)} end`,
      },
    ],
  });

  test("it is off unless asked for", () => {
    assert.deepEqual(instrument(bytes, { fuel: null }).bytes, instrument(bytes).bytes);
    assert.notDeepEqual(instrument(bytes, { fuel: "close" }).bytes, instrument(bytes).bytes);
    assert.deepEqual(instrument(bytes, { fuel: "close" }).bytes, instrument(bytes, { fuel: "close" }).bytes);
  });

  test("a program that would block the machine's only thread is refused by name", () => {
    const module = buildModule(single("i32.const 0 i32.const 0 i64.const -1 memory.atomic.wait32 drop"));
    assert.throws(() => instrument(module, { fuel: "close" }), /memory\.atomic\.wait.*never end/);
    instrument(module);
  });

  test("programs that count are stored beside those that do not", () => {
    const entries = new Map<string, Uint8Array>();
    const store: ModuleStore = {
      get: (key) => entries.get(key),
      put: (key, value) => void entries.set(key, value),
    };
    const calls = wasiCallPolicy;
    for (const fuel of [undefined, null, "close", "exact"] as const) {
      const loader = new ProgramLoader({ hash: contentHash, store, calls, fuel });
      const program = loader.load(bytes);
      loader.pageChecked(program, () => bytes);
      assert.ok(program.migratable);
    }
    assert.equal(entries.size, 6);
    assert.equal(new Set([...entries.values()].map(contentHash)).size, 6);
    const key = [...entries.keys()].find(
      (one) => contentHash(entries.get(one) ?? bytes) === contentHash(instrument(bytes).bytes),
    );
    assert.match(key ?? "", /^\d+-[0-9a-f]+-[0-9a-z]+$/, "plain ones are found where they have been");
  });

  test("the word is a field of the control page", () => {
    const control = newControl();
    overlay(ControlPage, control.buffer, { format: "ilp32", base: 0, count: 1 }).setFuel(0, 12345);
    assert.equal(new Int32Array(control.buffer)[CONTROL_FUEL_OFFSET / 4], 12345);
  });

  test("page-checked variants are valid too", () => {
    const checked = pageChecked(instrument(bytes, { fuel: "close" }).bytes) as Uint8Array<ArrayBuffer>;
    assert.ok(WebAssembly.validate(checked));
  });
});
