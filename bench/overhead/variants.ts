/**
 * The variants of a program that the `overhead` suite compares, and how each is linked. All of them get their
 * system calls from `node:wasi`, so that nothing but the code of the program differs.
 */
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";
import { instrument } from "../../src/engine/instrument.ts";
import { mapMemoryPages, pagedImport, pageState } from "../../src/engine/paged/abi.ts";
import { pageChecked } from "../../src/engine/paged/page-checked.ts";
import {
  DIED,
  engineImport,
  engineNamespace,
  framesPages,
  initializeExport,
  startExport,
} from "../../src/engine/passes/abi.ts";
import { withHalves } from "../peers/wasi-halves.ts";

export const variants = [
  "plain",
  "interruptible",
  "migratable",
  "page-checked",
  /** Optimised by Binaryen, which is what `asyncify` starts from: its base. */
  "optimised",
  "asyncify",
] as const;
export type Variant = (typeof variants)[number];

export interface Work {
  readonly variant: Variant;
  /** Host path of the unmodified module, or of the module made by Binaryen. */
  readonly file: string;
  readonly arguments: readonly string[];
  /** Host directory that the program sees as "/". */
  readonly directory: string;
  /** Host paths of files for the standard streams. */
  readonly streams: { readonly stdin: number; readonly stdout: number; readonly stderr: number };
}

/** Runs without the engine. */
function isUninstrumented(variant: Variant): boolean {
  return variant === "plain" || variant === "optimised" || variant === "asyncify";
}

const errnoNosys = 52;
/** A program may grow by so much; a shared memory must say how far. */
const growth_pages = 8192;

/** The module of a variant. */
export function moduleOf(variant: Variant, file: string): WebAssembly.Module {
  const bytes = new Uint8Array(readFileSync(file));
  return new WebAssembly.Module(bytesOf(variant, bytes) as Uint8Array<ArrayBuffer>);
}

/** The binary of a variant. @throws Error when a program cannot be captured. */
export function bytesOf(variant: Variant, bytes: Uint8Array): Uint8Array {
  switch (variant) {
    case "plain":
    case "optimised":
    case "asyncify":
      return bytes;
    case "interruptible":
      return instrument(bytes, { capture: false }).bytes;
    default: {
      const { bytes: migratable, obstacle } = instrument(bytes);
      if (obstacle !== null) throw new Error(`it cannot be captured: ${obstacle}`);
      return variant === "migratable" ? migratable : pageChecked(migratable);
    }
  }
}

/** Instantiates and runs a module to its end: its exit code, and how much time of the processor that took. */
export async function run(
  module: WebAssembly.Module,
  work: Work,
): Promise<{ exitCode: number; cpu_ns: number }> {
  const wanted = WebAssembly.Module.imports(module);
  const unstable = wanted.some((one) => one.module === "wasi_unstable");
  const wasi = new WASI({
    version: unstable ? "unstable" : "preview1",
    args: [...work.arguments],
    // Never empty: older C libraries end the program when there is no environment.
    env: { PATH: "/bin" },
    preopens: { ".": work.directory, "/": work.directory },
    returnOnExit: true,
    ...work.streams,
  });
  const calls: Record<string, WebAssembly.ImportValue> = { ...wasi.wasiImport };
  for (const { module: from, name } of wanted) if (from !== engineNamespace) calls[name] ??= () => errnoNosys;
  const namespace = unstable ? "wasi_unstable" : "wasi_snapshot_preview1";
  const start = process.threadCpuUsage();
  const exitCode = isUninstrumented(work.variant)
    ? wasi.start(new WebAssembly.Instance(module, { [namespace]: calls }))
    : await runInstrumented(module, wasi, namespace, calls);
  // Of this thread only: not what compiles in the background, and not what others do on a busy computer.
  const { user, system } = process.threadCpuUsage(start);
  return { exitCode, cpu_ns: (user + system) * 1000 };
}

async function runInstrumented(
  module: WebAssembly.Module,
  wasi: WASI,
  namespace: string,
  calls: Record<string, WebAssembly.ImportValue>,
): Promise<number> {
  const memory = processMemory(module);
  const imports = { [namespace]: withHalves(calls), [engineNamespace]: engineImports(memory) };
  let exitCode = 0;
  imports[namespace].proc_exit = (code: number) => {
    exitCode = code;
    return DIED;
  };
  const instance = new WebAssembly.Instance(module, imports);
  wasi.finalizeBindings(instance, { memory });
  const { [initializeExport]: initialize, [startExport]: start, _start: entry } = instance.exports;
  if (typeof initialize === "function") initialize();
  try {
    if (typeof start === "function") await WebAssembly.promising(start as () => void)();
    await WebAssembly.promising(entry as () => void)();
  } catch (error) {
    // `proc_exit` ends a program by a trap.
    if (!(error instanceof WebAssembly.RuntimeError) || !/unreachable/.test(error.message)) throw error;
  }
  return exitCode;
}

/** The sizes that a module's memory import asks for can be seen only by trying. */
function processMemory(module: WebAssembly.Module): WebAssembly.Memory {
  const wanted = WebAssembly.Module.imports(module).find(
    ({ module: from, name }) => from === engineNamespace && name === engineImport.memory,
  );
  const { minimum } = (wanted as { type?: { minimum?: number } } | undefined)?.type ?? {};
  const initial = minimum ?? 4096;
  return new WebAssembly.Memory({ initial, maximum: initial + growth_pages, shared: true });
}

function engineImports(memory: WebAssembly.Memory): Record<string, WebAssembly.ImportValue> {
  const pages = new WebAssembly.Memory({ initial: mapMemoryPages, maximum: mapMemoryPages, shared: true });
  new Uint8Array(pages.buffer).fill(pageState.present);
  const page = () => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  return {
    [engineImport.memory]: memory,
    [engineImport.control]: page(),
    [engineImport.ram]: page(),
    [engineImport.frames]: new WebAssembly.Memory({ initial: framesPages, maximum: framesPages }),
    [engineImport.interrupt]: () => 0,
    [engineImport.suspend]: new WebAssembly.Suspending(async () => 0),
    [engineImport.grow]: (deltaPages: number) => {
      try {
        return memory.grow(deltaPages >>> 0);
      } catch {
        return -1;
      }
    },
    [engineImport.die]: () => undefined,
    [pagedImport.pages]: pages,
    [pagedImport.fault]: () => 0,
  };
}
