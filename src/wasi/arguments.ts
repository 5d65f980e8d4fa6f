/** `args_*` and `environ_*`: the strings a program is started with. */
import { errno } from "../kernel/errno.ts";
import type { Caller } from "./caller.ts";

/** `args_sizes_get`: number of arguments and the bytes they need, NULs included. */
export function argumentSizes(caller: Caller, countAddress: number, bytesAddress: number): number {
  return stringSizes(caller, caller.process.arguments, countAddress >>> 0, bytesAddress >>> 0);
}

/** `args_get`: fills an array of pointers and the strings they point to. */
export function argumentStrings(caller: Caller, pointers: number, strings: number): number {
  return copyStrings(caller, caller.process.arguments, pointers >>> 0, strings >>> 0);
}

/** `environ_sizes_get` */
export function environmentSizes(caller: Caller, countAddress: number, bytesAddress: number): number {
  return stringSizes(caller, caller.process.environment, countAddress >>> 0, bytesAddress >>> 0);
}

/** `environ_get` */
export function environmentStrings(caller: Caller, pointers: number, strings: number): number {
  return copyStrings(caller, caller.process.environment, pointers >>> 0, strings >>> 0);
}

function stringSizes(
  caller: Caller,
  list: readonly Uint8Array[],
  countAddress: number,
  bytesAddress: number,
): number {
  const { memory } = caller;
  memory.refresh();
  const { words } = memory;
  if (!memory.holdsWord(countAddress) || !memory.holdsWord(bytesAddress)) return errno.FAULT;
  words.setValue(countAddress, list.length);
  words.setValue(bytesAddress, totalBytes(list));
  return errno.SUCCESS;
}

function copyStrings(caller: Caller, list: readonly Uint8Array[], pointers: number, strings: number): number {
  const { memory } = caller;
  memory.refresh();
  const { addresses } = memory;
  const pointerSize = memory.sizeOf(addresses);
  if (!memory.holds(pointers, list.length * pointerSize) || !memory.holds(strings, totalBytes(list))) {
    return errno.FAULT;
  }
  let at = strings;
  for (let n = 0; n < list.length; n++) {
    addresses.setValue(pointers + n * pointerSize, at);
    memory.put(at, list[n]);
    at += list[n].length;
    memory.bytes[at++] = 0;
  }
  return errno.SUCCESS;
}

function totalBytes(list: readonly Uint8Array[]): number {
  let total = 0;
  for (const text of list) total += text.length + 1;
  return total;
}
