/** How checkpoints are taken and restored. */
import type { SpawnOptions } from "./options.ts";

export interface CheckpointOptions {
  /**
   * What to do about a descriptor that cannot be restored, such as a pipe to another process: "refuse" (unless given)
   * takes no checkpoint; with "close" it is closed in the restored process.
   */
  readonly unrestorable?: "refuse" | "close";
  /** Put the program itself into the file, so that it can be restored where the program is not installed. */
  readonly embedProgram?: boolean;
}

/** What a checkpoint took. */
export interface CheckpointSummary {
  readonly file_bytes: number;
  /** Pages of 4 KiB that were not zero, and how many different ones are in the file. */
  readonly pages: number;
  readonly differentPages: number;
  /** How long the process stood still. */
  readonly pause_ns: number;
}

export interface SnapshotOptions
  extends CheckpointOptions,
    Omit<SpawnOptions, "stdin" | "stdout" | "stderr" | "stoppingPoint"> {
  /**
   * When the program has finished its initialisation: `input` (unless given), where it would wait for standard
   * input; `call:NAME` or `call:NAME:N`, before it makes that WASI call (for the Nth time); `open:PATH`, before it
   * opens a path that ends so; `output:TEXT`, after it has written that text.
   */
  readonly at?: string;
}

/** What a snapshot took, and what the program had written until then. */
export interface SnapshotSummary extends CheckpointSummary {
  readonly stdout: string;
  readonly stderr: string;
}

export interface RestoreOptions
  extends Pick<SpawnOptions, "kernel" | "stdin" | "stdout" | "stderr" | "memory_bytes"> {
  /**
   * Arguments for the program if it asks for them after the checkpoint; those of the checkpoint unless given. The
   * name of the program comes before them.
   */
  readonly arguments?: readonly string[];
  /** Variables that are added to those of the checkpoint, for a program that asks for them after it. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Go on although files that the process had open have changed since. */
  readonly acceptChangedFiles?: boolean;
  /** "same": the process gets the pid it had, and is not restored if that is taken. */
  readonly pid?: "same" | "new";
}
