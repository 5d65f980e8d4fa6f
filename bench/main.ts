/** `npm run bench -- SUITE [--json FILE] [--quick]`: runs one suite, prints a table, and writes the figures to a file. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Row, SuiteOptions } from "./row.ts";
import { textTable } from "./table.ts";

const suites: Readonly<Record<string, () => Promise<{ suite(options: SuiteOptions): Promise<Row[]> }>>> = {
  memory: () => import("./memory.ts"),
  message: () => import("./message.ts"),
  syscall: () => import("./syscall.ts"),
  program: () => import("./program.ts"),
  overhead: () => import("./overhead.ts"),
  migrate: () => import("./migrate.ts"),
  fork: () => import("./fork.ts"),
  checkpoint: () => import("./checkpoint.ts"),
  k2: () => import("./k2.ts"),
  simulator: () => import("./simulator.ts"),
};

const { values, positionals } = parseArgs({
  options: { json: { type: "string" }, quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
const [name] = positionals;
const load = suites[name ?? ""];
if (load === undefined) {
  process.stderr.write(`bench SUITE [--json FILE] [--quick]; suites: ${Object.keys(suites).join(", ")}\n`);
  process.exit(2);
}

const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node.js ${process.version}`;
process.stderr.write(`${name} on ${machine}\n`);
const { suite } = await load();
const rows = await suite({ quick: values.quick });
process.stdout.write(textTable(rows));
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ suite: name, machine, rows }, null, 2)}\n`);
}
process.exit(0);
