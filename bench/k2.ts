/**
 * The `k2` suite: the evaluation of K2 (ASPLOS 2014, section 9) on the simulated OMAP4, beside the paper's figures, and
 * what other settings gain over K2's own design. Times and energies are simulated, so they are the same on every
 * computer. Plots and all figures go to `bench/results/k2/`; `docs/k2.md` shows them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runExperiments } from "./k2/experiments.ts";
import { plotsOf } from "./k2/plots.ts";
import { rowsOf } from "./k2/rows.ts";
import { standbyInputs } from "./k2/standby.ts";
import type { Row, SuiteOptions } from "./row.ts";
import { markdownTable } from "./table.ts";

const folder = fileURLToPath(new URL("./results/k2/", import.meta.url));

/** `quick`: a few sizes only; the results folder stays as it is. */
export async function suite({ quick }: SuiteOptions): Promise<Row[]> {
  const results = await runExperiments(quick, (line) => process.stderr.write(`  ${line}\n`));
  const rows = rowsOf(results);
  if (!quick) {
    mkdirSync(folder, { recursive: true });
    const all = { standbyInputs, ...results };
    writeFileSync(`${folder}results.json`, `${JSON.stringify(all, null, 2)}\n`);
    for (const [name, plot] of Object.entries(plotsOf(results))) writeFileSync(`${folder}${name}`, plot);
    writeFileSync(`${folder}table.md`, markdownTable("K2, measured and published", rows));
    process.stderr.write(`plots and figures are in ${folder}\n`);
  }
  return rows;
}
