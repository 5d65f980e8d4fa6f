/**
 * What a program is started with, as bytes in island pages: the program's path, arguments, environment and
 * the names of its preopened directories. Written by whoever spawns, read by the kernel that runs it.
 */
import { overlay, struct, type TypedMemory, u32 } from "../memory/index.ts";

/** Counts, followed by that many NUL-terminated UTF-8 strings in this order; the program's path comes first. */
const ArgumentHeader = struct("ArgumentHeader", {
  size_bytes: u32,
  argumentCount: u32,
  environmentCount: u32,
  preopenCount: u32,
  stoppingPointCount: u32,
});
const header_bytes = 20;
/** Most that arguments, environment and names may take together. */
export const argumentBlock_bytes_max = 4 * 1024 * 1024;

export interface ProgramArguments {
  /** Absolute path of the program in the system's name space. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** `NAME=value` each. */
  readonly environment: readonly string[];
  /** Names of the preopened directories, in descriptor order from 3. */
  readonly preopens: readonly string[];
  /** Where it is to stop, see `wasi/stopping-point.ts`; nowhere unless given. */
  readonly stoppingPoint?: string;
}

/** The same, as the program will receive it. */
export interface DecodedArguments {
  readonly program: string;
  readonly arguments: Uint8Array[];
  readonly environment: Uint8Array[];
  readonly preopens: string[];
  readonly stoppingPoint: string | undefined;
}

/** The block's bytes. Throws a RangeError naming the string that contains a NUL. */
export function encodeArguments(value: ProgramArguments): Uint8Array {
  const stoppingPoints = value.stoppingPoint === undefined ? [] : [value.stoppingPoint];
  const strings = [
    value.program,
    ...value.arguments,
    ...value.environment,
    ...value.preopens,
    ...stoppingPoints,
  ];
  for (const text of strings) {
    if (text.includes("\0"))
      throw new RangeError(`argument ${JSON.stringify(text)} contains a NUL character`);
  }
  const body = new TextEncoder().encode(strings.map((text) => `${text}\0`).join(""));
  const block = new Uint8Array(header_bytes + body.length);
  const header = overlay(ArgumentHeader, block.buffer, { format: "lp64", base: 0, count: 1 });
  header.setSize_bytes(0, block.length);
  header.setArgumentCount(0, value.arguments.length);
  header.setEnvironmentCount(0, value.environment.length);
  header.setPreopenCount(0, value.preopens.length);
  header.setStoppingPointCount(0, stoppingPoints.length);
  block.set(body, header_bytes);
  return block;
}

/** Reads a block at an absolute offset of the island's memory; null if it is damaged. */
export function decodeArguments(
  memory: TypedMemory,
  offset: number,
  limit_bytes: number,
): DecodedArguments | null {
  if (offset <= 0 || offset + header_bytes > memory.bytes.length) return null;
  const header = overlay(ArgumentHeader, memory.buffer, {
    format: "lp64",
    base: offset,
    count: 1,
    guard: memory.guard,
  });
  const size_bytes = header.size_bytes(0);
  if (size_bytes < header_bytes || size_bytes > limit_bytes || offset + size_bytes > memory.bytes.length)
    return null;
  // A private copy: text decoders refuse shared memory, and nobody can change it under us.
  const block = memory.read(offset, size_bytes);
  const counts = [
    1,
    header.argumentCount(0),
    header.environmentCount(0),
    header.preopenCount(0),
    header.stoppingPointCount(0),
  ];
  let at = header_bytes;
  const groups: Uint8Array[][] = [];
  for (const count of counts) {
    const group: Uint8Array[] = [];
    for (let n = 0; n < count; n++) {
      const end = block.indexOf(0, at);
      if (end < 0) return null;
      group.push(block.subarray(at, end));
      at = end + 1;
    }
    groups.push(group);
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    program: decoder.decode(groups[0][0]),
    arguments: groups[1],
    environment: groups[2],
    preopens: groups[3].map((name) => decoder.decode(name)),
    stoppingPoint: groups[4].length === 0 ? undefined : decoder.decode(groups[4][0]),
  };
}
