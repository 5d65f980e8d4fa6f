/** Results as tables for people. */
import type { Row } from "./row.ts";

const headings = ["unit", "ours", "peers (ours / peer)", "published", "target"];

/** For a file that a web page shows. */
export function markdownTable(title: string, rows: readonly Row[]): string {
  const lines = [["", ...headings], headings.map(() => "---").concat("---"), ...rows.map(cellsOf)];
  return `# ${title}\n\n${lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("")}`;
}

/** For a terminal. */
export function textTable(rows: readonly Row[]): string {
  const cells = [["", ...headings], ...rows.map(cellsOf)];
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
