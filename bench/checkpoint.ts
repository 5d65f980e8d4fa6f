/**
 * The `checkpoint` suite: how long a process stands still while it is written to a file, how long it takes to be there
 * again, and what a program saves that is started from a snapshot. The peer of a restore or a warm start is the same
 * program doing the same from its beginning.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Archipelago, boot, type Process } from "../src/index.ts";
import type { Row } from "./row.ts";
import { interleaved, median } from "./statistics.ts";

const rounds = 15;
const freshRounds = 5;
const rows = 100_000;
/** Fills a database in memory: 10 MB of rows. */
const fill = `create table t(a); with recursive c(x) as (values(1) union all select x+1 from c where x<${rows}) insert into t select randomblob(100) from c;`;
const question = "select count(*) from t;\n";
const script = "print(6*7)\n";

export async function suite(): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "checkpoints-"));
  try {
    return [...(await databaseRows()), ...(await warmRows()), ...(await freshRows(directory))];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** SQLite with a database of 10 MB in memory. */
async function databaseRows(): Promise<Row[]> {
  await using system = await boot({ rootSize_bytes: 512 << 20 });
  const process = await system.spawn("sqlite3", [], { kernel: 0 });
  const lines = new Lines(process);
  await lines.ask(`${fill}\n${question}`);
  const pauses_ms: number[] = [];
  let file_bytes = 0;
  for (let round = 0; round < rounds; round++) {
    const summary = await system.checkpoint(process.pid, "/tmp/database");
    pauses_ms.push(summary.pause_ns / 1e6);
    ({ file_bytes } = summary);
  }
  const size = `SQLite, 10 MB database (file of ${(file_bytes / 1e6).toFixed(1)} MB)`;
  const measure = async (untilAnswer: boolean) => {
    const from_ms = performance.now();
    const restored = await system.restore("/tmp/database", { kernel: 0 });
    if (!untilAnswer) {
      const taken_ms = performance.now() - from_ms;
      await new Lines(restored).end();
      return taken_ms;
    }
    const restoredLines = new Lines(restored);
    await restoredLines.ask(question);
    const taken_ms = performance.now() - from_ms;
    await restoredLines.end();
    return taken_ms;
  };
  const ours = await interleaved(rounds, {
    restore: () => measure(false),
    answer: () => measure(true),
    async rebuilt() {
      const from_ms = performance.now();
      const fresh = new Lines(await system.spawn("sqlite3", [], { kernel: 0 }));
      await fresh.ask(`${fill}\n${question}`);
      const taken_ms = performance.now() - from_ms;
      await fresh.end();
      return taken_ms;
    },
  });
  await lines.end();
  return [
    row(`${size}: stands still for a checkpoint`, median(pauses_ms)),
    row(`${size}: restore`, ours.restore, {}, "30 ms"),
    row(`${size}: restore and answer a query`, ours.answer, { "filled again": ours.rebuilt }),
  ];
}

/** CPython in a system where it has run before. */
async function warmRows(): Promise<Row[]> {
  await using system = await boot({ rootSize_bytes: 512 << 20 });
  await system.snapshot("/tmp/python", "python3", [], { kernel: 0 });
  await coldStart(system);
  await warmStart(system, "/tmp/python");
  const { ours, cold } = await interleaved(rounds, {
    ours: () => warmStart(system, "/tmp/python"),
    cold: () => coldStart(system),
  });
  return [row("CPython, from start to end of a script, snapshot", ours, { "from its beginning": cold })];
}

/** CPython as the first program of a system: its module is read from the cache on disk and compiled. */
async function freshRows(directory: string): Promise<Row[]> {
  const file = join(directory, "python.warm");
  {
    await using system = await boot({ mounts: { "/out": directory } });
    await system.snapshot("/out/python.warm", "python3");
  }
  const { ours, cold } = await interleaved(freshRounds, {
    async ours() {
      await using system = await boot({ programs: { "python.warm": file } });
      return await warmStart(system, "/bin/python.warm");
    },
    async cold() {
      await using system = await boot();
      return await coldStart(system);
    },
  });
  return [row("the same, first program of a system", ours, { "from its beginning": cold })];
}

async function warmStart(system: Archipelago, path: string): Promise<number> {
  const from_ms = performance.now();
  const process = await system.restore(path, { kernel: 0, stderr: "null" });
  const lines = new Lines(process);
  const answer = await lines.ask(script);
  await lines.end();
  if (answer !== "42\n") throw new Error(`python3 answers ${JSON.stringify(answer)}`);
  return performance.now() - from_ms;
}

async function coldStart(system: Archipelago): Promise<number> {
  const from_ms = performance.now();
  const { stdout } = await system.run("python3", [], { kernel: 0, input: script });
  if (stdout !== "42\n") throw new Error(`python3 answers ${JSON.stringify(stdout)}`);
  return performance.now() - from_ms;
}

/** A process that reads lines and answers. */
class Lines {
  private readonly process: Process;
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(process: Process) {
    if (process.stdin === null || process.stdout === null) throw new Error("the process has no pipes");
    this.process = process;
    this.writer = process.stdin.getWriter();
    this.reader = process.stdout.getReader();
  }

  /** What it writes first after it was given some lines and, if it needs that, the end of its input. */
  async ask(lines: string): Promise<string> {
    await this.writer.write(new TextEncoder().encode(lines));
    // CPython reads all of its script before it begins.
    if (lines === script) await this.writer.close();
    const { value } = await this.reader.read();
    return new TextDecoder().decode(value);
  }

  async end(): Promise<void> {
    await this.writer.close().catch(() => undefined);
    await this.process.wait();
  }
}

function row(
  name: string,
  ours: number,
  peers: Record<string, number> = {},
  target: string | null = null,
): Row {
  return { name, unit: "ms", better: "lower", ours, peers, published: null, target };
}
