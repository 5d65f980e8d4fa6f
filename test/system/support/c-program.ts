/** C programs of `test/wasi/programs`, built when a test needs them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./system.ts";

const sources = join(import.meta.dirname, "..", "..", "wasi", "programs");

/** A program as a WebAssembly binary; undefined where there is no compiler for WASI. */
export function compileC(name: string): Uint8Array | undefined {
  const binary = join(temporaryDirectory(), `${name}.wasm`);
  const source = join(sources, `${name}.c`);
  const options = ["--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", binary, source];
  return spawnSync("clang", options).status === 0 ? readFileSync(binary) : undefined;
}

export const noCompiler = "needs clang, wasm-ld and wasi-libc: install the packages clang, lld and wasi-libc";
