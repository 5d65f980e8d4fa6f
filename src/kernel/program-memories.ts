/**
 * Memories of programs on one core: copying one for a forked process, and keeping some of those that ended
 * processes had, because getting a memory from the host and touching its pages for the first time takes several
 * times as long as copying what is in it.
 *
 * Nothing passes from one process to another: a kept memory is given out only as a copy, and the copy covers all
 * of it.
 */
import { page_bytes } from "./page-allocator.ts";

const programPage_bytes = 65_536;
const wordsPerPage = page_bytes / Int32Array.BYTES_PER_ELEMENT;
/** What is kept on one core at most. */
const kept_bytes_max = 32 * 1024 * 1024;
const keptMemories_max = 16;

/** A memory that nobody uses. */
interface SpareMemory {
  readonly memory: WebAssembly.Memory;
  readonly maximum_pages: number;
}

export class ProgramMemories {
  private readonly spare: SpareMemory[] = [];
  private spare_bytes = 0;
  /** Nothing is kept before the first fork: most systems never see one. */
  private wanted = false;

  /**
   * A copy of a memory, with the same size; `maximum_pages` is what the program declares. Undefined when the host
   * has no memory left. Nobody may write to the source meanwhile.
   */
  copy(source: WebAssembly.Memory, maximum_pages: number): WebAssembly.Memory | undefined {
    this.wanted = true;
    const { buffer } = source;
    const pages = buffer.byteLength / programPage_bytes;
    const reused = this.take(pages, maximum_pages);
    if (reused !== undefined) {
      new Uint8Array(reused.buffer).set(new Uint8Array(buffer));
      return reused;
    }
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: maximum_pages, shared: true });
      copyUsedPages(buffer, memory.buffer);
      return memory;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** Takes over the memory of a process that has ended: nobody else uses it any more. */
  giveBack(memory: WebAssembly.Memory, maximum_pages: number): void {
    const size_bytes = memory.buffer.byteLength;
    if (!this.wanted || this.spare.length >= keptMemories_max) return;
    if (this.spare_bytes + size_bytes > kept_bytes_max) return;
    this.spare.push({ memory, maximum_pages });
    this.spare_bytes += size_bytes;
  }

  /** A kept memory, made as large as wanted: it can grow, but not shrink. The one used last is in the caches. */
  private take(pages: number, maximum_pages: number): WebAssembly.Memory | undefined {
    for (let index = this.spare.length - 1; index >= 0; index--) {
      const candidate = this.spare[index];
      const missing_pages = pages - candidate.memory.buffer.byteLength / programPage_bytes;
      if (candidate.maximum_pages !== maximum_pages || missing_pages < 0) continue;
      this.spare.splice(index, 1);
      this.spare_bytes -= candidate.memory.buffer.byteLength;
      if (missing_pages === 0) return candidate.memory;
      try {
        candidate.memory.grow(missing_pages);
        return candidate.memory;
      } catch {
        return undefined;
      }
    }
    return undefined;
  }
}

/** Copies to a memory that is all zeros: pages of zeros are not touched there, so that the host gives none. */
function copyUsedPages(from: ArrayBufferLike, to: ArrayBufferLike): void {
  const words = new Int32Array(from);
  const source = new Uint8Array(from);
  const target = new Uint8Array(to);
  const pages = source.length / page_bytes;
  for (let page = 0; page < pages; ) {
    if (isZeroPage(words, page)) {
      page++;
      continue;
    }
    const first = page;
    while (page < pages && !isZeroPage(words, page)) page++;
    target.set(source.subarray(first * page_bytes, page * page_bytes), first * page_bytes);
  }
}

/** Eight words at a time: testing each costs twice as much. */
function isZeroPage(words: Int32Array, page: number): boolean {
  const end = (page + 1) * wordsPerPage;
  for (let at = page * wordsPerPage; at < end; at += 8) {
    const four = words[at] | words[at + 1] | words[at + 2] | words[at + 3];
    if ((four | words[at + 4] | words[at + 5] | words[at + 6] | words[at + 7]) !== 0) return false;
  }
  return true;
}
