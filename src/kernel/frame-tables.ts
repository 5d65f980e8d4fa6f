/** Frame tables of programs: what the stack frames in a checkpoint mean, and the name of that meaning. */
import type { Digest } from "../checkpoint/index.ts";
import { type FrameShape, frameTableSection, readFrameTable } from "../engine/capture/frame-table.ts";
import type { Program } from "../engine/index.ts";

export interface FrameTable {
  /** What the frames of each function look like, by its number. */
  readonly shapes: ReadonlyMap<number, FrameShape>;
  /** Digest of the table: where it is the same, frames are. */
  readonly digest: string;
}

/** Reads tables when they are first needed. */
export class FrameTables {
  private readonly digest: Digest;
  private readonly tables = new WeakMap<Program, FrameTable>();

  constructor(digest: Digest) {
    this.digest = digest;
  }

  /** The table of a program that can be captured. @throws Error for one without. */
  of(program: Program): FrameTable {
    let table = this.tables.get(program);
    if (table === undefined) {
      const [section] = WebAssembly.Module.customSections(program.module, frameTableSection);
      if (section === undefined) throw new Error(`program ${program.hash} has no table of its frames`);
      const contents = new Uint8Array(section);
      table = { shapes: readFrameTable(contents), digest: this.digest(contents) };
      this.tables.set(program, table);
    }
    return table;
  }
}
