/**
 * Functions that the programs of workloads share, and what they may import. Memory below 8192 is theirs:
 *
 *     0     an iovec, and the number of bytes that were moved, at 8
 *     16    results of system calls
 *     32    an option of a pid; 48 a join status
 *     64    number of arguments, and bytes of their texts
 *     128   addresses of the arguments; 512 their texts
 *     3072  a subscription; 3136 its event; 3200 a time
 *     4096  a path; 4352 another; 5120 a table of 256 words
 *     8192  a buffer of 32 KiB
 */
import type { FunctionText, ProgramText } from "./assembler.ts";

const wasi = "wasi_snapshot_preview1";
const wasix = "wasix_32v1";

/** What programs may call. */
export const imports: ProgramText["imports"] = {
  args_get: [wasi, "ii>i"],
  args_sizes_get: [wasi, "ii>i"],
  clock_time_get: [wasi, "ili>i"],
  fd_close: [wasi, "i>i"],
  fd_filestat_set_size: [wasi, "il>i"],
  fd_pread: [wasi, "iiili>i"],
  fd_pwrite: [wasi, "iiili>i"],
  fd_read: [wasi, "iiii>i"],
  fd_write: [wasi, "iiii>i"],
  path_create_directory: [wasi, "iii>i"],
  path_open: [wasi, "iiiiillii>i"],
  path_remove_directory: [wasi, "iii>i"],
  path_rename: [wasi, "iiiiii>i"],
  path_unlink_file: [wasi, "iii>i"],
  poll_oneoff: [wasi, "iiii>i"],
  proc_exit: [wasi, "i>"],
  sched_yield: [wasi, ">i"],
  fd_pipe: [wasix, "ii>i"],
  proc_fork: [wasix, "ii>i"],
  proc_id: [wasix, "i>i"],
  proc_join: [wasix, "iii>i"],
  proc_migrate: ["archipelago_1", "i>i"],
};

export const buffer = 8192;
export const buffer_bytes = 32_768;
export const memory_pages = 1;

/** Exit code of a program whose system call failed: this and the errno. */
export const failedCall = 20;
/** Exit codes for answers that cannot be. */
export const wrongAnswer = { time: 17, shortWrite: 18, gaveUp: 19, wrongPid: 16 } as const;

/** Flags of `path_open`. */
export const openFlags = { none: 0, create: 1, createNew: 5, createEmpty: 9 } as const;
export const appendFlag = 1;
const readingRights = (1 << 1) | (1 << 2) | (1 << 5) | (1 << 21);
export const rights = { read: readingRights, write: readingRights | (1 << 6) | (1 << 22) } as const;

/** The directory that programs are started with. */
const rootDescriptor = 3;

export const library: Readonly<Record<string, FunctionText>> = {
  /** Ends the program when a system call failed. */
  check: {
    parameters: ["errno"],
    code: `local.get $errno if local.get $errno i32.const ${failedCall} i32.add call proc_exit end`,
  },
  take_arguments: {
    code: `i32.const 64 i32.const 68 call args_sizes_get call check
           i32.const 128 i32.const 512 call args_get call check`,
  },
  /** Address of an argument's text; the program's name is argument 0. */
  argument: {
    parameters: ["index"],
    result: true,
    code: `local.get $index i32.const 2 i32.shl i32.load offset=128`,
  },
  text_length: {
    parameters: ["text"],
    result: true,
    locals: ["at"],
    code: `local.get $text local.set $at
           block loop
             local.get $at i32.load8_u i32.eqz br_if 1
             local.get $at i32.const 1 i32.add local.set $at br 0
           end end
           local.get $at local.get $text i32.sub`,
  },
  /** An argument as a number, in decimal. */
  number: {
    parameters: ["index"],
    result: true,
    locals: ["at", "value"],
    code: `local.get $index call argument local.set $at
           block loop
             local.get $at i32.load8_u i32.eqz br_if 1
             local.get $value i32.const 10 i32.mul local.get $at i32.load8_u i32.add i32.const 48 i32.sub local.set $value
             local.get $at i32.const 1 i32.add local.set $at br 0
           end end
           local.get $value`,
  },
  /** One write; how many bytes were taken. */
  write_some: {
    parameters: ["descriptor", "address", "length"],
    result: true,
    code: `i32.const 0 local.get $address i32.store i32.const 4 local.get $length i32.store
           local.get $descriptor i32.const 0 i32.const 1 i32.const 8 call fd_write call check
           i32.const 8 i32.load`,
  },
  write_all: {
    parameters: ["descriptor", "address", "length"],
    locals: ["count"],
    code: `block loop
             local.get $length i32.eqz br_if 1
             local.get $descriptor local.get $address local.get $length call write_some local.set $count
             local.get $address local.get $count i32.add local.set $address
             local.get $length local.get $count i32.sub local.set $length br 0
           end end`,
  },
  /** One read; how many bytes there were, 0 at the end. */
  read_some: {
    parameters: ["descriptor", "address", "length"],
    result: true,
    code: `i32.const 0 local.get $address i32.store i32.const 4 local.get $length i32.store
           local.get $descriptor i32.const 0 i32.const 1 i32.const 8 call fd_read call check
           i32.const 8 i32.load`,
  },
  /** Writes a number to standard output: eight hexadecimal digits and a line feed. */
  print: {
    parameters: ["value"],
    locals: ["at", "digit"],
    code: `i32.const 0 local.set $at
           loop
             local.get $value i32.const 28 i32.shr_u local.tee $digit
             i32.const 48 i32.add
             local.get $digit i32.const 9 i32.gt_u i32.const 39 i32.mul i32.add local.set $digit
             local.get $at local.get $digit i32.store8 offset=3220
             local.get $value i32.const 4 i32.shl local.set $value
             local.get $at i32.const 1 i32.add local.tee $at i32.const 8 i32.lt_u br_if 0
           end
           i32.const 3228 i32.const 10 i32.store8
           i32.const 1 i32.const 3220 i32.const 9 call write_all`,
  },
  /** Opens a path below the root for writing; the errno, with the descriptor at 16. */
  try_open: {
    parameters: ["path", "length", "flags", "append"],
    result: true,
    code: `i32.const ${rootDescriptor} i32.const 0 local.get $path local.get $length local.get $flags
           i64.const ${rights.write} i64.const ${rights.write} local.get $append i32.const 16 call path_open`,
  },
  /** Opens the file that an argument names. */
  open: {
    parameters: ["index", "flags", "append"],
    result: true,
    locals: ["path"],
    code: `local.get $index call argument local.tee $path
           local.get $path call text_length local.get $flags local.get $append call try_open call check
           i32.const 16 i32.load`,
  },
  /** One step of the generator of all patterns. */
  step: {
    parameters: ["state"],
    result: true,
    code: `local.get $state i32.const 1664525 i32.mul i32.const 1013904223 i32.add`,
  },
  /** Fills memory with a pattern; the generator's state after it. */
  fill: {
    parameters: ["state", "address", "length"],
    result: true,
    code: `block loop
             local.get $length i32.eqz br_if 1
             local.get $state call step local.set $state
             local.get $address local.get $state i32.const 24 i32.shr_u i32.store8
             local.get $address i32.const 1 i32.add local.set $address
             local.get $length i32.const 1 i32.sub local.set $length br 0
           end end
           local.get $state`,
  },
  /** FNV-1a, going on from a hash. */
  hash: {
    parameters: ["value", "address", "length"],
    result: true,
    code: `block loop
             local.get $length i32.eqz br_if 1
             local.get $value local.get $address i32.load8_u i32.xor i32.const 16777619 i32.mul local.set $value
             local.get $address i32.const 1 i32.add local.set $address
             local.get $length i32.const 1 i32.sub local.set $length br 0
           end end
           local.get $value`,
  },
  least: {
    parameters: ["a", "b"],
    result: true,
    code: `local.get $a local.get $b local.get $a local.get $b i32.lt_u select`,
  },
  /** Writes a pattern in pieces; the hash of it all. */
  write_pattern: {
    parameters: ["descriptor", "state", "length", "piece"],
    result: true,
    locals: ["value", "count"],
    code: `i32.const -2128831035 local.set $value
           block loop
             local.get $length i32.eqz br_if 1
             local.get $length local.get $piece call least local.set $count
             local.get $state i32.const ${buffer} local.get $count call fill local.set $state
             local.get $value i32.const ${buffer} local.get $count call hash local.set $value
             local.get $descriptor i32.const ${buffer} local.get $count call write_all
             local.get $length local.get $count i32.sub local.set $length br 0
           end end
           local.get $value`,
  },
  /** Reads to the end; the hash goes on from `value`, and the number of bytes is at 20. */
  hash_rest: {
    parameters: ["descriptor", "value"],
    result: true,
    locals: ["count", "total"],
    code: `block loop
             local.get $descriptor i32.const ${buffer} i32.const ${buffer_bytes} call read_some local.tee $count
             i32.eqz br_if 1
             local.get $value i32.const ${buffer} local.get $count call hash local.set $value
             local.get $total local.get $count i32.add local.set $total br 0
           end end
           i32.const 20 local.get $total i32.store
           local.get $value`,
  },
  /** Monotonic time at 3200. */
  look_at_clock: {
    code: `i32.const 1 i64.const 1 i32.const 3200 call clock_time_get call check`,
  },
  sleep: {
    parameters: ["milliseconds"],
    code: `i32.const 3072 i64.const 7 i64.store
           i32.const 3080 i32.const 0 i32.store8
           i32.const 3088 i32.const 1 i32.store
           i32.const 3096 local.get $milliseconds i64.extend_i32_u i64.const 1000000 i64.mul i64.store
           i32.const 3104 i64.const 0 i64.store
           i32.const 3112 i32.const 0 i32.store16
           i32.const 3072 i32.const 3136 i32.const 1 i32.const 8 call poll_oneoff call check`,
  },
};
