/**
 * Actors: cores that each do a list of accesses, with their faults under way at the same time. One step of the world is
 * one mail, one deferred handler, or one actor's move, chosen by chance.
 */
import type { Fault } from "../../../src/dsm/index.ts";
import { type BenchCore, type BenchMachine, page_bytes, withoutStops } from "./bench-machine.ts";

export interface Access {
  readonly page: number;
  /** Offset in the page. */
  readonly place: number;
  readonly write: boolean;
}

export class Actor {
  readonly core: BenchCore;
  readonly results: number[] = [];
  private readonly accesses: readonly Access[];
  private readonly value: (access: Access) => number;
  private next = 0;
  private fault: Fault | undefined;

  constructor(core: BenchCore, accesses: readonly Access[], value: (access: Access) => number) {
    this.core = core;
    this.accesses = accesses;
    this.value = value;
  }

  get isDone(): boolean {
    return this.core.dead || this.next >= this.accesses.length;
  }

  get isWaiting(): boolean {
    return this.fault !== undefined;
  }

  /** One move: takes a fault, returns from one and accesses, or accesses. False when it can do nothing but wait. */
  move(): boolean {
    const { core } = this;
    const access = this.accesses[this.next];
    if (this.fault !== undefined) {
      if (!core.guard.isSettled(this.fault)) return false;
      core.guard.finish(this.fault);
      this.fault = undefined;
      // The access is tried again at once: nothing of this core comes between.
    }
    if (core.guard.mayAccess(access.page, access.write)) {
      this.results.push(
        core.touch(access.page * page_bytes + access.place, access.write, this.value(access)),
      );
      this.next++;
    } else this.fault = core.guard.begin(access.page, access.write);
    return true;
  }
}

/** Many times what any of the tests' runs takes. */
const stepsMax = 20_000;

/** Lets all actors finish. `after` is called after each step. @throws Error when nothing can go on. */
export function runActors(machine: BenchMachine, actors: readonly Actor[], after: () => void): void {
  const { random } = machine;
  let idle = 0;
  for (let steps = 0; !actors.every((actor) => actor.isDone); steps++) {
    const ready = actors.filter((actor) => !actor.isDone);
    const actor = ready[random.below(ready.length)];
    // A core that stops in its move is gone; `after` sees to what follows.
    const moved = random.chance(0.5) ? moves(actor) : machine.advance();
    idle = moved ? 0 : idle + 1;
    after();
    if (idle > 1000 || steps > stepsMax) throw new Error(`nothing goes on: ${stuck(actors)}`);
  }
  machine.drain();
  after();
}

function moves(actor: Actor): boolean {
  let moved = true;
  withoutStops(() => {
    moved = actor.move();
  });
  return moved;
}

function stuck(actors: readonly Actor[]): string {
  return actors
    .filter((actor) => !actor.isDone)
    .map((actor) => `core ${actor.core.id} ${actor.isWaiting ? "waits for a page" : "runs"}`)
    .join(", ");
}
