/**
 * The memory of a process as a file holds it: pages of 4 KiB, of which those that are all zero are left out and
 * equal ones are stored once. Contents are numbered in the order in which they are stored; the page map says which
 * content each page has.
 */
import type { FieldReader, FieldWriter } from "./fields.ts";
import { type Digest, page_bytes } from "./format.ts";

const words = page_bytes / 4;

/** Consecutive pages whose contents are consecutive, or, when `repeats`, all the same. */
export interface PageRun {
  readonly page: number;
  readonly count: number;
  readonly content: number;
  readonly repeats: boolean;
}

/** Whether a page of some words holds nothing but zeros. */
function isZero(memory: Int32Array, start: number): boolean {
  for (let at = start, end = start + words; at < end; at += 8) {
    const any =
      memory[at] |
      memory[at + 1] |
      memory[at + 2] |
      memory[at + 3] |
      memory[at + 4] |
      memory[at + 5] |
      memory[at + 6] |
      memory[at + 7];
    if (any !== 0) return false;
  }
  return true;
}

/** Pages whose contents are new, ready to be written. */
export interface PageBatch {
  readonly count: number;
  /** `count` digests of 32 bytes. */
  readonly digests: Uint8Array;
  /** `count` pages. Used again for the next batch. */
  readonly contents: Uint8Array;
}

/** Pages in a batch: small enough to stay in a processor's cache, large enough for the calls around it. */
const batchPages = 256;

/** Goes through a memory and hands out what has to be stored; afterwards `runs` is its page map. */
export class PageCollector {
  readonly runs: PageRun[] = [];
  /** Different contents found. */
  contentCount = 0;
  private readonly digest: Digest;
  private readonly known = new Map<string, number>();
  private readonly contents = new Uint8Array(batchPages * page_bytes);
  private readonly digests = new Uint8Array(batchPages * 32);
  private held = 0;

  constructor(digest: Digest) {
    this.digest = digest;
  }

  /**
   * @param memory a multiple of the page size, starting at an address that is a multiple of four; nobody may change it
   * meanwhile.
   */
  *collect(memory: Uint8Array): Generator<PageBatch> {
    const pages = memory.length / page_bytes;
    const view = new Int32Array(memory.buffer, memory.byteOffset, memory.length / 4);
    for (let page = 0; page < pages; page++) {
      if (isZero(view, page * words)) continue;
      const start = this.held * page_bytes;
      // Into memory of our own first: hashing shared memory is slower, and what is hashed is what is stored.
      this.contents.set(memory.subarray(page * page_bytes, (page + 1) * page_bytes), start);
      const digest = this.digest(this.contents.subarray(start, start + page_bytes));
      let content = this.known.get(digest);
      if (content === undefined) {
        content = this.contentCount++;
        this.known.set(digest, content);
        this.digests.set(Uint8Array.fromHex(digest), this.held * 32);
        if (++this.held === batchPages) yield this.takeBatch();
      }
      this.note(page, content);
    }
    if (this.held > 0) yield this.takeBatch();
  }

  private takeBatch(): PageBatch {
    const count = this.held;
    this.held = 0;
    return {
      count,
      digests: this.digests.subarray(0, count * 32),
      contents: this.contents.subarray(0, count * page_bytes),
    };
  }

  private note(page: number, content: number): void {
    const last = this.runs.at(-1);
    if (last !== undefined && last.page + last.count === page) {
      const follows = !last.repeats && last.content + last.count === content;
      const repeats = (last.repeats || last.count === 1) && last.content === content;
      if (follows || repeats) {
        this.runs[this.runs.length - 1] = { ...last, count: last.count + 1, repeats };
        return;
      }
    }
    this.runs.push({ page, count: 1, content, repeats: false });
  }
}

const run_bytes = 16;

export function writeRuns(fields: FieldWriter, runs: readonly PageRun[]): void {
  fields.list(runs, ({ page, count, content, repeats }) => {
    fields.u32(page);
    fields.u32(count);
    fields.u32(content);
    fields.u32(repeats ? 1 : 0);
  });
}

/** Reads a page map: ascending, inside a memory of `pages` pages, naming contents that there are. */
export function readRuns(fields: FieldReader, pages: number, contentCount: number): PageRun[] {
  let next = 0;
  return fields.list("runs of pages", run_bytes, () => {
    const page = fields.u32();
    const count = fields.u32();
    const content = fields.u32();
    const repeats = fields.oneOf("the kind of a run", fields.u32(), [0, 1]) === 1;
    if (page < next || count === 0) fields.fail(`page ${page} is out of order`);
    next = page + count;
    if (next > pages) fields.fail(`page ${next - 1} lies outside the memory, which has ${pages}`);
    if (content + (repeats ? 1 : count) > contentCount) fields.fail(`page ${page} has no content`);
    return { page, count, content, repeats };
  });
}
