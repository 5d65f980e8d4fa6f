import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Trace } from "../../src/machine/sim/trace.ts";

type Entry = readonly [kind: string, time_ns: number, core: number, a: number, b: number, c: number];

const entry: fc.Arbitrary<Entry> = fc.tuple(
  fc.constantFrom("mail", "power", "interrupt"),
  fc.nat(1_000_000),
  fc.integer({ min: -1, max: 7 }),
  fc.nat(),
  fc.nat(3),
  fc.constantFrom(0, 1.5, -1, 2 ** 40),
);

function traceOf(entries: readonly Entry[]): Trace {
  const trace = new Trace({ kept: 8 });
  for (const [kind, time_ns, core, a, b, c] of entries) trace.record(kind, time_ns, core, a, b, c);
  return trace;
}

test("equal records give equal digests, and any other record another", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 30 }), fc.array(entry, { maxLength: 30 }), (left, right) => {
      assert.equal(traceOf(left).digest(), traceOf([...left]).digest());
      assert.equal(traceOf(left).summary(), traceOf([...left]).summary());
      const same = JSON.stringify(left) === JSON.stringify(right);
      assert.equal(traceOf(left).digest() === traceOf(right).digest(), same);
    }),
    { numRuns: 300 },
  );
});

test("the order of records, every value and the kind are in the digest", () => {
  const base: Entry[] = [
    ["mail", 1, 0, 0, 0, 0],
    ["mail", 2, 1, 0, 0, 0],
  ];
  const digests = new Set([traceOf(base).digest(), traceOf(base.toReversed()).digest()]);
  for (let field = 1; field < 6; field++) {
    const changed = [...base[1]] as unknown as [string, number, number, number, number, number];
    (changed as unknown[])[field] = 9;
    digests.add(traceOf([base[0], changed]).digest());
  }
  digests.add(traceOf([base[0], ["power", 2, 1, 0, 0, 0]]).digest());
  assert.equal(digests.size, 8);
});

test("no digests meet among many short traces", () => {
  const digests = new Set<string>();
  for (let value = 0; value < 20_000; value++) digests.add(traceOf([["mail", value, 0, 0, 0, 0]]).digest());
  for (let value = 1; value < 20_000; value++) digests.add(traceOf([["mail", 0, 0, 0, value, 0]]).digest());
  assert.equal(digests.size, 39_999);
});

test("the last records are kept as text, all of them if wanted", () => {
  const lines: string[] = [];
  const trace = new Trace({ kept: 2, onLine: (line) => lines.push(line) });
  trace.record("mail", 1500, 1, 2, 7);
  trace.record("power", 2000, 0, 3);
  trace.note("log", 2500.5, -1, "ready");
  assert.equal(lines[0], "1.500 us core 1 mail 2 7 0");
  assert.equal(lines.length, 4);
  assert.equal(lines[3], "  ready");
  assert.deepEqual(trace.lastLines(), [lines[1], lines[2]]);
  assert.deepEqual(trace.lastLines(1), [lines[2]]);
  assert.equal(trace.count, 3);
  assert.equal(trace.countOf("mail"), 1);
  assert.equal(trace.end_ns, 2500.5);
});

test("capturing text changes nothing in the digest", () => {
  const quiet = new Trace({ kept: 0 });
  const loud = new Trace({ onLine: () => undefined });
  for (const trace of [quiet, loud]) {
    trace.record("mail", 1, 2, 3);
    trace.note("log", 2, -1, "text");
  }
  assert.equal(quiet.digest(), loud.digest());
  assert.deepEqual(quiet.lastLines(), []);
  assert.notEqual(quiet.digest(), new Trace().digest());
});

test("the summary counts kinds in the order of their names", () => {
  const trace = traceOf([
    ["power", 5, 0, 0, 0, 0],
    ["mail", 10, 0, 0, 0, 0],
    ["power", 4, 0, 0, 0, 0],
  ]);
  assert.match(trace.summary(), /^mail +1\npower +2\nrecords 3\nend +0\.010 us\ndigest +[0-9a-f]{16}$/);
});
