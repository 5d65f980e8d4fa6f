/** Runs modules in the tests: as they are, or instrumented and linked with a control page of the test's own. */

import { instrument } from "../../../src/engine/instrument.ts";
import { initializeExport, resumption } from "../../../src/engine/passes/abi.ts";
import { SaveArea } from "../../../src/engine/save-area.ts";

export type Exports = Record<string, (...values: (number | bigint)[]) => number>;

export interface InstrumentedInstance {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
  /** The control page, as the word that polls test and what follows. */
  readonly control: Int32Array;
}

/** What the kernel's side of a module does; everything has a harmless default. */
export interface TestHooks {
  interrupt?(): number;
  suspend?(): unknown;
  die?(): void;
  grow?(deltaPages: number, memory: WebAssembly.Memory): number;
}

export type TestImports = Record<string, Record<string, WebAssembly.ImportValue>>;

export function instantiatePlain(bytes: Uint8Array<ArrayBuffer>, imports: TestImports = {}): Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports as Exports;
}

export function newControl(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
}

/** Instruments a module and makes an instance of it. */
export function instantiateInstrumented(
  bytes: Uint8Array,
  hooks: TestHooks = {},
  imports: TestImports = {},
  control: WebAssembly.Memory = newControl(),
): InstrumentedInstance {
  const instrumented = instrument(bytes).bytes as Uint8Array<ArrayBuffer>;
  return linkInstrumented(new WebAssembly.Module(instrumented), hooks, imports, control);
}

/** Makes an instance of an instrumented module; memories get the sizes that it asks for, up to 16 pages more. */
export function linkInstrumented(
  module: WebAssembly.Module,
  hooks: TestHooks,
  imports: TestImports,
  control: WebAssembly.Memory,
): InstrumentedInstance {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 20, shared: true });
  const ram = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const engine: Record<string, WebAssembly.ImportValue> = {
    memory,
    ram,
    control,
    frames: new SaveArea().memory,
    interrupt: () => hooks.interrupt?.() ?? 0,
    suspend: new WebAssembly.Suspending(async () => {
      await hooks.suspend?.();
      return resumption.proceed;
    }),
    die: () => hooks.die?.(),
    grow: (deltaPages: number) => {
      if (hooks.grow !== undefined) return hooks.grow(deltaPages >>> 0, memory);
      try {
        return memory.grow(deltaPages >>> 0);
      } catch {
        return -1;
      }
    },
  };
  const instance = new WebAssembly.Instance(module, { ...imports, archipelago: engine });
  const { [initializeExport]: initialize } = instance.exports;
  if (typeof initialize === "function") initialize();
  return { exports: instance.exports as Exports, memory, control: new Int32Array(control.buffer) };
}
