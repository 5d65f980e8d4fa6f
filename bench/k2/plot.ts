/**
 * Bar charts as SVG files, readable on light and dark ground. A bar may be made of parts, one on the other; groups of
 * bars stand side by side on one axis.
 */
export interface Bar {
  /** Name of what it shows: bars of the same name have the same colour in all groups. */
  readonly series: string;
  readonly parts: readonly { readonly name?: string; readonly value: number }[];
  /** What stands above it; its value unless given. */
  readonly label?: string;
}

export interface BarChart {
  readonly title: string;
  /** What the axis counts. */
  readonly unit: string;
  readonly scale: "linear" | "logarithmic";
  readonly groups: readonly { readonly label: string; readonly bars: readonly Bar[] }[];
}

/** Colours that differ in brightness too, for printing and for eyes that see few colours. */
const colours = ["#1b6ca8", "#e08e1b", "#5aa469", "#a23b72", "#7d7d7d", "#c9a66b"];
const height = 340;
const plotTop = 64;
const plotBottom = 270;
const left = 64;
const bar_width = 34;
const bar_gap = 6;
const group_gap = 26;
const character_width = 7;
const titleCharacter_width = 9.5;

export function barChart(chart: BarChart): string {
  const { groups } = chart;
  const totals = groups.flatMap(({ bars }) => bars.map(total));
  const axis = chart.scale === "linear" ? linearAxis(totals) : logarithmicAxis(totals);
  const y = (value: number) => plotBottom - (plotBottom - plotTop) * axis.place(value);
  const names = legendOf(chart);
  const bars: string[] = [];
  let x = left + group_gap / 2;
  for (const group of groups) {
    const start = x;
    const width = Math.max(
      group.bars.length * (bar_width + bar_gap),
      longestLine(group.label) * character_width,
    );
    x += (width - group.bars.length * (bar_width + bar_gap)) / 2;
    for (const bar of group.bars) {
      bars.push(...drawBar(bar, x, y, (name) => colours[names.indexOf(name) % colours.length]));
      x += bar_width + bar_gap;
    }
    x = start + width;
    for (const [line, words] of group.label.split("\n").entries())
      bars.push(text((start + x) / 2, plotBottom + 18 + line * 15, words, "middle"));
    x += group_gap;
  }
  const legend_width = names.reduce((sum, name) => sum + 30 + name.length * character_width, 0);
  const width = Math.max(x, left + legend_width, left + chart.title.length * titleCharacter_width);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${height}" width="${round(width)}" height="${height}" role="img">`,
    `<title>${escaped(chart.title)}</title>`,
    style,
    text(left, 20, chart.title, "start", "title"),
    ...drawLegend(names),
    ...axis.ticks.flatMap((tick) => [
      `<line x1="${left}" x2="${round(width)}" y1="${round(y(tick))}" y2="${round(y(tick))}" class="grid"/>`,
      text(left - 6, y(tick) + 4, figure(tick), "end"),
    ]),
    text(left, plotTop - 8, chart.unit, "end"),
    ...bars,
    "</svg>",
    "",
  ].join("\n");
}

const style = `<style>
svg { font: 12px system-ui, sans-serif; color: #1a1a1a; }
text { fill: currentColor; }
.title { font-size: 15px; font-weight: 600; }
.grid { stroke: currentColor; stroke-opacity: 0.2; }
@media (prefers-color-scheme: dark) { svg { color: #e8e8e8; } }
</style>`;

interface Axis {
  /** From 0 at the bottom to 1 at the top. */
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

function linearAxis(values: readonly number[]): Axis {
  const top = Math.max(...values);
  const step = niceStep(top / 5);
  const count = Math.ceil(top / step);
  return {
    place: (value) => value / (count * step),
    ticks: Array.from({ length: count + 1 }, (_, n) => n * step),
  };
}

function logarithmicAxis(values: readonly number[]): Axis {
  const bottom = Math.floor(Math.log10(Math.min(...values)));
  const top = Math.ceil(Math.log10(Math.max(...values)));
  return {
    place: (value) => (Math.log10(value) - bottom) / (top - bottom),
    ticks: Array.from({ length: top - bottom + 1 }, (_, n) => 10 ** (bottom + n)),
  };
}

/** The smallest of 1, 2, 5, 10, … that is not below. */
function niceStep(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 2, 5].find((factor) => factor * unit >= value) ?? 10);
}

function total({ parts }: Bar): number {
  return parts.reduce((sum, { value }) => sum + value, 0);
}

/** What needs a colour: parts that have names, else the bars' series. */
function legendOf({ groups }: BarChart): string[] {
  const names = groups.flatMap(({ bars }) =>
    bars.flatMap(({ series, parts }) => parts.map(({ name }) => name ?? series)),
  );
  return [...new Set(names)];
}

function drawLegend(names: readonly string[]): string[] {
  let x = left;
  return names.flatMap((name, index) => {
    const at = x;
    x += 30 + name.length * character_width;
    return [
      `<rect x="${round(at)}" y="30" width="12" height="12" fill="${colours[index % colours.length]}"/>`,
      text(at + 17, 40, name, "start"),
    ];
  });
}

function drawBar(
  bar: Bar,
  x: number,
  y: (value: number) => number,
  colour: (name: string) => string,
): string[] {
  const drawn: string[] = [];
  let below = 0;
  let bottom = plotBottom;
  for (const { name, value } of bar.parts) {
    if (value <= 0) continue;
    below += value;
    const top = y(below);
    drawn.push(
      `<rect x="${round(x)}" y="${round(top)}" width="${bar_width}" height="${round(Math.max(0, bottom - top))}" fill="${colour(name ?? bar.series)}"><title>${escaped(`${name ?? bar.series}: ${figure(value)}`)}</title></rect>`,
    );
    bottom = top;
  }
  return [...drawn, text(x + bar_width / 2, bottom - 5, bar.label ?? figure(below), "middle")];
}

function text(x: number, y: number, words: string, anchor: string, kind?: string): string {
  const styled = kind === undefined ? "" : ` class="${kind}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${styled}>${escaped(words)}</text>`;
}

function longestLine(label: string): number {
  return Math.max(...label.split("\n").map((line) => line.length));
}

function figure(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(words: string): string {
  return words.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
