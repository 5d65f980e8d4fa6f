/** Real programs in these tests: `node:wasi` is their system, behind calls that block now and then. */
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { WASI } from "node:wasi";
import { withHalves } from "../../../bench/peers/wasi-halves.ts";
import {
  BLOCKED,
  DIED,
  type ImportFunction,
  type ImportFunctions,
  wasiCallPolicy,
} from "../../../src/engine/index.ts";
import type { Host } from "./host.ts";

const errnoNosys = 52;
/** The everyday tools import from modules of their own too. */
const namespaces = [
  "wasi_snapshot_preview1",
  "wasi_unstable",
  "host_process",
  "host_fs",
  "host_user",
  "host_net",
];

export interface RealWork {
  /** With the program's own name first. */
  readonly arguments: readonly string[];
  readonly input: string;
  /** Host directory that it sees as "/". */
  readonly root: string;
  /** It was made for the older of the two WASI versions. */
  readonly unstable: boolean;
}

/** One run of one program. */
export class WasiHost implements Host, Disposable {
  exitCode: number | null = null;
  private readonly wasi: WASI;
  private readonly directory: string;
  private readonly files: number[];
  private readonly memory: () => WebAssembly.Memory | null;
  private readonly blocks: () => boolean;
  private bound = false;

  constructor(work: RealWork, memory: () => WebAssembly.Memory | null, blocks: () => boolean) {
    this.memory = memory;
    this.blocks = blocks;
    this.directory = mkdtempSync(join(tmpdir(), "archipelago-run-"));
    const stream = (name: string, flags: string) => openSync(join(this.directory, name), flags);
    writeFileSync(join(this.directory, "in"), work.input);
    this.files = [stream("in", "r"), stream("out", "w+"), stream("error", "w+")];
    const [stdin, stdout, stderr] = this.files;
    this.wasi = new WASI({
      version: work.unstable ? "unstable" : "preview1",
      args: [...work.arguments],
      // Never empty: older C libraries end the program when there is no environment.
      env: { PATH: "/bin", PYTHONHASHSEED: "0" },
      preopens: { ".": work.root, "/": work.root },
      returnOnExit: true,
      ...{ stdin, stdout, stderr },
    });
  }

  /** What it printed. */
  get log(): string {
    return ["out", "error"].map((name) => readFileSync(join(this.directory, name), "utf8")).join("\n--\n");
  }

  moved(memory: WebAssembly.Memory): void {
    // There is no official way to give a WASI another memory.
    const wasi = this.wasi as unknown as Record<symbol, (memory: WebAssembly.Memory) => void>;
    const symbol = Object.getOwnPropertySymbols(wasi).find((one) => one.description === "kSetMemory");
    if (symbol === undefined) throw new Error("this node:wasi cannot change its memory");
    wasi[symbol](memory);
  }

  functions(): ImportFunctions {
    const calls = this.wasi.wasiImport as Record<string, WebAssembly.ImportValue>;
    const halved = withHalves(calls) as Record<string, ImportFunction>;
    const wrapped: Record<string, ImportFunction> = {};
    for (const [name, call] of Object.entries(halved)) wrapped[name] = this.wrap(name, call);
    wrapped.proc_exit = (code: number) => {
      this.exitCode = code;
      return DIED;
    };
    // Calls that node:wasi does not know, as the programs' toolchains had more.
    const known = new Proxy(wrapped, {
      get: (target, name) => target[String(name)] ?? (() => errnoNosys),
    });
    return Object.fromEntries(namespaces.map((namespace) => [namespace, known]));
  }

  private wrap(name: string, call: ImportFunction): ImportFunction {
    const blocks = !wasiCallPolicy.neverBlocks.includes(name);
    return (...values) => {
      const memory = this.memory();
      if (!this.bound && memory !== null) {
        this.bound = true;
        this.wasi.finalizeBindings({ exports: { memory } } as WebAssembly.Instance, { memory });
      }
      if (blocks && this.blocks()) return BLOCKED;
      return call(...values);
    };
  }

  [Symbol.dispose](): void {
    for (const file of this.files) closeSync(file);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Writes files under a host directory that programs see as "/". */
export function placeTree(
  root: string,
  files: readonly { readonly path: string; readonly data: Uint8Array | string }[],
): void {
  for (const { path, data } of files) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, data);
  }
}
