/**
 * A program that makes the system calls it is told to, with the arguments it is told. It reads records from
 * standard input: the number of a call, then nine 64-bit arguments; it answers each with the call's result on
 * standard error. Whatever the calls do to its memory or its descriptors is its own affair: before each record
 * it sets up anew what it needs.
 */
import { assemble } from "./assembler.ts";
import { wasiSignatures } from "./wasi-signatures.ts";

/** Calls by their number in a record. Those without a result do not come back, and are left out. */
export const puppetCalls: readonly string[] = Object.keys(wasiSignatures).filter(
  // A copy of the puppet would take its commands away.
  (name) => !wasiSignatures[name].endsWith(">") && name !== "wasix_32v1.proc_fork",
);

/** Number of the record that stores its second argument, 8 bytes, at the address in its first. */
export const pokeCall = puppetCalls.length;

const arguments_max = 9;
export const record_bytes = 8 + 8 * arguments_max;
/** Addresses that the program itself uses; everything from 8192 on is free. */
const vector = 64;
const countAt = 72;
const resultAt = 80;
const recordAt = 96;
/** Free memory of the puppet begins here. */
export const arena = 8192;
export const arenaEnd = 4 * 65_536;

/** Code that moves one record or answer whole, or ends the program with a code. */
function transfer(call: "fd_read" | "fd_write", descriptor: number, address: number, length: number): string {
  return `
    i32.const ${vector} i32.const ${address} i32.store
    i32.const ${vector + 4} i32.const ${length} i32.store
    i32.const ${descriptor} i32.const ${vector} i32.const 1 i32.const ${countAt} call ${call}
    if i32.const 90 call proc_exit end
    i32.const ${countAt} i32.load i32.const ${length} i32.ne
    if i32.const ${call === "fd_read" ? 91 : 92} call proc_exit end`;
}

function callCode(name: string): string {
  const [parameters] = wasiSignatures[name].split(">");
  const pushes = [...parameters].map((letter, index) => {
    const type = letter === "l" ? "i64" : "i32";
    return `i32.const ${recordAt + 8 + 8 * index} ${type}.load`;
  });
  return `${pushes.join(" ")} call ${name} local.set 0`;
}

/** The program. `data` by address from `arena` on. */
export function puppet(data: Readonly<Record<number, string | Uint8Array>> = {}): Uint8Array {
  const count = puppetCalls.length + 1;
  const cases = [
    ...puppetCalls.map(callCode),
    `i32.const ${recordAt + 8} i32.load i32.const ${recordAt + 16} i64.load i64.store i32.const 0 local.set 0`,
  ];
  // One block per call, the innermost of which holds the branch table; each case leaves to the end of the outermost.
  const labels = [...cases.keys(), count].join(",");
  const blocks = cases.map((code, index) => `end ${code} br ${count - 1 - index}`);
  return assemble({
    locals: "i",
    memory: { initial: arenaEnd / 65_536, maximum: arenaEnd / 65_536 + 2 },
    data,
    code: `
      loop
        ${transfer("fd_read", 0, recordAt, record_bytes)}
        block
          ${"block ".repeat(count)}
            i32.const ${recordAt} i32.load br_table ${labels}
          ${blocks.join("\n")}
        end
        i32.const ${resultAt} local.get 0 i32.store
        ${transfer("fd_write", 2, resultAt, 4)}
        br 0
      end`,
  });
}

/** One record. */
export function encodeRecord(call: number, args: readonly bigint[]): Uint8Array {
  const record = new DataView(new ArrayBuffer(record_bytes));
  record.setUint32(0, call, true);
  for (const [index, argument] of args.entries())
    record.setBigUint64(8 + 8 * index, BigInt.asUintN(64, argument), true);
  return new Uint8Array(record.buffer);
}
