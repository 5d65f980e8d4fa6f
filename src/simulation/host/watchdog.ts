/** Looks at a simulation now and then, in the time of the computer that it runs on. */

const period_ms = 1000;

/**
 * Calls `look` every second until the returned function is called. What it sees must not change what happens in the
 * simulation, only whether anybody goes on waiting for it.
 */
export function everySecond(look: () => void): () => void {
  const timer = setInterval(look, period_ms);
  return () => clearInterval(timer);
}
