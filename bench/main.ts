/** `npm run bench -- SUITE [--json FILE]`: runs one suite, prints a table, and writes the figures to a file. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Row } from "./row.ts";

const suites: Readonly<Record<string, () => Promise<{ suite(): Promise<Row[]> }>>> = {
  memory: () => import("./memory.ts"),
  message: () => import("./message.ts"),
  syscall: () => import("./syscall.ts"),
  program: () => import("./program.ts"),
  overhead: () => import("./overhead.ts"),
  migrate: () => import("./migrate.ts"),
  fork: () => import("./fork.ts"),
  checkpoint: () => import("./checkpoint.ts"),
};

const { values, positionals } = parseArgs({
  options: { json: { type: "string" } },
  allowPositionals: true,
});
const [name] = positionals;
const load = suites[name ?? ""];
if (load === undefined) {
  process.stderr.write(`bench SUITE [--json FILE]; suites: ${Object.keys(suites).join(", ")}\n`);
  process.exit(2);
}

const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node.js ${process.version}`;
process.stderr.write(`${name} on ${machine}\n`);
const { suite } = await load();
const rows = await suite();
process.stdout.write(table(rows));
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ suite: name, machine, rows }, null, 2)}\n`);
}
process.exit(0);

function table(rows: readonly Row[]): string {
  const cells = [["", "unit", "ours", "peers (ours / peer)", "published", "target"], ...rows.map(cellsOf)];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, n) => cell.padEnd(widths[n]))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function cellsOf(row: Row): string[] {
  const peers = Object.entries(row.peers).map(
    ([peer, value]) => `${peer} ${figure(value)} (${(row.ours / value).toFixed(2)}x)`,
  );
  const target = row.target === null ? "" : String(row.target);
  return [
    row.name,
    row.unit,
    figure(row.ours),
    peers.join(", "),
    row.published === null ? "" : String(row.published),
    target,
  ];
}

function figure(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  return value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
