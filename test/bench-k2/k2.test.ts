/** The K2 benchmark: the smallest of its measurements have the shape of the paper's, and its plots are well formed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type LightTask, measureEnergy } from "../../bench/k2/energy.ts";
import { k2Setting, strongSetting } from "../../bench/k2/measured-system.ts";
import { barChart } from "../../bench/k2/plot.ts";
import { impliedInterval_minutes, standby_days, standbyInputs } from "../../bench/k2/standby.ts";

const kibi = 1 << 10;
const tasks: readonly LightTask[] = [
  { work: "dma", batch_bytes: 64 * kibi, total_bytes: 256 * kibi },
  { work: "files", batch_bytes: kibi, total_bytes: 8 * kibi },
  { work: "udp", batch_bytes: 64 * kibi, total_bytes: 256 * kibi },
];

for (const task of tasks) {
  test(`light tasks take a fifth of the energy on the weak domain: ${task.work}`, async () => {
    const strong = await measureEnergy(strongSetting, task, 1);
    const k2 = await measureEnergy(k2Setting, task, 1);
    assert.ok(k2.bytesPerJoule > 5 * strong.bytesPerJoule, `${k2.bytesPerJoule} ${strong.bytesPerJoule}`);
    // The strong domain sleeps through it: what the light task uses has come to the weak kernel before.
    assert.equal(k2.faults, 0);
    assert.equal(k2.cores[0].active_ns, 0);
    // Idle until inactive, five seconds after the end, and slower at the work itself.
    assert.ok(k2.cores[1].idle_ns >= 5e9 && k2.cores[1].idle_ns < 5.1e9);
    assert.ok(k2.work_ns > strong.work_ns);
  });
}

test("the standby estimate agrees with the paper where the paper's figures are put in", () => {
  assert.equal(standby_days(1), standbyInputs.before_days);
  assert.ok(standby_days(9) > 9 && standby_days(9) < 9.4);
  assert.ok(Math.abs(impliedInterval_minutes(9) - standbyInputs.interval_minutes) < 2);
});

test("a plot is well formed, and its bars are as high as their values", () => {
  const plot = barChart({
    title: "a < b & c",
    unit: "mJ",
    scale: "linear",
    groups: [
      {
        label: "one\ntwo",
        bars: [
          { series: "x", parts: [{ value: 10 }] },
          {
            series: "y",
            parts: [
              { name: "p", value: 5 },
              { name: "q", value: 15 },
            ],
          },
        ],
      },
    ],
  });
  const opened = plot.match(/<[a-z]+[ >]/g)?.length ?? 0;
  const closed = (plot.match(/<\/[a-z]+>/g)?.length ?? 0) + (plot.match(/\/>/g)?.length ?? 0);
  assert.equal(opened, closed);
  assert.ok(!plot.includes("a < b"));
  const heights = [...plot.matchAll(/<rect [^>]*width="34" height="([\d.]+)"/g)].map((match) =>
    Number(match[1]),
  );
  assert.equal(heights.length, 3);
  assert.ok(Math.abs(heights[0] - 2 * heights[1]) < 0.2 && Math.abs(heights[2] - 3 * heights[1]) < 0.2);
});
