/**
 * Programs with NightWatch threads, written as flat text. Parameters of a thread's function: its id, its argument.
 * Memory: the normal thread's calls use what lies below 4096, threads' calls what lies from there to 8192.
 */
import { buildModule } from "../../engine/support/module-builder.ts";

const imported = [
  ["archipelago_1.nightwatch_spawn", "i", "i"],
  ["archipelago_1.nightwatch_join", "i", "i"],
  ["archipelago_1.proc_migrate", "i", "i"],
  ["wasi_snapshot_preview1.proc_exit", "i", ""],
  ["wasi_snapshot_preview1.fd_write", "iiii", "i"],
  ["wasi_snapshot_preview1.fd_read", "iiii", "i"],
  ["wasi_snapshot_preview1.fd_renumber", "ii", "i"],
  ["wasi_snapshot_preview1.poll_oneoff", "iiii", "i"],
  ["wasi_snapshot_preview1.proc_raise", "i", "i"],
  ["wasix_32v1.proc_fork", "ii", "i"],
  ["wasix_32v1.proc_exec", "iiii", ""],
  ["wasix_32v1.proc_join", "iii", "i"],
] as const;

/** Code that calls an imported function. */
export function call(name: string): string {
  const index = imported.findIndex(([full]) => full.endsWith(`.${name}`));
  if (index < 0) throw new Error(`no import ${name}`);
  return `call ${index}`;
}

export interface ThreadedProgram {
  /** The normal thread, with four i32 locals. */
  readonly normal: string;
  /** A NightWatch thread: locals 0 and 1 are id and argument, 2 and 3 are free. None: the export is missing. */
  readonly thread?: string;
  readonly data?: Readonly<Record<number, string>>;
  readonly maximum_pages?: number;
  /** Code of the module's start function. */
  readonly start?: string;
}

export function threaded({ normal, thread, data, maximum_pages = 8, start }: ThreadedProgram): Uint8Array {
  const functions: { export?: string; params?: string; locals?: string; code: string }[] = [
    { export: "_start", locals: "iiii", code: normal },
  ];
  if (thread !== undefined)
    functions.push({ export: "wasi_thread_start", params: "ii", locals: "ii", code: thread });
  if (start !== undefined) functions.push({ code: start });
  return buildModule({
    imports: imported,
    memories: [{ minimum: 1, maximum: maximum_pages }],
    functions,
    data,
    start: start === undefined ? undefined : imported.length + functions.length - 1,
  });
}

/** Code that ends the process with the code on the stack. */
export const exit = call("proc_exit");

/** Code that sleeps for some time below two seconds; scratch memory of 1088 bytes from `at` on. */
export function sleepFor(duration_ms: number, at = 1024): string {
  return `
    i32.const ${at} i64.const 77 i64.store
    i32.const ${at + 8} i32.const 0 i32.store8
    i32.const ${at + 16} i32.const 1 i32.store
    i32.const ${at + 24} i64.const ${duration_ms * 1_000_000} i64.store
    i32.const ${at + 32} i64.const 0 i64.store
    i32.const ${at + 40} i32.const 0 i32.store16
    i32.const ${at} i32.const ${at + 48} i32.const 1 i32.const ${at + 80} ${call("poll_oneoff")} drop`;
}

/** Code that writes to a descriptor; the errno stays on the stack. Scratch memory of 12 bytes from `at` on. */
export function write(descriptor: number, address: number, length: number, at = 0): string {
  return `
    i32.const ${at} i32.const ${address} i32.store
    i32.const ${at + 4} i32.const ${length} i32.store
    i32.const ${descriptor} i32.const ${at} i32.const 1 i32.const ${at + 8} ${call("fd_write")}`;
}

/** Code that counts in the word at an address for ever. */
export function countAt(address: number): string {
  return `loop : i32.const ${address} i32.const ${address} i32.load i32.const 1 i32.add i32.store br 0 end`;
}
