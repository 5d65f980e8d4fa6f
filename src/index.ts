/**
 * Archipelago, as a library: boot a system of kernels, run WASI programs in it, shut it down.
 *
 *     import { boot } from "archipelago";
 *
 *     await using system = await boot();
 *     const { stdout } = await system.run("sqlite3", [], { input: "select 6*7;" });
 */
export { CheckpointError, DamagedCheckpointError } from "./checkpoint/index.ts";
export type { ProcessStatus } from "./kernel/processes.ts";
export { Archipelago, type KernelStatus, type RunResult } from "./system/archipelago.ts";
export { boot } from "./system/boot.ts";
export type {
  CheckpointOptions,
  CheckpointSummary,
  RestoreOptions,
  SnapshotOptions,
  SnapshotSummary,
} from "./system/checkpoint-options.ts";
export { SystemError } from "./system/errors.ts";
export type { DirectoryEntry, FileAccess, FileStatus } from "./system/file-access.ts";
export type { MigrateOptions } from "./system/mover.ts";
export type { BootOptions, HostMount, PipeEnd, SpawnOptions, StandardStream } from "./system/options.ts";
export type { ExitStatus, Process } from "./system/process.ts";
export type { SystemTerminal } from "./system/terminal.ts";
export type { SystemUsage } from "./system/usage.ts";
