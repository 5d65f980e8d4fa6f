/**
 * A small WASI host for these tests: enough for a C program that reads nothing and prints, and a few calls for
 * generated modules whose answers depend on what was called before. All that a program did to it is its `log`.
 */
import { BLOCKED, DIED, type ImportFunction, type ImportFunctions } from "../../../src/engine/index.ts";

const errno = { success: 0, badFile: 8, noSystem: 52 } as const;
const standardOutput = 1;
const characterDevice = 2;

/** The system that a program runs on in these tests. It survives captures, as a kernel does. */
export interface Host {
  /** All that the program did to it. */
  readonly log: string;
  /** Null until the program has exited. */
  readonly exitCode: number | null;
  /** The functions that programs may import. 64-bit values come in halves if `instrumented`. */
  functions(instrumented: boolean): ImportFunctions;
  /** The program goes on over another memory. */
  moved?(memory: WebAssembly.Memory): void;
}

/** The state of the host: what it has seen so far. */
export class TestHost implements Host {
  /** What the program printed, and the calls of generated modules, in order. */
  log = "";
  exitCode: number | null = null;
  private calls = 0;
  private readonly memory: () => ArrayBufferLike;
  private readonly blocks: () => boolean;
  private readonly decoder = new TextDecoder();

  /**
   * @param memory the program's memory as it is now.
   * @param blocks whether the call that is being made must wait first.
   */
  constructor(memory: () => ArrayBufferLike, blocks: () => boolean) {
    this.memory = memory;
    this.blocks = blocks;
  }

  /** The functions of one WASI version, and those under `test`. 64-bit values come in halves if `instrumented`. */
  functions(instrumented: boolean): Record<string, Record<string, ImportFunction>> {
    const wide = instrumented
      ? (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0)
      : undefined;
    const preview1: Record<string, ImportFunction> = {
      args_sizes_get: (count: number, size: number) => this.store(count, 0) + this.store(size, 0),
      args_get: () => errno.success,
      environ_sizes_get: (count: number, size: number) => this.store(count, 0) + this.store(size, 0),
      environ_get: () => errno.success,
      fd_prestat_get: () => errno.badFile,
      fd_prestat_dir_name: () => errno.badFile,
      fd_close: () => errno.success,
      fd_fdstat_get: (file: number, at: number) => this.describe(file, at),
      fd_write: (file: number, vectors: number, count: number, written: number) =>
        this.wait(() => this.write(file, vectors, count, written)),
      proc_exit: (code: number) => {
        this.exitCode = code;
        return DIED;
      },
      sched_yield: () => this.wait(() => this.answer("yield", [])),
      fd_sync: (value: number) => this.wait(() => this.answer("sync", [value])),
      fd_seek:
        wide === undefined
          ? (file: number, offset: bigint, whence: number, at: number) => this.seek(file, offset, whence, at)
          : (file: number, low: number, high: number, whence: number, at: number) =>
              this.wait(() => this.seek(file, wide(low, high), whence, at)),
    };
    const test: Record<string, ImportFunction> = {
      number: (value: number) => this.answer("number", [value]),
      wide: (value: bigint) => BigInt(this.answer("wide", [value])),
      real: (value: number) => this.answer("real", [value]),
    };
    return { wasi_snapshot_preview1: preview1, test };
  }

  private wait(act: () => number): number {
    return this.blocks() ? BLOCKED : act();
  }

  /** A number that depends on the arguments and on how many calls there were. Never negative. */
  private answer(name: string, values: readonly (number | bigint)[]): number {
    this.calls++;
    if (this.log.length < 200_000) this.log += `${name}(${values})`;
    const mixed = values.reduce(
      (sum: number, value) => (sum * 31 + Number(BigInt.asIntN(31, BigInt(Math.trunc(clamp(value)))))) | 0,
      this.calls,
    );
    return mixed & 0x7fff_ffff;
  }

  private seek(file: number, offset: bigint, whence: number, at: number): number {
    if (file <= 2 && whence <= 2 && at > 1024) return errno.noSystem;
    return this.answer("seek", [file, offset, whence, at]);
  }

  private store(address: number, value: number): number {
    new DataView(this.memory()).setUint32(address >>> 0, value, true);
    return errno.success;
  }

  private describe(file: number, at: number): number {
    if (file > 2) return errno.badFile;
    new Uint8Array(this.memory(), at >>> 0, 24).fill(0);
    new Uint8Array(this.memory(), at >>> 0, 1)[0] = characterDevice;
    return errno.success;
  }

  private write(file: number, vectors: number, count: number, written: number): number {
    if (file !== standardOutput && file !== 2) return errno.badFile;
    const view = new DataView(this.memory());
    let total_bytes = 0;
    for (let index = 0; index < count; index++) {
      const address = view.getUint32((vectors >>> 0) + 8 * index, true);
      const length_bytes = view.getUint32((vectors >>> 0) + 8 * index + 4, true);
      this.log += this.decoder.decode(new Uint8Array(this.memory(), address, length_bytes).slice());
      total_bytes += length_bytes;
    }
    return this.store(written, total_bytes);
  }
}

function clamp(value: number | bigint): number {
  const number = Number(value);
  return Number.isFinite(number) ? Math.max(-1e15, Math.min(1e15, number)) : 7;
}
