/** The engine: loads unmodified WASI programs and runs them as contexts that can wait and be interrupted. */
export {
  Context,
  type ContextEnd,
  type ContextState,
  type ImportFunction,
  type MemoryCopies,
} from "./context.ts";
export {
  MalformedModuleError,
  MissingImportsError,
  NoEntryPointError,
  ProgramError,
  UnsupportedModuleError,
} from "./errors.ts";
export { type Instrumented, instrument, instrumenterVersion } from "./instrument.ts";
export { type ContextHooks, type ImportFunctions, Linker, type LinkerOptions } from "./linker.ts";
export { BLOCKED, CONTROL_POLL_OFFSET, DIED, interruptAnswer, resumption } from "./passes/abi.ts";
export { type CallPolicy, wasiCallPolicy } from "./passes/calls.ts";
export { CONTROL_FUEL_OFFSET } from "./passes/control-page.ts";
export type { FuelPrecision } from "./passes/fuel-plan.ts";
export {
  type ImportValueType,
  type ModuleStore,
  type Program,
  type ProgramImport,
  ProgramLoader,
  type ProgramLoaderOptions,
  type ProgramMemory,
} from "./program.ts";
