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
  /** `() -> ()`, a `WebAssembly.Suspending`: returns when the context is to go on. */
  suspend: "suspend",
  /** `(i32 pages) -> i32`: in place of `memory.grow`. */
  grow: "grow",
  /** `() -> ()`, told that the program is about to be ended by a trap that is not its own fault. */
  die: "die",
} as const;

/** The start function of a module, exported under this name so that it, too, can block. */
export const startExport = "archipelago.start";

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
export const interruptAnswer = { proceed: 0, suspend: 1, die: 2 } as const;

/** A system call that cannot finish now returns this; the context suspends and repeats the call. */
export const BLOCKED = -1;

/** A system call that ends the calling program returns this. */
export const DIED = -2;
