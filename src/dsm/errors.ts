/** What goes wrong in distributed shared memory: always a broken invariant, never a condition that callers handle. */

/** The protocol cannot go on: an answer that never came, memory touched where that is forbidden, tables that contradict. */
export class DsmError extends Error {
  override readonly name = "DsmError";
}
