/** The programs that workloads run, as WebAssembly modules. */
import { assemble } from "./assembler.ts";
import { imports, library, memory_pages } from "./library.ts";
import { type ProgramName, programTexts } from "./texts.ts";

export type { ProgramName } from "./texts.ts";

export const programNames = Object.keys(programTexts) as readonly ProgramName[];

/** The program's module. */
export function programModule(name: ProgramName): Uint8Array {
  return assemble({ functions: programTexts[name], library, imports, memory_pages });
}

/** Where workloads put a program, in the system. */
export function programPath(name: ProgramName): string {
  return `/tmp/sim-${name}.wasm`;
}
