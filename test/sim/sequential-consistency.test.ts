/** The checker of sequential consistency: litmus tests, random traces against brute force, long traces. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Random } from "../../src/machine/sim/random.ts";
import { allowedOutcomes, litmusTests, litmusTrace, outcomeText } from "../../src/simulation/litmus.ts";
import { type Access, checkSequentialConsistency } from "../../src/simulation/sequential-consistency.ts";
import { firstUnexplained } from "../../src/simulation/sequential-order.ts";

/** True when the order keeps program order and explains every read. */
function isWitness(trace: readonly Access[], order: readonly number[]): boolean {
  const complete = order.length === trace.length && new Set(order).size === trace.length;
  return complete && firstUnexplained(trace, order) === undefined;
}

for (const litmus of litmusTests) {
  test(`litmus test ${litmus.name}`, () => {
    const allowed = allowedOutcomes(litmus);
    for (const outcome of litmus.forbidden)
      assert.ok(!allowed.has(outcomeText(outcome)), outcomeText(outcome));
    // Every outcome there could be: the checker and the interleavings agree.
    const loads = litmus.programs.flat().filter((step) => step.kind === "load");
    const names = [
      ...loads.map(({ register, location }) => [register, location]),
      ...litmus.observed.map((x) => [x, x]),
    ];
    const valuesOf = (location: string): number[] => [
      0,
      ...litmus.programs
        .flat()
        .flatMap((s) => (s.kind === "store" && s.location === location ? [s.value] : [])),
    ];
    let outcomes: Record<string, number>[] = [{}];
    for (const [name, location] of names) {
      outcomes = outcomes.flatMap((one) => valuesOf(location).map((value) => ({ ...one, [name]: value })));
    }
    for (const outcome of outcomes) {
      const trace = litmusTrace(litmus, outcome);
      const verdict = checkSequentialConsistency(trace);
      const expected = allowed.has(outcomeText(outcome)) ? "consistent" : "violation";
      assert.equal(verdict.result, expected, outcomeText(outcome));
      if (verdict.result === "consistent") assert.ok(isWitness(trace, verdict.order));
    }
  });
}

test("the explanation is the cycle", () => {
  const trace = litmusTrace(litmusTests[1], { a: 1, b: 0 });
  const verdict = checkSequentialConsistency(trace);
  assert.ok(verdict.result === "violation");
  assert.match(verdict.text, /reads 0 from x/);
  assert.ok(verdict.cycle.length <= 4);
  const alien = checkSequentialConsistency([{ processor: 0, location: "x", read: 9 }]);
  assert.ok(alien.result === "violation");
  assert.match(alien.text, /nobody ever wrote 9 to x/);
});

test("two atomic updates cannot both find the same value", () => {
  const update = (processor: number, read: number, written: number): Access => ({
    processor,
    location: "x",
    read,
    written,
  });
  assert.equal(checkSequentialConsistency([update(0, 0, 1), update(1, 0, 2)]).result, "violation");
  assert.equal(checkSequentialConsistency([update(0, 2, 1), update(1, 0, 2)]).result, "consistent");
});

test("memory's order of writes, where it is known, is held to", () => {
  const trace: Access[] = [
    { processor: 0, location: "x", written: 1 },
    { processor: 1, location: "x", written: 2 },
    { processor: 2, location: "x", read: 1 },
    { processor: 2, location: "x", read: 2 },
  ];
  assert.equal(checkSequentialConsistency(trace).result, "consistent");
  const order = (writes: number[]) => ({ writeOrder: new Map([["x", writes]]) });
  assert.equal(checkSequentialConsistency(trace, order([0, 1])).result, "consistent");
  assert.equal(checkSequentialConsistency(trace, order([1, 0])).result, "violation");
});

/** Tries all interleavings. */
function bruteForce(trace: readonly Access[]): boolean {
  const processors = [...new Set(trace.map(({ processor }) => processor))];
  const programs = processors.map((name) => trace.filter(({ processor }) => processor === name));
  const seen = new Set<string>();
  const go = (places: readonly number[], memory: Readonly<Record<string, number>>): boolean => {
    if (places.every((place, i) => place === programs[i].length)) return true;
    const key = `${places} ${JSON.stringify(memory)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return programs.some((program, i) => {
      const step = program[places[i]];
      if (step === undefined || (step.read !== undefined && (memory[step.location] ?? 0) !== step.read))
        return false;
      const after = step.written === undefined ? memory : { ...memory, [step.location]: step.written };
      return go(places.with(i, places[i] + 1), after);
    });
  };
  return go(
    processors.map(() => 0),
    {},
  );
}

test("agrees with brute force on random traces, also with ambiguous values", () => {
  const access = fc.record({
    processor: fc.nat(3),
    location: fc.constantFrom("x", "y"),
    kind: fc.nat(4),
    value: fc.nat(),
  });
  for (const unique of [true, false]) {
    let violations = 0;
    let runs = 0;
    fc.assert(
      fc.property(fc.array(access, { minLength: 3, maxLength: 12 }), (steps) => {
        const written = new Map<string, number[]>([
          ["x", [0]],
          ["y", [0]],
        ]);
        for (const [index, { location, kind, value }] of steps.entries()) {
          if (kind >= 2) written.get(location)?.push(unique ? index + 1 : 1 + (value % 2));
        }
        const places = new Map<string, number>();
        const trace = steps.map(({ processor, location, kind, value }): Access => {
          const values = written.get(location) ?? [];
          const found = values[value % values.length];
          if (kind < 2) return { processor, location, read: found };
          const place = (places.get(location) ?? 0) + 1;
          places.set(location, place);
          const left = values[place];
          return kind === 4
            ? { processor, location, read: found, written: left }
            : { processor, location, written: left };
        });
        const verdict = checkSequentialConsistency(trace);
        const expected = bruteForce(trace);
        assert.equal(verdict.result, expected ? "consistent" : "violation");
        if (verdict.result === "consistent") assert.ok(isWitness(trace, verdict.order));
        runs++;
        if (!expected) violations++;
      }),
      { numRuns: 1500 },
    );
    assert.ok(violations > runs / 10 && violations < runs * 0.95, `${violations} of ${runs}`);
  }
});

/** A trace of a sequential memory, and the index of a read in the middle that finds an older value of its location. */
function longTrace(
  length: number,
  processors: number,
  locations: number,
): { trace: Access[]; stale: Access[] } {
  const random = new Random(11);
  const memory = new Map<string, number[]>();
  const trace: Access[] = [];
  for (let i = 0; i < length; i++) {
    const location = `l${random.below(locations)}`;
    const processor = random.below(processors);
    const values = memory.get(location) ?? [0];
    memory.set(location, values);
    if (random.chance(0.4)) {
      values.push(i + 1);
      trace.push({ processor, location, written: i + 1 });
    } else {
      trace.push({ processor, location, read: values[values.length - 1] });
    }
  }
  const middle = trace.findIndex(({ read }, i) => i > length / 2 && read !== undefined);
  const { processor, location } = trace[middle];
  return { trace, stale: trace.with(middle, { processor, location, read: 0 }) };
}

test("long traces", () => {
  const { trace, stale } = longTrace(20_000, 4, 16);
  const good = checkSequentialConsistency(trace);
  assert.ok(good.result === "consistent");
  assert.ok(isWitness(trace, good.order));
  assert.equal(firstUnexplained(trace), undefined);
  assert.equal(
    firstUnexplained(stale),
    stale.findIndex((access, i) => access !== trace[i]),
  );
  const bad = checkSequentialConsistency(stale);
  assert.equal(bad.result, "violation");
});
