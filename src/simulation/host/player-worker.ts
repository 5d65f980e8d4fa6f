/** A thread that plays scenarios, one after the other: see `players.ts`. */
import { parentPort } from "node:worker_threads";
import { play } from "../play.ts";
import type { PlayOrder } from "./players.ts";

parentPort?.on("message", ({ scenario, cacheDirectory }: PlayOrder) => {
  play(scenario, { cacheDirectory }).then((result) => parentPort?.postMessage(result));
});
