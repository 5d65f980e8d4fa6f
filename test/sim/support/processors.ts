/**
 * Processors of a booted system: its real cores, whose accesses to words that nobody else uses go through the guards
 * that their kernels use. Each processor does its accesses in program order, at times that chance decides; those of
 * different processors are under way at the same time.
 */
import type { DsmGuard, Mutation } from "../../../src/dsm/index.ts";
import { customProfile } from "../../../src/machine/profiles/index.ts";
import { Random } from "../../../src/machine/sim/random.ts";
import type { CoherenceProtocol } from "../../../src/presets/configuration.ts";
import type { Access } from "../../../src/simulation/sequential-consistency.ts";
import type { Archipelago } from "../../../src/system/archipelago.ts";
import { boot } from "../../../src/system/boot.ts";
import type { Simulation } from "../../../src/system/simulation.ts";

/** An access of a program; an update reads and writes in one. Words are numbered. */
export interface WordAccess {
  readonly kind: "load" | "store" | "update";
  readonly word: number;
  /** What is stored; each value is stored once. */
  readonly value: number;
}

export interface ProcessorsOptions {
  readonly seed: number;
  readonly coherence: CoherenceProtocol;
  readonly cacheDirectory: string;
  /** Kinds of cores by island. */
  readonly islands: readonly (readonly string[])[];
}

const page_bytes = 4096;
/** Accesses are so far apart at most: faults take about as long. */
const gap_ns = 60_000;
const unusedPages = 64;
const longestRun_ms = 15_000;
const pageMemory_bytes = 16 * 1024 * 1024;

export class Processors implements AsyncDisposable {
  readonly simulation: Simulation;
  private readonly system: Archipelago;
  private readonly guards: ReadonlyMap<number, DsmGuard>;
  private readonly random: Random;
  private readonly failures: unknown[];
  /** Pages that were handed out. */
  private pages = 0;

  private constructor(
    system: Archipelago,
    simulation: Simulation,
    guards: ReadonlyMap<number, DsmGuard>,
    failures: unknown[],
    seed: number,
  ) {
    this.system = system;
    this.simulation = simulation;
    this.guards = guards;
    this.failures = failures;
    this.random = new Random(seed).fork("processors");
  }

  static async boot({ seed, coherence, cacheDirectory, islands }: ProcessorsOptions): Promise<Processors> {
    const guards = new Map<number, DsmGuard>();
    const failures: unknown[] = [];
    const system = await boot({
      preset: "multikernel",
      machine: customProfile({ islands }),
      seed,
      coherence,
      cacheDirectory,
      rootSize_bytes: 1 << 20,
      pageMemory_bytes,
      log: (line) => failures.push(line),
      onMachineFailure: (error) => failures.push(error),
      onSimulation({ dsm }) {
        if (dsm === null) throw new Error("this machine needs no software coherence");
        const attach = dsm.attach.bind(dsm);
        dsm.attach = (core, uncached) => {
          const guard = attach(core, uncached);
          guards.set(core.id, guard);
          return guard;
        };
      },
    });
    const { simulation } = system;
    if (simulation === null) throw new Error("this is no simulated machine");
    return new Processors(system, simulation, guards, failures, seed);
  }

  get count(): number {
    return this.simulation.machine.coreCount;
  }

  breakCoherence(mutation: Mutation): void {
    const { dsm } = this.simulation;
    if (dsm !== null) dsm.options.mutation = mutation;
  }

  /** Pages at the end of memory, which no allocator has given to anybody; after some time the same ones again. */
  somePages(count: number): number[] {
    const { pageCount } = this.simulation.machine.caches;
    return Array.from({ length: count }, () => pageCount - 1 - (this.pages++ % unusedPages));
  }

  /** Some core stores zeros in words. */
  async clear(words: readonly number[], addressOf: (word: number) => number): Promise<void> {
    const programs: WordAccess[][] = Array.from({ length: this.count }, () => []);
    programs[this.random.below(this.count)] = words.map((word) => ({ kind: "store", word, value: 0 }));
    await this.run(programs, addressOf);
  }

  /**
   * Runs a program on each of the first cores.
   * @param addressOf where a word is.
   * @returns what happened, as a trace; of each processor in program order.
   * @throws what went wrong in the machine, and an Error when a program does not end.
   */
  async run(
    programs: readonly (readonly WordAccess[])[],
    addressOf: (word: number) => number,
  ): Promise<Access[]> {
    const { machine } = this.simulation;
    const trace: Access[] = [];
    let running = 0;
    for (const [processor, program] of programs.entries()) {
      const next = (step: number): void => {
        if (step === program.length) {
          running--;
          return;
        }
        const time_ns =
          Math.max(machine.time_ns, machine.core(processor).now_ns()) + this.random.below(gap_ns);
        machine.queue.push(
          time_ns,
          true,
          () =>
            machine.core(processor).atInterruptLevel(time_ns, () => {
              trace.push(this.access(processor, program[step], addressOf));
              next(step + 1);
            }),
          "access",
        );
      };
      running++;
      next(0);
    }
    for (
      let waited_ms = 0;
      running > 0 && waited_ms < longestRun_ms && this.failures.length === 0;
      waited_ms++
    )
      await this.system.delay(1);
    if (this.failures.length > 0) throw this.failures[0];
    if (running > 0) throw new Error("a processor does not come to its end");
    return trace;
  }

  private access(
    processor: number,
    { kind, word, value }: WordAccess,
    addressOf: (word: number) => number,
  ): Access {
    const core = this.simulation.machine.core(processor);
    const guard = this.guards.get(processor);
    if (guard === undefined) throw new Error(`core ${processor} has no guard`);
    const address = addressOf(word);
    const cells = new Uint32Array(core.ram.buffer, address, 1);
    const location = `word ${word}`;
    guard.access(address, 4, kind !== "load");
    const read = cells[0];
    if (kind === "load") return { processor, location, read };
    cells[0] = value;
    return kind === "store"
      ? { processor, location, written: value }
      : { processor, location, read, written: value };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.failures.length > 0) this.simulation.machine.abandon();
    else await this.system.shutdown();
  }
}

/** An address in a page. */
export function addressIn(page: number, place = 0): number {
  return page * page_bytes + place;
}
