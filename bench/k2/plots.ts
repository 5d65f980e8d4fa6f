/** The results as plots: file name and SVG text of each. */
import type { LightTask, Work } from "./energy.ts";
import type { K2Results } from "./experiments.ts";
import { barChart } from "./plot.ts";
import { publishedDriver, publishedFault } from "./published.ts";
import { size, workNames } from "./words.ts";

export function plotsOf(results: K2Results): Readonly<Record<string, string>> {
  return {
    "energy-dma.svg": energyPlot(results, "dma"),
    "energy-files.svg": energyPlot(results, "files"),
    "energy-udp.svg": energyPlot(results, "udp"),
    "driver.svg": driverPlot(results),
    "faults.svg": faultPlot(results),
    "alternation.svg": alternationPlot(results),
    "sharing.svg": sharingPlot(results),
  };
}

function energyPlot({ energy }: K2Results, work: Work): string {
  return barChart({
    title: `Energy efficiency, ${workNames[work]}`,
    unit: "MB/J",
    scale: "logarithmic",
    groups: energy
      .filter(({ task }) => task.work === work)
      .map(({ task, strong, k2, gain }) => ({
        label: label(task),
        bars: [
          { series: "strong core alone", parts: [{ value: strong.bytesPerJoule / 1e6 }], label: "1x" },
          { series: "K2", parts: [{ value: k2.bytesPerJoule / 1e6 }], label: `${gain.toFixed(1)}x` },
        ],
      })),
  });
}

function label({ work, batch_bytes, total_bytes }: LightTask): string {
  return work === "files"
    ? `8 files of\n${size(batch_bytes)}`
    : `${size(batch_bytes)}\nof ${size(total_bytes)}`;
}

function driverPlot({ driver }: K2Results): string {
  const split = (main: number, shadow: number) => [
    { name: "main kernel", value: main },
    { name: "shadow kernel", value: shadow },
  ];
  return barChart({
    title: "DMA throughput with both kernels driving it and in the paper",
    unit: "MB/s",
    scale: "linear",
    groups: driver.map(({ alone, k2 }) => {
      const paper = publishedDriver.find(({ batch_bytes }) => batch_bytes === k2.batch_bytes);
      return {
        label: size(k2.batch_bytes),
        bars: [
          { series: "alone", parts: [{ name: "strong core alone", value: alone.total_MBps }] },
          { series: "K2", parts: split(k2.throughput_MBps[0], k2.throughput_MBps[1]) },
          ...(paper === undefined
            ? []
            : [
                { series: "paper's Linux", parts: [{ name: "paper: Linux", value: paper.linux }] },
                { series: "paper's K2", parts: split(paper.main, paper.shadow) },
              ]),
        ],
      };
    }),
  });
}

function faultPlot({ faults }: K2Results): string {
  const steps = ["entry_us", "protocol_us", "communication_us", "service_us", "exit_us"] as const;
  const names = ["fault handling", "protocol", "communication", "service", "exit, cache miss"];
  return barChart({
    title: "One DSM fault, by requester",
    unit: "µs",
    scale: "linear",
    groups: ["main kernel", "shadow kernel"].map((requester, kernel) => ({
      label: `${requester}\nours, the paper's`,
      bars: [
        { series: "ours", parts: steps.map((step, n) => ({ name: names[n], value: faults[kernel][step] })) },
        {
          series: "paper",
          parts: steps.map((step, n) => ({ name: names[n], value: publishedFault[step][kernel] })),
        },
      ],
    })),
  });
}

function sharingPlot({ sharing }: K2Results): string {
  const rates = [...new Set(sharing.map(({ readsPerWrite }) => readsPerWrite))];
  return barChart({
    title: "Access to a record that both kernels use, main kernel",
    unit: "µs",
    scale: "logarithmic",
    groups: rates.map((rate) => ({
      label: `1 of ${rate}\nwrites`,
      bars: sharing
        .filter(({ readsPerWrite }) => readsPerWrite === rate)
        .map(({ protocol, access_us }) => ({ series: protocol, parts: [{ value: access_us[0] }] })),
    })),
  });
}

function alternationPlot({ alternation }: K2Results): string {
  const works = [...new Set(alternation.map(({ task }) => task.work))];
  return barChart({
    title: "Energy of a light task after the strong domain's turn",
    unit: "mJ",
    scale: "linear",
    groups: works.map((work) => ({
      label: workNames[work],
      bars: alternation
        .filter(({ task }) => task.work === work)
        .map(({ variant, energy_mJ }) => ({ series: variant, parts: [{ value: energy_mJ }] })),
    })),
  });
}
