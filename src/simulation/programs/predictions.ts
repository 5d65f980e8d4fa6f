/** What the programs of workloads must do, written down a second time: results, contents of files, outputs. */

const hashStart = 2166136261;

/** One step of the generator that all patterns come from. */
export function step(state: number): number {
  return (Math.imul(state, 1664525) + 1013904223) >>> 0;
}

/** FNV-1a of bytes, going on from a hash. */
export function hash(bytes: Uint8Array, start = hashStart): number {
  let value = start;
  for (const byte of bytes) value = Math.imul(value ^ byte, 16777619);
  return value >>> 0;
}

/** The pattern that `write`, `source` and others make of a seed. */
export function patternOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = step(state);
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** As programs print numbers. */
export function printed(...values: readonly number[]): string {
  return values.map((value) => `${(value >>> 0).toString(16).padStart(8, "0")}\n`).join("");
}

/** What `compute` and `wander` compute. */
export function computed(seed: number, rounds: number): number {
  let value = seed >>> 0;
  for (let i = 0; i < rounds; i++) {
    value = step(value);
    value = (value ^ (value >>> 15)) >>> 0;
  }
  return value;
}

const record_bytes = 16;

/** What is wrong with a file of appended records. */
export interface RecordsFault {
  readonly text: string;
}

/**
 * The numbers of records of each writer in a file that `append` wrote to, or what is wrong with it: every record is
 * whole, and each writer's are in order, from 0, each once.
 */
export function readRecords(content: Uint8Array): Map<number, number> | RecordsFault {
  const counts = new Map<number, number>();
  if (content.length % record_bytes !== 0) return { text: `${content.length} bytes are not whole records` };
  const words = new DataView(content.buffer, content.byteOffset, content.length);
  for (let at = 0; at < content.length; at += record_bytes) {
    const [writer, number, check, second] = [0, 4, 8, 12].map((offset) => words.getUint32(at + offset, true));
    if ((writer ^ number) >>> 0 !== check || step(Math.imul(writer, 65536) + number) !== second)
      return { text: `byte ${at}: a torn record (${writer}, ${number}, ${check}, ${second})` };
    const expected = counts.get(writer) ?? 0;
    if (number !== expected)
      return { text: `byte ${at}: record ${number} of writer ${writer}, not ${expected}` };
    counts.set(writer, expected + 1);
  }
  return counts;
}

/** An entry of the log that `register` writes. */
export interface RegisterEntry {
  readonly before_ns: number;
  readonly after_ns: number;
  readonly isWrite: boolean;
  readonly location: number;
  readonly value: number;
}

const entry_bytes = 32;

/** Reads a log of `register`; a last entry that is not whole is left out. */
export function readRegisterLog(bytes: Uint8Array): RegisterEntry[] {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: RegisterEntry[] = [];
  for (let at = 0; at + entry_bytes <= bytes.length; at += entry_bytes) {
    entries.push({
      before_ns: Number(words.getBigUint64(at, true)),
      after_ns: Number(words.getBigUint64(at + 8, true)),
      isWrite: words.getUint32(at + 16, true) !== 0,
      location: words.getUint32(at + 20, true),
      value: words.getUint32(at + 24, true),
    });
  }
  return entries;
}
