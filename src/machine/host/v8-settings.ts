/** Settings of V8 that programs need. They hold for the whole process, and for threads that are started after them. */
import { setFlagsFromString } from "node:v8";

const stack_kb = 8192;
/** V8 takes the smaller of two settings; this one also bounds plain threads that do not set their own. */
const thread_kb = 7900;

/**
 * Room for the stacks of contexts. V8 gives a suspendable stack the size of a thread's, of which deep recursion
 * in optimised code may use all; a captured context goes on in baseline code at first, whose frames are several
 * times as large, and must still fit. The rest is address space that is never touched.
 */
export function enlargeStacks(): void {
  setFlagsFromString(`--stack-size=${thread_kb}`);
  setFlagsFromString(`--wasm-stack-switching-stack-size=${stack_kb}`);
}

const inlining = {
  // Growth of a function, in multiples of its own size; V8's own limit is 3.
  "wasm-inlining-factor": 6,
  // Largest function that is inlined, in bytes; 500.
  "wasm-inlining-max-size": 1500,
  // Largest function that inlining may make, in nodes of the compiler's graph; 5000.
  "wasm-inlining-budget": 10_000,
  // What every function may grow by; 50.
  "wasm-inlining-min-budget": 100,
} as const;

/**
 * Lets V8 inline in instrumented programs what it would inline in the originals: it judges functions by their size in
 * bytes, and what capture adds to each makes them larger, though not slower.
 */
export function allowInlining(): void {
  for (const [name, value] of Object.entries(inlining)) setFlagsFromString(`--${name}=${value}`);
}

/**
 * Has V8 weigh memories against all that its heap may hold. By itself it starts a major collection on a core each
 * time that a process of 64 MiB arrives there, which takes milliseconds.
 */
export function tolerateMemories(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
}
