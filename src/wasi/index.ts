/** The system call interface of programs: WASI, both versions, and what the everyday tools need besides. */
export {
  type ImportFunction,
  type ImportTable,
  type ProcessCalls,
  type WantedImport,
  WasiCalls,
  wasiModules,
} from "./imports.ts";
export { allRights, applicableInheriting, applicableRights, preopenRights, right } from "./rights.ts";
export type { DeviceStat, FileService, OpenOptions, WasiProcess, WasiServices } from "./services.ts";
export { parseStoppingPoint, type StoppingPoint, type StoppingProcess } from "./stopping-point.ts";
