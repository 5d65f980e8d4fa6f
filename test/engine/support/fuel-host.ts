/** Runs exported functions of programs that count their instructions, and says how many they counted. */
import { CONTROL_FUEL_OFFSET, type FuelPrecision } from "../../../src/engine/index.ts";
import { instrument } from "../../../src/engine/instrument.ts";
import { buildModule, type ModuleSource } from "./module-builder.ts";
import {
  type Exports,
  linkInstrumented,
  newControl,
  type TestHooks,
  type TestImports,
} from "./plain-host.ts";

export interface FuelInstance {
  readonly exports: Exports;
  /** The word `fuel` of the control page. */
  fuel: number;
  /** How many instructions a call counts. Fuel is plenty: it does not poll. */
  count(name: string, ...values: (number | bigint)[]): number;
}

/** More than any of these programs executes. */
export const plenty = 2 ** 31 - 1;

/** Instruments a module for counting and makes an instance of it. It starts with `plenty` of fuel. */
export function instantiateCounting(
  source: ModuleSource | Uint8Array,
  precision: FuelPrecision = "close",
  hooks: TestHooks = {},
  imports: TestImports = {},
  control: WebAssembly.Memory = newControl(),
): FuelInstance {
  const bytes = source instanceof Uint8Array ? source : buildModule(source);
  const counting = instrument(bytes, { fuel: precision }).bytes as Uint8Array<ArrayBuffer>;
  const { exports } = linkInstrumented(new WebAssembly.Module(counting), hooks, imports, control);
  const word = new Int32Array(control.buffer, CONTROL_FUEL_OFFSET, 1);
  word[0] = plenty;
  return {
    exports,
    get fuel() {
      return word[0];
    },
    set fuel(value: number) {
      word[0] = value;
    },
    count(name, ...values) {
      const before = word[0];
      exports[name](...values);
      return before - word[0];
    },
  };
}
