/** Small programs that do one thing. What they share: standard output is 1, scratch memory lies below 1024. */
import { assemble } from "./assembler.ts";

/** Code that writes `length` bytes from `address` to a descriptor and ignores the result. */
export function writeCode(descriptor: number, address: number, length: number): string {
  return `
    i32.const 0 i32.const ${address} i32.store
    i32.const 4 i32.const ${length} i32.store
    i32.const ${descriptor} i32.const 0 i32.const 1 i32.const 8 call fd_write drop`;
}

/** Code that reads up to `length` bytes to `address`; the errno stays on the stack, the count at 8. */
export function readCode(descriptor: number, address: number, length: number): string {
  return `
    i32.const 0 i32.const ${address} i32.store
    i32.const 4 i32.const ${length} i32.store
    i32.const ${descriptor} i32.const 0 i32.const 1 i32.const 8 call fd_read`;
}

export function exitWith(code: number): Uint8Array {
  return assemble({ code: `i32.const ${code} call proc_exit` });
}

export function print(text: string): Uint8Array {
  return assemble({
    code: writeCode(1, 1024, new TextEncoder().encode(text).length),
    data: { 1024: text },
  });
}

/** Says "on" and then loops for ever without a system call. */
export const spin = assemble({
  code: `${writeCode(1, 1024, 3)} loop br 0 end`,
  data: { 1024: "on\n" },
});

/** Reads standard input for ever and throws it away; ends with 3 at the end of input, 4 for an error. */
export const drain = assemble({
  code: `
    loop
      ${readCode(0, 1024, 4096)}
      if i32.const 4 call proc_exit end
      i32.const 8 i32.load i32.eqz
      if i32.const 3 call proc_exit end
      br 0
    end`,
});

/** Copies standard input to standard output; ends with 0, or with the errno of a read or write that failed. */
export const copy = assemble({
  locals: "iii",
  code: `
    loop
      ${readCode(0, 1024, 32768)}
      local.tee 0
      if local.get 0 call proc_exit end
      i32.const 8 i32.load local.tee 1
      i32.eqz if return end
      i32.const 1024 local.set 2
      loop
        i32.const 0 local.get 2 i32.store
        i32.const 4 local.get 1 i32.store
        i32.const 1 i32.const 0 i32.const 1 i32.const 8 call fd_write
        local.tee 0
        if local.get 0 call proc_exit end
        local.get 2 i32.const 8 i32.load i32.add local.set 2
        local.get 1 i32.const 8 i32.load i32.sub local.tee 1
        br_if 0
      end
      br 0
    end`,
});

/** Writes its 4 KiB to standard output for ever; ends with the errno of the write that failed. */
export const flood = assemble({
  locals: "i",
  code: `
    loop
      i32.const 0 i32.const 1024 i32.store
      i32.const 4 i32.const 4096 i32.store
      i32.const 1 i32.const 0 i32.const 1 i32.const 8 call fd_write
      local.tee 0 i32.eqz br_if 0
    end
    local.get 0 call proc_exit`,
});

/** A clock subscription at 1024 for `poll_oneoff`; the event goes to 2048, the count to 8. */
export function sleepCode(duration_ns: bigint): string {
  return `
    i32.const 1024 i64.const 77 i64.store
    i32.const 1032 i32.const 0 i32.store8
    i32.const 1040 i32.const 1 i32.store
    i32.const 1048 i64.const ${duration_ns} i64.store
    i32.const 1056 i64.const 0 i64.store
    i32.const 1064 i32.const 0 i32.store16
    i32.const 1024 i32.const 2048 i32.const 1 i32.const 8 call poll_oneoff`;
}

/** Says "on", sleeps in `poll_oneoff`, and exits with its errno. */
export function sleep(duration_ns: bigint): Uint8Array {
  return assemble({
    code: `${writeCode(1, 4096, 3)} ${sleepCode(duration_ns)} call proc_exit`,
    data: { 4096: "on\n" },
  });
}

/**
 * Counts turns of a loop for `turns` and then exits with 0; between every 2^20 turns it says "." so that its
 * progress can be seen.
 */
export function count(turns: number): Uint8Array {
  return assemble({
    locals: "i",
    code: `
      loop
        local.get 0 i32.const 1048575 i32.and i32.eqz
        if ${writeCode(1, 1024, 1)} end
        local.get 0 i32.const 1 i32.add local.tee 0
        i32.const ${turns} i32.lt_u br_if 0
      end`,
    data: { 1024: "." },
  });
}
