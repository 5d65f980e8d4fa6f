/**
 * The trace of a simulation: every event that matters, in order, as a running hash. Two runs are the same when their
 * digests are. The last records are kept, as numbers, and become text only when somebody looks; a full capture of
 * text is optional.
 */

export interface TraceOptions {
  /** Records kept for `lastLines`; 256 unless told. */
  readonly kept?: number;
  /** Gets each record as a line of text, at once. Slow. */
  readonly onLine?: (line: string) => void;
}

/** What is known about records of one kind. */
interface KindTally {
  readonly kind: string;
  readonly hash: number;
  count: number;
}

/** Numbers of one kept record: time, core, three values. */
const recordWidth = 5;
const fnvPrime = 0x01000193;

export class Trace {
  private readonly tallies = new Map<string, KindTally>();
  private readonly kept: number;
  private readonly keptNumbers: Float64Array;
  private readonly keptKinds: string[];
  private readonly onLine: ((line: string) => void) | undefined;
  /** For the bits of a number; the second word is the upper half on every machine that runs this. */
  private readonly number = new Float64Array(1);
  private readonly words = new Uint32Array(this.number.buffer);
  private low = 0x811c9dc5;
  private high = 0x9e3779b9;
  private records = 0;
  private latest_ns = 0;

  constructor(options: TraceOptions = {}) {
    this.kept = options.kept ?? 256;
    this.keptNumbers = new Float64Array(this.kept * recordWidth);
    this.keptKinds = new Array<string>(this.kept).fill("");
    this.onLine = options.onLine;
  }

  /** Records so far. */
  get count(): number {
    return this.records;
  }

  /** The greatest time of a record so far. */
  get end_ns(): number {
    return this.latest_ns;
  }

  /** Adds a record; the meaning of the values is the kind's. `core` is −1 where none is concerned. */
  record(kind: string, time_ns: number, core: number, first = 0, second = 0, third = 0): void {
    const tally = this.tallyOf(kind);
    tally.count++;
    this.low = Math.imul(this.low ^ tally.hash, fnvPrime);
    this.hashNumber(time_ns);
    this.hashNumber(core);
    this.hashNumber(first);
    this.hashNumber(second);
    this.hashNumber(third);
    if (time_ns > this.latest_ns) this.latest_ns = time_ns;
    if (this.kept > 0) {
      const slot = this.records % this.kept;
      const numbers = this.keptNumbers;
      const at = slot * recordWidth;
      numbers[at] = time_ns;
      numbers[at + 1] = core;
      numbers[at + 2] = first;
      numbers[at + 3] = second;
      numbers[at + 4] = third;
      this.keptKinds[slot] = kind;
    }
    this.records++;
    if (this.onLine !== undefined) this.onLine(formatRecord(kind, time_ns, core, first, second, third));
  }

  /** Adds a text to the digest, as a record of its own: names, outputs, failures. */
  note(kind: string, time_ns: number, core: number, text: string): void {
    let hash = 0x811c9dc5;
    for (let index = 0; index < text.length; index++) {
      hash = Math.imul(hash ^ text.charCodeAt(index), fnvPrime);
    }
    this.record(kind, time_ns, core, hash >>> 0, text.length);
    if (this.onLine !== undefined) this.onLine(`  ${text}`);
  }

  /** 16 hexadecimal digits that stand for everything recorded so far. */
  digest(): string {
    return hexadecimal(this.high) + hexadecimal(this.low);
  }

  /** The records that are kept, oldest first. */
  lastLines(count = this.kept): string[] {
    const lines: string[] = [];
    const first = Math.max(0, this.records - Math.min(count, this.kept));
    for (let record = first; record < this.records; record++) {
      const slot = record % this.kept;
      const [time_ns, core, a, b, c] = this.keptNumbers.subarray(
        slot * recordWidth,
        (slot + 1) * recordWidth,
      );
      lines.push(formatRecord(this.keptKinds[slot], time_ns, core, a, b, c));
    }
    return lines;
  }

  /** How many records of a kind there were. */
  countOf(kind: string): number {
    return this.tallies.get(kind)?.count ?? 0;
  }

  /** Some lines for people: counts by kind (in the order of their names), the end, the digest. */
  summary(): string {
    const tallies = [...this.tallies.values()].sort((left, right) => (left.kind < right.kind ? -1 : 1));
    const width = Math.max(7, ...tallies.map((tally) => tally.kind.length));
    return [
      ...tallies.map((tally) => `${tally.kind.padEnd(width)} ${tally.count}`),
      `${"records".padEnd(width)} ${this.records}`,
      `${"end".padEnd(width)} ${formatTime(this.latest_ns)}`,
      `${"digest".padEnd(width)} ${this.digest()}`,
    ].join("\n");
  }

  private tallyOf(kind: string): KindTally {
    const known = this.tallies.get(kind);
    if (known !== undefined) return known;
    let hash = 0x811c9dc5;
    for (let index = 0; index < kind.length; index++) {
      hash = Math.imul(hash ^ kind.charCodeAt(index), fnvPrime);
    }
    const tally = { kind, hash, count: 0 };
    this.tallies.set(kind, tally);
    return tally;
  }

  /** FNV-1a by words; the second lane sees each word rotated, so that it differs from the first. */
  private hashNumber(value: number): void {
    this.number[0] = value;
    const first = this.words[0];
    const second = this.words[1];
    let low = Math.imul(this.low ^ first, fnvPrime);
    low = Math.imul(low ^ (low >>> 15) ^ second, fnvPrime);
    this.low = low;
    this.high = Math.imul(this.high ^ ((low << 13) | (low >>> 19)), fnvPrime);
  }
}

function hexadecimal(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** Microseconds with three digits: always the same text for the same number. */
function formatTime(time_ns: number): string {
  return `${(time_ns / 1000).toFixed(3)} us`;
}

function formatRecord(kind: string, time_ns: number, core: number, a: number, b: number, c: number): string {
  return `${formatTime(time_ns)} core ${core} ${kind} ${a} ${b} ${c}`;
}
