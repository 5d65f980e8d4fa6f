/**
 * How a program's own faults are told apart. JavaScript engines report a trap as an error with a message of
 * their own; this table turns it into the trap's name in the specification and the signal that a native
 * program would have got.
 */

/** Signal numbers, as on Linux. */
export const trapSignal = { SIGILL: 4, SIGABRT: 6, SIGFPE: 8, SIGSEGV: 11 } as const;

export type TrapSignalName = keyof typeof trapSignal;

export interface Trap {
  /** In the words of the specification, for example "out of bounds memory access". */
  readonly trap: string;
  readonly signalName: TrapSignalName;
  readonly signal: number;
}

/** First match wins. Messages of V8, SpiderMonkey and JavaScriptCore. */
const patterns: readonly (readonly [RegExp, string, TrapSignalName])[] = [
  [/unreachable/i, "unreachable", "SIGABRT"],
  [/maximum call stack|too much recursion|stack overflow/i, "stack overflow", "SIGSEGV"],
  [/unaligned/i, "unaligned atomic access", "SIGSEGV"],
  [/data segment/i, "out of bounds memory access", "SIGSEGV"],
  [
    /element segment|table (index|access|initializer)|call_indirect to out-of-bounds|out-of-bounds.*table/i,
    "out of bounds table access",
    "SIGSEGV",
  ],
  [
    /memory access out of bounds|out of bounds memory access|out-of-bounds memory access|index out of bounds/i,
    "out of bounds memory access",
    "SIGSEGV",
  ],
  [
    /unrepresentable in integer|invalid conversion|float.*integer|float to int/i,
    "invalid conversion to integer",
    "SIGFPE",
  ],
  [
    /divide result unrepresentable|integer overflow|signed (division|overflow)|division overflow/i,
    "integer overflow",
    "SIGFPE",
  ],
  [/divide by zero|division by zero|remainder by zero/i, "integer divide by zero", "SIGFPE"],
  [/signature mismatch|signature does not match|null function/i, "indirect call type mismatch", "SIGILL"],
  [/null (pointer|reference|table entry)|indirect call to null|dereferencing/i, "null reference", "SIGSEGV"],
  [/illegal cast|cast failure/i, "cast failure", "SIGABRT"],
  [/array.*out of bounds/i, "out of bounds array access", "SIGSEGV"],
];

/** The trap behind an error that came out of a program, or null if the program did not trap. */
export function classifyTrap(error: unknown): Trap | null {
  const message = error instanceof Error ? error.message : "";
  // A stack overflow is a RangeError in V8 and an InternalError in SpiderMonkey; all other traps are RuntimeErrors.
  const overflow = error instanceof Error && /call stack|recursion/i.test(message);
  if (!(error instanceof WebAssembly.RuntimeError) && !overflow) return null;
  for (const [pattern, trap, signalName] of patterns) {
    if (pattern.test(message)) return { trap, signalName, signal: trapSignal[signalName] };
  }
  return { trap: message, signalName: "SIGILL", signal: trapSignal.SIGILL };
}
