/**
 * Claims: short exclusive use of a shared structure, by an endpoint that may die while it has it. The word
 * names the claimant and its incarnation, so anyone can see that it is dead and take the claim over.
 *
 * Nobody sleeps on a claim: it is held for the writing of one message, and whoever waits for it pauses,
 * which on a deterministic machine lets the holder run.
 */
import { life, lifeIncarnation, lifeState } from "./channel.ts";
import { MessageUsageError } from "./errors.ts";

/** The word of a claim, wherever it lies. */
export interface ClaimWord {
  load(): number;
  compareExchange(expected: number, value: number): number;
}

export interface ClaimOptions {
  readonly address: number;
  /** The life word of an address. */
  readonly life: (address: number) => number;
  readonly pause: () => void;
}

const addressBits = 16;

export class Claimant {
  readonly #address: number;
  readonly #life: (address: number) => number;
  readonly #pause: () => void;

  constructor(options: ClaimOptions) {
    this.#address = options.address;
    this.#life = options.life;
    this.#pause = options.pause;
  }

  /**
   * Takes a claim, pausing up to `pauses_max` times while somebody alive has it.
   * @returns "taken"; "inherited" when the claimant before died with it, and what it left must be put in
   * order; "busy" when it stayed with somebody alive.
   * @throws MessageUsageError when this endpoint has it already.
   */
  take(word: ClaimWord, pauses_max: number): "taken" | "inherited" | "busy" {
    const own = this.#word();
    for (let pauses = 0; ; pauses++) {
      const holder = word.load();
      if (holder === own)
        throw new MessageUsageError(`endpoint ${this.#address} claims what it has claimed already`);
      if ((holder === 0 || this.#isDead(holder)) && word.compareExchange(holder, own) === holder) {
        return holder === 0 ? "taken" : "inherited";
      }
      if (pauses >= pauses_max) return "busy";
      this.#pause();
    }
  }

  /** Gives a claim back. One that was inherited by others meanwhile, because this endpoint was declared dead, is left alone. */
  give(word: ClaimWord): void {
    word.compareExchange(this.#word(), 0);
  }

  #word(): number {
    return ((lifeIncarnation(this.#life(this.#address)) << addressBits) | (this.#address + 1)) >>> 0;
  }

  #isDead(holder: number): boolean {
    const word = this.#life((holder & 0xffff) - 1);
    return lifeState(word) !== life.live || lifeIncarnation(word) !== holder >>> addressBits;
  }
}
