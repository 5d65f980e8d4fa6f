/**
 * The other side of `node-wasi.ts`: runs unmodified WASI programs under `node:wasi`, plain V8 code without
 * anything of this project. Started with an IPC channel it serves one run after the other and keeps compiled
 * modules, as a kernel does; started with `FILE ARGUMENT…` it runs one program on its own standard streams.
 */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { WASI } from "node:wasi";
import type { WasiRun, WasiRunResult } from "./node-wasi.ts";

const errnoNosys = 52;
const modules = new Map<string, WebAssembly.Module>();

function moduleOf(file: string): WebAssembly.Module {
  const known = modules.get(file);
  if (known !== undefined) return known;
  const module = new WebAssembly.Module(readFileSync(file));
  modules.set(file, module);
  return module;
}

/** Instantiates and runs a program once; its exit code. */
function runOnce(run: WasiRun, stdio: { stdin: number; stdout: number; stderr: number }): number {
  const module = moduleOf(run.file);
  const wanted = WebAssembly.Module.imports(module);
  const unstable = wanted.some((one) => one.module === "wasi_unstable");
  const wasi = new WASI({
    version: unstable ? "unstable" : "preview1",
    args: [...run.arguments],
    // Never empty: `environ_get` of an empty environment fails, and older C libraries then end the program.
    env: { ...run.environment, PATH: "/bin" },
    preopens: { ...run.preopens },
    returnOnExit: true,
    ...stdio,
  });
  const functions: Record<string, WebAssembly.ImportValue> = { ...wasi.wasiImport };
  // QuickJS imports socket calls of its own runtime, which no script of ours uses.
  for (const { name } of wanted) functions[name] ??= () => errnoNosys;
  const name = unstable ? "wasi_unstable" : "wasi_snapshot_preview1";
  return wasi.start(new WebAssembly.Instance(module, { [name]: functions }));
}

function serve(run: WasiRun): WasiRunResult {
  const outputs = [`${run.scratch}/stdout`, `${run.scratch}/stderr`];
  writeFileSync(`${run.scratch}/stdin`, run.input ?? "");
  const stdin = openSync(`${run.scratch}/stdin`, "r");
  const [stdout, stderr] = outputs.map((path) => openSync(path, "w+"));
  const start_ns = process.hrtime.bigint();
  let exitCode = 0;
  for (let n = 0; n < run.times; n++) exitCode = runOnce(run, { stdin, stdout, stderr });
  const elapsed_ns = Number(process.hrtime.bigint() - start_ns) / run.times;
  for (const file of [stdin, stdout, stderr]) closeSync(file);
  const [out, error] = outputs.map((path) => readFileSync(path, "utf8"));
  for (const path of outputs) rmSync(path);
  return { exitCode, stdout: out, stderr: error, elapsed_ns };
}

if (process.send === undefined) {
  const [file, ...words] = process.argv.slice(2);
  const run = {
    file,
    arguments: ["program", ...words],
    environment: {},
    preopens: {},
    times: 1,
    scratch: "",
  };
  process.exit(runOnce(run, { stdin: 0, stdout: 1, stderr: 2 }));
}
process.on("message", (run: WasiRun) => {
  try {
    process.send?.(serve(run));
  } catch (error) {
    const stderr = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.send?.({ exitCode: -1, stdout: "", stderr, elapsed_ns: Number.NaN } satisfies WasiRunResult);
  }
});
