/** The peer `asyncify`: Binaryen's transformation, by whatever `wasm-opt` is installed. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** What compilers may have used; more would let Binaryen write what V8 does not read. */
const features = [
  ...["sign-ext", "mutable-globals", "nontrapping-float-to-int", "bulk-memory", "bulk-memory-opt"],
  ...["multivalue", "reference-types", "simd"],
].map((name) => `--enable-${name}`);
const patience_ms = 45_000;
const installed = join(import.meta.dirname, "../../node_modules/.bin/wasm-opt");

/**
 * Optimises a module, as Binaryen recommends, and transforms it before if `transform` says so. The result can unwind
 * at system calls, not in loops. @returns why it could not be done, or null.
 */
export function binaryen(from: string, to: string, transform: boolean): string | null {
  const command = existsSync(installed) ? installed : "wasm-opt";
  const words = [...(transform ? ["--asyncify"] : []), "-O2", ...features, from, "-o", to];
  const { status, error, stderr } = spawnSync(command, words, { timeout: patience_ms, encoding: "utf8" });
  if (error !== undefined) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "there is no wasm-opt here (npm: binaryen)";
    return code === "ETIMEDOUT" ? `it takes more than ${patience_ms / 1000} s` : error.message;
  }
  return status === 0 ? null : stderr.split("\n")[0];
}
