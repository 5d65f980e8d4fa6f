/**
 * Interrupts of devices that all islands share, and the islands' private interrupt controllers. A source is wired to
 * every controller; each records it as pending unless it is masked there, and then raises the device line of a core.
 * A source that nobody takes, since it is masked everywhere or no core is on, stays raised at the device until
 * somebody does.
 */
import { type InterruptController, sharedInterruptCount } from "../soc.ts";
import type { SimWiring } from "./wiring.ts";

/** Raises `interruptLine.device` on the island's first core that is on; false when there is none. */
export type RaiseDeviceLine = (island: number) => boolean;

const allSources = 2 ** sharedInterruptCount - 1;

export class InterruptControllers {
  private readonly wiring: SimWiring;
  private readonly raiseDeviceLine: RaiseDeviceLine;
  /** Bit n for source n, by island. */
  private readonly masked: Uint32Array;
  private readonly pending: Uint32Array;
  /** Sources that are raised and that no island has taken. */
  private unclaimed = 0;

  /** After power-up and reset all sources are masked. */
  constructor(wiring: SimWiring, islandCount: number, raiseDeviceLine: RaiseDeviceLine) {
    this.wiring = wiring;
    this.raiseDeviceLine = raiseDeviceLine;
    this.masked = new Uint32Array(islandCount).fill(allSources);
    this.pending = new Uint32Array(islandCount);
  }

  /** The controller of an island, as its cores' kernels see it. */
  of(island: number): InterruptController {
    return {
      setMasked: (source, masked) => this.setMasked(island, source, masked),
      isMasked: (source) => this.isMasked(island, source),
      take: () => this.take(island),
    };
  }

  isMasked(island: number, source: number): boolean {
    return (this.masked[island] & bitOf(source)) !== 0;
  }

  /** A device wants service. */
  raise(source: number): void {
    const bit = bitOf(source);
    this.wiring.trace("interrupt", -1, source);
    this.unclaimed |= bit;
    this.offer(bit);
  }

  setMasked(island: number, source: number, masked: boolean): void {
    const bit = bitOf(source);
    this.wiring.trace("interrupt-mask", -1, island, source, masked ? 1 : 0);
    if (masked) {
      this.masked[island] |= bit;
      // What was recorded but not taken goes back: whoever masks a source leaves it to others.
      if ((this.pending[island] & bit) !== 0) {
        this.pending[island] &= ~bit;
        this.putBack(bit);
      }
      return;
    }
    this.masked[island] &= ~bit;
    this.offer(this.unclaimed & bit);
  }

  /** Takes and clears the pending sources of an island. */
  take(island: number): number {
    const sources = this.pending[island];
    this.pending[island] = 0;
    return sources;
  }

  /** Offers raised sources again: after a core was switched on. */
  retry(): void {
    this.offer(this.unclaimed);
  }

  /** The island is reset: everything is masked there, and what it had not taken is offered to others. */
  reset(island: number): void {
    const left = this.pending[island];
    this.pending[island] = 0;
    this.masked[island] = allSources;
    if (left !== 0) this.putBack(left);
  }

  /** Sources that wait for somebody to take them: bit n for source n. */
  get unclaimedSources(): number {
    return this.unclaimed;
  }

  /** Sources that nobody else has recorded are raised again. */
  private putBack(sources: number): void {
    let elsewhere = 0;
    for (const pending of this.pending) elsewhere |= pending;
    const orphaned = sources & ~elsewhere;
    this.unclaimed |= orphaned;
    this.offer(orphaned);
  }

  private offer(sources: number): void {
    if (sources === 0) return;
    for (let island = 0; island < this.masked.length; island++) {
      const seen = sources & ~this.masked[island];
      if (seen === 0) continue;
      // Pending first: the handler that the line starts may run at once.
      const before = this.pending[island];
      this.pending[island] |= seen;
      if (this.raiseDeviceLine(island)) this.unclaimed &= ~seen;
      else this.pending[island] = before;
    }
  }
}

function bitOf(source: number): number {
  if (!(source >= 0 && source < sharedInterruptCount)) throw new RangeError(`interrupt source ${source}`);
  return 1 << source;
}
