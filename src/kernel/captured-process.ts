/**
 * Everything of a process that the core running it keeps in its JavaScript heap, as plain data: what has to travel
 * with the process, be copied with it, or be saved. All the rest (descriptors, wait queues, deadlines, signals,
 * children) is in the island's memory, found by slot and thread.
 *
 * Structured cloning copies it, except that the memory stays the same shared memory.
 */
import type { ContextState, Program } from "../engine/index.ts";

/** A system call that asked for a capture of its own process, and is repeated after it. */
export interface CaptureCall {
  /** One of `captureKind`. */
  readonly kind: number;
  /** Its result, or a negated errno; undefined until there is one. */
  readonly result: number | undefined;
}

/** How the memory reaches a kernel that does not share it with the source. */
export type MemoryTransfer =
  /** All of it is copied before the process goes on. */
  | { readonly kind: "upfront" }
  /** Each page is copied when it is needed: until then the process runs this page-checked variant of its program. */
  | { readonly kind: "on-demand"; readonly checked: Program };

export interface CapturedProcess {
  readonly slot: number;
  readonly thread: number;
  readonly pid: number;
  readonly state: ContextState;
  /** Null for a program without memory. */
  readonly memory: WebAssembly.Memory | null;
  readonly program: Program;
  /** Path that the program was found by. */
  readonly path: string;
  readonly arguments: readonly Uint8Array[];
  readonly environment: readonly Uint8Array[];
  /** Names of the preopened directories. */
  readonly preopens: readonly string[];
  /** The system call in which the process asked for this capture, if it did. */
  readonly call: CaptureCall | undefined;
  /** Absent when the memory itself is handed over. */
  readonly transfer?: MemoryTransfer;
}
