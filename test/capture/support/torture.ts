/** The C programs of `test/torture`, built with Debian's clang in several ways. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sources = join(import.meta.dirname, "../../torture");

export const skipReason =
  "needs clang, wasm-ld, wasi-libc and libclang_rt: install clang, lld, wasi-libc, libclang-rt-14-dev-wasm32";

/** Programs by name, with the options that they need. */
export const torturePrograms: Readonly<Record<string, readonly string[]>> = {
  recursion: [],
  pointers: [],
  operands: [],
  varargs: [],
  structs: [],
  interpreter: [],
  numbers: ["-lm"],
  sorting: [],
  stacks: [],
  bulk: ["-mbulk-memory"],
  vectors: ["-msimd128"],
  tail: ["-mtail-call"],
  calls: [],
  multivalue: ["-mmultivalue", "-Xclang", "-target-abi", "-Xclang", "experimental-mv"],
};

/** Ways to build each of them; what is inlined and kept in locals differs much. */
export const builds: Readonly<Record<string, readonly string[]>> = {
  O0: ["-O0"],
  Os: ["-Os", "-fno-inline"],
  O2: ["-O2"],
};

export class TortureCompiler implements Disposable {
  private readonly directory = mkdtempSync(join(tmpdir(), "archipelago-torture-"));

  /** The program as WebAssembly; undefined where there is no compiler for it. */
  build(name: string, options: readonly string[]): Uint8Array<ArrayBuffer> | undefined {
    const binary = join(this.directory, `${name}.wasm`);
    const own = torturePrograms[name];
    const source = join(sources, `${name}.c`);
    const target = ["--target=wasm32-wasi", "--sysroot=/usr"];
    const { status } = spawnSync("clang", [...target, ...options, "-o", binary, source, ...own]);
    // A copy: files are read into a shared pool of buffers.
    return status === 0 ? new Uint8Array(readFileSync(binary)) : undefined;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
