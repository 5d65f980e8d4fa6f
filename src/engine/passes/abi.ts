/**
 * What instrumented programs and the kernel agree on: the names of added imports and exports, and the values
 * that pass between them.
 */

/** Module name of everything that instrumentation imports. */
export const engineNamespace = "archipelago";

/** Names in `engineNamespace`. */
export const engineImport = {
  /** The process memory, shared. */
  memory: "memory",
  /** The control page of the core that runs the context. */
  control: "control",
  /** The island's memory, for the copy functions. */
  ram: "ram",
  /** `() -> i32`, called by polls: an `interruptAnswer`. */
  interrupt: "interrupt",
  /** `() -> i32`, a `WebAssembly.Suspending`: returns a `resumption` when the context is to go on. */
  suspend: "suspend",
  /** `(i32 pages) -> i32`: in place of `memory.grow`. */
  grow: "grow",
  /** The context save area: one page-multiple memory per core that frames are written to and read from. */
  frames: "frames",
  /** `() -> ()`, told that the program is about to be ended by a trap that is not its own fault. */
  die: "die",
} as const;

/** The start function of a module, exported under this name so that it, too, can block. */
export const startExport = "archipelago.start";

/** `(i32 thread id, i32 argument) -> ()`: what a further thread of a program runs, by the convention of wasi-threads. */
export const threadExport = "wasi_thread_start";

/** The tag, without parameters, of the exception that unwinds a stack to be captured. */
export const unwindExport = "archipelago.unwind";
/** Custom section that says, in a text, why a program cannot be captured. */
export const obstacleSection = "archipelago.obstacle";
/** `() -> ()`: writes the data segments to memory and sets what else a fresh program starts with. */
export const initializeExport = "archipelago.initialize";
/** `() -> ()`: re-enters the frames in the save area, the outermost first. */
export const resumeExport = "archipelago.resume";
/** `() -> ()`: pushes the mutable globals onto the save area, or takes them from there. */
export const saveGlobalsExport = "archipelago.saveGlobals";
export const loadGlobalsExport = "archipelago.loadGlobals";

/** Tables of a program that changes them; and one of all functions that they may come to hold. */
export const tableExport = (index: number): string => `archipelago.table.${index}`;
export const functionsTableExport = "archipelago.functions";

/** In the context save area: the word that says where its stack ends, and where the stack begins. */
export const FRAMES_TOP_OFFSET = 0;
export const FRAMES_BASE = 16;
/** Size of the save area in 64 KiB pages: address space only, until frames are written. */
export const framesPages = 2048;

/** `(i32 ramOffset, i32 address, i32 length) -> ()`: bytes of the process memory to the island's memory. */
export const copyInExport = "archipelago.copyIn";
/** `(i32 address, i32 ramOffset, i32 length) -> ()`: bytes of the island's memory to the process memory. */
export const copyOutExport = "archipelago.copyOut";

/**
 * Offset in the control page of the byte that polls test: the low byte of the core's word of pending
 * interrupts. One byte, because a one-byte atomic load needs no alignment check.
 */
export const CONTROL_POLL_OFFSET = 0;

/** What `interrupt` may answer. */
export const interruptAnswer = { proceed: 0, suspend: 1, die: 2, capture: 3 } as const;

/** What `suspend` answers: how the context goes on. */
export const resumption = { proceed: 0, capture: 1 } as const;

/** A system call that cannot finish now returns this; the context suspends and repeats the call. */
export const BLOCKED = -1;

/** A system call that ends the calling program returns this. */
export const DIED = -2;
