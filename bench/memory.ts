/**
 * The `memory` suite: typed field access beside hand-written code and npm packages, on 20,000 records of
 * five fields (it fits the second-level cache; a million would measure the machine's memory), and what
 * locks, pools and attaching cost.
 */
import {
  type Accessor,
  type Format,
  formatNames,
  lock,
  overlay,
  type Strategy,
  struct,
  TypedMemory,
  u16,
  u32,
  u64,
  usize,
} from "../src/memory/index.ts";
import {
  type Candidate,
  compile,
  handWritten,
  Item,
  npmPeers,
  operations,
  ourCandidates,
  recordCount,
} from "./memory/candidates.ts";
import type { Row } from "./row.ts";
import { interleaved, perRepetition_ns } from "./statistics.ts";

/** Rounds before figures count, so that everybody runs optimised code, and rounds that count. */
const warmRounds = 10;
const rounds = 31;

export async function suite(): Promise<Row[]> {
  return [...(await fieldAccess()), ...(await wideFields()), ...(await manyLayouts()), ...(await sharing())];
}

/** Medians after warming up, in nanoseconds per repetition. */
async function measure(
  repetitions: number,
  candidates: Readonly<Record<string, (count: number) => void>>,
): Promise<Record<string, number>> {
  const timed = Object.fromEntries(
    Object.entries(candidates).map(([name, body]) => [name, () => perRepetition_ns(repetitions, body)]),
  );
  await interleaved(warmRounds, timed);
  return interleaved(rounds, timed);
}

async function fieldAccess(): Promise<Row[]> {
  const ours = ourCandidates();
  const peers: Candidate[] = [...handWritten(), ...npmPeers()];
  const all = [...ours, ...peers];
  for (const candidate of all) compile(candidate, "sequential write")();
  const rows: Row[] = [];
  for (const operation of operations) {
    const loops = all.map((candidate) => ({ name: candidate.name, loop: compile(candidate, operation) }));
    const sums = new Set(loops.map(({ loop }) => loop()));
    if (sums.size !== 1) throw new Error(`${operation}: candidates disagree: ${[...sums].join(", ")}`);
    // Three passes per round: long enough to time, short enough to take turns.
    const figures = await measure(
      3 * recordCount,
      Object.fromEntries(
        loops.map(({ name, loop }) => [
          name,
          () => {
            for (let pass = 0; pass < 3; pass++) loop();
          },
        ]),
      ),
    );
    const peerFigures = Object.fromEntries(peers.map(({ name }) => [name, figures[name]]));
    const targets: Readonly<Record<string, string>> = {
      unchecked: "1.1x DataView, faster than every npm peer",
      checked: "1.4x DataView, faster than every npm peer",
    };
    for (const { name } of ours) {
      rows.push({
        name: `${operation}, ${name}`,
        unit: "ns/record",
        better: "lower",
        ours: figures[name],
        peers: peerFigures,
        published: null,
        target: targets[name] ?? null,
      });
    }
  }
  return rows;
}

/** One 64-bit field of each record, as numbers; by hand as two halves, unchecked, and as BigInt. */
async function wideFields(): Promise<Row[]> {
  const Wide = struct("Wide", { tag: u32, size: u64 });
  const area = overlay(Wide, new SharedArrayBuffer(recordCount * 16), { format: "lp64", count: recordCount });
  const view = new DataView(new SharedArrayBuffer(recordCount * 16));
  const big = new DataView(new SharedArrayBuffer(recordCount * 16));
  const numbers = new DataView(new SharedArrayBuffer(recordCount * 16));
  const figures = await measure(recordCount, {
    ours() {
      for (let i = 0; i < recordCount; i++) area.setSize(i, area.size(i) + 3);
    },
    "DataView halves"() {
      for (let i = 0; i < recordCount; i++) {
        const o = i * 16;
        const value = view.getUint32(o + 12, true) * 4294967296 + view.getUint32(o + 8, true) + 3;
        view.setUint32(o + 8, value, true);
        view.setUint32(o + 12, value / 4294967296, true);
      }
    },
    "DataView BigInt, as numbers"() {
      for (let i = 0; i < recordCount; i++) {
        const value = Number(numbers.getBigUint64(i * 16 + 8, true)) + 3;
        numbers.setBigUint64(i * 16 + 8, BigInt(value), true);
      }
    },
    "DataView BigInt, never a number"() {
      for (let i = 0; i < recordCount; i++)
        big.setBigUint64(i * 16 + 8, big.getBigUint64(i * 16 + 8, true) + 3n, true);
    },
  });
  return [row("64-bit read-modify-write, checked", figures)];
}

const Layered = struct("Layered", { kind: u16, size: usize, next: u32, weight: u16 });

/** One call site that meets six layouts: what the type table is for. */
async function manyLayouts(): Promise<Row[]> {
  const places: readonly (readonly [Format, number])[] = [
    ...formatNames.map((format) => [format, 0] as const),
    ["lp64", 8],
  ];
  const accessors = (strategy: Strategy): Accessor<typeof Layered.fields>[] =>
    places.map(([format, extra]) =>
      overlay(Layered, new SharedArrayBuffer(64_000), { format, count: 1000, stride: 24 + extra, strategy }),
    );
  // One function each, so that each has a call site of its own.
  const generated = accessors("generated");
  const table = accessors("table");
  let sum = 0;
  const figures = await measure(6 * 1000, {
    generated() {
      for (const area of generated)
        for (let i = 0; i < 1000; i++) sum += area.kind(i) + area.next(i) + area.weight(i);
    },
    table() {
      for (const area of table)
        for (let i = 0; i < 1000; i++) sum += area.kind(i) + area.next(i) + area.weight(i);
    },
  });
  if (sum !== 0) throw new Error("the records were empty");
  const { table: ours, generated: other } = figures;
  return [row("one call site, six layouts, type table", { ours, generated: other })];
}

/** Locks, pools and attaching, uncontended. */
async function sharing(): Promise<Row[]> {
  const memory = TypedMemory.format(new SharedArrayBuffer(1 << 20));
  const area = memory.create("guarded", struct("Guarded", { mutex: lock(), value: u32 }), { count: 1 });
  const pool = memory.createPool("pool", Item, { count: 1000 });
  memory.create("items", Item, { count: 10, format: "ilp32" });
  const cells = new Int32Array(new SharedArrayBuffer(64));
  const locks = await measure(20_000, {
    ours(count) {
      for (let n = 0; n < count; n++) {
        area.acquireMutex(0, 1);
        area.releaseMutex(0, 1);
      }
    },
    "two compare-exchanges"(count) {
      for (let n = 0; n < count; n++) {
        if (Atomics.compareExchange(cells, 0, 0, 1) !== 0) throw new Error("held");
        if (Atomics.compareExchange(cells, 0, 1, 0) !== 1) throw new Error("not held");
      }
    },
  });
  const pools = await measure(20_000, {
    ours(count) {
      for (let n = 0; n < count; n++) pool.free(pool.allocate(1), 1);
    },
  });
  const attaching = await measure(500, {
    ours(count) {
      for (let n = 0; n < count; n++) memory.attachArea("items", Item);
    },
  });
  return [
    row("lock: acquire and release, uncontended", locks),
    row("pool: allocate and free, uncontended", pools, "60 (30 each)"),
    row("attach to an area by name", attaching),
  ];
}

function row(name: string, figures: Readonly<Record<string, number>>, target: string | null = null): Row {
  const { ours, ...peers } = figures;
  return { name, unit: "ns/op", better: "lower", ours, peers, published: null, target };
}
