/** Sets of small numbers, as rows of bits in one array that is used again and again. */
export class BitRows {
  private words = new Uint32Array(1024);
  /** Words in a row. */
  private width = 1;
  private rows = 0;

  /** Makes room for `rows` empty sets of numbers below `limit`. */
  reset(rows: number, limit: number): void {
    this.width = (limit + 31) >>> 5;
    this.rows = rows;
    const size = rows * this.width;
    if (size > this.words.length) this.words = new Uint32Array(size * 2);
    else this.clearAll();
  }

  clearAll(): void {
    this.words.fill(0, 0, this.rows * this.width);
  }

  set(row: number, number: number): void {
    this.words[row * this.width + (number >>> 5)] |= 1 << (number & 31);
  }

  unset(row: number, number: number): void {
    this.words[row * this.width + (number >>> 5)] &= ~(1 << (number & 31));
  }

  clear(row: number): void {
    const start = row * this.width;
    for (let word = start; word < start + this.width; word++) this.words[word] = 0;
  }

  /** Puts every number into a set. */
  fill(row: number): void {
    const start = row * this.width;
    for (let word = start; word < start + this.width; word++) this.words[word] = 0xffff_ffff;
  }

  copyFrom(row: number, other: BitRows, otherRow: number): void {
    const start = row * this.width;
    const from = otherRow * other.width;
    for (let word = 0; word < this.width; word++) this.words[start + word] = other.words[from + word];
  }

  /** Adds what another set has. True if there was something to add. */
  include(row: number, other: BitRows, otherRow: number): boolean {
    const start = row * this.width;
    const from = otherRow * other.width;
    let grown = false;
    for (let word = 0; word < this.width; word++) {
      const added = other.words[from + word] & ~this.words[start + word];
      if (added === 0) continue;
      this.words[start + word] |= added;
      grown = true;
    }
    return grown;
  }

  /** Keeps only what another set has as well. */
  restrict(row: number, other: BitRows, otherRow: number): void {
    const start = row * this.width;
    const from = otherRow * other.width;
    for (let word = 0; word < this.width; word++) this.words[start + word] &= other.words[from + word];
  }

  /** Takes out what another set has. */
  remove(row: number, other: BitRows, otherRow: number): void {
    const start = row * this.width;
    const from = otherRow * other.width;
    for (let word = 0; word < this.width; word++) this.words[start + word] &= ~other.words[from + word];
  }

  /** Numbers below `limit` that are in neither set, or null; they are added to the other one. */
  missing(row: number, other: BitRows, otherRow: number, limit: number): number[] | null {
    const start = row * this.width;
    const from = otherRow * other.width;
    let found: number[] | null = null;
    for (let word = 0; word < this.width; word++) {
      let bits = ~this.words[start + word] & ~other.words[from + word];
      for (; bits !== 0; bits &= bits - 1) {
        const number = word * 32 + 31 - Math.clz32(bits & -bits);
        if (number >= limit) break;
        found ??= [];
        found.push(number);
      }
      other.words[from + word] |= ~this.words[start + word];
    }
    return found;
  }
}
