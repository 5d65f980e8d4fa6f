/**
 * What a kernel image supplies to the kernel: the system call interface that programs see, and where
 * programs come from. The kernel runs processes; it does not know files or WASI.
 */
import type { RunningProcess } from "./running-process.ts";

/** An import that a program asks for. */
export interface WantedImport {
  readonly module: string;
  readonly name: string;
}

/** Import functions by module and name. Every one is a plain function that returns a number or nothing. */
export type ImportTable = Record<string, Record<string, (...values: never[]) => number | undefined>>;

/** A program file, found but not read yet. */
export interface Executable {
  /** The same text means the same content, if it is settled: path, inode, size and time of change. */
  readonly identity: string;
  /** False while the file may change again without its time of change moving on. */
  readonly isSettled: boolean;
  read(): Uint8Array;
}

/** The system calls of one process. */
export interface ProcessCalls {
  /** Its thread was dispatched: system calls are its own until another process enters. */
  enter(): void;
  /** It has ended. */
  leave(): void;
}

export interface Personality {
  /** The file at an absolute path, or a negated errno. */
  findExecutable(path: string): Executable | number;
  /** The file that is open under a number, or a negated errno. */
  openExecutable(file: number): Executable | number;
  /**
   * Gives a new process its descriptors: open files in order from descriptor 0, the ones from 3 on being its
   * preopened directories. The process takes over one reference of each, also on failure.
   * Zero, or a negated errno.
   */
  adoptFiles(slot: number, files: readonly number[]): number;
  /** Gives a new process the descriptors of another one, with the same open files. */
  copyFiles(from: number, to: number): void;
  /** Whether all of these numbers, which may be any, are of open files. */
  areOpen(files: readonly number[]): boolean;
  /** Gives up one reference of each, for a process that could not be made. */
  dropFiles(files: readonly number[]): void;
  /** Gives up everything the process holds. */
  releaseFiles(slot: number): void;
  /** Import functions for a program, made once on each core; they act for the process that entered last. */
  imports(wanted: readonly WantedImport[]): ImportTable;
  /**
   * Import functions for one process that is to stop at a point that was given as text; undefined when the text
   * means nothing.
   */
  stoppingImports(
    wanted: readonly WantedImport[],
    process: RunningProcess,
    point: string,
  ): ImportTable | undefined;
  /** Prepares for the system calls of a process of this core. */
  admit(process: RunningProcess): ProcessCalls;
}
