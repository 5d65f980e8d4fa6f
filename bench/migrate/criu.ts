/** The peer `CRIU`: the checkpoint tool of Linux, if it can work here. */
import { spawnSync } from "node:child_process";

/** Why CRIU cannot be measured on this computer, or null if it can. */
export function criuObstacle(): string | null {
  const { error, status, stderr, stdout } = spawnSync("criu", ["check"], { encoding: "utf8" });
  if (error !== undefined) return "it is not installed (Debian: criu)";
  if (status === 0) return null;
  const reasons = `${stdout}${stderr}`.split("\n").filter((line) => /^Error/.test(line));
  return reasons.length > 0 ? reasons.join("; ") : `criu check ends with ${status}`;
}
