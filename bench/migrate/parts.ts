/**
 * The parts of a pause, at the engine alone: how long it takes from the poll that answers "capture" until the stack
 * is plain data, and from there until the program runs again in a fresh instance.
 */
import { readFileSync } from "node:fs";
import {
  type Context,
  type ContextEnd,
  DIED,
  interruptAnswer,
  Linker,
  type Program,
  ProgramLoader,
  resumption,
} from "../../src/engine/index.ts";
import { contentHash } from "../../src/machine/host/content-hash.ts";
import { enlargeStacks } from "../../src/machine/host/v8-settings.ts";
import { median } from "../statistics.ts";
import { pauseProgram } from "./watched.ts";

export interface Parts {
  readonly capture_ms: number;
  readonly restore_ms: number;
  readonly frames_bytes: number;
}

const settle_polls = 3;
const clockRead_ns = 1000;

export function loadPauseProgram(): Program {
  enlargeStacks();
  return new ProgramLoader({ hash: contentHash }).load(new Uint8Array(readFileSync(pauseProgram)));
}

/** Captures a program of a given depth again and again. @returns medians. */
export async function measureParts(program: Program, frames: number, rounds: number): Promise<Parts> {
  const run = new PartsRun(program, frames, rounds);
  return run.measure();
}

function describe(end: ContextEnd): string {
  if (end.kind === "trapped") return end.message;
  return end.kind === "failed" && end.error instanceof Error ? end.error.message : end.kind;
}

class PartsRun {
  private readonly program: Program;
  private readonly words: readonly string[];
  private readonly rounds: number;
  private readonly memory: WebAssembly.Memory;
  private readonly linker: Linker;
  private readonly control: Int32Array;
  private context: Context;
  private polls = 0;
  private clock_ns = 0n;
  private asked_ns = 0n;
  private resumed_ns = 0n;
  private readonly captures_ms: number[] = [];
  private readonly restores_ms: number[] = [];

  constructor(program: Program, frames: number, rounds: number) {
    this.program = program;
    this.words = ["pause", "1", String(frames)];
    this.rounds = rounds;
    const { initial, maximum } = program.memory ?? { initial: 1, maximum: 1 };
    this.memory = new WebAssembly.Memory({
      initial,
      maximum: Math.min(maximum, initial + 1024),
      shared: true,
    });
    const control = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    this.control = new Int32Array(control.buffer);
    this.linker = new Linker({
      control,
      ram: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
      hooks: {
        interrupt: () => this.interrupt(),
        suspend: async () => resumption.proceed,
        grow: (deltaPages) => this.memory.grow(deltaPages),
        die: () => this.context.die(),
      },
      imports: () => ({ wasi_snapshot_preview1: this.functions() }),
    });
    this.context = this.linker.makeContext(program, this.memory);
  }

  async measure(): Promise<Parts> {
    let end: ContextEnd = await this.context.start();
    let frames_bytes = 0;
    while (end.kind === "captured" && this.captures_ms.length < this.rounds) {
      this.captures_ms.push(Number(process.hrtime.bigint() - this.asked_ns) / 1e6);
      frames_bytes = end.state.frames.length;
      this.polls = 0;
      this.resumed_ns = process.hrtime.bigint();
      this.context = this.linker.makeContext(this.program, this.memory, true);
      end = await this.context.resume(end.state);
    }
    if (end.kind !== "captured") throw new Error(`the program ended: ${describe(end)}`);
    return { capture_ms: median(this.captures_ms), restore_ms: median(this.restores_ms), frames_bytes };
  }

  private interrupt(): number {
    if (++this.polls === 1 && this.resumed_ns > 0n) {
      this.restores_ms.push(Number(process.hrtime.bigint() - this.resumed_ns) / 1e6);
    }
    if (this.polls < settle_polls) return interruptAnswer.proceed;
    this.asked_ns = process.hrtime.bigint();
    return interruptAnswer.capture;
  }

  /** As much of a system as the program needs. */
  private functions(): Record<string, (...values: never[]) => unknown> {
    const view = () => new DataView(this.memory.buffer);
    const bytes = this.words.map((word) => new TextEncoder().encode(`${word}\0`));
    return {
      args_sizes_get: (count: number, size: number) => {
        view().setUint32(count, bytes.length, true);
        view().setUint32(
          size,
          bytes.reduce((sum, word) => sum + word.length, 0),
          true,
        );
        return 0;
      },
      args_get: (pointers: number, text: number) => {
        let at = text;
        for (const [index, word] of bytes.entries()) {
          view().setUint32(pointers + 4 * index, at, true);
          new Uint8Array(this.memory.buffer).set(word, at);
          at += word.length;
        }
        return 0;
      },
      // Time passes evenly, or the program would print.
      clock_time_get: (_clock: number, _low: number, _high: number, at: number) => {
        // The stack is deep now.
        this.control[0] = 1;
        this.clock_ns += BigInt(clockRead_ns);
        view().setBigUint64(at, this.clock_ns, true);
        return 0;
      },
      fd_write: (_file: number, vectors: number, _count: number, written: number) => {
        view().setUint32(written, view().getUint32(vectors + 4, true), true);
        return 0;
      },
      proc_exit: () => DIED,
      ...Object.fromEntries(["fd_close", "fd_seek", "fd_fdstat_get"].map((name) => [name, () => 0])),
    };
  }
}
