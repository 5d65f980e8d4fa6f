/**
 * Cores that were lost and behind which nobody has cleaned up yet. What such a core has held is freed piece by piece: all
 * of it when its turn comes, or sooner, as far as needed, while another core waits for something in the middle of its
 * code.
 */

/** A core that was lost. */
export interface LostCore {
  /** When the others have learned of it. */
  readonly known_ns: number;
}

interface Held {
  /** Frees a piece each time; undefined when nothing is held any more. */
  pieces: Iterator<void> | undefined;
  /** A piece is under way: its own code may wait for something. */
  isAtWork: boolean;
}

export class LostCores {
  piecesFreed = 0;
  private readonly held = new Map<LostCore, Held>();

  /** @param pieces frees what the core has held, a piece each time it is resumed. */
  add(known_ns: number, pieces: Iterator<void> | undefined): LostCore {
    const lost = { known_ns };
    this.held.set(lost, { pieces, isAtWork: false });
    return lost;
  }

  /** Those of which something may be held that can be freed now, the first ones first. */
  holding(): LostCore[] {
    return [...this.held].flatMap(([lost, { pieces, isAtWork }]) =>
      pieces === undefined || isAtWork ? [] : [lost],
    );
  }

  /** Frees a piece of what a core has held; false when there was none left. */
  freePiece(lost: LostCore): boolean {
    const held = this.held.get(lost);
    if (held?.pieces === undefined) return false;
    held.isAtWork = true;
    const isDone = held.pieces.next().done === true;
    held.isAtWork = false;
    if (isDone) held.pieces = undefined;
    this.piecesFreed++;
    return true;
  }

  /** Frees the rest of what a core has held, which then is no lost core any more. */
  remove(lost: LostCore): void {
    while (this.freePiece(lost)) {}
    this.held.delete(lost);
  }
}
