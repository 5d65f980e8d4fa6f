/**
 * A process outside of any system: everything that makes it up, as plain data. What a checkpoint file holds, and what
 * a kernel takes apart and puts together.
 */

/** Which program it is. A frame means something only together with the program and the instrumenter. */
export interface ProgramImage {
  /** SHA-256 of the original module, in hexadecimal. */
  readonly hash: string;
  readonly size_bytes: number;
  /** Where it was found. */
  readonly path: string;
  /** Names the way in which frames are laid out: the instrumenter and its version. */
  readonly instrumenter: string;
  /** SHA-256 of the program's frame table, in hexadecimal: frames are laid out alike where it is the same. */
  readonly frameTable: string;
  /** The module itself, if the file is to stand alone. */
  readonly module: Uint8Array | null;
}

/** What the program was started with. */
export interface StartImage {
  readonly arguments: readonly Uint8Array[];
  /** `NAME=value` each. */
  readonly environment: readonly Uint8Array[];
  /** Names of the preopened directories, by preopen index. */
  readonly preopens: readonly string[];
}

export interface ProcessImage {
  readonly pid: number;
  readonly parent: number;
  /** What `ps` shows. */
  readonly name: string;
  readonly priority: number;
  /** Most memory it may have, in WebAssembly pages. */
  readonly memoryLimit_pages: number;
  readonly cpuTime_ns: number;
  /** The clocks, when it was captured. */
  readonly monotonic_ns: number;
  readonly realtime_ns: number;
  /** Signals that were on their way. */
  readonly pendingSignals: readonly number[];
}

/** Which exported function a thread runs: the module's start function, or its entry. */
export type ThreadPhase = "start" | "entry";

/** A system call in which a process was captured at its own wish, and which is decided already. */
export interface AnsweredCall {
  /** 2: a copy of the process was made; 8: it was moved. */
  readonly kind: number;
  /** Zero or more, or a negated errno. */
  readonly result: number;
}

export interface ThreadImage {
  readonly phase: ThreadPhase;
  /** Its stack, innermost frame first. */
  readonly frames: Uint8Array;
  /** The mutable globals of its instance. */
  readonly globals: Uint8Array;
  /** Time left of the call that it waits in; null when the call has no deadline. */
  readonly callRemaining_ns: number | null;
  /** The answer that the call it is in gets when it is repeated; null when the call is to be made in earnest. */
  readonly answeredCall: AnsweredCall | null;
}

/** What an open file is. The numbers are those of the file format. */
export const fileKind = { file: 1, directory: 2, pipeReader: 3, pipeWriter: 4, device: 5 } as const;
export type FileKind = (typeof fileKind)[keyof typeof fileKind];

/** An open file, which several descriptors can share. */
export interface FileImage {
  readonly kind: FileKind;
  /** Absolute path of a file, a directory or a device; empty for pipes. */
  readonly path: string;
  /** WASI fdflags. */
  readonly flags: number;
  readonly position: number;
  /** Of a regular file, when the checkpoint was taken. */
  readonly size_bytes: number;
  readonly modificationTime_ns: number;
  /** Index among `pipes` of a pipe whose both ends are the process's own; null for one with another end outside. */
  readonly pipe: number | null;
}

export interface DescriptorImage {
  readonly number: number;
  /** Index among the open files. */
  readonly file: number;
  readonly rights: number;
  readonly inheriting: number;
  /** 1 + index among the preopened directories; 0 if it is none. */
  readonly preopen: number;
}

/** A pipe that the process has both ends of. */
export interface PipeImage {
  readonly capacity_bytes: number;
  /** Bytes that were written and not yet read. */
  readonly content: Uint8Array;
}

export interface MemoryShape {
  readonly size_pages: number;
  readonly maximum_pages: number;
  /** Addresses have 64 bits. */
  readonly wide: boolean;
}

/** A memory to be written: all its bytes. */
export interface MemoryImage extends MemoryShape {
  readonly bytes: Uint8Array;
}

/** A memory in a file. */
export interface StoredMemory extends MemoryShape {
  /** Bytes of it that the file holds: pages that are all zero, and pages that were there already, are left out. */
  readonly stored_bytes: number;
  /**
   * Writes the pages that are not zero into a fresh memory.
   * @param target at least `size_pages` long, and all zero.
   * @throws DamagedCheckpointError when a page is not as it was written; the target is then useless.
   */
  load(target: Uint8Array): void;
}

/** Everything but the memory. */
export interface ProcessState {
  readonly program: ProgramImage;
  readonly start: StartImage;
  readonly process: ProcessImage;
  /** At least one. */
  readonly threads: readonly ThreadImage[];
  readonly files: readonly FileImage[];
  readonly descriptors: readonly DescriptorImage[];
  readonly pipes: readonly PipeImage[];
}

/** A process to be written. */
export interface Checkpoint extends ProcessState {
  readonly memory: MemoryImage | null;
}

/** A process in a file. */
export interface StoredCheckpoint extends ProcessState {
  readonly memory: StoredMemory | null;
}
