/** Runs workloads in a process of their own and prints what they left: `print-report.ts SEED NAMES CACHE`. */
import { report } from "./simulated.ts";
import { type WorkloadName, workloads } from "./workloads.ts";

const [seed, names, cacheDirectory] = process.argv.slice(2);
for (const name of names.split(",")) {
  const outcome = await report(workloads[name as WorkloadName], {
    seed,
    cacheDirectory: cacheDirectory === "" ? false : cacheDirectory,
  });
  console.log(JSON.stringify([name, outcome]));
}
