/**
 * Runs programs at engine level, without a kernel: plain on V8, and instrumented under a disturbance that
 * captures them in the middle. Whatever happens on the way, the outcome must be the same.
 *
 * After a capture the program goes on in place (in the same instance), in a fresh instance over the same memory,
 * in a fresh instance over a copy of the memory, the old one being overwritten, or in its page-checked variant over an
 * empty memory, into which pages come when they are touched. Fresh
 * instances come from two linkers in turn, as if there were two cores. Captured states are cloned on the way, so
 * that they are seen to be plain data.
 */
import { createHash } from "node:crypto";
import {
  CONTROL_FUEL_OFFSET,
  type Context,
  type ContextEnd,
  type ContextState,
  type FuelPrecision,
  Linker,
  type Program,
  ProgramLoader,
} from "../../../src/engine/index.ts";
import { PageMovers } from "../../../src/engine/paged/index.ts";
import { classifyTrap } from "../../../src/engine/traps.ts";
import { PagedMemory } from "../../../src/kernel/paged-memory.ts";
import { contentHash } from "../../../src/machine/host/content-hash.ts";
import type { TestImports } from "../../engine/support/plain-host.ts";
import type { Disturbance, Move } from "./disturbance.ts";
import { type Host, TestHost } from "./host.ts";

/** Everything that can be seen of a run from outside. */
export interface Outcome {
  /** `returned`, `exit N`, `trapped: REASON`. */
  readonly end: string;
  readonly log: string;
  /** Hash of the final memory, its size included. */
  readonly memory: string;
}

/** What the harness did to the program. */
export interface Story {
  readonly outcome: Outcome;
  polls: number;
  captures: number;
  suspensions: number;
  /** Of the largest captured stack. */
  frames_bytes_max: number;
  readonly moves: Record<Move, number>;
  /** Executed, as the program counts them; 0 if it does not. */
  instructions: number;
}

/** Programs may grow by so much; address space only. */
const growth_pages = 4096;
/** The last word before the end of what programs may do: a run that captures more often is stuck. */
const captures_max = 200_000;
const poison = 0xa5;
const noFuel = -1;

export interface TestProgram extends Program {
  /** The page-checked variant. */
  checked(): Program;
}

/** @param fuel how the program counts its instructions; null if it does not. */
export function loadProgram(bytes: Uint8Array, fuel: FuelPrecision | null = null): TestProgram {
  const loader = new ProgramLoader({ hash: contentHash, fuel });
  const program = loader.load(bytes);
  return {
    ...program,
    checked() {
      const variant = loader.pageChecked(program, () => bytes);
      if (variant === undefined) throw new Error("there is no page-checked variant");
      return variant;
    },
  };
}

/** Runs an unmodified module to its end. */
export function runPlain(bytes: Uint8Array<ArrayBuffer>): Outcome {
  let memory: WebAssembly.Memory | null = null;
  const host = new TestHost(
    () => memory?.buffer ?? new ArrayBuffer(0),
    () => false,
  );
  const functions = host.functions(false);
  const exit = functions.wasi_snapshot_preview1.proc_exit as (code: number) => number;
  functions.wasi_snapshot_preview1.proc_exit = (code: number) => {
    exit(code);
    throw new Error("exit");
  };
  const module = new WebAssembly.Module(bytes);
  let end = "returned";
  try {
    const instance = new WebAssembly.Instance(module, functions as TestImports);
    memory = (instance.exports.memory as WebAssembly.Memory | undefined) ?? null;
    (instance.exports._start as () => void)();
  } catch (error) {
    end = host.exitCode !== null ? `exit ${host.exitCode}` : plainTrap(error);
  }
  return { end, log: host.log, memory: hashMemory(memory) };
}

/** Runs a program under a disturbance. @throws Error when a captured context cannot be resumed. */
export async function runDisturbed(
  program: TestProgram,
  disturbance: Disturbance,
  makeHost: HostMaker = (memory, blocks) =>
    new TestHost(() => memory()?.buffer ?? new ArrayBuffer(0), blocks),
): Promise<Story> {
  const run = new DisturbedRun(program, disturbance, makeHost);
  return run.run();
}

/** `memory` is the program's memory as it is now; `blocks`, whether the call that is being made must wait first. */
export type HostMaker = (memory: () => WebAssembly.Memory | null, blocks: () => boolean) => Host;

class DisturbedRun {
  private readonly program: TestProgram;
  private readonly disturbance: Disturbance;
  private readonly host: Host;
  private readonly linkers: readonly Linker[];
  /** The words `fuel` of their control pages. */
  private readonly fuels: Int32Array[] = [];
  private memory: WebAssembly.Memory | null;
  private spare: WebAssembly.Memory | null = null;
  private readonly movers = new PageMovers();
  /** While pages come on demand. */
  private paging: PagedMemory | null = null;
  private context: Context;
  private readonly story = {
    polls: 0,
    captures: 0,
    suspensions: 0,
    frames_bytes_max: 0,
    moves: { "in place": 0, "fresh instance": 0, "copied memory": 0, "pages on demand": 0 },
    instructions: 0,
  };

  constructor(program: TestProgram, disturbance: Disturbance, makeHost: HostMaker) {
    this.program = program;
    this.disturbance = disturbance;
    this.memory = program.memory === null ? null : this.newMemory(program.memory.initial);
    this.host = makeHost(
      () => {
        // System calls may look anywhere.
        this.paging?.complete();
        return this.memory;
      },
      () => disturbance.blocks(),
    );
    this.linkers = [this.newLinker(), this.newLinker()];
    this.context = this.linkers[0].makeContext(program, this.memory);
  }

  async run(): Promise<Story> {
    let end = await this.context.start();
    while (end.kind === "captured") {
      if (++this.story.captures > captures_max) throw new Error("captured again and again");
      end = await this.goOn(structuredClone(end.state));
    }
    this.takeInstructions();
    this.paging?.complete();
    const outcome = { end: this.describeEnd(end), log: this.host.log, memory: hashMemory(this.memory) };
    return { outcome, ...this.story };
  }

  private goOn(state: ContextState): Promise<ContextEnd> {
    const { story } = this;
    story.frames_bytes_max = Math.max(story.frames_bytes_max, state.frames.length);
    const move = this.disturbance.move();
    story.moves[move]++;
    if (move !== "in place") {
      const linker = this.linkers[story.captures % this.linkers.length];
      this.context = move === "pages on demand" ? this.withoutPages(linker) : this.withMemory(linker, move);
    }
    return this.context.resume(state);
  }

  private withMemory(linker: Linker, move: Move): Context {
    this.endPaging();
    if (move === "copied memory") this.copyMemory();
    return linker.makeContext(this.program, this.memory, true);
  }

  /** A context over a memory that is still empty. */
  private withoutPages(linker: Linker): Context {
    this.endPaging();
    const source = this.memory;
    if (source === null) return linker.makeContext(this.program, null, true);
    this.memory = this.newMemory(source.buffer.byteLength / 65536);
    this.paging = new PagedMemory(source, this.memory, this.movers);
    this.host.moved?.(this.memory);
    return linker.makeContext(this.program.checked(), this.memory, true, this.paging.map);
  }

  private endPaging(): void {
    this.paging?.complete();
    this.paging = null;
  }

  private copyMemory(): void {
    const old = this.memory;
    if (old === null) return;
    const length_bytes = old.buffer.byteLength;
    const fits = this.spare !== null && this.spare.buffer.byteLength === length_bytes;
    const copy = fits && this.spare !== null ? this.spare : this.newMemory(length_bytes / 65536);
    const from = new Uint8Array(old.buffer);
    new Uint8Array(copy.buffer).set(from);
    from.fill(poison);
    this.memory = copy;
    this.spare = old;
    this.host.moved?.(copy);
  }

  private newMemory(initial: number): WebAssembly.Memory {
    const limits = this.program.memory ?? { initial: 0, maximum: 0, wide: false };
    const maximum = Math.min(limits.maximum, limits.initial + growth_pages);
    if (!limits.wide) return new WebAssembly.Memory({ initial, maximum, shared: true });
    const wide = { address: "i64", initial: BigInt(initial), maximum: BigInt(maximum), shared: true };
    return new WebAssembly.Memory(wide as unknown as ConstructorParameters<typeof WebAssembly.Memory>[0]);
  }

  private newLinker(): Linker {
    const control = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    new Int32Array(control.buffer)[0] = 1;
    const fuel = new Int32Array(control.buffer, CONTROL_FUEL_OFFSET, 1);
    fuel[0] = noFuel;
    this.fuels.push(fuel);
    return new Linker({
      control,
      ram: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
      hooks: {
        interrupt: () => {
          this.story.polls++;
          this.takeInstructions();
          return this.disturbance.poll();
        },
        suspend: async () => {
          this.story.suspensions++;
          return this.disturbance.resumption();
        },
        grow: (deltaPages) => {
          try {
            return this.memory?.grow(deltaPages) ?? -1;
          } catch {
            return -1;
          }
        },
        die: () => this.context.die(),
        fault: (first, last) => this.paging?.fault(first, last) ?? 1,
      },
      imports: () => this.host.functions(true),
    });
  }

  /** Adds up what has been counted. Every poll finds that there is no fuel, and asks. */
  private takeInstructions(): void {
    for (const fuel of this.fuels) {
      this.story.instructions += noFuel - fuel[0];
      fuel[0] = noFuel;
    }
  }

  private describeEnd(end: ContextEnd): string {
    switch (end.kind) {
      case "died":
        return `exit ${this.host.exitCode}`;
      case "trapped":
        return `trapped: ${end.trap}`;
      case "failed":
        throw end.error instanceof Error ? end.error : new Error(`the engine failed: ${end.error}`);
      default:
        return end.kind;
    }
  }
}

/** The trap's name as the engine says it, so that both kinds of run can be compared. */
function plainTrap(error: unknown): string {
  const trap = classifyTrap(error);
  if (trap !== null) return `trapped: ${trap.trap}`;
  if (error instanceof WebAssembly.Exception) return "trapped: uncaught exception";
  throw error;
}

function hashMemory(memory: WebAssembly.Memory | null): string {
  if (memory === null) return "none";
  return createHash("sha1").update(new Uint8Array(memory.buffer).slice()).digest("hex");
}
